/*-------------------------------------------------------------------------
 *
 * hold_histogram.c
 *	  Buckets of hold times, and percentiles out of them.
 *
 * See hold_histogram.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "port/pg_bitutils.h"

#include "pure/hold_histogram.h"

uint64
pmon_hold_bucket_start(int bucket)
{
	int			octave = PmonHoldOctave(bucket);
	uint64		sub = bucket & (PMON_HOLD_SUB_BUCKETS - 1);

	if (octave == 0)
		return sub;
	return (PMON_HOLD_SUB_BUCKETS + sub) << (octave - 1);
}

int
pmon_histogram_length(uint64 octaves)
{
	return pg_popcount64(octaves) << PMON_HOLD_SUB_BITS;
}

void
pmon_histogram_add(PmonHistogram *histogram, const PmonHistogram *more)
{
	for (uint64 left = histogram->octaves & more->octaves; left != 0; left &= left - 1)
	{
		uint64		below = (left & -left) - 1;
		uint64	   *to = histogram->counts +
		pmon_histogram_length(histogram->octaves & below);
		const uint64 *from = more->counts +
		pmon_histogram_length(more->octaves & below);

		for (int i = 0; i < PMON_HOLD_SUB_BUCKETS; i++)
			to[i] += from[i];
	}
}

uint64
pmon_histogram_take(PmonHistogram *histogram, int end)
{
	uint64		sum = 0;

	while (histogram->octaves & (PmonOctaveBit(end) - 1))
	{
		for (int i = 0; i < PMON_HOLD_SUB_BUCKETS; i++)
			sum += *histogram->counts++;
		histogram->octaves &= histogram->octaves - 1;
	}
	return sum;
}

/*
 * The midpoint of a bucket, whose values are whole microseconds; no more than
 * max.
 */
static double
bucket_midpoint(int bucket, uint64 max)
{
	uint64		first = pmon_hold_bucket_start(bucket);
	uint64		last = pmon_hold_bucket_start(bucket + 1) - 1;

	return Min(((double) first + (double) last) / 2, (double) max);
}

double
pmon_hold_percentile(const PmonHistogram *histogram, double fraction, uint64 max)
{
	const uint64 *counts = histogram->counts;
	int			ncounts = pmon_histogram_length(histogram->octaves);
	uint64		total = 0;
	uint64		seen = 0;
	double		rank;

	for (int i = 0; i < ncounts; i++)
		total += counts[i];
	if (total == 0)
		return -1;

	/* the smallest value that has at least this many at or below it */
	rank = ceil(fraction * (double) total);
	if (rank < 1)
		rank = 1;

	for (uint64 left = histogram->octaves; left != 0; left &= left - 1)
	{
		int			first = PmonHoldOctaveBucket(pg_rightmost_one_pos64(left));

		for (int i = 0; i < PMON_HOLD_SUB_BUCKETS; i++)
		{
			seen += *counts++;
			if ((double) seen >= rank)
				return bucket_midpoint(first + i, max);
		}
	}

	return (double) max;
}
