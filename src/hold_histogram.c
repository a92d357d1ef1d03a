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

#include "hold_histogram.h"

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

double
pmon_hold_percentile(const uint64 *counts, double fraction, uint64 max)
{
	uint64		total = 0;
	uint64		seen = 0;
	double		rank;

	for (int i = 0; i < PMON_HOLD_BUCKETS; i++)
		total += counts[i];
	if (total == 0)
		return -1;

	/* the smallest value that has at least this many at or below it */
	rank = ceil(fraction * (double) total);
	if (rank < 1)
		rank = 1;

	for (int i = 0; i < PMON_HOLD_BUCKETS; i++)
	{
		seen += counts[i];
		if ((double) seen >= rank)
		{
			/* the bucket's values are whole microseconds */
			uint64		first = pmon_hold_bucket_start(i);
			uint64		last = pmon_hold_bucket_start(i + 1) - 1;

			return Min(((double) first + (double) last) / 2, (double) max);
		}
	}

	return (double) max;
}
