/*-------------------------------------------------------------------------
 *
 * history_writer.c
 *	  Writes samples to the history, and rolls them up into minutes.
 *
 * The sums of the current minute are in the worker's own memory, by the place
 * of the application.  The transactions of a minute are what the exact counters
 * have that is in no minute yet.  PmonApplication.moved keeps account of that,
 * since it goes with an application wherever its groups are folded to: what an
 * application counted that came and went within a minute is in that minute
 * too, under "<other>".
 *
 * A minute that the worker did not finish (it was terminated, and started
 * again) is written in two parts; readers add them up.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "port/pg_bitutils.h"

#include "shared/groups.h"
#include "shared/reset.h"
#include "shared/settings.h"
#include "shared/slots.h"
#include "worker/history_writer.h"
#include "worker/pool_tracker.h"

/* The place of "<other>", which is made first and never goes away */
#define OTHER_PLACE		0

/* One application in the current minute */
typedef struct ApplicationMinute
{
	uint32		id;				/* 0: not seen in this minute */
	uint32		sums[PMON_FIGURES];
	uint16		maxima[PMON_FIGURES];
} ApplicationMinute;

/* The server in the current minute */
typedef struct ServerMinute
{
	TimestampTz at;
	uint32		samples;
	int			max_connections;
	double		utilization_max;
	uint32		rejected;
	uint32		terminated;
	uint64		sums[PMON_FIGURES];
	uint32		maxima[PMON_FIGURES];
} ServerMinute;

/* The transactions of one application or pool */
typedef struct ApplicationTotal
{
	uint32		id;
	PmonHoldBrief brief;
} ApplicationTotal;

static ServerMinute minute;
static int64 settled_at;		/* since when transactions are in no minute
								 * yet, by the monotonic clock */
static ApplicationMinute *application_minutes;	/* by place */
static ApplicationTotal *totals_before; /* of pools, at the minute's start */
static ApplicationTotal *totals_now;
static uint32 totals_version;	/* pmon_declared_version of totals_before */
static PmonSampleRecord *sample_record; /* room for the largest of each */
static PmonMinuteRecord *minute_record;

/* Add hold times of a group to its application and to its pool. */
static void
add_to_total(ApplicationTotal *totals, int place, const PmonHoldTotals *hold)
{
	int			pool = pmon_group_pool(place);

	pmon_add_brief(&totals[pmon_groups[place].application].brief, hold);
	if (pool >= 0)
		pmon_add_brief(&totals[PmonPoolPlace(pool)].brief, hold);
}

/*
 * What each application has counted that is in no minute yet, and each pool
 * in all.  With settle, all of that is taken to be in one from now on.
 */
static void
read_totals(ApplicationTotal *totals, bool settle)
{
	int			ngroups = 0;

	memset(totals, 0, sizeof(ApplicationTotal) * PmonPlaces());
	for (int i = 0; i < pmon_declared->npools; i++)
		totals[PmonPoolPlace(i)].id = pmon_pool_id(pmon_declared->pools[i].name);
	pmon_match_groups();

	LWLockAcquire(PmonLock(), settle ? LW_EXCLUSIVE : LW_SHARED);
	for (int i = 0; i < pmon->max_groups && ngroups < pmon_group_table->ngroups; i++)
	{
		PmonGroup  *group = &pmon_groups[i];

		if (!group->in_use)
			continue;
		add_to_total(totals, i, &group->counters.hold);
		ngroups++;
	}
	for (int word = 0; word < PmonLiveWords(); word++)
	{
		uint64		bits = pg_atomic_read_u64(&pmon_live[word]);

		for (; bits != 0; bits &= bits - 1)
		{
			int			slot = word * 64 + pg_rightmost_one_pos64(bits);
			int			place = PmonGetMembership(slot).group;
			PmonHoldTotals hold = {0};

			if (place == PMON_NONE)
				continue;
			pmon_add_hold_counters(&hold, &pmon_slots[slot].hold,
								   pmon_groups[place].generation);
			add_to_total(totals, place, &hold);
		}
	}
	for (int i = 0; i < pmon->max_groups; i++)
	{
		PmonApplication *application = &pmon_applications[i];
		PmonHoldBrief counted = totals[i].brief;

		if (!application->in_use)
			continue;
		totals[i].id = application->id;
		pmon_subtract_brief(&totals[i].brief, &application->moved);
		if (settle)
			application->moved = counted;
	}
	LWLockRelease(PmonLock());
}

/*
 * Begin to count for the next minute.  Returns how long the one before it was,
 * in ms: as long as no sample is taken, it goes on.
 */
static uint32
settle_length(void)
{
	int64		now = pmon_monotonic_us();
	int64		length = (now - settled_at) / 1000;

	settled_at = now;
	return (uint32) Min(Max(length, 0), PG_UINT32_MAX);
}

