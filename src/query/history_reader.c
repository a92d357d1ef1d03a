/*-------------------------------------------------------------------------
 *
 * history_reader.c
 *	  Adds the history up by periods of any length.
 *
 * Each minute of the clock is taken from the tier that knows more samples of
 * it, and from the samples where both know as many.  So it does not matter in
 * which order the records come, when the clock was set back or forward, nor
 * that a minute may have come in parts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "query/application_names.h"
#include "query/history_reader.h"
#include "query/local_hash.h"

/* The periods in the making */
typedef struct HistoryQuery
{
	TimestampTz since;
	TimestampTz until;
	int64		step;
	bool		applications;	/* not only the server */
	HTAB	   *periods;		/* PmonPeriod */
	PmonApplicationNames names;
	HTAB	   *minutes;		/* MinuteCount */
	int64		nperiods;		/* of the server */
} HistoryQuery;

/* How many samples each tier knows of a minute */
typedef struct MinuteCount
{
	TimestampTz at;
	int64		sampled;
	int64		rolled_up;
} MinuteCount;

/* The key of a PmonPeriod, which it starts with */
typedef struct PeriodKey
{
	TimestampTz start;
	uint32		id;
	uint32		unused;
} PeriodKey;

StaticAssertDecl(sizeof(PeriodKey) == sizeof(TimestampTz) + 2 * sizeof(uint32),
				 "a key of a hash table has no padding");

void
pmon_walk_history(void *arg, void (*on_minute) (void *arg, const PmonMinuteRecord *minute),
				  void (*on_sample) (void *arg, const PmonSampleRecord *sample))
{
	PmonRingReader reader;
	PmonMinuteRecord *minute;
	PmonSampleRecord *sample;

	pmon_ring_begin_read(&reader, pmon_minute_ring);
	while ((minute = pmon_next_minute(&reader)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		on_minute(arg, minute);
	}
	pfree(reader.buffer);

	pmon_ring_begin_read(&reader, pmon_sample_ring);
	while ((sample = pmon_next_sample(&reader)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		on_sample(arg, sample);
	}
	pfree(reader.buffer);
}

/*
 * There would be too many periods.  The steps that are there in the time asked
 * about tell which would do.
 */
static void
too_many_periods(const HistoryQuery *query)
{
	TimestampTz oldest;
	TimestampTz newest;
	int64		seconds;

	pmon_history_range(&oldest, &newest);
	oldest = Max(oldest, query->since);
	newest = Min(newest, query->until);
	seconds = (newest - oldest) / USECS_PER_SEC / (PMON_MAX_PERIODS - 1) + 1;
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("\"step\" makes more than %d periods", PMON_MAX_PERIODS),
			 errhint("A step of " INT64_FORMAT " s would do, or a shorter time.", seconds)));
}

/* Count a period that is new, and see that there are not too many. */
static void
count_period(HistoryQuery *query, uint32 id)
{
	CHECK_FOR_INTERRUPTS();
	if (id == PMON_SERVER_ID && ++query->nperiods > PMON_MAX_PERIODS)
		too_many_periods(query);
	if (hash_get_num_entries(query->periods) > PMON_MAX_PERIOD_ROWS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the periods of all applications are more than %d",
						PMON_MAX_PERIOD_ROWS),
				 errhint("Ask for a longer step or a shorter time.")));
}

/* The period that a time belongs to, of an application or the server */
static PmonPeriod *
find_period(HistoryQuery *query, TimestampTz at, uint32 id)
{
	TimestampTz remainder = at % query->step;
	PeriodKey	key = {0};
	PmonPeriod *period;
	bool		found;

	/* rounds down, before 2000 too */
	key.start = at - (remainder < 0 ? remainder + query->step : remainder);
	key.id = id;
	period = hash_search(query->periods, &key, HASH_ENTER, &found);
	if (!found)
	{
		count_period(query, id);
		memset((char *) period + sizeof(key), 0, sizeof(*period) - sizeof(key));
		if (id != PMON_SERVER_ID)
		{
			const PmonApplicationName *name = pmon_find_application(&query->names, id);

			if (name != NULL)
				memcpy(period->application_name, name->application_name, NAMEDATALEN);
		}
	}
	return period;
}

