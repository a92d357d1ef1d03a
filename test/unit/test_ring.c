/* links: shared/ring.c */
/*-------------------------------------------------------------------------
 *
 * test_ring.c
 *	  The ring of records: order, wrapping, forgetting, damage, and readers
 *	  that run beside the writer.
 *
 *	  test_ring [RECORDS]
 *
 * Every record is made of its number alone, so that a reader can tell of each
 * one whether it is whole, and whether it is the next.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/ring.h"
#include "fakes/memory.h"
#include "tap.h"

/*
 * Records
 */

/* One word an entry; the first is the record's number */
typedef struct TestRecord
{
	PmonRecord	record;
	uint64		words[FLEXIBLE_ARRAY_MEMBER];
} TestRecord;

#define HEADER_SIZE		offsetof(TestRecord, words)
#define MAX_WORDS		256

static uint64
scramble(uint64 x)
{
	x ^= x >> 31;
	x *= UINT64CONST(0x7FB5D329728EA185);
	x ^= x >> 27;
	x *= UINT64CONST(0x81DADEF4BC2DD44D);
	return x ^ (x >> 33);
}

/* How many words the record of that number has: 1 to max */
static uint32
words_of(uint64 number, int max)
{
	return 1 + scramble(number) % max;
}

static uint64
word_of(uint64 number, int i)
{
	return i == 0 ? number : scramble(number * 1000 + i);
}

static void
append(PmonRing *ring, uint64 number, int max)
{
	struct
	{
		PmonRecord	record;
		uint64		words[MAX_WORDS];
	}			record;

	record.record.count = words_of(number, max);
	record.record.size = HEADER_SIZE + record.record.count * sizeof(uint64);
	for (int i = 0; i < record.record.count; i++)
		record.words[i] = word_of(number, i);
	pmon_ring_append(ring, &record.record);
}

static TestRecord *
next(PmonRingReader *reader)
{
	return (TestRecord *) pmon_ring_next(reader, HEADER_SIZE, sizeof(uint64));
}

/* Is it, to the last word, what its number says? */
static bool
is_whole(const TestRecord *record, int max)
{
	uint64		number = record->words[0];

	if (record->record.count != words_of(number, max) ||
		record->record.size != HEADER_SIZE + record->record.count * sizeof(uint64))
		return false;
	for (int i = 1; i < record->record.count; i++)
	{
		if (record->words[i] != word_of(number, i))
			return false;
	}
	return true;
}

/* What one pass over a ring found */
typedef struct Pass
{
	uint64		records;
	uint64		first;			/* numbers, if there is any record */
	uint64		last;
	uint64		bytes;
	bool		whole;			/* all of them */
	bool		in_order;		/* without a gap */
} Pass;

static Pass
read_all(PmonRing *ring, int max)
{
	Pass		pass = {.whole = true,.in_order = true};
	PmonRingReader reader;
	TestRecord *record;

	pmon_ring_begin_read(&reader, ring);
	while ((record = next(&reader)) != NULL)
	{
		uint64		number = record->words[0];

		pass.whole = pass.whole && is_whole(record, max);
		if (pass.records++ == 0)
			pass.first = number;
		else
			pass.in_order = pass.in_order && number == pass.last + 1;
		pass.last = number;
		pass.bytes += record->record.size;
	}
	pfree(reader.buffer);
	return pass;
}

