/*-------------------------------------------------------------------------
 *
 * sql_history.c
 *	  SQL functions that show the past.
 *
 * They add the history up by periods (history_reader.h), of which each is a row,
 * or a character of a chart.  Who may see them is a matter of GRANT alone, since
 * the history knows applications, but not whose they are.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "query/arguments.h"
#include "query/history_reader.h"
#include "query/result_set.h"

PG_FUNCTION_INFO_V1(pool_monitor_history);
PG_FUNCTION_INFO_V1(pool_monitor_utilization);
PG_FUNCTION_INFO_V1(pool_monitor_chart);

/* The longest that a chart gets, in characters */
#define MAX_CHART_WIDTH		120

/*
 * Read the history for the arguments since, until and step.  A null since or
 * until is no bound.
 */
static PmonPeriods *
read_arguments(FunctionCallInfo fcinfo, bool applications)
{
	TimestampTz oldest;
	TimestampTz newest;
	TimestampTz since;
	TimestampTz until;
	int64		step;

	pmon_require_worker();
	InitMaterializedSRF(fcinfo, 0);

	pmon_history_range(&oldest, &newest);
	since = PG_ARGISNULL(0) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(0);
	until = PG_ARGISNULL(1) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(1);
	if (PG_ARGISNULL(2))
		step = pmon_default_step(Max(since, oldest), Min(until, newest));
	else
		step = pmon_interval_argument(PG_GETARG_INTERVAL_P(2), "step");
	return pmon_read_history(since, until, step, applications);
}

/* The average and the maximum of a figure */
static void
put_figure(PmonRow *row, const PmonPeriod *period, PmonFigure figure)
{
	pmon_put_estimate(row, period->sums[figure] / Max(period->samples, 1));
	pmon_put_int(row, period->maxima[figure]);
}

Datum
pool_monitor_history(PG_FUNCTION_ARGS)
{
	PmonPeriods *periods = read_arguments(fcinfo, true);

	for (int i = 0; i < periods->nperiods; i++)
	{
		PmonPeriod *period = periods->periods[i];
		PmonRow		row = {0};

		CHECK_FOR_INTERRUPTS();
		if (period->id == PMON_SERVER_ID)
			continue;
		pmon_put_instant(&row, period->start);
		pmon_put_text(&row, period->application_name);
		pmon_put_bigint(&row, period->samples);
		for (int f = 0; f < PMON_FIGURES; f++)
			put_figure(&row, period, f);
		pmon_add_row(fcinfo, &row);
	}
	return (Datum) 0;
}

Datum
pool_monitor_utilization(PG_FUNCTION_ARGS)
{
	PmonPeriods *periods = read_arguments(fcinfo, false);

	for (int i = 0; i < periods->nperiods; i++)
	{
		PmonPeriod *period = periods->periods[i];
		PmonRow		row = {0};

		CHECK_FOR_INTERRUPTS();
		if (period->id != PMON_SERVER_ID)
			continue;
		pmon_put_instant(&row, period->start);
		pmon_put_bigint(&row, period->samples);
		pmon_put_int(&row, period->max_connections);
		put_figure(&row, period, PMON_CONNECTIONS);
		put_figure(&row, period, PMON_ACTIVE);
		put_figure(&row, period, PMON_IDLE_IN_TRANSACTION);
		pmon_put_estimate(&row, period->utilization_max);
		pmon_put_bigint(&row, period->rejected);
		pmon_put_bigint(&row, period->terminated);
		pmon_add_row(fcinfo, &row);
	}
	return (Datum) 0;
}

static PmonFigure
figure_by_name(const char *name)
{
	static const char *const names[PMON_FIGURES] = {
		"connections", "active", "idle", "idle_in_transaction", "checked_out"
	};

	for (int f = 0; f < PMON_FIGURES; f++)
	{
		if (strcmp(name, names[f]) == 0)
			return f;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized metric \"%s\"", name),
			 errhint("Available metrics: connections, active, idle, idle_in_transaction, checked_out.")));
}

/* Blocks of a line in a chart */
#define LEVELS	8

/*
 * One character for each of n values, from 0 to the largest of them; a blank
 * where known[i] is false.  palloc'd, in the server's encoding: Unicode blocks
 * where that and the client's are UTF-8, ASCII characters of growing weight
 * elsewhere.
 */
