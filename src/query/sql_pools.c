/*-------------------------------------------------------------------------
 *
 * sql_pools.c
 *	  SQL functions about declared pools.
 *
 * The counts are of one reading of the sessions (live_sessions.h), which are
 * matched with the pools as they are declared now; what is remembered of a pool,
 * its peak and its ended sessions, stands beside them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "query/arguments.h"
#include "query/live_sessions.h"
#include "query/result_set.h"
#include "shared/group_snapshot.h"
#include "shared/pool_states.h"
#include "shared/settings.h"
#include "shared/shared_state.h"

PG_FUNCTION_INFO_V1(pool_monitor_pools);
PG_FUNCTION_INFO_V1(pool_monitor_capacity);
PG_FUNCTION_INFO_V1(pool_monitor_pool_status);

/* A pattern, or null if there is none */
static void
put_pattern(PmonRow *row, bool given, const char *pattern)
{
	pmon_put_foreign_text(row, given ? pattern : NULL);
}

/* A limit in milliseconds; negative: the global setting applies */
static void
put_limit(PmonRow *row, int64 milliseconds)
{
	pmon_put_interval(row, milliseconds < 0 ? -1 : milliseconds * 1000);
}

static void
put_status(PmonRow *row, bool known, const PmonPool *pool, const PmonCounts *counts)
{
	PmonPoolStatus status = pmon_pool_status(pool, pmon_checked_out(counts),
											 counts->connections);

	pmon_put_text(row, known ? pmon_pool_status_names[status] : NULL);
}

/* The figures of a pool: null where it has no size, as a mere policy has none */
static void
put_pool_figures(PmonRow *row, const PmonPool *pool, const PmonCounts *counts,
				 int clients, const uint64 *invalid)
{
	bool		sized = pool->size >= 0;
	int64		capacity = pmon_pool_capacity(pool);
	int			checked_out = pmon_checked_out(counts);
	PmonPoolState state;
	bool		found = pmon_copy_pool_state(pool->name, &state);

	pmon_put_int_or_null(row, sized, pool->size);
	pmon_put_int_or_null(row, sized, pool->overflow);
	pmon_put_int_or_null(row, sized, pool->instances);
	pmon_put_int(row, clients);
	pmon_put_bigint_or_null(row, sized, capacity);
	pmon_put_int(row, counts->connections);
	pmon_put_int(row, pmon_checked_in(counts));
	pmon_put_int(row, checked_out);
	pmon_put_int(row, counts->held_idle);
	pmon_put_bigint_or_null(row, sized, pmon_pool_overflow(pool, counts->connections));
	pmon_put_bigint_or_null(row, invalid != NULL, invalid != NULL ? *invalid : 0);
	pmon_put_int_or_null(row, found, found ? Max(state.peak_checked_out.value, 0) : 0);
	pmon_put_time(row, found ? state.last_exhausted_at : 0);
	pmon_put_bigint_or_null(row, found, found ? state.ended_checked_out : 0);
	pmon_put_double_or_null(row, sized, (double) checked_out / Max(capacity, 1));
	put_status(row, sized, pool, counts);
}

Datum
pool_monitor_pools(PG_FUNCTION_ARGS)
{
	int			npools = pmon_declared->npools;
	PmonLive   *live;
	PmonCounts *counts;
	int		   *clients;
	uint64	   *invalid = NULL;

	InitMaterializedSRF(fcinfo, 0);
	live = pmon_read_live(false);
	counts = pmon_count_pools(live);
	clients = pmon_count_clients(live);
	if (pmon != NULL)
		invalid = pmon_count_invalid(pmon_take_snapshot(false));

	for (int i = 0; i < npools; i++)
	{
		const PmonPool *pool = &pmon_declared->pools[i];
		PmonRow		row = {0};

		pmon_put_foreign_text(&row, pool->name);
		put_pattern(&row, pool->has_application, pool->application);
		put_pattern(&row, pool->has_user, pool->user);
		put_pattern(&row, pool->has_database, pool->database);
		put_pattern(&row, pool->client_text[0] != '\0', pool->client_text);
		put_pool_figures(&row, pool, &counts[i], clients[i],
						 invalid != NULL ? &invalid[i] : NULL);
		put_limit(&row, pool->idle_timeout);
		put_limit(&row, pool->idle_in_transaction_timeout);
		put_limit(&row, pool->max_lifetime);
		pmon_put_int(&row, pool->keep_idle);
		put_limit(&row, pool->closes_idle);
		pmon_put_int(&row, pool->min_idle);
		pmon_add_row(fcinfo, &row);
	}
	return (Datum) 0;
}

