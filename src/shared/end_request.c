/*-------------------------------------------------------------------------
 *
 * end_request.c
 *	  Asking a session to end, which it does only if it is still idle.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include <signal.h>
#include <sys/socket.h>

#include "access/xact.h"
#include "libpq/libpq.h"
#include "storage/latch.h"
#include "storage/procsignal.h"
#include "utils/snapmgr.h"

#include "shared/end_request.h"
#include "shared/shared_state.h"
#include "shared/slots.h"

static PmonSlot *my_slot = NULL;

/* Set when the session has accepted, with the setting that it changed */
static volatile sig_atomic_t accepted = false;
static int *changed_setting = NULL;

/* Is a byte of a next message there, or has the client gone? */
static bool
input_has_arrived(void)
{
	char		byte;

	if (PmonInputIsBuffered())
		return true;
	return recv(MyProcPort->sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ||
		(errno != EAGAIN && errno != EWOULDBLOCK);
}

/*
 * Has the session said, or shown, that it must not be ended in this state?
 * Who asks has looked for it, but may have looked just before it was so.
 */
static bool
is_exempt(bool idle)
{
	uint8		own_timeout = idle ? PMON_OWN_IDLE_TIMEOUT :
	PMON_OWN_IN_TRANSACTION_TIMEOUT;

	return (my_slot->own_timeouts & own_timeout) != 0 ||
		XactHasExportedSnapshots();
}

/*
 * Is the session still in the idle period that the requester saw, and nowhere
 * else than waiting for its client?  Runs in a signal handler: it may be in
 * the middle of anything, so every condition is looked at, the cheap first.
 */
static PmonRequest
decide(void)
{
	volatile PgBackendStatus *entry = MyBEEntry;
	bool		idle;

	if (accepted || proc_exit_inprogress || ProcDiePending)
		return PMON_REQUEST_SPARED_EXITING;

	/* without the last one we are not reading a message's first byte */
	if (InterruptHoldoffCount != 0 || CritSectionCount != 0 ||
		QueryCancelHoldoffCount == 0)
		return PMON_REQUEST_SPARED_BUSY;

	if (entry == NULL || (entry->st_changecount & 1) != 0 ||
		!pq_is_reading_msg())
		return PMON_REQUEST_SPARED_STATE;

	idle = entry->st_state == STATE_IDLE;
	if (!idle && entry->st_state != STATE_IDLEINTRANSACTION &&
		entry->st_state != STATE_IDLEINTRANSACTION_ABORTED)
		return PMON_REQUEST_SPARED_STATE;
	if ((uint64) entry->st_state_start_timestamp !=
		pg_atomic_read_u64(&my_slot->request_token))
		return PMON_REQUEST_SPARED_STATE;
	if (is_exempt(idle))
		return PMON_REQUEST_SPARED_EXEMPT;

	/* it may be catching up with notifications */
	if (idle && IsTransactionOrTransactionBlock())
		return PMON_REQUEST_SPARED_BUSY;

	if (MyProc->wait_event_info != WAIT_EVENT_CLIENT_READ)
		return PMON_REQUEST_SPARED_BUSY;
	if (input_has_arrived())
		return PMON_REQUEST_SPARED_INPUT;
	return PMON_REQUEST_ACCEPTED;
}

/* Make one of core's idle timeouts fire; its setting must not be 0 then. */
static void
fire(int *setting, volatile sig_atomic_t *pending)
{
	if (*setting == 0)
	{
		changed_setting = setting;
		*setting = 1;
	}
	*pending = true;
	InterruptPending = true;
}

/* Answer a request, if there is one. */
static void
answer_request(void)
{
	uint32		expected = PMON_REQUEST_REQUESTED;
	PmonRequest answer;
	uint64		token;
	Latch	   *requester;

	if (my_slot == NULL ||
		pg_atomic_read_u32(&my_slot->request) != PMON_REQUEST_REQUESTED)
		return;

	/* the token was written before the request */
	pg_read_barrier();
	answer = decide();
	requester = my_slot->requester;
	token = pg_atomic_read_u64(&my_slot->request_token);
	if (!pg_atomic_compare_exchange_u32(&my_slot->request, &expected, answer))
		return;					/* withdrawn */

	if (answer == PMON_REQUEST_ACCEPTED)
	{
		accepted = true;
		pg_atomic_write_u64(&my_slot->accepted_token, token);
		if (MyBEEntry->st_state == STATE_IDLE)
			fire(&IdleSessionTimeout, &IdleSessionTimeoutPending);
		else
			fire(&IdleInTransactionSessionTimeout,
				 &IdleInTransactionSessionTimeoutPending);
		SetLatch(MyLatch);
	}
	if (requester != NULL)
		SetLatch(requester);
}

static void
sigusr1_handler(SIGNAL_ARGS)
{
	int			save_errno = errno;

	PmonCallProcsignalHandler();
	answer_request();
	errno = save_errno;
}

void
pmon_accept_requests(int slot)
{
	my_slot = &pmon_slots[slot];
	pg_atomic_write_u32(&my_slot->request, PMON_REQUEST_NONE);
	pqsignal(SIGUSR1, sigusr1_handler);
}

void
pmon_refuse_requests(void)
{
	PmonSlot   *slot = my_slot;

	/* no more answers from the handler */
	my_slot = NULL;
	/* whatever it was: who is about to ask is refused too */
	if (pg_atomic_exchange_u32(&slot->request, PMON_REQUEST_SPARED_EXITING) ==
		PMON_REQUEST_REQUESTED && slot->requester != NULL)
		SetLatch(slot->requester);
}

bool
pmon_has_accepted(void)
{
	return accepted;
}

void
pmon_call_off_accepted(void)
{
	if (likely(!accepted) || proc_exit_inprogress)
		return;

	accepted = false;
	IdleSessionTimeoutPending = false;
	IdleInTransactionSessionTimeoutPending = false;
	if (changed_setting != NULL)
		*changed_setting = 0;
	changed_setting = NULL;
	pg_atomic_fetch_add_u64(&pmon->lost_accepts, 1);
	if (my_slot != NULL)
		pg_atomic_write_u32(&my_slot->request, PMON_REQUEST_NONE);
	ereport(LOG,
			(errmsg("the end of this idle session was called off, since a statement has started")));
}

/* Change the request from one state to another; false if it is in neither. */
static bool
change_request(int slot, PmonRequest from, PmonRequest to)
{
	uint32		expected = from;

	return pg_atomic_compare_exchange_u32(&pmon_slots[slot].request,
										  &expected, to);
}

bool
pmon_request_end(int slot, int pid, TimestampTz token, Latch *latch)
{
	PmonSlot   *session = &pmon_slots[slot];

	if (!change_request(slot, PMON_REQUEST_NONE, PMON_REQUEST_CLAIMED))
		return false;

	session->requester = latch;
	pg_atomic_write_u64(&session->request_token, (uint64) token);
	pg_write_barrier();
	if (!change_request(slot, PMON_REQUEST_CLAIMED, PMON_REQUEST_REQUESTED))
		return false;			/* the slot has gone to another session */

	/* as late as can be: the process may be another one soon */
	if (*((volatile int *) &session->pid) != pid || kill(pid, SIGUSR1) != 0)
	{
		change_request(slot, PMON_REQUEST_REQUESTED, PMON_REQUEST_NONE);
		return false;
	}
	return true;
}

PmonRequest
pmon_request_answer(int slot, TimestampTz token)
{
	PmonSlot   *session = &pmon_slots[slot];
	PmonRequest answer = pg_atomic_read_u32(&session->request);

	/* it may have exited since, and another session have the slot */
	pg_read_barrier();
	if (pg_atomic_read_u64(&session->accepted_token) == (uint64) token)
		return PMON_REQUEST_ACCEPTED;
	if (pg_atomic_read_u64(&session->request_token) != (uint64) token)
		return PMON_REQUEST_SPARED_EXITING;

	/* who has accepted may not have noted the token yet */
	if (answer == PMON_REQUEST_REQUESTED || answer == PMON_REQUEST_ACCEPTED)
		return answer;
	if (answer > PMON_REQUEST_ACCEPTED && change_request(slot, answer, PMON_REQUEST_NONE))
		return answer;

	/* it ended in another way, without an answer */
	return PMON_REQUEST_SPARED_EXITING;
}

PmonRequest
pmon_withdraw_request(int slot, TimestampTz token)
{
	if (change_request(slot, PMON_REQUEST_REQUESTED, PMON_REQUEST_NONE))
		return PMON_REQUEST_REQUESTED;
	return pmon_request_answer(slot, token);
}
