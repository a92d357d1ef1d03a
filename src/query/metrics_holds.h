/*-------------------------------------------------------------------------
 *
 * metrics_holds.h
 *	  Which code holds connections, as metrics.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_METRICS_HOLDS_H
#define PMON_METRICS_HOLDS_H

#include "query/openmetrics.h"

/*
 * Add the family of connections held, on average over the last minute that is
 * whole: a series for each application and set of tags, the most largest of them;
 * the rest is "<other>".  None if most is 0, or there is no such minute.
 */
extern void pmon_put_held_connections(PmonExposition *out, int most);

#endif							/* PMON_METRICS_HOLDS_H */
