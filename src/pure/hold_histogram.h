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

#define PMON_HOLD_SUB_BITS		3
#define PMON_HOLD_MAX_BITS		37
#define PMON_HOLD_BUCKETS \
	((PMON_HOLD_MAX_BITS - PMON_HOLD_SUB_BITS + 1) << PMON_HOLD_SUB_BITS)

/* The power of two that a bucket is in, as its number, and that one's buckets */
#define PMON_HOLD_SUB_BUCKETS	(1 << PMON_HOLD_SUB_BITS)
#define PmonHoldOctave(bucket)	((bucket) >> PMON_HOLD_SUB_BITS)
#define PmonHoldOctaveBucket(octave)	((octave) << PMON_HOLD_SUB_BITS)

/*
 * Most hold times of an application are in a few octaves.  So buckets are
 * passed around packed: those of the octaves in a mask, from the lowest on,
 * and none of the others, which are all zero.  With PMON_ALL_OCTAVES that is
 * each bucket at its own place.
 */
#define PMON_HOLD_OCTAVES		(PMON_HOLD_BUCKETS >> PMON_HOLD_SUB_BITS)
#define PMON_ALL_OCTAVES		((UINT64CONST(1) << PMON_HOLD_OCTAVES) - 1)
#define PmonOctaveBit(octave)	(UINT64CONST(1) << (octave))

/* The bucket of a hold time in microseconds: 0 to PMON_HOLD_BUCKETS - 1. */
extern int	pmon_hold_bucket(uint64 microseconds);

/* The smallest hold time of a bucket, in microseconds. */
extern uint64 pmon_hold_bucket_start(int bucket);

/* The number of buckets that are left when packed with these octaves. */
extern int	pmon_packed_buckets(uint64 octaves);

/*
 * Add buckets packed with more_octaves to those packed with octaves.  What
 * has no place there is not added.
 */
extern void pmon_add_buckets(uint64 *totals, uint64 octaves,
							 const uint64 *more, uint64 more_octaves);

/*
 * The hold time in microseconds below or at which a fraction (0 to 1) of the
 * counted hold times lie: the midpoint of the bucket that holds the one of
 * that rank, never above max, the largest hold time.  -1 when nothing is
 * counted.  counts are packed with octaves.
 */
extern double pmon_hold_percentile(const uint64 *counts, uint64 octaves,
								   double fraction, uint64 max);

#endif							/* PMON_HOLD_HISTOGRAM_H */
