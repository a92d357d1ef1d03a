/*-------------------------------------------------------------------------
 *
 * end_request.h
 *	  Asking a session to end: the protocol between who asks and the session.
 *
 * Whoever wants a session to end writes into its slot which process and which
 * idle period he has seen (the token: the state_change of that period), and
 * sends SIGUSR1.  The session itself decides, in its signal handler; see
 * end_answer.h.  Anybody may ask: the worker, and any number of callers of SQL
 * functions.  requester.h is their side of it in full.
 *
 * All of the protocol is in one atomic word: a state, whether the session
 * takes requests ("open"), and the number of the request, which is new with
 * each one.  So a compare-and-exchange that succeeds is about the very request
 * that was read, and an answer can only ever be to its own request.  The token
 * and the other members belong to who has claimed the word; they stay as they
 * are from then on until he lets go of it.
 *
 *		state		meaning						who may change it
 *		-----		-------						-----------------
 *		FREE		nobody is asking			any requester, if open
 *		CLAIMED		a requester writes down		that requester
 *					what he asks
 *		REQUESTED	the session has not			the session, and that
 *					answered yet				requester
 *		ACCEPTED,	the answer, which nobody	that requester (and the
 *		SPARED_...	has read yet				session, to call it off)
 *
 *		from		to			open	by			when
 *		----		--			----	--			----
 *		FREE		CLAIMED		is		requester	he begins; new number
 *		CLAIMED		REQUESTED	is		requester	all is written
 *		CLAIMED		FREE		is not	requester	the session closed meanwhile
 *		REQUESTED	ACCEPTED	closes	session		it will end
 *		REQUESTED	SPARED_...	stays	session		it will not
 *		REQUESTED	FREE		as is	requester	he withdraws
 *		ACCEPTED	FREE		as is	requester	he has read the answer
 *		SPARED_...	FREE		as is	requester	likewise
 *		ACCEPTED	SPARED_BUSY	opens	session		it was kept from ending
 *		any			the same	closes	session		it ends, in whatever way
 *		REQUESTED	SPARED_EXITING is not session	just after that
 *		any			the same	opens	session		a new one takes the slot
 *
 * "Open" and "closes" are about the session, the state is about the request:
 * an answer outlives its session, and waits in the slot until its requester
 * has read it, while another session may have the slot already.  Nobody can be
 * asked there until then, and every requester reads every answer: who leaves
 * withdraws first (before_shmem_exit), and who is killed takes all shared
 * memory with him.  A requester who stalls, in whatever state, delays others
 * who ask for the same slot, and nothing else.
 *
 * Where a requester finds that the process is not the one that he has seen, or
 * can not signal it, he withdraws; and where that fails, since the session has
 * answered for whatever reason (any SIGUSR1 makes it look), that answer counts.
 *
 * test/unit/test_end_request.c runs these functions in every order that two
 * requesters, a session and its successor can bring them into.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_END_REQUEST_H
#define PMON_END_REQUEST_H

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/latch.h"

/* An answer; the first members are states of a slot that are none */
typedef enum PmonAnswer
{
	PMON_ANSWER_FREE,			/* not for requesters */
	PMON_ANSWER_CLAIMED,		/* likewise */
	PMON_ANSWER_REQUESTED,		/* there is no answer yet */
	PMON_ANSWER_ACCEPTED,
	PMON_ANSWER_SPARED_STATE,	/* it is not in that idle period any more */
	PMON_ANSWER_SPARED_INPUT,	/* its client has sent something */
	PMON_ANSWER_SPARED_MESSAGE, /* its client is sending something */
	PMON_ANSWER_SPARED_EXEMPT,	/* it has become exempt */
	PMON_ANSWER_SPARED_EXITING, /* it is ending anyway */
	PMON_ANSWER_SPARED_BUSY,	/* it can not be interrupted at this moment */

	/* never in a slot: why a session was not asked */
	PMON_ANSWER_OTHER_ASKS		/* somebody else is asking it */
} PmonAnswer;

#define PMON_ANSWERS	(PMON_ANSWER_OTHER_ASKS + 1)

/* The word: the state in the lowest bits, then whether it is open, the number */
#define PMON_END_STATE		UINT64CONST(0x0F)
#define PMON_END_OPEN		UINT64CONST(0x10)
#define PMON_END_NUMBER		UINT64CONST(0x20)	/* one request */

/* One in each PmonSlot; all zero: closed and free */
typedef struct PmonEndSlot
{
	pg_atomic_uint64 word;
	pg_atomic_uint64 token;		/* which idle period */
	pg_atomic_uint64 latch;		/* of the requester: a Latch * */
	pg_atomic_uint32 asked;		/* pid of the session that he means */
	pg_atomic_uint32 pid;		/* of the session that has the slot, or 0 */
	pg_atomic_uint64 spared;	/* token that was recorded as spared last; not
								 * of the protocol: see requester.c */
} PmonEndSlot;

/* A request as the session has read it */
typedef struct PmonEndQuestion
{
	uint64		word;
	TimestampTz token;
	int			asked;
	Latch	   *latch;
} PmonEndQuestion;

/* For memory that is new */
static inline void
PmonInitEndSlot(PmonEndSlot *slot)
{
	pg_atomic_init_u64(&slot->word, 0);
	pg_atomic_init_u64(&slot->token, 0);
	pg_atomic_init_u64(&slot->latch, 0);
	pg_atomic_init_u32(&slot->asked, 0);
	pg_atomic_init_u32(&slot->pid, 0);
	pg_atomic_init_u64(&slot->spared, 0);
}

static inline PmonAnswer
PmonEndState(uint64 word)
{
	return (PmonAnswer) (word & PMON_END_STATE);
}

/* For the session; all but the first and the last from a signal handler, too */

/* Take requests from now on. */
extern void pmon_open_end_slot(PmonEndSlot *slot, int pid);

/* Is there a request?  Then read it. */
extern bool pmon_read_request(PmonEndSlot *slot, PmonEndQuestion *question);

/* Answer it.  Returns false if it was withdrawn. */
extern bool pmon_answer_request(PmonEndSlot *slot,
								const PmonEndQuestion *question,
								PmonAnswer answer);

/* Do not end after all, and take requests again. */
extern void pmon_call_off_end(PmonEndSlot *slot,
							  const PmonEndQuestion *accepted);

/*
 * Take no more requests, since the session ends.  Its handler must not answer
 * any more.  Returns the latch of a requester who has to be told, or NULL.
 */
extern Latch *pmon_close_end_slot(PmonEndSlot *slot);

/* For whoever asks */

/*
 * Ask the session with that pid to end the idle period that began at token;
 * the latch is set when it has answered.  Returns PMON_ANSWER_REQUESTED if the
 * request is on its way: then the caller must come back for the answer, or
 * withdraw.  Anything else settles it.
 */
extern PmonAnswer pmon_request_end(PmonEndSlot *slot, int pid,
								   TimestampTz token, Latch *latch);

/*
 * The answer to the caller's request, which settles it; PMON_ANSWER_REQUESTED
 * if there is none yet.
 */
extern PmonAnswer pmon_request_answer(PmonEndSlot *slot);

/*
 * Withdraw the caller's request, which settles it.  Returns the answer if
 * there was one after all, else PMON_ANSWER_REQUESTED.
 */
extern PmonAnswer pmon_withdraw_request(PmonEndSlot *slot);

#endif							/* PMON_END_REQUEST_H */
