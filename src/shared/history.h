/*-------------------------------------------------------------------------
 *
 * history.h
 *	  What is kept of the past: every sample for a while, minutes for longer.
 *
 * Both tiers are rings (ring.h), which the worker alone writes.  A sample is
 * kept as it was taken; a minute has averages and maxima of its samples, and
 * what was counted exactly in that minute.
 *
 * Applications are known by their id, which is theirs for good.  Where the
 * application has been folded since, its past shows under "<other>".  Counts
 * of one application that exceed 65,535 are kept as that.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_HISTORY_H
#define PMON_HISTORY_H

#include "datatype/timestamp.h"

#include "shared/groups.h"
#include "shared/ring.h"

/* The figures that are kept for the server and for each application */
typedef enum PmonFigure
{
	PMON_CONNECTIONS,
	PMON_ACTIVE,
	PMON_IDLE,
	PMON_IDLE_IN_TRANSACTION,	/* aborted or not */
	PMON_CHECKED_OUT
} PmonFigure;

#define PMON_FIGURES	(PMON_CHECKED_OUT + 1)

typedef struct PmonSampleEntry
{
	uint32		id;				/* PmonApplication.id */
	uint16		figures[PMON_FIGURES];
	uint16		unused;
} PmonSampleEntry;

typedef struct PmonSampleRecord
{
	PmonRecord	record;
	TimestampTz at;
	uint32		max_connections;
	uint32		ordinary_slots;
	uint32		rejected;		/* since the sample before it */
	uint32		terminated;		/* likewise */
	uint32		figures[PMON_FIGURES];
	uint32		unused;
	PmonSampleEntry entries[FLEXIBLE_ARRAY_MEMBER];
} PmonSampleRecord;

typedef struct PmonMinuteEntry
{
	uint32		id;
	float		averages[PMON_FIGURES]; /* over all samples of the minute */
	uint16		maxima[PMON_FIGURES];
	uint16		long_transactions[PMON_LONG_CLASSES];	/* of the next */
	uint32		transactions;	/* that ended in the minute */
	float		hold_sum;		/* ms */
	float		hold_square_sum;	/* ms squared */
	float		long_sums[PMON_LONG_CLASSES];
	float		long_square_sums[PMON_LONG_CLASSES];
} PmonMinuteEntry;

typedef struct PmonMinuteRecord
{
	PmonRecord	record;
	TimestampTz at;				/* start of the minute */
	uint32		samples;
	uint32		max_connections;
	float		utilization_max;
	uint32		rejected;
	uint32		terminated;
	float		averages[PMON_FIGURES];
	uint32		maxima[PMON_FIGURES];
	uint32		length;			/* ms that the transactions ended in: more
								 * than a minute where no samples were taken */
	PmonMinuteEntry entries[FLEXIBLE_ARRAY_MEMBER];
} PmonMinuteRecord;

/* Bytes of a record with that many entries, rounded up for the ring */
#define PmonSampleRecordSize(n) \
	TYPEALIGN(8, offsetof(PmonSampleRecord, entries) + (n) * sizeof(PmonSampleEntry))
#define PmonMinuteRecordSize(n) \
	TYPEALIGN(8, offsetof(PmonMinuteRecord, entries) + (n) * sizeof(PmonMinuteEntry))

/*
 * Declared pools have entries like those of applications.  Their ids come from
 * their names, so that a pool has the same one as long as it has its name.
 */
#define PmonIsPoolId(id)	((id) >= PMON_ID_LIMIT)
extern uint32 pmon_pool_id(const char *name);

/* The rings; NULL unless the library is preloaded */
extern PmonRing *pmon_sample_ring;
extern PmonRing *pmon_minute_ring;

/*
 * Ask for the shared memory of the rings, half of pool_monitor.history_size
 * for each, and make them empty when it is new.
 */
extern void pmon_request_history(void);

/* The most entries that fit in a record of each tier */
extern int	pmon_max_sample_entries(void);
extern int	pmon_max_minute_entries(void);

/* The next record of a reader on either ring, or NULL */
extern PmonSampleRecord *pmon_next_sample(PmonRingReader *reader);
extern PmonMinuteRecord *pmon_next_minute(PmonRingReader *reader);

#endif							/* PMON_HISTORY_H */
