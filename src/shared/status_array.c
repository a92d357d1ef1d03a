/*-------------------------------------------------------------------------
 *
 * status_array.c
 *	  Reads the server's array of backend status entries.
 *
 * Core's own readers copy all entries, with the text of their queries, and
 * look up each one's transaction under a lock.  Here an entry is read in
 * place, with the protocol that backend_status.h describes: note the change
 * count, read, and compare it.
 *
 * Our own entry tells where the array starts.  A process that has none can
 * read it all the same where the library is preloaded, since sessions and the
 * worker leave the address in shared memory, which is mapped at the same one
 * in all processes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "port/pg_bitutils.h"
#include "port/pg_bswap.h"

#include "shared/shared_state.h"
#include "shared/slots.h"
#include "shared/status_array.h"

/* An update takes well under a microsecond unless its process is stopped */
#define READ_ATTEMPTS	100

/* As much of a statement is searched for its end. */
#define MAX_STATEMENT_SEARCHED	(16 * 1024)

static PmonState
translate_state(BackendState state)
{
	switch (state)
	{
		case STATE_IDLE:
			return PMON_STATE_IDLE;
		case STATE_RUNNING:
			return PMON_STATE_ACTIVE;
		case STATE_IDLEINTRANSACTION:
			return PMON_STATE_IDLE_IN_TRANSACTION;
		case STATE_FASTPATH:
			return PMON_STATE_FASTPATH;
		case STATE_IDLEINTRANSACTION_ABORTED:
			return PMON_STATE_IDLE_IN_TRANSACTION_ABORTED;
		case STATE_DISABLED:
			return PMON_STATE_DISABLED;
#ifdef PMON_HAVE_STATE_STARTING
		case STATE_STARTING:
#endif
		case STATE_UNDEFINED:
			break;
	}

	/* not ready for its first statement yet */
	return PMON_STATE_STARTING;
}

int
pmon_status_slots(void)
{
	return MaxBackends;
}

/* The entry at a place in the array */
static PgBackendStatus *
entry_at(int slot)
{
	if (MyBEEntry == NULL)
		return pmon->status_array + slot;
	return MyBEEntry - PmonMySlot() + slot;
}

void
pmon_publish_status_array(void)
{
	if (pmon->status_array == NULL)
		pmon->status_array = entry_at(0);
}

bool
pmon_is_my_slot(int slot)
{
	return MyBEEntry != NULL && slot == PmonMySlot();
}

/* One reading of an entry, in as many attempts as it takes */
typedef struct Reading
{
	volatile PgBackendStatus *entry;
	int			attempts;
	int			before;			/* the count of changes, as it began */
} Reading;

/*
 * To be asked before each attempt to read an entry: is there to be one?  Not any
 * more when it has been read as of one instant, or often enough.
 */
static inline bool
read_again(Reading *reading)
{
	if (reading->attempts > 0)
	{
		int			after;

		pgstat_end_read_activity(reading->entry, after);
		if (pgstat_read_activity_complete(reading->before, after) ||
			reading->attempts == READ_ATTEMPTS)
			return false;
		pg_spin_delay();
	}
	reading->attempts++;
	pgstat_begin_read_activity(reading->entry, reading->before);
	return true;
}

int
pmon_client_port(const SockAddr *address)
{
	switch (address->addr.ss_family)
	{
		case AF_UNIX:
			return -1;
		case AF_INET:
			return pg_ntoh16(((const struct sockaddr_in *) &address->addr)->sin_port);
		case AF_INET6:
			return pg_ntoh16(((const struct sockaddr_in6 *) &address->addr)->sin6_port);
	}
	return 0;
}

/* The login that has a place, but is not ready; its pid, or 0 */
static int
login_pid(int slot)
{
	if (pmon == NULL || PmonGetMembership(slot).group != PMON_NONE)
		return 0;
	return *((volatile int *) &pmon_slots[slot].pid);
}

/*
 * A login has been authenticated, but has no entry in the status array yet, or
 * one without names; it can be kept waiting by a lock on a catalog.  Its role
 * and database are in its PGPROC as soon as they have been looked up.
 */
static bool
read_login(int slot, PmonSession *session)
{
	const PmonSlot *login;
	int			pid = login_pid(slot);

	if (pid == 0)
		return false;
	pg_read_barrier();

	login = &pmon_slots[slot];
	memset(session, 0, sizeof(*session));
	session->slot = slot;
	session->pid = pid;
	session->backend_type = B_BACKEND;
	session->databaseid = *((volatile Oid *) &login->proc->databaseId);
	session->userid = *((volatile Oid *) &login->proc->roleId);
	session->state = PMON_STATE_STARTING;
	session->backend_start = login->backend_start;
	session->client_addr = login->client_addr;
	session->client_port = login->client_port;
	memcpy(session->application_name, login->application_name, NAMEDATALEN);
	session->application_name[NAMEDATALEN - 1] = '\0';
	return true;
}

