/*-------------------------------------------------------------------------
 *
 * hold_counters.c
 *	  How long transactions held their connections, as each session counts it.
 *
 * hold_counters.h has the protocol.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "datatype/timestamp.h"
#include "port/pg_bitutils.h"

#include "shared/hold_counters.h"
#include "shared/shared_state.h"

void
pmon_init_hold_counters(PmonHoldCounters *counters)
{
	counters->generation = 0;
	pg_atomic_init_u64(&counters->transactions, 0);
	pg_atomic_init_u64(&counters->time_sum, 0);
	pg_atomic_init_u64(&counters->square_sum, 0);
	pg_atomic_init_u64(&counters->time_max, 0);
	pg_atomic_init_u64(&counters->octaves, 0);
	for (int i = 0; i < PMON_LONG_CLASSES; i++)
	{
		pg_atomic_init_u64(&counters->longer[i].transactions, 0);
		pg_atomic_init_u64(&counters->longer[i].time_sum, 0);
		pg_atomic_init_u64(&counters->longer[i].square_sum, 0);
	}
	for (int i = 0; i < PMON_HOLD_BUCKETS; i++)
		pg_atomic_init_u64(&counters->buckets[i], 0);
}

/*
 * The session's half
 */

/* Add to a counter that only this session writes: no atomic addition needed */
static inline void
add(pg_atomic_uint64 *counter, uint64 value)
{
	pg_atomic_write_u64(counter, pg_atomic_read_u64(counter) + value);
}

