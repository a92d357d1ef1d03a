/*-------------------------------------------------------------------------
 *
 * requester.h
 *	  The side of whoever asks sessions to end: the worker and SQL functions.
 *
 * One PmonEnd is one session that is asked, from the question to its record.
 * The caller keeps it until it is settled, comes back when his latch is set or
 * now and then, and withdraws what is still open when he leaves.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_REQUESTER_H
#define PMON_REQUESTER_H

#include "shared/terminations.h"

typedef struct PmonEnd
{
	PmonTermination record;		/* of pmon_start_record() */
	int			slot;
	TimestampTz token;
	int64		asked_at;		/* us, by the monotonic clock */
	bool		open;			/* there is no answer yet */
} PmonEnd;

/*
 * Ask the session in that slot to end its idle period; end->record has been
 * started.  Returns whether the request is open.  If not, the record says why,
 * and is kept nowhere else: nothing has happened.
 */
extern bool pmon_ask(PmonEnd *end, int slot, TimestampTz token);

/*
 * Settle a request if its answer has come or is overdue.  Then the record is
 * complete and kept, and this returns true.
 */
extern bool pmon_settle(PmonEnd *end);

/* Settle a request whatever it takes, since the caller does not want it now. */
extern void pmon_withdraw(PmonEnd *end);

#endif							/* PMON_REQUESTER_H */
