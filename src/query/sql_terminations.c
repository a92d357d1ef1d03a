/*-------------------------------------------------------------------------
 *
 * sql_terminations.c
 *	  SQL functions about sessions that are ended.
 *
 * Sessions are asked to end by the protocol that the worker uses as well
 * (requester.h), and the call waits for their answers.  What has not been answered
 * when it is canceled is withdrawn, so that nothing of it happens later.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "catalog/pg_authid.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "query/arguments.h"
#include "query/live_sessions.h"
#include "query/result_set.h"
#include "shared/current_policy.h"
#include "shared/requester.h"
#include "shared/terminations.h"

PG_FUNCTION_INFO_V1(pool_monitor_terminations);
PG_FUNCTION_INFO_V1(pool_monitor_terminate_idle);
PG_FUNCTION_INFO_V1(pool_monitor_terminate);

/* The columns that only who may read a session sees */
#define PRIVATE_COLUMNS		10

static void
put_pool(PmonRow *row, const char *pool)
{
	pmon_put_foreign_text(row, pool[0] != '\0' ? pool : NULL);
}

static void
add_record_row(FunctionCallInfo fcinfo, const PmonTermination *record)
{
	PmonRow		row = {0};

	if (!pmon_may_read(record->userid))
	{
		/* pid, datname and usename, as in pool_monitor_sessions */
		pmon_put_null(&row);
		pmon_put_int(&row, record->pid);
		pmon_put_database(&row, record->databaseid);
		pmon_put_role(&row, record->userid);
		pmon_put_nulls(&row, PRIVATE_COLUMNS);
		pmon_add_row(fcinfo, &row);
		return;
	}

	pmon_put_time(&row, record->terminated_at);
	pmon_put_int(&row, record->pid);
	pmon_put_database(&row, record->databaseid);
	pmon_put_role(&row, record->userid);
	pmon_put_text(&row, record->application_name);
	pmon_put_address(&row, &record->client_addr);
	pmon_put_time(&row, record->backend_start);
	pmon_put_text(&row, pmon_state_name(record->state));
	pmon_put_interval(&row, record->idle_for);
	pmon_put_interval(&row, record->limit_applied * 1000);
	put_pool(&row, record->pool);
	pmon_put_text(&row, pmon_end_reason_name(record->reason));
	pmon_put_text(&row, pmon_outcome_names[record->outcome]);
	pmon_put_text(&row, record->detail[0] != '\0' ? record->detail : NULL);
	pmon_add_row(fcinfo, &row);
}

Datum
pool_monitor_terminations(PG_FUNCTION_ARGS)
{
	PmonTermination *records;
	int			n;

	pmon_require_loaded();
	InitMaterializedSRF(fcinfo, 0);

	records = pmon_copy_terminations(&n);
	for (int i = 0; i < n; i++)
		add_record_row(fcinfo, &records[i]);
	return (Datum) 0;
}

/* What pool_monitor_terminate_idle() was asked to do */
typedef struct Order
{
	PmonSessionFilter filter;
	int64		idle_for;		/* ms */
	int			max_sessions;	/* -1: no limit */
	bool		dry_run;
} Order;

/* What one call does */
typedef struct Call
{
	Order		order;			/* of pool_monitor_terminate_idle() */
	bool		force;			/* of pool_monitor_terminate() */
	PmonIdlePolicy policy;
	PmonIdleSession *sessions;
	int			nsessions;
	PmonEnd    *ends;			/* those that the order is about */
	int			n;
} Call;

static void
get_order(FunctionCallInfo fcinfo, Order *order)
{
	int64		idle_for;

	pmon_require_not_null(fcinfo, 0, "idle_for");
	idle_for = pmon_interval_argument(PG_GETARG_INTERVAL_P(0), "idle_for");
	order->idle_for = Max(idle_for / 1000, 1);
	pmon_get_filter(fcinfo, 1, &order->filter);
	order->max_sessions = PG_ARGISNULL(4) ? -1 :
		pmon_count_argument(fcinfo, 4, "max_sessions", 0);

	/* what is not a clear no is a dry run */
	order->dry_run = PG_ARGISNULL(5) || PG_GETARG_BOOL(5);
}

/*
 * May the current user end sessions of that role?  As pg_terminate_backend()
 * has it.
 */
static bool
may_end(Oid userid)
{
	if (superuser())
		return true;
	if (superuser_arg(userid))
		return false;
	return has_privs_of_role(GetUserId(), userid) ||
		has_privs_of_role(GetUserId(), ROLE_PG_SIGNAL_BACKEND);
}

