/*-------------------------------------------------------------------------
 *
 * diagnosis_pools.c
 *	  Rules about declared pools.
 *
 * What a pool needs is told by Erlang's formula (sizing.h) over the busiest
 * minute of the time that was asked for.  A pool that is full of sessions that
 * do nothing needs no size: that is another rule's, and explained by it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pure/diagnosis_rules.h"

/*
 * A pool that is full for less of its fullest minute than that is not too small:
 * where arrivals are random, one at 70% is full now and then.
 */
#define OFTEN_FULL			0.3

/* What a size is recommended from has to be more than a few requests. */
#define ENOUGH_TRANSACTIONS	1000

/* Connections by which a pool must be too large to be worth a word */
#define WORTH_A_WORD		5

static PmonFinding *
add_pool(PmonFindings *findings, PmonFindingCode code, PmonSeverity severity,
		 const PmonFacts *facts, const PmonPoolFacts *pool)
{
	PmonFinding *finding = pmon_add_finding(findings, code, severity,
											PMON_SUBJECT_POOL, pool->name);

	finding->pool = pool - facts->pools;
	finding->connections = pool->connections;
	return finding;
}

static bool
is_full(const PmonPoolFacts *pool)
{
	return pool->capacity > 0 && pool->checked_out >= pool->capacity;
}

/* What the client has out, and the server sees idle, at the least */
static int64
held_idle(const PmonFacts *facts, const PmonPoolFacts *pool)
{
	int64		overflow = pool->connections - pool->kept;
	int64		unused = pool->idle_aged - pool->kept;

	/* one that closes them later does not close them when they come back */
	return pool->capacity > pool->kept && pool->closes_idle < 0 ?
		Min(overflow, unused) : 0;
}

static void
not_returned(const PmonFacts *facts, PmonFindings *findings,
			 const PmonPoolFacts *pool, int64 held)
{
	PmonFinding *finding = add_pool(findings, PMON_FINDING_LEAK_NOT_RETURNED,
									is_full(pool) ? PMON_CRITICAL : PMON_WARNING,
									facts, pool);
	int			opened = Min(pool->held_idle, pool->idle_aged);
	char		age[PMON_AGE_BYTES];

	finding->connections = Max(held, opened);
	PmonEvidence(finding, "%d of the %d connections of pool %s have run nothing for more than %s, and it keeps " INT64_FORMAT " when they are given back. A pool that closes those beyond that when they are given back, as SQLAlchemy's does, has at least " INT64_FORMAT " of them checked out still. Where yours keeps them, this is a pool with too little to do.",
				 pool->idle_aged, pool->connections, pool->name,
				 pmon_age_text(facts->leak_threshold, age), pool->kept, held);
	if (opened > held)
		PmonEvidence(finding, " %d were checked out when it opened another, and have run nothing since.",
					 opened);
	PmonRemedy(finding, "Find the code that takes a connection and does not close it in every path (a session without \"with\", a missing finally). Until then a restart of the application is what gives them back: ending sessions does not, since its pool counts them as checked out.");
}

/* The same, where the pool says after how long it closes what is free */
static void
not_closed(const PmonFacts *facts, PmonFindings *findings,
		   const PmonPoolFacts *pool, int64 held)
{
	PmonFinding *finding = add_pool(findings, PMON_FINDING_LEAK_NOT_RETURNED,
									PMON_WARNING, facts, pool);
	char		age[PMON_AGE_BYTES];

	finding->connections = held;
	PmonEvidence(finding, "%d of the %d connections of pool %s have been idle for longer than the %s after which it closes what is free, and it keeps " INT64_FORMAT " of these: at least " INT64_FORMAT " of them are checked out.",
				 pool->idle_expired, pool->connections, pool->name,
				 pmon_age_text(pool->closes_idle, age), pool->keeps_idle, held);
	PmonRemedy(finding, "Find the code that takes a connection and does not give it back in every path. A restart of the application gives them back; ending sessions does not, since its pool counts them as checked out.");
}

static void
silent_after_full(const PmonFacts *facts, PmonFindings *findings,
				  const PmonPoolFacts *pool)
{
	PmonFinding *finding = add_pool(findings, PMON_FINDING_LEAK_NOT_RETURNED,
									PMON_NOTICE, facts, pool);
	char		age[PMON_AGE_BYTES];

	PmonEvidence(finding, "All " INT64_FORMAT " connections of pool %s were in use at once within the last %s",
				 pool->capacity, pool->name, pmon_age_text(facts->since, age));
	PmonEvidence(finding, ", and for %s none has run anything. Either nobody asks for anything, or the client has them all checked out and waits: the server can not tell these apart.",
				 pmon_age_text(pool->silent, age));
	PmonRemedy(finding, "Ask the application: if it reports that its pool is exhausted, its connections are not given back.");
}

