/*-------------------------------------------------------------------------
 *
 * sql_terminations.c
 *	  SQL functions about sessions that are ended.
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
#include "shared/end_request.h"
#include "shared/terminations.h"

PG_FUNCTION_INFO_V1(pool_monitor_terminations);
PG_FUNCTION_INFO_V1(pool_monitor_terminate_idle);

/* How long pool_monitor_terminate_idle() waits for all answers, in ms */
#define ANSWER_TIME		5000

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
	pmon_put_text(&row, pmon_outcome_name(record->outcome));
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

/* A request that it has made */
typedef struct Request
{
	int			slot;
	TimestampTz token;
	PmonTermination record;
	bool		settled;
} Request;

/* What one call does */
typedef struct Call
{
	Order		order;
	PmonIdlePolicy policy;
	PmonIdleSession *sessions;
	int			nsessions;
	Request    *requests;
	int			n;
} Call;

typedef enum Settle
{
	SETTLE_ANSWERED,			/* what has been answered */
	SETTLE_ALL,					/* the rest does not answer */
	SETTLE_CANCELED				/* the rest is not wanted any more */
} Settle;

static void
get_order(FunctionCallInfo fcinfo, Order *order)
{
	int64		idle_for;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("\"%s\" must not be null", "idle_for")));
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

/*
 * The policy for an order: its age instead of the idle timeout, but what a
 * pool forbids or keeps holds here too.
 */
static void
get_order_policy(const Order *order, PmonIdlePolicy *policy, PmonPools *pools)
{
	pmon_get_policy(policy, GetCurrentTimestamp());
	memcpy(pools, policy->pools, PMON_POOLS_SIZE(policy->pools->npools));
	for (int i = 0; i < pools->npools; i++)
	{
		if (pools->pools[i].idle_timeout != 0)
			pools->pools[i].idle_timeout = order->idle_for;
		pools->pools[i].max_lifetime = 0;
	}
	policy->pools = pools;
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

/* Settle requests.  Returns how many are left. */
static int
settle(Call *call, Settle what)
{
	int			open = 0;

	for (int i = 0; i < call->n; i++)
	{
		Request    *request = &call->requests[i];
		PmonRequest answer;
		PmonOutcome outcome;
		const char *detail;

		if (request->settled)
			continue;
		answer = what == SETTLE_ANSWERED ?
			pmon_request_answer(request->slot, request->token) :
			pmon_withdraw_request(request->slot, request->token);
		if (answer == PMON_REQUEST_REQUESTED && what == SETTLE_ANSWERED)
		{
			open++;
			continue;
		}
		request->settled = true;
		outcome = pmon_outcome(answer, &detail);
		if (answer == PMON_REQUEST_REQUESTED && what == SETTLE_CANCELED)
		{
			outcome = PMON_OUTCOME_SPARED;
			detail = "the request was withdrawn";
		}
		pmon_finish_record(&request->record, outcome, detail);
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
	settle(call, SETTLE_CANCELED);
	RESUME_INTERRUPTS();
}

/* Ask one session to end, or record why it is not asked. */
static void
request_end(const Order *order, const PmonIdleSession *session,
			Request *request)
{
	if (session->exempt != PMON_EXEMPT_NONE)
		pmon_finish_record(&request->record, PMON_OUTCOME_SPARED,
						   pmon_exemption_name(session->exempt));
	else if (order->dry_run)
		pmon_finish_record(&request->record, PMON_OUTCOME_DRY_RUN, NULL);
	else if (pmon_request_end(session->slot, session->pid,
							  session->state_change, MyLatch))
	{
		request->slot = session->slot;
		request->token = session->state_change;
		request->settled = false;
	}
	else
		pmon_finish_record(&request->record, PMON_OUTCOME_SPARED,
						   "the session is ending, or has ended");
}

static void
request_all(Call *call)
{
	int			asked = 0;

	for (int i = 0; i < call->nsessions; i++)
	{
		PmonIdleSession *session = &call->sessions[i];
		Request    *request = &call->requests[call->n];

		CHECK_FOR_INTERRUPTS();
		if (!is_candidate(&call->order, session, &call->policy, &request->record))
			continue;
		if (session->exempt == PMON_EXEMPT_NONE &&
			call->order.max_sessions >= 0 && asked >= call->order.max_sessions)
			continue;

		/* it counts before anything can go wrong */
		request->settled = true;
		call->n++;
		request_end(&call->order, session, request);
		if (session->exempt == PMON_EXEMPT_NONE)
			asked++;
	}
}

/* Wait until all requests are answered, or for as long as it makes sense. */
static void
wait_for_answers(Call *call)
{
	TimestampTz start = GetCurrentTimestamp();
	uint32		wait_event = PmonWaitEvent("PoolMonitorTerminateIdle");

	while (settle(call, SETTLE_ANSWERED) > 0 &&
		   !TimestampDifferenceExceeds(start, GetCurrentTimestamp(), ANSWER_TIME))
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 100, wait_event);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	settle(call, SETTLE_ALL);
}

Datum
pool_monitor_terminate_idle(PG_FUNCTION_ARGS)
{
	Call	   *call = palloc0(sizeof(Call));
	PmonPools  *pools;

	pmon_require_loaded();
	get_order(fcinfo, &call->order);
	InitMaterializedSRF(fcinfo, 0);

	pools = palloc(PMON_POOLS_SIZE(PMON_MAX_POOLS));
	get_order_policy(&call->order, &call->policy, pools);
	call->sessions = pmon_judge_live(pmon_read_live(false), &call->policy,
									 &call->nsessions);
	call->requests = palloc0(sizeof(Request) * Max(call->nsessions, 1));

	PG_ENSURE_ERROR_CLEANUP(withdraw_all, PointerGetDatum(call));
	{
		request_all(call);
		wait_for_answers(call);
	}
	PG_END_ENSURE_ERROR_CLEANUP(withdraw_all, PointerGetDatum(call));

	for (int i = 0; i < call->n; i++)
		add_record_row(fcinfo, &call->requests[i].record);
	return (Datum) 0;
}
