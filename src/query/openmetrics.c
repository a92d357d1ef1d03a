/*-------------------------------------------------------------------------
 *
 * openmetrics.c
 *	  Writes metrics as text: in OpenMetrics' format, or in Prometheus' older one.
 *
 * Hold times are exposed with far fewer buckets than we count them in.  "le"
 * is inclusive, and hold times are whole microseconds, so the bucket of those
 * below 2^k microseconds has the bound 2^k - 1: each count is then exact, not
 * off by those that hit the bound.
 *
 * OpenMetrics ends with "# EOF", here without a line feed, as the format allows:
 * psql adds one, and nothing may follow it.  See also openmetrics.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "query/openmetrics.h"

#define PREFIX		"pool_monitor_"

/*
 * Bounds of the buckets that are exposed, as powers of two of microseconds.
 * From 1 ms to 1 min each is twice the one before, so that an interpolated
 * percentile is off by less than a factor of 2.
 */
static const int hold_bounds[] = {
	8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 28, 32
};

typedef enum MetricType
{
	TYPE_GAUGE,
	TYPE_COUNTER,
	TYPE_HISTOGRAM
} MetricType;

static const char *const type_names[] = {"gauge", "counter", "histogram"};

/* A unit is also the last part of the name */
typedef struct Descriptor
{
	const char *name;
	MetricType	type;
	const char *unit;			/* NULL: a plain number */
	const char *help;
} Descriptor;

