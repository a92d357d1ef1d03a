/*-------------------------------------------------------------------------
 *
 * holders.h
 *	  Who held the connections at one moment.
 *
 * A snapshot of all sessions (session_snapshot.h) becomes rows of those that
 * have everything in common that a reader groups by.  What one of a row's
 * sessions was doing stands for all of them: of the one that most others wait
 * for; among equals, of the one whose transaction is the oldest, and of those
 * without one, that has been in its state for longest.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_HOLDERS_H
#define PMON_HOLDERS_H

#include "shared/lock_waits.h"
#include "shared/session_snapshot.h"

/* Holders kept of one moment; the smallest are folded when there are more */
#define PMON_MAX_HOLDERS		200

/* Those of them that have a session told of: who blocks most, then the largest */
#define PMON_MAX_HOLDER_SESSIONS	50

/* Longer than the name of any type of a wait event */
#define PMON_WAIT_TYPE_BYTES	16

/* Where it is not known how many wait for a session */
#define PMON_BLOCKS_UNKNOWN		(-1)

/* The session that stands for a holder */
typedef struct PmonHolderSession
{
	int			pid;
	int			blocks;			/* or PMON_BLOCKS_UNKNOWN */
	int			blocked_by;		/* as in PmonBlocking */
	uint64		query_id;		/* 0: none */
	char		wait_event_type[PMON_WAIT_TYPE_BYTES];	/* empty: none */
	char		wait_event[NAMEDATALEN];
	char		tags[PMON_TAGS_LEN];	/* see sql_tags.h */
	char		statement[PMON_STATEMENT_BYTES];
} PmonHolderSession;

/* Sessions that have all of the first five in common */
typedef struct PmonHolder
{
	Oid			databaseid;
	Oid			userid;
	int			state;			/* a PmonState */
	PmonClient	client_addr;
	char		application_name[NAMEDATALEN];
	int			connections;
	int			session;		/* in PmonHolders.sessions, or PMON_NONE */
	TimestampTz oldest_state;	/* state_change of the longest in its state */
	TimestampTz oldest_transaction; /* 0: none has one */
} PmonHolder;

/* Who held the slots at one moment, the largest first */
typedef struct PmonHolders
{
	TimestampTz taken_at;
	int			connections;	/* sessions in all */
	int			nholders;
	PmonHolder	holders[PMON_MAX_HOLDERS];
	PmonHolderSession sessions[PMON_MAX_HOLDER_SESSIONS];
} PmonHolders;

/* The application that holds most, and how much */
typedef struct PmonTopApplication
{
	char		application_name[NAMEDATALEN];
	int			connections;
} PmonTopApplication;

/* Allocate what the worker needs, in the current memory context. */
extern void pmon_holders_init(void);

/*
 * Take a snapshot now, and make holders of it, with what the lock manager says;
 * or of one that somebody else took before.  What a session has waited for, and
 * has waiting for it, is looked up now; it is unknown of who has gone, and
 * altogether where the snapshot is old.  For the worker; never raises an error.
 * Takes the locks that pmon_read_lock_waits() does.
 */
extern void pmon_collect_holders(PmonHolders *holders, PmonTopApplication *top);
extern void pmon_make_holders(const PmonSessionSnapshot *snapshot,
							  PmonHolders *holders, PmonTopApplication *top);

#endif							/* PMON_HOLDERS_H */
