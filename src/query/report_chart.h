/*-------------------------------------------------------------------------
 *
 * report_chart.h
 *	  The report's chart of connections over time.
 *
 * The largest applications have a layer each, in the order of how many connections
 * they held on average; all others are one.  Who may not read the history sees
 * all connections as one layer, as in pool_monitor_utilization().
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_REPORT_CHART_H
#define PMON_REPORT_CHART_H

#include "query/report_query.h"

extern void pmon_report_chart(const PmonReport *report);

#endif							/* PMON_REPORT_CHART_H */
