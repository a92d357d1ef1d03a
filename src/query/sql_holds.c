/*-------------------------------------------------------------------------
 *
 * sql_holds.c
 *	  The SQL function that shows which code held connections.
 *
 * Who may see it is a matter of GRANT, as with the history; a statement is for
 * who may read it in pg_stat_activity.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "utils/timestamp.h"

#include "pure/session_state.h"
#include "query/holds_reader.h"
#include "query/result_set.h"
#include "query/tags.h"
#include "shared/rejections.h"

PG_FUNCTION_INFO_V1(pool_monitor_holds);

static void
put_tags(PmonRow *row, const PmonHoldIdentity *identity)
{
	if (identity->other != 0)
		pmon_put_other_tags(row);
	else
		pmon_put_tags(row, identity->tags, identity->tags_length);
}

/* A statement as it was copied: without an end, and maybe within a character */
static void
put_statement(PmonRow *row, const PmonSummedHold *hold)
{
	char		statement[PMON_HOLD_STATEMENT_BYTES + 1] = {0};

	if (hold->statement_length == 0 || !pmon_may_read(hold->identity.userid))
	{
		pmon_put_null(row);
		return;
	}
	memcpy(statement, hold->statement, hold->statement_length);
	pmon_drop_half_character(statement, sizeof(statement));
	pmon_put_foreign_text(row, statement);
}

/*
 * What it waited for.  Events that a library has made up have numbers that only
 * the server that gave them can name, and the record may be of the one before.
 */
static void
put_wait_event(PmonRow *row, uint32 wait_event_info)
{
	pmon_put_text(row, pgstat_get_wait_event_type(wait_event_info));
	pmon_put_text(row, PmonIsCustomWaitEvent(wait_event_info) ? NULL :
				  pgstat_get_wait_event(wait_event_info));
}

/* Who it was, what it ran, and how it was; nothing of that is known of others */
static void
put_identity(PmonRow *row, const PmonSummedHold *hold)
{
	const PmonHoldIdentity *identity = &hold->identity;
	bool		known = identity->other != PMON_HOLD_OTHER;

	pmon_put_database(row, identity->databaseid);
	pmon_put_role(row, identity->userid);
	pmon_put_text(row, hold->application_name);
	put_tags(row, identity);
	pmon_put_bigint_or_null(row, identity->query_id != 0, (int64) identity->query_id);
	pmon_put_text(row, known ? pmon_state_name(identity->state) : NULL);
	put_wait_event(row, identity->wait_event_info);
}

Datum
pool_monitor_holds(PG_FUNCTION_ARGS)
{
	TimestampTz since = PG_ARGISNULL(0) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(0);
	TimestampTz until = PG_ARGISNULL(1) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(1);
	PmonSummedHolds *read;

	pmon_require_worker();
	InitMaterializedSRF(fcinfo, 0);
	read = pmon_read_holds(since, until);
	for (int i = 0; i < read->nholds; i++)
	{
		const PmonSummedHold *hold = read->holds[i];
		PmonRow		row = {0};

		CHECK_FOR_INTERRUPTS();
		put_identity(&row, hold);
		pmon_put_estimate(&row, (double) hold->samples / Max(read->samples, 1));
		pmon_put_estimate(&row, (double) hold->samples / Max(read->held, 1));
		pmon_put_interval(&row, (int64) hold->longest * 1000);
		put_statement(&row, hold);
		pmon_add_row(fcinfo, &row);
	}
	return (Datum) 0;
}