/* The process that has a place, or 0 */
static int
pid_at(int slot)
{
	int			pid = *((volatile int *) &entry_at(slot)->st_procpid);

	return pid > 0 ? pid : login_pid(slot);
}

/*
 * When the transaction started that the session has to roll back; 0 where that
 * is not known.  Core forgets it, so it takes the preloaded library.
 */
static TimestampTz
failed_xact_start(const PmonSession *session)
{
	if (pmon == NULL || pmon_slots[session->slot].pid != session->pid)
		return 0;
	return (TimestampTz) pg_atomic_read_u64(&pmon_slots[session->slot].failed_xact_start);
}

bool
pmon_read_session(int slot, PmonSession *session)
{
	volatile PgBackendStatus *entry = entry_at(slot);
	Reading		reading = {.entry = entry};
	SockAddr	client_addr;

	while (read_again(&reading))
	{
		session->pid = entry->st_procpid;
		if (session->pid <= 0)
			return read_login(slot, session);
		session->backend_type = entry->st_backendType;
		session->databaseid = entry->st_databaseid;
		session->userid = entry->st_userid;
		session->state = translate_state(entry->st_state);
		session->backend_start = entry->st_proc_start_timestamp;
		session->xact_start = entry->st_xact_start_timestamp;
		session->query_start = entry->st_activity_start_timestamp;
		session->state_change = entry->st_state_start_timestamp;
		session->query_id = (uint64) entry->st_query_id;
		client_addr = unvolatize(PgBackendStatus *, entry)->st_clientaddr;
		memcpy(session->application_name, entry->st_appname, NAMEDATALEN);
	}

	session->slot = slot;
	session->application_name[NAMEDATALEN - 1] = '\0';
	pmon_client_from_sockaddr(&client_addr.addr, &session->client_addr);
	session->client_port = pmon_client_port(&client_addr);

	if (session->state == PMON_STATE_STARTING && !OidIsValid(session->userid))
		(void) read_login(slot, session);
	if (session->state == PMON_STATE_IDLE_IN_TRANSACTION_ABORTED &&
		session->xact_start == 0)
		session->xact_start = failed_xact_start(session);

	/* a walsender's transaction start is not kept up to date */
	if (session->backend_type == B_WAL_SENDER)
		session->xact_start = 0;
	return true;
}

bool
pmon_read_idle_state(int slot, PmonIdleState *session)
{
	volatile PgBackendStatus *entry = entry_at(slot);
	Reading		reading = {.entry = entry};

	while (read_again(&reading))
	{
		session->pid = entry->st_procpid;
		if (session->pid <= 0)
			return false;
		session->state = translate_state(entry->st_state);
		session->backend_start = entry->st_proc_start_timestamp;
		session->state_change = entry->st_state_start_timestamp;
		memcpy(session->application_name, entry->st_appname, NAMEDATALEN);
	}

	session->application_name[NAMEDATALEN - 1] = '\0';
	return true;
}

bool
pmon_read_held_state(int slot, PmonHeldState *session)
{
	volatile PgBackendStatus *entry = entry_at(slot);
	Reading		reading = {.entry = entry};

	while (read_again(&reading))
	{
		session->pid = entry->st_procpid;
		if (session->pid <= 0)
			return false;
		session->databaseid = entry->st_databaseid;
		session->userid = entry->st_userid;
		session->query_id = (uint64) entry->st_query_id;
		session->backend_start = entry->st_proc_start_timestamp;
		session->xact_start = entry->st_xact_start_timestamp;
		session->query_start = entry->st_activity_start_timestamp;
		session->state_change = entry->st_state_start_timestamp;
	}

	return true;
}

void
pmon_prefetch_states(int first, uint64 live)
{
	PgBackendStatus *entries = entry_at(first);

	for (; live != 0; live &= live - 1)
		PmonPrefetch(&entries[pg_rightmost_one_pos64(live)].st_state);
}

/*
 * A single word is never torn, so that the change count, which is in another
 * cache line, has nothing to tell.
 */
void
pmon_read_states(int first, uint64 live, uint8 *states)
{
	volatile PgBackendStatus *entries = entry_at(first);

	for (; live != 0; live &= live - 1)
	{
		int			i = pg_rightmost_one_pos64(live);

		states[i] = translate_state(entries[i].st_state);
	}
}

void
pmon_prefetch_held_state(int slot)
{
	PgBackendStatus *entry = entry_at(slot);

	PmonPrefetch(&entry->st_changecount);
	PmonPrefetch(&entry->st_userid);
	PmonPrefetch(&entry->st_query_id);
}

TimestampTz
pmon_read_state_change(int slot)
{
	return entry_at(slot)->st_state_start_timestamp;
}

