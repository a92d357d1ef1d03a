/*-------------------------------------------------------------------------
 *
 * idle_policy.c
 *	  Which idle sessions are to be ended: a pure decision.
 *
 * See idle_policy.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include <math.h>

#include "pure/idle_policy.h"

/* The limits that apply to one session, in ms; 0: never */
typedef struct Limits
{
	int64		idle;
	int64		in_transaction;
	int64		lifetime;
} Limits;

static const char *const reason_names[] = {
	NULL,
	"idle",
	"idle in transaction",
	"lifetime",
	"requested"
};

static const char *const exemption_names[] = {
	NULL,
	"track_activities is off",
	"superuser",
	"own setting",
	"exported snapshot",
	"LISTEN",
	"advisory lock",
	"timeout 0",
	"keep_idle",
	"waiting for terminate_above",
	"no worker"
};

const char *
pmon_end_reason_name(PmonEndReason reason)
{
	return reason_names[reason];
}

const char *
pmon_exemption_name(PmonExemption exempt)
{
	return exemption_names[exempt];
}

bool
pmon_policy_is_on(const PmonIdlePolicy *policy)
{
	if (policy->idle_timeout > 0 || policy->idle_in_transaction_timeout > 0 ||
		policy->max_lifetime > 0)
		return true;
	for (int i = 0; i < policy->pools->npools; i++)
	{
		const PmonPool *pool = &policy->pools->pools[i];

		if (pool->idle_timeout > 0 || pool->idle_in_transaction_timeout > 0 ||
			pool->max_lifetime > 0)
			return true;
	}
	return false;
}

/* A pool's limit, or the global one where it has none of its own */
static int64
own_or_global(int64 own, int64 global)
{
	return own >= 0 ? own : global;
}

static Limits
limits_of(const PmonIdlePolicy *policy, const PmonIdleSession *session)
{
	Limits		limits = {
		policy->idle_timeout,
		policy->idle_in_transaction_timeout,
		policy->max_lifetime
	};

	if (session->pool >= 0)
	{
		const PmonPool *pool = &policy->pools->pools[session->pool];

		limits.idle = own_or_global(pool->idle_timeout, limits.idle);
		limits.in_transaction = own_or_global(pool->idle_in_transaction_timeout,
											  limits.in_transaction);
		limits.lifetime = own_or_global(pool->max_lifetime, limits.lifetime);

		/* a pool whose sessions may idle for ever means it */
		if (pool->idle_timeout == 0 && pool->max_lifetime < 0)
			limits.lifetime = 0;
	}
	return limits;
}

static bool
is_in_transaction(PmonState state)
{
	return state == PMON_STATE_IDLE_IN_TRANSACTION ||
		state == PMON_STATE_IDLE_IN_TRANSACTION_ABORTED;
}

/* What speaks against ending the session, whatever its age */
static PmonExemption
exemption_of(const PmonIdlePolicy *policy, const PmonIdleSession *session)
{
	if (session->state == PMON_STATE_DISABLED)
		return PMON_EXEMPT_DISABLED;
	if (session->superuser && !policy->terminate_superusers)
		return PMON_EXEMPT_SUPERUSER;
	if (is_in_transaction(session->state) ?
		session->own_in_transaction_timeout : session->own_idle_timeout)
		return PMON_EXEMPT_OWN_SETTING;
	if (session->exported_snapshot)
		return PMON_EXEMPT_EXPORTED_SNAPSHOT;
	if (session->listening)
		return PMON_EXEMPT_LISTEN;
	if (session->advisory_lock)
		return PMON_EXEMPT_ADVISORY_LOCK;
	return PMON_EXEMPT_NONE;
}

/* Has the session's pool turned off a limit that others have? */
static bool
has_timeout_0(const PmonIdlePolicy *policy, const PmonIdleSession *session,
			  const Limits *limits)
{
	if (is_in_transaction(session->state))
		return limits->in_transaction == 0 &&
			policy->idle_in_transaction_timeout > 0;
	return (limits->idle == 0 && policy->idle_timeout > 0) ||
		(limits->lifetime == 0 && policy->max_lifetime > 0);
}

/* An instant so many milliseconds after another one */
static TimestampTz
after(TimestampTz start, int64 milliseconds)
{
	return start + milliseconds * 1000;
}

int64
pmon_session_lifetime(int64 lifetime, int pid, TimestampTz backend_start)
{
	uint64		hash = ((uint64) backend_start ^ (uint32) pid) *
	UINT64CONST(0x9E3779B97F4A7C15);

	hash = (hash ^ (hash >> 32)) * UINT64CONST(0xD6E8FEB86659FD93);
	hash ^= hash >> 32;

	/* the lifetime is that of a setting, and so far below the largest one */
	return lifetime + (int64) ((double) lifetime / 10 * (hash % 1000) / 1000);
}

/*
 * When an idle session is to be ended for its lifetime: not between two
 * statements of a busy one, if that can be helped.
 */
static TimestampTz
lifetime_ends(const PmonIdlePolicy *policy, int64 limit,
			  const PmonIdleSession *session, TimestampTz idle_since)
{
	TimestampTz connected = PmonCountsFrom(policy, session->backend_start);
	int64		lifetime = pmon_session_lifetime(limit, session->pid,
												 session->backend_start);
	TimestampTz at = Max(after(connected, lifetime),
						 after(idle_since, PMON_LIFETIME_IDLE));
	TimestampTz late = Max(after(connected, 2 * lifetime),
						   after(idle_since, PMON_LIFETIME_IDLE_LATE));

	return Min(at, late);
}

