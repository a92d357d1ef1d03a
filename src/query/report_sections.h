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

#endif							/* PMON_REPORT_SECTIONS_H */