static const Descriptor descriptors[PMON_METRICS] = {
	[PMON_METRIC_STATUS] = {"status", TYPE_GAUGE, NULL,
	"Status of the server: 1 for the one that it has; exhausted is no slot left for an ordinary role."},
	[PMON_METRIC_SERVER_CONNECTIONS] = {"server_connections", TYPE_GAUGE, NULL,
	"Sessions of the whole server by state."},
	[PMON_METRIC_MAX_CONNECTIONS] = {"max_connections", TYPE_GAUGE, NULL,
	"The setting max_connections."},
	[PMON_METRIC_RESERVED_CONNECTIONS] = {"reserved_connections", TYPE_GAUGE, NULL,
	"Connection slots that ordinary roles can not use."},
	[PMON_METRIC_AVAILABLE_CONNECTIONS] = {"available_connections", TYPE_GAUGE, NULL,
	"Connection slots that ordinary roles can still take."},
	[PMON_METRIC_UTILIZATION] = {"utilization_ratio", TYPE_GAUGE, "ratio",
	"Sessions divided by the slots for ordinary roles; above 1 while reserved slots are in use."},
	[PMON_METRIC_PEAK_CONNECTIONS] = {"peak_connections", TYPE_GAUGE, NULL,
	"Highest number of sessions at once since the last reset, exact."},
	[PMON_METRIC_REJECTED] = {"rejected", TYPE_COUNTER, NULL,
	"Logins refused for want of a connection (SQLSTATE 53300), exact."},
	[PMON_METRIC_TERMINATED] = {"terminated", TYPE_COUNTER, NULL,
	"Idle sessions that pool_monitor ended."},
	[PMON_METRIC_LEAK_SUSPECTS] = {"leak_suspects", TYPE_GAUGE, NULL,
	"Sessions checked out for longer than pool_monitor.leak_threshold without a new statement."},
	[PMON_METRIC_FINDINGS] = {"findings", TYPE_GAUGE, NULL,
	"What pool_monitor_diagnosis() finds, looking ten minutes back; there is a series where there is a finding."},
	[PMON_METRIC_HELD_CONNECTIONS] = {"held_connections", TYPE_GAUGE, NULL,
	"Connections that code held, on average over the last whole minute, by application and tags; as many series as pool_monitor.max_held_metrics allows."},

	[PMON_METRIC_CONNECTIONS] = {"connections", TYPE_GAUGE, NULL,
	"Connections by who holds them and in which state; smaller groups are added up as application <other>."},
	[PMON_METRIC_SESSIONS] = {"sessions", TYPE_COUNTER, NULL,
	"Sessions that logged in."},
	[PMON_METRIC_SESSIONS_ABANDONED] = {"sessions_abandoned", TYPE_COUNTER, NULL,
	"Sessions that ended because the connection to the client was lost."},
	[PMON_METRIC_SESSIONS_FATAL] = {"sessions_fatal", TYPE_COUNTER, NULL,
	"Sessions that ended with a fatal error."},
	[PMON_METRIC_SESSIONS_KILLED] = {"sessions_killed", TYPE_COUNTER, NULL,
	"Sessions that an operator ended."},
	[PMON_METRIC_APPLICATION_TERMINATED] = {"application_terminated", TYPE_COUNTER, NULL,
	"Idle sessions that pool_monitor ended, by who held them."},
	[PMON_METRIC_SESSION_TIME] = {"session_seconds", TYPE_COUNTER, "seconds",
	"Time that sessions were connected."},
	[PMON_METRIC_TRANSACTIONS] = {"transactions", TYPE_COUNTER, NULL,
	"Transactions that ended."},
	[PMON_METRIC_HOLD_TIME] = {"hold_time_seconds", TYPE_HISTOGRAM, "seconds",
	"Time from the start of a transaction to its end: how long its connection was checked out."},
	[PMON_METRIC_APPLICATION_REJECTED] = {"application_rejected", TYPE_COUNTER, NULL,
	"Refused logins by the names that the client gave; those refused less often are added up as application <other>."},

	[PMON_METRIC_POOL_STATUS] = {"pool_status", TYPE_GAUGE, NULL,
	"Status of a declared pool: 1 for the one that it has; exhausted is as many checked out as its capacity."},
	[PMON_METRIC_POOL_SIZE] = {"pool_size", TYPE_GAUGE, NULL,
	"Declared size of each instance of the pool."},
	[PMON_METRIC_POOL_MAX_OVERFLOW] = {"pool_max_overflow", TYPE_GAUGE, NULL,
	"Declared overflow of each instance of the pool."},
	[PMON_METRIC_POOL_INSTANCES] = {"pool_instances", TYPE_GAUGE, NULL,
	"Declared number of processes that hold such a pool each."},
	[PMON_METRIC_POOL_CAPACITY] = {"pool_capacity", TYPE_GAUGE, NULL,
	"Connections that all instances of the pool can open together."},
	[PMON_METRIC_POOL_CONNECTIONS] = {"pool_connections", TYPE_GAUGE, NULL,
	"Sessions of a declared pool; unknown are those that are starting or hide their state."},
	[PMON_METRIC_POOL_CHECKED_OUT_PROVEN] = {"pool_checked_out_proven", TYPE_GAUGE, NULL,
	"Idle sessions outside of a transaction that the application has checked out, at least, as its pool is declared; they are in the state checked_out, too."},
	[PMON_METRIC_POOL_OVERFLOW] = {"pool_overflow", TYPE_GAUGE, NULL,
	"Sessions of the pool beyond its size."},
	[PMON_METRIC_POOL_UTILIZATION] = {"pool_utilization_ratio", TYPE_GAUGE, "ratio",
	"Sessions of the pool that are checked out, divided by its capacity."},
	[PMON_METRIC_POOL_PEAK_CHECKED_OUT] = {"pool_peak_checked_out", TYPE_GAUGE, NULL,
	"Highest number of sessions of the pool checked out at once, as sampled."},
	[PMON_METRIC_POOL_LAST_EXHAUSTED] = {"pool_last_exhausted_timestamp_seconds", TYPE_GAUGE, "seconds",
	"When all of the pool's capacity was seen checked out last; there is a series for a pool that was."},
	[PMON_METRIC_POOL_ENDED_CHECKED_OUT] = {"pool_ended_checked_out", TYPE_COUNTER, NULL,
	"Sessions of the pool that pool_monitor ended while they were checked out."},
	[PMON_METRIC_POOL_INVALID] = {"pool_invalid", TYPE_COUNTER, NULL,
	"Sessions of the pool that ended abandoned, fatal or killed."},
	[PMON_METRIC_DECLARED_CAPACITY] = {"declared_capacity", TYPE_GAUGE, NULL,
	"Connections that all declared pools can open together."},
	[PMON_METRIC_UNDECLARED_CONNECTIONS] = {"undeclared_connections", TYPE_GAUGE, NULL,
	"Sessions that are in no declared pool with a size."},
	[PMON_METRIC_HEADROOM] = {"headroom_connections", TYPE_GAUGE, NULL,
	"Slots for ordinary roles less the declared capacity and the undeclared connections."},
	[PMON_METRIC_OVERSUBSCRIBED] = {"oversubscribed", TYPE_GAUGE, NULL,
	"Whether the declared pools can open more connections than the server has for ordinary roles."},

	[PMON_METRIC_CURRENT_INCIDENT] = {"current_incident", TYPE_GAUGE, NULL,
	"Number of the incident that is open, 0 if none is."},
	[PMON_METRIC_INCIDENTS] = {"incidents", TYPE_COUNTER, NULL,
	"Times when the server ran out of connections."},

	[PMON_METRIC_PRELOADED] = {"preloaded", TYPE_GAUGE, NULL,
	"Whether the library was loaded via shared_preload_libraries; if not, only live figures are known."},
	[PMON_METRIC_WORKER_UP] = {"worker_up", TYPE_GAUGE, NULL,
	"Whether the background worker runs."},
	[PMON_METRIC_SAMPLES] = {"samples", TYPE_COUNTER, NULL,
	"Samples that the background worker took."},
	[PMON_METRIC_MISSED_SAMPLES] = {"missed_samples", TYPE_COUNTER, NULL,
	"Samples that were not taken in time."},
	[PMON_METRIC_LAST_SAMPLE] = {"last_sample_timestamp_seconds", TYPE_GAUGE, "seconds",
	"When the last sample was taken."},
	[PMON_METRIC_SAMPLE_DURATION] = {"last_sample_duration_seconds", TYPE_GAUGE, "seconds",
	"How long the last sample took."},
	[PMON_METRIC_LAST_SAVE] = {"last_save_timestamp_seconds", TYPE_GAUGE, "seconds",
	"When statistics were last saved."},
	[PMON_METRIC_SAVE_FAILURES] = {"save_failures", TYPE_COUNTER, NULL,
	"Attempts to save the statistics that failed."},
	[PMON_METRIC_LAST_METRICS] = {"last_metrics_timestamp_seconds", TYPE_GAUGE, "seconds",
	"When the metrics were last written to pool_monitor.metrics_file."},
	[PMON_METRIC_METRICS_FAILURES] = {"metrics_failures", TYPE_COUNTER, NULL,
	"Attempts to write the metrics to pool_monitor.metrics_file that failed."},
	[PMON_METRIC_GROUPS] = {"groups", TYPE_GAUGE, NULL,
	"Groups (database, role, application) that are tracked."},
	[PMON_METRIC_MAX_GROUPS] = {"max_groups", TYPE_GAUGE, NULL,
	"The setting pool_monitor.max_groups."},
	[PMON_METRIC_GROUPS_EVICTED] = {"groups_evicted", TYPE_COUNTER, NULL,
	"Groups that were folded into the application <other>."},
	[PMON_METRIC_MEMORY] = {"memory_bytes", TYPE_GAUGE, "bytes",
	"Shared memory of the extension."}
};