/*
 * All of it is written to once, so that the worker has from its start what it
 * will have in the end.
 */
void
pmon_history_writer_init(void)
{
	application_minutes = palloc0(sizeof(ApplicationMinute) * PmonPlaces());
	totals_before = palloc(sizeof(ApplicationTotal) * PmonPlaces());
	totals_now = palloc0(sizeof(ApplicationTotal) * PmonPlaces());
	sample_record = palloc0(PmonRingMaxRecord(pmon_sample_ring->size));
	minute_record = palloc0(PmonRingMaxRecord(pmon_minute_ring->size));
	read_totals(totals_before, true);
	settle_length();
	totals_version = pmon_declared_version;
	minute.samples = 0;
}

static uint16
clamp(int value)
{
	return (uint16) Min(value, PG_UINT16_MAX);
}

/* Write the sample as it is.  Applications that do not fit are left out. */
static void
write_sample(const PmonServerSample *sample, uint32 rejected, uint32 terminated)
{
	PmonSampleRecord *record = sample_record;
	int			n = Min(sample->napplications, pmon_max_sample_entries());

	record->record.count = n;
	record->record.size = PmonSampleRecordSize(n);
	record->at = sample->at;
	record->max_connections = sample->max_connections;
	record->ordinary_slots = sample->ordinary_slots;
	record->rejected = rejected;
	record->terminated = terminated;
	for (int f = 0; f < PMON_FIGURES; f++)
		record->figures[f] = sample->figures[f];

	for (int i = 0; i < n; i++)
	{
		record->entries[i].id = sample->applications[i].id;
		for (int f = 0; f < PMON_FIGURES; f++)
			record->entries[i].figures[f] = clamp(sample->applications[i].figures[f]);
	}
	pmon_ring_append(pmon_sample_ring, &record->record);
}

/* The place of an application has gone to another one: fold its minute. */
static void
fold_minute(ApplicationMinute *application)
{
	ApplicationMinute *other = &application_minutes[OTHER_PLACE];

	if (!PmonIsPoolId(application->id))
	{
		other->id = pmon_applications[OTHER_PLACE].id;
		for (int f = 0; f < PMON_FIGURES; f++)
		{
			other->sums[f] += application->sums[f];
			other->maxima[f] = Max(other->maxima[f], application->maxima[f]);
		}
	}
	memset(application, 0, sizeof(*application));
}

/* Add one application's sample to its minute. */
static void
roll_up_application(const PmonApplicationSample *sample)
{
	ApplicationMinute *application = &application_minutes[sample->place];

	if (application->id != 0 && application->id != sample->id)
		fold_minute(application);

	application->id = sample->id;
	for (int f = 0; f < PMON_FIGURES; f++)
	{
		application->sums[f] += sample->figures[f];
		application->maxima[f] = Max(application->maxima[f], clamp(sample->figures[f]));
	}
}

static void
roll_up(const PmonServerSample *sample, uint32 rejected, uint32 terminated)
{
	minute.samples++;
	minute.max_connections = sample->max_connections;
	minute.utilization_max = Max(minute.utilization_max,
								 (double) sample->figures[PMON_CONNECTIONS] /
								 sample->ordinary_slots);
	minute.rejected += rejected;
	minute.terminated += terminated;
	for (int f = 0; f < PMON_FIGURES; f++)
	{
		minute.sums[f] += sample->figures[f];
		minute.maxima[f] = Max(minute.maxima[f], sample->figures[f]);
	}
	for (int i = 0; i < sample->napplications; i++)
		roll_up_application(&sample->applications[i]);
}

/*
 * What an application or a pool counted in this minute.  For a pool that is
 * the difference of two readings.  Where it counts less than before, or is
 * new, groups have come or gone that have counted long before: there we do
 * not know.
 */
static PmonHoldBrief
transactions_of_minute(const ApplicationTotal *before, const ApplicationTotal *now)
{
	PmonHoldBrief brief = now->brief;

	if (PmonIsPoolId(now->id))
	{
		if (before->id == now->id &&
			before->brief.all.transactions <= now->brief.all.transactions)
			pmon_subtract_brief(&brief, &before->brief);
		else
			memset(&brief, 0, sizeof(brief));
	}
	return brief;
}

/* Write it down, without what was rounded below zero. */
static void
put_transactions(PmonMinuteEntry *entry, const PmonHoldBrief *brief)
{
	entry->transactions = (uint32) Min(Max(brief->all.transactions, 0), PG_UINT32_MAX);
	entry->hold_sum = Max(brief->all.sum, 0);
	entry->hold_square_sum = Max(brief->all.square_sum, 0);
	for (int i = 0; i < PMON_LONG_CLASSES; i++)
	{
		const PmonHoldSums *longer = &brief->longer[i];

		entry->long_transactions[i] =
			(uint16) Min(Max(longer->transactions, 0), PG_UINT16_MAX);
		entry->long_sums[i] = Max(longer->sum, 0);
		entry->long_square_sums[i] = Max(longer->square_sum, 0);
	}
}

