/* links: query/history_reader.c query/application_names.c shared/history.c shared/ring.c */
/*-------------------------------------------------------------------------
 *
 * test_history_reader.c
 *	  The history as it is read where both tiers overlap, and where the clock
 *	  was set back or forward: nothing is invented, nothing counts twice.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "shared/history.h"
#include "query/history_reader.h"
#include "shared/groups.h"
#include "shared/shared_state.h"
#include "fakes/hash_tables.h"
#include "fakes/locks.h"
#include "fakes/memory.h"
#include "fakes/messages.h"
#include "fakes/parts.h"
#include "tap.h"

void
pg_qsort(void *base, size_t nel, size_t elsize, int (*cmp) (const void *, const void *))
{
#undef qsort
	qsort(base, nel, elsize, cmp);
}

/*
 * What it wants of the other files
 */

#define PLACES	10

PmonShared *pmon;
int			pmon_history_size = 256;

static PmonShared shared;
static PmonGroupTable table;
static PmonApplication applications[PLACES];

PmonGroupTable *pmon_group_table = &table;
PmonApplication *pmon_applications = applications;

/* Application n has the id 10 + n; place 0 is "<other>". */
static void
new_history(void)
{
	pmon = &shared;
	shared.max_groups = PLACES;
	table.napplications = 3;
	for (int i = 0; i < table.napplications; i++)
	{
		applications[i].in_use = true;
		applications[i].id = 10 + i;
		snprintf(applications[i].application_name, NAMEDATALEN, i == 0 ? "<other>" : "app %d", i);
	}
	free(pmon_sample_ring);
	free(pmon_minute_ring);
	pmon_request_history();
}

/*
 * Times are in seconds since the hour H0, which starts a minute.
 */
#define H0		(INT64CONST(800000) * 3600 * USECS_PER_SEC)
#define AT(s)	(H0 + (int64) (s) * USECS_PER_SEC)

static void
add_sample(int64 second, uint32 id, int connections)
{
	char		buffer[512] = {0};
	PmonSampleRecord *sample = (PmonSampleRecord *) buffer;

	sample->record.count = 1;
	sample->record.size = PmonSampleRecordSize(1);
	sample->at = AT(second);
	sample->max_connections = 100;
	sample->ordinary_slots = 97;
	sample->rejected = 1;
	sample->figures[PMON_CONNECTIONS] = connections;
	sample->entries[0].id = id;
	sample->entries[0].figures[PMON_CONNECTIONS] = connections;
	pmon_ring_append(pmon_sample_ring, &sample->record);
}

/* A minute with that many samples, each of so many connections */
static void
add_minute(int64 second, int samples, uint32 id, int connections)
{
	char		buffer[512] = {0};
	PmonMinuteRecord *minute = (PmonMinuteRecord *) buffer;

	minute->record.count = 1;
	minute->record.size = PmonMinuteRecordSize(1);
	minute->at = AT(second);
	minute->samples = samples;
	minute->max_connections = 100;
	minute->rejected = samples;
	minute->averages[PMON_CONNECTIONS] = minute->maxima[PMON_CONNECTIONS] = connections;
	minute->entries[0].id = id;
	minute->entries[0].averages[PMON_CONNECTIONS] = minute->entries[0].maxima[PMON_CONNECTIONS] = connections;
	pmon_ring_append(pmon_minute_ring, &minute->record);
}

/* What a worker writes in that time, one sample a second */
static void
run(int64 from, int64 to, int connections)
{
	int			samples = 0;

	for (int64 second = from; second < to; second++)
	{
		add_sample(second, 11, connections);
		samples++;
		if ((second + 1) % 60 == 0)
		{
			add_minute(second - second % 60, samples, 11, connections);
			samples = 0;
		}
	}
}

