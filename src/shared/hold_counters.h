/*-------------------------------------------------------------------------
 *
 * hold_counters.h
 *	  How long transactions held their connections, as each session counts it.
 *
 * A session counts without a lock, since that is what happens at the end of
 * every transaction; others read at any time.  The protocol:
 *
 * - Only the session that owns the counters writes them, so it needs no atomic
 *	 additions: it reads, adds and writes.  Each figure is atomic by itself, so
 *	 that a reader never sees half of one.  Two figures may be one transaction
 *	 apart.
 * - The counters belong to one generation of the group that the session is in.
 *	 A reset of the group starts a new generation, in PmonGroup.generation,
 *	 under PmonLock(), exclusively.  It can not clear what only the session may
 *	 write; so from then on a reader takes counters of another generation for
 *	 zero.  The session notices when it counts next: it clears them, and only
 *	 then says that they are of the new generation (a write barrier between
 *	 the two; a reader's read barrier pairs with it).
 * - The session leaves its group under PmonLock(), exclusively: it adds what it
 *	 counted to the group and clears its counters.  A reader that holds the
 *	 lock, shared, therefore sees each transaction once: in the session's
 *	 counters or in the group's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_HOLD_COUNTERS_H
#define PMON_HOLD_COUNTERS_H

#include "port/atomics.h"

#include "compat.h"
#include "pure/hold_histogram.h"
#include "pure/long_holds.h"

/* The same of those in a class of long ones, in the same units */
typedef struct PmonLongCounters
{
	pg_atomic_uint64 transactions;
	pg_atomic_uint64 time_sum;
	pg_atomic_uint64 square_sum;
} PmonLongCounters;

/*
 * What a session counts for itself.  Times are in microseconds; square_sum is
 * a double, the sum of squared hold times in milliseconds.  octaves has a bit
 * for each power of two in whose buckets anything was counted: those of the
 * others are zero and need not be read.  The buckets of each are a cache line.
 */
typedef struct PmonHoldCounters
{
	uint32		generation;		/* PmonGroup.generation these belong to */
	pg_atomic_uint64 transactions;
	pg_atomic_uint64 time_sum;
	pg_atomic_uint64 square_sum;
	pg_atomic_uint64 time_max;
	pg_atomic_uint64 octaves;
	PmonLongCounters longer[PMON_LONG_CLASSES];
	pg_atomic_uint64 buckets[PMON_HOLD_BUCKETS] PMON_STARTS_CACHE_LINE;
} PmonHoldCounters;

/*
 * The same figures at rest: in a group, or added up by a reader.  Buckets are
 * kept apart, since few want them and they are most of it.
 */
typedef struct PmonLongTotals
{
	uint64		transactions;
	uint64		time_sum;
	double		square_sum;
} PmonLongTotals;

typedef struct PmonHoldTotals
{
	uint64		transactions;
	uint64		time_sum;
	double		square_sum;
	uint64		time_max;
	uint64		octaves;
	PmonLongTotals longer[PMON_LONG_CLASSES];
} PmonHoldTotals;

typedef uint64 PmonHoldBuckets[PMON_HOLD_BUCKETS];

/* Make new memory ready. */
extern void pmon_init_hold_counters(PmonHoldCounters *counters);

/*
 * For the session that owns them: count one transaction that held the
 * connection for so many microseconds, not below 0, or forget what was counted.
 * generation is the group's.  No lock, and nothing that can fail.
 */
extern void pmon_count_hold_time(PmonHoldCounters *counters, uint32 generation,
								 int64 microseconds);
extern void pmon_clear_hold_counters(PmonHoldCounters *counters);

/*
 * For a reader, who holds PmonLock(), at least shared: add what was counted
 * in that generation to totals, or its buckets to a histogram, as far as they
 * have a place there.
 */
extern void pmon_add_hold_counters(PmonHoldTotals *totals,
								   PmonHoldCounters *counters,
								   uint32 generation);
extern void pmon_add_hold_buckets(PmonHistogram *histogram,
								  PmonHoldCounters *counters,
								  uint32 generation);

/* Add totals to totals. */
extern void pmon_add_hold_totals(PmonHoldTotals *totals,
								 const PmonHoldTotals *more);

/* Add what sizing needs of totals. */
extern void pmon_add_brief(PmonHoldBrief *brief, const PmonHoldTotals *totals);

#endif							/* PMON_HOLD_COUNTERS_H */
