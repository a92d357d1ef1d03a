/*-------------------------------------------------------------------------
 *
 * sql_sessions.c
 *	  SQL functions that show each session, or those that look leaked, and
 *	  the prepared transactions that others wait for.
 *
 * They start from one reading of the sessions (live_sessions.h), and one of the
 * lock manager for who waits for whom.  What only who may read a session may know
 * is null for others.  What nobody looks at is not read (wanted.h).
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
#include "query/wanted.h"
#include "shared/current_policy.h"
#include "shared/settings.h"
#include "shared/shared_state.h"

PG_FUNCTION_INFO_V1(pool_monitor_sessions);
PG_FUNCTION_INFO_V1(pool_monitor_leak_suspects);
PG_FUNCTION_INFO_V1(pool_monitor_prepared_blocks);

/* The columns, in their order; all but the first three are private */
typedef enum SessionColumn
{
	PID,
	DATNAME,
	USENAME,
	APPLICATION_NAME,
	CLIENT_ADDR,
	CLIENT_PORT,
	BACKEND_START,
	XACT_START,
	QUERY_START,
	STATE_CHANGE,
	STATE,
	WAIT_EVENT_TYPE,
	WAIT_EVENT,
	BACKEND_XMIN,
	POOL,
	CHECKED_OUT,
	CHECKED_OUT_EVIDENCE,
	STATE_AGE,
	TRANSACTION_AGE,
	LEAK_SUSPECT,
	IDLE_LIMIT,
	TERMINATES_AT,
	EXEMPT,
	BLOCKS,
	BLOCKED_BY,
	QUERY_ID,
	TAGS,
	QUERY,
	COLUMNS
} SessionColumn;

/* What is read once for all rows, and only for those who look at it */
typedef struct Reading
{
	PmonLive   *live;
	PmonWanted	wanted;
	PmonSharedTexts texts;
	bool		may_read_all;
	PmonLockWaits *waits;
	PmonProcState *procs;		/* by slot */
	PmonIdleSession **judged;	/* by slot; NULL where no policy is on */
} Reading;

/* What the columns of one row are made from */
typedef struct Shown
{
	const PmonSession *session;
	const PmonProcState *proc;
	const PmonIdleSession *judged;
	PmonBlocking blocking;
	bool		has_query;
	char	   *query;			/* once it has been read */
} Shown;

/* The text of its statement, for the two columns that are made from it */
static const char *
shown_query(Shown *shown)
{
	if (!shown->has_query)
		shown->query = pmon_read_query(shown->session->slot, shown->session->pid);
	shown->has_query = true;
	return shown->query;
}

static void
put_name(PmonRow *row, const char *name, Oid oid, Reading *reading)
{
	if (name != NULL)
		pmon_put_shared_text(row, &reading->texts, name);
	else
		pmon_put_name(row, name, oid);
}

/* What everybody may see of everybody's sessions */
static void
put_public_column(PmonRow *row, SessionColumn column, const PmonSession *session,
				  Reading *reading)
{
	if (column == PID)
		pmon_put_int(row, session->pid);
	else if (column == DATNAME)
		put_name(row, pmon_live_database(reading->live, session->databaseid),
				 session->databaseid, reading);
	else
		put_name(row, pmon_live_role(reading->live, session->userid),
				 session->userid, reading);
}

