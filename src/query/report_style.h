/*-------------------------------------------------------------------------
 *
 * report_style.h
 *	  The report's head: what it is to a browser, and how it looks.
 *
 * One file from 360 to 1,600 pixels: what is wider than the page scrolls in a
 * container of its own.  All colors are variables, in two sets, for light and for
 * dark; paper is light.  Text has a contrast of 4.5 to 1 at least in both, shapes
 * of 3 to 1.  A policy forbids the browser to run or to load anything, should
 * something get past the escaping.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_REPORT_STYLE_H
#define PMON_REPORT_STYLE_H

#include "query/report_html.h"

extern void pmon_report_head(PmonHtml *html);

#endif							/* PMON_REPORT_STYLE_H */
