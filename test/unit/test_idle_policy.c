/* links: pure/idle_policy.c */
/*-------------------------------------------------------------------------
 *
 * test_idle_policy.c
 *	  Which idle sessions are to be ended: a table of cases, choices among
 *	  many, and what must hold for any input.
 *
 *	  test_idle_policy [ROUNDS [SEED]]
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pure/idle_policy.h"
#include "tap.h"

/* An instant, in microseconds; all ages below are in milliseconds */
#define NOW		INT64CONST(800000000000000)

#define MAX_SESSIONS	64
#define MAX_POOLS		4

/* Room for pools that the policy can point to */
typedef union PoolsRoom
{
	PmonPools	pools;
	char		bytes[PMON_POOLS_SIZE(MAX_POOLS)];
} PoolsRoom;

static PoolsRoom room;
static PmonIdlePolicy policy;
static PmonIdleSession sessions[MAX_SESSIONS];
static int	nsessions;

/* Start anew: no limit, no pool, no session. */
static void
start(void)
{
	memset(&room, 0, sizeof(room));
	memset(&policy, 0, sizeof(policy));
	memset(sessions, 0, sizeof(sessions));
	nsessions = 0;
	policy.pools = &room.pools;
	policy.slots = 100;
	policy.now = NOW;
}

/* Declare a pool that says nothing of its own; returns it. */
static PmonPool *
add_pool(void)
{
	PmonPool   *pool = &room.pools.pools[room.pools.npools++];

	pool->size = -1;
	pool->idle_timeout = -1;
	pool->idle_in_transaction_timeout = -1;
	pool->max_lifetime = -1;
	return pool;
}

/* A session in a state for so many ms, connected so many ms ago */
static PmonIdleSession *
add_session(PmonState state, int64 idle_for, int64 connected_for)
{
	PmonIdleSession *session = &sessions[nsessions];

	session->slot = nsessions;
	session->pid = 1000 + nsessions;
	session->pool = -1;
	session->state = state;
	session->state_change = NOW - idle_for * 1000;
	session->backend_start = NOW - connected_for * 1000;
	nsessions++;
	policy.connections = nsessions;
	return session;
}

/* Judge and choose; returns how many were chosen. */
static int
run_policy(void)
{
	pmon_judge_sessions(&policy, sessions, nsessions);
	return pmon_choose_sessions(&policy, sessions, nsessions);
}

static PmonIdleSession *
by_slot(int slot)
{
	for (int i = 0; i < nsessions; i++)
	{
		if (sessions[i].slot == slot)
			return &sessions[i];
	}
	return NULL;
}

/* The slots that were chosen, in the order of the array: "0 3 4" */
static const char *
chosen_slots(void)
{
	static char text[MAX_SESSIONS * 4];
	int			length = 0;

	text[		0] = '\0';

	for (int i = 0; i < nsessions; i++)
	{
		if (sessions[i].chosen)
			length += snprintf(text +length, sizeof(text) - length, "%s%d",
							   length > 0 ? " " : "", sessions[i].slot);
	}
	return text;
}

/*
 * One session under one policy
 */

/* A limit that a pool does not set */
#define UNSET	(-1)

/* No pool at all */
#define NO_POOL	{-2}

typedef struct Case
{
	const char *fact;
	int64		limits[3];		/* idle, in transaction, lifetime */
	int64		own[3];			/* the pool's */
	PmonState	state;
	int64		idle_for;
	int64		connected_for;
	bool		superuser;
	bool		listening;
	bool		advisory_lock;
	bool		own_idle_timeout;
	bool		own_in_transaction_timeout;
	bool		exported_snapshot;
	bool		terminate_superusers;

	/* expected */
	PmonEndReason reason;
	PmonExemption exempt;
	int64		limit;
	int64		ends_in;		/* ms from now; NEVER */
	bool		due;
} Case;

#define NEVER	INT64CONST(-999999)

#define IDLE	PMON_STATE_IDLE
#define IN_XACT	PMON_STATE_IDLE_IN_TRANSACTION
#define ABORTED	PMON_STATE_IDLE_IN_TRANSACTION_ABORTED