/* What the server's own view has too */
static void
put_activity_column(PmonRow *row, SessionColumn column, const PmonSession *session,
					PmonSharedTexts *texts)
{
	switch (column)
	{
		case APPLICATION_NAME:
			pmon_put_text(row, session->application_name);
			break;
		case CLIENT_ADDR:
			pmon_put_address(row, &session->client_addr);
			break;
		case CLIENT_PORT:
			pmon_put_int_or_null(row, session->client_addr.kind != PMON_CLIENT_UNKNOWN,
								 session->client_port);
			break;
		case BACKEND_START:
			pmon_put_time(row, session->backend_start);
			break;
		case XACT_START:
			pmon_put_time(row, session->xact_start);
			break;
		case QUERY_START:
			pmon_put_time(row, session->query_start);
			break;
		case STATE_CHANGE:
			pmon_put_time(row, session->state_change);
			break;
		case STATE:
			pmon_put_shared_text(row, texts, pmon_state_name(session->state));
			break;
		case QUERY_ID:
			pmon_put_bigint_or_null(row, session->query_id != 0, (int64) session->query_id);
			break;
		default:
			elog(ERROR, "unexpected column: %d", column);
	}
}

/* idle_limit, terminates_at and exempt; judged is NULL where no limit is set */
static void
put_policy_column(PmonRow *row, SessionColumn column, const PmonIdleSession *judged)
{
	if (judged == NULL)
		pmon_put_null(row);
	else if (column == IDLE_LIMIT)
		pmon_put_interval(row, judged->limit > 0 ? judged->limit * 1000 : -1);
	else if (column == TERMINATES_AT)
		pmon_put_time(row, judged->ends_at);
	else
		pmon_put_text(row, pmon_exemption_name(judged->exempt));
}

static void
put_pool(PmonRow *row, PmonLive *live, const PmonSession *session)
{
	int			pool = pmon_live_pool(live, session);

	pmon_put_foreign_text(row, pool >= 0 ? pmon_declared->pools[pool].name : NULL);
}

static void
put_private_column(PmonRow *row, SessionColumn column, Shown *shown, Reading *reading)
{
	const PmonSession *session = shown->session;
	PmonLive   *live = reading->live;
	PmonSharedTexts *texts = &reading->texts;

	switch (column)
	{
		case WAIT_EVENT_TYPE:
			pmon_put_shared_text(row, texts, pgstat_get_wait_event_type(shown->proc->wait_event_info));
			break;
		case WAIT_EVENT:
			pmon_put_shared_text(row, texts, pgstat_get_wait_event(shown->proc->wait_event_info));
			break;
		case BACKEND_XMIN:
			pmon_put_xid(row, shown->proc->xmin);
			break;
		case POOL:
			put_pool(row, live, session);
			break;
		case CHECKED_OUT:
			pmon_put_bool(row, pmon_live_proof(live, session) != PMON_PROOF_NONE);
			break;
		case CHECKED_OUT_EVIDENCE:
			pmon_put_shared_text(row, texts, pmon_proof_name(pmon_live_proof(live, session)));
			break;
		case STATE_AGE:
			pmon_put_interval(row, pmon_age(live->now, session->state_change));
			break;
		case TRANSACTION_AGE:
			pmon_put_interval(row, pmon_age(live->now, session->xact_start));
			break;
		case LEAK_SUSPECT:
			pmon_put_text(row, pmon_leak_name(pmon_leak_suspect(live, session,
																shown->proc->wait_event_info,
																shown->blocking)));
			break;
		case IDLE_LIMIT:
		case TERMINATES_AT:
		case EXEMPT:
			put_policy_column(row, column, shown->judged);
			break;
		case BLOCKS:
			pmon_put_int(row, shown->blocking.blocks);
			break;
		case BLOCKED_BY:
			pmon_put_int_or_null(row, shown->blocking.blocked_by != PMON_BLOCKED_BY_NOBODY,
								 shown->blocking.blocked_by);
			break;
		case TAGS:
			pmon_put_statement_tags(row, shown_query(shown));
			break;
		case QUERY:
			pmon_put_text(row, shown_query(shown));
			break;
		default:
			put_activity_column(row, column, session, texts);
	}
}

