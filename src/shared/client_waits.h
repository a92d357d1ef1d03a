/*-------------------------------------------------------------------------
 *
 * client_waits.h
 *	  Which statements have been seen waiting for their client.
 *
 * A client that reads a long result slowly, or feeds a COPY slowly, lets its
 * session wait, go on for a moment, and wait again.  One reading of the wait
 * event finds now this and now that; so whoever sees a statement wait for its
 * client, the worker with each sample or a query, leaves a note at the
 * session's place in the status array, which is about that statement alone.
 *
 * A note is one atomic word: when the statement started, and which way it
 * waited.  Nothing has to be cleared, since the next statement starts later.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_CLIENT_WAITS_H
#define PMON_CLIENT_WAITS_H

#include "shared/shared_state.h"

/* Ask for the memory.  Called from _PG_init(). */
extern void pmon_request_client_waits(void);

/* Does a process with that wait event wait for its client? */
extern bool pmon_waits_for_client(uint32 wait_event_info);

/*
 * Note that the statement waits for its client, with that event.  Without the
 * preloaded library there is nowhere to note it.
 */
extern void pmon_note_client_wait(int slot, TimestampTz query_start,
								  uint32 wait_event_info);

/* Look at an active session, and note it if it waits.  For the worker. */
extern void pmon_watch_for_client_wait(int slot);

/* The event with which the statement was last seen waiting; 0: it was not */
extern uint32 pmon_noted_client_wait(int slot, TimestampTz query_start);

#endif							/* PMON_CLIENT_WAITS_H */
