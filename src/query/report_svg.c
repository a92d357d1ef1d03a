/*-------------------------------------------------------------------------
 *
 * report_svg.c
 *	  Charts as inline SVG.
 *
 * See report_svg.h.  A period is as flat as what is known of it: one average and
 * one maximum, so the layers are steps, and where nothing was sampled there is
 * nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include <math.h>

#include "utils/timestamp.h"

#include "query/report_svg.h"

/* The plot within the chart */
#define LEFT		44
#define RIGHT		950
#define TOP			34
#define BOTTOM		306

/* Marks on the axes, and how far labels must be apart */
#define TIME_MARKS	8
#define LABEL_GAP	34

/* A mark of refused logins, an arrow above the plot */
#define MARK_TOP	4
#define MARK_BOTTOM	14

typedef struct Scale
{
	TimestampTz from;
	TimestampTz to;
	double		top;			/* connections at the upper edge */
} Scale;

static double
x_of(const Scale *scale, TimestampTz at)
{
	double		part = (double) (at - scale->from) / (double) (scale->to - scale->from);

	return LEFT + Min(Max(part, 0), 1) * (RIGHT - LEFT);
}

static double
y_of(const Scale *scale, double connections)
{
	return BOTTOM - connections / scale->top * (BOTTOM - TOP);
}

static int
highest_of(const PmonChart *chart)
{
	int			highest = 1;

	for (int i = 0; i < chart->nperiods; i++)
		highest = Max(highest, chart->periods[i].highest);
	return highest;
}

static int
limit_of(const PmonChart *chart)
{
	int			limit = 1;

	for (int i = 0; i < chart->nperiods; i++)
		limit = Max(limit, chart->periods[i].max_connections);
	return limit;
}

/*
 * Is the line of max_connections too far up to be drawn?  On a large server that is
 * nearly empty, it would flatten the rest.
 */
static bool
limit_is_above(const PmonChart *chart)
{
	return highest_of(chart) * 8 < limit_of(chart);
}

static Scale
scale_of(const PmonChart *chart)
{
	Scale		scale;
	int			highest = highest_of(chart);

	scale.from = chart->periods[0].start;
	scale.to = chart->periods[chart->nperiods - 1].end;
	scale.top = limit_is_above(chart) ? highest * 1.5 :
		Max(highest, limit_of(chart));
	return scale;
}

/*
 * The sum of the first layers of a period
 */
static double
sum_below(const PmonChartPeriod *period, int layer)
{
	double		sum = 0;

	for (int i = 0; i < layer; i++)
		sum += period->layers[i];
	return sum;
}

/* The first period after a run without a gap */
static int
end_of_run(const PmonChart *chart, int first)
{
	int			i = first + 1;

	while (i < chart->nperiods &&
		   chart->periods[i].start == chart->periods[i - 1].end)
		i++;
	return i;
}

/* One layer: along its upper edge, and back along the lower one */
static void
put_layer(StringInfo out, const PmonChart *chart, const Scale *scale, int layer)
{
	bool		any = false;

	for (int i = 0; i < chart->nperiods; i++)
		any |= chart->periods[i].layers[layer] > 0;
	if (!any)
		return;

	appendStringInfo(out, "<path class=\"s%d\" d=\"", layer + 1);
	for (int first = 0, end; first < chart->nperiods; first = end)
	{
		end = end_of_run(chart, first);
		appendStringInfo(out, "M%.1f %.1f", x_of(scale, chart->periods[first].start),
						 y_of(scale, sum_below(&chart->periods[first], layer)));
		for (int i = first; i < end; i++)
			appendStringInfo(out, "V%.1fH%.1f",
							 y_of(scale, sum_below(&chart->periods[i], layer + 1)),
							 x_of(scale, chart->periods[i].end));
		for (int i = end - 1; i >= first; i--)
			appendStringInfo(out, "V%.1fH%.1f",
							 y_of(scale, sum_below(&chart->periods[i], layer)),
							 x_of(scale, chart->periods[i].start));
		appendStringInfoChar(out, 'Z');
	}
	appendStringInfoString(out, "\"/>\n");
}

