/*-------------------------------------------------------------------------
 *
 * other_hooks.c
 *	  Another library in the hooks that pool_monitor uses.
 *
 * Each of its hooks calls the one before it, as it should, and counts that it
 * was called and that it came back.  other_hooks() returns the counts of the
 * whole server as text.  A login as the role "unwanted" is refused in the
 * authentication hook, after the hook before ours was called, as auth_delay
 * and the like may do.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "storage/ipc.h"
#include "storage/pg_shmem.h"
#include "tcop/utility.h"
#include "utils/builtins.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(other_hooks);

extern PGDLLEXPORT void _PG_init(void);

typedef struct Calls
{
	pg_atomic_uint32 logins;
	pg_atomic_uint32 messages;
	pg_atomic_uint32 rejections;
	pg_atomic_uint32 statements;
	pg_atomic_uint32 utilities;
	pg_atomic_uint32 transactions;
	pg_atomic_uint32 exits;
	pg_atomic_uint32 names;
} Calls;

static Calls *calls = NULL;

static ClientAuthentication_hook_type prev_authentication_hook = NULL;
static emit_log_hook_type prev_emit_log_hook = NULL;
static ExecutorStart_hook_type prev_executor_start_hook = NULL;
static ProcessUtility_hook_type prev_utility_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;
static shmem_request_hook_type prev_shmem_request_hook = NULL;
static GucStringAssignHook prev_name_hook = NULL;

static void
count(pg_atomic_uint32 *counter)
{
	if (calls != NULL)
		pg_atomic_fetch_add_u32(counter, 1);
}

static void
on_exit_of_session(int code, Datum arg)
{
	count(&calls->exits);
}

static void
on_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT)
		count(&calls->transactions);
}

static void
authentication_hook(Port *port, int status)
{
	if (prev_authentication_hook)
		prev_authentication_hook(port, status);
	if (strcmp(port->user_name, "unwanted") == 0)
		ereport(FATAL,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("this role is unwanted")));
	count(&calls->logins);
	on_shmem_exit(on_exit_of_session, (Datum) 0);
	RegisterXactCallback(on_transaction, NULL);
}

static void
emit_log(ErrorData *edata)
{
	if (prev_emit_log_hook)
		prev_emit_log_hook(edata);
	/* the postmaster's last message comes when the memory is gone */
	if (!IsUnderPostmaster || UsedShmemSegAddr == NULL || calls == NULL)
		return;
	count(&calls->messages);
	if (edata->sqlerrcode == ERRCODE_TOO_MANY_CONNECTIONS)
		count(&calls->rejections);
}

static void
executor_start(QueryDesc *query, int flags)
{
	if (prev_executor_start_hook)
		prev_executor_start_hook(query, flags);
	else
		standard_ExecutorStart(query, flags);
	count(&calls->statements);
}

static void
utility(PlannedStmt *statement, const char *query, bool read_only,
		ProcessUtilityContext context, ParamListInfo params,
		QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion)
{
	if (prev_utility_hook)
		prev_utility_hook(statement, query, read_only, context, params,
						  environment, dest, completion);
	else
		standard_ProcessUtility(statement, query, read_only, context, params,
								environment, dest, completion);
	count(&calls->utilities);
}

static void
assign_name(const char *value, void *extra)
{
	if (prev_name_hook)
		prev_name_hook(value, extra);
	count(&calls->names);
}

static void
shmem_request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(sizeof(Calls));
}

static void
shmem_startup(void)
{
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	calls = ShmemInitStruct("other_hooks", sizeof(Calls), &found);
	if (!found)
		memset(calls, 0, sizeof(Calls));
}

void
_PG_init(void)
{
	struct config_string *name;

	if (!process_shared_preload_libraries_in_progress)
		return;

	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = shmem_request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = shmem_startup;
	prev_authentication_hook = ClientAuthentication_hook;
	ClientAuthentication_hook = authentication_hook;
	prev_emit_log_hook = emit_log_hook;
	emit_log_hook = emit_log;
	prev_executor_start_hook = ExecutorStart_hook;
	ExecutorStart_hook = executor_start;
	prev_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = utility;

	name = PmonStringSetting(PmonFindSetting("application_name"));
	prev_name_hook = name->assign_hook;
	name->assign_hook = assign_name;
}

/* The counts, in the order of the struct */
Datum
other_hooks(PG_FUNCTION_ARGS)
{
	if (calls == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(psprintf("%u|%u|%u|%u|%u|%u|%u|%u",
											  pg_atomic_read_u32(&calls->logins),
											  pg_atomic_read_u32(&calls->messages),
											  pg_atomic_read_u32(&calls->rejections),
											  pg_atomic_read_u32(&calls->statements),
											  pg_atomic_read_u32(&calls->utilities),
											  pg_atomic_read_u32(&calls->transactions),
											  pg_atomic_read_u32(&calls->exits),
											  pg_atomic_read_u32(&calls->names))));
}
