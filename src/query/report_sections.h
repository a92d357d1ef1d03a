/*-------------------------------------------------------------------------
 *
 * report_sections.h
 *	  The report's sections, in their order.
 *
 * A section for which the user has no privilege, or that needs the library
 * preloaded where it is not, says so in place of its figures.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_REPORT_SECTIONS_H
#define PMON_REPORT_SECTIONS_H

#include "query/report_query.h"

extern void pmon_report_sections(const PmonReport *report);

/*
 * The chart of connections over time, in report_chart.c.  The largest applications
 * have a layer each, in the order of how many connections they held on average; all
 * others are one.  Who may not read the history sees all connections as one layer,
 * as in pool_monitor_utilization().
 */
extern void pmon_report_chart(const PmonReport *report);

/*
 * Who held the slots, and who blocked whom, in report_incidents.c.  All incidents
 * of the time are listed; of the latest few there are the largest holders at their
 * start and at their peak, and the sessions that others waited for.
 */
extern void pmon_report_incidents(const PmonReport *report);

/* What the report is to a browser, and how it looks, in report_style.c */
extern void pmon_report_head(PmonHtml *html);

#endif							/* PMON_REPORT_SECTIONS_H */
