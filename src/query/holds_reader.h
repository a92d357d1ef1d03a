/*-------------------------------------------------------------------------
 *
 * holds_reader.h
 *	  Which code held connections, added up over a time.
 *
 * Takes PmonLock(), shared, only to copy the names of the applications; the ring
 * is read without a lock.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_HOLDS_READER_H
#define PMON_HOLDS_READER_H

#include "pure/sql_tags.h"
#include "shared/holds.h"

/* The most that one call tells apart: about 60 MB; the rest is one "<other>" */
#define PMON_MAX_SUMMED_HOLDS	100000

/* By what holds are told apart, over all minutes */
typedef struct PmonHoldIdentity
{
	Oid			databaseid;
	Oid			userid;
	uint32		application;	/* 0: "<other>" */
	uint32		wait_event_info;
	uint64		query_id;
	uint32		state;
	uint8		other;			/* as in PmonHold */
	uint8		tags_length;
	char		tags[PMON_TAGS_LEN + 2];	/* zeroes behind the tags */
} PmonHoldIdentity;

typedef struct PmonSummedHold
{
	PmonHoldIdentity identity;
	char		application_name[NAMEDATALEN];
	int64		samples;
	uint32		longest;		/* ms */
	TimestampTz seen;			/* the minute of the statement */
	uint8		statement_length;
	char		statement[PMON_HOLD_STATEMENT_BYTES];
} PmonSummedHold;

typedef struct PmonSummedHolds
{
	int64		samples;		/* all that were taken */
	int64		held;			/* the sum of those below */
	int			nholds;
	PmonSummedHold **holds;		/* those seen most first */
} PmonSummedHolds;

/*
 * Add up the minutes that have a part between since and until.  An application
 * that was folded is "<other>".  palloc'd; can be canceled.
 */
extern PmonSummedHolds *pmon_read_holds(TimestampTz since, TimestampTz until);

#endif							/* PMON_HOLDS_READER_H */
