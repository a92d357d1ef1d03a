/*-------------------------------------------------------------------------
 *
 * live_sessions.c
 *	  One reading of the live sessions, and what follows from it.
 *
 * See live_sessions.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "utils/timestamp.h"

#include "query/live_sessions.h"
#include "query/local_hash.h"
#include "query/result_set.h"
#include "shared/client_waits.h"
#include "shared/current_policy.h"
#include "shared/pool_states.h"
#include "shared/session_pool.h"
#include "shared/settings.h"
#include "shared/shared_state.h"
#include "shared/slots.h"

/*
 * Reading
 */

PmonLive *
pmon_read_live(bool walsenders)
{
	PmonLive   *live = palloc0(sizeof(PmonLive));
	int			slots = pmon_status_slots();

	/* memory that nothing is written to is no memory yet */
	live->sessions = palloc(sizeof(PmonSession) * slots);
	live->context = CurrentMemoryContext;
	live->now = GetCurrentTimestamp();
	for (int i = 0; i < slots; i++)
	{
		PmonSession *session = &live->sessions[live->nsessions];

		if (pmon_read_session(i, session) &&
			(walsenders ? PmonIsConnection(session) : PmonIsSession(session)))
			live->nsessions++;
	}
	return live;
}

/* A name, or NULL for what has been dropped */
typedef struct CachedName
{
	Oid			oid;
	char	   *name;
} CachedName;

static const char *
cached_name(PmonLive *live, HTAB **cache, Oid oid)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(live->context);
	CachedName *entry;
	bool		found;

	if (*cache == NULL)
		*cache = pmon_local_hash("names", sizeof(Oid), sizeof(CachedName));
	entry = hash_search(*cache, &oid, HASH_ENTER, &found);
	if (!found)
	{
		entry->name = NULL;
		entry->name = cache == &live->databases ? get_database_name(oid) :
			GetUserNameFromId(oid, true);
	}
	MemoryContextSwitchTo(oldcontext);
	return entry->name;
}

const char *
pmon_live_database(PmonLive *live, Oid databaseid)
{
	return OidIsValid(databaseid) ?
		cached_name(live, &live->databases, databaseid) : NULL;
}

const char *
pmon_live_role(PmonLive *live, Oid userid)
{
	return OidIsValid(userid) ? cached_name(live, &live->roles, userid) : NULL;
}

/*
 * Counting
 */

const char *const pmon_server_status_names[PMON_SERVER_STATUSES] = {
	"healthy", "warning", "critical", "exhausted"
};

/* Keep the older of two times, either of which may be missing. */
static void
keep_older(TimestampTz *oldest, TimestampTz candidate)
{
	if (candidate != 0 && (*oldest == 0 || candidate < *oldest))
		*oldest = candidate;
}

void
pmon_count_session(PmonCounts *counts, const PmonSession *session)
{
	counts->connections++;
	counts->states[session->state]++;
	if (session->state == PMON_STATE_IDLE)
		keep_older(&counts->oldest_idle, session->state_change);
	keep_older(&counts->oldest_transaction, session->xact_start);
	keep_older(&counts->oldest_session, session->backend_start);
	keep_older(&counts->oldest_state, session->state_change);
}

void
pmon_count_live(const PmonLive *live, PmonCounts *counts)
{
	memset(counts, 0, sizeof(*counts));
	for (int i = 0; i < live->nsessions; i++)
	{
		if (PmonIsSession(&live->sessions[i]))
			pmon_count_session(counts, &live->sessions[i]);
	}
}

int
pmon_checked_out(const PmonCounts *counts)
{
	int			checked_out = counts->held_idle;

	for (int i = 0; i < PMON_STATES; i++)
	{
		if (PmonIsCheckedOut(i))
			checked_out += counts->states[i];
	}
	return checked_out;
}

int
pmon_checked_in(const PmonCounts *counts)
{
	return counts->states[PMON_STATE_IDLE] - counts->held_idle;
}

int
pmon_available_slots(int connections, bool exhausted)
{
	/* a login that is not authenticated yet has its slot, but no entry */
	return exhausted ? 0 : Max(pmon_ordinary_slots() - connections, 1);
}

