/*-------------------------------------------------------------------------
 *
 * live_policy.c
 *	  What the policy makes of the sessions, as a query sees them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "query/live_policy.h"
#include "query/live_pools.h"
#include "shared/current_policy.h"
#include "shared/shared_state.h"

static bool
any_limit_applies(const PmonIdleSession *sessions, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (sessions[i].reason != PMON_END_NONE)
			return true;
	}
	return false;
}

PmonIdleSession *
pmon_judge_live_sessions(const PmonIdlePolicy *policy, int *n)
{
	PmonIdleSession *sessions = palloc0(sizeof(PmonIdleSession) * pmon_status_slots());
	PmonNames  *names = pmon_begin_matching();

	*n = 0;
	for (int i = 0; i < pmon_status_slots(); i++)
	{
		PmonIdleSession *session = &sessions[*n];
		PmonSession read;

		if (!pmon_read_session(i, &read) || !PmonIsSession(&read) ||
			pmon_slots[i].pid != read.pid)
			continue;
		session->slot = i;
		session->pid = read.pid;
		session->pool = pmon_live_pool(names, &read);
		session->state = read.state;
		session->state_change = read.state_change;
		session->backend_start = read.backend_start;
		pmon_read_slot_flags(session);
		(*n)++;
	}

	pmon_judge_sessions(policy, sessions, *n);
	if (any_limit_applies(sessions, *n))
	{
		pmon_mark_holders(sessions, *n);
		pmon_judge_sessions(policy, sessions, *n);
	}
	return sessions;
}
