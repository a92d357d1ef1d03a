/*-------------------------------------------------------------------------
 *
 * openmetrics.h
 *	  Writes metrics as text: in OpenMetrics' format, or in Prometheus' older one.
 *
 * What a metric is called, its type, its unit and its help are in one table.
 * A writer starts a family and adds its samples; families must not be
 * interleaved.
 *
 * The formats are OpenMetrics 1.0, and Prometheus' text format 0.0.4, which is what
 * node_exporter reads from files.  Series and values are the same in both.  In the
 * older one a counter's family is called as its samples are, and there are neither
 * units nor an end; and only types that it knows too are used.  That is why an
 * enumeration is a gauge with a series for each of its words, and not a stateset.
 *
 * Nothing here takes a lock, looks into a catalog or converts an encoding:
 * names must be UTF-8 when the text reaches its reader.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_OPENMETRICS_H
#define PMON_OPENMETRICS_H

#include "lib/stringinfo.h"

#include "pure/hold_histogram.h"

typedef enum PmonMetric
{
	/* the server */
	PMON_METRIC_STATUS,
	PMON_METRIC_SERVER_CONNECTIONS,
	PMON_METRIC_MAX_CONNECTIONS,
	PMON_METRIC_RESERVED_CONNECTIONS,
	PMON_METRIC_AVAILABLE_CONNECTIONS,
	PMON_METRIC_UTILIZATION,
	PMON_METRIC_PEAK_CONNECTIONS,
	PMON_METRIC_REJECTED,
	PMON_METRIC_TERMINATED,
	PMON_METRIC_LEAK_SUSPECTS,
	PMON_METRIC_FINDINGS,
	PMON_METRIC_HELD_CONNECTIONS,

	/* groups */
	PMON_METRIC_CONNECTIONS,
	PMON_METRIC_SESSIONS,
	PMON_METRIC_SESSIONS_ABANDONED,
	PMON_METRIC_SESSIONS_FATAL,
	PMON_METRIC_SESSIONS_KILLED,
	PMON_METRIC_APPLICATION_TERMINATED,
	PMON_METRIC_SESSION_TIME,
	PMON_METRIC_TRANSACTIONS,
	PMON_METRIC_HOLD_TIME,
	PMON_METRIC_APPLICATION_REJECTED,

	/* declared pools */
	PMON_METRIC_POOL_STATUS,
	PMON_METRIC_POOL_SIZE,
	PMON_METRIC_POOL_MAX_OVERFLOW,
	PMON_METRIC_POOL_INSTANCES,
	PMON_METRIC_POOL_CAPACITY,
	PMON_METRIC_POOL_CONNECTIONS,
	PMON_METRIC_POOL_CHECKED_OUT_PROVEN,
	PMON_METRIC_POOL_OVERFLOW,
	PMON_METRIC_POOL_UTILIZATION,
	PMON_METRIC_POOL_PEAK_CHECKED_OUT,
	PMON_METRIC_POOL_LAST_EXHAUSTED,
	PMON_METRIC_POOL_ENDED_CHECKED_OUT,
	PMON_METRIC_POOL_INVALID,
	PMON_METRIC_DECLARED_CAPACITY,
	PMON_METRIC_UNDECLARED_CONNECTIONS,
	PMON_METRIC_HEADROOM,
	PMON_METRIC_OVERSUBSCRIBED,

	/* incidents */
	PMON_METRIC_CURRENT_INCIDENT,
	PMON_METRIC_INCIDENTS,

	/* the extension itself */
	PMON_METRIC_PRELOADED,
	PMON_METRIC_WORKER_UP,
	PMON_METRIC_SAMPLES,
	PMON_METRIC_MISSED_SAMPLES,
	PMON_METRIC_LAST_SAMPLE,
	PMON_METRIC_SAMPLE_DURATION,
	PMON_METRIC_LAST_SAVE,
	PMON_METRIC_SAVE_FAILURES,
	PMON_METRIC_LAST_METRICS,
	PMON_METRIC_METRICS_FAILURES,
	PMON_METRIC_GROUPS,
	PMON_METRIC_MAX_GROUPS,
	PMON_METRIC_GROUPS_EVICTED,
	PMON_METRIC_MEMORY
} PmonMetric;

#define PMON_METRICS	(PMON_METRIC_MEMORY + 1)

typedef enum PmonMetricsFormat
{
	PMON_OPENMETRICS,
	PMON_PROMETHEUS
} PmonMetricsFormat;

/* An exposition in the making */
typedef struct PmonExposition
{
	PmonMetricsFormat format;
	StringInfoData text;
	PmonMetric	family;			/* that samples belong to */
} PmonExposition;

/* A label; its value is any text, which is escaped when it is written */
typedef struct PmonLabel
{
	const char *name;
	const char *value;
} PmonLabel;

/* The most labels that a sample has */
#define PMON_MAX_LABELS		20

/* A sample's labels, the first n of which count */
typedef struct PmonLabels
{
	int			n;
	PmonLabel	labels[PMON_MAX_LABELS];
} PmonLabels;

/* Decimals of figures that are counted in a fraction of the metric's unit */
#define PMON_WHOLE			0
#define PMON_MICROSECONDS	6
#define PMON_NANOSECONDS	9

/* The family's name in OpenMetrics; a counter's samples add "_total" */
extern const char *pmon_metric_name(PmonMetric metric);

/* Start an exposition, and complete it: returns its text. */
extern void pmon_begin_exposition(PmonExposition *exposition,
								  PmonMetricsFormat format);
extern const char *pmon_end_exposition(PmonExposition *exposition);

/* Start a family; each may come once. */
extern void pmon_begin_family(PmonExposition *exposition, PmonMetric metric);

/*
 * Add a sample to the family.  The value is value / 10^decimals, which is
 * written without rounding; labels is NULL where there are none.
 */
extern void pmon_add_sample(PmonExposition *exposition,
							const PmonLabels *labels, int64 value,
							int decimals);

/* Add a sample that is a fraction. */
extern void pmon_add_ratio(PmonExposition *exposition,
						   const PmonLabels *labels, double value);

/*
 * Add a sample for each of nwords words of an enumeration: 1 for the current
 * one, else 0.  The word is the value of one more label.
 */
extern void pmon_add_enumeration(PmonExposition *exposition,
								 const PmonLabels *labels, const char *name,
								 const char *const *words, int nwords,
								 int current);

/*
 * Add a histogram of hold times: the counts of its buckets, and the sum
 * of the times in microseconds.
 */
extern void pmon_add_histogram(PmonExposition *exposition,
							   const PmonLabels *labels,
							   const PmonHistogram *histogram, uint64 sum);

/* A family with a single sample, a whole number, and no labels */
extern void pmon_add_metric(PmonExposition *exposition, PmonMetric metric, int64 value);

/* Set the labels' next one. */
extern void pmon_add_label(PmonLabels *labels, const char *name,
						   const char *value);

/* Append a text as it stands in a help text or the quotes of a label's value. */
extern void pmon_escape(StringInfo out, const char *text);

#endif							/* PMON_OPENMETRICS_H */
