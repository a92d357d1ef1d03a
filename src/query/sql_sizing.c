/*-------------------------------------------------------------------------
 *
 * sql_sizing.c
 *	  SQL function that recommends the sizes of pools.
 *
 * The figures come from the minutes of the history, the formula from
 * sizing.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "utils/timestamp.h"

#include "pure/sizing.h"
#include "query/application_names.h"
#include "query/arguments.h"
#include "query/load_reader.h"
#include "query/result_set.h"
#include "query/sizing_input.h"
#include "shared/history.h"

PG_FUNCTION_INFO_V1(pool_monitor_sizing);

/* Set while the function runs */
static PmonApplicationNames names;
static TimestampTz asked_at;

/*
 * Not a pool that is not declared any more, nor an application folded, nor what
 * was before its last reset.  A reset in the future was before the clock was set
 * back.
 */
static bool
is_known(uint32 id, TimestampTz at)
{
	const PmonApplicationName *application;

	if (PmonIsPoolId(id))
		return pmon_pool_by_id(id) != NULL;
	application = pmon_find_application(&names, id);
	return application != NULL &&
		(at >= application->reset_at || application->reset_at > asked_at);
}

static void
put_count(PmonRow *row, int value)
{
	pmon_put_int_or_null(row, value >= 0, value);
}

/* From here on, what is held outside of transactions is worth a word. */
#define HELD_LONGER			1.1

/* What to know before believing it */
static const char *
choose_note(const PmonSizedLoad *sized)
{
	bool		lower_bound = sized->result.saturated &&
	sized->result.recommended * (int64) Max(sized->input.instances, 1) >
	sized->input.capacity;

	if (sized->few_transactions == 0 || lower_bound)
		return sized->result.note;
	return psprintf(INT64_FORMAT " transactions of over %d s make %d%% of the load, and the size is that of the others: a leak, or a batch that wants a pool of its own",
					sized->few_transactions, sized->few_seconds,
					(int) (sized->few_share * 100));
}

static void
put_note(PmonRow *row, const PmonSizedLoad *sized)
{
	const char *note = choose_note(sized);

	if (sized->held_times >= HELD_LONGER)
		note = psprintf("connections are held %.1f times as long as their transactions, by code that does something else with one or forgets it, and the size allows for that%s%s",
						sized->held_times, note != NULL ? "; " : "",
						note != NULL ? note : "");
	pmon_put_text(row, note);
}

static void
add_sizing_row(FunctionCallInfo fcinfo, const PmonPool *pool,
			   const char *application_name, const PmonSizedLoad *sized)
{
	const PmonSizingInput *input = &sized->input;
	const PmonSizingResult *result = &sized->result;
	PmonRow		row = {0};

	pmon_put_foreign_text(&row, pool != NULL ? pool->name : NULL);
	pmon_put_text(&row, application_name);
	pmon_put_bigint(&row, input->transactions);
	pmon_put_estimate(&row, input->arrival_rate);
	pmon_put_estimate(&row, input->hold_mean * 1000.0);
	pmon_put_estimate(&row, input->hold_cv);
	pmon_put_estimate(&row, result->offered_load);
	pmon_put_estimate(&row, sized->total_load);
	put_count(&row, input->observed_p99);
	put_count(&row, input->observed_peak);
	put_count(&row, result->recommended);
	pmon_put_estimate(&row, result->expected_wait * 1000.0);
	pmon_put_bool(&row, result->saturated);
	put_note(&row, sized);
	pmon_add_row(fcinfo, &row);
}

/* Raise an error for arguments that make no sense. */
static void
check_arguments(double wait_target, double percentile)
{
	if (!(wait_target >= 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"wait_target\" must not be negative")));
	if (!(percentile > 0 && percentile < 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"percentile\" must be greater than 0 and less than 1")));
}

Datum
pool_monitor_sizing(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentTimestamp();
	double		wait_target;
	double		percentile;
	double		since;
	PmonLoad   *loads;
	int			nloads;

	pmon_require_worker();
	pmon_require_not_null(fcinfo, 0, "wait_target");
	pmon_require_not_null(fcinfo, 1, "percentile");
	wait_target = pmon_interval_seconds(PG_GETARG_INTERVAL_P(0), "wait_target");
	percentile = PG_GETARG_FLOAT8(1);
	check_arguments(wait_target, percentile);
	since = pmon_since_argument(fcinfo, 2);
	InitMaterializedSRF(fcinfo, 0);

	names = pmon_read_application_names();
	asked_at = now;
	loads = pmon_read_load(now - (int64) (since * USECS_PER_SEC), is_known,
						   pmon_capacity_by_id, &nloads);

	for (int i = 0; i < nloads; i++)
	{
		const PmonPool *pool = pmon_pool_by_id(loads[i].id);
		PmonSizedLoad sized;

		CHECK_FOR_INTERRUPTS();
		if (!pmon_size_load(&sized, &loads[i], wait_target, percentile))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s", sized.result.note)));
		if (pool != NULL)
			add_sizing_row(fcinfo, pool, pool->has_application ? pool->application : NULL,
						   &sized);
		else
			add_sizing_row(fcinfo, NULL, pmon_find_application(&names, loads[i].id)->application_name,
						   &sized);
	}
	return (Datum) 0;
}