const char *
pmon_metric_name(PmonMetric metric)
{
	return descriptors[metric].name;
}

void
pmon_escape(StringInfo out, const char *text)
{
	for (const char *p = text;; p++)
	{
		size_t		plain = strcspn(p, "\n\\\"");

		appendBinaryStringInfo(out, p, plain);
		p += plain;
		if (*p == '\0')
			break;
		appendStringInfoChar(out, '\\');
		appendStringInfoChar(out, *p == '\n' ? 'n' : *p);
	}
}

void
pmon_begin_exposition(PmonExposition *exposition, PmonMetricsFormat format)
{
	exposition->format = format;
	initStringInfo(&exposition->text);
}

const char *
pmon_end_exposition(PmonExposition *exposition)
{
	if (exposition->format == PMON_OPENMETRICS)
		appendStringInfoString(&exposition->text, "# EOF");
	return exposition->text.data;
}

/* What a sample of the current family ends in */
static const char *
sample_suffix(const PmonExposition *exposition)
{
	return descriptors[exposition->family].type == TYPE_COUNTER ? "_total" : "";
}

void
pmon_begin_family(PmonExposition *exposition, PmonMetric metric)
{
	const Descriptor *descriptor = &descriptors[metric];
	StringInfo text = &exposition->text;
	const char *suffix;

	exposition->family = metric;
	suffix = exposition->format == PMON_PROMETHEUS ? sample_suffix(exposition) : "";
	appendStringInfo(text, "# TYPE " PREFIX "%s%s %s\n", descriptor->name, suffix,
					 type_names[descriptor->type]);
	if (descriptor->unit != NULL && exposition->format == PMON_OPENMETRICS)
		appendStringInfo(text, "# UNIT " PREFIX "%s %s\n", descriptor->name,
						 descriptor->unit);
	appendStringInfo(text, "# HELP " PREFIX "%s%s ", descriptor->name, suffix);
	pmon_escape(text, descriptor->help);
	appendStringInfoChar(text, '\n');
}

void
pmon_add_label(PmonLabels *labels, const char *name, const char *value)
{
	Assert(labels->n < PMON_MAX_LABELS);
	labels->labels[labels->n].name = name;
	labels->labels[labels->n].value = value;
	labels->n++;
}

