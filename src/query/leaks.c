/*-------------------------------------------------------------------------
 *
 * leaks.c
 *	  Which sessions hold a connection that nobody seems to be using.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "query/leaks.h"

TimestampTz
pmon_statement_start(const PmonSession *session)
{
	return session->state == PMON_STATE_FASTPATH ? session->state_change :
		session->query_start;
}

const char *
pmon_leak_suspect(PmonState state, uint32 wait_event_info,
				  int64 statement_age, int64 threshold)
{
	if (!PmonIsCheckedOut(state) || statement_age < threshold ||
		statement_age < 0)
		return NULL;

	if (state == PMON_STATE_IDLE_IN_TRANSACTION)
		return "idle in transaction";
	if (state == PMON_STATE_IDLE_IN_TRANSACTION_ABORTED)
		return "idle in transaction (aborted)";

	/*
	 * A COPY or a pipeline that the client stopped feeding, or a result that
	 * it stopped fetching
	 */
	if (wait_event_info == WAIT_EVENT_CLIENT_READ ||
		wait_event_info == WAIT_EVENT_CLIENT_WRITE)
		return "active, waiting for the client";

	return "long transaction";
}
