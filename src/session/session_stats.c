/*-------------------------------------------------------------------------
 *
 * session_stats.c
 *	  Exact counts, made by each session for itself.
 *
 * A session's life, as seen from here:
 *
 * - Authentication ends (ClientAuthentication_hook): the session takes its
 *	 slot.  It may still be refused, by a connection limit for example.
 * - Its first transaction commits, which is the end of InitPostgres(): the
 *	 settings of the start-up packet are in force now, so the session is
 *	 counted and enters its group.  Where the database has login triggers, that
 *	 waits until they have run, in a transaction of their own: they may refuse
 *	 the session, or give it another name.
 * - Each transaction ends: the time that it held the connection is counted,
 *	 without a lock, in the session's own slot.
 * - The process exits: what the slot holds goes to the group, and the slot is
 *	 free.  This is an on_shmem_exit callback, since those come after
 *	 ShutdownPostgres(), which ends the last transaction.
 *
 * When a transaction ends.  A commit and a prepare end it there and then.
 * After an error, an explicit transaction block lasts until the client rolls
 * it back, and holds the connection until then; a hook tells of the error
 * only.  So at an abort we have the memory context of the transaction tell us
 * when it goes away, which is when the transaction has been cleaned up; for an
 * abort outside of a block that follows at once.
 *
 * An idle session runs transactions of its own to catch up with cache
 * invalidations and to read notifications.  They hold no pooled connection
 * and are not counted: while they run, the session is still reading its next
 * message, and its state is still idle.
 *
 * The application name is looked at when a transaction ends, if it was assigned
 * since.  A transaction counts for the name that was in force then, as SET LOCAL
 * intends.
 *
 * Some drivers, pgjdbc for one, log in without a name and set it with their
 * first statements.  So a session without a name that has run nothing but SET
 * and SHOW is not counted yet, nor are these; it is when it takes a name,
 * under that name, or else when it runs something else or ends.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "session/listen_tracker.h"
#include "session/name_tracker.h"
#include "session/own_settings.h"
#include "session/role_tracker.h"
#include "session/session_stats.h"
#include "session/end_answer.h"
#include "shared/groups.h"
#include "shared/session_pool.h"
#include "shared/settings.h"
#include "shared/shared_state.h"
#include "shared/slots.h"
#include "shared/status_array.h"

static ClientAuthentication_hook_type prev_authentication_hook = NULL;
static ProcessUtility_hook_type prev_utility_hook = NULL;
static ExecutorStart_hook_type prev_executor_start_hook = NULL;

/*
 * This session's slot, the place of its group as its membership has it, where
 * the group says its generation, and the application name that the group was
 * found by
 */
static PmonSlot *my_slot = NULL;
static int	my_group = PMON_NONE;
static const uint32 *my_generation = NULL;
static char my_application_name[NAMEDATALEN];

/* The session is complete but for its login triggers */
static bool awaiting_triggers = false;

/* It has no name, and is not counted; this transaction has run SET or SHOW */
static bool unnamed = false;
static bool ran_setting = false;

/* A transaction that was aborted and is not cleaned up yet */
static MemoryContextCallback cleanup_callback;
static bool awaiting_cleanup = false;

/* The same for a commit or prepare under a name that may have been set with SET LOCAL */
static MemoryContextCallback name_callback;
static bool awaiting_name = false;

/* When the last transaction that we counted ended, and in which message */
static TimestampTz last_end = 0;
static TimestampTz last_message = 0;

static const char *
current_application_name(void)
{
	return application_name != NULL ? application_name : "";
}

/* Enter the group of the current application name.  Wants the lock. */
static void
enter_group(TimestampTz now)
{
	PmonGroupKey key;

	Assert(LWLockHeldByMeInMode(PmonLock(), LW_EXCLUSIVE));
	pmon_name_is_known();
	namestrcpy((Name) my_application_name, current_application_name());
	pmon_set_group_key(&key, MyDatabaseId, GetAuthenticatedUserId(),
					   my_application_name);
	my_group = pmon_enter_group(&key, MyProcPort->database_name,
								MyProcPort->user_name,
								&my_slot->client_addr, now);
	pmon_set_identity(my_slot - pmon_slots, MyProcPort->database_name,
					  MyProcPort->user_name, my_application_name);
	PmonSetMembership(my_slot - pmon_slots, my_group, pmon_groups[my_group].id);
	my_generation = &pmon_groups[my_group].generation;
	my_slot->hold.generation = *my_generation;
	if (!unnamed)
		my_slot->group_since = now;
}

