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

/* Read what the session in session->slot says of itself there. */
extern void pmon_read_slot_flags(PmonIdleSession *session);

/*
 * Find out which of the sessions hold what would be lost with them, and be
 * missed by others: advisory locks and exported snapshots.  Reads the lock
 * tables, as pg_locks does, and a folder.  Allocates in the current memory
 * context.
 */
extern void pmon_mark_holders(PmonIdleSession *judged, int n);

#endif							/* PMON_CURRENT_POLICY_H */
