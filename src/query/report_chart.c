/*-------------------------------------------------------------------------
 *
 * report_chart.c
 *	  The report's chart of connections over time.
 *
 * See report_sections.h.  The periods are those of pool_monitor_utilization() and
 * pool_monitor_history(), asked with the same step, so that they have the same
 * starts.  A table beside the chart has the same figures: it is the legend, and what
 * who can not see the chart reads.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "executor/spi.h"

#include "query/history_reader.h"
#include "query/report_sections.h"
#include "query/report_svg.h"

/* Where samples are not kept any more, there is one figure a minute */
#define COARSEST_SAMPLES	USECS_PER_MINUTE

/* The most steps that the chart has */
#define MAX_PERIODS			120

/* In a query, the number of the layer for the others, counted from 1 */
#define LAST_LAYER			CppAsString2(PMON_CHART_LAYERS)

typedef struct Layer
{
	bool		exists;
	char	   *name;			/* NULL: the others */
	double		average;
	int			highest;		/* -1: not known */
} Layer;

typedef struct Picture
{
	PmonChart	chart;
	bool		applications;	/* may they be told apart? */
	int64		step;			/* of a period, in microseconds */
	Layer		layers[PMON_CHART_LAYERS];
	int64		rejected;
	int			highest;
	int			max_connections;
} Picture;

/*
 * A step for about a hundred periods, of what is kept; 0: nothing is.  They are
 * fewer where all applications that there may be would have too many rows.
 */
static int64
choose_step(const PmonReport *report)
{
	int			periods = Min(MAX_PERIODS, PMON_MAX_PERIOD_ROWS / 2 / pmon->max_groups);
	TimestampTz oldest;
	TimestampTz newest;
	TimestampTz since;
	TimestampTz until;

	pmon_history_range(&oldest, &newest);
	since = Max(report->since, oldest);
	until = Min(report->until, newest + 1);
	if (oldest == 0 || since >= until)
		return 0;

	/* that makes 60 out of what it is given */
	return pmon_default_step(since, since + (until - since) / Max(periods, 4) * 60);
}

static void
read_periods(const PmonReport *report, Picture *picture)
{
	PmonChart  *chart = &picture->chart;
	MemoryContext caller = CurrentMemoryContext;

	pmon_report_begin_query(report,
							"SELECT period_start, connections_avg, connections_max, max_connections, rejected"
							" FROM @extschema@.pool_monitor_utilization($1, $2, $3 * interval '1 microsecond')"
							" ORDER BY period_start",
							picture->step);
	chart->nperiods = SPI_processed;
	chart->periods = MemoryContextAllocZero(caller, sizeof(PmonChartPeriod) *
											Max(chart->nperiods, 1));
	for (int i = 0; i < chart->nperiods; i++)
	{
		PmonChartPeriod *period = &chart->periods[i];

		period->start = pmon_report_instant(i, 1);
		period->end = period->start + picture->step;
		period->layers[PMON_CHART_LAYERS - 1] = pmon_report_number(i, 2);
		period->highest = pmon_report_number(i, 3);
		period->max_connections = pmon_report_number(i, 4);
		period->rejected = pmon_report_number(i, 5);

		/* that of a minute lasts until the next minute */
		if (i > 0 && period->start - period[-1].start <= Max(picture->step, COARSEST_SAMPLES))
			period[-1].end = period->start;
		picture->rejected += period->rejected;
		picture->highest = Max(picture->highest, period->highest);
		picture->max_connections = period->max_connections;
	}
	pmon_report_end_query();
}

/* One row of the history: so many connections of that layer in that period */
static void
add_to_period(PmonChart *chart, TimestampTz start, int layer, double connections)
{
	int			low = 0;
	int			high = chart->nperiods - 1;

	while (low <= high)
	{
		int			middle = (low + high) / 2;
		PmonChartPeriod *period = &chart->periods[middle];

		if (period->start == start)
		{
			period->layers[layer] = connections;
			return;
		}
		if (period->start < start)
			low = middle + 1;
		else
			high = middle - 1;
	}
}

