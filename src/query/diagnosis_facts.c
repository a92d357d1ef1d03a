/*-------------------------------------------------------------------------
 *
 * diagnosis_facts.c
 *	  Gathers the facts that a diagnosis is made from.
 *
 * See diagnosis_facts.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include <math.h>

#include "access/twophase.h"
#include "executor/spi.h"
#include "utils/builtins.h"

#include "query/diagnosis_facts.h"
#include "query/history_reader.h"
#include "query/local_hash.h"
#include "query/result_set.h"
#include "query/sizing_input.h"
#include "query/usage_facts.h"
#include "shared/pool_states.h"
#include "shared/settings.h"

/* What pool_monitor_sizing() takes, so that both say the same */
#define WAIT_TARGET			0.01
#define PERCENTILE			0.99

static double
seconds_ago(TimestampTz now, TimestampTz then)
{
	return then == 0 ? PMON_UNKNOWN : Max(pmon_age(now, then), 0) / (double) USECS_PER_SEC;
}

static void
gather_sight(PmonFacts *facts, TimestampTz now)
{
	PmonSightFacts *sight = &facts->sight;

	sight->all = pmon_may_read_all();
	sight->logs_fatal = PmonLogMinMessages() <= FATAL;
	sight->track_transactions = pmon_track_transactions;
	sight->sample_interval = pmon_sample_interval / 1000.0;
	sight->preloaded = pmon != NULL;
	if (pmon == NULL)
		return;
	LWLockAcquire(PmonLock(), LW_SHARED);
	sight->worker = pmon->worker_pid != 0;
	sight->sample_ago = seconds_ago(now, pmon->last_sample_at);
	LWLockRelease(PmonLock());
}

/*
 * Pools
 */

static void
fill_pool(PmonPoolFacts *facts, const PmonPool *pool, const PmonCounts *counts,
		  int clients, TimestampTz now, TimestampTz since)
{
	PmonPoolState state;

	memcpy(facts->name, pool->name, NAMEDATALEN);
	facts->capacity = pmon_pool_capacity(pool);
	facts->size = pool->size + pool->overflow;
	facts->kept = (int64) pool->size * pool->instances;
	facts->closes_idle = pool->closes_idle > 0 ? pool->closes_idle / 1000.0 : PMON_UNKNOWN;
	facts->keeps_idle = pmon_pool_keeps_idle(pool);
	facts->instances = pool->instances;
	facts->clients = clients;
	facts->connections = counts->connections;
	facts->checked_out = pmon_checked_out(counts);
	facts->held_idle = counts->held_idle;
	facts->silent = INFINITY;
	facts->full_fraction = facts->p99_checked_out = facts->recommended = PMON_UNKNOWN;
	facts->peak_checked_out = facts->ended_ago = PMON_UNKNOWN;
	if (pmon_copy_pool_state(pool->name, &state))
	{
		facts->ended_checked_out = state.ended_checked_out;
		facts->ended_ago = seconds_ago(now, state.ended_noted_at);
		if (state.peak_checked_out.at >= since)
			facts->peak_checked_out = state.peak_checked_out.value;
	}
}

/* Since when its sessions have done nothing */
static void
note_silence(PmonFacts *facts, PmonLive *live)
{
	for (int i = 0; i < live->nsessions; i++)
	{
		const PmonSession *session = &live->sessions[i];
		int			pool = pmon_live_pool(live, session);
		double		age = Max(seconds_ago(live->now, session->state_change), 0);
		int64		free_for;

		if (pool < 0)
			continue;
		facts->pools[pool].silent = Min(facts->pools[pool].silent, age);
		if (session->state != PMON_STATE_IDLE || age < facts->leak_threshold)
			continue;
		facts->pools[pool].idle_aged++;
		free_for = pmon_pool_free_for(&pmon_declared->pools[pool]);
		if (free_for >= 0 && age * USECS_PER_SEC > free_for)
			facts->pools[pool].idle_expired++;
	}
}

static bool
is_sized_pool(uint32 id, TimestampTz at)
{
	return pmon_capacity_by_id(id) > 0;
}

static void
add_load(PmonPoolFacts *pool, const PmonLoad *load)
{
	PmonSizedLoad sized;
	const PmonSizingInput *input = &sized.input;

	if (pmon_size_load(&sized, load, WAIT_TARGET, PERCENTILE))
	{
		pool->recommended = sized.result.recommended;
		pool->saturated = sized.result.saturated;
	}
	pool->transactions = input->transactions;
	pool->rate = input->arrival_rate;
	pool->hold_mean = input->hold_mean;
	pool->full_fraction = isnan(input->full_fraction) ? PMON_UNKNOWN : input->full_fraction;
	pool->p99_checked_out = input->observed_p99;
	pool->peak_checked_out = Max(pool->peak_checked_out, input->observed_peak);
}

