/*-------------------------------------------------------------------------
 *
 * requester.c
 *	  The side of whoever asks sessions to end: the worker and SQL functions.
 *
 * A session that was asked answers within a moment.  One that never answers
 * (another library has taken its signal handler) has failed to, and is never
 * ended in any other way.
 *
 * A session that is spared may be asked again in the same idle period, and by
 * many; it is recorded once for each.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "shared/requester.h"
#include "shared/slots.h"

/* A request that is not answered within this time, in us, has failed */
#define ANSWER_TIME		INT64CONST(5000000)

/* Why a session was spared, by its answer */
static const char *const spared_details[PMON_ANSWERS] = {
	[PMON_ANSWER_SPARED_STATE] = "the session is busy, or has been",
	[PMON_ANSWER_SPARED_EXEMPT] = "the session has become exempt",
	[PMON_ANSWER_SPARED_INPUT] = "the client has sent its next message",
	[PMON_ANSWER_SPARED_MESSAGE] = "the client is sending its next message",
	[PMON_ANSWER_SPARED_EXITING] = "the session is ending, or has ended",
	[PMON_ANSWER_SPARED_BUSY] = "the session could not be interrupted",
	[PMON_ANSWER_OTHER_ASKS] = "somebody else is asking the session"
};

/* The outcome of a request by its answer, and why; NULL: nothing to say */
static PmonOutcome
outcome_of(PmonAnswer answer, const char **detail)
{
	*detail = spared_details[answer];
	if (*detail != NULL)
		return PMON_OUTCOME_SPARED;
	if (answer == PMON_ANSWER_ACCEPTED)
		return PMON_OUTCOME_TERMINATED;
	*detail = "the session did not answer";
	return PMON_OUTCOME_FAILED;
}

static PmonEndSlot *
slot_of(const PmonEnd *end)
{
	return &pmon_slots[end->slot].end;
}

/* The request is over; keep its record unless it says nothing new. */
static void
finish(PmonEnd *end, PmonAnswer answer)
{
	const char *detail;
	PmonOutcome outcome = outcome_of(answer, &detail);

	end->open = false;
	pmon_finish_record(&end->record, outcome, detail);
	if (outcome != PMON_OUTCOME_SPARED ||
		pg_atomic_exchange_u64(&slot_of(end)->spared, (uint64) end->token) !=
		(uint64) end->token)
		pmon_keep_record(&end->record);
}

bool
pmon_ask(PmonEnd *end, int slot, TimestampTz token)
{
	PmonAnswer	answer;
	const char *detail;
	PmonOutcome outcome;

	end->slot = slot;
	end->token = token;
	end->asked_at = pmon_monotonic_us();
	answer = pmon_request_end(slot_of(end), end->record.pid, token, MyLatch);
	end->open = answer == PMON_ANSWER_REQUESTED;
	if (end->open)
		return true;

	/* it may have answered at once: that counts as any other answer */
	if (answer != PMON_ANSWER_OTHER_ASKS && answer != PMON_ANSWER_SPARED_EXITING)
	{
		finish(end, answer);
		return false;
	}
	outcome = outcome_of(answer, &detail);
	pmon_finish_record(&end->record, outcome, detail);
	return false;
}

bool
pmon_settle(PmonEnd *end)
{
	PmonAnswer	answer = pmon_request_answer(slot_of(end));

	if (answer == PMON_ANSWER_REQUESTED)
	{
		if (pmon_monotonic_us() - end->asked_at < ANSWER_TIME)
			return false;
		answer = pmon_withdraw_request(slot_of(end));
	}
	finish(end, answer);
	return true;
}

void
pmon_withdraw(PmonEnd *end)
{
	PmonAnswer	answer = pmon_withdraw_request(slot_of(end));

	if (answer != PMON_ANSWER_REQUESTED)
	{
		finish(end, answer);
		return;
	}
	end->open = false;
	pmon_finish_record(&end->record, PMON_OUTCOME_SPARED, "the request was withdrawn");
	pmon_keep_record(&end->record);
}
