/*-------------------------------------------------------------------------
 *
 * holders.c
 *	  Who held the connections at one moment.
 *
 * Each session starts as a holder of its own; those with the same key are then
 * merged.  Sorted by application, they tell which one holds most; sorted by how
 * many they are, which ones are kept.
 *
 * The lock manager allocates what it tells, and may raise an error where there
 * is no memory.  An incident is worth more than its locks: it is then recorded
 * without them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "shared/groups.h"
#include "shared/holders.h"
#include "shared/rejections.h"

/* Later than that, the locks are not those of the snapshot any more. */
#define LOCKS_CHANGE_AFTER	(1 * USECS_PER_SEC)

/* A holder while it is collected, and the session that stands for it */
typedef struct Collected
{
	PmonHolder	holder;
	const PmonSeenSession *seen;
	PmonBlocking blocking;
} Collected;

static Collected *collected;	/* room for every backend */
static PmonSessionSnapshot *own_snapshot;
static MemoryContext lock_context;

void
pmon_holders_init(void)
{
	collected = palloc(sizeof(Collected) * pmon_status_slots());
	own_snapshot = palloc_extended(pmon_session_snapshot_size(), MCXT_ALLOC_HUGE);
	lock_context = AllocSetContextCreate(CurrentMemoryContext,
										 "pool_monitor holders",
										 ALLOCSET_DEFAULT_SIZES);
}

/* The older of two times, where 0 is none */
static TimestampTz
older(TimestampTz a, TimestampTz b)
{
	if (a == 0 || b == 0)
		return Max(a, b);
	return Min(a, b);
}

static int
compare_keys(const void *a, const void *b)
{
	return memcmp(&((const Collected *) a)->holder, &((const Collected *) b)->holder,
				  offsetof(PmonHolder, connections));
}

static int
compare_connections(const void *a, const void *b)
{
	int			left = ((const Collected *) a)->holder.connections;
	int			right = ((const Collected *) b)->holder.connections;

	if (left != right)
		return left > right ? -1 : 1;
	return compare_keys(a, b);
}

static int
compare_applications(const void *a, const void *b)
{
	return strcmp(((const Collected *) a)->holder.application_name,
				  ((const Collected *) b)->holder.application_name);
}

/* Does a session say more of its row than another one? */
static bool
says_more(const Collected *a, const Collected *b)
{
	const PmonSession *left = &a->seen->session;
	const PmonSession *right = &b->seen->session;

	if (a->blocking.blocks != b->blocking.blocks)
		return a->blocking.blocks > b->blocking.blocks;
	if (left->xact_start != right->xact_start)
		return left->xact_start != 0 &&
			older(left->xact_start, right->xact_start) == left->xact_start;
	return left->state_change < right->state_change;
}

/*
 * Read who waits for whom, in a context of its own, since the worker lives for
 * long.  Nobody, where there is no memory: that is logged.
 */
