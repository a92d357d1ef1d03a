/*-------------------------------------------------------------------------
 *
 * end_request.c
 *	  Asking a session to end: the protocol between who asks and the session.
 *
 * See end_request.h for the states.  Every change of the word is one atomic
 * operation, and so a full barrier.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include <signal.h>

#include "shared/end_request.h"

/* Change the word from one state to another; false if it has changed since. */
static bool
change(PmonEndSlot *slot, uint64 word, PmonAnswer to)
{
	uint64		expected = word;

	return pg_atomic_compare_exchange_u64(&slot->word, &expected,
										  (word & ~PMON_END_STATE) | to);
}

void
pmon_open_end_slot(PmonEndSlot *slot, int pid)
{
	pg_atomic_write_u32(&slot->pid, (uint32) pid);
	pg_atomic_fetch_or_u64(&slot->word, PMON_END_OPEN);
}

bool
pmon_read_request(PmonEndSlot *slot, PmonEndQuestion *question)
{
	question->word = pg_atomic_read_u64(&slot->word);
	if (PmonEndState(question->word) != PMON_ANSWER_REQUESTED)
		return false;

	/* if any of this is of another request, so is the word by then */
	pg_read_barrier();
	question->token = (TimestampTz) pg_atomic_read_u64(&slot->token);
	question->asked = (int) pg_atomic_read_u32(&slot->asked);
	question->latch = (Latch *) (uintptr_t) pg_atomic_read_u64(&slot->latch);
	return true;
}

bool
pmon_answer_request(PmonEndSlot *slot, const PmonEndQuestion *question,
					PmonAnswer answer)
{
	uint64		expected = question->word;
	uint64		to = (question->word & ~PMON_END_STATE) | answer;

	/* who ends takes no more requests */
	if (answer == PMON_ANSWER_ACCEPTED)
		to &= ~PMON_END_OPEN;
	return pg_atomic_compare_exchange_u64(&slot->word, &expected, to);
}

void
pmon_call_off_end(PmonEndSlot *slot, const PmonEndQuestion *accepted)
{
	uint64		word = (accepted->word & ~(PMON_END_STATE | PMON_END_OPEN)) |
	PMON_ANSWER_ACCEPTED;

	/* where the requester has read it already, he was told too much */
	(void) change(slot, word, PMON_ANSWER_SPARED_BUSY);
	pg_atomic_fetch_or_u64(&slot->word, PMON_END_OPEN);
}

Latch *
pmon_close_end_slot(PmonEndSlot *slot)
{
	PmonEndQuestion question;

	pg_atomic_write_u32(&slot->pid, 0);
	pg_atomic_fetch_and_u64(&slot->word, ~PMON_END_OPEN);

	/* nobody can ask any more; who has asked may only withdraw */
	if (pmon_read_request(slot, &question) &&
		pmon_answer_request(slot, &question, PMON_ANSWER_SPARED_EXITING))
		return question.latch;
	return NULL;
}

PmonAnswer
pmon_request_end(PmonEndSlot *slot, int pid, TimestampTz token, Latch *latch)
{
	uint64		word = pg_atomic_read_u64(&slot->word);
	uint64		claimed;

	if (PmonEndState(word) != PMON_ANSWER_FREE)
		return PMON_ANSWER_OTHER_ASKS;
	if ((word & PMON_END_OPEN) == 0)
		return PMON_ANSWER_SPARED_EXITING;
	claimed = (word + PMON_END_NUMBER) | PMON_ANSWER_CLAIMED;
	if (!pg_atomic_compare_exchange_u64(&slot->word, &word, claimed))
		return (word & PMON_END_OPEN) != 0 ?
			PMON_ANSWER_OTHER_ASKS : PMON_ANSWER_SPARED_EXITING;

	pg_atomic_write_u32(&slot->asked, (uint32) pid);
	pg_atomic_write_u64(&slot->token, (uint64) token);
	pg_atomic_write_u64(&slot->latch, (uint64) (uintptr_t) latch);
	if (!change(slot, claimed, PMON_ANSWER_REQUESTED))
	{
		/* it has closed, and the slot may be open again for the next one */
		pg_atomic_fetch_and_u64(&slot->word, ~PMON_END_STATE);
		return PMON_ANSWER_SPARED_EXITING;
	}

	/* as late as can be: the process may be another one soon */
	if (pg_atomic_read_u32(&slot->pid) != (uint32) pid ||
		kill(pid, SIGUSR1) != 0)
	{
		PmonAnswer	answer = pmon_withdraw_request(slot);

		return answer == PMON_ANSWER_REQUESTED ?
			PMON_ANSWER_SPARED_EXITING : answer;
	}
	return PMON_ANSWER_REQUESTED;
}

PmonAnswer
pmon_request_answer(PmonEndSlot *slot)
{
	PmonAnswer	answer = PmonEndState(pg_atomic_read_u64(&slot->word));

	if (answer == PMON_ANSWER_REQUESTED)
		return answer;

	/* the session may call an end off, or the slot open or close, meanwhile */
	return PmonEndState(pg_atomic_fetch_and_u64(&slot->word, ~PMON_END_STATE));
}

PmonAnswer
pmon_withdraw_request(PmonEndSlot *slot)
{
	uint64		word;

	/*
	 * It fails when the session answers, or when the slot opens or closes:
	 * each at most once before the session's next step is the other one.
	 */
	do
	{
		word = pg_atomic_read_u64(&slot->word);
		if (PmonEndState(word) != PMON_ANSWER_REQUESTED)
			return pmon_request_answer(slot);
	} while (!change(slot, word, PMON_ANSWER_FREE));
	return PMON_ANSWER_REQUESTED;
}