PmonServerStatus
pmon_server_status(double utilization, bool exhausted)
{
	if (exhausted)
		return PMON_SERVER_EXHAUSTED;
	if (utilization * 100 >= pmon_critical_threshold)
		return PMON_SERVER_CRITICAL;
	if (utilization * 100 >= pmon_warning_threshold)
		return PMON_SERVER_WARNING;
	return PMON_SERVER_HEALTHY;
}

/*
 * Declared pools
 */

static int
match_pool(PmonLive *live, const PmonSession *session)
{
	int			pool;

	if (pmon_match_session(pmon_declared, session, &pool))
		return pool;
	return pmon_match_names(pmon_declared, session,
							pmon_live_database(live, session->databaseid),
							pmon_live_role(live, session->userid));
}

/* What is kept for a session is its pool + 2, where that is known. */
int
pmon_live_pool(PmonLive *live, const PmonSession *session)
{
	if (pmon_declared->npools == 0)
		return -1;
	if (live->pools == NULL)
		live->pools = MemoryContextAllocZero(live->context,
											 sizeof(int16) * pmon_status_slots());
	if (live->pools[session->slot] == 0)
		live->pools[session->slot] = match_pool(live, session) + 2;
	return live->pools[session->slot] - 2;
}

/*
 * What the worker knows of the pools' openings.  What has ended since its last
 * sample makes the opening of its pool doubtful, so the sessions are counted once
 * more where there is one.
 */
static const PmonOpening *
live_openings(PmonLive *live)
{
	int			npools = pmon_declared->npools;
	PmonPoolState *states;
	int		   *now;
	bool		any = false;

	if (live->openings != NULL)
		return live->openings;

	live->openings = MemoryContextAllocZero(live->context, sizeof(PmonOpening) * npools);
	states = palloc0(sizeof(PmonPoolState) * npools);
	now = palloc0(sizeof(int) * npools);
	for (int i = 0; i < npools; i++)
	{
		const PmonPool *pool = &pmon_declared->pools[i];

		if (pmon_pool_opens_on_demand(pool) &&
			pmon_copy_pool_state(pool->name, &states[i]) &&
			pmon_opening_holds(pool, &states[i].opening, states[i].connections,
							   live->now))
			any = true;
		else
			states[i].opening.opened_at = 0;
	}
	for (int i = 0; any && i < live->nsessions; i++)
	{
		int			pool = PmonIsSession(&live->sessions[i]) ?
		pmon_live_pool(live, &live->sessions[i]) : -1;

		if (pool >= 0)
			now[pool]++;
	}
	for (int i = 0; i < npools; i++)
	{
		if (now[i] >= states[i].connections)
			live->openings[i] = states[i].opening;
	}
	pfree(states);
	pfree(now);
	return live->openings;
}

static PmonProof
prove_in_pool(PmonLive *live, const PmonSession *session, int pool)
{
	const PmonOpening *opening = &live_openings(live)[pool];

	return pmon_prove(&pmon_declared->pools[pool],
					  opening->opened_at != 0 ? opening : NULL, session->state, session->state_change,
					  &session->client_addr, live->now);
}

PmonProof
pmon_live_proof(PmonLive *live, const PmonSession *session)
{
	int			pool = -1;
	PmonProof	proof;

	if (session->state == PMON_STATE_IDLE)
		pool = pmon_live_pool(live, session);
	if (pool < 0)
		return PmonIsCheckedOut(session->state) ? PMON_PROOF_STATE : PMON_PROOF_NONE;

	proof = prove_in_pool(live, session, pool);
	if (proof == PMON_PROOF_CLOSES_IDLE && pmon_declared->pools[pool].min_idle > 0)
		return PMON_PROOF_NONE;
	return proof;
}

