/*-------------------------------------------------------------------------
 *
 * live_policy.h
 *	  What the policy makes of the sessions, as a query sees them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_LIVE_POLICY_H
#define PMON_LIVE_POLICY_H

#include "pure/idle_policy.h"

/*
 * Judge all sessions.  Where a limit applies to any of them, this reads the
 * lock tables, as pg_locks does.  Returns a palloc'd array, the longest idle
 * first; *n is its length.
 */
extern PmonIdleSession *pmon_judge_live_sessions(const PmonIdlePolicy *policy,
												 int *n);

#endif							/* PMON_LIVE_POLICY_H */
