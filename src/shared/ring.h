/*-------------------------------------------------------------------------
 *
 * ring.h
 *	  A ring of records in shared memory: one writer, many readers, no lock.
 *
 * Records have different sizes and are never split; the oldest give way to
 * new ones.  A position counts the bytes written since the ring was made, so
 * it only grows; the record at a position is at that position modulo the
 * ring's size.  Records from tail to head are whole.
 *
 * The writer moves the tail past what it is about to overwrite, then writes,
 * then moves the head.  A reader copies a record and then looks whether the
 * tail has passed it: if so, the copy may be torn and is thrown away.  So
 * readers never make the writer wait.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_RING_H
#define PMON_RING_H

#include "port/atomics.h"

/* What every record starts with */
typedef struct PmonRecord
{
	uint32		size;			/* bytes, with this; a multiple of 8 */
	uint32		count;			/* entries that follow the record's header */
} PmonRecord;

typedef struct PmonRing
{
	uint64		size;			/* bytes of data; a multiple of 8 */
	pg_atomic_uint64 head;
	pg_atomic_uint64 tail;
	pg_atomic_uint64 floor;		/* records before this one are forgotten */
	char		data[FLEXIBLE_ARRAY_MEMBER];
} PmonRing;

/* The largest record that a ring of that many bytes of data takes */
#define PmonRingMaxRecord(size)		((Size) (size) / 8)

/* Bytes that a ring of that many bytes of data takes */
#define PmonRingBytes(size)			(offsetof(PmonRing, data) + (size))

/* A reader: in the process's own memory */
typedef struct PmonRingReader
{
	PmonRing   *ring;
	uint64		position;
	uint64		end;
	char	   *buffer;			/* room for the largest record */
} PmonRingReader;

/* Make an empty ring with that many bytes of data, rounded down. */
extern void pmon_ring_init(PmonRing *ring, Size size);

/*
 * Append a record.  Only one process at a time may do this.  The record's
 * size must be set, be a multiple of 8 and at most PmonRingMaxRecord().
 */
extern void pmon_ring_append(PmonRing *ring, const PmonRecord *record);

/* Forget all records.  Any process may do this at any time. */
extern void pmon_ring_forget(PmonRing *ring);

/* Start to read, from the oldest record to the newest of now.  Pallocs. */
extern void pmon_ring_begin_read(PmonRingReader *reader, PmonRing *ring);

/*
 * The next record, or NULL.  It is valid until the next call.  Its size is
 * that of whole entries of entry_size after a header of header_size.
 */
extern PmonRecord *pmon_ring_next(PmonRingReader *reader, Size header_size,
								  Size entry_size);

#endif							/* PMON_RING_H */
