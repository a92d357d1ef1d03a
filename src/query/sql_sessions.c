/*-------------------------------------------------------------------------
 *
 * sql_sessions.c
 *	  SQL functions that show each session, or those that look leaked, and
 *	  the prepared transactions that others wait for.
 *
 * They start from one reading of the sessions (live_sessions.h), and one of the
 * lock manager for who waits for whom.  What only who may read a session may know
 * is null for others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "query/live_sessions.h"
#include "query/result_set.h"
#include "query/tags.h"
#include "shared/current_policy.h"
#include "shared/settings.h"
#include "shared/shared_state.h"

PG_FUNCTION_INFO_V1(pool_monitor_sessions);
PG_FUNCTION_INFO_V1(pool_monitor_leak_suspects);
PG_FUNCTION_INFO_V1(pool_monitor_prepared_blocks);

/* The columns that only who may read a session sees */
#define PRIVATE_COLUMNS		25

/* What everybody may see of everybody's sessions */
static void
put_public_columns(PmonRow *row, const PmonSession *session, PmonLive *live)
{
	pmon_put_int(row, session->pid);
	pmon_put_name(row, pmon_live_database(live, session->databaseid),
				  session->databaseid);
	pmon_put_name(row, pmon_live_role(live, session->userid),
				  session->userid);
}

/* idle_limit, terminates_at and exempt; judged is NULL where no limit is set */
static void
put_policy_columns(PmonRow *row, const PmonIdleSession *judged)
{
	if (judged == NULL)
	{
		pmon_put_nulls(row, 3);
		return;
	}
	pmon_put_interval(row, judged->limit > 0 ? judged->limit * 1000 : -1);
	pmon_put_time(row, judged->ends_at);
	pmon_put_text(row, pmon_exemption_name(judged->exempt));
}

static void
put_private_columns(PmonRow *row, const PmonSession *session, PmonLive *live,
					const PmonProcState *proc, const PmonIdleSession *judged,
					PmonBlocking blocking)
{
	int			pool = pmon_live_pool(live, session);
	PmonProof	proof = pmon_live_proof(live, session);
	char	   *query = pmon_read_query(session->slot, session->pid);

	pmon_put_text(row, session->application_name);
	pmon_put_address(row, &session->client_addr);
	pmon_put_int_or_null(row, session->client_addr.kind != PMON_CLIENT_UNKNOWN,
						 session->client_port);
	pmon_put_time(row, session->backend_start);
	pmon_put_time(row, session->xact_start);
	pmon_put_time(row, session->query_start);
	pmon_put_time(row, session->state_change);
	pmon_put_text(row, pmon_state_name(session->state));
	pmon_put_text(row, pgstat_get_wait_event_type(proc->wait_event_info));
	pmon_put_text(row, pgstat_get_wait_event(proc->wait_event_info));
	pmon_put_xid(row, proc->xmin);
	pmon_put_foreign_text(row, pool >= 0 ? pmon_declared->pools[pool].name : NULL);
	pmon_put_bool(row, proof != PMON_PROOF_NONE);
	pmon_put_text(row, pmon_proof_name(proof));
	pmon_put_interval(row, pmon_age(live->now, session->state_change));
	pmon_put_interval(row, pmon_age(live->now, session->xact_start));
	pmon_put_text(row, pmon_leak_name(pmon_leak_suspect(live, session,
														proc->wait_event_info,
														blocking)));
	put_policy_columns(row, judged);
	pmon_put_int(row, blocking.blocks);
	pmon_put_int_or_null(row, blocking.blocked_by != PMON_BLOCKED_BY_NOBODY,
						 blocking.blocked_by);
	pmon_put_bigint_or_null(row, session->query_id != 0, (int64) session->query_id);
	pmon_put_statement_tags(row, query);
	pmon_put_text(row, query);
}