/* The applications, in place of the one layer that there is without them */
static void
read_applications(const PmonReport *report, Picture *picture)
{
	MemoryContext caller = CurrentMemoryContext;
	PmonChart  *chart = &picture->chart;

	for (int i = 0; i < chart->nperiods; i++)
		chart->periods[i].layers[PMON_CHART_LAYERS - 1] = 0;
	pmon_report_begin_query(report,
							"WITH history AS MATERIALIZED (SELECT *"
							" FROM @extschema@.pool_monitor_history($1, $2, $3 * interval '1 microsecond')),"
							" totals AS (SELECT application_name, sum(connections_avg * samples) AS total,"
							" max(connections_max) AS highest FROM history GROUP BY 1),"
							" ranked AS (SELECT *, least(row_number() OVER (ORDER BY total DESC, application_name), "
							LAST_LAYER ") AS layer FROM totals)"
							" SELECT layer, CASE WHEN layer < " LAST_LAYER " THEN application_name END,"
							" period_start, sum(connections_avg), max(highest)"
							" FROM history JOIN ranked USING (application_name) GROUP BY 1, 2, 3 ORDER BY 1, 3",
							picture->step);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		int			layer = (int) pmon_report_number(row, 1) - 1;
		const char *name = pmon_report_value(row, 2);
		Layer	   *its = &picture->layers[layer];

		if (!its->exists)
		{
			its->exists = true;
			its->name = name != NULL ? MemoryContextStrdup(caller, name) : NULL;
			its->highest = name != NULL ? (int) pmon_report_number(row, 5) : -1;
		}
		add_to_period(chart, pmon_report_instant(row, 3), layer, pmon_report_number(row, 4));
	}
	pmon_report_end_query();
}

static void
read_bands(const PmonReport *report, Picture *picture)
{
	PmonChart  *chart = &picture->chart;
	MemoryContext caller = CurrentMemoryContext;

	pmon_report_begin_query(report,
							"SELECT incident, started_at, coalesce(ended_at, 'infinity')"
							" FROM @extschema@.pool_monitor_incidents()"
							" WHERE started_at < $2 AND coalesce(ended_at, 'infinity') >= $1 ORDER BY started_at",
							0);
	chart->bands = MemoryContextAlloc(caller, sizeof(PmonChartBand) * Max(SPI_processed, 1));
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		PmonChartBand band;

		band.incident = (int64) pmon_report_number(row, 1);
		band.start = pmon_report_instant(row, 2);
		band.end = pmon_report_instant(row, 3);

		/* one that was over before anything that is shown has no place */
		if (band.end >= chart->periods[0].start &&
			band.start < chart->periods[chart->nperiods - 1].end)
			chart->bands[chart->nbands++] = band;
	}
	pmon_report_end_query();
}

/* The average of each layer over all periods, weighted by how long they are */
static void
average_layers(Picture *picture)
{
	const PmonChart *chart = &picture->chart;
	double		length = 0;

	for (int i = 0; i < chart->nperiods; i++)
	{
		const PmonChartPeriod *period = &chart->periods[i];
		double		seconds = (double) (period->end - period->start) / USECS_PER_SEC;

		length += seconds;
		for (int layer = 0; layer < PMON_CHART_LAYERS; layer++)
			picture->layers[layer].average += seconds * period->layers[layer];
	}
	for (int layer = 0; layer < PMON_CHART_LAYERS; layer++)
		picture->layers[layer].average /= length;
}

static const char *
layer_name(const Picture *picture, const Layer *layer)
{
	if (!picture->applications)
		return "all connections";
	return layer->name == NULL ? "all others" :
		layer->name[0] == '\0' ? "(empty)" : layer->name;
}

/* The times on the left and the right edge, in a sentence */
static void
put_range(const PmonReport *report, const Picture *picture)
{
	PmonReport	range = *report;

	range.since = picture->chart.periods[0].start;
	range.until = picture->chart.periods[picture->chart.nperiods - 1].end;
	pmon_report_begin_query(&range, "SELECT " PMON_INSTANT("$1") ", " PMON_INSTANT("$2"), 0);
	pmon_html_format(report->html, "From %s to %s. ", pmon_report_value(0, 1),
					 pmon_report_value(0, 2));
	pmon_report_end_query();
}