/* The bits of an atomic read as a double */
static inline double
read_double(pg_atomic_uint64 *atomic)
{
	uint64		bits = pg_atomic_read_u64(atomic);
	double		value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static inline void
add_double(pg_atomic_uint64 *counter, double value)
{
	double		sum = read_double(counter) + value;
	uint64		bits;

	memcpy(&bits, &sum, sizeof(bits));
	pg_atomic_write_u64(counter, bits);
}

void
pmon_clear_hold_counters(PmonHoldCounters *counters)
{
	uint64		octaves = pg_atomic_read_u64(&counters->octaves);

	pg_atomic_write_u64(&counters->transactions, 0);
	pg_atomic_write_u64(&counters->time_sum, 0);
	pg_atomic_write_u64(&counters->square_sum, 0);
	pg_atomic_write_u64(&counters->time_max, 0);
	for (int i = 0; i < PMON_LONG_CLASSES; i++)
	{
		pg_atomic_write_u64(&counters->longer[i].transactions, 0);
		pg_atomic_write_u64(&counters->longer[i].time_sum, 0);
		pg_atomic_write_u64(&counters->longer[i].square_sum, 0);
	}
	for (; octaves != 0; octaves &= octaves - 1)
	{
		int			first = PmonHoldOctaveBucket(pg_rightmost_one_pos64(octaves));

		for (int i = first; i < first + PMON_HOLD_SUB_BUCKETS; i++)
			pg_atomic_write_u64(&counters->buckets[i], 0);
	}
	pg_atomic_write_u64(&counters->octaves, 0);
}

static pg_noinline void
count_long(PmonHoldCounters *counters, int64 microseconds)
{
	PmonLongCounters *longer = &counters->longer[pmon_long_class(microseconds)];
	double		milliseconds = (double) microseconds / 1000.0;

	add(&longer->transactions, 1);
	add(&longer->time_sum, microseconds);
	add_double(&longer->square_sum, milliseconds * milliseconds);
}

/* The first one of a generation: forget what a reset has declared forgotten. */
static pg_noinline void
count_anew(PmonHoldCounters *counters, uint32 generation, int64 microseconds)
{
	pmon_clear_hold_counters(counters);
	pg_write_barrier();
	counters->generation = generation;
	pmon_count_hold_time(counters, generation, microseconds);
}

/*
 * What is not for every transaction stands in functions of its own, which are
 * the last that is called: so nothing has to be kept on the stack.
 */
void
pmon_count_hold_time(PmonHoldCounters *counters, uint32 generation,
					 int64 microseconds)
{
	double		milliseconds = (double) microseconds / 1000.0;
	int			bucket = pmon_hold_bucket(microseconds);
	uint64		in_bucket;

	Assert(microseconds >= 0);
	if (unlikely(counters->generation != generation))
	{
		count_anew(counters, generation, microseconds);
		return;
	}

	add(&counters->transactions, 1);
	add(&counters->time_sum, microseconds);
	add_double(&counters->square_sum, milliseconds * milliseconds);
	if (unlikely(microseconds > (int64) pg_atomic_read_u64(&counters->time_max)))
		pg_atomic_write_u64(&counters->time_max, microseconds);

	/* the first one in a bucket may be the first one of its octave */
	in_bucket = pg_atomic_read_u64(&counters->buckets[bucket]);
	if (unlikely(in_bucket == 0))
		pg_atomic_write_u64(&counters->octaves,
							pg_atomic_read_u64(&counters->octaves) |
							PmonOctaveBit(PmonHoldOctave(bucket)));
	pg_atomic_write_u64(&counters->buckets[bucket], in_bucket + 1);

	if (unlikely(microseconds >= USECS_PER_SEC))
		count_long(counters, microseconds);
}

/*
 * A reader's half
 */

/* Are these of that generation?  If not, they count as zero. */
static inline bool
are_of_generation(const PmonHoldCounters *counters, uint32 generation)
{
	if (*((const volatile uint32 *) &counters->generation) != generation)
		return false;
	pg_read_barrier();
	return true;
}

void
pmon_add_hold_counters(PmonHoldTotals *totals, PmonHoldCounters *counters,
					   uint32 generation)
{
	Assert(LWLockHeldByMe(PmonLock()));
	if (!are_of_generation(counters, generation))
		return;
	totals->transactions += pg_atomic_read_u64(&counters->transactions);
	totals->time_sum += pg_atomic_read_u64(&counters->time_sum);
	totals->square_sum += read_double(&counters->square_sum);
	totals->time_max = Max(totals->time_max, pg_atomic_read_u64(&counters->time_max));
	totals->octaves |= pg_atomic_read_u64(&counters->octaves);
	for (int i = 0; i < PMON_LONG_CLASSES; i++)
	{
		PmonLongCounters *longer = &counters->longer[i];

		totals->longer[i].transactions += pg_atomic_read_u64(&longer->transactions);
		totals->longer[i].time_sum += pg_atomic_read_u64(&longer->time_sum);
		totals->longer[i].square_sum += read_double(&longer->square_sum);
	}
}

void
pmon_add_hold_buckets(PmonHistogram *histogram, PmonHoldCounters *counters,
					  uint32 generation)
{
	uint64	   *count = histogram->counts;
	uint64		counted;

	Assert(LWLockHeldByMe(PmonLock()));
	if (!are_of_generation(counters, generation))
		return;
	counted = pg_atomic_read_u64(&counters->octaves);
	for (uint64 left = histogram->octaves; left != 0; left &= left - 1)
	{
		int			octave = pg_rightmost_one_pos64(left);
		int			first = PmonHoldOctaveBucket(octave);

		if (counted & PmonOctaveBit(octave))
		{
			for (int i = 0; i < PMON_HOLD_SUB_BUCKETS; i++)
				count[i] += pg_atomic_read_u64(&counters->buckets[first + i]);
		}
		count += PMON_HOLD_SUB_BUCKETS;
	}
}

/*
 * Figures at rest
 */

void
pmon_add_hold_totals(PmonHoldTotals *totals, const PmonHoldTotals *more)
{
	totals->transactions += more->transactions;
	totals->time_sum += more->time_sum;
	totals->square_sum += more->square_sum;
	totals->time_max = Max(totals->time_max, more->time_max);
	totals->octaves |= more->octaves;
	for (int i = 0; i < PMON_LONG_CLASSES; i++)
	{
		totals->longer[i].transactions += more->longer[i].transactions;
		totals->longer[i].time_sum += more->longer[i].time_sum;
		totals->longer[i].square_sum += more->longer[i].square_sum;
	}
}

static void
add_to_sums(PmonHoldSums *sums, uint64 transactions, uint64 time_sum, double square_sum)
{
	sums->transactions += transactions;
	sums->sum += (double) time_sum / 1000.0;
	sums->square_sum += square_sum;
}

void
pmon_add_brief(PmonHoldBrief *brief, const PmonHoldTotals *totals)
{
	add_to_sums(&brief->all, totals->transactions, totals->time_sum, totals->square_sum);
	for (int i = 0; i < PMON_LONG_CLASSES; i++)
	{
		const PmonLongTotals *longer = &totals->longer[i];

		add_to_sums(&brief->longer[i], longer->transactions, longer->time_sum,
					longer->square_sum);
	}
}