static PmonRing *
new_ring(Size size)
{
	PmonRing   *ring = mmap(NULL, PmonRingBytes(size), PROT_READ | PROT_WRITE,
							MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (ring == MAP_FAILED)
		abort();
	pmon_ring_init(ring, size);
	return ring;
}

static void
free_ring(PmonRing *ring)
{
	munmap(ring, PmonRingBytes(ring->size));
}

/*
 * One process
 */

static void
test_alone(void)
{
	const Size	size = 4096;
	const int	max = 48;
	PmonRing   *ring = new_ring(size);
	bool		whole = true;
	bool		in_order = true;
	bool		latest = true;
	bool		full = true;
	Pass		pass;

	pass = read_all(ring, max);
	is_int(pass.records, 0, "a new ring has no records");

	append(ring, 1, max);
	pass = read_all(ring, max);
	ok(pass.records == 1 && pass.first == 1 && pass.whole, "one record comes back as it was written");

	for (uint64 number = 2; number <= 20000; number++)
	{
		append(ring, number, max);
		pass = read_all(ring, max);
		whole = whole && pass.whole;
		in_order = in_order && pass.in_order;
		latest = latest && pass.last == number;

		/* the room lost: the filler, and what had to go for the newest one */
		if (pass.first > 1)
			full = full && pass.bytes >= size - 2 * PmonRingMaxRecord(size);
	}
	ok(whole, "records come back whole, wherever the ring's end falls");
	ok(in_order, "in their order, without a gap");
	ok(latest, "the newest is always there");
	ok(full, "as many old ones are kept as there is room for");

	pmon_ring_forget(ring);
	pass = read_all(ring, max);
	is_int(pass.records, 0, "forgotten records do not come back");
	append(ring, 20001, max);
	append(ring, 20002, max);
	pass = read_all(ring, max);
	ok(pass.records == 2 && pass.first == 20001 && pass.whole, "those written after that do");
	for (uint64 number = 20003; number <= 21000; number++)
		append(ring, number, max);
	pass = read_all(ring, max);
	ok(pass.first > 20003 && pass.last == 21000 && pass.whole && pass.in_order,
	   "the ring goes on over the place where it was told to forget");
	free_ring(ring);
}

/* Records of the largest size, which leave the least room beside them */
static void
test_largest(void)
{
	const int	sizes[] = {128, 1024, 1000, 8192, 65528};
	bool		good = true;

	for (int s = 0; s < lengthof(sizes); s++)
	{
		PmonRing   *ring = new_ring(sizes[s]);
		uint32		size = PmonRingMaxRecord(ring->size) / 8 * 8;
		TestRecord *record = calloc(1, size);
		PmonRingReader reader;

		record->record.size = size;
		record->record.count = (size - HEADER_SIZE) / sizeof(uint64);
		for (uint64 number = 1; number <= 100; number++)
		{
			TestRecord *read;
			uint64		last = 0;
			int			n = 0;

			if (record->record.count > 0)
				record->words[0] = number;
			pmon_ring_append(ring, &record->record);
			pmon_ring_begin_read(&reader, ring);
			while ((read = next(&reader)) != NULL)
			{
				n++;
				good = good && read->record.size == size;
				if (record->record.count > 0)
				{
					good = good && (last == 0 || read->words[0] == last + 1);
					last = read->words[0];
				}
			}
			good = good && n == Min(number, ring->size / size);
			pfree(reader.buffer);
		}
		free(record);
		free_ring(ring);
	}
	ok(good, "records of the largest size are kept, as many as the ring has room for");
}

/* A reader that stands still while the writer goes on */
static void
test_overtaken(void)
{
	const int	max = 48;
	PmonRing   *ring = new_ring(4096);
	PmonRingReader reader;
	TestRecord *record;
	uint64		before;
	bool		good = true;

	for (uint64 number = 1; number <= 100; number++)
		append(ring, number, max);
	pmon_ring_begin_read(&reader, ring);
	record = next(&reader);
	before = record->words[0];
	append(ring, 101, max);
	for (int i = 0; i < 5; i++)
		append(ring, 102 + i, max);
	record = next(&reader);
	ok(record != NULL && is_whole(record, max) && record->words[0] > before + 1,
	   "a reader that was overtaken goes on with the oldest record that is left");
	while ((record = next(&reader)) != NULL)
		good = good && is_whole(record, max) && record->words[0] <= 100;
	ok(good, "and ends with the one that was the newest when it began");

	pfree(reader.buffer);
	pmon_ring_begin_read(&reader, ring);
	for (uint64 number = 107; number <= 1000; number++)
		append(ring, number, max);
	ok(next(&reader) == NULL, "a reader that was overtaken by a whole round has nothing left");

	pfree(reader.buffer);
	pmon_ring_begin_read(&reader, ring);
	pmon_ring_forget(ring);
	ok(next(&reader) == NULL, "a reader stops at once when the records are forgotten");
	pfree(reader.buffer);
	free_ring(ring);
}

/* Sizes and counts that can not be, as a damaged file could bring them */
static void
test_nonsense(void)
{
	static const uint32 bad_sizes[] = {0, 4, 12, 520, 4096, 0x7FFFFFF8, PG_UINT32_MAX};
	const int	max = 32;
	PmonRing   *ring = new_ring(4096);
	PmonRecord *first = (PmonRecord *) ring->data;
	uint32		size;
	Pass		pass;
	bool		stopped = true;

	append(ring, 1, max);
	append(ring, 2, max);
	append(ring, 3, max);
	size = first->size;
	for (int i = 0; i < lengthof(bad_sizes); i++)
	{
		first->size = bad_sizes[i];
		pass = read_all(ring, max);
		stopped = stopped && pass.records == 0;
	}
	ok(stopped, "a record of an impossible size ends the reading");

	first->size = size;
	first->count = size / sizeof(uint64);
	pass = read_all(ring, max);
	ok(pass.records == 2 && pass.first == 2 && pass.whole,
	   "a record that claims more entries than it has room for is left out");
	first->count = PG_UINT32_MAX - 1;
	pass = read_all(ring, max);
	ok(pass.records == 2 && pass.first == 2, "however many it claims");
	free_ring(ring);
}

/*
 * Readers beside a writer
 */

/* What a reader tells */
typedef struct Findings
{
	uint64		passes;
	uint64		records;
	uint64		torn;
	uint64		out_of_order;
	uint64		overtaken;		/* times that records were skipped */
	uint64		forgotten;		/* records that had been forgotten before */
} Findings;

typedef struct Control
{
	pg_atomic_uint32 done;
	pg_atomic_uint32 ready;
	pg_atomic_uint64 forgotten; /* numbers up to this one are */
	Findings	findings[2];
} Control;

/* Has the writer overtaken any reader yet? */
static bool
has_overtaken(const Control *control)
{
	return ((volatile Control *) control)->findings[0].overtaken > 0 ||
		((volatile Control *) control)->findings[1].overtaken > 0;
}

/*
 * The writer sleeps at times, so that readers meet it at every distance.  On a
 * busy machine it goes on, for as long as 100 times as many records, until it
 * has overtaken a reader.
 */
static void
write_beside(PmonRing *ring, Control *control, uint64 records, int max,
			 bool forgets)
{
	for (uint64 number = 1; number <= records ||
		 (!forgets && number <= 100 * records && !has_overtaken(control)); number++)
	{
		append(ring, number, max);
		if (forgets && scramble(number) % 997 == 0)
		{
			pmon_ring_forget(ring);
			pg_atomic_write_u64(&control->forgotten, number);
		}
		if (scramble(number) % 5003 == 0)
			usleep(50);
	}
	pg_atomic_write_u32(&control->done, 1);
}

static void
read_beside(PmonRing *ring, Control *control, Findings *findings, int max)
{
	bool		done;

	pg_atomic_fetch_add_u32(&control->ready, 1);
	do
	{
		PmonRingReader reader;
		TestRecord *record;
		uint64		forgotten = pg_atomic_read_u64(&control->forgotten);
		uint64		last = 0;

		done = pg_atomic_read_u32(&control->done) != 0;
		pg_memory_barrier();
		pmon_ring_begin_read(&reader, ring);
		while ((record = next(&reader)) != NULL)
		{
			uint64		number = record->words[0];

			findings->records++;
			if (!is_whole(record, max))
			{
				findings->torn++;
				continue;
			}
			findings->forgotten += number <= forgotten;
			if (last != 0 && number <= last)
				findings->out_of_order++;
			if (last != 0 && number > last + 1)
				findings->overtaken++;
			last = number;
		}
		pfree(reader.buffer);
		findings->passes++;
	} while (!done);
}

static void
test_beside(uint64 records, bool forgets)
{
	const int	max = 60;
	PmonRing   *ring = new_ring(forgets ? 64 * 1024 : 4096);
	Control    *control = mmap(NULL, sizeof(Control), PROT_READ | PROT_WRITE,
							   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	Findings	sum = {0};
	int			status;
	bool		exited = true;

	pg_atomic_init_u32(&control->done, 0);
	pg_atomic_init_u32(&control->ready, 0);
	pg_atomic_init_u64(&control->forgotten, 0);
	fflush(stdout);
	for (int i = 0; i < 2; i++)
	{
		if (fork() == 0)
		{
			read_beside(ring, control, &control->findings[i], max);
			_exit(0);
		}
	}
	while (pg_atomic_read_u32(&control->ready) < 2)
		usleep(100);
	write_beside(ring, control, records, max, forgets);
	while (wait(&status) > 0)
		exited = exited && WIFEXITED(status) && WEXITSTATUS(status) == 0;

	for (int i = 0; i < 2; i++)
	{
		Findings   *one = &control->findings[i];

		sum.passes += one->passes;
		sum.records += one->records;
		sum.torn += one->torn;
		sum.out_of_order += one->out_of_order;
		sum.overtaken += one->overtaken;
		sum.forgotten += one->forgotten;
	}
	printf("# %llu records written, %llu read in %llu passes, %llu times overtaken\n",
		   (unsigned long long) records, (unsigned long long) sum.records,
		   (unsigned long long) sum.passes, (unsigned long long) sum.overtaken);
	ok(exited, "the readers live");
	is_int(sum.torn, 0, "no torn record is ever returned");
	is_int(sum.out_of_order, 0, "no record comes out of its order");
	is_int(sum.forgotten, 0, "none that had been forgotten is returned");
	ok(sum.records > 1000, "the readers did read");
	if (!forgets)
		ok(sum.overtaken > 0, "the writer overtook them");

	munmap(control, sizeof(Control));
	free_ring(ring);
}

int
main(int argc, char **argv)
{
	uint64		records = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;

	test_alone();
	test_largest();
	test_overtaken();
	test_nonsense();
	test_beside(records, false);
	test_beside(records, true);

	return tap_done();
}