/* Forget all samples but the newest n. */
static void
keep_samples(int n)
{
	PmonRingReader reader;
	int			total = 0;

	pmon_ring_begin_read(&reader, pmon_sample_ring);
	while (pmon_next_sample(&reader) != NULL)
		total++;
	pfree(reader.buffer);

	pmon_ring_begin_read(&reader, pmon_sample_ring);
	while (total-- > n)
		pmon_next_sample(&reader);
	pg_atomic_write_u64(&pmon_sample_ring->floor, reader.position);
	pfree(reader.buffer);
}

/* What there is in a time: samples and average connections, in one period */
typedef struct Sum
{
	int64		periods;
	int64		samples;
	double		average;
	double		of_application;
	int			maximum;
	int64		rejected;
} Sum;

static Sum
sum_of(int64 from, int64 to, int64 step_seconds)
{
	PmonPeriods *periods = pmon_read_history(AT(from), AT(to), step_seconds * USECS_PER_SEC, true);
	Sum			sum = {0};

	for (int i = 0; i < periods->nperiods; i++)
	{
		PmonPeriod *period = periods->periods[i];

		if (period->id == PMON_SERVER_ID)
		{
			sum.periods++;
			sum.samples += period->samples;
			sum.average += period->sums[PMON_CONNECTIONS];
			sum.maximum = Max(sum.maximum, period->maxima[PMON_CONNECTIONS]);
			sum.rejected += period->rejected;
		}
		else if (period->id == 11)
			sum.of_application += period->sums[PMON_CONNECTIONS];
	}
	if (sum.samples > 0)
	{
		sum.average /= sum.samples;
		sum.of_application /= sum.samples;
	}
	return sum;
}

static void
is_sum(Sum got, int64 samples, double average, const char *fact)
{
	ok(got.samples == samples && got.rejected == samples && got.average == average &&
	   got.of_application == average, "%s", fact);
	if (got.samples != samples || got.average != average || got.of_application != average || got.rejected != samples)
		printf("# %lld samples, %lld rejected, %g connections, %g of the application; expected %lld, %g\n",
			   (long long) got.samples, (long long) got.rejected, got.average, got.of_application,
			   (long long) samples, average);
}

static void
test_tiers(void)
{
	new_history();
	is_int(sum_of(-3600, 7200, 60).periods, 0, "an empty history has no periods");

	run(0, 630, 5);
	is_sum(sum_of(0, 3600, 60), 630, 5, "samples and minutes of the same time do not add up");
	is_int(sum_of(0, 3600, 1).periods, 630, "each second shows where samples reach");
	is_int(sum_of(0, 3600, 60).periods, 11, "a minute that is not over shows, too");

	keep_samples(90);			/* from second 540, the start of a minute */
	is_sum(sum_of(0, 3600, 60), 630, 5, "minutes take over where samples no longer reach");
	is_int(sum_of(0, 3600, 1).periods, 9 + 90, "where the samples are a minute's all, they stand for it");
	keep_samples(75);
	is_sum(sum_of(0, 3600, 60), 630, 5, "the minute in which the samples begin is whole");
	is_int(sum_of(0, 3600, 1).periods, 10 + 30, "it comes as a minute then");
	is_sum(sum_of(120, 300, 60), 180, 5, "since and until pick minutes");
	is_sum(sum_of(600, 610, 1), 10, 5, "and samples");

	/* a server that ran for a part of a minute, twice */
	new_history();
	run(0, 60, 4);
	add_minute(60, 20, 11, 4);	/* up to a restart */
	for (int i = 60; i < 80; i++)
		add_sample(i, 11, 4);
	for (int i = 90; i < 120; i++)
		add_sample(i, 11, 4);
	add_minute(60, 30, 11, 4);
	run(120, 150, 4);
	is_sum(sum_of(0, 3600, 60), 60 + 50 + 30, 4, "a minute in two parts is the sum of both");
	is_int(sum_of(60, 120, 1).periods, 50, "and the time between is a gap");
	keep_samples(30 + 45);
	is_sum(sum_of(0, 3600, 60), 60 + 50 + 30, 4, "also where the samples begin in the first part");
	keep_samples(30 + 10);
	is_sum(sum_of(0, 3600, 60), 60 + 50 + 30, 4, "and in the second");
	keep_samples(30);
	is_sum(sum_of(0, 3600, 60), 60 + 50 + 30, 4, "and after it");
}

