/*-------------------------------------------------------------------------
 *
 * live_sessions.h
 *	  One reading of the live sessions, and what follows from it.
 *
 * A query reads the status array once; what it counts, matches with pools,
 * judges by the policy and suspects of a leak is all of that one reading.
 * Each of these costs only those who ask for it: names are looked up and pools
 * matched on demand, and nothing here reads the text of a query.
 *
 * Needs a backend that can look into the catalogs, and nothing else: all but
 * the policy works where the library is not preloaded.  Everything is
 * allocated in the memory context that was current when reading.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_LIVE_SESSIONS_H
#define PMON_LIVE_SESSIONS_H

#include "utils/hsearch.h"

#include "pure/checked_out.h"
#include "pure/idle_policy.h"
#include "shared/group_snapshot.h"
#include "shared/lock_waits.h"
#include "shared/status_array.h"

/* What was read, in the order of the status array */
typedef struct PmonLive
{
	TimestampTz now;			/* when it was read */
	int			nsessions;
	PmonSession *sessions;

	/* names that have been looked up; use the functions below */
	MemoryContext context;
	HTAB	   *databases;
	HTAB	   *roles;
	PmonOpening *openings;		/* of the declared pools, likewise */
	int16	   *pools;			/* by slot, likewise */
} PmonLive;

/* Read all sessions, and on demand the walsenders too. */
extern PmonLive *pmon_read_live(bool walsenders);

/* The name of a database or a role; NULL for what has been dropped */
extern const char *pmon_live_database(PmonLive *live, Oid databaseid);
extern const char *pmon_live_role(PmonLive *live, Oid userid);

/*
 * Counting
 */

/* What a set of sessions adds up to.  The times are the oldest seen, or 0. */
typedef struct PmonCounts
{
	int			connections;
	int			states[PMON_STATES];
	int			held_idle;		/* of a pool's idle ones, those proven to be
								 * checked out; else 0 */
	TimestampTz oldest_idle;	/* state_change of the longest idle session */
	TimestampTz oldest_transaction;
	TimestampTz oldest_session;
	TimestampTz oldest_state;	/* state_change, whatever the state */
} PmonCounts;

/* Add one session. */
extern void pmon_count_session(PmonCounts *counts, const PmonSession *session);

/* Count all sessions that were read, but for walsenders. */
extern void pmon_count_live(const PmonLive *live, PmonCounts *counts);

/*
 * Sessions that hold a transaction or run a statement, and in a pool the idle
 * ones that are proven to be checked out; and the other idle ones
 */
extern int	pmon_checked_out(const PmonCounts *counts);
extern int	pmon_checked_in(const PmonCounts *counts);

/* How many more sessions of ordinary roles the server takes */
extern int	pmon_available_slots(int connections, bool exhausted);

/* How the server is, in the words of pool_monitor_status, worst last */
typedef enum PmonServerStatus
{
	PMON_SERVER_HEALTHY,
	PMON_SERVER_WARNING,
	PMON_SERVER_CRITICAL,
	PMON_SERVER_EXHAUSTED
} PmonServerStatus;

#define PMON_SERVER_STATUSES	(PMON_SERVER_EXHAUSTED + 1)

/* The status with that utilization (1: all ordinary slots), and its name */
extern PmonServerStatus pmon_server_status(double utilization, bool exhausted);
extern const char *const pmon_server_status_names[PMON_SERVER_STATUSES];

/*
 * Declared pools
 */

/* The pool of a session, as an index of pmon_declared, or -1 */
extern int	pmon_live_pool(PmonLive *live, const PmonSession *session);

/*
 * What proves that a session is checked out.  Where the pool keeps some that are
 * free, its age proves nothing of a single one.
 */
extern PmonProof pmon_live_proof(PmonLive *live, const PmonSession *session);

/* The different client addresses of each declared pool's sessions; palloc'd */
extern int *pmon_count_clients(PmonLive *live);

/*
 * Count the sessions by pool: an element for each declared pool, and one more
 * for the sessions that are in none, or in one without a size.  palloc'd.
 */
extern PmonCounts *pmon_count_pools(PmonLive *live);

/*
 * What all sessions of the groups in a pool counted as invalid, exact; an
 * element for each declared pool, palloc'd.
 */
extern uint64 *pmon_count_invalid(const PmonGroupSnapshot *snapshot);

/* The same of one group */
extern uint64 pmon_group_invalid(const PmonGroup *group);

/*
 * Policy
 */

/*
 * Judge the sessions.  Where a limit applies to any of them, this reads the
 * lock tables, as pg_locks does.  Returns an array, the longest idle first; *n
 * is its length.  The library must be preloaded.
 */
extern PmonIdleSession *pmon_judge_live(PmonLive *live,
										const PmonIdlePolicy *policy, int *n);

/*
 * Leaks
 */

/* Why a session looks as if it had been leaked */
typedef enum PmonLeak
{
	PMON_LEAK_NONE,				/* it does not */
	PMON_LEAK_IDLE_IN_TRANSACTION,
	PMON_LEAK_IDLE_IN_TRANSACTION_ABORTED,
	PMON_LEAK_WAITS_FOR_CLIENT, /* for what it sends: a COPY, a pipeline */
	PMON_LEAK_SLOW_CLIENT,		/* for it to read a result */
	PMON_LEAK_LONG_TRANSACTION,
	PMON_LEAK_WAITS_FOR_LOCK,
	PMON_LEAK_ADVISORY_LOCK,
	PMON_LEAK_NOT_RETURNED		/* idle for longer than a free one would be */
} PmonLeak;

#define PMON_LEAKS		(PMON_LEAK_NOT_RETURNED + 1)

/*
 * Does a session look leaked: is it checked out, and started its last
 * statement longer ago than the threshold?  So does one that is idle, and has
 * others wait for a lock, or that its client's pool would have closed if it were
 * free, as it is declared.  wait_event_info is what its PGPROC shows, which
 * matters for the reason only.
 */
extern PmonLeak pmon_leak_suspect(PmonLive *live,
								  const PmonSession *session,
								  uint32 wait_event_info,
								  PmonBlocking blocking);

/* The same of a session that is active or in a fast-path call, however long */
extern PmonLeak pmon_why_active(const PmonSession *session,
								uint32 wait_event_info, PmonBlocking blocking);

/* When it started its last statement */
extern TimestampTz pmon_statement_start(const PmonSession *session);

/* The words that users see; NULL for none */
extern const char *pmon_leak_name(PmonLeak leak);

#endif							/* PMON_LIVE_SESSIONS_H */