static const Case cases[] = {
	/* the limits one by one */
	{"nothing is due without a limit",
		{0, 0, 0}, NO_POOL, IDLE, 1000000, 1000000,.reason = PMON_END_NONE,
	.ends_in = NEVER},
	{"an idle session is due after its time",
		{1000, 0, 0}, NO_POOL, IDLE, 1001, 5000,.reason = PMON_END_IDLE,
	.limit = 1000,.ends_in = -1,.due = true},
	{"not at the very limit",
		{1000, 0, 0}, NO_POOL, IDLE, 1000, 5000,.reason = PMON_END_IDLE,
	.limit = 1000,.ends_in = 0},
	{"not before it",
		{1000, 0, 0}, NO_POOL, IDLE, 999, 5000,.reason = PMON_END_IDLE,
	.limit = 1000,.ends_in = 1},
	{"a limit for transactions is none for the idle",
	{0, 1000, 0}, NO_POOL, IDLE, 5000, 5000,.ends_in = NEVER},
	{"a session idle in transaction is due after its time",
		{0, 1000, 0}, NO_POOL, IN_XACT, 1001, 5000,
		.reason = PMON_END_IDLE_IN_TRANSACTION,.limit = 1000,.ends_in = -1,
	.due = true},
	{"so is one in an aborted transaction",
		{0, 1000, 0}, NO_POOL, ABORTED, 1001, 5000,
		.reason = PMON_END_IDLE_IN_TRANSACTION,.limit = 1000,.ends_in = -1,
	.due = true},
	{"not at the very limit, in transaction",
		{0, 1000, 0}, NO_POOL, IN_XACT, 1000, 5000,
		.reason = PMON_END_IDLE_IN_TRANSACTION,.limit = 1000,
	.ends_in = 0},
	{"the limit of the idle is none for transactions",
	{1000, 0, 0}, NO_POOL, IN_XACT, 5000, 5000,.ends_in = NEVER},
	{"nor for aborted ones",
	{1000, 0, 0}, NO_POOL, ABORTED, 5000, 5000,.ends_in = NEVER},
	{"nor is the lifetime",
	{0, 0, 1000}, NO_POOL, IN_XACT, 5000, 5000,.ends_in = NEVER},
	{"each state has its own limit",
		{1000, 7000, 0}, NO_POOL, IN_XACT, 5000, 5000,
		.reason = PMON_END_IDLE_IN_TRANSACTION,.limit = 7000,
	.ends_in = 2000},

	/* the lifetime: see test_lifetime(), too */
	{"the earlier limit counts: idle",
		{1000, 0, 9000}, NO_POOL, IDLE, 500, 600,.reason = PMON_END_IDLE,
	.limit = 1000,.ends_in = 500},
	{"of two at the same instant it is the idle one",
		{1000, 0, 590}, NO_POOL, IDLE, 500, 600,.reason = PMON_END_IDLE,
	.limit = 1000,.ends_in = 500},
	{"the earlier limit counts: lifetime",
		{9000, 0, 100}, NO_POOL, IDLE, 1001, 5000,.reason = PMON_END_LIFETIME,
	.limit = 100,.ends_in = -901,.due = true},
	{"a session idle for less than a second is spared for its lifetime",
		{0, 0, 10000}, NO_POOL, IDLE, 999, 12000,.reason = PMON_END_LIFETIME,
	.limit = 10000,.ends_in = 1},
	{"for a second: not at the very limit",
		{0, 0, 10000}, NO_POOL, IDLE, 1000, 12000,.reason = PMON_END_LIFETIME,
	.limit = 10000,.ends_in = 0},
	{"but after it",
		{0, 0, 10000}, NO_POOL, IDLE, 1001, 12000,.reason = PMON_END_LIFETIME,
	.limit = 10000,.ends_in = -1,.due = true},
	{"after twice the lifetime, a tenth of a second does",
		{0, 0, 10000}, NO_POOL, IDLE, 101, 23000,.reason = PMON_END_LIFETIME,
	.limit = 10000,.ends_in = -1,.due = true},
	{"not at the very limit",
		{0, 0, 10000}, NO_POOL, IDLE, 100, 23000,.reason = PMON_END_LIFETIME,
	.limit = 10000,.ends_in = 0},
	{"nor between two statements",
		{0, 0, 10000}, NO_POOL, IDLE, 1, 2000000,.reason = PMON_END_LIFETIME,
	.limit = 10000,.ends_in = 99},

	/* other states */
	{"a session that runs a statement is left alone",
	{1, 1, 1}, NO_POOL, PMON_STATE_ACTIVE, 5000, 5000,.ends_in = NEVER},
	{"so is one that calls a function by the fast path",
		{1, 1, 1}, NO_POOL, PMON_STATE_FASTPATH, 5000, 5000,
	.ends_in = NEVER},
	{"so is one that is starting",
		{1, 1, 1}, NO_POOL, PMON_STATE_STARTING, 5000, 5000,
	.ends_in = NEVER},
	{"a session of an unknown state is exempt",
		{1000, 0, 0}, NO_POOL, PMON_STATE_DISABLED, 5000, 5000,
	.exempt = PMON_EXEMPT_DISABLED,.ends_in = NEVER},
	{"whatever the limit: in transaction",
		{0, 1000, 0}, NO_POOL, PMON_STATE_DISABLED, 5000, 5000,
	.exempt = PMON_EXEMPT_DISABLED,.ends_in = NEVER},
	{"whatever the limit: lifetime",
		{0, 0, 1000}, NO_POOL, PMON_STATE_DISABLED, 5000, 5000,
	.exempt = PMON_EXEMPT_DISABLED,.ends_in = NEVER},
	{"but not where there is no limit",
		{0, 0, 0}, NO_POOL, PMON_STATE_DISABLED, 5000, 5000,
	.ends_in = NEVER},
	{"nor in a pool that has none",
		{1000, 1000, 1000}, {0, 0, 0}, PMON_STATE_DISABLED, 5000, 5000,
	.ends_in = NEVER},

	/* exemptions */
	{"a superuser is exempt",
		{1000, 0, 0}, NO_POOL, IDLE, 5000, 5000,.superuser = true,
		.reason = PMON_END_IDLE,.exempt = PMON_EXEMPT_SUPERUSER,
	.limit = 1000,.ends_in = NEVER},
	{"unless the settings say otherwise",
		{1000, 0, 0}, NO_POOL, IDLE, 5000, 5000,.superuser = true,
		.terminate_superusers = true,.reason = PMON_END_IDLE,.limit = 1000,
	.ends_in = -4000,.due = true},
	{"a session that listens is exempt",
		{1000, 0, 0}, NO_POOL, IDLE, 5000, 5000,.listening = true,
		.reason = PMON_END_IDLE,.exempt = PMON_EXEMPT_LISTEN,
	.limit = 1000,.ends_in = NEVER},
	{"also in a transaction",
		{0, 1000, 0}, NO_POOL, IN_XACT, 5000, 5000,.listening = true,
		.reason = PMON_END_IDLE_IN_TRANSACTION,
	.exempt = PMON_EXEMPT_LISTEN,.limit = 1000,.ends_in = NEVER},
	{"also from the lifetime",
		{0, 0, 1000}, NO_POOL, IDLE, 5000, 5000,.listening = true,
		.reason = PMON_END_LIFETIME,.exempt = PMON_EXEMPT_LISTEN,
	.limit = 1000,.ends_in = NEVER},
	{"a session with an advisory lock is exempt",
		{1000, 0, 0}, NO_POOL, IDLE, 5000, 5000,.advisory_lock = true,
		.reason = PMON_END_IDLE,.exempt = PMON_EXEMPT_ADVISORY_LOCK,
	.limit = 1000,.ends_in = NEVER},
	{"a session that has turned off core's timeout of the idle is exempt",
		{1000, 0, 1000}, NO_POOL, IDLE, 5000, 5000,.own_idle_timeout = true,
		.listening = true,.reason = PMON_END_IDLE,
	.exempt = PMON_EXEMPT_OWN_SETTING,.limit = 1000,.ends_in = NEVER},
	{"also from the lifetime",
		{0, 0, 1000}, NO_POOL, IDLE, 5000, 5000,.own_idle_timeout = true,
		.reason = PMON_END_LIFETIME,.exempt = PMON_EXEMPT_OWN_SETTING,
	.limit = 1000,.ends_in = NEVER},
	{"not in a transaction",
		{0, 1000, 0}, NO_POOL, IN_XACT, 5000, 5000,.own_idle_timeout = true,
		.reason = PMON_END_IDLE_IN_TRANSACTION,.limit = 1000,
	.ends_in = -4000,.due = true},
	{"where it is the timeout of transactions that counts",
		{0, 1000, 0}, NO_POOL, ABORTED, 5000, 5000,
		.own_in_transaction_timeout = true,
		.reason = PMON_END_IDLE_IN_TRANSACTION,
	.exempt = PMON_EXEMPT_OWN_SETTING,.limit = 1000,.ends_in = NEVER},
	{"but not when it is idle",
		{1000, 0, 0}, NO_POOL, IDLE, 5000, 5000,
		.own_in_transaction_timeout = true,.reason = PMON_END_IDLE,
	.limit = 1000,.ends_in = -4000,.due = true},
	{"a session that has exported its snapshot is exempt",
		{0, 1000, 0}, NO_POOL, IN_XACT, 5000, 5000,.exported_snapshot = true,
		.reason = PMON_END_IDLE_IN_TRANSACTION,
	.exempt = PMON_EXEMPT_EXPORTED_SNAPSHOT,.limit = 1000,.ends_in = NEVER},
	{"a superuser is that first",
		{1000, 0, 0}, NO_POOL, IDLE, 5000, 5000,.superuser = true,
		.listening = true,.advisory_lock = true,.reason = PMON_END_IDLE,
		.exempt = PMON_EXEMPT_SUPERUSER,.limit = 1000,
	.ends_in = NEVER},
	{"who listens, that before its locks",
		{1000, 0, 0}, NO_POOL, IDLE, 5000, 5000,.superuser = true,
		.terminate_superusers = true,.listening = true,
		.advisory_lock = true,.reason = PMON_END_IDLE,
	.exempt = PMON_EXEMPT_LISTEN,.limit = 1000,.ends_in = NEVER},
	{"an exemption is told before the time has come",
		{1000, 0, 0}, NO_POOL, IDLE, 1, 5000,.superuser = true,
		.reason = PMON_END_IDLE,.exempt = PMON_EXEMPT_SUPERUSER,
	.limit = 1000,.ends_in = NEVER},
	{"without a limit there is nothing to be exempt from",
		{0, 0, 0}, NO_POOL, IDLE, 5000, 5000,.superuser = true,
	.listening = true,.advisory_lock = true,.ends_in = NEVER},
	{"nor in a state that has none",
		{1000, 0, 0}, NO_POOL, IN_XACT, 5000, 5000,.superuser = true,
	.ends_in = NEVER},

	/* pools */
	{"a pool without a limit of its own has the global one",
		{1000, 0, 0}, {UNSET, UNSET, UNSET}, IDLE, 1001, 5000,
		.reason = PMON_END_IDLE,.limit = 1000,.ends_in = -1,
	.due = true},
	{"a pool's own limit counts, if longer",
		{1000, 0, 0}, {3000, UNSET, UNSET}, IDLE, 1001, 5000,
	.reason = PMON_END_IDLE,.limit = 3000,.ends_in = 1999},
	{"a pool's own limit counts, if shorter",
		{1000, 0, 0}, {300, UNSET, UNSET}, IDLE, 301, 5000,
		.reason = PMON_END_IDLE,.limit = 300,.ends_in = -1,
	.due = true},
	{"or where there is no global one",
		{0, 0, 0}, {300, UNSET, UNSET}, IDLE, 301, 5000,
		.reason = PMON_END_IDLE,.limit = 300,.ends_in = -1,
	.due = true},
	{"so does its limit for transactions",
		{0, 1000, 0}, {UNSET, 300, UNSET}, IN_XACT, 301, 5000,
		.reason = PMON_END_IDLE_IN_TRANSACTION,.limit = 300,.ends_in = -1,
	.due = true},
	{"and its lifetime",
		{0, 0, 1000}, {UNSET, UNSET, 300}, IDLE, 1005, 6000,
		.reason = PMON_END_LIFETIME,.limit = 300,.ends_in = -905,
	.due = true},
	{"0 is never: idle",
		{1000, 0, 0}, {0, UNSET, UNSET}, IDLE, 5000, 5000,
	.exempt = PMON_EXEMPT_TIMEOUT_0,.ends_in = NEVER},
	{"0 is never: in transaction",
		{0, 1000, 0}, {UNSET, 0, UNSET}, IN_XACT, 5000, 5000,
	.exempt = PMON_EXEMPT_TIMEOUT_0,.ends_in = NEVER},
	{"0 is never: lifetime",
		{0, 0, 1000}, {UNSET, UNSET, 0}, IDLE, 5000, 5000,
	.exempt = PMON_EXEMPT_TIMEOUT_0,.ends_in = NEVER},
	{"0 of the idle limit is 0 of the lifetime, where the pool has none",
		{0, 0, 1000}, {0, UNSET, UNSET}, IDLE, 5000, 5000,
	.exempt = PMON_EXEMPT_TIMEOUT_0,.ends_in = NEVER},
	{"but a lifetime that the pool has counts",
		{0, 0, 1000}, {0, UNSET, 300}, IDLE, 1005, 6000,
		.reason = PMON_END_LIFETIME,.limit = 300,.ends_in = -905,
	.due = true},
	{"0 of one limit is not 0 of the other: in transaction",
		{1000, 1000, 0}, {0, UNSET, UNSET}, IN_XACT, 1001, 5000,
		.reason = PMON_END_IDLE_IN_TRANSACTION,.limit = 1000,.ends_in = -1,
	.due = true},
	{"0 of one limit is not 0 of the other: idle",
		{1000, 1000, 0}, {UNSET, 0, UNSET}, IDLE, 1001, 5000,
		.reason = PMON_END_IDLE,.limit = 1000,.ends_in = -1,
	.due = true},
	{"0 turns off what nobody has turned on: that is no exemption",
	{0, 0, 0}, {0, 0, 0}, IDLE, 5000, 5000,.ends_in = NEVER},

	/* the clock */
	{"a clock that was set back ends nothing",
		{1000, 0, 0}, NO_POOL, IDLE, -3600000, -3600000,
		.reason = PMON_END_IDLE,.limit = 1000,
	.ends_in = 3601000},
	{"the longest limit does not overflow",
		{PG_INT32_MAX, 0, 0}, NO_POOL, IDLE, 5000, 5000,
		.reason = PMON_END_IDLE,.limit = PG_INT32_MAX,
	.ends_in = (int64) PG_INT32_MAX - 5000},
	{"the shortest one is a limit",
		{1, 0, 0}, NO_POOL, IDLE, 2, 5000,.reason = PMON_END_IDLE,
	.limit = 1,.ends_in = -1,.due = true},
};

