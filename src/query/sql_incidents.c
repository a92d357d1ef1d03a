/*-------------------------------------------------------------------------
 *
 * sql_incidents.c
 *	  SQL functions about the times when connections ran out, and about the
 *	  logins that were refused.
 *
 * What they show is kept by shared/incidents and shared/rejections; here it
 * becomes rows, of which a reader sees those of the roles that it may read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "utils/acl.h"

#include "query/result_set.h"
#include "query/tags.h"
#include "shared/group_snapshot.h"
#include "shared/incidents.h"
#include "shared/rejections.h"
#include "shared/shared_state.h"

PG_FUNCTION_INFO_V1(pool_monitor_incidents);
PG_FUNCTION_INFO_V1(pool_monitor_incident_holders);
PG_FUNCTION_INFO_V1(pool_monitor_rejections);

static const char *const reason_names[PMON_INCIDENT_REASONS] = {
	"too_many_clients",
	"reserved_slots",
	"critical_threshold"
};

static void
add_incident_row(FunctionCallInfo fcinfo, const PmonIncident *incident)
{
	PmonRow		row = {0};

	pmon_put_bigint(&row, incident->id);
	pmon_put_time(&row, incident->started_at);
	pmon_put_time(&row, incident->ended_at);
	pmon_put_text(&row, reason_names[incident->reason]);
	pmon_put_int(&row, incident->peak_connections.value);
	pmon_put_time(&row, incident->peak_connections.at);
	pmon_put_bigint(&row, incident->rejected);
	pmon_put_text(&row, incident->top_application);
	pmon_add_row(fcinfo, &row);
}

Datum
pool_monitor_incidents(PG_FUNCTION_ARGS)
{
	int64		last;

	pmon_require_worker();
	InitMaterializedSRF(fcinfo, 0);

	last = pmon_last_incident();
	for (int64 id = Max(last - PMON_MAX_INCIDENTS + 1, 1); id <= last; id++)
	{
		PmonIncident *incident = pmon_copy_incident(id);

		if (incident != NULL)
			add_incident_row(fcinfo, incident);
	}
	return (Datum) 0;
}

/*
 * What the session that stands for a holder was doing.  Statements are for who
 * may read them in the views of sessions.
 */
static void
put_holder_session(PmonRow *row, const PmonHolders *holders,
				   const PmonHolder *holder)
{
	const PmonHolderSession *session;
	bool		may_read = pmon_may_read(holder->userid);

	if (holder->session == PMON_NONE)
	{
		pmon_put_nulls(row, 8);
		return;
	}
	session = &holders->sessions[holder->session];
	pmon_put_text(row, session->wait_event_type[0] != '\0' ? session->wait_event_type : NULL);
	pmon_put_text(row, session->wait_event[0] != '\0' ? session->wait_event : NULL);
	pmon_put_int(row, session->pid);
	pmon_put_int_or_null(row, session->blocks != PMON_BLOCKS_UNKNOWN, session->blocks);
	pmon_put_int_or_null(row, session->blocked_by != PMON_BLOCKED_BY_NOBODY,
						 session->blocked_by);
	pmon_put_bigint_or_null(row, may_read && session->query_id != 0,
							(int64) session->query_id);
	pmon_put_tags(row, session->tags, strnlen(session->tags, PMON_TAGS_LEN - 1));
	pmon_put_foreign_text(row, may_read && session->statement[0] != '\0' ?
						  session->statement : NULL);
}

