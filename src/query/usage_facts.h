/*-------------------------------------------------------------------------
 *
 * usage_facts.h
 *	  How connections are used, and were used at the peak of an incident.
 *
 * Sessions are added up by application, pool and use.  Of an incident that is
 * over, its holders were added up before, and by less: what is known of one
 * session of each stands for all of them, so that their numbers are bounds.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_USAGE_FACTS_H
#define PMON_USAGE_FACTS_H

#include "pure/diagnosis.h"
#include "query/live_sessions.h"

/*
 * Add the moment that was read, or those of the incidents since then that have
 * ended, or whose worst is over, the last ones first.  palloc'd; sessions that the reader may not see
 * are left out, and incidents where he may not see all.
 */
extern void pmon_add_live_moment(PmonFacts *facts, PmonLive *live,
								 const PmonLockWaits *waits);
extern void pmon_add_past_moments(PmonFacts *facts, PmonLive *live,
								  TimestampTz since);

#endif							/* PMON_USAGE_FACTS_H */
