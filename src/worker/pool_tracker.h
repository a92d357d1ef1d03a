/*-------------------------------------------------------------------------
 *
 * pool_tracker.h
 *	  How full the declared pools are, as the worker sees it.
 *
 * For the worker alone.  session_pool.h decides which pool a session belongs
 * to.  Matching compares patterns, so its results are kept: for a session until
 * it goes on under another name, for a group for as long as it lives, and for
 * both until the pools are declared anew.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_POOL_TRACKER_H
#define PMON_POOL_TRACKER_H

#include "shared/shared_state.h"

/* Allocate what is needed, in the current memory context. */
extern void pmon_pool_tracker_init(void);

/*
 * The pool of the session in a slot, as an index of pmon_declared, or -1: by
 * the application name that it counts for, or by the one that it shows, which
 * may be another one for the rest of a transaction.  No lock.
 */
extern int	pmon_session_pool(int slot);
extern int	pmon_current_session_pool(int slot, const char *application_name);

/*
 * The pool of each group, by its place, or -1: that of the session that had
 * entered it last when it was matched.  Exact counters of a pool are those of its groups.  Call
 * the first without the lock, which it takes for groups that are new; the
 * second then needs no lock.
 */
extern void pmon_match_groups(void);
extern int	pmon_group_pool(int place);

/*
 * Note what a sample found in each of the declared pools: update their peaks,
 * and log when a pool becomes exhausted or is healthy again, and when
 * sessions of it have been ended while they were checked out.  Takes PmonLock().
 */
extern void pmon_note_pools(const int *connections, const int *checked_out,
							TimestampTz at);

#endif							/* PMON_POOL_TRACKER_H */
