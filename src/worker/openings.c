/*-------------------------------------------------------------------------
 *
 * openings.c
 *	  When declared pools opened connections for want of a free one, and what
 *	  that proves.
 *
 * See openings.h.
 *
 * How many sessions of a pool have ended since the last sample is its sessions
 * then, those that have come since, less those that are left.  A session that ends
 * makes all that was proven before doubtful: the pool had a free connection to
 * close, or replaces one that was old.
 *
 * Idle sessions of pools that prove something are noted while they are counted, and
 * looked at again when the sample knows what has come and gone; of pools that prove
 * nothing at the moment, not even that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "shared/settings.h"
#include "shared/slots.h"
#include "shared/status_array.h"
#include "worker/hold_account.h"
#include "worker/openings.h"
#include "worker/pool_tracker.h"

/* The most addresses of a pool's sessions that are told apart */
#define MAX_ADDRESSES		64

/* What is known of a pool from one sample to the next */
typedef struct PoolOpenings
{
	PmonOpening opening;
	int			before;			/* sessions in the sample before */
	int			arrived;		/* since then */

	/*
	 * Sessions before the last of them ended.  A pool that has more than that
	 * now has not just replaced any.
	 */
	int			before_end;
	TimestampTz filled_at;		/* by an opening since the last sample */
	PmonPoolUse use;
} PoolOpenings;

/*
 * Pools of which a look at idle sessions tells something.  Where an opening is new,
 * that is known only when the sample has seen all sessions.
 */
static bool wanted[PMON_MAX_POOLS];

typedef struct IdleSlot
{
	int			slot;
	int			pool;
} IdleSlot;

static PoolOpenings *pools;		/* PMON_MAX_POOLS */
static IdleSlot *idle_slots;	/* one for each slot */
static int	nidle;
static uint32 known_version = 0;
static TimestampTz sampled_at;

void
pmon_openings_init(void)
{
	pools = palloc0(sizeof(PoolOpenings) * PMON_MAX_POOLS);
	idle_slots = palloc(sizeof(IdleSlot) * pmon->max_backends);
}

void
pmon_begin_openings(TimestampTz at)
{
	sampled_at = at;
	nidle = 0;
	for (int i = 0; i < pmon_declared->npools; i++)
		memset(&pools[i].use, 0, sizeof(PmonPoolUse));
}

void
pmon_note_arrival(int pool, int slot, bool is_new)
{
	PoolOpenings *known = &pools[pool];
	TimestampTz start = pmon_slots[slot].backend_start;

	known->arrived++;
	if (!is_new || start <= known->opening.opened_at)
		return;
	known->opening.opened_at = start;
	known->opening.client = pmon_slots[slot].client_addr;
}

void
pmon_note_idle(int pool, int slot)
{
	if (!wanted[pool])
		return;
	idle_slots[nidle].pool = pool;
	idle_slots[nidle++].slot = slot;
}

/* Forget what was before the pools were declared as they are. */
static void
start_anew(PoolOpenings *known, int connections)
{
	memset(&known->opening, 0, sizeof(PmonOpening));
	known->opening.closed_at = sampled_at;
	known->before = known->before_end = connections;
	known->arrived = 0;
	known->filled_at = 0;
}

/* Note what has come and gone, and whether the pool was filled thereby. */
static void
follow(PoolOpenings *known, const PmonPool *pool, int connections)
{
	int			ended = known->before + known->arrived - connections;

	if (ended > 0)
	{
		known->opening.closed_at = sampled_at;
		known->before_end = known->before;
	}
	known->filled_at = 0;
	if (ended <= 0 && known->arrived > 0 &&
		pool->instances == 1 && connections > known->before && connections > known->before_end &&
		pmon_opening_holds(pool, &known->opening, connections, sampled_at))
		known->filled_at = known->opening.opened_at;
	known->before = connections;
	known->arrived = 0;
}

/*
 * From how many addresses do the idle sessions of a pool come?  An opening tells
 * of its own instance alone: where they may share an address, nobody knows
 * which sessions are that instance's.
 */