static bool
has_pool(const Case *c)
{
	return c->own[0] != -2;
}

static void
test_cases(void)
{
	for (int i = 0; i < lengthof(cases); i++)
	{
		const Case *c = &cases[i];
		PmonIdleSession *session;
		TimestampTz ends_at = c->ends_in == NEVER ? 0 : NOW + c->ends_in * 1000;

		start();
		policy.idle_timeout = c->limits[0];
		policy.idle_in_transaction_timeout = c->limits[1];
		policy.max_lifetime = c->limits[2];
		policy.terminate_superusers = c->terminate_superusers;
		session = add_session(c->state, c->idle_for, c->connected_for);
		session->superuser = c->superuser;
		session->listening = c->listening;
		session->advisory_lock = c->advisory_lock;
		session->own_idle_timeout = c->own_idle_timeout;
		session->own_in_transaction_timeout = c->own_in_transaction_timeout;
		session->exported_snapshot = c->exported_snapshot;
		if (has_pool(c))
		{
			PmonPool   *pool = add_pool();

			pool->idle_timeout = c->own[0];
			pool->idle_in_transaction_timeout = c->own[1];
			pool->max_lifetime = c->own[2];
			session->pool = 0;
		}

		run_policy();
		if (!ok(session->reason == c->reason && session->exempt == c->exempt &&
				session->limit == c->limit && session->ends_at == ends_at &&
				session->due == c->due && session->chosen == c->due,
				"%s", c->fact))
			printf("#      got: reason %d, exempt %d, limit %lld, ends in %lld us, due %d, chosen %d\n",
				   session->reason, session->exempt,
				   (long long) session->limit,
				   (long long) (session->ends_at - NOW),
				   session->due, session->chosen);
	}
}

