/*-------------------------------------------------------------------------
 *
 * history.c
 *	  What is kept of the past: every sample for a while, minutes for longer.
 *
 * See history.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "common/hashfn.h"

#include "shared/groups.h"
#include "shared/history.h"
#include "shared/settings.h"

PmonRing   *pmon_sample_ring = NULL;
PmonRing   *pmon_minute_ring = NULL;

/* Bytes of data in each of the two rings */
#define DATA_SIZE	((Size) pmon_history_size * 1024 / 2)

static void
init_sample_ring(void)
{
	pmon_ring_init(pmon_sample_ring, DATA_SIZE);
}

static void
init_minute_ring(void)
{
	pmon_ring_init(pmon_minute_ring, DATA_SIZE);
}

void
pmon_request_history(void)
{
	pmon_request_part((void **) &pmon_sample_ring, PmonRingBytes(DATA_SIZE), init_sample_ring);
	pmon_request_part((void **) &pmon_minute_ring, PmonRingBytes(DATA_SIZE), init_minute_ring);
}

uint32
pmon_pool_id(const char *name)
{
	return PMON_ID_LIMIT |
		hash_bytes((const unsigned char *) name, strlen(name));
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