static void
ended_only(const PmonFacts *facts, PmonFindings *findings,
		   const PmonPoolFacts *pool)
{
	PmonFinding *finding = add_pool(findings, PMON_FINDING_LEAK_NOT_RETURNED,
									PMON_NOTICE, facts, pool);
	char		age[PMON_AGE_BYTES];

	finding->connections = Min(pool->ended_checked_out, pool->capacity);
	PmonEvidence(finding, INT64_FORMAT " session%s of pool %s %s ended while checked out, the last one %s ago. That freed the server; the client's own pool counts each as checked out until its code gives it back, and is as full as before.",
				 pool->ended_checked_out, PmonPlural(pool->ended_checked_out), pool->name,
				 pool->ended_checked_out == 1 ? "was" : "were", pmon_age_text(pool->ended_ago, age));
	PmonRemedy(finding, "Restart the application if it still reports an exhausted pool, and mend what leaks.");
}

void
pmon_rule_leak_not_returned(PMON_RULE_ARGS)
{
	for (int i = 0; i < facts->npools; i++)
	{
		const PmonPoolFacts *pool = &facts->pools[i];
		int64		held = held_idle(facts, pool);

		/* where it keeps none, that is told of the sessions themselves */
		if (pool->closes_idle > 0 && pool->idle_expired > pool->keeps_idle)
		{
			if (pool->keeps_idle > 0)
				not_closed(facts, findings, pool, pool->idle_expired - pool->keeps_idle);
			continue;
		}
		if (pool->capacity <= 0)
			continue;
		if (held > 0)
			not_returned(facts, findings, pool, held);
		else if (pool->peak_checked_out >= pool->capacity && pool->connections > 0 &&
				 pool->checked_out == 0 && pool->silent >= facts->leak_threshold)
			silent_after_full(facts, findings, pool);
		else if (pool->ended_checked_out > 0 && pool->ended_ago >= 0 &&
				 pool->ended_ago <= facts->since)
			ended_only(facts, findings, pool);
	}
}

static void
add_load(PmonFinding *finding, const PmonPoolFacts *pool)
{
	char		age[PMON_AGE_BYTES];
	char		rate[PMON_AGE_BYTES];

	if (pool->transactions > 0)
		PmonEvidence(finding, " In its busiest minute it had %s transactions a second, each of which held a connection for %s on average.",
					 pmon_rate_text(pool->rate, rate), pmon_age_text(pool->hold_mean, age));
}

static void
add_size_remedy(PmonFinding *finding, const PmonFacts *facts,
				const PmonPoolFacts *pool)
{
	int64		more = ((int64) pool->recommended - pool->size) * pool->instances;

	if (is_full(pool) && pool->held_idle > 0)
		PmonRemedy(finding, "Look first for code that keeps a connection while it calls another service or computes, and give it back before that. ");
	if (pool->saturated)
		PmonRemedy(finding, "What waited outside while it was full was not measured, so no figure is right yet: give it half as many connections more, %d with its overflow instead of %d, and ask again; or make its transactions shorter.",
				   pool->size + (pool->size + 1) / 2, pool->size);
	else if (pool->recommended > pool->size)
		PmonRemedy(finding, "Give it %d connections with its overflow, instead of %d, in each instance; or make its transactions shorter.",
				   pool->recommended, pool->size);
	else if (pool->recommended >= 0)
		PmonRemedy(finding, "%d connections would be enough for arrivals at random, and it has %d: they come in bursts, or waited for something else. Look at what runs when it is full before you enlarge it.",
				   pool->recommended, pool->size);
	else
		PmonRemedy(finding, "There is no history yet to take a size from: SELECT * FROM pool_monitor_sizing() in some minutes.");
	if (more > 0 && facts->claimed + more > facts->slots)
		PmonRemedy(finding, " The server has %d slots for ordinary roles, and the pools would claim " INT64_FORMAT ".",
				   facts->slots, facts->claimed + more);
}

void
pmon_rule_pool_too_small(PMON_RULE_ARGS)
{
	for (int i = 0; i < facts->npools; i++)
	{
		const PmonPoolFacts *pool = &facts->pools[i];
		bool		full = is_full(pool);
		bool		often = pool->capacity > 0 && pool->full_fraction >= OFTEN_FULL;
		bool		small = pool->saturated || pool->recommended > pool->size;
		PmonFinding *finding;

		if (!full && !often)
			continue;
		finding = add_pool(findings, PMON_FINDING_POOL_TOO_SMALL,
						   !small || !often ? PMON_NOTICE :
						   full ? PMON_CRITICAL : PMON_WARNING,
						   facts, pool);
		PmonEvidence(finding, "%d of the " INT64_FORMAT " connections that pool %s can have are checked out",
					 pool->checked_out, pool->capacity, pool->name);
		if (pool->full_fraction >= 0)
			PmonEvidence(finding, ", and all were in %d%% of the samples of its fullest minute",
						 (int) (pool->full_fraction * 100));
		PmonEvidence(finding, ".");
		if (full && pool->held_idle > 0)
			PmonEvidence(finding, " At least %d of them run nothing, outside of a transaction: the application has them and does something else, or has forgotten them.",
						 pool->held_idle);
		add_load(finding, pool);
		add_size_remedy(finding, facts, pool);
	}
}