static void
put_label(StringInfo text, const char *name, const char *value)
{
	/* the first one follows the brace */
	if (text->data[text->len - 1] != '{')
		appendStringInfoChar(text, ',');
	appendStringInfoString(text, name);
	appendStringInfoString(text, "=\"");
	pmon_escape(text, value);
	appendStringInfoChar(text, '"');
}

/* A sample up to its value, with one more label unless extra is NULL */
static void
put_series(PmonExposition *exposition, const char *suffix,
		   const PmonLabels *labels, const char *extra, const char *extra_value)
{
	StringInfo text = &exposition->text;

	appendStringInfoString(text, PREFIX);
	appendStringInfoString(text, descriptors[exposition->family].name);
	appendStringInfoString(text, suffix);
	if ((labels != NULL && labels->n > 0) || extra != NULL)
	{
		appendStringInfoChar(text, '{');
		for (int i = 0; labels != NULL && i < labels->n; i++)
			put_label(text, labels->labels[i].name, labels->labels[i].value);
		if (extra != NULL)
			put_label(text, extra, extra_value);
		appendStringInfoChar(text, '}');
	}
	appendStringInfoChar(text, ' ');
}

/* The longest number: a sign, the digits of a 64-bit integer, a point */
#define MAX_NUMBER	24

/*
 * value / 10^decimals, without rounding, at the end of a buffer of MAX_NUMBER
 * bytes.  A histogram is mostly numbers, and printf() would be most of its
 * cost.
 */
static const char *
format_decimal(char *buf, int64 value, int decimals)
{
	uint64		magnitude = value < 0 ? 0 - (uint64) value : (uint64) value;
	char	   *p = buf + MAX_NUMBER - 1;

	*p = '\0';
	for (int digits = 0; magnitude != 0 || digits <= decimals; digits++)
	{
		if (digits == decimals && decimals > 0)
			*--p = '.';
		*--p = '0' + magnitude % 10;
		magnitude /= 10;
	}
	if (value < 0)
		*--p = '-';
	return p;
}

static void
put_decimal(PmonExposition *exposition, int64 value, int decimals)
{
	char		buf[MAX_NUMBER];

	appendStringInfoString(&exposition->text, format_decimal(buf, value, decimals));
	appendStringInfoChar(&exposition->text, '\n');
}

void
pmon_add_sample(PmonExposition *exposition, const PmonLabels *labels,
				int64 value, int decimals)
{
	put_series(exposition, sample_suffix(exposition), labels, NULL, NULL);
	put_decimal(exposition, value, decimals);
}

void
pmon_add_ratio(PmonExposition *exposition, const PmonLabels *labels,
			   double value)
{
	put_series(exposition, sample_suffix(exposition), labels, NULL, NULL);
	appendStringInfo(&exposition->text, "%.6g\n", value);
}

void
pmon_add_enumeration(PmonExposition *exposition, const PmonLabels *labels,
					 const char *name, const char *const *words, int nwords,
					 int current)
{
	for (int i = 0; i < nwords; i++)
	{
		put_series(exposition, sample_suffix(exposition), labels, name, words[i]);
		put_decimal(exposition, i == current, PMON_WHOLE);
	}
}

void
pmon_add_histogram(PmonExposition *exposition, const PmonLabels *labels,
				   const PmonHistogram *histogram, uint64 sum)
{
	PmonHistogram rest = *histogram;
	uint64		below = 0;

	/* a bound is a power of two, so it is where an octave starts */
	for (int i = 0; i < lengthof(hold_bounds); i++)
	{
		uint64		bound = UINT64CONST(1) << hold_bounds[i];
		char		le[MAX_NUMBER];

		below += pmon_histogram_take(&rest, PmonHoldOctave(pmon_hold_bucket(bound)));
		put_series(exposition, "_bucket", labels, "le",
				   format_decimal(le, bound - 1, PMON_MICROSECONDS));
		put_decimal(exposition, below, PMON_WHOLE);
	}

	below += pmon_histogram_take(&rest, PMON_HOLD_OCTAVES);
	put_series(exposition, "_bucket", labels, "le", "+Inf");
	put_decimal(exposition, below, PMON_WHOLE);
	put_series(exposition, "_count", labels, NULL, NULL);
	put_decimal(exposition, below, PMON_WHOLE);
	put_series(exposition, "_sum", labels, NULL, NULL);
	put_decimal(exposition, sum, PMON_MICROSECONDS);
}

void
pmon_add_metric(PmonExposition *exposition, PmonMetric metric, int64 value)
{
	pmon_begin_family(exposition, metric);
	pmon_add_sample(exposition, NULL, value, PMON_WHOLE);
}
