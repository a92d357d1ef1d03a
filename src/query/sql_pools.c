/*-------------------------------------------------------------------------
 *
 * sql_pools.c
 *	  SQL functions about declared pools.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "query/arguments.h"
#include "query/live_counts.h"
#include "query/live_pools.h"
#include "query/result_set.h"
#include "shared/group_snapshot.h"
#include "shared/settings.h"
#include "shared/shared_state.h"

PG_FUNCTION_INFO_V1(pool_monitor_pools);
PG_FUNCTION_INFO_V1(pool_monitor_capacity);
PG_FUNCTION_INFO_V1(pool_monitor_pool_status);

/* A figure that is negative where it was not declared */
static void
put_declared(PmonRow *row, int value)
{
	if (value < 0)
		pmon_put_null(row);
	else
		pmon_put_int(row, value);
}

/* A pattern, or null if there is none */
static void
put_pattern(PmonRow *row, bool given, const char *pattern)
{
	pmon_put_text(row, given ? pattern : NULL);
}

/* A limit in milliseconds; negative: the global setting applies */
static void
put_limit(PmonRow *row, int64 milliseconds)
{
	pmon_put_interval(row, milliseconds < 0 ? -1 : milliseconds * 1000);
}

/* What the worker keeps of a pool, by its name; false if nothing yet */
static bool
find_state(const char *name, PmonPoolState *state)
{
	bool		found = false;

	if (pmon == NULL)
		return false;
	LWLockAcquire(PmonLock(), LW_SHARED);
	for (int i = 0; i < PMON_MAX_POOLS && !found; i++)
	{
		if (strcmp(pmon->pool_states[i].name, name) == 0)
		{
			*state = pmon->pool_states[i];
			found = true;
		}
	}
	LWLockRelease(PmonLock());
	return found;
}

/* The figures of a pool: null where it has no size, as a mere policy has none */
static void
put_pool_figures(PmonRow *row, const PmonPool *pool, const PmonCounts *counts,
				 const int64 *invalid)
{
	int64		capacity = pmon_pool_capacity(pool->size, pool->overflow,
											  pool->instances);
	int			checked_out = pmon_checked_out(counts);
	PmonPoolState state;

	put_declared(row, pool->size);
	put_declared(row, pool->size < 0 ? -1 : pool->overflow);
	put_declared(row, pool->size < 0 ? -1 : pool->instances);
	if (capacity < 0)
		pmon_put_null(row);
	else
		pmon_put_bigint(row, capacity);
	pmon_put_int(row, counts->connections);
	pmon_put_int(row, counts->states[PMON_STATE_IDLE]);
	pmon_put_int(row, checked_out);
	if (pool->size < 0)
		pmon_put_null(row);
	else
		pmon_put_bigint(row, pmon_pool_overflow(pool->size, pool->instances,
												counts->connections));
	if (invalid == NULL)
		pmon_put_null(row);
	else
		pmon_put_bigint(row, *invalid);
	if (find_state(pool->name, &state))
		pmon_put_int(row, Max(state.peak_checked_out.value, 0));
	else
		pmon_put_null(row);
	if (capacity < 0)
	{
		pmon_put_null(row);
		pmon_put_null(row);
		return;
	}
	pmon_put_double(row, (double) checked_out / Max(capacity, 1));
	pmon_put_text(row, pmon_pool_status_name(pmon_pool_status(pool->size, pool->overflow,
															  pool->instances, checked_out,
															  counts->connections)));
}