static char *
sparkline(const int *values, const bool *known, int n)
{
	/* U+2581 to U+2588, lower one eighth block to full block */
	static const char *const blocks[LEVELS] = {
		"\xE2\x96\x81", "\xE2\x96\x82", "\xE2\x96\x83", "\xE2\x96\x84",
		"\xE2\x96\x85", "\xE2\x96\x86", "\xE2\x96\x87", "\xE2\x96\x88"
	};
	static const char *const ascii[LEVELS] = {
		"_", ".", ":", "-", "=", "+", "*", "#"
	};
	int			client = pg_get_client_encoding();
	const char *const *levels = GetDatabaseEncoding() == PG_UTF8 &&
	(client == PG_UTF8 || client == PG_SQL_ASCII) ? blocks : ascii;
	StringInfoData line;
	int			largest = 0;

	initStringInfo(&line);
	for (int i = 0; i < n; i++)
	{
		if (known[i])
			largest = Max(largest, values[i]);
	}

	for (int i = 0; i < n; i++)
	{
		int			level = 0;

		if (!known[i])
		{
			appendStringInfoChar(&line, ' ');
			continue;
		}

		/* the lowest one is for 0 alone */
		if (values[i] > 0)
			level = (int) (((int64) values[i] * (LEVELS - 1) + largest - 1) / largest);
		appendStringInfoString(&line, levels[level]);
	}
	return line.data;
}

/* One application's line in the chart */
static void
add_chart_row(FunctionCallInfo fcinfo, const char *application_name,
			  const int *maxima, const bool *sampled, int width,
			  double sum, int64 samples)
{
	PmonRow		row = {0};
	int			minimum = -1;
	int			maximum = 0;

	for (int i = 0; i < width; i++)
	{
		if (!sampled[i])
			continue;
		minimum = minimum < 0 ? maxima[i] : Min(minimum, maxima[i]);
		maximum = Max(maximum, maxima[i]);
	}

	pmon_put_text(&row, application_name);
	pmon_put_int(&row, Max(minimum, 0));
	pmon_put_estimate(&row, sum / Max(samples, 1));
	pmon_put_int(&row, maximum);
	pmon_put_text(&row, sparkline(maxima, sampled, width));
	pmon_add_row(fcinfo, &row);
}

static int
compare_by_name(const void *a, const void *b)
{
	const PmonPeriod *left = *(PmonPeriod *const *) a;
	const PmonPeriod *right = *(PmonPeriod *const *) b;
	int			result = strcmp(left->application_name, right->application_name);

	if (result != 0)
		return result;
	return (left->start > right->start) - (left->start < right->start);
}

/*
 * One row an application: its periods stand side by side.  A period of which
 * nothing is known stays blank; in one that has samples but does not show the
 * application, it had no sessions.
 */
static void
add_chart(FunctionCallInfo fcinfo, PmonPeriods *periods, PmonFigure figure,
		  TimestampTz first, int64 step, int width)
{
	PmonPeriod **sorted = palloc(sizeof(PmonPeriod *) * Max(periods->nperiods, 1));
	bool	   *sampled = palloc0(sizeof(bool) * width);
	int		   *maxima = palloc(sizeof(int) * width);
	int64		samples = 0;
	int			n = 0;

	for (int i = 0; i < periods->nperiods; i++)
	{
		PmonPeriod *period = periods->periods[i];

		if (period->id == PMON_SERVER_ID)
		{
			sampled[(period->start - first) / step] = true;
			samples += period->samples;
		}
		else
			sorted[n++] = period;
	}
	qsort(sorted, n, sizeof(PmonPeriod *), compare_by_name);

	for (int start = 0; start < n;)
	{
		double		sum = 0;
		int			i = start;

		memset(maxima, 0, sizeof(int) * width);
		for (; i < n && strcmp(sorted[i]->application_name,
							   sorted[start]->application_name) == 0; i++)
		{
			maxima[(sorted[i]->start - first) / step] = sorted[i]->maxima[figure];
			sum += sorted[i]->sums[figure];
		}
		add_chart_row(fcinfo, sorted[start]->application_name, maxima, sampled,
					  width, sum, samples);
		start = i;
	}
}

/* How far back anything is kept */
static int64
kept_length(TimestampTz until)
{
	TimestampTz oldest;
	TimestampTz newest;

	pmon_history_range(&oldest, &newest);
	return Max(oldest == 0 ? 0 : until - oldest, USECS_PER_SEC);
}

Datum
pool_monitor_chart(PG_FUNCTION_ARGS)
{
	TimestampTz until = GetCurrentTimestamp();
	PmonFigure	figure;
	TimestampTz first;
	int64		length;
	int64		step;

	pmon_require_not_null(fcinfo, 0, "metric");
	figure = figure_by_name(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	pmon_require_worker();
	InitMaterializedSRF(fcinfo, 0);
	length = PG_ARGISNULL(1) ? kept_length(until) :
		pmon_interval_argument(PG_GETARG_INTERVAL_P(1), "since");

	/* whatever is asked for, nothing is kept of the time before 2000 */
	length = Min(length, until);
	step = pmon_default_step(until - length, until);
	step = Max(step, length / (MAX_CHART_WIDTH - 2));
	first = (until - length) / step * step;
	add_chart(fcinfo, pmon_read_history(first, until, step, true), figure, first, step,
			  (until - first) / step + 1);
	return (Datum) 0;
}
