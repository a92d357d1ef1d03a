/*-------------------------------------------------------------------------
 *
 * live_counts.c
 *	  Sessions counted by whatever they have in common.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "query/live_counts.h"
#include "shared/settings.h"

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

int
pmon_checked_out(const PmonCounts *counts)
{
	int			checked_out = 0;

	for (int i = 0; i < PMON_STATES; i++)
	{
		if (PmonIsCheckedOut(i))
			checked_out += counts->states[i];
	}
	return checked_out;
}

void
pmon_count_all(PmonCounts *counts)
{
	memset(counts, 0, sizeof(*counts));
	for (int i = 0; i < pmon_status_slots(); i++)
	{
		PmonSession session;

		if (pmon_read_session(i, &session) && PmonIsSession(&session))
			pmon_count_session(counts, &session);
	}
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
