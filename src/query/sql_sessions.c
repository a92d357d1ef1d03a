/*-------------------------------------------------------------------------
 *
 * sql_sessions.c
 *	  SQL functions that show each session, or those that look leaked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "query/leaks.h"
#include "query/live_policy.h"
#include "query/live_pools.h"
#include "query/result_set.h"
#include "shared/current_policy.h"
#include "shared/settings.h"
#include "shared/shared_state.h"

PG_FUNCTION_INFO_V1(pool_monitor_sessions);
PG_FUNCTION_INFO_V1(pool_monitor_leak_suspects);

/* The columns that only who may read a session sees */
#define PRIVATE_COLUMNS		21

/* What everybody may see of everybody's sessions */
static void
put_public_columns(PmonRow *row, const PmonSession *session, PmonNames *names)
{
	pmon_put_int(row, session->pid);
	pmon_put_name(row, pmon_live_database(names, session->databaseid),
				  session->databaseid);
	pmon_put_name(row, pmon_live_role(names, session->userid),
				  session->userid);
}

/* idle_limit, terminates_at and exempt; judged is NULL where no limit is set */
static void
put_policy_columns(PmonRow *row, const PmonIdleSession *judged)
{
	if (judged == NULL)
	{
		for (int i = 0; i < 3; i++)
			pmon_put_null(row);
		return;
	}
	pmon_put_interval(row, judged->limit > 0 ? judged->limit * 1000 : -1);
	pmon_put_time(row, judged->ends_at);
	pmon_put_text(row, pmon_exemption_name(judged->exempt));
}

/* Why a session looks leaked, or NULL */
static const char *
suspect(const PmonSession *session, uint32 wait_event_info, TimestampTz now)
{
	return pmon_leak_suspect(session->state, wait_event_info,
							 pmon_age(now, pmon_statement_start(session)),
							 pmon_leak_threshold * INT64CONST(1000));
}

static void
put_private_columns(PmonRow *row, const PmonSession *session,
					const PmonProcState *proc, int pool,
					const PmonIdleSession *judged, int blocks, TimestampTz now)
{
	bool		checked_out = PmonIsCheckedOut(session->state);
	char	   *query = pmon_read_query(session->slot, session->pid);

	pmon_put_text(row, session->application_name);
	pmon_put_address(row, &session->client_addr);
	if (session->client_addr.kind == PMON_CLIENT_UNKNOWN)
		pmon_put_null(row);
	else
		pmon_put_int(row, session->client_port);
	pmon_put_time(row, session->backend_start);
	pmon_put_time(row, session->xact_start);
	pmon_put_time(row, session->query_start);
	pmon_put_time(row, session->state_change);
	pmon_put_text(row, pmon_state_name(session->state));
	pmon_put_text(row, pgstat_get_wait_event_type(proc->wait_event_info));
	pmon_put_text(row, pgstat_get_wait_event(proc->wait_event_info));
	pmon_put_xid(row, proc->xmin);
	pmon_put_text(row, pool >= 0 ? pmon_declared->pools[pool].name : NULL);
	pmon_put_bool(row, checked_out);
	pmon_put_interval(row, pmon_age(now, session->state_change));
	pmon_put_interval(row, pmon_age(now, session->xact_start));
	pmon_put_text(row, suspect(session, proc->wait_event_info, now));
	put_policy_columns(row, judged);
	pmon_put_int(row, blocks);
	pmon_put_text(row, query);
}

/* All sessions, palloc'd; *nsessions says how many. */
static PmonSession *
read_sessions(int *nsessions)
{
	int			slots = pmon_status_slots();
	PmonSession *sessions = palloc(sizeof(PmonSession) * slots);
	int			n = 0;

	for (int i = 0; i < slots; i++)
	{
		if (pmon_read_session(i, &sessions[n]) && PmonIsSession(&sessions[n]))
			n++;
	}
	*nsessions = n;
	return sessions;
}