static void
test_names(void)
{
	PmonPeriods *periods;

	new_history();
	add_sample(0, 11, 3);
	add_sample(1, 99, 4);
	add_sample(2, 12, 5);
	periods = pmon_read_history(AT(0), AT(60), 60 * USECS_PER_SEC, true);
	ok(periods->nperiods == 4 && periods->periods[0]->id == PMON_SERVER_ID &&
	   strcmp(periods->periods[1]->application_name, "<other>") == 0 &&
	   strcmp(periods->periods[2]->application_name, "app 1") == 0 &&
	   strcmp(periods->periods[3]->application_name, "app 2") == 0,
	   "the server comes first, then the names in their order; one that is forgotten is <other>");
	ok(periods->periods[1]->samples == 3 && periods->periods[1]->maxima[PMON_CONNECTIONS] == 4 &&
	   periods->periods[1]->sums[PMON_CONNECTIONS] == 4, "each with its figures, over all samples");
}

static void
test_clock_back(void)
{
	/* ten minutes, then the clock is set back by half an hour */
	new_history();
	run(3600, 4200, 5);
	run(2400, 2430, 7);
	is_sum(sum_of(3600, 4200, 60), 600, 5, "what was before the clock was set back is as it was");
	is_sum(sum_of(2400, 2460, 60), 30, 7, "what is sampled after it shows at once");
	is_int(sum_of(0, 7200, 60).samples, 630, "nothing counts twice");
	run(2430, 2700, 7);
	is_sum(sum_of(2400, 2700, 60), 300, 7, "and goes on");
	is_int(sum_of(0, 7200, 60).samples, 900, "nothing counts twice");
	is_int(sum_of(2400, 2700, 1).periods, 300, "in seconds");

	/* by a minute and a half: the same time twice */
	new_history();
	run(0, 180, 5);
	run(90, 300, 7);
	is_int(sum_of(0, 3600, 60).samples, 180 + 210, "a time that was twice has the samples of both");
	is_int(sum_of(0, 3600, 60).maximum, 7, "and the higher maximum");
	for (int kept = 389; kept > 0; kept -= 7)
	{
		keep_samples(kept);
		if (sum_of(0, 3600, 60).samples > 180 + 210)
			break;
	}
	ok(sum_of(0, 3600, 60).samples <= 180 + 210, "as the samples go, none counts twice");
	is_int(sum_of(240, 300, 60).samples, 60, "and the latest minute is there");
}

static void
test_clock_forward(void)
{
	const int64 year = 365 * 86400;

	/* a year ahead for ten seconds, and back again */
	new_history();
	run(0, 120, 5);
	for (int i = 0; i < 10; i++)
		add_sample(year + i, 11, 9);
	add_minute(year, 10, 11, 9);
	run(120, 300, 5);
	is_sum(sum_of(0, 3600, 60), 300, 5, "a clock that was ahead for a while leaves the time before and after it whole");
	is_sum(sum_of(year, year + 60, 60), 10, 9, "what was sampled then shows then");
	is_int(sum_of(0, 2 * year, 60).periods, 6, "the time between has no rows");
	for (int kept = 309; kept > 0; kept -= 7)
	{
		keep_samples(kept);
		if (sum_of(0, 2 * year, 60).samples != 310)
			break;
	}
	is_int(sum_of(0, 2 * year, 60).samples, 310, "as the samples go, minutes take over");

	/* when the samples begin with those from the future */
	keep_samples(10 + 180);
	is_sum(sum_of(240, 300, 1), 60, 5, "the newest samples show, though the oldest are of the future");
	run(300, 330, 6);
	is_sum(sum_of(300, 360, 60), 30, 6, "even those of a minute that is not over");
}

int
main(void)
{
	test_tiers();
	test_names();
	test_clock_back();
	test_clock_forward();

	return tap_done();
}
