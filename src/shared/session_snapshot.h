/*-------------------------------------------------------------------------
 *
 * session_snapshot.h
 *	  What all sessions were doing at one moment, as it is in the status array.
 *
 * Whoever takes it needs nothing but shared memory: no lock, no allocation, no
 * place in the server, and a number of steps that is bounded.  So a process can
 * take it that the server has just refused.  Names, and what needs the lock
 * manager, are for whoever reads it (holders.h).
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_SESSION_SNAPSHOT_H
#define PMON_SESSION_SNAPSHOT_H

#include "pure/sql_tags.h"
#include "shared/status_array.h"

/* The bytes of a statement that are kept, with the terminator */
#define PMON_STATEMENT_BYTES	256

/* One session */
typedef struct PmonSeenSession
{
	PmonSession session;		/* pid 0: none in this place */
	uint32		wait_event_info;
	uint64		query_id;		/* 0: none */
	char		tags[PMON_TAGS_LEN];	/* of the statement */
	char		statement[PMON_STATEMENT_BYTES];	/* may end within a
													 * character */
} PmonSeenSession;

typedef struct PmonSessionSnapshot
{
	TimestampTz taken_at;

	/* by place in the status array; pmon_status_slots() of them */
	PmonSeenSession sessions[FLEXIBLE_ARRAY_MEMBER];
} PmonSessionSnapshot;

extern Size pmon_session_snapshot_size(void);

/*
 * Fill in the session in one place; then, when that is done for all places,
 * what each of them waits for.  The process that does so is not a session.
 */
extern void pmon_see_session(PmonSessionSnapshot *snapshot, int slot);
extern void pmon_see_waits(PmonSessionSnapshot *snapshot);

/* Take all of it. */
extern void pmon_take_session_snapshot(PmonSessionSnapshot *snapshot);

#endif							/* PMON_SESSION_SNAPSHOT_H */
