/*-------------------------------------------------------------------------
 *
 * hold_histogram.c
 *	  Buckets of hold times, and percentiles out of them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "port/pg_bitutils.h"

#include "pure/hold_histogram.h"

int
pmon_hold_bucket(uint64 microseconds)
{
	int			top_bit;

	if (microseconds < PMON_HOLD_SUB_BUCKETS)
		return (int) microseconds;

	top_bit = pg_leftmost_one_pos64(microseconds);
	if (top_bit >= PMON_HOLD_MAX_BITS)
		return PMON_HOLD_BUCKETS - 1;

	return ((top_bit - PMON_HOLD_SUB_BITS + 1) << PMON_HOLD_SUB_BITS) +
		(int) ((microseconds >> (top_bit - PMON_HOLD_SUB_BITS)) &
			   (PMON_HOLD_SUB_BUCKETS - 1));
}

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
pmon_packed_buckets(uint64 octaves)
{
	return pg_popcount64(octaves) << PMON_HOLD_SUB_BITS;
}

void
pmon_add_buckets(uint64 *totals, uint64 octaves,
				 const uint64 *more, uint64 more_octaves)
{
	for (uint64 left = octaves & more_octaves; left != 0; left &= left - 1)
	{
		uint64		below = (left & -left) - 1;
		uint64	   *to = totals + pmon_packed_buckets(octaves & below);
		const uint64 *from = more + pmon_packed_buckets(more_octaves & below);

		for (int i = 0; i < PMON_HOLD_SUB_BUCKETS; i++)
			to[i] += from[i];
	}
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
pmon_hold_percentile(const uint64 *counts, uint64 octaves, double fraction,
					 uint64 max)
{
	int			ncounts = pmon_packed_buckets(octaves);
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

	for (uint64 left = octaves; left != 0; left &= left - 1)
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
