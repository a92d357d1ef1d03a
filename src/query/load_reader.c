/*-------------------------------------------------------------------------
 *
 * load_reader.c
 *	  The load of each application and pool, out of the history.
 *
 * See load_reader.h; what is made of a minute is in pure/load.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include <math.h>

#include "port/pg_bitutils.h"

#include "pure/load.h"
#include "query/history_reader.h"
#include "query/load_reader.h"
#include "query/local_hash.h"

/* Connections checked out that are told apart for the percentile, at most */
#define MAX_COUNTED			4096
#define FEW_COUNTED			8

/* A minute that was not sampled for that long is no minute: it may be a burst. */
#define HALF_A_MINUTE		(USECS_PER_MINUTE / 2)
#define FEW_MINUTES			64

/* What was sampled in one minute, whoever it shows */
typedef struct SampleMinute
{
	TimestampTz at;
	TimestampTz first;
	TimestampTz last;
	int			samples;
} SampleMinute;

/* One application or pool, while the history is read */
typedef struct Entry
{
	PmonLoad	load;			/* starts with the id, the key */

	/* the current minute of minute records, which may come in parts */
	TimestampTz minute;
	PmonHoldBrief brief;
	PmonCountedMinute counted;

	/* the samples */
	int		   *counts;			/* samples by connections checked out */
	int			ncounts;
	int			minute_of_samples;	/* of full_in_minute */
	int			full_in_minute;
	int64		full_samples;
	bool		has_capacity;
} Entry;

/* What one reading works with */
typedef struct Reading
{
	HTAB	   *table;			/* Entry */
	TimestampTz since;
	bool		(*wanted) (uint32 id, TimestampTz at);
	int64		(*capacity) (uint32 id);
	int64		samples;		/* that there were, whoever they show */
	SampleMinute *minutes;		/* that they were in */
	int			nminutes;
} Reading;

static Entry *
find_entry(HTAB *table, uint32 id)
{
	Entry	   *entry = hash_search(table, &id, HASH_FIND, NULL);

	if (entry == NULL)
	{
		entry = PmonLocalEntry(table, &id, Entry);
		entry->load.p99_checked_out = -1;
		entry->load.full_fraction = NAN;
	}
	return entry;
}

/* Is the entry's current minute the busiest one of such transactions? */
static void
compare_minute(Entry *entry, const PmonHoldSums *sums, PmonBusiest *busiest)
{
	double		erlangs;

	entry->counted.transactions = sums->transactions;
	entry->counted.hold_sum = sums->sum;
	erlangs = pmon_minute_erlangs(&entry->counted);
	if (sums->transactions == 0 || erlangs <= busiest->erlangs)
		return;
	busiest->at = entry->minute;
	busiest->counted = *sums;
	busiest->erlangs = erlangs;
	busiest->outside = pmon_minute_outside(&entry->counted);
	busiest->rate = pmon_minute_rate(&entry->counted);
	busiest->seconds = pmon_minute_seconds(&entry->counted);
}

/*
 * The entry's current minute is complete: is it the busiest one?  Which long
 * ones are few is known only at the end, so each class has one.
 */
static void
finish_minute(Entry *entry)
{
	for (int first = 0; first <= PMON_LONG_CLASSES; first++)
	{
		PmonHoldSums sums = pmon_shorter_ones(&entry->brief, first);

		compare_minute(entry, &sums, &entry->load.busiest[first]);
	}
	memset(&entry->brief, 0, sizeof(entry->brief));
	memset(&entry->counted, 0, sizeof(entry->counted));
}

static void
add_brief(PmonHoldBrief *brief, const PmonMinuteEntry *minute)
{
	PmonHoldBrief more;

	more.all.transactions = minute->transactions;
	more.all.sum = minute->hold_sum;
	more.all.square_sum = minute->hold_square_sum;
	for (int i = 0; i < PMON_LONG_CLASSES; i++)
	{
		more.longer[i].transactions = minute->long_transactions[i];
		more.longer[i].sum = minute->long_sums[i];
		more.longer[i].square_sum = minute->long_square_sums[i];
	}
	pmon_sum_briefs(brief, &more);
}

/*
 * The connections that were checked out outside of transactions, on average.  Only
 * of a declared pool can that be known (checked_out.h).
 */
static double
held_outside(const PmonMinuteEntry *minute)
{
	if (!PmonIsPoolId(minute->id))
		return 0;
	return Max(minute->averages[PMON_CHECKED_OUT] - minute->averages[PMON_ACTIVE] -
			   minute->averages[PMON_IDLE_IN_TRANSACTION], 0);
}

static void
add_minute(void *arg, const PmonMinuteRecord *minute)
{
	Reading    *reading = arg;

	if (minute->at < reading->since)
		return;
	for (int i = 0; i < minute->record.count; i++)
	{
		const PmonMinuteEntry *read = &minute->entries[i];
		Entry	   *entry;

		if (!reading->wanted(read->id, minute->at + USECS_PER_MINUTE))
			continue;
		entry = find_entry(reading->table, read->id);
		if (entry->minute != minute->at)
			finish_minute(entry);
		entry->minute = minute->at;
		add_brief(&entry->brief, read);
		add_brief(&entry->load.total, read);
		entry->counted.length += minute->length;
		entry->counted.checked_out += (double) read->averages[PMON_CHECKED_OUT] * minute->samples;
		entry->counted.outside += held_outside(read) * minute->samples;
		entry->counted.samples += minute->samples;
		entry->load.peak_checked_out = Max(entry->load.peak_checked_out,
										   read->maxima[PMON_CHECKED_OUT]);
	}
}