/* Fill in how many of the idle sessions of each pool are checked out. */
static void
count_held_idle(PmonLive *live, PmonCounts *counts)
{
	PmonPoolUse *uses = palloc0(sizeof(PmonPoolUse) * Max(pmon_declared->npools, 1));

	for (int i = 0; i < live->nsessions; i++)
	{
		const PmonSession *session = &live->sessions[i];
		int			pool;

		if (!PmonIsSession(session) || session->state != PMON_STATE_IDLE)
			continue;
		pool = pmon_live_pool(live, session);
		if (pool >= 0)
			uses[pool].proofs[prove_in_pool(live, session, pool)]++;
	}
	for (int i = 0; i < pmon_declared->npools; i++)
	{
		uses[i].connections = counts[i].connections;
		uses[i].idle = counts[i].states[PMON_STATE_IDLE];
		counts[i].held_idle = pmon_pool_held_idle(&pmon_declared->pools[i], &uses[i]);
	}
	pfree(uses);
}

PmonCounts *
pmon_count_pools(PmonLive *live)
{
	int			rest = pmon_declared->npools;
	PmonCounts *counts = palloc0(sizeof(PmonCounts) * (rest + 1));

	for (int i = 0; i < live->nsessions; i++)
	{
		const PmonSession *session = &live->sessions[i];
		int			pool;

		if (!PmonIsSession(session))
			continue;
		pool = pmon_live_pool(live, session);
		if (pool >= 0)
			pmon_count_session(&counts[pool], session);
		if (pool < 0 || pmon_declared->pools[pool].size < 0)
			pmon_count_session(&counts[rest], session);
	}
	count_held_idle(live, counts);
	return counts;
}

/* A session's pool and where it comes from */
typedef struct PoolClient
{
	int			pool;
	PmonClient	client;
} PoolClient;

static int
compare_clients(const void *a, const void *b)
{
	const PoolClient *left = a;
	const PoolClient *right = b;

	if (left->pool != right->pool)
		return left->pool < right->pool ? -1 : 1;
	if (left->client.kind != right->client.kind)
		return left->client.kind < right->client.kind ? -1 : 1;
	return memcmp(left->client.address, right->client.address,
				  sizeof(left->client.address));
}

int *
pmon_count_clients(PmonLive *live)
{
	int		   *counts = palloc0(sizeof(int) * Max(pmon_declared->npools, 1));
	PoolClient *clients = palloc(sizeof(PoolClient) * Max(live->nsessions, 1));
	int			n = 0;

	for (int i = 0; i < live->nsessions; i++)
	{
		const PmonSession *session = &live->sessions[i];

		if (!PmonIsSession(session))
			continue;
		clients[n].pool = pmon_live_pool(live, session);
		clients[n].client = session->client_addr;
		n += clients[n].pool >= 0;
	}
	qsort(clients, n, sizeof(PoolClient), compare_clients);
	for (int i = 0; i < n; i++)
	{
		if (i == 0 || compare_clients(&clients[i - 1], &clients[i]) != 0)
			counts[clients[i].pool]++;
	}
	pfree(clients);
	return counts;
}

uint64
pmon_group_invalid(const PmonGroup *group)
{
	return group->counters.sessions_abandoned +
		group->counters.sessions_fatal + group->counters.sessions_killed;
}

uint64 *
pmon_count_invalid(const PmonGroupSnapshot *snapshot)
{
	uint64	   *invalid = palloc0(sizeof(uint64) * Max(pmon_declared->npools, 1));

	if (pmon_declared->npools == 0)
		return invalid;
	for (int i = 0; i < snapshot->ngroups; i++)
	{
		const PmonGroup *group = &snapshot->groups[i];
		PmonPoolSubject subject;
		int			pool;

		subject.application_name = group->key.application_name;
		subject.datname = group->datname;
		subject.usename = group->usename;
		subject.client = group->client_addr;
		pool = pmon_pools_match(pmon_declared, &subject);
		if (pool >= 0)
			invalid[pool] += pmon_group_invalid(group);
	}
	return invalid;
}

/*
 * Policy
 */

static bool
any_limit_applies(const PmonIdleSession *judged, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (judged[i].reason != PMON_END_NONE)
			return true;
	}
	return false;
}