static void
gather_loads(PmonFacts *facts, TimestampTz since)
{
	PmonLoad   *loads;
	int			nloads;

	loads = pmon_read_load(since, is_sized_pool, pmon_capacity_by_id, &nloads);
	for (int i = 0; i < nloads; i++)
	{
		const PmonPool *pool = pmon_pool_by_id(loads[i].id);

		add_load(&facts->pools[pool - pmon_declared->pools], &loads[i]);
	}
}

static void
gather_pools(PmonFacts *facts, PmonLive *live, TimestampTz since)
{
	PmonCounts *counts = pmon_count_pools(live);
	int		   *clients = pmon_count_clients(live);

	facts->npools = pmon_declared->npools;
	facts->pools = palloc0(sizeof(PmonPoolFacts) * Max(facts->npools, 1));
	facts->claimed = counts[facts->npools].connections;
	for (int i = 0; i < facts->npools; i++)
	{
		const PmonPool *pool = &pmon_declared->pools[i];

		fill_pool(&facts->pools[i], pool, &counts[i], clients[i], live->now,
				  since);
		facts->claimed += pmon_pool_claim(pool, counts[i].connections);
	}
	note_silence(facts, live);
	if (pmon != NULL && facts->npools > 0 && facts->since > PMON_WITHOUT_HISTORY)
		gather_loads(facts, since);
}

/*
 * The past
 */

static void
gather_history(PmonFacts *facts, TimestampTz since, TimestampTz now)
{
	int64		step = pmon_default_step(since, now);
	PmonPeriods *periods = pmon_read_history(since, DT_NOEND, step, false);

	for (int i = 0; i < periods->nperiods; i++)
	{
		const PmonPeriod *period = periods->periods[i];

		if (period->id != PMON_SERVER_ID)
			continue;
		facts->rejected += period->rejected;
		facts->utilization_max = Max(facts->utilization_max, period->utilization_max);
		facts->rejected_rate = Max(facts->rejected_rate,
								   period->rejected * (double) USECS_PER_SEC / step);
	}
}

/* Add rejections to those of the same name; too many names are left out. */
static void
add_refused(PmonRefusedFacts *refused, int *n, const char *name,
			const PmonRejection *rejection, TimestampTz now)
{
	double		ago = seconds_ago(now, rejection->last_at);
	int			i = 0;

	while (i < *n && strcmp(refused[i].name, name) != 0)
		i++;
	if (i == PMON_MAX_REFUSED_FACTS)
		return;
	if (i == *n)
	{
		snprintf(refused[i].name, NAMEDATALEN, "%s", name);
		refused[i].last_ago = ago;
		(*n)++;
	}
	refused[i].rejected += rejection->rejected;
	refused[i].last_ago = Min(refused[i].last_ago, ago);
}

static void
gather_rejections(PmonFacts *facts, const PmonGroupSnapshot *snapshot, TimestampTz now)
{
	uint64		most = 0;

	for (int i = 0; i < snapshot->nrejections; i++)
	{
		const PmonRejection *rejection = &snapshot->rejections[i];

		if (seconds_ago(now, rejection->last_at) > facts->since)
			continue;
		if (rejection->key.reason == PMON_REJECT_ROLE_LIMIT)
			add_refused(facts->roles, &facts->nroles, rejection->key.usename, rejection, now);
		if (rejection->key.reason == PMON_REJECT_DATABASE_LIMIT)
			add_refused(facts->databases, &facts->ndatabases, rejection->key.datname,
						rejection, now);
		if (rejection->rejected > most && rejection->key.application_name[0] != '\0')
		{
			most = rejection->rejected;
			snprintf(facts->rejected_application, NAMEDATALEN, "%s",
					 rejection->key.application_name);
		}
	}
}

/*
 * Whose sessions come and go
 */

typedef struct Churn
{
	char		application_name[NAMEDATALEN];	/* the key */
	uint64		sessions;
	uint64		transactions;
	uint64		session_time;
	TimestampTz since;
} Churn;

static void
add_group(HTAB *table, const PmonGroup *group)
{
	Churn	   *churn = PmonLocalEntry(table, &group->key.application_name, Churn);

	churn->sessions += group->counters.sessions;
	churn->transactions += group->counters.hold.transactions;
	churn->session_time += group->counters.session_time;
	if (churn->since == 0 || group->counted_since < churn->since)
		churn->since = group->counted_since;
}