static void
add_holder_rows(FunctionCallInfo fcinfo, const PmonIncident *incident,
				const char *moment, const PmonHolders *holders)
{
	for (int i = 0; i < holders->nholders; i++)
	{
		const PmonHolder *holder = &holders->holders[i];
		PmonRow		row = {0};

		pmon_put_bigint(&row, incident->id);
		pmon_put_text(&row, moment);
		pmon_put_time(&row, holders->taken_at);
		pmon_put_database(&row, holder->databaseid);
		pmon_put_role(&row, holder->userid);
		pmon_put_text(&row, holder->application_name);
		pmon_put_address(&row, &holder->client_addr);
		pmon_put_text(&row, pmon_state_name(holder->state));
		pmon_put_int(&row, holder->connections);
		pmon_put_interval(&row, pmon_age(holders->taken_at, holder->oldest_state));
		pmon_put_interval(&row, pmon_age(holders->taken_at, holder->oldest_transaction));
		put_holder_session(&row, holders, holder);
		pmon_add_row(fcinfo, &row);
	}
}

Datum
pool_monitor_incident_holders(PG_FUNCTION_ARGS)
{
	int64		first;
	int64		last;

	pmon_require_worker();
	InitMaterializedSRF(fcinfo, 0);

	last = pmon_last_incident();
	first = Max(last - PMON_MAX_INCIDENTS + 1, 1);
	if (!PG_ARGISNULL(0))
	{
		int64		wanted = PG_GETARG_INT64(0);

		/* one that is not kept has no holders */
		if (wanted < first || wanted > last)
			return (Datum) 0;
		first = last = wanted;
	}

	for (int64 id = first; id <= last; id++)
	{
		PmonIncident *incident = pmon_copy_incident(id);

		if (incident == NULL)
			continue;
		add_holder_rows(fcinfo, incident, "start", &incident->at_start);
		add_holder_rows(fcinfo, incident, "peak", &incident->at_peak);
		pfree(incident);
	}
	return (Datum) 0;
}

static void
add_rejection_row(FunctionCallInfo fcinfo, const PmonRejection *rejection)
{
	PmonRow		row = {0};

	pmon_put_foreign_text(&row, rejection->key.datname);
	pmon_put_foreign_text(&row, rejection->key.usename);
	pmon_put_foreign_text(&row, rejection->key.application_name);
	pmon_put_text(&row, pmon_reject_reason_names[rejection->key.reason]);
	pmon_put_bigint(&row, rejection->rejected);
	pmon_put_time(&row, rejection->last_at);
	pmon_add_row(fcinfo, &row);
}

/* A row without names: for what stands under none, or may not be seen */
static void
add_anonymous_row(FunctionCallInfo fcinfo, const char *application_name,
				  const char *reason, uint64 rejected, TimestampTz last_at)
{
	PmonRow		row = {0};

	if (rejected == 0)
		return;
	pmon_put_null(&row);
	pmon_put_null(&row);
	pmon_put_text(&row, application_name);
	pmon_put_text(&row, reason);
	pmon_put_bigint(&row, rejected);
	pmon_put_time(&row, last_at);
	pmon_add_row(fcinfo, &row);
}

Datum
pool_monitor_rejections(PG_FUNCTION_ARGS)
{
	PmonGroupSnapshot *snapshot;
	uint64		hidden = 0;
	TimestampTz hidden_last_at = 0;

	pmon_require_loaded();
	InitMaterializedSRF(fcinfo, 0);
	snapshot = pmon_take_snapshot(false);

	for (int i = 0; i < snapshot->nrejections; i++)
	{
		PmonRejection *rejection = &snapshot->rejections[i];

		if (pmon_may_read(get_role_oid(rejection->key.usename, true)))
			add_rejection_row(fcinfo, rejection);
		else
		{
			hidden += rejection->rejected;
			hidden_last_at = Max(hidden_last_at, rejection->last_at);
		}
	}

	for (int i = 0; i < PMON_REJECT_REASONS; i++)
	{
		if (pmon_may_read_all())
			add_anonymous_row(fcinfo, PMON_OTHER_APPLICATION, pmon_reject_reason_names[i],
							  snapshot->dropped[i], 0);
		else
			hidden += snapshot->dropped[i];
	}
	add_anonymous_row(fcinfo, PMON_INSUFFICIENT_PRIVILEGE, NULL,
					  hidden, hidden_last_at);
	return (Datum) 0;
}
