/*-------------------------------------------------------------------------
 *
 * ring.c
 *	  A ring of records in shared memory: one writer, many readers, no lock.
 *
 * See ring.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "shared/ring.h"

/* The count of a record that only fills the ring up to its end */
#define FILLER		PG_UINT32_MAX

void
pmon_ring_init(PmonRing *ring, Size size)
{
	ring->size = size / 8 * 8;
	pg_atomic_init_u64(&ring->head, 0);
	pg_atomic_init_u64(&ring->tail, 0);
	pg_atomic_init_u64(&ring->floor, 0);
}

static PmonRecord *
record_at(PmonRing *ring, uint64 position)
{
	return (PmonRecord *) (ring->data + position % ring->size);
}

/* Move the tail so that there is room from head on. */
static void
make_room(PmonRing *ring, uint64 head, Size size)
{
	uint64		tail = pg_atomic_read_u64(&ring->tail);

	while (head + size - tail > ring->size)
		tail += record_at(ring, tail)->size;
	pg_atomic_write_u64(&ring->tail, tail);

	/* before any of it is overwritten */
	pg_memory_barrier();
}

void
pmon_ring_append(PmonRing *ring, const PmonRecord *record)
{
	uint64		head = pg_atomic_read_u64(&ring->head);
	Size		to_end = ring->size - head % ring->size;

	Assert(record->size % 8 == 0 && record->size >= sizeof(PmonRecord) &&
		   record->size <= PmonRingMaxRecord(ring->size));

	if (record->size > to_end)
	{
		make_room(ring, head, to_end);
		record_at(ring, head)->size = to_end;
		record_at(ring, head)->count = FILLER;
		head += to_end;
	}

	make_room(ring, head, record->size);
	memcpy(record_at(ring, head), record, record->size);
	pg_write_barrier();
	pg_atomic_write_u64(&ring->head, head + record->size);
}

void
pmon_ring_forget(PmonRing *ring)
{
	pg_atomic_write_u64(&ring->floor, pg_atomic_read_u64(&ring->head));
}

/* The position of the oldest record that counts */
static uint64
oldest(PmonRing *ring)
{
	uint64		tail = pg_atomic_read_u64(&ring->tail);
	uint64		floor = pg_atomic_read_u64(&ring->floor);

	return Max(tail, floor);
}

void
pmon_ring_begin_read(PmonRingReader *reader, PmonRing *ring)
{
	reader->ring = ring;
	reader->end = pg_atomic_read_u64(&ring->head);
	pg_read_barrier();
	reader->position = oldest(ring);
	reader->buffer = palloc(PmonRingMaxRecord(ring->size));
}

/*
 * Copy the record at the reader's position, unless it is only filler.  What
 * is copied may be torn; nothing outside of the ring is touched even then.
 * Returns the size that it claims, 0 where that can not be.
 */
static Size
copy_record(PmonRingReader *reader)
{
	PmonRing   *ring = reader->ring;
	volatile PmonRecord *record = record_at(ring, reader->position);
	PmonRecord	header = {record->size, record->count};
	Size		to_end = ring->size - reader->position % ring->size;

	if (header.size < sizeof(PmonRecord) || header.size % 8 != 0 ||
		header.size > to_end)
		return 0;
	if (header.count == FILLER)
	{
		memcpy(reader->buffer, &header, sizeof(header));
		return header.size;
	}
	if (header.size > PmonRingMaxRecord(ring->size))
		return 0;
	memcpy(reader->buffer, record_at(ring, reader->position), header.size);
	memcpy(reader->buffer, &header, sizeof(header));
	return header.size;
}

PmonRecord *
pmon_ring_next(PmonRingReader *reader, Size header_size, Size entry_size)
{
	PmonRecord *record = (PmonRecord *) reader->buffer;

	while (reader->position < reader->end)
	{
		Size		size = copy_record(reader);
		uint64		first;

		pg_read_barrier();
		first = oldest(reader->ring);
		if (first > reader->position)
		{
			/* overwritten, or forgotten, while we read */
			reader->position = first;
			continue;
		}
		if (size == 0)
			return NULL;

		reader->position += size;
		if (record->count != FILLER &&
			header_size + (Size) record->count * entry_size <= size)
			return record;
	}

	return NULL;
}
