/*-------------------------------------------------------------------------
 *
 * history.c
 *	  What is kept of the past: every sample for a while, minutes for longer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "history.h"

PmonRing   *pmon_sample_ring = NULL;
PmonRing   *pmon_minute_ring = NULL;

/* Bytes of data in each of the two rings */
static Size
ring_size(int history_size)
{
	return (Size) history_size * 1024 / 2;
}

Size
pmon_history_bytes(int history_size)
{
	return 2 * CACHELINEALIGN(PmonRingBytes(ring_size(history_size)));
}

void
pmon_attach_history(char *memory, int history_size)
{
	pmon_sample_ring = (PmonRing *) memory;
	pmon_minute_ring = (PmonRing *)
		(memory + CACHELINEALIGN(PmonRingBytes(ring_size(history_size))));
}

void
pmon_init_history(int history_size)
{
	pmon_ring_init(pmon_sample_ring, ring_size(history_size));
	pmon_ring_init(pmon_minute_ring, ring_size(history_size));
}

int
pmon_max_sample_entries(void)
{
	return (PmonRingMaxRecord(pmon_sample_ring->size) -
			PmonSampleRecordSize(0)) / sizeof(PmonSampleEntry);
}

int
pmon_max_minute_entries(void)
{
	return (PmonRingMaxRecord(pmon_minute_ring->size) -
			PmonMinuteRecordSize(0)) / sizeof(PmonMinuteEntry);
}

PmonSampleRecord *
pmon_next_sample(PmonRingReader *reader)
{
	return (PmonSampleRecord *)
		pmon_ring_next(reader, offsetof(PmonSampleRecord, entries),
					   sizeof(PmonSampleEntry));
}

PmonMinuteRecord *
pmon_next_minute(PmonRingReader *reader)
{
	return (PmonMinuteRecord *)
		pmon_ring_next(reader, offsetof(PmonMinuteRecord, entries),
					   sizeof(PmonMinuteEntry));
}