char *
pmon_read_query(int slot, int pid)
{
	volatile PgBackendStatus *entry = entry_at(slot);
	char	   *raw = palloc(pgstat_track_activity_query_size);
	char	   *query;
	Reading		reading = {.entry = entry};
	size_t		length = 0;

	while (read_again(&reading))
	{
		if (entry->st_procpid != pid)
		{
			pfree(raw);
			return NULL;
		}
		/* what follows the text is not of interest, and is most of it */
		length = strnlen(entry->st_activity_raw, pgstat_track_activity_query_size - 1);
		memcpy(raw, entry->st_activity_raw, length);
	}

	raw[length] = '\0';

	/* only one that fills its room may have been cut, within a character */
	if (length < pgstat_track_activity_query_size - 1)
		return raw;
	query = pgstat_clip_activity(raw);
	pfree(raw);
	return query;
}

void
pmon_copy_statement(int slot, int pid, char *copy, int size, uint64 *query_id)
{
	volatile PgBackendStatus *entry = entry_at(slot);
	Reading		reading = {.entry = entry};
	bool		is_same;

	while (read_again(&reading))
	{
		is_same = entry->st_procpid == pid;
		*query_id = is_same ? (uint64) entry->st_query_id : 0;
		copy[0] = '\0';

		if (is_same)
		{
			size_t		length = strnlen(entry->st_activity_raw, size - 1);

			memcpy(copy, entry->st_activity_raw, length);
			copy[length] = '\0';
		}
	}
}

int
pmon_copy_statement_ends(int slot, int pid, char *copy, int size, uint64 *query_id)
{
	volatile PgBackendStatus *entry = entry_at(slot);
	int			most = Min(pgstat_track_activity_query_size, MAX_STATEMENT_SEARCHED) - 1;
	int			half = size / 2;
	Reading		reading = {.entry = entry};
	int			length = 0;

	while (read_again(&reading))
	{
		const char *statement = entry->st_activity_raw;

		length = 0;
		*query_id = 0;
		if (entry->st_procpid == pid)
		{
			length = (int) strnlen(statement, most);
			*query_id = (uint64) entry->st_query_id;
		}
		if (length <= size)
			memcpy(copy, statement, length);
		else
		{
			memcpy(copy, statement, half);
			memcpy(copy + half, statement + length - half, half);
		}
	}

	return Min(length, size);
}

static void
read_proc(PGPROC *proc, PmonProcState *state)
{
	state->wait_event_info = *((volatile uint32 *) &proc->wait_event_info);
	state->xmin = *((volatile TransactionId *) &proc->xmin);
}

PmonProcState *
pmon_read_procs(void)
{
	int			slots = pmon_status_slots();
	PmonProcState *states = palloc0(sizeof(PmonProcState) * slots);

#ifdef PMON_SLOT_IS_PROC_NUMBER
	for (int i = 0; i < slots; i++)
	{
		if (pid_at(i) > 0)
			read_proc(GetPGProcByNumber(i), &states[i]);
	}
#else
	for (int i = 0; i < ProcGlobal->allProcCount; i++)
	{
		PGPROC	   *proc = &ProcGlobal->allProcs[i];
		int			slot = PmonProcSlot(proc);

		/* a PGPROC that is free keeps its pid, but not its slot */
		if (slot >= 0 && slot < slots && pid_at(slot) == proc->pid)
			read_proc(proc, &states[slot]);
	}
#endif

	return states;
}

/* Sort pids, and find the place of one. */
typedef struct PidSlot
{
	int			pid;
	int			slot;
} PidSlot;

static int
compare_pids(const void *a, const void *b)
{
	int			left = ((const PidSlot *) a)->pid;
	int			right = ((const PidSlot *) b)->pid;

	return (left > right) - (left < right);
}

/* The places of pids, sorted by pid, palloc'd; *npids says how many. */
static PidSlot *
sort_pids(const int *pids, int *npids)
{
	int			slots = pmon_status_slots();
	PidSlot    *sorted = palloc(sizeof(PidSlot) * slots);

	*npids = 0;
	for (int i = 0; i < slots; i++)
	{
		if (pids[i] != 0)
		{
			sorted[*npids].pid = pids[i];
			sorted[(*npids)++].slot = i;
		}
	}
	qsort(sorted, *npids, sizeof(PidSlot), compare_pids);
	return sorted;
}

bool *
pmon_read_advisory_locks(const int *pids)
{
	bool	   *holds = palloc0(sizeof(bool) * pmon_status_slots());
	LockData   *data = GetLockStatusData();
	int			npids;
	PidSlot    *sorted = sort_pids(pids, &npids);

	for (int i = 0; i < data->nelements; i++)
	{
		LockInstanceData *lock = &data->locks[i];
		PidSlot		wanted = {lock->pid, 0};
		const PidSlot *found;

		if (lock->locktag.locktag_type != LOCKTAG_ADVISORY || lock->holdMask == 0)
			continue;
		found = bsearch(&wanted, sorted, npids, sizeof(PidSlot), compare_pids);
		if (found != NULL)
			holds[found->slot] = true;
	}
	return holds;
}

int
pmon_ordinary_slots(void)
{
	return Max(MaxConnections - PmonReservedSlots(), 1);
}

bool
pmon_slots_exhausted(void)
{
	/* a login takes one slot, and must then leave the reserved ones free */
	return !PmonHaveFreeSlots(PmonReservedSlots() + 1);
}