Datum
pool_monitor_capacity(PG_FUNCTION_ARGS)
{
	int			npools = pmon_declared->npools;
	PmonCounts *counts = pmon_count_pools(pmon_read_live(false));
	int64		declared = 0;
	PmonRow		row = {0};

	for (int i = 0; i < npools; i++)
	{
		const PmonPool *pool = &pmon_declared->pools[i];

		declared += pmon_pool_claim(pool, counts[i].connections);
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

/*
 * What the sessions of the groups that match have counted as invalid; *known
 * is set if there is any such group.
 */
static uint64
count_invalid(const PmonSessionFilter *filter, bool *known)
{
	PmonGroupSnapshot *snapshot = pmon_take_snapshot(false);
	uint64		invalid = 0;

	for (int i = 0; i < snapshot->ngroups; i++)
	{
		const PmonGroup *group = &snapshot->groups[i];

		if (pmon_filter_matches(filter, group->key.databaseid, group->key.userid,
								group->key.application_name))
		{
			*known = true;
			invalid += pmon_group_invalid(group);
		}
	}
	return invalid;
}

/* What its overflow proves; there is nobody who follows the openings of such a pool */
static int
held_beyond_size(const PmonPool *pool, const PmonCounts *counts)
{
	PmonPoolUse use = {0};

	use.connections = counts->connections;
	use.idle = counts->states[PMON_STATE_IDLE];
	return pmon_pool_held_idle(pool, &use);
}

Datum
pool_monitor_pool_status(PG_FUNCTION_ARGS)
{
	PmonPool	pool = {.instances = 1};
	PmonSessionFilter filter;
	PmonLive   *live;
	PmonCounts	counts = {0};
	PmonRow		row = {0};
	int			checked_out;
	uint64		invalid = 0;
	bool		known;

	/* as in SQLAlchemy, -1 is an overflow without limit */
	pool.size = pmon_count_argument(fcinfo, 0, "pool_size", 0);
	pool.overflow = pmon_count_argument(fcinfo, 1, "max_overflow", -1);
	pmon_get_filter(fcinfo, 2, &filter);

	live = pmon_read_live(false);
	for (int i = 0; i < live->nsessions; i++)
	{
		const PmonSession *session = &live->sessions[i];

		if (pmon_filter_matches(&filter, session->databaseid, session->userid,
								session->application_name))
			pmon_count_session(&counts, session);
	}
	counts.held_idle = held_beyond_size(&pool, &counts);
	checked_out = pmon_checked_out(&counts);
	known = counts.connections > 0;
	if (pmon != NULL)
		invalid = count_invalid(&filter, &known);

	pmon_put_int(&row, pool.size);
	pmon_put_int(&row, pmon_checked_in(&counts));
	pmon_put_int(&row, checked_out);
	pmon_put_bigint(&row, pmon_pool_overflow(&pool, counts.connections));
	pmon_put_bigint_or_null(&row, pmon != NULL, invalid);
	pmon_put_int(&row, counts.connections);

	/* of what nobody has ever seen, a misspelt name say, nothing is healthy */
	put_status(&row, known, &pool, &counts);
	return pmon_return_row(fcinfo, &row);
}
