/*-------------------------------------------------------------------------
 *
 * sampler.h
 *	  Takes one sample of all sessions and updates what is derived from it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_SAMPLER_H
#define PMON_SAMPLER_H

#include "shared/shared_state.h"

/*
 * Allocate what a sample needs, in the current memory context.  Called once,
 * by the worker; taking a sample allocates nothing.
 */
extern void pmon_sampler_init(void);

/*
 * Take one sample.  missed is how many samples before this one were not taken
 * in time.  Takes PmonLock() exclusively, for the time it takes to update the
 * groups that have sessions.
 */
extern void pmon_take_sample(uint64 missed);

#endif							/* PMON_SAMPLER_H */