/* Copy those that look leaked and that the reader may see.  Returns how many. */
static int
pick_suspects(PmonLive *live, const PmonLockWaits *waits, PmonSession *suspects)
{
	int			n = 0;

	for (int i = 0; i < live->nsessions; i++)
	{
		const PmonSession *session = &live->sessions[i];

		if (pmon_leak_suspect(live, session, 0,
							  pmon_blocking(waits, session->pid)) != PMON_LEAK_NONE &&
			pmon_may_read(session->userid))
			suspects[n++] = *session;
	}
	return n;
}

/*
 * What the policy makes of each session, by its slot, palloc'd; NULL where no
 * policy is on.
 */
static PmonIdleSession **
judge_sessions(PmonLive *live)
{
	PmonIdleSession **by_slot;
	PmonIdleSession *judged;
	PmonIdlePolicy policy;
	int			n;

	pmon_get_policy(&policy, live->now);
	if (pmon == NULL || !pmon_policy_is_on(&policy))
		return NULL;

	judged = pmon_judge_live(live, &policy, &n);
	policy.connections = n;
	pmon_withhold_ends(&policy, *((volatile int *) &pmon->worker_pid) != 0, judged, n);
	by_slot = palloc0(sizeof(PmonIdleSession *) * pmon_status_slots());
	for (int i = 0; i < n; i++)
		by_slot[judged[i].slot] = &judged[i];
	return by_slot;
}

/* Add a row for each of n sessions; judged is NULL where no policy is on. */
static void
show_sessions(FunctionCallInfo fcinfo, PmonLive *live,
			  const PmonSession *sessions, int n,
			  const PmonLockWaits *waits, PmonIdleSession **judged)
{
	PmonProcState *procs = pmon_read_procs();
	MemoryContext row_context;

	row_context = AllocSetContextCreate(CurrentMemoryContext, "pool_monitor row",
										ALLOCSET_DEFAULT_SIZES);

	for (int i = 0; i < n; i++)
	{
		const PmonSession *session = &sessions[i];
		MemoryContext oldcontext = MemoryContextSwitchTo(row_context);
		PmonRow		row;

		row.ncolumns = 0;
		put_public_columns(&row, session, live);
		if (pmon_may_read(session->userid))
			put_private_columns(&row, session, live, &procs[session->slot],
								judged != NULL ? judged[session->slot] : NULL,
								pmon_blocking(waits, session->pid));
		else
			pmon_put_nulls(&row, PRIVATE_COLUMNS);
		pmon_add_row(fcinfo, &row);

		/* each row in the same memory, which is in the cache */
		MemoryContextSwitchTo(oldcontext);
		MemoryContextReset(row_context);
	}
}

Datum
pool_monitor_sessions(PG_FUNCTION_ARGS)
{
	PmonLive   *live = pmon_read_live(false);

	InitMaterializedSRF(fcinfo, 0);
	show_sessions(fcinfo, live, live->sessions, live->nsessions,
				  pmon_read_lock_waits(), judge_sessions(live));
	return (Datum) 0;
}

/*
 * Rows are for suspects only, of whom there are few.  What the policy makes of
 * one depends on all sessions, so they are judged before.
 */
Datum
pool_monitor_leak_suspects(PG_FUNCTION_ARGS)
{
	PmonLive   *live = pmon_read_live(false);
	PmonLockWaits *waits = pmon_read_lock_waits();
	PmonSession *suspects = palloc(sizeof(PmonSession) * Max(live->nsessions, 1));
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	n = pick_suspects(live, waits, suspects);
	if (n > 0)
		show_sessions(fcinfo, live, suspects, n, waits, judge_sessions(live));
	return (Datum) 0;
}

/* Only for those that somebody waits for: pg_prepared_xacts has all of them. */
Datum
pool_monitor_prepared_blocks(PG_FUNCTION_ARGS)
{
	PmonLockWaits *waits = pmon_read_lock_waits();
	TransactionId xid;
	int			blocks;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; pmon_prepared_blocks(waits, i, &xid, &blocks); i++)
	{
		PmonRow		row = {0};

		pmon_put_xid(&row, xid);
		pmon_put_int(&row, blocks);
		pmon_add_row(fcinfo, &row);
	}
	return (Datum) 0;
}