/*
 * A lifetime is up to 10% longer, and not the same for all.
 */
static void
test_lifetime(void)
{
	int64		shortest = PG_INT64_MAX;
	int64		longest = 0;
	int			tenths[10] = {0};
	int			least = PG_INT32_MAX;
	int			wrong = 0;
	int			due = 0;

	for (int i = 0; i < 10000; i++)
	{
		int64		lifetime = pmon_session_lifetime(100000, 1000 + i % 20, NOW + i / 20);

		shortest = Min(shortest, lifetime);
		longest = Max(longest, lifetime);
		if (lifetime >= 100000 && lifetime < 110000)
			tenths[(lifetime - 100000) / 1000]++;
	}
	for (int i = 0; i < 10; i++)
		least = Min(least, tenths[i]);
	ok(shortest >= 100000 && longest < 110000, "a lifetime is up to 10%% longer than the limit");
	ok(least > 800, "sessions that started together have all kinds of lifetimes");
	is_int(pmon_session_lifetime(100000, 7, NOW), pmon_session_lifetime(100000, 7, NOW),
		   "one session always has the same");
	is_int(pmon_session_lifetime(1, 7, NOW), 1, "the shortest lifetime is one");
	ok(pmon_session_lifetime(PG_INT32_MAX, 7, NOW) >= PG_INT32_MAX, "the longest does not overflow");

	/* each millisecond around the instants at which it may end */
	for (int ms = 99999; ms <= 110001; ms++)
	{
		PmonIdleSession *session;
		int64		lifetime;

		start();
		policy.max_lifetime = 100000;
		session = add_session(IDLE, 2000, ms);
		lifetime = pmon_session_lifetime(100000, session->pid, session->backend_start);
		run_policy();
		if (session->due != (ms > lifetime) ||
			session->ends_at != Max(session->backend_start + lifetime * 1000, NOW - 1000000))
			wrong++;
		if (session->due)
			due++;
	}
	is_int(wrong, 0, "it ends after its lifetime, not before");
	ok(due > 3000 && due < 7000, "half of them in the middle");
}