/* Fill in one application's entry.  Returns false if there is nothing in it. */
static bool
make_minute_entry(int place, PmonMinuteEntry *entry)
{
	ApplicationMinute *application = &application_minutes[place];
	PmonHoldBrief brief = transactions_of_minute(&totals_before[place],
												 &totals_now[place]);

	if (application->id == 0 &&
		(totals_now[place].id == 0 || brief.all.transactions <= 0))
		return false;

	entry->id = application->id != 0 ? application->id : totals_now[place].id;
	for (int f = 0; f < PMON_FIGURES; f++)
	{
		entry->averages[f] = (float) application->sums[f] / minute.samples;
		entry->maxima[f] = application->maxima[f];
	}
	if (entry->id != totals_now[place].id)
		memset(&brief, 0, sizeof(brief));
	put_transactions(entry, &brief);
	return true;
}

/* Write the current minute and start with nothing. */
static void
finish_minute(void)
{
	PmonMinuteRecord *record = minute_record;
	ApplicationTotal *swap;
	int			n = 0;

	read_totals(totals_now, true);
	record->length = settle_length();
	for (int i = 0; i < pmon->max_groups; i++)
	{
		if (application_minutes[i].id != 0 && totals_now[i].id != 0 &&
			application_minutes[i].id != totals_now[i].id)
			fold_minute(&application_minutes[i]);
	}
	for (int i = 0; i < PmonPlaces() && n < pmon_max_minute_entries(); i++)
	{
		if (make_minute_entry(i, &record->entries[n]))
			n++;
	}

	record->record.count = n;
	record->record.size = PmonMinuteRecordSize(n);
	record->at = minute.at;
	record->samples = minute.samples;
	record->max_connections = minute.max_connections;
	record->utilization_max = minute.utilization_max;
	record->rejected = minute.rejected;
	record->terminated = minute.terminated;
	for (int f = 0; f < PMON_FIGURES; f++)
	{
		record->averages[f] = (float) minute.sums[f] / minute.samples;
		record->maxima[f] = minute.maxima[f];
	}
	pmon_ring_append(pmon_minute_ring, &record->record);

	swap = totals_before;
	totals_before = totals_now;
	totals_now = swap;
	memset(&minute, 0, sizeof(minute));
	memset(application_minutes, 0, sizeof(ApplicationMinute) * PmonPlaces());
}

/*
 * The pools have been declared anew.  One that takes other groups than before
 * has not counted what they had counted, so that all start here: the current
 * minute has what they count in the rest of it.
 */
static void
notice_new_pools(void)
{
	if (totals_version == pmon_declared_version)
		return;
	totals_version = pmon_declared_version;
	read_totals(totals_now, false);
	memcpy(&totals_before[PmonPoolPlace(0)], &totals_now[PmonPoolPlace(0)],
		   sizeof(ApplicationTotal) * PMON_MAX_POOLS);
}

/*
 * How much a total has grown since the last sample.  A reset since the total
 * was read may have moved the mark beyond it: then it stays there.  Wants the
 * lock, at least shared, since a reset writes it too.
 */
static uint32
growth(uint64 total, uint64 *sampled)
{
	uint64		grown = PmonUnsampled(total, *sampled);

	Assert(LWLockHeldByMe(PmonLock()));
	*sampled += grown;
	return (uint32) Min(grown, PG_UINT32_MAX);
}

/* After a reset, the minute that it falls into begins anew. */
static void
notice_reset(void)
{
	static uint32 noticed = 0;

	if (!pmon_notice_reset(&noticed))
		return;
	memset(&minute, 0, sizeof(minute));
	memset(application_minutes, 0, sizeof(ApplicationMinute) * PmonPlaces());
	read_totals(totals_before, true);
	settle_length();
}

void
pmon_write_history(const PmonServerSample *sample)
{
	TimestampTz minute_start = sample->at - sample->at % USECS_PER_MINUTE;
	uint32		rejected;
	uint32		terminated;

	LWLockAcquire(PmonLock(), LW_SHARED);
	rejected = growth(sample->rejected, &pmon->sampled_rejected);
	terminated = growth(sample->terminated, &pmon->sampled_terminated);
	LWLockRelease(PmonLock());

	notice_reset();
	notice_new_pools();
	if (minute.samples > 0 && minute.at != minute_start)
		finish_minute();
	minute.at = minute_start;

	write_sample(sample, rejected, terminated);
	roll_up(sample, rejected, terminated);
}

void
pmon_flush_history(void)
{
	notice_reset();
	if (minute.samples > 0)
		finish_minute();
}