static int
count_addresses(int pool)
{
	static PmonClient addresses[MAX_ADDRESSES];
	int			n = 0;

	for (int i = 0; i < nidle && n < MAX_ADDRESSES; i++)
	{
		const PmonClient *client = &pmon_slots[idle_slots[i].slot].client_addr;
		int			known = 0;

		if (idle_slots[i].pool != pool)
			continue;
		while (known < n && memcmp(&addresses[known], client, sizeof(PmonClient)) != 0)
			known++;
		if (known == n)
			addresses[n++] = *client;
	}
	return n;
}

/* Take an opening back that proves nothing, or of nobody knows which sessions. */
static void
check_opening(PoolOpenings *known, const PmonPool *pool, int connections)
{
	if (!pmon_opening_holds(pool, &known->opening, connections, sampled_at))
		known->opening.opened_at = 0;
}

static void
check_instances(PoolOpenings *known, int i)
{
	const PmonPool *pool = &pmon_declared->pools[i];

	if (pool->instances > 1 && known->opening.opened_at != 0 &&
		count_addresses(i) < pool->instances)
		known->opening.opened_at = 0;
}

static bool
tells_something(int i)
{
	return pmon_declared->pools[i].closes_idle > 0 || pools[i].opening.opened_at != 0;
}

/* Note the idle sessions of pools that were not wanted when they were counted. */
static void
note_missing_idle(const bool *missing)
{
	for (int slot = 0; slot < pmon->max_backends; slot++)
	{
		PmonIdleState session;
		int			pool;

		if ((pg_atomic_read_u64(&pmon_live[slot / 64]) >> (slot % 64) & 1) == 0 ||
			PmonGetMembership(slot).group == PMON_NONE)
			continue;
		pool = pmon_session_pool(slot);
		if (pool >= 0 && missing[pool] && pmon_read_idle_state(slot, &session) &&
			session.state == PMON_STATE_IDLE && nidle < pmon->max_backends)
			pmon_note_idle(pool, slot);
	}
}

/* Decide of which pools the idle sessions are wanted, from now on. */
static void
choose_wanted(void)
{
	bool		missing[PMON_MAX_POOLS] = {0};
	bool		any = false;

	for (int i = 0; i < pmon_declared->npools; i++)
	{
		bool		now = tells_something(i);

		missing[i] = now && !wanted[i];
		any |= missing[i];
		wanted[i] = now;
	}
	if (any)
		note_missing_idle(missing);
}

/* Look since when the sessions are idle, of pools where that tells anything. */
static void
look_at_idle(void)
{
	for (int i = 0; i < nidle; i++)
	{
		int			slot = idle_slots[i].slot;
		PoolOpenings *known = &pools[idle_slots[i].pool];
		const PmonPool *pool = &pmon_declared->pools[idle_slots[i].pool];
		const PmonOpening *opening =
		known->opening.opened_at != 0 ? &known->opening : NULL;
		PmonProof	proof;

		if (opening == NULL && pool->closes_idle <= 0)
			continue;
		proof = pmon_prove(pool, opening, PMON_STATE_IDLE,
						   pmon_read_state_change(slot),
						   &pmon_slots[slot].client_addr, sampled_at);
		known->use.proofs[proof]++;
		if (proof == PMON_PROOF_OPENED ||
			(proof == PMON_PROOF_CLOSES_IDLE && pool->min_idle == 0))
			pmon_count_hold(slot, PMON_STATE_IDLE);
	}
}

void
pmon_finish_openings(const int *connections, const int *idle, int *held_idle)
{
	bool		anew = known_version != pmon_declared_version;

	known_version = pmon_declared_version;
	for (int i = 0; i < pmon_declared->npools; i++)
	{
		if (anew)
			start_anew(&pools[i], connections[i]);
		else
			follow(&pools[i], &pmon_declared->pools[i], connections[i]);
		check_opening(&pools[i], &pmon_declared->pools[i], connections[i]);
		pools[i].use.connections = connections[i];
		pools[i].use.idle = idle[i];
	}
	choose_wanted();
	for (int i = 0; i < pmon_declared->npools; i++)
		check_instances(&pools[i], i);
	look_at_idle();
	for (int i = 0; i < pmon_declared->npools; i++)
		held_idle[i] = pmon_pool_held_idle(&pmon_declared->pools[i], &pools[i].use);
}

const PmonOpening *
pmon_pool_opening(int pool)
{
	return &pools[pool].opening;
}

TimestampTz
pmon_filled_at(int pool)
{
	return pools[pool].filled_at;
}