/*
 * Is anything to be done at all?
 */
static void
test_is_on(void)
{
	PmonPool   *pool;

	start();
	ok(!pmon_policy_is_on(&policy), "the policy is off without a limit");
	policy.idle_timeout = 1;
	ok(pmon_policy_is_on(&policy), "on with a limit for the idle");
	start();
	policy.idle_in_transaction_timeout = 1;
	ok(pmon_policy_is_on(&policy), "on with one for transactions");
	start();
	policy.max_lifetime = 1;
	ok(pmon_policy_is_on(&policy), "on with a lifetime");

	start();
	add_pool();
	pool = add_pool();
	ok(!pmon_policy_is_on(&policy), "off where no pool has a limit");
	pool->idle_timeout = 0;
	ok(!pmon_policy_is_on(&policy), "off where a pool's limit is 0");
	pool->idle_timeout = 1;
	ok(pmon_policy_is_on(&policy), "on where any pool has a limit");
	pool->idle_timeout = -1;
	pool->idle_in_transaction_timeout = 1;
	ok(pmon_policy_is_on(&policy), "or one for transactions");
	pool->idle_in_transaction_timeout = -1;
	pool->max_lifetime = 1;
	ok(pmon_policy_is_on(&policy), "or a lifetime");
}

/*
 * Which ones go first, and how many
 */

/* Idle sessions: the one in slot i for (i + 1) seconds */
static void
add_idle_sessions(int n)
{
	for (int i = 0; i < n; i++)
		add_session(IDLE, (i + 1) * 1000, 100000);
}

static void
test_order(void)
{
	start();
	policy.idle_timeout = 10;
	add_idle_sessions(5);
	is_int(run_policy(), 5, "all that are due are chosen");
	is_str(chosen_slots(), "4 3 2 1 0", "the longest idle first");

	start();
	policy.idle_timeout = 10;
	for (int i = 0; i < 5; i++)
		add_session(IDLE, 1000, 100000)->slot = 4 - i;
	run_policy();
	is_str(chosen_slots(), "0 1 2 3 4", "those equally long idle in the order of their places");

	start();
	policy.idle_timeout = 10;
	policy.max_terminations = 2;
	add_idle_sessions(5);
	is_int(run_policy(), 2, "no more than max_terminations at once");
	is_str(chosen_slots(), "4 3", "and the longest idle of them");
	policy.max_terminations = 5;
	is_int(run_policy(), 5, "as many as max_terminations");
	policy.max_terminations = 6;
	is_int(run_policy(), 5, "no more than there are");
	policy.max_terminations = 0;
	is_int(run_policy(), 5, "0 is no limit");

	start();
	policy.idle_timeout = 10;
	policy.idle_in_transaction_timeout = 10;
	policy.max_terminations = 2;
	add_session(IDLE, 3000, 9000);
	add_session(IN_XACT, 4000, 9000);
	add_session(ABORTED, 5000, 9000);
	add_session(PMON_STATE_ACTIVE, 6000, 9000);
	run_policy();
	is_str(chosen_slots(), "2 1", "those in a transaction take part in that order");

	start();
	policy.idle_timeout = 10;
	policy.max_terminations = 1;
	add_idle_sessions(3);
	by_slot(2)->superuser = true;
	run_policy();
	is_str(chosen_slots(), "1", "an exempt session does not take another one's turn");
}

/* So many idle sessions on so many slots: how many go? */
static int
go_above(int connections, int slots, int percent)
{
	start();
	policy.idle_timeout = 10;
	policy.terminate_above = percent;
	policy.slots = slots;
	add_idle_sessions(Min(connections, MAX_SESSIONS));
	policy.connections = connections;
	return run_policy();
}

static void
test_terminate_above(void)
{
	is_int(go_above(95, 100, 90), 6, "at 95% of 100 slots, six must go to come below 90%");
	is_int(go_above(91, 100, 90), 2, "at 91%, two");
	is_int(go_above(90, 100, 90), 1, "at 90%, one");
	is_int(go_above(89, 100, 90), 0, "at 89%, none");
	is_int(go_above(80, 100, 90), 0, "at 80%, none");
	is_int(go_above(0, 100, 90), 0, "on an empty server, none");
	is_int(go_above(20, 20, 100), 1, "at 100%, one goes to come below it");
	is_int(go_above(22, 20, 100), 3, "above 100%, as many as are too many");
	is_int(go_above(19, 20, 100), 0, "below 100%, none");
	is_int(go_above(1, 100, 1), 1, "1% of 100 slots: the only one goes");
	is_int(go_above(1, 97, 1), 1, "1% of 97 slots, which is less than one: likewise");
	is_int(go_above(1, 101, 1), 0, "1% of 101 slots: one session is below it");
	is_int(go_above(3, 97, 3), 1, "3% of 97 slots: three are 3.09%");
	is_int(go_above(2, 97, 3), 0, "two are 2.06%");
	is_int(go_above(40, 40, 0), 40, "0 is always");

	go_above(95, 100, 90);
	is_str(chosen_slots(), "63 62 61 60 59 58", "it is the longest idle that go");

	go_above(95, 100, 90);
	policy.max_terminations = 4;
	is_int(run_policy(), 4, "the smaller of both limits counts: max_terminations");
	policy.max_terminations = 20;
	is_int(run_policy(), 6, "the smaller of both limits counts: terminate_above");

	go_above(95, 100, 90);
	for (int i = 3; i < nsessions; i++)
		sessions[i].superuser = true;
	is_int(run_policy(), 3, "no more can go than are due");
}

