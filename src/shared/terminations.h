/*-------------------------------------------------------------------------
 *
 * terminations.h
 *	  The record of sessions that were ended, or spared, or would have been.
 *
 * The last PMON_MAX_TERMINATIONS decisions are kept, under a lock of their
 * own.  Where that is not enough, the role whose sessions
 * have the most records loses its oldest one, so that nobody, however busy or
 * malicious, can push out what concerns others who have fewer.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_TERMINATIONS_H
#define PMON_TERMINATIONS_H

#include "pure/idle_policy.h"
#include "shared/shared_state.h"

#define PMON_MAX_TERMINATIONS	1000

typedef enum PmonOutcome
{
	PMON_OUTCOME_TERMINATED,
	PMON_OUTCOME_SPARED,
	PMON_OUTCOME_DRY_RUN,
	PMON_OUTCOME_FAILED
} PmonOutcome;

#define PMON_OUTCOMES	(PMON_OUTCOME_FAILED + 1)

typedef struct PmonTermination
{
	TimestampTz terminated_at;	/* when it was decided */
	int			pid;
	Oid			databaseid;
	Oid			userid;
	char		application_name[NAMEDATALEN];
	PmonClient	client_addr;
	TimestampTz backend_start;
	int			state;			/* a PmonState */
	int64		idle_for;		/* microseconds */
	int64		limit_applied;	/* ms */
	char		pool[NAMEDATALEN];	/* empty: none */
	int			reason;			/* a PmonEndReason */
	int			outcome;		/* a PmonOutcome */
	char		detail[64];		/* empty: none */
} PmonTermination;

typedef struct PmonTerminations
{
	uint64		recorded;		/* in all */
	int			n;				/* places in use, from the first on */
	uint64		numbers[PMON_MAX_TERMINATIONS]; /* of records, from 1 on:
												 * their order */
	PmonTermination records[PMON_MAX_TERMINATIONS];
} PmonTerminations;

/* NULL unless the library is preloaded */
extern PmonTerminations *pmon_terminations;

/* Ask for the memory and the lock.  Called from _PG_init(). */
extern void pmon_request_terminations(void);

/*
 * Start a record of a decision about a session that was judged, as of now:
 * everything but the outcome.  Reads the session's status entry; returns
 * false if it is not there any more, or in another pool by now: then it is to
 * be judged anew.
 */
extern bool pmon_start_record(PmonTermination *record,
							  const PmonIdleSession *session,
							  const PmonPools *pools, TimestampTz now);

/* Finish it with its outcome; detail may be NULL. */
extern void pmon_finish_record(PmonTermination *record, PmonOutcome outcome,
							   const char *detail);

/*
 * Keep a record that is finished, count it for its pool where the session was
 * checked out, and tell the server log.  Takes the lock, then PmonLock().
 */
extern void pmon_keep_record(const PmonTermination *record);

/* What SQL shows */
extern const char *const pmon_outcome_names[PMON_OUTCOMES];

/*
 * Copies of all records, the oldest first; palloc'd.  Takes the lock, shared.
 */
extern PmonTermination *pmon_copy_terminations(int *n);

/* Put back a saved record.  For server start: wants no lock. */
extern void pmon_restore_termination(const PmonTermination *saved);

/* Forget all records.  Takes the lock. */
extern void pmon_reset_terminations(void);

#endif							/* PMON_TERMINATIONS_H */