/* Are its figures enough to say that it is too large? */
static bool
is_measured(const PmonPoolFacts *pool)
{
	return pool->capacity > 0 && pool->transactions >= ENOUGH_TRANSACTIONS &&
		!pool->saturated && pool->recommended > 0 && pool->p99_checked_out >= 0 &&
		pool->peak_checked_out * 2 <= pool->capacity &&
		pool->checked_out * 2 <= pool->capacity;
}

/* Does it keep more than half of what it may open? */
static bool
is_mostly_open(const PmonPoolFacts *pool)
{
	return (int64) pool->connections * 2 > pool->capacity;
}

void
pmon_rule_pool_oversized(PMON_RULE_ARGS)
{
	for (int i = 0; i < facts->npools; i++)
	{
		const PmonPoolFacts *pool = &facts->pools[i];
		PmonFinding *finding;

		if (!is_measured(pool) || is_mostly_open(pool) ||
			pool->recommended * 2 > pool->size ||
			pool->size - pool->recommended < WORTH_A_WORD)
			continue;
		finding = add_pool(findings, PMON_FINDING_POOL_OVERSIZED, PMON_NOTICE, facts, pool);
		PmonEvidence(finding, "Pool %s can have " INT64_FORMAT " connections; at most %d were checked out at once, and %d in 99%% of the samples.",
					 pool->name, pool->capacity, pool->peak_checked_out, pool->p99_checked_out);
		add_load(finding, pool);
		PmonRemedy(finding, "%d connections with its overflow would do, instead of %d, in each instance; the server must have room for what is declared.",
				   pool->recommended, pool->size);
	}
}

void
pmon_rule_pool_mostly_idle(PMON_RULE_ARGS)
{
	for (int i = 0; i < facts->npools; i++)
	{
		const PmonPoolFacts *pool = &facts->pools[i];
		int64		needed = (int64) pool->recommended * pool->instances;
		PmonFinding *finding;

		if (!is_measured(pool) || !is_mostly_open(pool) ||
			pool->connections - needed < WORTH_A_WORD ||
			pool->p99_checked_out * 4 > pool->connections)
			continue;
		finding = add_pool(findings, PMON_FINDING_POOL_MOSTLY_IDLE, PMON_NOTICE, facts, pool);
		PmonEvidence(finding, "Pool %s keeps %d connections open, of which no more than %d were checked out in 99%% of the samples.",
					 pool->name, pool->connections, pool->p99_checked_out);
		add_load(finding, pool);
		PmonRemedy(finding, "Let each instance keep %d open, not more: each idle session costs memory and a slot.",
				   pool->recommended);
	}
}

void
pmon_rule_more_instances(PMON_RULE_ARGS)
{
	for (int i = 0; i < facts->npools; i++)
	{
		const PmonPoolFacts *pool = &facts->pools[i];
		PmonFinding *finding;

		if (pool->capacity <= 0 || pool->connections <= pool->capacity)
			continue;
		finding = add_pool(findings, PMON_FINDING_MORE_INSTANCES,
						   pmon_moment_is_above(facts, moment, facts->warning_threshold) ?
						   PMON_WARNING : PMON_NOTICE, facts, pool);
		PmonEvidence(finding, "Pool %s has %d connections and can have " INT64_FORMAT " as it is declared, with %d instance%s; its sessions come from %d address%s.",
					 pool->name, pool->connections, pool->capacity, pool->instances,
					 PmonPlural(pool->instances), pool->clients, pool->clients == 1 ? "" : "es");
		PmonRemedy(finding, "During a deployment the old instances still hold theirs: leave the server room for both. Else set instances in pool_monitor.pools to what runs, workers of each process counted, or make the pools smaller.");
	}
}

void
pmon_rule_pools_oversubscribed(PMON_RULE_ARGS)
{
	bool		near = facts->rejected_by_server > 0 ||
	facts->utilization_max * 100 >= facts->warning_threshold ||
	pmon_moment_is_above(facts, moment, facts->warning_threshold);
	PmonFinding *finding;

	if (facts->npools == 0 || facts->claimed <= facts->slots)
		return;
	finding = pmon_add_finding(findings, PMON_FINDING_POOLS_OVERSUBSCRIBED,
							   near ? PMON_WARNING : PMON_NOTICE, PMON_SUBJECT_SERVER, "");
	finding->connections = moment->connections;
	PmonEvidence(finding, "The declared pools, with the connections outside of them, may ask for " INT64_FORMAT " connections, and the server has %d for ordinary roles, of which %d are in use.",
				 facts->claimed, facts->slots, moment->connections);
	PmonRemedy(finding, "SELECT * FROM pool_monitor_capacity shows the sum. Make pools smaller (pool_monitor_sizing() says which), share connections with PgBouncer in transaction mode, or raise max_connections, before all of them are busy at once.");
}
