/*-------------------------------------------------------------------------
 *
 * end_answer.c
 *	  A session's answer to a request to end, which it does only if it is idle.
 *
 * See end_answer.h.  Most of this runs in a signal handler: no allocation, no
 * lock, no error.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include <signal.h>
#include <sys/socket.h>
#ifdef __linux__
#include <netinet/in.h>
#include <netinet/tcp.h>
#endif

#include "access/xact.h"
#include "libpq/libpq.h"
#include "storage/latch.h"
#include "storage/procsignal.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "session/end_answer.h"
#include "shared/shared_state.h"
#include "shared/slots.h"

/*
 * Bytes that came so soon after the session became idle, in ms, may be of what
 * came before: the kernel's clock is coarser than ours.
 */
#define SAME_TIME		20

/* Who has sent nothing for so long, in ms, is not sending */
#define STILL_SENDING	10000

static PmonSlot *my_slot = NULL;

/* The request that the session has accepted, and the setting that it changed */
static volatile sig_atomic_t accepted = false;
static PmonEndQuestion accepted_question;
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
 * Has the client sent something since the session became idle, and is it
 * likely to go on?  False where nobody can know.
 */
static bool
client_is_sending(TimestampTz idle_since)
{
#ifdef __linux__
	struct tcp_info info;
	socklen_t	length = sizeof(info);
	TimestampTz now = GetCurrentTimestamp();

	if (MyProcPort->raddr.addr.ss_family == AF_UNIX ||
		getsockopt(MyProcPort->sock, IPPROTO_TCP, TCP_INFO, &info, &length) != 0 ||
		length < offsetof(struct tcp_info, tcpi_last_data_recv) +
		sizeof(info.tcpi_last_data_recv))
		return false;

	/* where the clock was set, the two times can not be compared */
	if (now < idle_since ||
		(TimestampTz) pg_atomic_read_u64(&pmon->clock_set_at) > idle_since)
		return false;
	return info.tcpi_last_data_recv < STILL_SENDING &&
		(now - idle_since) / 1000 > (int64) info.tcpi_last_data_recv + SAME_TIME;
#else
	return false;
#endif
}

/* Has the session read the beginning of a message?  See end_answer.h. */
static bool
message_has_begun(TimestampTz idle_since)
{
	return MessageContext->mem_allocated > ALLOCSET_DEFAULT_INITSIZE ||
		client_is_sending(idle_since);
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
static PmonAnswer
decide(const PmonEndQuestion *question)
{
	volatile PgBackendStatus *entry = MyBEEntry;
	bool		idle;

	if (accepted || proc_exit_inprogress || ProcDiePending)
		return PMON_ANSWER_SPARED_EXITING;

	/* without the last one we are not reading a message's first byte */
	if (InterruptHoldoffCount != 0 || CritSectionCount != 0 ||
		QueryCancelHoldoffCount == 0)
		return PMON_ANSWER_SPARED_BUSY;

	if (entry == NULL || (entry->st_changecount & 1) != 0 ||
		!pq_is_reading_msg())
		return PMON_ANSWER_SPARED_STATE;

	idle = entry->st_state == STATE_IDLE;
	if (!idle && entry->st_state != STATE_IDLEINTRANSACTION &&
		entry->st_state != STATE_IDLEINTRANSACTION_ABORTED)
		return PMON_ANSWER_SPARED_STATE;
	if (entry->st_state_start_timestamp != question->token ||
		question->asked != MyProcPid)
		return PMON_ANSWER_SPARED_STATE;
	if (is_exempt(idle))
		return PMON_ANSWER_SPARED_EXEMPT;

	/* it may be catching up with notifications */
	if (idle && IsTransactionOrTransactionBlock())
		return PMON_ANSWER_SPARED_BUSY;

	if (MyProc->wait_event_info != WAIT_EVENT_CLIENT_READ)
		return PMON_ANSWER_SPARED_BUSY;
	if (input_has_arrived())
		return PMON_ANSWER_SPARED_INPUT;
	if (message_has_begun(question->token))
		return PMON_ANSWER_SPARED_MESSAGE;
	return PMON_ANSWER_ACCEPTED;
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
	PmonEndQuestion question;
	PmonAnswer	answer;

	if (my_slot == NULL || !pmon_read_request(&my_slot->end, &question))
		return;

	answer = decide(&question);
	if (!pmon_answer_request(&my_slot->end, &question, answer))
		return;					/* withdrawn */

	if (answer == PMON_ANSWER_ACCEPTED)
	{
		accepted = true;
		accepted_question = question;
		if (MyBEEntry->st_state == STATE_IDLE)
			fire(&IdleSessionTimeout, &IdleSessionTimeoutPending);
		else
			fire(&IdleInTransactionSessionTimeout,
				 &IdleInTransactionSessionTimeoutPending);
		SetLatch(MyLatch);
	}
	if (question.latch != NULL)
		SetLatch(question.latch);
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
	pqsignal(SIGUSR1, sigusr1_handler);
	pmon_open_end_slot(&my_slot->end, MyProcPid);
}

void
pmon_refuse_requests(void)
{
	PmonSlot   *slot = my_slot;
	Latch	   *requester;

	/* no more answers from the handler */
	my_slot = NULL;
	requester = pmon_close_end_slot(&slot->end);
	if (requester != NULL)
		SetLatch(requester);
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
		pmon_call_off_end(&my_slot->end, &accepted_question);
	ereport(LOG,
			(errmsg("the end of this idle session was called off, since a statement has started")));
}
