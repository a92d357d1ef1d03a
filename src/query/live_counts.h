/*-------------------------------------------------------------------------
 *
 * live_counts.h
 *	  Sessions counted by whatever they have in common.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_LIVE_COUNTS_H
#define PMON_LIVE_COUNTS_H

#include "shared/status_array.h"

/* What a set of sessions adds up to.  The times are the oldest seen, or 0. */
typedef struct PmonCounts
{
	int			connections;
	int			states[PMON_STATES];
	TimestampTz oldest_idle;	/* state_change of the longest idle session */
	TimestampTz oldest_transaction;
	TimestampTz oldest_session;
	TimestampTz oldest_state;	/* state_change, whatever the state */
} PmonCounts;

/* Add one session. */
extern void pmon_count_session(PmonCounts *counts, const PmonSession *session);

/* Sessions that hold a transaction or run a statement */
extern int	pmon_checked_out(const PmonCounts *counts);

/* All sessions of the server. */
extern void pmon_count_all(PmonCounts *counts);

/* How the server is, in the words of pool_monitor_status, worst last */
typedef enum PmonServerStatus
{
	PMON_SERVER_HEALTHY,
	PMON_SERVER_WARNING,
	PMON_SERVER_CRITICAL,
	PMON_SERVER_EXHAUSTED
} PmonServerStatus;

#define PMON_SERVER_STATUSES	(PMON_SERVER_EXHAUSTED + 1)

/* The status with that utilization (1: all ordinary slots), and its name */
extern PmonServerStatus pmon_server_status(double utilization, bool exhausted);
extern const char *const pmon_server_status_names[PMON_SERVER_STATUSES];

#endif							/* PMON_LIVE_COUNTS_H */
