/*-------------------------------------------------------------------------
 *
 * report_svg.h
 *	  Charts as inline SVG.
 *
 * Figures in, shapes out: nothing here asks the server for anything.  No text of
 * a client gets into a chart; names stand in the table beside it, or are put into
 * its description by whoever calls.  Colors are classes of the style sheet, so
 * that they follow the reader's theme.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_REPORT_SVG_H
#define PMON_REPORT_SVG_H

#include "datatype/timestamp.h"

#include "query/report_html.h"

/* Applications that have a layer of their own; one more for the others */
#define PMON_CHART_APPLICATIONS		8
#define PMON_CHART_LAYERS			(PMON_CHART_APPLICATIONS + 1)

typedef struct PmonChartPeriod
{
	TimestampTz start;
	TimestampTz end;
	double		layers[PMON_CHART_LAYERS];	/* averages, the lowest first */
	int			highest;
	int			max_connections;
	int64		rejected;
} PmonChartPeriod;

typedef struct PmonChartBand
{
	int64		incident;
	TimestampTz start;
	TimestampTz end;
} PmonChartBand;

typedef struct PmonChart
{
	int			nperiods;
	PmonChartPeriod *periods;	/* by time, at least one */
	int			nbands;
	PmonChartBand *bands;		/* by time */
} PmonChart;

/*
 * The shapes of the chart of connections: layers, the highest number at once, the
 * line of max_connections, incidents, refused logins and both axes.  The caller
 * has opened the svg element, with that viewBox.
 */
#define PMON_CHART_BOX		"0 0 960 340"
extern void pmon_svg_chart(PmonHtml *html, const PmonChart *chart);

/* One pool: of its capacity, what is checked out and checked in now, and the peak */
#define PMON_BAR_WIDTH		960
#define PMON_BAR_HEIGHT		18
extern void pmon_svg_bar(PmonHtml *html, int y, double scale, int64 capacity,
						 int64 checked_out, int64 total, int64 peak);

#endif							/* PMON_REPORT_SVG_H */
