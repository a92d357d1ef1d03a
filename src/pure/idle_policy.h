/*-------------------------------------------------------------------------
 *
 * idle_policy.h
 *	  Which idle sessions are to be ended: a pure decision.
 *
 * Nothing here looks at anything but its arguments, allocates, locks or
 * raises an error.
 *
 * A session's limits are those of its pool, and where the pool says nothing,
 * the global ones; 0 is never.  A pool whose idle limit is 0 has no lifetime
 * either, unless it says so.  It is due when it has been idle, or idle in
 * transaction, for longer than the limit, or when it is idle and was connected
 * longer ago than the lifetime.  A lifetime is up to 10% longer than the limit,
 * by session, so that sessions that were opened together do not end together;
 * and it waits for a moment at which the session is not busy: until it has been
 * idle for a second, or, after twice the lifetime, for a tenth of one.
 *
 * Of those that are due, the longest idle are ended first: no more at once than
 * the policy says, no more than it takes to come below the utilization that it
 * asks for, and never so many that a pool has fewer idle sessions left than it
 * wants to keep.
 *
 * A session that has set core's timeout of its state to 0 for itself has said
 * that it must not be ended so; that goes for its lifetime too, which is a limit
 * of the idle.
 *
 * Ages are by the wall clock, since that is what the server notes.  When it is
 * set forward, all sessions would have been idle for long at once; so nothing
 * counts from before it was set.  When it is set back, what was noted before
 * is in the future, and counts when that is over.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_IDLE_POLICY_H
#define PMON_IDLE_POLICY_H

#include "datatype/timestamp.h"

#include "pure/pools.h"
#include "pure/session_state.h"

/* Why a session is ended */
typedef enum PmonEndReason
{
	PMON_END_NONE,
	PMON_END_IDLE,
	PMON_END_IDLE_IN_TRANSACTION,
	PMON_END_LIFETIME,
	PMON_END_REQUESTED
} PmonEndReason;

/* Why a session is not ended, although a limit applies, or would */
typedef enum PmonExemption
{
	PMON_EXEMPT_NONE,
	PMON_EXEMPT_DISABLED,		/* no age is known */
	PMON_EXEMPT_SUPERUSER,
	PMON_EXEMPT_OWN_SETTING,	/* it has set core's timeout to 0 */
	PMON_EXEMPT_EXPORTED_SNAPSHOT,	/* others may be about to import it */
	PMON_EXEMPT_LISTEN,
	PMON_EXEMPT_ADVISORY_LOCK,
	PMON_EXEMPT_TIMEOUT_0,		/* its pool's limit is 0, the global one is
								 * not */
	PMON_EXEMPT_KEEP_IDLE,

	/* for views: what keeps all ends from happening for now */
	PMON_EXEMPT_PRESSURE,
	PMON_EXEMPT_NO_WORKER
} PmonExemption;

/* The settings, and the server's situation */
typedef struct PmonIdlePolicy
{
	int64		idle_timeout;	/* ms, 0: never; so are the next two */
	int64		idle_in_transaction_timeout;
	int64		max_lifetime;
	int			terminate_above;	/* percent of slots; 0: always */
	int			max_terminations;	/* 0: no limit */
	bool		terminate_superusers;
	const PmonPools *pools;
	int			connections;	/* sessions there are */
	int			slots;			/* for ordinary roles */
	TimestampTz now;
	TimestampTz clock_set_at;	/* when the clock was set last, or 0 */
} PmonIdlePolicy;

/* What is known of a session, and what the policy makes of it */
typedef struct PmonIdleSession
{
	/* known */
	int			slot;
	int			pid;
	int			pool;			/* index in the policy's pools, or -1 */
	PmonState	state;
	TimestampTz state_change;
	TimestampTz backend_start;
	bool		superuser;
	bool		listening;
	bool		own_idle_timeout;	/* it has set core's timeouts to 0 */
	bool		own_in_transaction_timeout;
	bool		advisory_lock;
	bool		exported_snapshot;

	/* decided by pmon_judge_sessions() */
	int64		limit;			/* ms that apply in this state; 0: none */
	PmonEndReason reason;		/* what it would be ended for */
	PmonExemption exempt;
	TimestampTz ends_at;		/* 0: never */
	bool		due;			/* the time has come, and it is not exempt */

	/* decided by pmon_choose_sessions() */
	bool		chosen;
} PmonIdleSession;

/* How long, in ms, a session is idle that ends for its lifetime, or twice it */
#define PMON_LIFETIME_IDLE		1000
#define PMON_LIFETIME_IDLE_LATE	100

/* The lifetime of that very session, in ms, where the limit is that */
extern int64 pmon_session_lifetime(int64 lifetime, int pid,
								   TimestampTz backend_start);

/* From when on a time that lasts since then counts */
static inline TimestampTz
PmonCountsFrom(const PmonIdlePolicy *policy, TimestampTz since)
{
	return Max(since, policy->clock_set_at);
}

/* Is there any limit that could apply to anybody? */
extern bool pmon_policy_is_on(const PmonIdlePolicy *policy);

/*
 * Judge each of the sessions, which must be all there are, so that those that
 * a pool keeps can be told.  Sorts them: the longest idle first.
 */
extern void pmon_judge_sessions(const PmonIdlePolicy *policy,
								PmonIdleSession *sessions, int n);

/*
 * For views, after that: who would be ended is not, while fewer slots are in use
 * than the policy asks for, or there is no worker.  Wants policy->connections.
 */
extern void pmon_withhold_ends(const PmonIdlePolicy *policy, bool has_worker,
							   PmonIdleSession *sessions, int n);

/*
 * Of the sessions that are due, in their order, choose those to be ended now.
 * Returns how many.
 */
extern int	pmon_choose_sessions(const PmonIdlePolicy *policy,
								 PmonIdleSession *sessions, int n);

/* What SQL shows */
extern const char *pmon_end_reason_name(PmonEndReason reason);
extern const char *pmon_exemption_name(PmonExemption exempt);

#endif							/* PMON_IDLE_POLICY_H */
