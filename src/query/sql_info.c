/*-------------------------------------------------------------------------
 *
 * sql_info.c
 *	  SQL functions about the extension itself, and about rejections.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "mb/pg_wchar.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "query/result_set.h"
#include "shared/group_snapshot.h"
#include "shared/groups.h"
#include "shared/history.h"
#include "shared/incidents.h"
#include "shared/rejections.h"
#include "shared/terminations.h"

PG_FUNCTION_INFO_V1(pool_monitor_info);
PG_FUNCTION_INFO_V1(pool_monitor_rejections);
PG_FUNCTION_INFO_V1(pool_monitor_reset);
PG_FUNCTION_INFO_V1(pool_monitor_reset_application);

#define VERSION				"1.0"
#define RECORDED_INFO_COLUMNS	15

static void
put_pid(PmonRow *row, int pid)
{
	if (pid != 0)
		pmon_put_int(row, pid);
	else
		pmon_put_null(row);
}

/* A duration that was measured, in ns, as milliseconds; null before that */
static void
put_sample_duration(PmonRow *row, uint64 nanoseconds)
{
	pmon_put_milliseconds(row, pmon->samples > 0 ? (double) nanoseconds / 1000.0 : -1);
}

Datum
pool_monitor_info(PG_FUNCTION_ARGS)
{
	PmonRow		row = {0};

	pmon_put_text(&row, VERSION);
	pmon_put_bool(&row, pmon != NULL);
	if (pmon == NULL)
	{
		for (int i = 0; i < RECORDED_INFO_COLUMNS; i++)
			pmon_put_null(&row);
		return pmon_return_row(fcinfo, &row);
	}

	LWLockAcquire(PmonLock(), LW_SHARED);
	put_pid(&row, pmon->worker_pid);
	pmon_put_time(&row, pmon->worker_started_at);
	pmon_put_bigint(&row, pmon->samples);
	pmon_put_time(&row, pmon->last_sample_at);
	put_sample_duration(&row, pmon->last_sample_duration);
	put_sample_duration(&row, pmon->sample_duration_max);
	pmon_put_bigint(&row, pmon->missed_samples);
	pmon_put_int(&row, pmon->ngroups);
	pmon_put_int(&row, pmon->max_groups);
	pmon_put_bigint(&row, pmon->groups_evicted);
	pmon_put_bigint(&row, pmon->memory_bytes);
	pmon_put_time(&row, pmon->saved_at);
	pmon_put_bigint(&row, pmon->save_failures);
	pmon_put_time(&row, pmon->restored_from);
	pmon_put_time(&row, pmon->stats_reset);
	LWLockRelease(PmonLock());

	return pmon_return_row(fcinfo, &row);
}

/*
 * A name that a client sent before anybody looked at it: any bytes at all, cut
 * to what fits.  What is no text in this database's encoding is made some.
 */
static void
put_client_name(PmonRow *row, const char *name)
{
	char	   *text = pstrdup(name);
	int			length = strlen(text);

	text[		pg_mbcliplen(text, length, length)] = '\0';

	if (!pg_verifymbstr(text, strlen(text), true))
	{
		for (char *c = text; *c != '\0'; c++)
		{
			if (IS_HIGHBIT_SET(*c))
				*c = '?';
		}
	}
	pmon_put_text(row, text);
}

static void
add_rejection_row(FunctionCallInfo fcinfo, const PmonRejection *rejection)
{
	PmonRow		row = {0};

	put_client_name(&row, rejection->key.datname);
	put_client_name(&row, rejection->key.usename);
	put_client_name(&row, rejection->key.application_name);
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

/* Forget figures: one application's, or all. */
static void
reset(const char *application_name, TimestampTz now)
{
	pmon_require_loaded();
	pmon_fold_rejections();

	LWLockAcquire(PmonLock(), LW_EXCLUSIVE);
	pmon_reset_groups(application_name, now);
	pmon_reset_rejections(application_name);
	LWLockRelease(PmonLock());
}

Datum
pool_monitor_reset(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentTimestamp();

	reset(NULL, now);
	pmon_ring_forget(pmon_sample_ring);
	pmon_ring_forget(pmon_minute_ring);
	pmon_reset_incidents();
	pmon_reset_terminations();
	PG_RETURN_TIMESTAMPTZ(now);
}

Datum
pool_monitor_reset_application(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentTimestamp();

	reset(text_to_cstring(PG_GETARG_TEXT_PP(0)), now);
	PG_RETURN_TIMESTAMPTZ(now);
}
