/*-------------------------------------------------------------------------
 *
 * lock_waits.h
 *	  Who waits for whose locks now, as the lock manager has it.
 *
 * It counts every process that waits, whoever may see it: also background
 * processes, and logins that are not ready yet.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_LOCK_WAITS_H
#define PMON_LOCK_WAITS_H

#include "compat.h"

/* PmonBlocking.blocked_by, where it is not the pid of a root */
#define PMON_BLOCKED_BY_NOBODY		(-1)
#define PMON_BLOCKED_BY_PREPARED	0

/* What the locks say of one process */
typedef struct PmonBlocking
{
	int			blocks;			/* that wait for it, directly or not */
	int			blocked_by;		/* the root of what it waits for */
} PmonBlocking;

typedef struct PmonLockWaits PmonLockWaits;

/*
 * Read the lock tables, as pg_locks does, and the queues of those locks that
 * several wait for, one after the other.  Nothing is read if no process waits
 * for a lock: the result is NULL then, which the functions below take too.
 * palloc'd; may raise an error.
 */
extern PmonLockWaits *pmon_read_lock_waits(void);

/* What they say of a process */
extern PmonBlocking pmon_blocking(const PmonLockWaits *waits, int pid);

/*
 * How many wait for the prepared transaction with that number, counted from 0
 * in no particular order, and its transaction ID.  False beyond the last one
 * that has a part in what somebody waits for.
 */
extern bool pmon_prepared_blocks(const PmonLockWaits *waits, int number,
								 TransactionId *xid, int *blocks);

#endif							/* PMON_LOCK_WAITS_H */
