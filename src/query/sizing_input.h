/*-------------------------------------------------------------------------
 *
 * sizing_input.h
 *	  What the formula for the size of a pool is given.
 *
 * The load comes from the history (load_reader.h), the formula is sizing.h's.
 * The declared pools are those of the process that asks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_SIZING_INPUT_H
#define PMON_SIZING_INPUT_H

#include "pure/pools.h"
#include "pure/sizing.h"
#include "query/load_reader.h"

/* The declared pool with that id in the history, or NULL */
extern const PmonPool *pmon_pool_by_id(uint32 id);

/* Its capacity; -1 for what is no declared pool, or has none */
extern int64 pmon_capacity_by_id(uint32 id);

/* What size a load wants, and of which part of it that is the size */
typedef struct PmonSizedLoad
{
	PmonSizingInput input;
	PmonSizingResult result;
	double		total_load;		/* erlangs, in the busiest minute of all */

	/*
	 * How many times as long as their transactions connections were held, in
	 * that minute; 1 where nothing says that it was longer
	 */
	double		held_times;

	/* long transactions that the size does not follow (long_holds.h) */
	int64		few_transactions;	/* 0: it follows all of them */
	int			few_seconds;	/* that each of them took at least */
	double		few_share;		/* of the time that connections were held */
} PmonSizedLoad;

/*
 * Size a load, for a wait and a percentile as in sizing.h.  Where few long
 * transactions would move the size by more than one, it is that of the others.
 * Returns false if the input makes no sense; the note says why.
 */
extern bool pmon_size_load(PmonSizedLoad *sized, const PmonLoad *load,
						   double wait_target, double percentile);

#endif							/* PMON_SIZING_INPUT_H */