static void
add_figures(PmonPeriod *period, const double *sums, const int *maxima)
{
	for (int f = 0; f < PMON_FIGURES; f++)
	{
		period->sums[f] += sums[f];
		period->maxima[f] = Max(period->maxima[f], maxima[f]);
	}
}

/*
 * The figures of one record that belong to applications whose name is gone.
 * They are added up before they go to "<other>", so that its maximum is that
 * of their sum.
 */
typedef struct Unnamed
{
	bool		found;
	double		sums[PMON_FIGURES];
	int			maxima[PMON_FIGURES];
} Unnamed;

/* Add the figures of one application in one record. */
static void
add_application(HistoryQuery *query, TimestampTz at, uint32 id, Unnamed *unnamed,
				const double *sums, const int *maxima)
{
	if (id != query->names.other_id && pmon_find_application(&query->names, id) != NULL)
	{
		add_figures(find_period(query, at, id), sums, maxima);
		return;
	}

	unnamed->found = true;
	for (int f = 0; f < PMON_FIGURES; f++)
	{
		unnamed->sums[f] += sums[f];
		unnamed->maxima[f] += maxima[f];
	}
}

static void
add_unnamed(HistoryQuery *query, TimestampTz at, const Unnamed *unnamed)
{
	if (unnamed->found)
		add_figures(find_period(query, at, query->names.other_id),
					unnamed->sums, unnamed->maxima);
}

static void
add_server(HistoryQuery *query, TimestampTz at, int64 samples, int max_connections,
		   double utilization, int64 rejected, int64 terminated,
		   const double *sums, const int *maxima)
{
	PmonPeriod *period = find_period(query, at, PMON_SERVER_ID);

	period->samples += samples;
	period->max_connections = Max(period->max_connections, max_connections);
	period->utilization_max = Max(period->utilization_max, utilization);
	period->rejected += rejected;
	period->terminated += terminated;
	add_figures(period, sums, maxima);
}

/* What the tiers know of the minute that a time is in */
static MinuteCount *
find_minute(HistoryQuery *query, TimestampTz at)
{
	TimestampTz minute = at - at % USECS_PER_MINUTE;

	return PmonLocalEntry(query->minutes, &minute, MinuteCount);
}

static void
count_minute(void *arg, const PmonMinuteRecord *minute)
{
	find_minute(arg, minute->at)->rolled_up += minute->samples;
}

static void
count_sample(void *arg, const PmonSampleRecord *sample)
{
	find_minute(arg, sample->at)->sampled++;
}

/*
 * Is that record one to be added?  Minutes are, of which the samples are not all
 * there any more, and the samples of all other minutes.
 */
static bool
is_wanted(HistoryQuery *query, TimestampTz at, bool is_minute)
{
	MinuteCount *count = find_minute(query, at);

	return at >= query->since && at < query->until &&
		is_minute == (count->rolled_up > count->sampled);
}

static void
add_sample(void *arg, const PmonSampleRecord *sample)
{
	HistoryQuery *query = arg;
	Unnamed		unnamed = {0};
	double		sums[PMON_FIGURES];
	int			maxima[PMON_FIGURES];

	if (!is_wanted(query, sample->at, false))
		return;
	for (int f = 0; f < PMON_FIGURES; f++)
		sums[f] = maxima[f] = sample->figures[f];
	add_server(query, sample->at, 1, sample->max_connections,
			   sums[PMON_CONNECTIONS] / Max(sample->ordinary_slots, 1),
			   sample->rejected, sample->terminated, sums, maxima);

	for (int i = 0; query->applications && i < sample->record.count; i++)
	{
		if (PmonIsPoolId(sample->entries[i].id))
			continue;
		for (int f = 0; f < PMON_FIGURES; f++)
			sums[f] = maxima[f] = sample->entries[i].figures[f];
		add_application(query, sample->at, sample->entries[i].id, &unnamed,
						sums, maxima);
	}
	add_unnamed(query, sample->at, &unnamed);
}

