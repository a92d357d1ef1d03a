/* links: pure/hold_histogram.c */
/*-------------------------------------------------------------------------
 *
 * test_hold_histogram.c
 *	  Buckets of hold times: their borders, their width, the percentiles.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "fakes/require.h"
#include "pure/hold_histogram.h"
#include "tap.h"

#define LARGEST		((UINT64CONST(1) << PMON_HOLD_MAX_BITS) - 1)

/* The bound that the documentation states, and what rounding adds to it */
#define RESOLUTION	0.0625
#define ROUNDING	1e-12

static uint64 counts[PMON_HOLD_BUCKETS];

static void
forget(void)
{
	memset(counts, 0, sizeof(counts));
}

/* The counts, each at its own place */
static PmonHistogram all = {PMON_ALL_OCTAVES, counts};

static double
percentile(double fraction, uint64 max)
{
	return pmon_hold_percentile(&all, fraction, max);
}

static void
test_borders(void)
{
	bool		contiguous = true;
	bool		own_start = true;
	bool		own_end = true;

	for (int i = 0; i < PMON_HOLD_BUCKETS; i++)
	{
		uint64		start = pmon_hold_bucket_start(i);
		uint64		end = pmon_hold_bucket_start(i + 1);

		contiguous &= end > start;
		own_start &= pmon_hold_bucket(start) == i;
		own_end &= pmon_hold_bucket(end - 1) == i;
	}

	is_int(pmon_hold_bucket_start(0), 0, "the first bucket starts at 0");
	is_int(pmon_hold_bucket_start(PMON_HOLD_BUCKETS), LARGEST + 1,
		   "the last bucket ends where the documentation says");
	ok(contiguous, "every bucket ends where the next one starts");
	ok(own_start, "the smallest value of every bucket is in that bucket");
	ok(own_end, "the largest value of every bucket is in that bucket");

	for (int i = 0; i < 16; i++)
		ok(pmon_hold_bucket(i) == i, "%d us has a bucket of its own", i);

	is_int(pmon_hold_bucket(LARGEST), PMON_HOLD_BUCKETS - 1,
		   "the largest value is in the last bucket");
	is_int(pmon_hold_bucket(LARGEST + 1), PMON_HOLD_BUCKETS - 1,
		   "one more is in the last bucket too");
	is_int(pmon_hold_bucket(PG_UINT64_MAX), PMON_HOLD_BUCKETS - 1,
		   "so is the largest number there is");
}

/* A percentile is off by at most the resolution, for values of every size. */
static void
test_resolution(void)
{
	double		worst = 0;

	for (double value = 1; value <= (double) LARGEST; value *= 1.003)
	{
		uint64		microseconds = (uint64) value;
		double		got;

		forget();
		counts[pmon_hold_bucket(microseconds)] = 1;
		got = percentile(0.5, PG_UINT64_MAX);
		worst = Max(worst, fabs(got - (double) microseconds) / (double) microseconds);
	}

	ok(worst <= RESOLUTION + ROUNDING, "no value is off by more than 6.25%%");
	ok(worst > RESOLUTION / 2, "the worst one comes near that: the bound is not idle");
}

