/*-------------------------------------------------------------------------
 *
 * hold_histogram.h
 *	  Buckets of hold times, and percentiles out of them.
 *
 * Pure functions; nothing here allocates, locks or raises an error.
 *
 * The buckets are log-linear, as in HdrHistogram: below 8 microseconds one
 * for each microsecond, above that 8 of equal width in each power of two.  A
 * bucket is at most 12.5% wide, so its midpoint is within 6.25% of any value
 * in it.  Values above 2^37 - 1 microseconds (38 hours) count as that.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_HOLD_HISTOGRAM_H
#define PMON_HOLD_HISTOGRAM_H

#include "port/pg_bitutils.h"

#define PMON_HOLD_SUB_BITS		3
#define PMON_HOLD_MAX_BITS		37
#define PMON_HOLD_BUCKETS \
	((PMON_HOLD_MAX_BITS - PMON_HOLD_SUB_BITS + 1) << PMON_HOLD_SUB_BITS)

/* The power of two that a bucket is in, as its number, and that one's buckets */
#define PMON_HOLD_SUB_BUCKETS	(1 << PMON_HOLD_SUB_BITS)
#define PmonHoldOctave(bucket)	((bucket) >> PMON_HOLD_SUB_BITS)
#define PmonHoldOctaveBucket(octave)	((octave) << PMON_HOLD_SUB_BITS)

#define PMON_HOLD_OCTAVES		(PMON_HOLD_BUCKETS >> PMON_HOLD_SUB_BITS)
#define PMON_ALL_OCTAVES		((UINT64CONST(1) << PMON_HOLD_OCTAVES) - 1)
#define PmonOctaveBit(octave)	(UINT64CONST(1) << (octave))

/*
 * Counts of buckets.  Most hold times of an application are in a few octaves,
 * so a histogram has only those in its mask, from the lowest on, and none of
 * the others, which are all zero: a tenth of what a reader of many groups
 * would have to copy otherwise, and hold in memory.  With PMON_ALL_OCTAVES it
 * has each bucket at its own place.
 */
typedef struct PmonHistogram
{
	uint64		octaves;
	uint64	   *counts;
} PmonHistogram;

/* How many counts a histogram with those octaves has. */
extern int	pmon_histogram_length(uint64 octaves);

/* Add counts.  What has no place there is not added. */
extern void pmon_histogram_add(PmonHistogram *histogram,
							   const PmonHistogram *more);

/*
 * Take the octaves below end off the histogram, which goes on from there, and
 * return the sum of their counts.
 */
extern uint64 pmon_histogram_take(PmonHistogram *histogram, int end);

/*
 * The bucket of a hold time in microseconds: 0 to PMON_HOLD_BUCKETS - 1.  Without
 * a branch, since each transaction comes by here: of the lowest two octaves each
 * bucket is one microsecond wide, so both are shifted by nothing.
 */
static inline int
pmon_hold_bucket(uint64 microseconds)
{
	uint64		value = Min(microseconds, (UINT64CONST(1) << PMON_HOLD_MAX_BITS) - 1);
	int			shift = pg_leftmost_one_pos64(value | PMON_HOLD_SUB_BUCKETS) - PMON_HOLD_SUB_BITS;

	return (shift << PMON_HOLD_SUB_BITS) + (int) (value >> shift);
}

/* The smallest hold time of a bucket, in microseconds. */
extern uint64 pmon_hold_bucket_start(int bucket);

/*
 * The hold time in microseconds below or at which a fraction (0 to 1) of the
 * counted hold times lie: the midpoint of the bucket that holds the one of
 * that rank, never above max, the largest hold time.  -1 when nothing is
 * counted.
 */
extern double pmon_hold_percentile(const PmonHistogram *histogram,
								   double fraction, uint64 max);

#endif							/* PMON_HOLD_HISTOGRAM_H */