/* Leave the group, and let it have what was counted.  Wants the lock. */
static void
leave_group(TimestampTz now)
{
	PmonGroup  *group = &pmon_groups[my_group];
	TimestampTz since = Max(my_slot->group_since, group->counted_since);
	PmonHistogram all = {PMON_ALL_OCTAVES, pmon_group_buckets[my_group]};
	int			slot = my_slot - pmon_slots;

	Assert(LWLockHeldByMeInMode(PmonLock(), LW_EXCLUSIVE));
	pmon_add_hold_counters(&group->counters.hold, &my_slot->hold, group->generation);
	pmon_add_hold_buckets(&all, &my_slot->hold, group->generation);
	pmon_clear_hold_counters(&my_slot->hold);
	if (now > since && !unnamed)
		group->counters.session_time += now - since;
	pmon_leave_group(my_group, now);
	my_group = PMON_NONE;
	PmonSetMembership(slot, my_group, 0);
}

/* Count the session under the name that it has.  Wants the lock. */
static void
count_session(void)
{
	Assert(LWLockHeldByMeInMode(PmonLock(), LW_EXCLUSIVE));
	unnamed = false;
	pmon_groups[my_group].counters.sessions++;
}

/* A session that was not counted is now. */
static void
claim_name(void)
{
	LWLockAcquire(PmonLock(), LW_EXCLUSIVE);
	count_session();
	LWLockRelease(PmonLock());
}

/* The name is one that lasts: it is the session's, if it had none before. */
static void
name_is_settled(void)
{
	if (unnamed && my_application_name[0] != '\0')
		claim_name();
}

/* The session is complete: count it, if it has a name. */
static void
log_in(void)
{
	TimestampTz now = GetCurrentTimestamp();

	last_message = GetCurrentStatementStartTimestamp();

	LWLockAcquire(PmonLock(), LW_EXCLUSIVE);
	enter_group(now);
	my_slot->group_since = MyStartTimestamp;
	my_slot->userid = GetAuthenticatedUserId();
	my_slot->superuser = GetSessionUserIsSuperuser() || !pmon_role_is_certain();
	if (my_application_name[0] == '\0')
		unnamed = true;
	else
		count_session();
	LWLockRelease(PmonLock());
}

/* Is the transaction of the login triggers still to come? */
static bool
await_login_triggers(void)
{
	if (awaiting_triggers || !PmonLoginTriggersFollow())
		return false;
	awaiting_triggers = true;
	return true;
}

/* Move to the group of the current application name. */
static void
change_group(void)
{
	TimestampTz now = GetCurrentTimestamp();

	LWLockAcquire(PmonLock(), LW_EXCLUSIVE);
	leave_group(now);
	enter_group(now);
	LWLockRelease(PmonLock());
}

/* Move to another group if the application name that was assigned is another. */
static bool
follow_assigned_name(void)
{
	pmon_name_is_known();
	if (strncmp(my_application_name, current_application_name(),
				NAMEDATALEN - 1) == 0)
		return false;
	change_group();
	return true;
}

static inline bool
follow_name(void)
{
	return unlikely(pmon_name_was_assigned) && follow_assigned_name();
}

/* A transaction of a session without a name: is it to be counted? */
static bool
claim_name_unless_setting(void)
{
	if (ran_setting)
	{
		ran_setting = false;
		return false;
	}
	claim_name();
	return true;
}

/*
 * A transaction of this session has ended.
 *
 * Where a message runs several, the server gives all of them the start of the
 * message; but one can not hold the connection before the one before it ends.
 */