/* What a reader hears instead of seeing the chart */
static void
put_description(const PmonReport *report, const Picture *picture)
{
	PmonHtml   *html = report->html;
	const char *separator = "On average: ";

	put_range(report, picture);
	pmon_html_format(html, "At most %d connections at once; max_connections was %d. ",
					 picture->highest, picture->max_connections);
	for (int i = 0; i < PMON_CHART_LAYERS; i++)
	{
		const Layer *layer = &picture->layers[i];

		if (!layer->exists)
			continue;
		pmon_html_format(html, "%s%s %.1f", separator, layer_name(picture, layer), layer->average);
		separator = "; ";
	}
	pmon_html_format(html, ". Incidents: %d. Refused logins: " INT64_FORMAT ".",
					 picture->chart.nbands, picture->rejected);
}

static void
put_picture(const PmonReport *report, const Picture *picture)
{
	PmonHtml   *html = report->html;

	pmon_html_markup(html,
					 "<figure>\n<div class=\"scroll\" role=\"group\" tabindex=\"0\" aria-label=\"Chart of connections over time\">\n"
					 "<svg class=\"chart\" viewBox=\"" PMON_CHART_BOX "\" role=\"img\" aria-labelledby=\"chart-title chart-text\">\n"
					 "<title id=\"chart-title\">Connections over time by application</title>\n"
					 "<desc id=\"chart-text\">");
	put_description(report, picture);
	pmon_html_markup(html, "</desc>\n");
	pmon_svg_chart(html, &picture->chart);
	pmon_html_markup(html, "</svg>\n</div>\n<figcaption>");
	put_range(report, picture);
	pmon_html_markup(html,
					 "Layers: connections of each application, on average of a period. Thin line: the most at once. "
					 "Dashed line: max_connections. Shaded: incidents, with their numbers. "
					 "Arrows above: logins were refused.</figcaption>\n</figure>\n");
}

/* The legend */
static void
put_layers(PmonHtml *html, const Picture *picture)
{
	static const PmonHtmlColumn columns[] = {
		{"application", PMON_CELL_HEADER},
		{"average", PMON_CELL_NUMBER},
		{"most at once", PMON_CELL_NUMBER}
	};

	pmon_html_begin_table(html, "Connections by application, in the chart from the bottom up",
						  columns, lengthof(columns));
	for (int i = 0; i < PMON_CHART_LAYERS; i++)
	{
		const Layer *layer = &picture->layers[i];

		if (!layer->exists)
			continue;
		pmon_html_begin_row(html);
		appendStringInfo(&html->out,
						 "<th scope=\"row\"><svg class=\"key\" viewBox=\"0 0 12 12\" aria-hidden=\"true\"><rect class=\"s%d\" width=\"12\" height=\"12\"/></svg>",
						 i + 1);
		pmon_html_text(html, layer_name(picture, layer));
		pmon_html_markup(html, "</th>");
		pmon_html_cell(html, PMON_CELL_NUMBER, psprintf("%.1f", layer->average));
		pmon_html_cell(html, PMON_CELL_NUMBER, layer->highest >= 0 ? psprintf("%d", layer->highest) : NULL);
		pmon_html_end_row(html);
	}
	pmon_html_end_table(html);
}

void
pmon_report_chart(const PmonReport *report)
{
	Picture    *picture = palloc0(sizeof(Picture));
	Layer	   *last = &picture->layers[PMON_CHART_LAYERS - 1];

	picture->step = choose_step(report);
	if (picture->step > 0)
		read_periods(report, picture);
	if (picture->chart.nperiods == 0)
	{
		pmon_html_element(report->html, "p", "Nothing is kept of that time.");
		return;
	}

	picture->applications =
		pmon_report_may_call(report, "pool_monitor_history(timestamptz,timestamptz,interval)");
	if (picture->applications)
		read_applications(report, picture);
	else
	{
		last->exists = true;
		last->highest = picture->highest;
		pmon_html_element(report->html, "p",
						  "Which application had them is for members of pg_read_all_stats.");
	}
	if (pmon_report_may_call(report, "pool_monitor_incidents()"))
		read_bands(report, picture);
	average_layers(picture);
	put_picture(report, picture);
	put_layers(report->html, picture);
}
