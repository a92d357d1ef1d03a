/*-------------------------------------------------------------------------
 *
 * reset.h
 *	  Forgetting what was counted.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_RESET_H
#define PMON_RESET_H

#include "datatype/timestamp.h"

/*
 * Forget all statistics, history, incidents and terminations, as of now; or
 * the counters of one application.  Sessions in progress stay where they are.
 * Takes all locks, one after the other.
 */
extern void pmon_reset_all(TimestampTz now);
extern void pmon_reset_application(const char *application_name,
								   TimestampTz now);

/*
 * For those who have figures of their own: has all been forgotten since they
 * last asked?
 */
extern bool pmon_notice_reset(uint32 *noticed);

#endif							/* PMON_RESET_H */