static inline void
transaction_ended(void)
{
	TimestampTz start;
	TimestampTz now;

	last_message = GetCurrentStatementStartTimestamp();
	if (unlikely(unnamed) && !claim_name_unless_setting())
		return;
	if (!pmon_track_transactions)
		return;

	start = GetCurrentTransactionStartTimestamp();
	start = Max(start, last_end);
	now = GetCurrentTimestamp();
	last_end = now;
	pmon_count_hold_time(&my_slot->hold, *my_generation, Max(now - start, 0));
}

static void
transaction_cleaned_up(void *arg)
{
	if (!awaiting_cleanup)
		return;
	awaiting_cleanup = false;
	(void) follow_name();
	name_is_settled();
	transaction_ended();
}

/* The settings are back to what they were: so is the name, after SET LOCAL. */
static void
name_restored(void *arg)
{
	if (!awaiting_name)
		return;
	awaiting_name = false;
	(void) follow_name();
	name_is_settled();
}

/*
 * Is this a transaction that the session runs for itself, to catch up or to
 * read notifications?  It begins when no message is being worked on, and has
 * the start of the last message for its own, in which a transaction has ended
 * already.  (One that a Sync message commits has no statement either, but
 * began with a message of its own.)
 */
static bool
is_own_transaction(void)
{
	return debug_query_string == NULL &&
		GetCurrentTransactionStartTimestamp() == last_message &&
		GetCurrentStatementStartTimestamp() == last_message;
}

/* The name was set with SET LOCAL, perhaps: look again when it is restored. */
static void
await_name(void)
{
	if (awaiting_name)
		return;
	name_callback.func = name_restored;
	name_callback.arg = NULL;
	awaiting_name = true;
	MemoryContextRegisterResetCallback(TopTransactionContext, &name_callback);
}

static void
await_cleanup(void)
{
	if (awaiting_cleanup)
		return;
	pg_atomic_write_u64(&my_slot->failed_xact_start,
						(uint64) GetCurrentTransactionStartTimestamp());
	cleanup_callback.func = transaction_cleaned_up;
	cleanup_callback.arg = NULL;
	awaiting_cleanup = true;
	MemoryContextRegisterResetCallback(TopTransactionContext,
									   &cleanup_callback);
}

/*
 * A session that has not entered a group: with the first commit it is complete.
 * An abort here means that the login failed.
 */
static void
logging_in(XactEvent event)
{
	if (event == XACT_EVENT_COMMIT && !await_login_triggers())
		log_in();
}

/* Runs with each transaction, before and after the commit. */
static void
pmon_xact_callback(XactEvent event, void *arg)
{
	if (unlikely(pmon_roles_due) && my_group != PMON_NONE)
		pmon_track_roles(event, my_slot - pmon_slots);

	if (event == XACT_EVENT_PRE_COMMIT)
		return;
	if (unlikely(my_group == PMON_NONE))
		logging_in(event);
	else if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE)
	{
		if (is_own_transaction())
			return;
		if (follow_name())
			await_name();
		transaction_ended();
	}
	else if (event == XACT_EVENT_ABORT)
		await_cleanup();
}

/* Count how the session ended.  Wants the lock. */
static void
count_end(PmonCounters *counters)
{
	Assert(LWLockHeldByMeInMode(PmonLock(), LW_EXCLUSIVE));
	switch (pgStatSessionEndCause)
	{
		case DISCONNECT_CLIENT_EOF:
			counters->sessions_abandoned++;
			break;
		case DISCONNECT_FATAL:
			if (pmon_has_accepted())
			{
				counters->terminated++;
				pg_atomic_fetch_add_u64(&pmon->terminated, 1);
				pg_atomic_fetch_add_u64(&pmon->terminated_ever, 1);
			}
			else
				counters->sessions_fatal++;
			break;
		case DISCONNECT_KILLED:
			counters->sessions_killed++;
			break;
		case DISCONNECT_NOT_YET:
		case DISCONNECT_NORMAL:
			break;
	}
}