/* Fill in some columns of the row. */
static void
put_columns(PmonRow *row, const int *columns, int n, Shown *shown, Reading *reading,
			bool may_read)
{
	for (int i = 0; i < n; i++)
	{
		row->ncolumns = columns[i];
		if (columns[i] <= USENAME)
			put_public_column(row, columns[i], shown->session, reading);
		else if (may_read)
			put_private_column(row, columns[i], shown, reading);
	}
	row->ncolumns = COLUMNS;
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

/* Read what the wanted columns are made from. */
static void
begin_reading(FunctionCallInfo fcinfo, Reading *reading)
{
	const bool *wanted;

	memset(reading, 0, sizeof(*reading));
	reading->texts.context = CurrentMemoryContext;
	InitMaterializedSRF(fcinfo, 0);
	pmon_begin_wanted(fcinfo, COLUMNS, &reading->wanted);
	wanted = reading->wanted.columns;
	reading->live = pmon_read_live(false);
	reading->may_read_all = pmon_may_read_all();
	if (wanted[BLOCKS] || wanted[BLOCKED_BY] || wanted[LEAK_SUSPECT])
		reading->waits = pmon_read_lock_waits();
}

/* Add a row for a session, if it is wanted. */
static void
show_session(FunctionCallInfo fcinfo, Reading *reading, const PmonSession *session)
{
	PmonWanted *wanted = &reading->wanted;
	bool		may_read = reading->may_read_all || pmon_may_read(session->userid);
	Shown		shown = {.session = session};
	PmonRow		row;

	if (reading->procs != NULL)
		shown.proc = &reading->procs[session->slot];
	if (reading->judged != NULL)
		shown.judged = reading->judged[session->slot];
	shown.blocking = pmon_blocking(reading->waits, session->pid);

	memset(row.nulls, true, sizeof(row.nulls));
	put_columns(&row, wanted->tested, wanted->ntested, &shown, reading, may_read);
	if (!pmon_row_is_wanted(wanted, &row))
		return;
	put_columns(&row, wanted->others, wanted->nothers, &shown, reading, may_read);
	pmon_add_wanted_row(fcinfo, wanted, &row);
}

static void
show_sessions(FunctionCallInfo fcinfo, Reading *reading,
			  const PmonSession *sessions, int n)
{
	const bool *columns = reading->wanted.columns;
	MemoryContext row_context;

	if (n > 0 && (columns[WAIT_EVENT_TYPE] || columns[WAIT_EVENT] ||
				  columns[BACKEND_XMIN] || columns[LEAK_SUSPECT]))
		reading->procs = pmon_read_procs();
	if (n > 0 && (columns[IDLE_LIMIT] || columns[TERMINATES_AT] || columns[EXEMPT]))
		reading->judged = judge_sessions(reading->live);
	row_context = AllocSetContextCreate(CurrentMemoryContext, "pool_monitor row",
										ALLOCSET_DEFAULT_SIZES);

	for (int i = 0; i < n; i++)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(row_context);

		show_session(fcinfo, reading, &sessions[i]);

		/* each row in the same memory, which is in the cache */
		MemoryContextSwitchTo(oldcontext);
		MemoryContextReset(row_context);
	}
	pmon_end_wanted(&reading->wanted);
}

Datum
pool_monitor_sessions(PG_FUNCTION_ARGS)
{
	Reading		reading;

	begin_reading(fcinfo, &reading);
	show_sessions(fcinfo, &reading, reading.live->sessions, reading.live->nsessions);
	return (Datum) 0;
}

/*
 * Rows are for suspects only, of whom there are few.  What the policy makes of
 * one depends on all sessions, so they are judged before.
 */
Datum
pool_monitor_leak_suspects(PG_FUNCTION_ARGS)
{
	Reading		reading;
	PmonSession *suspects;
	int			n;

	begin_reading(fcinfo, &reading);
	if (reading.waits == NULL)
		reading.waits = pmon_read_lock_waits();
	suspects = palloc(sizeof(PmonSession) * Max(reading.live->nsessions, 1));
	n = pick_suspects(reading.live, reading.waits, suspects);
	show_sessions(fcinfo, &reading, suspects, n);
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
