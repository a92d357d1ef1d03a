/*-------------------------------------------------------------------------
 *
 * pool_states.h
 *	  What is remembered of each declared pool.
 *
 * The worker looks after it, under PmonLock(), exclusively; who ends a session
 * counts that here, under the same lock.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_POOL_STATES_H
#define PMON_POOL_STATES_H

#include "pure/checked_out.h"
#include "shared/shared_state.h"

/*
 * What is kept of a declared pool, by its name; the worker looks after it.
 * The counts are of the last sample.
 */
typedef struct PmonPoolState
{
	char		name[NAMEDATALEN];	/* empty: an unused place */
	int			connections;
	int			checked_out;
	PmonPeak	peak_checked_out;
	bool		exhausted;		/* as it was logged */
	int			samples_below;	/* in a row, while exhausted */
	TimestampTz last_exhausted_at;	/* 0: never seen */
	PmonOpening opening;		/* see worker/openings.h */

	/*
	 * Sessions that we ended in a transaction, which their pool had out; how
	 * many of them the worker knows of, and since when there are no more
	 */
	uint64		ended_checked_out;
	uint64		ended_noted;
	TimestampTz ended_noted_at;
} PmonPoolState;

#define PMON_POOL_STATES_BYTES	(sizeof(PmonPoolState) * PMON_MAX_POOLS)

/* PMON_MAX_POOLS of them, in the order of the declaration; valid whenever pmon is */
extern PmonPoolState *pmon_pool_states;

/* Ask for the memory.  Called from _PG_init(). */
extern void pmon_request_pool_states(void);

/*
 * Copy what is remembered of the pool of that name.  Returns false if there
 * is nothing, or the library is not preloaded.  Takes PmonLock(), shared.
 */
extern bool pmon_copy_pool_state(const char *name, PmonPoolState *state);

/*
 * Count a session of the pool of that name that was ended while it was checked
 * out.  A pool that no sample has seen since it was declared has no count.
 * Takes PmonLock(), exclusively.
 */
extern void pmon_count_ended_checked_out(const char *name);

/* Forget the peaks and the counts.  Wants PmonLock() exclusively. */
extern void pmon_reset_pool_states(void);

#endif							/* PMON_POOL_STATES_H */