static PmonLockWaits *
read_waits(bool *known)
{
	MemoryContext oldcontext = CurrentMemoryContext;
	PmonLockWaits *volatile waits = NULL;
	volatile bool failed = false;

	PG_TRY();
	{
		MemoryContextSwitchTo(lock_context);
		waits = pmon_read_lock_waits();
	}
	PG_CATCH();
	{
		/* the worker has no other lock here */
		LWLockReleaseAll();
		EmitErrorReport();
		FlushErrorState();
		failed = true;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(oldcontext);
	*known = !failed;
	return failed ? NULL : waits;
}

/* Is the session still there that was seen? */
static bool
is_still_there(const PmonSeenSession *seen)
{
	PmonSession now;

	return pmon_read_session(seen->session.slot, &now) &&
		now.pid == seen->session.pid;
}

static PmonBlocking
blocking_of(const PmonSeenSession *seen, const PmonLockWaits *waits, bool known)
{
	if (known && is_still_there(seen))
		return pmon_blocking(waits, seen->session.pid);
	return (PmonBlocking)
	{
		.blocks = PMON_BLOCKS_UNKNOWN,
			.blocked_by = PMON_BLOCKED_BY_NOBODY
	};
}

/* Each session as a holder of its own.  Returns their number. */
static int
collect_sessions(const PmonSessionSnapshot *snapshot, const PmonLockWaits *waits,
				 bool known)
{
	int			n = 0;

	for (int i = 0; i < pmon_status_slots(); i++)
	{
		const PmonSeenSession *seen = &snapshot->sessions[i];
		PmonHolder *holder = &collected[n].holder;

		if (seen->session.pid == 0)
			continue;

		/* padding is compared too */
		memset(holder, 0, sizeof(*holder));
		holder->databaseid = seen->session.databaseid;
		holder->userid = seen->session.userid;
		holder->state = seen->session.state;
		holder->client_addr = seen->session.client_addr;
		namestrcpy((Name) holder->application_name, seen->session.application_name);
		holder->connections = 1;
		holder->session = PMON_NONE;
		holder->oldest_state = seen->session.state_change;
		holder->oldest_transaction = seen->session.xact_start;
		collected[n].seen = seen;
		collected[n].blocking = blocking_of(seen, waits, known);
		n++;
	}
	return n;
}

static void
add_holder(Collected *to, const Collected *more)
{
	to->holder.connections += more->holder.connections;
	to->holder.oldest_state = older(to->holder.oldest_state, more->holder.oldest_state);
	to->holder.oldest_transaction = older(to->holder.oldest_transaction,
										  more->holder.oldest_transaction);
	if (says_more(more, to))
	{
		to->seen = more->seen;
		to->blocking = more->blocking;
	}
}

/* Find the application that holds most. */
static void
find_top_application(int n, PmonTopApplication *top)
{
	memset(top, 0, sizeof(*top));
	qsort(collected, n, sizeof(Collected), compare_applications);
	for (int start = 0; start < n;)
	{
		int			held = 0;
		int			i = start;

		for (; i < n && compare_applications(&collected[start], &collected[i]) == 0; i++)
			held += collected[i].holder.connections;
		if (held > top->connections)
		{
			top->connections = held;
			namestrcpy((Name) top->application_name,
					   collected[start].holder.application_name);
		}
		start = i;
	}
}

/* Merge those that have the same key.  Returns how many are left. */
static int
merge_sessions(int n)
{
	int			merged = 0;

	qsort(collected, n, sizeof(Collected), compare_keys);
	for (int i = 0; i < n; i++)
	{
		if (merged > 0 && compare_keys(&collected[merged - 1], &collected[i]) == 0)
			add_holder(&collected[merged - 1], &collected[i]);
		else
			collected[merged++] = collected[i];
	}
	return merged;
}

/* Fold those that are too many into the last place.  Returns how many are left. */
static int
fold_smallest(int n)
{
	Collected  *other = &collected[PMON_MAX_HOLDERS - 1];
	PmonHolder *holder = &other->holder;

	if (n <= PMON_MAX_HOLDERS)
		return n;
	for (int i = PMON_MAX_HOLDERS; i < n; i++)
		add_holder(other, &collected[i]);
	holder->databaseid = holder->userid = InvalidOid;
	holder->state = PMON_STATE_STARTING;
	memset(&holder->client_addr, 0, sizeof(holder->client_addr));
	memset(holder->application_name, 0, sizeof(holder->application_name));
	namestrcpy((Name) holder->application_name, PMON_OTHER_APPLICATION);
	return PMON_MAX_HOLDERS;
}

/* By how many wait for them; then by their places, which are by size */
static int
compare_blocks(const void *a, const void *b)
{
	int			left = *(const int *) a;
	int			right = *(const int *) b;

	if (collected[left].blocking.blocks != collected[right].blocking.blocks)
		return collected[left].blocking.blocks > collected[right].blocking.blocks ? -1 : 1;
	return left - right;
}

static void
copy_name(char *copy, const char *name, int size)
{
	snprintf(copy, size, "%s", name != NULL ? name : "");
}

/* Tell of the sessions that matter most. */
static void
add_sessions(PmonHolders *holders)
{
	int			order[PMON_MAX_HOLDERS];

	for (int i = 0; i < holders->nholders; i++)
		order[i] = i;
	qsort(order, holders->nholders, sizeof(int), compare_blocks);

	for (int i = 0; i < Min(holders->nholders, PMON_MAX_HOLDER_SESSIONS); i++)
	{
		const Collected *from = &collected[order[i]];
		PmonHolderSession *session = &holders->sessions[i];
		uint32		wait_event_info = from->seen->wait_event_info;

		holders->holders[order[i]].session = i;
		session->pid = from->seen->session.pid;
		session->blocks = from->blocking.blocks;
		session->blocked_by = from->blocking.blocked_by;
		session->query_id = from->seen->query_id;
		copy_name(session->wait_event_type,
				  pgstat_get_wait_event_type(wait_event_info), PMON_WAIT_TYPE_BYTES);
		copy_name(session->wait_event, pgstat_get_wait_event(wait_event_info), NAMEDATALEN);
		memcpy(session->tags, from->seen->tags, PMON_TAGS_LEN);
		memcpy(session->statement, from->seen->statement, PMON_STATEMENT_BYTES);
		session->statement[PMON_STATEMENT_BYTES - 1] = '\0';
		pmon_drop_half_character(session->statement, PMON_STATEMENT_BYTES);
	}
}

void
pmon_make_holders(const PmonSessionSnapshot *snapshot, PmonHolders *holders,
				  PmonTopApplication *top)
{
	bool		known = GetCurrentTimestamp() - snapshot->taken_at < LOCKS_CHANGE_AFTER;
	PmonLockWaits *waits = known ? read_waits(&known) : NULL;
	int			n = collect_sessions(snapshot, waits, known);

	MemoryContextReset(lock_context);
	memset(holders, 0, sizeof(*holders));
	holders->taken_at = snapshot->taken_at;
	holders->connections = n;
	n = merge_sessions(n);
	find_top_application(n, top);
	qsort(collected, n, sizeof(Collected), compare_connections);
	holders->nholders = fold_smallest(n);
	for (int i = 0; i < holders->nholders; i++)
		holders->holders[i] = collected[i].holder;
	add_sessions(holders);
}

void
pmon_collect_holders(PmonHolders *holders, PmonTopApplication *top)
{
	pmon_take_session_snapshot(own_snapshot);
	pmon_make_holders(own_snapshot, holders, top);
}