/*
 * The number of connections that 99% of the samples do not exceed.  Samples
 * that do not show the application saw none of its connections.
 */
static int
percentile_99(const Entry *entry, int64 samples)
{
	int64		above = 0;
	int			value = entry->ncounts - 1;

	while (value > 0 && (above + entry->counts[value]) * 100 <= samples)
		above += entry->counts[value--];
	return value;
}

/* Note that there was a sample.  Returns the number of its minute. */
static int
note_sample(Reading *reading, TimestampTz at)
{
	TimestampTz minute_at = at - at % USECS_PER_MINUTE;
	int			n = reading->nminutes;
	SampleMinute *minute;

	reading->samples++;
	if (n == 0 || reading->minutes[n - 1].at != minute_at)
	{
		if (n == 0)
			reading->minutes = palloc(sizeof(SampleMinute) * FEW_MINUTES);
		else if (n >= FEW_MINUTES && (n & (n - 1)) == 0)
			reading->minutes = repalloc(reading->minutes, sizeof(SampleMinute) * n * 2);
		reading->minutes[n] = (SampleMinute)
		{
			.at = minute_at,.first = at
		};
		reading->nminutes = ++n;
	}
	minute = &reading->minutes[n - 1];
	minute->last = at;
	minute->samples++;
	return n - 1;
}

/*
 * The entry's current minute of samples is complete: is it the fullest one?
 * Those that do not show it, since it had no connection, were not full.
 */
static void
finish_sample_minute(const Reading *reading, Entry *entry)
{
	const SampleMinute *minute = &reading->minutes[entry->minute_of_samples];
	double		fraction;

	if (!entry->has_capacity || minute->last - minute->first < HALF_A_MINUTE)
		return;
	fraction = (double) entry->full_in_minute / minute->samples;
	if (isnan(entry->load.full_fraction) || fraction > entry->load.full_fraction)
		entry->load.full_fraction = fraction;
}

/* Note how full its capacity is, in a sample of that minute. */
static void
count_full(const Reading *reading, Entry *entry, int minute, bool full)
{
	if (entry->has_capacity && entry->minute_of_samples != minute)
	{
		finish_sample_minute(reading, entry);
		entry->full_in_minute = 0;
	}
	entry->has_capacity = true;
	entry->minute_of_samples = minute;
	entry->full_in_minute += full;
	entry->full_samples += full;
}

/* All samples are read.  Without a minute, it is the share of all of them. */
static void
finish_samples(const Reading *reading, Entry *entry)
{
	if (entry->counts != NULL)
		entry->load.p99_checked_out = percentile_99(entry, reading->samples);
	if (!entry->has_capacity)
		return;
	finish_sample_minute(reading, entry);
	if (isnan(entry->load.full_fraction))
		entry->load.full_fraction = (double) entry->full_samples / reading->samples;
}

/* Count a sample with so many connections checked out. */
static void
count_sample(Entry *entry, int checked_out)
{
	int			place = Min(checked_out, MAX_COUNTED - 1);

	if (place >= entry->ncounts)
	{
		int			ncounts = entry->ncounts;

		entry->ncounts = pg_nextpower2_32(Max(place + 1, FEW_COUNTED));
		entry->counts = ncounts == 0 ?
			palloc(sizeof(int) * entry->ncounts) :
			repalloc(entry->counts, sizeof(int) * entry->ncounts);
		memset(entry->counts + ncounts, 0, sizeof(int) * (entry->ncounts - ncounts));
	}
	entry->counts[place]++;
	entry->load.samples++;
}

/* Add a sample of what the minutes know. */
static void
add_sample(void *arg, const PmonSampleRecord *sample)
{
	Reading    *reading = arg;
	int			minute;

	if (sample->at < reading->since)
		return;
	minute = note_sample(reading, sample->at);
	for (int i = 0; i < sample->record.count; i++)
	{
		const PmonSampleEntry *read = &sample->entries[i];
		int			checked_out = read->figures[PMON_CHECKED_OUT];
		Entry	   *entry;
		int64		full_at;

		/* what had no transactions has no row, however often it was seen */
		entry = hash_search(reading->table, &read->id, HASH_FIND, NULL);
		if (entry == NULL || entry->load.total.all.transactions == 0 ||
			!reading->wanted(read->id, sample->at))
			continue;
		count_sample(entry, checked_out);
		entry->load.peak_checked_out = Max(entry->load.peak_checked_out, checked_out);

		full_at = reading->capacity(read->id);
		if (full_at >= 0)
			count_full(reading, entry, minute, checked_out >= full_at);
	}
}

PmonLoad *
pmon_read_load(TimestampTz since,
			   bool (*wanted) (uint32 id, TimestampTz at),
			   int64 (*capacity) (uint32 id), int *nloads)
{
	Reading		reading = {
		.table = pmon_local_hash("load", sizeof(uint32), sizeof(Entry)),
		.since = since,
		.wanted = wanted,
		.capacity = capacity
	};
	PmonLoad   *loads;
	HASH_SEQ_STATUS seq;
	Entry	   *entry;

	pmon_walk_history(&reading, add_minute, add_sample);
	*nloads = 0;
	loads = palloc(sizeof(PmonLoad) * Max(hash_get_num_entries(reading.table), 1));
	hash_seq_init(&seq, reading.table);
	while ((entry = hash_seq_search(&seq)) != NULL)
	{
		finish_minute(entry);
		finish_samples(&reading, entry);
		if (entry->load.total.all.transactions > 0)
			loads[(*nloads)++] = entry->load;
	}
	return loads;
}