/* A stepped line through one figure of each period */
static void
put_line(StringInfo out, const PmonChart *chart, const Scale *scale,
		 const char *class, bool is_limit)
{
	appendStringInfo(out, "<path class=\"%s\" d=\"", class);
	for (int first = 0, end; first < chart->nperiods; first = end)
	{
		end = end_of_run(chart, first);
		for (int i = first; i < end; i++)
		{
			const PmonChartPeriod *period = &chart->periods[i];
			double		y = y_of(scale, is_limit ? period->max_connections : period->highest);

			if (i == first)
				appendStringInfo(out, "M%.1f %.1f", x_of(scale, period->start), y);
			else
				appendStringInfo(out, "V%.1f", y);
			appendStringInfo(out, "H%.1f", x_of(scale, period->end));
		}
	}
	appendStringInfoString(out, "\"/>\n");
}

/* Incidents, with their numbers where there is room; short ones can be seen, too */
static void
put_bands(StringInfo out, const PmonChart *chart, const Scale *scale)
{
	double		labelled = LEFT - LABEL_GAP;

	for (int i = 0; i < chart->nbands; i++)
	{
		const PmonChartBand *band = &chart->bands[i];
		double		x = x_of(scale, band->start);
		double		width = Max(x_of(scale, band->end) - x, 3);

		appendStringInfo(out, "<rect class=\"band\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>\n",
						 x, TOP, width, BOTTOM - TOP);
		if (x - labelled < LABEL_GAP || x > RIGHT - LABEL_GAP)
			continue;
		appendStringInfo(out, "<text class=\"band-label\" x=\"%.1f\" y=\"%d\">#" INT64_FORMAT "</text>\n",
						 x + 3, TOP + 14, band->incident);
		labelled = x;
	}
}

/* Arrows that turn back above the plot: logins that were refused */
static void
put_rejections(StringInfo out, const PmonChart *chart, const Scale *scale)
{
	for (int i = 0; i < chart->nperiods; i++)
	{
		const PmonChartPeriod *period = &chart->periods[i];
		double		x = (x_of(scale, period->start) + x_of(scale, period->end)) / 2;

		if (period->rejected > 0)
			appendStringInfo(out, "<path class=\"mark\" d=\"M%.1f %dh10l-5 %dz\"/>\n",
							 x - 5, MARK_TOP, MARK_BOTTOM - MARK_TOP);
	}
}

/* 1, 2 or 5 times a power of ten, so that about four fit */
static double
round_step(double range)
{
	double		power = pow(10, floor(log10(Max(range, 4) / 4)));
	double		units = range / 4 / power;

	return Max((units < 2 ? 1 : units < 5 ? 2 : 5) * power, 1);
}

static void
put_connections_axis(StringInfo out, const Scale *scale)
{
	double		step = round_step(scale->top);

	for (double n = 0; n <= scale->top; n += step)
	{
		double		y = y_of(scale, n);

		appendStringInfo(out, "<path class=\"grid\" d=\"M%d %.1fH%d\"/>", LEFT, y, RIGHT);
		appendStringInfo(out, "<text class=\"axis end\" x=\"%d\" y=\"%.1f\">%.0f</text>\n",
						 LEFT - 6, y + 4, n);
	}
}

/* A step that makes few marks out of a time */
static int64
time_step(int64 length)
{
	static const int seconds[] = {
		1, 5, 10, 30, 60, 120, 300, 600, 900, 1800, 3600, 2 * 3600, 3 * 3600,
		6 * 3600, 12 * 3600, 24 * 3600
	};

	for (int i = 0; i < lengthof(seconds); i++)
	{
		if (length / (seconds[i] * USECS_PER_SEC) <= TIME_MARKS)
			return seconds[i] * USECS_PER_SEC;
	}
	return (length / TIME_MARKS / USECS_PER_DAY + 1) * USECS_PER_DAY;
}

