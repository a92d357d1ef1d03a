/*-------------------------------------------------------------------------
 *
 * sql_pools.c
 *	  SQL functions about declared pools.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "utils/acl.h"
#include "utils/builtins.h"

#include "group_snapshot.h"
#include "guc.h"
#include "live_counts.h"
#include "live_pools.h"
#include "result_set.h"
#include "shared_state.h"
#include "sql_pools.h"

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
		if (strcmp(pmon->pools[i].name, name) == 0)
		{
			*state = pmon->pools[i];
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
	int			npools = pmon_pools->npools;
	PmonCounts *counts = palloc(sizeof(PmonCounts) * (npools + 1));
	int64	   *invalid = palloc(sizeof(int64) * Max(npools, 1));

	PmonInitResultSet(fcinfo);
	pmon_count_pools(counts);
	if (pmon != NULL)
		pmon_count_invalid(invalid);

	for (int i = 0; i < npools; i++)
	{
		const PmonPool *pool = &pmon_pools->pools[i];
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
	int			npools = pmon_pools->npools;
	PmonCounts *counts = palloc(sizeof(PmonCounts) * (npools + 1));
	int64		declared = 0;
	PmonRow		row = {0};

	pmon_count_pools(counts);
	for (int i = 0; i < npools; i++)
	{
		const PmonPool *pool = &pmon_pools->pools[i];

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

/* What pool_monitor_pool_status() was asked about; NULL and 0 for any */
typedef struct PoolFilter
{
	const char *application_name;
	Oid			databaseid;
	Oid			userid;
} PoolFilter;

static bool
filter_matches(const PoolFilter *filter, Oid databaseid, Oid userid,
			   const char *application_name)
{
	return (filter->application_name == NULL ||
			strcmp(filter->application_name, application_name) == 0) &&
		(filter->databaseid == InvalidOid || filter->databaseid == databaseid) &&
		(filter->userid == InvalidOid || filter->userid == userid);
}

/* The arguments from 2 on; a name that does not exist is an error */
static void
get_filter(FunctionCallInfo fcinfo, PoolFilter *filter)
{
	memset(filter, 0, sizeof(*filter));
	if (!PG_ARGISNULL(2))
		filter->application_name = text_to_cstring(PG_GETARG_TEXT_PP(2));
	if (!PG_ARGISNULL(3))
		filter->databaseid = get_database_oid(NameStr(*PG_GETARG_NAME(3)), false);
	if (!PG_ARGISNULL(4))
		filter->userid = get_role_oid(NameStr(*PG_GETARG_NAME(4)), false);
}

/* An argument that counts connections: not null, and not below minimum */
static int
get_count(FunctionCallInfo fcinfo, int argument, const char *name, int minimum)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("\"%s\" must not be null", name)));
	if (PG_GETARG_INT32(argument) < minimum)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" must be at least %d", name, minimum)));
	return PG_GETARG_INT32(argument);
}

Datum
pool_monitor_pool_status(PG_FUNCTION_ARGS)
{
	/* as in SQLAlchemy, -1 is an overflow without limit */
	int			pool_size = get_count(fcinfo, 0, "pool_size", 0);
	int			max_overflow = get_count(fcinfo, 1, "max_overflow", -1);
	PoolFilter	filter;
	PmonCounts	counts = {0};
	PmonRow		row = {0};
	int			checked_out;

	get_filter(fcinfo, &filter);
	for (int i = 0; i < pmon_reader_slots(); i++)
	{
		PmonSession session;

		if (pmon_read_session(i, &session) && PmonIsSession(&session) &&
			filter_matches(&filter, session.databaseid, session.userid,
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

			if (filter_matches(&filter, group->key.databaseid, group->key.userid,
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