/* The policy that is in force, with a copy of its pools, to be changed */
static PmonPools *
copy_policy(PmonIdlePolicy *policy)
{
	PmonPools  *pools = palloc(PMON_POOLS_SIZE(PMON_MAX_POOLS));

	pmon_get_policy(policy, GetCurrentTimestamp());
	memcpy(pools, policy->pools, PMON_POOLS_SIZE(policy->pools->npools));
	policy->pools = pools;
	return pools;
}

/*
 * The policy for an order: its age instead of the idle timeout, but what a
 * pool forbids or keeps holds here too.
 */
static void
get_order_policy(const Order *order, PmonIdlePolicy *policy)
{
	PmonPools  *pools = copy_policy(policy);

	for (int i = 0; i < pools->npools; i++)
	{
		if (pools->pools[i].idle_timeout != 0)
			pools->pools[i].idle_timeout = order->idle_for;
		pools->pools[i].max_lifetime = 0;
	}
	policy->idle_timeout = order->idle_for;
	policy->idle_in_transaction_timeout = 0;
	policy->max_lifetime = 0;
}

/* Is the session one that the order is about, and the caller may end? */
static bool
is_candidate(const Order *order, const PmonIdleSession *session,
			 const PmonIdlePolicy *policy, PmonTermination *record)
{
	PmonIdleSession requested = *session;
	TimestampTz idle_since = PmonCountsFrom(policy, session->state_change);

	if (session->state != PMON_STATE_IDLE ||
		policy->now - idle_since <= order->idle_for * 1000)
		return false;

	requested.reason = PMON_END_REQUESTED;
	requested.limit = order->idle_for;
	return pmon_start_record(record, &requested, policy->pools, policy->now) &&
		pmon_filter_matches(&order->filter, record->databaseid, record->userid,
							record->application_name) &&
		may_end(record->userid);
}

/* Settle what has been answered, or is overdue.  Returns how many are left. */
static int
settle(PmonEnd *ends, int n)
{
	int			open = 0;

	for (int i = 0; i < n; i++)
	{
		if (ends[i].open && !pmon_settle(&ends[i]))
			open++;
	}
	return open;
}

/* Also when the query is canceled, or the session ends: leave none behind. */
static void
withdraw_all(int code, Datum arg)
{
	Call	   *call = (Call *) DatumGetPointer(arg);

	/* a log line must not end it */
	HOLD_INTERRUPTS();
	for (int i = 0; i < call->n; i++)
	{
		if (call->ends[i].open)
			pmon_withdraw(&call->ends[i]);
	}
	RESUME_INTERRUPTS();
}

/*
 * Ask one session to end, or say why it is not asked.  What is only said is in
 * the result, and nowhere else: who may call this must not be able to fill the
 * record, or the log, without ending anything.
 */
static void
request_end(const Order *order, const PmonIdleSession *session, PmonEnd *end)
{
	if (session->exempt != PMON_EXEMPT_NONE)
		pmon_finish_record(&end->record, PMON_OUTCOME_SPARED,
						   pmon_exemption_name(session->exempt));
	else if (order->dry_run)
		pmon_finish_record(&end->record, PMON_OUTCOME_DRY_RUN, NULL);
	else
		(void) pmon_ask(end, session->slot, session->state_change);
}

static void
request_all(Call *call)
{
	int			asked = 0;

	for (int i = 0; i < call->nsessions; i++)
	{
		PmonIdleSession *session = &call->sessions[i];
		PmonEnd    *end = &call->ends[call->n];

		CHECK_FOR_INTERRUPTS();
		if (!is_candidate(&call->order, session, &call->policy, &end->record))
			continue;
		if (session->exempt == PMON_EXEMPT_NONE &&
			call->order.max_sessions >= 0 && asked >= call->order.max_sessions)
			continue;

		/* it counts before anything can go wrong */
		call->n++;
		request_end(&call->order, session, end);
		if (session->exempt == PMON_EXEMPT_NONE)
			asked++;
	}
}

/* Wait until all requests are answered, or for as long as it makes sense. */
static void
wait_for_answers(Call *call)
{
	uint32		wait_event = PmonWaitEvent("PoolMonitorTerminateIdle");

	while (settle(call->ends, call->n) > 0)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 100, wait_event);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Make the requests of a call, and see them through. */
