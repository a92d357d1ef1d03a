/*-------------------------------------------------------------------------
 *
 * hold_account.h
 *	  Counts what holds connections, sample by sample, and writes it down by the
 *	  minute; see shared/holds.h.
 *
 * For the worker alone, in memory of a fixed size.  A session's tags are read only
 * when it runs another statement than in the sample before, and no more than a
 * kilobyte of that.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_HOLD_ACCOUNT_H
#define PMON_HOLD_ACCOUNT_H

#include "datatype/timestamp.h"
#include "pure/session_state.h"

/* Allocate what is needed, in the current memory context. */
extern void pmon_hold_account_init(void);

/* A sample begins: write the minute down that is over. */
extern void pmon_begin_holds(TimestampTz at);

/* The sample has found a session that is checked out. */
extern void pmon_count_hold(int slot, PmonState state);

/*
 * Ask for the cache lines that counting it will take, if it is at what it was at
 * in the sample before: where that is noted, and a moment later the hold.
 */
extern void pmon_prefetch_slot_hold(int slot);
extern void pmon_prefetch_hold(int slot);

/* Write down what there is of the current minute. */
extern void pmon_flush_holds(void);

#endif							/* PMON_HOLD_ACCOUNT_H */
