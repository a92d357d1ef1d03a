/*-------------------------------------------------------------------------
 *
 * diagnosis_facts.h
 *	  Gathers the facts that a diagnosis is made from.
 *
 * They come from one reading of the sessions and of the locks, from the history
 * and the incidents since some time, and from what was counted.  What the reader
 * may not see is left out: without pg_read_all_stats that is all that has the
 * name of somebody else's session in it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_DIAGNOSIS_FACTS_H
#define PMON_DIAGNOSIS_FACTS_H

#include "pure/diagnosis.h"

#define PMON_WITHOUT_HISTORY	600.0	/* seconds; also in the SQL of health */

/*
 * Gather the facts, looking so many seconds back; palloc'd.  The history, of which
 * there can be a gigabyte to be read, is left out where that is no more than
 * PMON_WITHOUT_HISTORY: for whoever asks often.  Works without the
 * preloaded library, with what there is then.  May raise an error; takes the
 * locks of what it reads, one after the other.
 */
extern PmonFacts *pmon_gather_facts(double since);

#endif							/* PMON_DIAGNOSIS_FACTS_H */