/* What a view says of the sessions: the exemption, for all of them alike */
static const char *
withheld(int connections, int percent, bool has_worker)
{
	const char *exempt;

	go_above(connections, 100, percent);
	pmon_judge_sessions(&policy, sessions, nsessions);
	pmon_withhold_ends(&policy, has_worker, sessions, nsessions);
	exempt = pmon_exemption_name(sessions[0].exempt);
	for (int i = 0; i < nsessions; i++)
	{
		if (sessions[i].exempt != sessions[0].exempt ||
			(sessions[i].ends_at == 0) != (exempt != NULL))
			return "not alike";
	}
	return exempt != NULL ? exempt : "none";
}

static void
test_withheld(void)
{
	is_str(withheld(10, 80, true), "waiting for terminate_above", "below the percentage ends wait");
	is_str(withheld(79, 80, true), "waiting for terminate_above", "just below it too");
	is_str(withheld(80, 80, true), "none", "at it they do not");
	is_str(withheld(10, 0, true), "none", "nor without one");
	is_str(withheld(90, 80, false), "no worker", "without a worker nobody is ended");
	is_str(withheld(10, 80, false), "no worker", "which is said first");

	go_above(10, 100, 80);
	sessions[0].superuser = true;
	pmon_judge_sessions(&policy, sessions, nsessions);
	pmon_withhold_ends(&policy, true, sessions, nsessions);
	for (int i = 0; i < nsessions; i++)
	{
		if (sessions[i].superuser)
			is_str(pmon_exemption_name(sessions[i].exempt), "superuser", "who is exempt in any case stays so");
	}
}

static void
test_terminate_above_exactly(void)
{
	int			wrong = 0;

	/* by whole numbers: utilization is below when n * 100 < percent * slots */
	for (int slots = 1; slots <= 300; slots++)
	{
		for (int percent = 1; percent <= 100; percent++)
		{
			int			connections = Min(slots, MAX_SESSIONS);
			int			gone = 0;

			while (gone < connections &&
				   (connections - gone) * 100 >= percent * slots)
				gone++;
			if (go_above(connections, slots, percent) != gone)
				wrong++;
		}
	}
	is_int(wrong, 0, "exactly as many go as must, for 1 to 300 slots and 1% to 100%");
}

/*
 * What a pool keeps
 */
static void
test_keep_idle(void)
{
	PmonPool   *pool;

	start();
	policy.idle_timeout = 10;
	pool = add_pool();
	pool->keep_idle = 5;
	add_idle_sessions(8);
	for (int i = 0; i < 8; i++)
		sessions[i].pool = 0;
	is_int(run_policy(), 3, "of eight, three go where five are kept");
	is_str(chosen_slots(), "7 6 5", "the longest idle");
	ok(by_slot(4)->exempt == PMON_EXEMPT_KEEP_IDLE && by_slot(4)->ends_at == 0 &&
	   by_slot(4)->limit == 10, "the others are exempt, and it is said why");
	pool->keep_idle = 8;
	is_int(run_policy(), 0, "none of eight where eight are kept");
	pool->keep_idle = 9;
	is_int(run_policy(), 0, "nor where more are kept than there are");
	pool->keep_idle = 1;
	is_int(run_policy(), 7, "all but one");
	pool->keep_idle = PMON_MAX_POOL_SIZE;
	is_int(run_policy(), 0, "the largest number keeps all");

	pool->keep_idle = 5;
	policy.max_terminations = 2;
	is_int(run_policy(), 2, "max_terminations holds as well");
	is_str(chosen_slots(), "7 6", "for the longest idle");

	/* who counts as kept */
	start();
	policy.idle_timeout = 10;
	pool = add_pool();
	pool->keep_idle = 2;
	add_idle_sessions(4);
	for (int i = 0; i < 4; i++)
		sessions[i].pool = 0;
	sessions[3].superuser = true;
	sessions[2].listening = true;
	is_int(run_policy(), 2, "those that can not be ended are kept already");
	is_str(chosen_slots(), "1 0", "so the others may go");
	ok(by_slot(3)->exempt == PMON_EXEMPT_SUPERUSER &&
	   by_slot(2)->exempt == PMON_EXEMPT_LISTEN, "and keep their own reasons");

	start();
	policy.idle_timeout = 10;
	policy.idle_in_transaction_timeout = 10;
	pool = add_pool();
	pool->keep_idle = 2;
	add_session(IDLE, 1000, 9000)->pool = 0;
	add_session(IDLE, 2000, 9000)->pool = 0;
	add_session(IN_XACT, 3000, 9000)->pool = 0;
	add_session(PMON_STATE_ACTIVE, 4000, 9000)->pool = 0;
	is_int(run_policy(), 1, "idle ones are kept, not others");
	is_str(chosen_slots(), "2", "one in a transaction may go");

	/* pools are apart */
	start();
	policy.idle_timeout = 10;
	add_pool()->keep_idle = 1;
	add_pool()->keep_idle = 2;
	add_pool();
	add_idle_sessions(8);
	for (int i = 0; i < 8; i++)
		sessions[i].pool = i < 2 ? 0 : i < 5 ? 1 : i < 6 ? 2 : -1;
	is_int(run_policy(), 5, "each pool keeps its own");
	is_str(chosen_slots(), "7 6 5 4 1", "the longest idle of each, and all of those without");

	/* not due yet */
	start();
	policy.idle_timeout = 2500;
	pool = add_pool();
	pool->keep_idle = 1;
	add_idle_sessions(4);
	for (int i = 0; i < 4; i++)
		sessions[i].pool = 0;
	is_int(run_policy(), 2, "those that are not due yet count as kept");
	is_str(chosen_slots(), "3 2", "and those that are due may go");
	ok(by_slot(1)->ends_at > NOW, "it is known when the next one goes");

	/* an idle one that is beyond its lifetime */
	start();
	policy.max_lifetime = 10;
	pool = add_pool();
	pool->keep_idle = 3;
	add_idle_sessions(4);
	for (int i = 0; i < 4; i++)
		sessions[i].pool = 0;
	is_int(run_policy(), 1, "a lifetime does not empty the pool either");
}