static void
carry_out(Call *call, void (*make_requests) (Call *))
{
	PG_ENSURE_ERROR_CLEANUP(withdraw_all, PointerGetDatum(call));
	{
		make_requests(call);
		wait_for_answers(call);
	}
	PG_END_ENSURE_ERROR_CLEANUP(withdraw_all, PointerGetDatum(call));
}

Datum
pool_monitor_terminate_idle(PG_FUNCTION_ARGS)
{
	Call	   *call = palloc0(sizeof(Call));

	pmon_require_loaded();
	get_order(fcinfo, &call->order);
	InitMaterializedSRF(fcinfo, 0);

	get_order_policy(&call->order, &call->policy);
	call->sessions = pmon_judge_live(pmon_read_live(false), &call->policy,
									 &call->nsessions);
	call->ends = palloc0(sizeof(PmonEnd) * Max(call->nsessions, 1));
	carry_out(call, request_all);
	for (int i = 0; i < call->n; i++)
		add_record_row(fcinfo, &call->ends[i].record);
	return (Datum) 0;
}

/*
 * The policy for an end by pid: whatever the age, the pool and the role, but
 * what a session holds or has said exempts it.
 */
static void
get_pid_policy(PmonIdlePolicy *policy)
{
	PmonPools  *pools = copy_policy(policy);

	for (int i = 0; i < pools->npools; i++)
	{
		pools->pools[i].idle_timeout = -1;
		pools->pools[i].idle_in_transaction_timeout = -1;
		pools->pools[i].max_lifetime = -1;
		pools->pools[i].keep_idle = 0;
	}
	policy->idle_timeout = policy->idle_in_transaction_timeout = 1;
	policy->max_lifetime = 0;
	policy->terminate_superusers = true;
}

/* Is that a reason that "force" overrides? */
static bool
can_be_forced(PmonExemption exempt)
{
	return exempt == PMON_EXEMPT_LISTEN || exempt == PMON_EXEMPT_ADVISORY_LOCK;
}

/* Ask the one session that is left in the call. */
static void
request_one(Call *call)
{
	PmonIdleSession *session = &call->sessions[0];
	PmonEnd    *end = &call->ends[0];

	if (session->exempt != PMON_EXEMPT_NONE &&
		!(call->force && can_be_forced(session->exempt)))
		pmon_finish_record(&end->record, PMON_OUTCOME_SPARED,
						   pmon_exemption_name(session->exempt));
	else if (session->reason == PMON_END_NONE)
		pmon_finish_record(&end->record, PMON_OUTCOME_SPARED,
						   "the session is busy, or has been");
	else
	{
		end->record.reason = PMON_END_REQUESTED;
		end->record.limit_applied = 0;
		call->n = 1;
		(void) pmon_ask(end, session->slot, session->state_change);
	}
}

/* Leave only the session with that pid in the call; false if there is none. */
static bool
find_pid(Call *call, int pid)
{
	for (int i = 0; i < call->nsessions; i++)
	{
		if (call->sessions[i].pid != pid)
			continue;
		call->sessions[0] = call->sessions[i];
		call->nsessions = 1;
		return true;
	}
	return false;
}

static void
add_outcome(FunctionCallInfo fcinfo, PmonOutcome outcome, const char *detail)
{
	PmonRow		row = {0};

	pmon_put_text(&row, pmon_outcome_names[outcome]);
	pmon_put_text(&row, detail[0] != '\0' ? detail : NULL);
	pmon_add_row(fcinfo, &row);
}

Datum
pool_monitor_terminate(PG_FUNCTION_ARGS)
{
	Call	   *call = palloc0(sizeof(Call));
	PmonTermination record;

	pmon_require_loaded();
	InitMaterializedSRF(fcinfo, 0);

	get_pid_policy(&call->policy);
	call->force = PG_GETARG_BOOL(1);
	call->sessions = pmon_judge_live(pmon_read_live(false), &call->policy,
									 &call->nsessions);
	if (!find_pid(call, PG_GETARG_INT32(0)) ||
		!pmon_start_record(&record, &call->sessions[0], call->policy.pools, call->policy.now))
	{
		add_outcome(fcinfo, PMON_OUTCOME_FAILED, "there is no session with that process ID");
		return (Datum) 0;
	}
	if (!may_end(record.userid))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to terminate session with PID %d", record.pid),
				 errhint("Who may call pg_terminate_backend() on it may do so.")));

	call->ends = palloc0(sizeof(PmonEnd));
	call->ends[0].record = record;
	carry_out(call, request_one);
	add_outcome(fcinfo, call->ends[0].record.outcome, call->ends[0].record.detail);
	return (Datum) 0;
}
