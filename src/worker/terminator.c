/*-------------------------------------------------------------------------
 *
 * terminator.c
 *	  Ends idle sessions by policy: the worker's part.
 *
 * A session that was asked answers within a moment, and sets our latch.  One
 * that never answers is not asked again for the same idle period.
 *
 * In a dry run a session is recorded once for each idle period, and then
 * treated as if it were gone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include <math.h>

#include "port/pg_bitutils.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "shared/current_policy.h"
#include "shared/requester.h"
#include "shared/settings.h"
#include "shared/shared_state.h"
#include "shared/slots.h"
#include "shared/status_array.h"
#include "shared/terminations.h"
#include "worker/pool_tracker.h"
#include "worker/terminator.h"

/* The clock was set if it differs from the monotonic one by so much more */
#define CLOCK_STEP		USECS_PER_SEC

static PmonIdleSession *sessions;	/* room for every backend */
static PmonEnd *requests;		/* likewise: those on their way */
static int	nrequests = 0;
static TimestampTz *leaving;	/* by slot: the idle period that it will end */
static TimestampTz *failed;		/* likewise: that we need not ask about */
static TimestampTz *dry_run;	/* likewise: that is recorded */
static TimestampTz *locked;		/* likewise: an advisory lock was found in it */
static TimestampTz *exported;	/* likewise: an exported snapshot */
static MemoryContext lock_context;

void
pmon_termination_init(void)
{
	sessions = palloc(sizeof(PmonIdleSession) * pmon->max_backends);
	requests = palloc(sizeof(PmonEnd) * pmon->max_backends);
	leaving = palloc0(sizeof(TimestampTz) * pmon->max_backends);
	failed = palloc0(sizeof(TimestampTz) * pmon->max_backends);
	dry_run = palloc0(sizeof(TimestampTz) * pmon->max_backends);
	locked = palloc0(sizeof(TimestampTz) * pmon->max_backends);
	exported = palloc0(sizeof(TimestampTz) * pmon->max_backends);
	lock_context = AllocSetContextCreate(CurrentMemoryContext,
										 "pool_monitor locks",
										 ALLOCSET_DEFAULT_SIZES);
}

/*
 * Read the wall clock, and notice when it was set since the last time.  Both
 * clocks must be read in one go, so where this process was stopped between
 * them, they are read again; at worst a step is seen that was none, and ends
 * come later.
 */
static TimestampTz
read_clock(void)
{
	TimestampTz now;
	int64		before;
	int64		offset;
	int64		set_by;
	int			attempts = 10;

	do
	{
		before = pmon_monotonic_us();
		now = GetCurrentTimestamp();
	} while (pmon_monotonic_us() - before > CLOCK_STEP / 2 && --attempts > 0);

	offset = now - before;
	set_by = offset - pmon->clock_offset;
	if (pmon->clock_offset != 0 &&
		(set_by > CLOCK_STEP || set_by < -CLOCK_STEP))
	{
		pg_atomic_write_u64(&pmon->clock_set_at, (uint64) now);
		ereport(LOG,
				(errmsg("the system clock was set %s by %.3f s",
						set_by > 0 ? "forward" : "back",
						fabs((double) set_by) / USECS_PER_SEC),
				 errdetail("Times that pool_monitor measures while that happens are wrong by as much; no session is ended for it.")));
	}
	pmon->clock_offset = offset;
	return now;
}

/* Is the session one that we have asked, or that counts as gone? */
static bool
is_done_with(int slot, TimestampTz state_change)
{
	if (leaving[slot] == state_change ||
		(pmon_dry_run && dry_run[slot] == state_change))
		return true;
	for (int i = 0; i < nrequests; i++)
	{
		if (requests[i].slot == slot && requests[i].token == state_change)
			return true;
	}
	return false;
}

