/* links: pure/checked_out.c pure/pools.c pure/client_network.c */
/*-------------------------------------------------------------------------
 *
 * test_checked_out.c
 *	  Unit test of pure/checked_out: what proves that a connection is out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pure/checked_out.h"
#include "tap.h"

#define SECOND		INT64CONST(1000000)

static PmonPool queue_pool = {.size = 5,.overflow = 10,.instances = 1,.closes_idle = -1};
static PmonPool closing = {.size = 8,.instances = 1,.closes_idle = 10000};
static PmonPool keeping = {.size = 8,.instances = 2,.closes_idle = 10000,.min_idle = 1};
static PmonPool fixed = {.size = 8,.instances = 1,.closes_idle = -1};
static PmonPool policy = {.size = -1,.instances = 1,.closes_idle = -1};
static PmonClient here = {.kind = PMON_CLIENT_LOCAL};
static PmonClient there = {.kind = PMON_CLIENT_INET4,.address = {10, 0, 0, 1}};
static const TimestampTz t0 = 1000 * SECOND;

/* What a session that has been idle since then proves at another time */
static PmonProof
idle_since(const PmonPool *pool, TimestampTz since, TimestampTz now)
{
	PmonOpening opening = {.opened_at = t0,.closed_at = t0 - 10 * SECOND,.client = here};

	return pmon_prove(pool, pmon_opening_holds(pool, &opening, 15, now) ? &opening : NULL,
					  PMON_STATE_IDLE, since, &here, now);
}

static void
test_openings(void)
{
	PmonOpening opening = {.opened_at = t0,.closed_at = t0 - 10 * SECOND,.client = here};
	TimestampTz now = t0 + SECOND;

	ok(idle_since(&queue_pool, t0 - SECOND, now) == PMON_PROOF_OPENED,
	   "what was idle when the pool opened another one was out");
	ok(idle_since(&queue_pool, t0, now) == PMON_PROOF_NONE &&
	   idle_since(&queue_pool, t0 + 1, now) == PMON_PROOF_NONE, "not what became idle later");
	ok(idle_since(&queue_pool, t0 - 10 * SECOND, now) == PMON_PROOF_NONE &&
	   idle_since(&queue_pool, t0 - 10 * SECOND + 1, now) == PMON_PROOF_OPENED,
	   "nor what was idle when a session ended");
	ok(idle_since(&queue_pool, t0 - SECOND, t0 + 60 * SECOND) == PMON_PROOF_OPENED &&
	   idle_since(&queue_pool, t0 - SECOND, t0 + 60 * SECOND + 1) == PMON_PROOF_NONE,
	   "it is a proof for a minute");
	ok(pmon_prove(&queue_pool, &opening, PMON_STATE_IDLE, t0 - SECOND, &there, now) == PMON_PROOF_NONE,
	   "of sessions from that address");
	ok(pmon_prove(&queue_pool, &opening, PMON_STATE_STARTING, t0 - SECOND, &here, now) == PMON_PROOF_NONE &&
	   pmon_prove(&queue_pool, &opening, PMON_STATE_DISABLED, t0 - SECOND, &here, now) == PMON_PROOF_NONE &&
	   pmon_prove(&queue_pool, &opening, PMON_STATE_IDLE, 0, &here, now) == PMON_PROOF_NONE,
	   "that are idle, as far as is known");
	ok(pmon_prove(&queue_pool, &opening, PMON_STATE_IDLE_IN_TRANSACTION, t0 - SECOND, &here, now) == PMON_PROOF_STATE &&
	   pmon_prove(&fixed, &opening, PMON_STATE_ACTIVE, 0, &there, now) == PMON_PROOF_STATE,
	   "a transaction is its own proof");
	ok(idle_since(&closing, t0 - SECOND, now) == PMON_PROOF_NONE, "of one that keeps what is given back nobody would know when it was");
	queue_pool.min_idle = 1;
	ok(idle_since(&queue_pool, t0 - SECOND, now) == PMON_PROOF_NONE, "one that opens some in reserve does not wait for demand");
	queue_pool.min_idle = 0;
	ok(idle_since(&fixed, t0 - SECOND, now) == PMON_PROOF_NONE, "of one that says nothing, nothing is known");
	ok(idle_since(&policy, t0 - SECOND, now) == PMON_PROOF_NONE, "nor of a mere policy");

	ok(pmon_opening_holds(&queue_pool, &opening, 15, now) && !pmon_opening_holds(&queue_pool, &opening, 14, now) &&
	   !pmon_opening_holds(&queue_pool, &opening, 16, now), "only the last one that the pool can have proves that");
	opening.closed_at = t0;
	ok(!pmon_opening_holds(&queue_pool, &opening, 15, now), "an opening after which a session ended proves nothing");
	opening = (PmonOpening)
	{
		.opened_at = 0
	};
	ok(!pmon_opening_holds(&queue_pool, &opening, 15, now), "and none does not either");
}

static void
test_closing(void)
{
	/* a fourth more, and ten seconds */
	ok(idle_since(&closing, t0 + SECOND, t0 + 23 * SECOND + SECOND / 2) == PMON_PROOF_NONE &&
	   idle_since(&closing, t0 + SECOND, t0 + 23 * SECOND + SECOND / 2 + 1) == PMON_PROOF_CLOSES_IDLE,
	   "what is idle for clearly longer than a free one is not free");
	ok(idle_since(&keeping, t0 + SECOND, t0 + 30 * SECOND) == PMON_PROOF_CLOSES_IDLE, "but for those that are kept");
}

/* How many of so many idle ones are out */
static int
held(const PmonPool *pool, int connections, int idle, int opened, int closes_idle)
{
	PmonPoolUse use = {.connections = connections,.idle = idle};

	use.proofs[PMON_PROOF_OPENED] = opened;
	use.proofs[PMON_PROOF_CLOSES_IDLE] = closes_idle;
	return pmon_pool_held_idle(pool, &use);
}

int
main(void)
{
	test_openings();
	test_closing();

	ok(held(&queue_pool, 5, 5, 0, 0) == 0 && held(&queue_pool, 6, 6, 0, 0) == 1 &&
	   held(&queue_pool, 15, 15, 0, 0) == 10, "what is beyond size is out");
	ok(held(&queue_pool, 15, 10, 0, 0) == 5 && held(&queue_pool, 15, 4, 0, 0) == 0,
	   "of which some are in transactions");
	ok(held(&queue_pool, 16, 16, 0, 0) == 0, "a pool beyond its capacity is not what was declared");
	ok(held(&queue_pool, 15, 15, 14, 0) == 14 && held(&queue_pool, 15, 15, 3, 0) == 10,
	   "the larger of both counts");
	ok(held(&keeping, 8, 8, 0, 5) == 3 && held(&keeping, 8, 8, 0, 2) == 0, "each instance keeps some");
	ok(held(&closing, 8, 3, 2, 2) == 3, "never more than are idle");
	ok(held(&policy, 8, 8, 0, 0) == 0, "a policy has no overflow");

	queue_pool.overflow = -1;
	ok(held(&queue_pool, 100, 100, 0, 0) == 95, "an overflow without limit proves as much");
	queue_pool.overflow = 10;

	ok(pmon_proof_name(PMON_PROOF_NONE) == NULL && strcmp(pmon_proof_name(PMON_PROOF_STATE), "state") == 0 &&
	   strcmp(pmon_proof_name(PMON_PROOF_OPENED), "opened") == 0 &&
	   strcmp(pmon_proof_name(PMON_PROOF_CLOSES_IDLE), "closes_idle") == 0, "the words for them");
	return tap_done();
}