/*
 * When the session is to be ended, and for which of its limits.  An idle
 * session has two, of which the earlier one counts.
 */
static void
find_limit(const PmonIdlePolicy *policy, const Limits *limits,
		   PmonIdleSession *session)
{
	TimestampTz idle_since = PmonCountsFrom(policy, session->state_change);

	if (is_in_transaction(session->state))
	{
		if (limits->in_transaction == 0)
			return;
		session->reason = PMON_END_IDLE_IN_TRANSACTION;
		session->limit = limits->in_transaction;
		session->ends_at = after(idle_since, limits->in_transaction);
		return;
	}

	if (limits->idle > 0)
	{
		session->reason = PMON_END_IDLE;
		session->limit = limits->idle;
		session->ends_at = after(idle_since, limits->idle);
	}
	if (limits->lifetime > 0)
	{
		TimestampTz at = lifetime_ends(policy, limits->lifetime, session,
									   idle_since);

		if (session->ends_at == 0 || at < session->ends_at)
		{
			session->reason = PMON_END_LIFETIME;
			session->limit = limits->lifetime;
			session->ends_at = at;
		}
	}
}

static void
judge(const PmonIdlePolicy *policy, PmonIdleSession *session)
{
	Limits		limits = limits_of(policy, session);

	session->limit = 0;
	session->reason = PMON_END_NONE;
	session->exempt = PMON_EXEMPT_NONE;
	session->ends_at = 0;
	session->due = session->chosen = false;

	if (session->state == PMON_STATE_DISABLED)
	{
		if (limits.idle > 0 || limits.in_transaction > 0 || limits.lifetime > 0)
			session->exempt = PMON_EXEMPT_DISABLED;
		return;
	}
	if (session->state != PMON_STATE_IDLE && !is_in_transaction(session->state))
		return;

	find_limit(policy, &limits, session);
	if (session->reason == PMON_END_NONE)
	{
		if (has_timeout_0(policy, session, &limits))
			session->exempt = PMON_EXEMPT_TIMEOUT_0;
		return;
	}

	session->exempt = exemption_of(policy, session);
	if (session->exempt != PMON_EXEMPT_NONE)
		session->ends_at = 0;
	session->due = session->exempt == PMON_EXEMPT_NONE &&
		policy->now > session->ends_at;
}

/* The longest idle first; the slot makes the order complete */
static int
compare_idle(const void *a, const void *b)
{
	const PmonIdleSession *left = a;
	const PmonIdleSession *right = b;

	if (left->state_change != right->state_change)
		return left->state_change < right->state_change ? -1 : 1;
	return left->slot - right->slot;
}

/* The most recently idle of a pool stay, as many as it keeps. */
static void
keep_idle(const PmonIdlePolicy *policy, PmonIdleSession *sessions, int n, int pool)
{
	int			may_go = -policy->pools->pools[pool].keep_idle;

	for (int i = 0; i < n; i++)
	{
		if (sessions[i].pool == pool && sessions[i].state == PMON_STATE_IDLE)
			may_go++;
	}

	for (int i = 0; i < n; i++)
	{
		PmonIdleSession *session = &sessions[i];

		if (session->pool != pool || session->state != PMON_STATE_IDLE ||
			session->reason == PMON_END_NONE || session->exempt != PMON_EXEMPT_NONE)
			continue;
		if (may_go-- > 0)
			continue;
		session->exempt = PMON_EXEMPT_KEEP_IDLE;
		session->ends_at = 0;
		session->due = false;
	}
}

void
pmon_judge_sessions(const PmonIdlePolicy *policy, PmonIdleSession *sessions, int n)
{
	for (int i = 0; i < n; i++)
		judge(policy, &sessions[i]);
	qsort(sessions, n, sizeof(PmonIdleSession), compare_idle);
	for (int pool = 0; pool < policy->pools->npools; pool++)
	{
		if (policy->pools->pools[pool].keep_idle > 0)
			keep_idle(policy, sessions, n, pool);
	}
}

/* How many sessions must end to come below the utilization asked for */
static int
wanted(const PmonIdlePolicy *policy)
{
	double		most;

	if (policy->terminate_above == 0)
		return policy->connections;

	/* the largest number of sessions that is below it */
	most = ceil((double) policy->slots * policy->terminate_above / 100.0) - 1;
	return policy->connections > most ? policy->connections - (int) most : 0;
}

void
pmon_withhold_ends(const PmonIdlePolicy *policy, bool has_worker,
				   PmonIdleSession *sessions, int n)
{
	if (has_worker && wanted(policy) > 0)
		return;
	for (int i = 0; i < n; i++)
	{
		if (sessions[i].ends_at == 0)
			continue;
		sessions[i].exempt = has_worker ? PMON_EXEMPT_PRESSURE : PMON_EXEMPT_NO_WORKER;
		sessions[i].ends_at = 0;
		sessions[i].due = false;
	}
}

int
pmon_choose_sessions(const PmonIdlePolicy *policy, PmonIdleSession *sessions, int n)
{
	int			most = wanted(policy);
	int			chosen = 0;

	if (policy->max_terminations > 0)
		most = Min(most, policy->max_terminations);
	for (int i = 0; i < n && chosen < most; i++)
	{
		if (!sessions[i].due)
			continue;
		sessions[i].chosen = true;
		chosen++;
	}
	return chosen;
}