Datum
pool_monitor_pools(PG_FUNCTION_ARGS)
{
	int			npools = pmon_declared->npools;
	PmonCounts *counts = palloc(sizeof(PmonCounts) * (npools + 1));
	int64	   *invalid = palloc(sizeof(int64) * Max(npools, 1));

	InitMaterializedSRF(fcinfo, 0);
	pmon_count_pools(counts);
	if (pmon != NULL)
		pmon_count_invalid(invalid);

	for (int i = 0; i < npools; i++)
	{
		const PmonPool *pool = &pmon_declared->pools[i];
		PmonRow		row = {0};

		pmon_put_text(&row, pool->name);
		put_pattern(&row, pool->has_application, pool->application);
		put_pattern(&row, pool->has_user, pool->user);
		put_pattern(&row, pool->has_database, pool->database);
		put_pattern(&row, pool->client_text[0] != '\0', pool->client_text);
		put_pool_figures(&row, pool, &counts[i], pmon != NULL ? &invalid[i] : NULL);
		put_limit(&row, pool->idle_timeout);
		put_limit(&row, pool->idle_in_transaction_timeout);
		put_limit(&row, pool->max_lifetime);
		pmon_put_int(&row, pool->keep_idle);
		pmon_add_row(fcinfo, &row);
	}
	return (Datum) 0;
}

Datum
pool_monitor_capacity(PG_FUNCTION_ARGS)
{
	int			npools = pmon_declared->npools;
	PmonCounts *counts = palloc(sizeof(PmonCounts) * (npools + 1));
	int64		declared = 0;
	PmonRow		row = {0};

	pmon_count_pools(counts);
	for (int i = 0; i < npools; i++)
	{
		const PmonPool *pool = &pmon_declared->pools[i];

		if (pool->size >= 0)
			declared += pmon_pool_capacity(pool->size, pool->overflow,
										   pool->instances);
	}

	pmon_put_int(&row, MaxConnections);
	pmon_put_int(&row, PmonReservedSlots());
	pmon_put_bigint(&row, declared);
	pmon_put_int(&row, counts[npools].connections);
	pmon_put_bigint(&row, pmon_ordinary_slots() - declared -
					counts[npools].connections);
	pmon_put_bool(&row, declared > pmon_ordinary_slots());
	return pmon_return_row(fcinfo, &row);
}

Datum
pool_monitor_pool_status(PG_FUNCTION_ARGS)
{
	/* as in SQLAlchemy, -1 is an overflow without limit */
	int			pool_size = pmon_count_argument(fcinfo, 0, "pool_size", 0);
	int			max_overflow = pmon_count_argument(fcinfo, 1, "max_overflow", -1);
	PmonSessionFilter filter;
	PmonCounts	counts = {0};
	PmonRow		row = {0};
	int			checked_out;

	pmon_get_filter(fcinfo, 2, &filter);
	for (int i = 0; i < pmon_status_slots(); i++)
	{
		PmonSession session;

		if (pmon_read_session(i, &session) && PmonIsSession(&session) &&
			pmon_filter_matches(&filter, session.databaseid, session.userid,
								session.application_name))
			pmon_count_session(&counts, &session);
	}
	checked_out = pmon_checked_out(&counts);

	pmon_put_int(&row, pool_size);
	pmon_put_int(&row, counts.states[PMON_STATE_IDLE]);
	pmon_put_int(&row, checked_out);
	pmon_put_bigint(&row, pmon_pool_overflow(pool_size, 1, counts.connections));
	if (pmon == NULL)
		pmon_put_null(&row);
	else
	{
		PmonGroupSnapshot *snapshot = pmon_take_snapshot(false);
		uint64		invalid = 0;

		for (int i = 0; i < snapshot->ngroups; i++)
		{
			PmonGroup  *group = &snapshot->groups[i];

			if (pmon_filter_matches(&filter, group->key.databaseid, group->key.userid,
									group->key.application_name))
				invalid += group->counters.sessions_abandoned +
					group->counters.sessions_fatal +
					group->counters.sessions_killed;
		}
		pmon_put_bigint(&row, invalid);
	}
	pmon_put_int(&row, counts.connections);
	pmon_put_text(&row, pmon_pool_status_name(pmon_pool_status(pool_size, max_overflow, 1,
															   checked_out,
															   counts.connections)));
	return pmon_return_row(fcinfo, &row);
}
