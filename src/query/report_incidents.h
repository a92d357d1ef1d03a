/*-------------------------------------------------------------------------
 *
 * report_incidents.h
 *	  The report's incidents: who held the slots, and who blocked whom.
 *
 * All incidents of the time are listed; of the latest few there are the largest
 * holders at their start and at their peak, and the sessions that others waited
 * for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_REPORT_INCIDENTS_H
#define PMON_REPORT_INCIDENTS_H

#include "query/report_query.h"

extern void pmon_report_incidents(const PmonReport *report);

#endif							/* PMON_REPORT_INCIDENTS_H */