static void
keep_churn(PmonFacts *facts, const Churn *churn, TimestampTz now)
{
	PmonChurnFacts *to = &facts->churn[0];

	/* one of those with the fewest sessions gives way */
	if (facts->nchurn < PMON_MAX_CHURN_FACTS)
		to = &facts->churn[facts->nchurn++];
	else
	{
		for (int i = 1; i < PMON_MAX_CHURN_FACTS; i++)
		{
			if (facts->churn[i].sessions < to->sessions)
				to = &facts->churn[i];
		}
		if ((int64) churn->sessions <= to->sessions)
			return;
	}
	memcpy(to->application_name, churn->application_name, NAMEDATALEN);
	to->sessions = churn->sessions;
	to->transactions = churn->transactions;
	to->seconds = seconds_ago(now, churn->since);
	to->session_mean = churn->sessions > 0 ?
		churn->session_time / (double) USECS_PER_SEC / churn->sessions : 0;
}

static void
gather_churn(PmonFacts *facts, const PmonGroupSnapshot *snapshot, TimestampTz now)
{
	HTAB	   *table = pmon_local_hash("churn", NAMEDATALEN, sizeof(Churn));
	HASH_SEQ_STATUS seq;
	Churn	   *churn;

	for (int i = 0; i < snapshot->ngroups; i++)
	{
		const PmonGroup *group = &snapshot->groups[i];
		bool		recent = group->connections > 0 ||
		seconds_ago(now, group->last_used) <= facts->since;

		if (recent && pmon_may_read(group->key.userid) &&
			strcmp(group->key.application_name, PMON_OTHER_APPLICATION) != 0)
			add_group(table, group);
	}
	hash_seq_init(&seq, table);
	while ((churn = hash_seq_search(&seq)) != NULL)
		keep_churn(facts, churn, now);
}

/*
 * Prepared transactions
 */

static int
prepared_blocks(const PmonLockWaits *waits, TransactionId transaction)
{
	TransactionId xid;
	int			blocks;

	for (int i = 0; pmon_prepared_blocks(waits, i, &xid, &blocks); i++)
	{
		if (xid == transaction)
			return blocks;
	}
	return 0;
}

static void
copy_column(char *copy, int size, HeapTuple tuple, TupleDesc desc, int column)
{
	char	   *value = SPI_getvalue(tuple, desc, column);

	snprintf(copy, size, "%s", value != NULL ? value : "");
}

/*
 * The oldest ones, and those that somebody waits for; everybody sees them, but for
 * a process without a database: it has no statements.
 */
static void
gather_prepared(PmonFacts *facts, const PmonLockWaits *waits)
{
	if (max_prepared_xacts == 0 || !OidIsValid(MyDatabaseId))
		return;
	SPI_connect();
	if (SPI_execute("SELECT gid, owner, database, transaction, pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) prepared)"
					" FROM pg_catalog.pg_prepared_xacts ORDER BY prepared", true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the prepared transactions");
	for (uint64 i = 0; i < SPI_processed && facts->nprepared < PMON_MAX_PREPARED_FACTS; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		PmonPreparedFacts *prepared = &facts->prepared[facts->nprepared];
		bool		null;

		prepared->blocks =
			prepared_blocks(waits, DatumGetTransactionId(SPI_getbinval(tuple, desc, 4, &null)));
		prepared->age = DatumGetFloat8(SPI_getbinval(tuple, desc, 5, &null));
		copy_column(prepared->gid, PMON_SUBJECT_BYTES, tuple, desc, 1);
		copy_column(prepared->usename, NAMEDATALEN, tuple, desc, 2);
		copy_column(prepared->datname, NAMEDATALEN, tuple, desc, 3);

		/* the oldest, while there is room for those that somebody waits for */
		if (prepared->blocks > 0 || facts->nprepared < PMON_MAX_PREPARED_FACTS / 2)
			facts->nprepared++;
	}
	SPI_finish();
}

PmonFacts *
pmon_gather_facts(double since)
{
	PmonFacts  *facts = palloc0(sizeof(PmonFacts));
	PmonLive   *live = pmon_read_live(false);
	PmonLockWaits *waits = pmon_read_lock_waits();
	TimestampTz from = live->now - (int64) (since * USECS_PER_SEC);

	facts->leak_threshold = pmon_leak_threshold / 1000.0;
	facts->warning_threshold = pmon_warning_threshold;
	facts->critical_threshold = pmon_critical_threshold;
	facts->slots = pmon_ordinary_slots();
	facts->max_connections = MaxConnections;
	facts->since = since;
	facts->utilization_max = PMON_UNKNOWN;

	gather_sight(facts, live->now);
	pmon_add_live_moment(facts, live, waits);
	gather_pools(facts, live, from);
	gather_prepared(facts, waits);
	if (pmon != NULL)
	{
		PmonGroupSnapshot *snapshot = pmon_take_snapshot(false);

		pmon_add_past_moments(facts, live, from);
		if (since > PMON_WITHOUT_HISTORY)
			gather_history(facts, from, live->now);
		gather_churn(facts, snapshot, live->now);
		if (facts->sight.all)
			gather_rejections(facts, snapshot, live->now);
	}
	return facts;
}