/* Read one session.  Returns false if it is not there. */
static bool
read_session(int slot, PmonIdleSession *session)
{
	PmonIdleState current;

	if (PmonGetMembership(slot).group == PMON_NONE ||
		!pmon_read_idle_state(slot, &current))
		return false;

	memset(session, 0, sizeof(*session));
	session->slot = slot;
	session->pid = current.pid;
	session->pool = pmon_current_session_pool(slot, current.application_name);
	session->state = current.state;
	session->state_change = current.state_change;
	session->backend_start = current.backend_start;
	pmon_read_slot_flags(session);

	/* while it is idle it can not release anything */
	session->advisory_lock = locked[slot] == current.state_change;
	session->exported_snapshot = exported[slot] == current.state_change;
	return true;
}

/* Read all sessions but those that are as good as gone. */
static int
read_sessions(void)
{
	int			n = 0;

	for (int word = 0; word < PmonLiveWords(); word++)
	{
		uint64		bits = pg_atomic_read_u64(&pmon_live[word]);

		for (; bits != 0; bits &= bits - 1)
		{
			int			slot = word * 64 + pg_rightmost_one_pos64(bits);

			if (read_session(slot, &sessions[n]) &&
				!is_done_with(slot, sessions[n].state_change))
				n++;
		}
	}
	return n;
}

/* Judge all sessions, but leave alone those that did not answer. */
static void
judge_sessions(const PmonIdlePolicy *policy, int n)
{
	pmon_judge_sessions(policy, sessions, n);
	for (int i = 0; i < n; i++)
	{
		if (failed[sessions[i].slot] == sessions[i].state_change)
			sessions[i].due = false;
	}
}

/*
 * Mark who holds what others would miss, in a context of its own, since the
 * worker lives for long.  What is found is remembered, so that one session
 * with a lock does not make us read all locks of the server with every sample.
 */
static void
mark_holders(int n)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(lock_context);

	pmon_mark_holders(sessions, n);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextReset(lock_context);

	for (int i = 0; i < n; i++)
	{
		if (sessions[i].advisory_lock)
			locked[sessions[i].slot] = sessions[i].state_change;
		if (sessions[i].exported_snapshot)
			exported[sessions[i].slot] = sessions[i].state_change;
	}
}

/* Remember a request that needs no second one in the same idle period. */
static void
note_settled(const PmonEnd *end)
{
	if (end->record.outcome == PMON_OUTCOME_TERMINATED)
		leaving[end->slot] = end->token;
	else if (end->record.outcome == PMON_OUTCOME_FAILED)
		failed[end->slot] = end->token;
}

/* Ask one session to end, or only record that we would. */
static void
end_session(const PmonIdleSession *session, TimestampTz now)
{
	PmonEnd    *end = &requests[nrequests];

	if (!pmon_start_record(&end->record, session, pmon_declared, now))
		return;

	if (pmon_dry_run)
	{
		dry_run[session->slot] = session->state_change;
		pmon_finish_record(&end->record, PMON_OUTCOME_DRY_RUN, NULL);
		pmon_keep_record(&end->record);
	}
	else if (pmon_ask(end, session->slot, session->state_change))
		nrequests++;
	else
		note_settled(end);
}

void
pmon_end_idle_sessions(void)
{
	TimestampTz now = read_clock();
	PmonIdlePolicy policy;
	int			n;

	pmon_get_policy(&policy, now);
	if (!pmon_policy_is_on(&policy))
		return;

	n = read_sessions();
	policy.connections = n;
	judge_sessions(&policy, n);
	if (pmon_choose_sessions(&policy, sessions, n) == 0)
		return;

	mark_holders(n);
	judge_sessions(&policy, n);
	if (pmon_choose_sessions(&policy, sessions, n) == 0)
		return;

	for (int i = 0; i < n; i++)
	{
		if (sessions[i].chosen && nrequests < pmon->max_backends)
			end_session(&sessions[i], now);
	}
}

void
pmon_collect_answers(void)
{
	int			left = 0;

	for (int i = 0; i < nrequests; i++)
	{
		if (pmon_settle(&requests[i]))
			note_settled(&requests[i]);
		else
			requests[left++] = requests[i];
	}
	nrequests = left;
}

bool
pmon_answers_missing(void)
{
	return nrequests > 0;
}

void
pmon_withdraw_requests(void)
{
	while (nrequests > 0)
		pmon_withdraw(&requests[--nrequests]);
}
