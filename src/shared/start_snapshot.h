/*-------------------------------------------------------------------------
 *
 * start_snapshot.h
 *	  Who held the connections when the first login was refused.
 *
 * The worker may be late, or stopped, and a burst may be over in milliseconds.
 * So the process that is refused takes the snapshot itself, before anybody can
 * know of it.  It may have no PGPROC, may not wait, and may die at any moment:
 *
 * - One word has the state: a round, and a phase within it.  While a snapshot is
 *	 WANTED, the first one to be refused makes that BEING_TAKEN, by
 *	 compare-and-exchange, and so do not those that are refused at the same
 *	 instant: they go their way.
 * - It fills the snapshot, a session at a time, and makes that TAKEN.  That is a
 *	 full barrier, so who reads TAKEN reads all of it.
 * - The worker takes it from there and makes that DONE.  Where it finds
 *	 BEING_TAKEN for longer than it takes, the process has been stopped or is
 *	 dead, and it makes that DONE too: the snapshot is incomplete.  The process
 *	 notices before its next session, if it should go on.
 * - When there is no incident any more, the worker makes that WANTED, in the
 *	 next round.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_START_SNAPSHOT_H
#define PMON_START_SNAPSHOT_H

#include "shared/session_snapshot.h"

/* Ask for the memory.  Called from _PG_init(). */
extern void pmon_request_start_snapshot(void);

/*
 * Take the snapshot, if it is wanted and nobody does.  For a process that is
 * refused: no lock, no allocation, nothing that can fail, and a bounded number of
 * steps.
 */
extern void pmon_take_start_snapshot(void);

/*
 * The snapshot, if there is a complete one; else NULL.  For the worker, which
 * may wait for some milliseconds.  Valid until pmon_want_start_snapshot().
 */
extern const PmonSessionSnapshot *pmon_start_snapshot(void);

/* It has been used. */
extern void pmon_finish_start_snapshot(void);

/*
 * There is no incident, so the next refusal is to take one: if the last one has
 * been used, or nobody has heard of the refusal that it was taken at.  For the
 * worker alone, since nobody else knows that it does not read it.
 */
extern void pmon_want_start_snapshot(void);

#endif							/* PMON_START_SNAPSHOT_H */