/*
 * A decision does not depend on what was there before, or on the order.
 */
static void
test_repeated(void)
{
	PmonIdleSession first[MAX_SESSIONS];

	start();
	policy.idle_timeout = 10;
	policy.max_terminations = 3;
	add_idle_sessions(9);
	run_policy();
	memcpy(first, sessions, sizeof(first));
	run_policy();
	ok(memcmp(first, sessions, sizeof(first)) == 0, "judging again makes no difference");

	policy.idle_timeout = 0;
	is_int(run_policy(), 0, "once the limit is off, nothing is chosen");
	ok(sessions[0].reason == PMON_END_NONE && sessions[0].limit == 0 &&
	   sessions[0].ends_at == 0 && !sessions[0].due && !sessions[0].chosen,
	   "and nothing is left of the earlier decision");

	nsessions = 0;
	is_int(run_policy(), 0, "no session, no choice");
}

static void
test_names(void)
{
	ok(pmon_end_reason_name(PMON_END_NONE) == NULL, "no reason has no name");
	is_str(pmon_end_reason_name(PMON_END_IDLE), "idle", "the reasons' names: idle");
	is_str(pmon_end_reason_name(PMON_END_IDLE_IN_TRANSACTION), "idle in transaction",
		   "idle in transaction");
	is_str(pmon_end_reason_name(PMON_END_LIFETIME), "lifetime", "lifetime");
	is_str(pmon_end_reason_name(PMON_END_REQUESTED), "requested", "requested");
	ok(pmon_exemption_name(PMON_EXEMPT_NONE) == NULL, "no exemption has no name");
	for (int i = PMON_EXEMPT_DISABLED; i <= PMON_EXEMPT_KEEP_IDLE; i++)
		ok(pmon_exemption_name(i) != NULL && pmon_exemption_name(i)[0] != '\0',
		   "exemption %d has one", i);
}

/*
 * Random input: the same decision, written down in another way
 */

static uint64 seed = 1;

/* A number from 0 up to, but not including, n (xorshift64*) */
static int
below(int n)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return (int) ((seed * UINT64CONST(2685821657736338717) >> 33) % n);
}

static int64
random_limit(bool own)
{
	switch (below(own ? 4 : 3))
	{
		case 0:
			return 0;
		case 3:
			return -1;
		default:
			return 1 + below(30);
	}
}

static void
randomize(void)
{
	static const PmonState states[] = {IDLE, IDLE, IDLE, IN_XACT, ABORTED,
		PMON_STATE_ACTIVE, PMON_STATE_DISABLED, PMON_STATE_STARTING,
	PMON_STATE_FASTPATH};
	int			n = below(MAX_SESSIONS + 1);

	start();
	policy.idle_timeout = random_limit(false);
	policy.idle_in_transaction_timeout = random_limit(false);
	policy.max_lifetime = random_limit(false);
	policy.terminate_above = below(3) == 0 ? 1 + below(100) : 0;
	policy.max_terminations = below(3) == 0 ? 1 + below(10) : 0;
	policy.terminate_superusers = below(2) == 0;
	policy.slots = 1 + below(80);
	for (int i = below(MAX_POOLS + 1); i > 0; i--)
	{
		PmonPool   *pool = add_pool();

		pool->idle_timeout = random_limit(true);
		pool->idle_in_transaction_timeout = random_limit(true);
		pool->max_lifetime = random_limit(true);
		pool->keep_idle = below(3) == 0 ? below(10) : 0;
	}
	for (int i = 0; i < n; i++)
	{
		int			idle_for = below(40) - 2;
		PmonIdleSession *session = add_session(states[below(lengthof(states))],
											   idle_for, idle_for + below(40));

		session->pool = below(room.pools.npools + 1) - 1;
		session->superuser = below(6) == 0;
		session->listening = below(8) == 0;
		session->advisory_lock = below(8) == 0;
	}
}

/* One session's limit of a kind: 0 idle, 1 in transaction, 2 lifetime */
static int64
limit_of(const PmonIdleSession *session, int kind)
{
	int64 global = kind == 0 ? policy.idle_timeout :
	kind == 1 ? policy.idle_in_transaction_timeout : policy.max_lifetime;
	int64		own = -1;

	if (session->pool >= 0)
	{
		PmonPool   *pool = &room.pools.pools[session->pool];

		own = kind == 0 ? pool->idle_timeout :
			kind == 1 ? pool->idle_in_transaction_timeout : pool->max_lifetime;

		/* who may be idle for ever has no lifetime either, unless it says so */
		if (kind == 2 && own < 0 && pool->idle_timeout == 0)
			own = 0;
	}
	return own < 0 ? global : own;
}

static bool
is_past_lifetime(const PmonIdleSession *session, int times, int64 connected_for)
{
	return connected_for > times *
		pmon_session_lifetime(limit_of(session, 2), session->pid, session->backend_start);
}

