/*-------------------------------------------------------------------------
 *
 * end_request.h
 *	  Asking a session to end, which it does only if it is still idle.
 *
 * Whoever wants a session to end writes into its slot which idle period it
 * has seen (the token: the state_change of that period), and sends SIGUSR1.
 * The session itself decides, in its signal handler: nobody else can know
 * that it is still waiting for its client, with no byte of a next message on
 * the way.  Then it makes core's own idle timeout fire.
 *
 * The slot's request goes from NONE to CLAIMED and REQUESTED by the requester,
 * from there to ACCEPTED or one of the SPARED by the session, and back to NONE
 * by the requester, who may also withdraw a request that was not answered.
 * Every step is a compare-and-exchange, so that no two processes ever believe
 * different things.  After ACCEPTED the session exits, and its slot may go to
 * the next one at once; so the token that was accepted stays in the slot.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_END_REQUEST_H
#define PMON_END_REQUEST_H

#include "datatype/timestamp.h"

typedef enum PmonRequest
{
	PMON_REQUEST_NONE,
	PMON_REQUEST_CLAIMED,
	PMON_REQUEST_REQUESTED,
	PMON_REQUEST_ACCEPTED,
	PMON_REQUEST_SPARED_STATE,	/* it is not in that idle period any more */
	PMON_REQUEST_SPARED_INPUT,	/* its client has sent something */
	PMON_REQUEST_SPARED_EXEMPT, /* it has become exempt */
	PMON_REQUEST_SPARED_EXITING,	/* it is ending anyway */
	PMON_REQUEST_SPARED_BUSY	/* it can not be interrupted at this moment */
} PmonRequest;

/* For the session */

/* Install the handler.  Called by a session when it takes its slot. */
extern void pmon_accept_requests(int slot);

/* Refuse what is asked from now on.  Called by a session when it ends. */
extern void pmon_refuse_requests(void);

/* Has this session accepted to end? */
extern bool pmon_has_accepted(void);

/*
 * A statement starts.  Should a session that has accepted ever get that far
 * (nothing known makes it), call it off, so that the statement is not cut, and
 * count it in lost_accepts.
 */
extern void pmon_call_off_accepted(void);

/* For whoever asks */

/*
 * Ask the session with that pid in that slot to end the idle period that
 * began at token.  The latch is set when it has answered.  Returns false if
 * somebody else is asking it, or it is gone.
 */
extern bool pmon_request_end(int slot, int pid, TimestampTz token, Latch *latch);

/*
 * The answer to the request with that token; PMON_REQUEST_REQUESTED if there
 * is none yet.  An answer other than ACCEPTED frees the slot for the next
 * request.
 */
extern PmonRequest pmon_request_answer(int slot, TimestampTz token);

/* Withdraw a request.  Returns the answer if there was one after all. */
extern PmonRequest pmon_withdraw_request(int slot, TimestampTz token);

#endif							/* PMON_END_REQUEST_H */