PmonIdleSession *
pmon_judge_live(PmonLive *live, const PmonIdlePolicy *policy, int *n)
{
	PmonIdleSession *judged = palloc0(sizeof(PmonIdleSession) * Max(live->nsessions, 1));

	*n = 0;
	for (int i = 0; i < live->nsessions; i++)
	{
		const PmonSession *session = &live->sessions[i];
		PmonIdleSession *idle = &judged[*n];

		if (!PmonIsSession(session) ||
			pmon_slots[session->slot].pid != session->pid)
			continue;
		idle->slot = session->slot;
		idle->pid = session->pid;
		idle->pool = pmon_live_pool(live, session);
		idle->state = session->state;
		idle->state_change = session->state_change;
		idle->backend_start = session->backend_start;
		pmon_read_slot_flags(idle);
		(*n)++;
	}

	pmon_judge_sessions(policy, judged, *n);
	if (any_limit_applies(judged, *n))
	{
		pmon_mark_holders(judged, *n);
		pmon_judge_sessions(policy, judged, *n);
	}
	return judged;
}

/*
 * Leaks
 */

/*
 * When the session started its last statement.  A function called through the
 * fast path is one, which core does not note as such.
 */
TimestampTz
pmon_statement_start(const PmonSession *session)
{
	return session->state == PMON_STATE_FASTPATH ? session->state_change :
		session->query_start;
}

/*
 * What a statement that has run for long comes from.  Between two waits for
 * its client it is still the client's statement; but one that waits for a lock
 * now does not wait for the client.
 */
PmonLeak
pmon_why_active(const PmonSession *session, uint32 wait_event_info,
				PmonBlocking blocking)
{
	if (session->state != PMON_STATE_ACTIVE)
		;
	else if (pmon_waits_for_client(wait_event_info))
		pmon_note_client_wait(session->slot, session->query_start, wait_event_info);
	else if (blocking.blocked_by == PMON_BLOCKED_BY_NOBODY)
		wait_event_info = pmon_noted_client_wait(session->slot, session->query_start);

	if (wait_event_info == WAIT_EVENT_CLIENT_WRITE)
		return PMON_LEAK_SLOW_CLIENT;
	if (wait_event_info == WAIT_EVENT_CLIENT_READ)
		return PMON_LEAK_WAITS_FOR_CLIENT;
	if (blocking.blocked_by != PMON_BLOCKED_BY_NOBODY)
		return PMON_LEAK_WAITS_FOR_LOCK;
	return PMON_LEAK_LONG_TRANSACTION;
}

PmonLeak
pmon_leak_suspect(PmonLive *live, const PmonSession *session,
				  uint32 wait_event_info, PmonBlocking blocking)
{
	int64		age = pmon_age(live->now, pmon_statement_start(session));

	if (!PmonIsSession(session) || age < 0 ||
		age < pmon_leak_threshold * INT64CONST(1000))
		return PMON_LEAK_NONE;

	/* outside of a transaction it can have nothing else */
	if (session->state == PMON_STATE_IDLE && blocking.blocks > 0)
		return PMON_LEAK_ADVISORY_LOCK;
	if (session->state == PMON_STATE_IDLE &&
		pmon_live_proof(live, session) == PMON_PROOF_CLOSES_IDLE)
		return PMON_LEAK_NOT_RETURNED;
	if (!PmonIsCheckedOut(session->state))
		return PMON_LEAK_NONE;

	if (session->state == PMON_STATE_IDLE_IN_TRANSACTION)
		return PMON_LEAK_IDLE_IN_TRANSACTION;
	if (session->state == PMON_STATE_IDLE_IN_TRANSACTION_ABORTED)
		return PMON_LEAK_IDLE_IN_TRANSACTION_ABORTED;

	return pmon_why_active(session, wait_event_info, blocking);
}

const char *
pmon_leak_name(PmonLeak leak)
{
	static const char *const names[PMON_LEAKS] = {
		NULL,
		"idle in transaction",
		"idle in transaction (aborted)",
		"active, waiting for the client",
		"slow client",
		"long transaction",
		"waiting for a lock",
		"idle, holds an advisory lock",
		"idle, not returned"
	};

	return names[leak];
}