/* The percentiles of known values, against their exact ones */
static void
test_percentiles(void)
{
	static const double fractions[] = {0.01, 0.25, 0.50, 0.95, 0.99, 1};

	forget();
	ok(percentile(0.5, 0) < 0, "there is none when nothing is counted");

	/* 1 ms, 2 ms, ..., 1000 ms */
	for (int i = 1; i <= 1000; i++)
		counts[pmon_hold_bucket(i * 1000)]++;
	for (int i = 0; i < lengthof(fractions); i++)
	{
		double		exact = ceil(fractions[i] * 1000) * 1000;
		double		got = percentile(fractions[i], 1000000);

		ok(fabs(got - exact) <= exact * RESOLUTION,
		   "percentile %g of 1 to 1000 ms is right within the resolution",
		   fractions[i] * 100);
	}

	ok(percentile(0, 1000000) <= 1000 * (1 + RESOLUTION),
	   "percentile 0 is the smallest");
	ok(percentile(1, 1000000) <= 1000000,
	   "no percentile is above the largest value");

	/* 99 short ones and a long one */
	forget();
	counts[pmon_hold_bucket(5)] = 99;
	counts[pmon_hold_bucket(7000000)] = 1;
	ok(percentile(0.50, 7000000) == 5, "the median is exact below 16 us");
	ok(percentile(0.99, 7000000) == 5,
	   "the 99th of 100 is at the 99th percentile");
	ok(fabs(percentile(0.991, 7000000) - 7000000) <= 7000000 * RESOLUTION,
	   "just above it is the 100th");

	/* more than 32 bits can count */
	forget();
	counts[pmon_hold_bucket(3)] = UINT64CONST(6000000000);
	counts[pmon_hold_bucket(9)] = UINT64CONST(4000000001);
	ok(percentile(0.5, 9) == 3 &&
	   percentile(0.6, 9) == 9,
	   "ten thousand million transactions are counted right");
}

/*
 * Packing: what is added to few octaves is what is added to all, and has the
 * same percentiles.
 */
static void
test_packing(void)
{
	static uint64 packed[PMON_HOLD_BUCKETS];
	static uint64 unpacked[PMON_HOLD_BUCKETS];
	PmonHistogram unpacked_all = {PMON_ALL_OCTAVES, unpacked};
	PmonHistogram some = {0, packed};
	uint64		seed = 42;
	bool		same = true;
	bool		same_percentiles = true;
	bool		same_unpacked = true;
	bool		as_many = true;

	for (int round = 0; round < 1000; round++)
	{
		uint64		octaves = 0;
		int			n = 0;

		forget();
		memset(packed, 0, sizeof(packed));
		memset(unpacked, 0, sizeof(unpacked));
		for (int i = 0; i <= round % 50; i++)
		{
			uint64		microseconds;

			seed = seed * UINT64CONST(6364136223846793005) + UINT64CONST(1442695040888963407);
			microseconds = (seed >> 20) >> (seed >> 58) % 44;
			counts[pmon_hold_bucket(microseconds)]++;
			octaves |= PmonOctaveBit(PmonHoldOctave(pmon_hold_bucket(microseconds)));
		}

		some.octaves = octaves;

		/* into packed ones and back again, twice */
		for (int i = 0; i < 2; i++)
			pmon_histogram_add(&some, &all);
		pmon_histogram_add(&unpacked_all, &some);
		for (int i = 0; i < PMON_HOLD_BUCKETS; i++)
		{
			same_unpacked &= unpacked[i] == 2 * counts[i];
			if (octaves & PmonOctaveBit(PmonHoldOctave(i)))
				same &= packed[n++] == 2 * counts[i];
			else
				same &= counts[i] == 0;
		}
		as_many &= n == pmon_histogram_length(octaves);
		for (double fraction = 0; fraction <= 1; fraction += 0.125)
			same_percentiles &= percentile(fraction, 1000000) ==
				pmon_hold_percentile(&some, fraction, 1000000);
	}
	ok(as_many, "there are as many packed buckets as octaves have");
	ok(same, "packed buckets are those of the octaves, in their order");
	ok(same_unpacked, "unpacked they are where they were");
	ok(same_percentiles, "their percentiles are the same");

	/* octaves that only one of them has */
	forget();
	memset(packed, 0, sizeof(packed));
	for (int i = 0; i < PMON_HOLD_BUCKETS; i++)
		counts[i] = i;
	some.octaves = 0x14;
	all.octaves = 0x12;
	pmon_histogram_add(&some, &all);
	all.octaves = PMON_ALL_OCTAVES;
	ok(packed[0] == 0 && packed[7] == 0 && packed[8] == 8 && packed[15] == 15 && packed[16] == 0,
	   "what has no place is not added");
	some.octaves = 0;
	ok(pmon_hold_percentile(&some, 0.5, 1) < 0, "without octaves there is no percentile");
}

int
main(void)
{
	test_borders();
	test_resolution();
	test_percentiles();
	test_packing();

	return tap_done();
}
