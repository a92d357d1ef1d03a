/*-------------------------------------------------------------------------
 *
 * current_policy.h
 *	  The policy that is in force: what the settings and the server add to
 *	  the pure decision in idle_policy.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_CURRENT_POLICY_H
#define PMON_CURRENT_POLICY_H

#include "pure/idle_policy.h"

/* The policy that the settings describe, as of now */
extern void pmon_get_policy(PmonIdlePolicy *policy, TimestampTz now);

/*
 * Find out which of the sessions hold advisory locks.  Reads the lock tables,
 * as pg_locks does.  Allocates in the current memory context.
 */
extern void pmon_mark_advisory_locks(PmonIdleSession *judged, int n);

#endif							/* PMON_CURRENT_POLICY_H */