static void
pmon_session_end(int code, Datum arg)
{
	int			slot = my_slot - pmon_slots;

	if (my_group != PMON_NONE)
	{
		TimestampTz now = GetCurrentTimestamp();

		LWLockAcquire(PmonLock(), LW_EXCLUSIVE);
		if (unnamed)
			count_session();
		count_end(&pmon_groups[my_group].counters);
		leave_group(now);
		LWLockRelease(PmonLock());
	}

	pmon_refuse_requests();
	pg_atomic_fetch_and_u64(&pmon_live[slot / 64], ~(UINT64CONST(1) << (slot % 64)));
	my_slot->pid = 0;
}

/* Take the slot that goes with this process's place in the status array. */
static void
take_slot(void)
{
	int			slot = PmonMySlot();

	Assert(slot >= 0 && slot < pmon->max_backends);
	my_slot = &pmon_slots[slot];
	my_group = PMON_NONE;
	pmon_publish_status_array();
	PmonSetMembership(slot, my_group, 0);
	my_slot->proc = MyProc;
	pmon_client_from_sockaddr(&MyProcPort->raddr.addr, &my_slot->client_addr);
	my_slot->client_port = pmon_client_port(&MyProcPort->raddr);
	my_slot->backend_start = MyStartTimestamp;
	snprintf(my_slot->application_name, NAMEDATALEN, "%s",
			 MyProcPort->application_name != NULL ? MyProcPort->application_name : "");
	pg_write_barrier();
	my_slot->pid = MyProcPid;
	pmon_clear_hold_counters(&my_slot->hold);
	my_slot->listening = false;
	pmon_show_own_settings(my_slot);
	pmon_start_role_tracker();
	pmon_accept_requests(slot);
	pg_write_barrier();
	pg_atomic_fetch_or_u64(&pmon_live[slot / 64], UINT64CONST(1) << (slot % 64));

	on_shmem_exit(pmon_session_end, (Datum) 0);
	RegisterXactCallback(pmon_xact_callback, NULL);
}

static void
pmon_authentication_hook(Port *port, int status)
{
	if (prev_authentication_hook)
		prev_authentication_hook(port, status);

	if (pmon != NULL && status == STATUS_OK && !am_walsender)
		take_slot();
}

/* A statement starts: see pmon_call_off_accepted(). */
static void
pmon_executor_start_hook(QueryDesc *queryDesc, int eflags)
{
	pmon_call_off_accepted();
	if (unlikely(unnamed))
		claim_name();
	if (prev_executor_start_hook)
		prev_executor_start_hook(queryDesc, eflags);
	else
		standard_ExecutorStart(queryDesc, eflags);
}

/* What a session without a name runs: settings leave it without one. */
static void
note_statement(const Node *statement)
{
	if (IsA(statement, VariableSetStmt) || IsA(statement, VariableShowStmt))
		ran_setting = true;
	else if (!IsA(statement, TransactionStmt))
		claim_name();
}

/*
 * The same for a utility statement.  What it says of notifications is noted
 * before it is executed, since it may not leave its parse tree behind; should
 * it fail, that is forgotten with the transaction.
 */
static void
pmon_utility_hook(PlannedStmt *pstmt, const char *queryString,
				  bool readOnlyTree, ProcessUtilityContext context,
				  ParamListInfo params, QueryEnvironment *queryEnv,
				  DestReceiver *dest, QueryCompletion *qc)
{
	pmon_call_off_accepted();
	if (unlikely(unnamed))
		note_statement(pstmt->utilityStmt);
	if (my_slot != NULL)
	{
		pmon_track_listen(pstmt->utilityStmt, &my_slot->listening);
		pmon_track_alter_role(pstmt->utilityStmt);
	}

	if (prev_utility_hook)
		prev_utility_hook(pstmt, queryString, readOnlyTree, context, params,
						  queryEnv, dest, qc);
	else
		standard_ProcessUtility(pstmt, queryString, readOnlyTree, context,
								params, queryEnv, dest, qc);
}

void
pmon_install_session_hooks(void)
{
	pmon_follow_application_name();
	pmon_follow_own_settings();
	prev_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = pmon_utility_hook;
	prev_executor_start_hook = ExecutorStart_hook;
	ExecutorStart_hook = pmon_executor_start_hook;
	prev_authentication_hook = ClientAuthentication_hook;
	ClientAuthentication_hook = pmon_authentication_hook;
}