/* At round times of the session's time zone */
static void
put_time_axis(StringInfo out, const Scale *scale)
{
	int64		step = time_step(scale->to - scale->from);
	int64		offset;
	struct pg_tm tm;
	fsec_t		fsec;
	int			zone;

	if (timestamp2tm(scale->from, &zone, &tm, &fsec, NULL, session_timezone) != 0)
		return;
	offset = zone * USECS_PER_SEC;
	for (TimestampTz at = ((scale->from - offset) / step + 1) * step + offset;
		 at < scale->to; at += step)
	{
		double		x = x_of(scale, at);

		if (timestamp2tm(at, &zone, &tm, &fsec, NULL, session_timezone) != 0)
			return;
		appendStringInfo(out, "<path class=\"tick\" d=\"M%.1f %dv5\"/>", x, BOTTOM);
		if (x < LEFT + LABEL_GAP / 2 || x > RIGHT - LABEL_GAP / 2)
			continue;
		appendStringInfo(out, "<text class=\"axis middle\" x=\"%.1f\" y=\"%d\">", x, BOTTOM + 20);
		if (step >= USECS_PER_DAY || (tm.tm_hour == 0 && tm.tm_min == 0 && tm.tm_sec == 0))
			appendStringInfo(out, "%02d-%02d</text>\n", tm.tm_mon, tm.tm_mday);
		else if (step < USECS_PER_MINUTE)
			appendStringInfo(out, "%02d:%02d:%02d</text>\n", tm.tm_hour, tm.tm_min, tm.tm_sec);
		else
			appendStringInfo(out, "%02d:%02d</text>\n", tm.tm_hour, tm.tm_min);
	}
}

static void
put_limit(StringInfo out, const PmonChart *chart, const Scale *scale)
{
	if (limit_is_above(chart))
		appendStringInfo(out, "<text class=\"limit-label end\" x=\"%d\" y=\"%d\">max_connections is at %d, above this picture</text>\n",
						 RIGHT, TOP - 4, limit_of(chart));
	else
	{
		put_line(out, chart, scale, "limit", true);
		appendStringInfo(out, "<text class=\"limit-label end\" x=\"%d\" y=\"%.1f\">max_connections</text>\n",
						 RIGHT, y_of(scale, chart->periods[chart->nperiods - 1].max_connections) - 4);
	}
}

void
pmon_svg_chart(PmonHtml *html, const PmonChart *chart)
{
	Scale		scale = scale_of(chart);
	StringInfo	out = &html->out;

	put_connections_axis(out, &scale);
	for (int layer = 0; layer < PMON_CHART_LAYERS; layer++)
		put_layer(out, chart, &scale, layer);
	put_bands(out, chart, &scale);
	put_line(out, chart, &scale, "highest", false);
	put_limit(out, chart, &scale);
	put_rejections(out, chart, &scale);
	put_time_axis(out, &scale);
}

void
pmon_svg_bar(PmonHtml *html, int y, double scale, int64 capacity,
			 int64 checked_out, int64 total, int64 peak)
{
	appendStringInfo(&html->out,
					 "<rect class=\"in\" x=\"1\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>"
					 "<rect class=\"out\" x=\"1\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>"
					 "<rect class=\"capacity\" x=\"1\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>\n",
					 y, Max(total, 0) * scale, PMON_BAR_HEIGHT,
					 y, Max(checked_out, 0) * scale, PMON_BAR_HEIGHT,
					 y, Max(capacity, 0) * scale, PMON_BAR_HEIGHT);
	if (peak > 0)
		appendStringInfo(&html->out, "<path class=\"peak\" d=\"M%.1f %dv%d\"/>\n",
						 Max(peak * scale - 0.5, 2), y - 2, PMON_BAR_HEIGHT + 4);
}
