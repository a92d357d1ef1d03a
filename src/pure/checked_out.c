/*-------------------------------------------------------------------------
 *
 * checked_out.c
 *	  How many connections of a declared pool its client has checked out.
 *
 * See checked_out.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pure/checked_out.h"

/*
 * How many sessions there are beyond size; 0 also if there are more than the
 * pool can have, so that it is not what was declared.
 */
static int64
beyond_size(const PmonPool *pool, int connections)
{
	int64		capacity = pmon_pool_capacity(pool);

	if (pool->overflow == 0 || (capacity >= 0 && connections > capacity))
		return 0;
	return pmon_pool_overflow(pool, connections);
}

bool
pmon_pool_opens_on_demand(const PmonPool *pool)
{
	return pool->size >= 0 && pool->min_idle == 0 && pool->overflow != 0;
}

bool
pmon_opening_holds(const PmonPool *pool, const PmonOpening *opening,
				   int connections, TimestampTz now)
{
	return connections == pmon_pool_capacity(pool) &&
		opening->opened_at > opening->closed_at &&
		now - opening->opened_at <= PMON_OPENING_LASTS &&
		pmon_pool_opens_on_demand(pool);
}

/* Was it idle already when the pool had nothing to give? */
static bool
was_out_at(const PmonOpening *opening, TimestampTz idle_since,
		   const PmonClient *client)
{
	return idle_since > opening->closed_at && idle_since < opening->opened_at &&
		memcmp(client, &opening->client, sizeof(PmonClient)) == 0;
}

PmonProof
pmon_prove(const PmonPool *pool, const PmonOpening *opening, PmonState state,
		   TimestampTz idle_since, const PmonClient *client, TimestampTz now)
{
	int64		free_for = pmon_pool_free_for(pool);

	if (PmonIsCheckedOut(state))
		return PMON_PROOF_STATE;
	if (state != PMON_STATE_IDLE || idle_since == 0)
		return PMON_PROOF_NONE;
	if (opening != NULL && was_out_at(opening, idle_since, client))
		return PMON_PROOF_OPENED;
	if (free_for >= 0 && now - idle_since > free_for)
		return PMON_PROOF_CLOSES_IDLE;
	return PMON_PROOF_NONE;
}

int
pmon_pool_held_idle(const PmonPool *pool, const PmonPoolUse *use)
{
	int64		named = use->proofs[PMON_PROOF_OPENED] +
	Max(use->proofs[PMON_PROOF_CLOSES_IDLE] - pmon_pool_keeps_idle(pool), 0);

	/* those that are not idle may all be of the overflow */
	int64		beyond = beyond_size(pool, use->connections) -
	(use->connections - use->idle);

	return (int) Min(Max(named, beyond), use->idle);
}

const char *
pmon_proof_name(PmonProof proof)
{
	static const char *const names[PMON_PROOFS] = {
		NULL, "state", "opened", "closes_idle"
	};

	return names[proof];
}