/* May this session be ended at all, and has its time come? */
static bool
may_be_ended(const PmonIdleSession *session)
{
	int64		idle_for = (NOW - session->state_change) / 1000;
	int64		connected_for = (NOW - session->backend_start) / 1000;

	if ((session->superuser && !policy.terminate_superusers) ||
		session->listening || session->advisory_lock)
		return false;
	if (session->state == IN_XACT || session->state == ABORTED)
		return limit_of(session, 1) > 0 && idle_for > limit_of(session, 1);
	if (session->state != IDLE)
		return false;
	return (limit_of(session, 0) > 0 && idle_for > limit_of(session, 0)) ||
		(limit_of(session, 2) > 0 &&
		 (is_past_lifetime(session, 1, connected_for) ? idle_for > 1000 : false)) ||
		(limit_of(session, 2) > 0 &&
		 (is_past_lifetime(session, 2, connected_for) ? idle_for > 100 : false));
}

/* Things that must hold whatever the input; each is counted where it does not */
typedef struct Violations
{
	int			not_allowed;
	int			kept_too_few;
	int			order;
	int			too_many;
	int			too_few;
	int			changed;
	int			incoherent;
} Violations;

/* Idle sessions of a pool; and how many of them stay */
static int
count_idle(int pool, bool staying)
{
	int			n = 0;

	for (int i = 0; i < nsessions; i++)
	{
		if (sessions[i].pool == pool && sessions[i].state == IDLE &&
			!(staying && sessions[i].chosen))
			n++;
	}
	return n;
}

static void
check_one(const PmonIdleSession *session, Violations *violations)
{
	if (session->chosen && !may_be_ended(session))
		violations->not_allowed++;
	if (session->due && !may_be_ended(session))
		violations->not_allowed++;
	if (may_be_ended(session) && !session->due &&
		session->exempt != PMON_EXEMPT_KEEP_IDLE)
		violations->too_few++;

	if ((session->due && session->exempt != PMON_EXEMPT_NONE) ||
		(session->chosen && !session->due) ||
		(session->due && session->reason == PMON_END_NONE) ||
		(session->exempt != PMON_EXEMPT_NONE && session->ends_at != 0) ||
		((session->ends_at != 0) !=
		 (session->reason != PMON_END_NONE && session->exempt == PMON_EXEMPT_NONE)) ||
		((session->reason != PMON_END_NONE) != (session->limit > 0)))
		violations->incoherent++;
}

static void
check_round(int before, int chosen, Violations *violations)
{
	int			due = 0;
	int			counted = 0;
	bool		passed_over = false;
	bool		below_enough = policy.terminate_above > 0 &&
	(before - chosen) * 100 < policy.terminate_above * policy.slots;

	for (int i = 0; i < nsessions; i++)
	{
		check_one(&sessions[i], violations);
		if (i > 0 && sessions[i].state_change < sessions[i - 1].state_change)
			violations->order++;
		if (sessions[i].chosen && passed_over)
			violations->order++;
		due += sessions[i].due;
		counted += sessions[i].chosen;
		passed_over |= sessions[i].due && !sessions[i].chosen;
	}

	for (int pool = 0; pool < room.pools.npools; pool++)
	{
		int			keep = Min(room.pools.pools[pool].keep_idle, count_idle(pool, false));

		if (count_idle(pool, true) < keep)
			violations->kept_too_few++;
	}

	if (counted != chosen ||
		(policy.max_terminations > 0 && chosen > policy.max_terminations) ||
		(policy.terminate_above > 0 && chosen > 0 &&
		 (before - chosen + 1) * 100 < policy.terminate_above * policy.slots))
		violations->too_many++;
	if (chosen < due && chosen != policy.max_terminations && !below_enough)
		violations->too_few++;
}

/* Sessions must come out as they went in, in whatever order. */
static bool
same_sessions(const PmonIdleSession *before)
{
	for (int i = 0; i < nsessions; i++)
	{
		const PmonIdleSession *after = by_slot(i);

		if (after == NULL ||
			memcmp(after, &before[i], offsetof(PmonIdleSession, limit)) != 0)
			return false;
	}
	return true;
}

static void
test_random(int rounds)
{
	Violations	violations = {0};
	PmonIdleSession before[MAX_SESSIONS];
	int			ended = 0;

	for (int round = 0; round < rounds; round++)
	{
		int			chosen;

		randomize();
		memcpy(before, sessions, sizeof(before));
		chosen = run_policy();
		ended += chosen;
		check_round(nsessions, chosen, &violations);
		if (!same_sessions(before))
			violations.changed++;
		if (!pmon_policy_is_on(&policy) && chosen > 0)
			violations.not_allowed++;
	}

	ok(ended > rounds, "random policies end many sessions");
	is_int(violations.not_allowed, 0, "only those that are allowed and due");
	is_int(violations.kept_too_few, 0, "no pool keeps too few");
	is_int(violations.order, 0, "none before one that has been idle longer");
	is_int(violations.too_many, 0, "never too many");
	is_int(violations.too_few, 0, "never too few");
	is_int(violations.changed, 0, "what is known of a session is not changed");
	is_int(violations.incoherent, 0, "reason, exemption and time agree");
}

int
main(int argc, char **argv)
{
	int			rounds = argc > 1 ? atoi(argv[1]) : 100000;

	if (argc > 2)
		seed = strtoull(argv[2], NULL, 10);

	test_cases();
	test_lifetime();
	test_is_on();
	test_order();
	test_terminate_above();
	test_withheld();
	test_terminate_above_exactly();
	test_keep_idle();
	test_repeated();
	test_names();
	test_random(rounds);

	return tap_done();
}
