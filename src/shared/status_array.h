/*-------------------------------------------------------------------------
 *
 * status_array.h
 *	  Reads the server's array of backend status entries.
 *
 * This is the only file that looks into PgBackendStatus and PGPROC of other
 * processes; it yields plain structs.  It needs nothing but a backend with a
 * status entry of its own, so it works where the library is not preloaded;
 * where it is, pmon_status_array_is_known() says whether any process can read.
 *
 * No lock is taken, with the exception that pmon_read_advisory_locks() makes.  What
 * is read of one entry is consistent in itself; two entries are read at two
 * instants.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_STATUS_ARRAY_H
#define PMON_STATUS_ARRAY_H

#include "compat.h"
#include "datatype/timestamp.h"

#include "pure/client_network.h"
#include "pure/session_state.h"

/* One backend; times are 0 where there is none */
typedef struct PmonSession
{
	int			slot;			/* place in the status array */
	int			pid;
	BackendType backend_type;
	Oid			databaseid;
	Oid			userid;
	PmonState	state;
	TimestampTz backend_start;
	TimestampTz xact_start;
	TimestampTz query_start;
	TimestampTz state_change;
	PmonClient	client_addr;
	int			client_port;	/* -1: Unix socket */
	uint64		query_id;		/* 0: none */
	char		application_name[NAMEDATALEN];
} PmonSession;

/* What the policy needs of a session, and no more */
typedef struct PmonIdleState
{
	int			pid;
	PmonState	state;
	TimestampTz backend_start;
	TimestampTz state_change;
	char		application_name[NAMEDATALEN];
} PmonIdleState;

/* What a session that is checked out does, or did last */
typedef struct PmonHeldState
{
	int			pid;
	Oid			databaseid;
	Oid			userid;
	uint64		query_id;		/* 0: none */
	TimestampTz backend_start;
	TimestampTz xact_start;
	TimestampTz query_start;
	TimestampTz state_change;
} PmonHeldState;

/* What PGPROC knows of a backend; advisory, since it is read without a lock */
typedef struct PmonProcState
{
	uint32		wait_event_info;
	TransactionId xmin;
} PmonProcState;

/*
 * Is it what this project calls a session: a client backend?  And is it the
 * end of a client's connection at all, which a walsender is too?
 */
#define PmonIsSession(session)	((session)->backend_type == B_BACKEND)
#define PmonIsConnection(session) \
	(PmonIsSession(session) || (session)->backend_type == B_WAL_SENDER)

/* The number of places in the status array that are not auxiliary processes' */
extern int	pmon_status_slots(void);

/*
 * Leave in shared memory where the array is, for processes that have no entry;
 * and has somebody done so, or do we have one?
 */
extern void pmon_publish_status_array(void);
#define pmon_status_array_is_known() \
	(MyBEEntry != NULL || pmon->status_array != NULL)

/* Is that place our own? */
extern bool pmon_is_my_slot(int slot);

/*
 * Read the entry at a place.  Returns false where there is no backend.  A login
 * that is not ready may have no entry yet; where the library is preloaded, it
 * is known from when it was authenticated on, in state starting.  The
 * number of attempts is bounded: an entry whose owner was stopped while it
 * changed it is taken as it is.
 */
extern bool pmon_read_session(int slot, PmonSession *session);
extern bool pmon_read_idle_state(int slot, PmonIdleState *session);
extern bool pmon_read_held_state(int slot, PmonHeldState *session);

/*
 * Read the states of the sessions in 64 places, from first on: states gets an
 * element for each set bit of live.  The caller knows that they are logged in.
 * Nothing but the one word that has the state is read, and its cache line can
 * be asked for some time before.
 */
extern void pmon_prefetch_states(int first, uint64 live);
extern void pmon_read_states(int first, uint64 live, uint8 *states);

/* Ask for the cache lines that pmon_read_held_state() reads. */
extern void pmon_prefetch_held_state(int slot);

/* Since when the session in a place is in its state; a single word likewise */
extern TimestampTz pmon_read_state_change(int slot);

/* The TCP port in an address: -1 for a Unix socket, 0 where there is none */
extern int	pmon_client_port(const SockAddr *address);

/*
 * The text of the query that the backend in a place shows, palloc'd and cut
 * at a character.  NULL when another backend than pid has the place by now.
 */
extern char *pmon_read_query(int slot, int pid);

/*
 * The start of that text and its query ID (0: none), without an allocation: what
 * fits in so many bytes, which may end within a character.  Nothing when
 * another backend than pid has the place by now.
 */
extern void pmon_copy_statement(int slot, int pid, char *copy, int size,
								uint64 *query_id);

/*
 * The start and the end of that text, of half of size bytes each, or all of it where
 * that is no more.  Of a text of more than 16 kB, its end is not looked for.
 * Returns how many bytes there are; and the query ID, as above.
 */
extern int	pmon_copy_statement_ends(int slot, int pid, char *copy, int size,
									 uint64 *query_id);

/*
 * What the PGPROCs know, one element for each of pmon_status_slots(),
 * palloc'd; all zeroes for a place without a backend.
 */
extern PmonProcState *pmon_read_procs(void);

/*
 * For each of pmon_status_slots(), whether the backend in that place holds an
 * advisory lock.  This reads the lock tables as pg_locks does.  pids has the
 * pid of each place, 0 for none.  palloc'd.
 */
extern bool *pmon_read_advisory_locks(const int *pids);

/* Connection slots that ordinary roles can use: at least 1 */
extern int	pmon_ordinary_slots(void);

/* Is no slot available to an ordinary role? */
extern bool pmon_slots_exhausted(void);

#endif							/* PMON_STATUS_ARRAY_H */