static void
add_minute(void *arg, const PmonMinuteRecord *minute)
{
	HistoryQuery *query = arg;
	Unnamed		unnamed = {0};
	double		sums[PMON_FIGURES];
	int			maxima[PMON_FIGURES];

	if (!is_wanted(query, minute->at, true))
		return;
	for (int f = 0; f < PMON_FIGURES; f++)
	{
		sums[f] = (double) minute->averages[f] * minute->samples;
		maxima[f] = minute->maxima[f];
	}
	add_server(query, minute->at, minute->samples, minute->max_connections,
			   minute->utilization_max, minute->rejected, minute->terminated,
			   sums, maxima);

	for (int i = 0; query->applications && i < minute->record.count; i++)
	{
		const PmonMinuteEntry *entry = &minute->entries[i];

		/* it may have had transactions, but no session in any sample */
		if (entry->maxima[PMON_CONNECTIONS] == 0 || PmonIsPoolId(entry->id))
			continue;
		for (int f = 0; f < PMON_FIGURES; f++)
		{
			sums[f] = (double) entry->averages[f] * minute->samples;
			maxima[f] = entry->maxima[f];
		}
		add_application(query, minute->at, entry->id, &unnamed, sums, maxima);
	}
	add_unnamed(query, minute->at, &unnamed);
}

static int
compare_periods(const void *a, const void *b)
{
	const PmonPeriod *left = *(PmonPeriod *const *) a;
	const PmonPeriod *right = *(PmonPeriod *const *) b;

	if (left->start != right->start)
		return left->start < right->start ? -1 : 1;
	if ((left->id == PMON_SERVER_ID) != (right->id == PMON_SERVER_ID))
		return left->id == PMON_SERVER_ID ? -1 : 1;
	return strcmp(left->application_name, right->application_name);
}

PmonPeriods *
pmon_read_history(TimestampTz since, TimestampTz until, int64 step,
				  bool applications)
{
	HistoryQuery query = {.since = since,.until = until,.step = step,.applications = applications};
	PmonPeriods *result = palloc0(sizeof(PmonPeriods));
	int64		samples = 0;

	query.names = pmon_read_application_names();
	query.periods = pmon_local_hash("periods", sizeof(PeriodKey), sizeof(PmonPeriod));
	query.minutes = pmon_local_hash("minutes", sizeof(TimestampTz), sizeof(MinuteCount));
	pmon_walk_history(&query, count_minute, count_sample);
	pmon_walk_history(&query, add_minute, add_sample);
	result->periods = pmon_sort_entries(query.periods, compare_periods, &result->nperiods);

	/* the server's row comes first in each period, and knows the samples */
	for (int i = 0; i < result->nperiods; i++)
	{
		if (result->periods[i]->id == PMON_SERVER_ID)
			samples = result->periods[i]->samples;
		else
			result->periods[i]->samples = samples;
	}

	hash_destroy(query.minutes);
	hash_destroy(query.names.table);
	return result;
}

int64
pmon_default_step(TimestampTz since, TimestampTz until)
{
	static const int seconds[] = {
		1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600,
		2 * 3600, 3 * 3600, 6 * 3600, 12 * 3600, 24 * 3600
	};
	int64		wanted = (until - since) / 60;

	for (int i = 0; i < lengthof(seconds); i++)
	{
		if (seconds[i] * USECS_PER_SEC >= wanted)
			return seconds[i] * USECS_PER_SEC;
	}
	return 7 * USECS_PER_DAY;
}

typedef struct Range
{
	TimestampTz oldest;
	TimestampTz newest;
} Range;

static void
extend_range(Range *range, TimestampTz at)
{
	if (range->oldest == 0 || at < range->oldest)
		range->oldest = at;
	if (range->newest == 0 || at > range->newest)
		range->newest = at;
}

static void
extend_by_minute(void *arg, const PmonMinuteRecord *minute)
{
	extend_range(arg, minute->at);
}

static void
extend_by_sample(void *arg, const PmonSampleRecord *sample)
{
	extend_range(arg, sample->at);
}

void
pmon_history_range(TimestampTz *oldest, TimestampTz *newest)
{
	Range		range = {0};

	pmon_walk_history(&range, extend_by_minute, extend_by_sample);
	*oldest = range.oldest;
	*newest = range.newest;
}
