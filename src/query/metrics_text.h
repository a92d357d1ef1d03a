/*-------------------------------------------------------------------------
 *
 * metrics_text.h
 *	  All figures as a text for Prometheus.
 *
 * All live figures are of one reading of the sessions, but for the findings, and
 * all counters of groups are of one instant.  Where the library is not preloaded, the live
 * figures are there and the others are not.
 *
 * The text is in the encoding of the database.  What of a name that can not hold
 * is a question mark in it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_METRICS_TEXT_H
#define PMON_METRICS_TEXT_H

#include "query/openmetrics.h"

/*
 * The whole text, palloc'd.  Wants a transaction with a snapshot, and looks into
 * catalogs with the eyes of the current user.
 */
extern const char *pmon_make_metrics(PmonMetricsFormat format);

/*
 * Add the family of connections held, on average over the last minute that is
 * whole, in metrics_holds.c: a series for each application and set of tags, the
 * most largest of them; the rest is "<other>".  None if most is 0, or there is no
 * such minute.
 */
extern void pmon_put_held_connections(PmonExposition *out, int most);

#endif							/* PMON_METRICS_TEXT_H */
