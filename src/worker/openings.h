/*-------------------------------------------------------------------------
 *
 * openings.h
 *	  When declared pools opened connections for want of a free one, and what
 *	  that proves; see pure/checked_out.h.
 *
 * For the worker alone.  All of it follows from instants that are in the status
 * array; a session adds nothing.  What came and went between two samples was not
 * there.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_OPENINGS_H
#define PMON_OPENINGS_H

#include "pure/checked_out.h"

/* Allocate what is needed, in the current memory context. */
extern void pmon_openings_init(void);

/* A sample begins.  The first one after a new declaration knows nothing of before. */
extern void pmon_begin_openings(TimestampTz at);

/*
 * It has found a session of a pool that was not there before.  One that is not new
 * has come under another name: nobody opened it for this pool.
 */
extern void pmon_note_arrival(int pool, int slot, bool is_new);

/* It has found an idle session of a pool that may be checked out all the same. */
extern void pmon_note_idle(int pool, int slot);

/*
 * The sample is complete.  Fills in how many of each pool's idle sessions are
 * checked out, at least, from how many sessions it has, and how many are idle.
 */
extern void pmon_finish_openings(const int *connections, const int *idle,
								 int *held_idle);

/*
 * The opening of a pool, as of this sample, for others to know; and the instant
 * at which an opening filled the pool since the last sample, or 0.
 */
extern const PmonOpening *pmon_pool_opening(int pool);
extern TimestampTz pmon_filled_at(int pool);

#endif							/* PMON_OPENINGS_H */
