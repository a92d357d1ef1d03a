/*-------------------------------------------------------------------------
 *
 * sql_info.c
 *	  SQL functions about the extension itself: what it does, and its reset.
 *
 * Without the preloaded library there is nothing but its version; the rest is
 * null.  Who may reset is a matter of GRANT alone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "query/arguments.h"
#include "query/result_set.h"
#include "shared/groups.h"
#include "shared/reset.h"

PG_FUNCTION_INFO_V1(pool_monitor_info);
PG_FUNCTION_INFO_V1(pool_monitor_reset);
PG_FUNCTION_INFO_V1(pool_monitor_reset_application);

#define RECORDED_INFO_COLUMNS	17

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

	pmon_put_text(&row, PMON_VERSION);
	pmon_put_bool(&row, pmon != NULL);
	if (pmon == NULL)
	{
		pmon_put_nulls(&row, RECORDED_INFO_COLUMNS);
		return pmon_return_row(fcinfo, &row);
	}

	LWLockAcquire(PmonLock(), LW_SHARED);
	pmon_put_int_or_null(&row, pmon->worker_pid != 0, pmon->worker_pid);
	pmon_put_time(&row, pmon->worker_started_at);
	pmon_put_bigint(&row, pmon->samples);
	pmon_put_time(&row, pmon->last_sample_at);
	put_sample_duration(&row, pmon->last_sample_duration);
	put_sample_duration(&row, pmon->sample_duration_max);
	pmon_put_bigint(&row, pmon->missed_samples);
	pmon_put_int(&row, pmon_group_table->ngroups);
	pmon_put_int(&row, pmon->max_groups);
	pmon_put_bigint(&row, pmon_group_table->groups_evicted);
	pmon_put_bigint(&row, pmon->memory_bytes);
	pmon_put_time(&row, pmon->saved_at);
	pmon_put_bigint(&row, pmon->save_failures);
	pmon_put_time(&row, pmon->metrics_written_at);
	pmon_put_bigint(&row, pmon->metrics_failures);
	pmon_put_time(&row, pmon->restored_from);
	pmon_put_time(&row, pmon->stats_reset);
	LWLockRelease(PmonLock());

	return pmon_return_row(fcinfo, &row);
}

Datum
pool_monitor_reset(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentTimestamp();

	pmon_require_loaded();
	pmon_reset_all(now);
	PG_RETURN_TIMESTAMPTZ(now);
}

Datum
pool_monitor_reset_application(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentTimestamp();

	pmon_require_loaded();
	pmon_reset_application(pmon_application_argument(fcinfo, 0), now);
	PG_RETURN_TIMESTAMPTZ(now);
}
