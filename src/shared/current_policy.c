/*-------------------------------------------------------------------------
 *
 * current_policy.c
 *	  The policy that is in force.
 *
 * See current_policy.h.  Used by the worker, which acts on it, and by
 * queries, which show it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "shared/current_policy.h"
#include "shared/settings.h"
#include "shared/shared_state.h"
#include "shared/status_array.h"

void
pmon_get_policy(PmonIdlePolicy *policy, TimestampTz now)
{
	policy->idle_timeout = pmon_idle_timeout;
	policy->idle_in_transaction_timeout = pmon_idle_in_transaction_timeout;
	policy->max_lifetime = pmon_max_lifetime;
	policy->terminate_above = pmon_terminate_above;
	policy->max_terminations = pmon_max_terminations;
	policy->terminate_superusers = pmon_terminate_superusers;
	policy->pools = pmon_declared;
	policy->connections = 0;
	policy->slots = pmon_ordinary_slots();
	policy->now = now;
	policy->clock_set_at = pmon != NULL ?
		(TimestampTz) pg_atomic_read_u64(&pmon->clock_set_at) : 0;
}

void
pmon_mark_advisory_locks(PmonIdleSession *judged, int n)
{
	int		   *pids = palloc0(sizeof(int) * pmon_status_slots());
	bool	   *holds;

	for (int i = 0; i < n; i++)
		pids[judged[i].slot] = judged[i].pid;
	holds = pmon_read_advisory_locks(pids);
	for (int i = 0; i < n; i++)
		judged[i].advisory_lock = holds[judged[i].slot];
}