/* Keep those that look leaked and that the reader may see.  Returns how many. */
static int
keep_suspects(PmonSession *sessions, int nsessions, TimestampTz now)
{
	int			n = 0;

	for (int i = 0; i < nsessions; i++)
	{
		if (suspect(&sessions[i], 0, now) != NULL &&
			pmon_may_read(sessions[i].userid))
			sessions[n++] = sessions[i];
	}
	return n;
}

/*
 * How many backends wait for each place's, palloc'd.  The lock tables are
 * read only if any backend waits.
 */
static int *
read_blocks(const PmonSession *sessions, int nsessions,
			const PmonProcState *procs)
{
	int			slots = pmon_status_slots();
	int		   *pids;
	bool		anybody_waits = false;

	for (int i = 0; i < slots && !anybody_waits; i++)
		anybody_waits = procs[i].waits_for_lock;
	if (!anybody_waits)
		return palloc0(sizeof(int) * slots);

	pids = palloc0(sizeof(int) * slots);
	for (int i = 0; i < nsessions; i++)
		pids[sessions[i].slot] = sessions[i].pid;
	return pmon_read_blockers(pids);
}

/*
 * What the policy makes of each session, by its slot, palloc'd; NULL where no
 * policy is on.
 */
static PmonIdleSession **
judge_sessions(TimestampTz now)
{
	PmonIdleSession **by_slot;
	PmonIdleSession *sessions;
	PmonIdlePolicy policy;
	int			n;

	pmon_get_policy(&policy, now);
	if (pmon == NULL || !pmon_policy_is_on(&policy))
		return NULL;

	sessions = pmon_judge_live_sessions(&policy, &n);
	by_slot = palloc0(sizeof(PmonIdleSession *) * pmon_status_slots());
	for (int i = 0; i < n; i++)
		by_slot[sessions[i].slot] = &sessions[i];
	return by_slot;
}

/* Add a row for each session. */
static void
show_sessions(FunctionCallInfo fcinfo, PmonSession *sessions, int nsessions,
			  TimestampTz now)
{
	PmonProcState *procs = pmon_read_procs();
	int		   *blocks = read_blocks(sessions, nsessions, procs);
	PmonNames  *names = pmon_begin_matching();
	PmonIdleSession **judged = judge_sessions(now);
	MemoryContext row_context;

	row_context = AllocSetContextCreate(CurrentMemoryContext, "pool_monitor row",
										ALLOCSET_DEFAULT_SIZES);

	for (int i = 0; i < nsessions; i++)
	{
		PmonSession *session = &sessions[i];
		MemoryContext oldcontext = MemoryContextSwitchTo(row_context);
		PmonRow		row;

		row.ncolumns = 0;
		put_public_columns(&row, session, names);
		if (pmon_may_read(session->userid))
			put_private_columns(&row, session, &procs[session->slot],
								pmon_live_pool(names, session),
								judged != NULL ? judged[session->slot] : NULL,
								blocks[session->slot], now);
		else
		{
			for (int c = 0; c < PRIVATE_COLUMNS; c++)
				pmon_put_null(&row);
		}
		pmon_add_row(fcinfo, &row);

		/* each row in the same memory, which is in the cache */
		MemoryContextSwitchTo(oldcontext);
		MemoryContextReset(row_context);
	}
}

Datum
pool_monitor_sessions(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentTimestamp();
	int			nsessions;
	PmonSession *sessions = read_sessions(&nsessions);

	InitMaterializedSRF(fcinfo, 0);
	show_sessions(fcinfo, sessions, nsessions, now);
	return (Datum) 0;
}

/* Rows are for suspects only, of whom there are few. */
Datum
pool_monitor_leak_suspects(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentTimestamp();
	int			nsessions;
	PmonSession *sessions = read_sessions(&nsessions);

	nsessions = keep_suspects(sessions, nsessions, now);
	InitMaterializedSRF(fcinfo, 0);
	if (nsessions > 0)
		show_sessions(fcinfo, sessions, nsessions, now);
	return (Datum) 0;
}
