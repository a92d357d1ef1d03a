/*-------------------------------------------------------------------------
 *
 * holds.h
 *	  Which code held connections: what is kept of it, by the minute.
 *
 * Each sample counts each session that is checked out, by who it is and what it
 * runs.  As samples are taken at regular times whatever the sessions do, those
 * counts are an unbiased estimate of the time that connections were held, and
 * divided by all samples, of how many were held at once.
 *
 * A minute is one record of a ring (ring.h), which the worker alone writes.  In
 * it are holds of different lengths, each followed by its tags (sql_tags.h) and
 * by a statement, without zero bytes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_HOLDS_H
#define PMON_HOLDS_H

#include "datatype/timestamp.h"

#include "shared/ring.h"

/* As much of a statement is kept, without an end */
#define PMON_HOLD_STATEMENT_BYTES	128

typedef struct PmonHold
{
	uint16		size;			/* bytes, with the texts; a multiple of 8 */
	uint8		state;			/* a PmonState; idle: see checked_out.h */
	uint8		other;			/* as below; 0: as it is */
	uint8		tags_length;
	uint8		statement_length;
	uint16		unused;
	Oid			databaseid;
	Oid			userid;
	uint32		application;	/* PmonApplication.id */
	uint32		wait_event_info;
	uint64		query_id;		/* 0: none */
	uint32		samples;		/* that it was seen in, by all sessions */
	uint32		longest;		/* seen, in ms: of a transaction, or a state */
	char		texts[FLEXIBLE_ARRAY_MEMBER];
} PmonHold;

/* Of several sets of tags, or of several holds, for which there was no place */
#define PMON_HOLD_OTHER_TAGS	1
#define PMON_HOLD_OTHER			2

#define PmonHoldSize(length) \
	TYPEALIGN(8, offsetof(PmonHold, texts) + (length))
#define PMON_MAX_HOLD_SIZE	PmonHoldSize(PG_UINT8_MAX + PMON_HOLD_STATEMENT_BYTES)

typedef struct PmonHoldsRecord
{
	PmonRecord	record;			/* counts words of 8 bytes, not holds */
	TimestampTz at;				/* start of the minute */
	uint32		samples;		/* taken in it */
	uint32		unused;
	uint64		words[FLEXIBLE_ARRAY_MEMBER];
} PmonHoldsRecord;

/* NULL unless the library is preloaded */
extern PmonRing *pmon_hold_ring;

/* Ask for the memory, of pool_monitor.holds_size.  Called from _PG_init(). */
extern void pmon_request_holds(void);

/* The next record of a reader, or NULL */
extern PmonHoldsRecord *pmon_next_holds(PmonRingReader *reader);

/*
 * The holds of a record, one after the other: the first for a position of 0, which
 * is moved; NULL at the end, or where what follows can not be one.
 */
extern const PmonHold *pmon_next_hold(const PmonHoldsRecord *record, Size *position);

#endif							/* PMON_HOLDS_H */
