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

/* Fill in what was measured and what is wanted, which is as in sizing.h. */
extern void pmon_fill_sizing_input(PmonSizingInput *input, const PmonLoad *load,
								   double wait_target, double percentile);

#endif							/* PMON_SIZING_INPUT_H */
