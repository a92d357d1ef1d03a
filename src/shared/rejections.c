/*-------------------------------------------------------------------------
 *
 * rejections.c
 *	  Logins that the server refused with SQLSTATE 53300: counted exactly.
 *
 * Every such login passes emit_log_hook on its way out.  Many of the
 * processes that it happens in have no PGPROC: there was none left, or the
 * postmaster forked them only to say no.  Such a process may not take an
 * LWLock (if it had to wait, that would be a PANIC) nor a spinlock, and may
 * be gone at any moment.  So it counts with atomics, and leaves the names in
 * a queue that needs no lock:
 *
 * - A writer draws the next position p, by compare-and-exchange, unless the
 *	 queue is full.  Entry p modulo the size is then its own, in state FREE(p);
 *	 it makes that WRITING(p, r), with the reason r, and READY(p, r) when the
 *	 names are in it.  Where the queue is full, or too many others draw at
 *	 once, the rejection counts as dropped: it is in the totals, under
 *	 "<other>".
 * - The reader, under PmonLock(), takes the entries in the order of their
 *	 positions, and makes each FREE for the next round.  An entry that is not
 *	 READY belongs to a writer that is still at it, or is dead.  After a
 *	 second it is passed over, by compare-and-exchange; one in state WRITING
 *	 counts as dropped then.
 * - A writer that finds its entry passed over does no more if that was in
 *	 state WRITING, since the reader has counted it; if it was FREE, nobody
 *	 has, and the writer counts the rejection as dropped.
 *
 * So a rejection is counted by one step: FREE to WRITING, or dropped.  Whoever
 * dies before that has not been counted, nor named; whoever dies after it has
 * been, for good.  The totals add up what is named, dropped, and in the queue.
 * No writer ever waits, or tries more than a few times.  What can go wrong is
 * only whose name a rejection stands under.
 *
 * The reasons are told apart by the untranslated message.  A client that is
 * refused before it is authenticated chooses the names that we store, so the
 * number of different ones is bounded: when there are more, the one that was
 * refused least recently joins "<other>".
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "libpq/libpq.h"
#include "mb/pg_wchar.h"
#include "storage/pg_shmem.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "shared/groups.h"
#include "shared/rejections.h"
#include "shared/start_snapshot.h"

#define DRAW_ATTEMPTS		100
#define PASS_OVER_AFTER		INT64CONST(1000000) /* microseconds */

/* The worker looks so long after a rejection, which need not wake it then */
#define WAKE_AGAIN_AFTER	INT64CONST(1000000)

/* A limit is news again when nobody was refused for it for so long */
#define LIMIT_PAUSE			(10 * 60 * USECS_PER_SEC)
#define LIMITS_AT_ONCE		32

/* The states of an entry for position p and reason r; positions start at 0 */
#define STATES				(1 + 2 * PMON_REJECT_REASONS)
#define FREE(p)				((uint64) (p) * STATES)
#define WRITING(p, r)		(FREE(p) + 1 + (r))
#define READY(p, r)			(FREE(p) + 1 + PMON_REJECT_REASONS + (r))

/* The reason of a state that is of this position and not FREE, or -1 */
#define REASON(state, p) \
	((state) > FREE(p) && (state) < FREE((p) + 1) ? \
	 (int) (((state) - FREE(p) - 1) % PMON_REJECT_REASONS) : -1)

typedef struct RejectionHashEntry
{
	PmonRejectionKey key;
	int			place;
} RejectionHashEntry;

StaticAssertDecl(sizeof(RejectionHashEntry) == sizeof(PmonRejectionKey) + sizeof(int),
				 "an entry is a key and a place, without padding");

const char *const pmon_reject_reason_names[PMON_REJECT_REASONS] = {
	"too_many_clients",
	"reserved_slots",
	"database_limit",
	"role_limit"
};

PmonRejection *pmon_rejections = NULL;
PmonRejectionQueue *pmon_queue = NULL;

static HTAB *rejection_hash = NULL;

static emit_log_hook_type prev_emit_log_hook = NULL;

/*
 * Why the server says no, or -1 where the error is none of ours.
 */
static int
reject_reason(const ErrorData *edata)
{
	static const struct
	{
		const char *start;
		PmonRejectReason reason;
	}			messages[] =
	{
		{"sorry, too many clients already", PMON_REJECT_TOO_MANY_CLIENTS},
		{"remaining connection slots are reserved", PMON_REJECT_RESERVED_SLOTS},
		{"too many connections for database", PMON_REJECT_DATABASE_LIMIT},
		{"too many connections for role", PMON_REJECT_ROLE_LIMIT}
	};

	if (edata->message_id == NULL)
		return -1;
	for (int i = 0; i < lengthof(messages); i++)
	{
		if (strncmp(edata->message_id, messages[i].start,
					strlen(messages[i].start)) == 0)
			return messages[i].reason;
	}
	return -1;
}

/* Fill in a key; names are cut to what fits, and may be NULL. */
static void
set_key(PmonRejectionKey *key, const char *datname, const char *usename,
		const char *application_name, PmonRejectReason reason)
{
	namestrcpy((Name) key->datname, datname != NULL ? datname : "");
	namestrcpy((Name) key->usename, usename != NULL ? usename : "");
	namestrcpy((Name) key->application_name,
			   application_name != NULL ? application_name : "");
	key->reason = reason;
}

/*
 * Draw a position in the queue.  Returns false where there is none to be had.
 */
static bool
draw_position(uint64 *position)
{
	for (int i = 0; i < DRAW_ATTEMPTS; i++)
	{
		/* in this order: the other way round, next could be behind folded */
		uint64		folded = pg_atomic_read_u64(&pmon_queue->folded);
		uint64		next;

		pg_read_barrier();
		next = pg_atomic_read_u64(&pmon_queue->next);
		if (next - folded >= PMON_QUEUE_SIZE)
			return false;
		if (pg_atomic_compare_exchange_u64(&pmon_queue->next, &next, next + 1))
		{
			*position = next;
			return true;
		}
	}

	return false;
}

/*
 * Leave a rejection in the queue, which counts it.  Returns false where that
 * was not possible.
 */
static bool
enqueue(const Port *port, PmonRejectReason reason, TimestampTz now)
{
	PmonQueuedRejection *entry;
	uint64		position;
	uint64		expected;

	if (!draw_position(&position))
		return false;

	entry = &pmon_queue->entries[position % PMON_QUEUE_SIZE];
	expected = FREE(position);
	if (!pg_atomic_compare_exchange_u64(&entry->state, &expected,
										WRITING(position, reason)))
		return false;

	set_key(&entry->key, port->database_name, port->user_name,
			port->application_name, reason);
	entry->at = now;

	/*
	 * A full barrier, so the names are there before the state says so.  Where
	 * it fails, the reader has counted the rejection.
	 */
	expected = WRITING(position, reason);
	pg_atomic_compare_exchange_u64(&entry->state, &expected,
								   READY(position, reason));
	return true;
}

/*
 * Wake the worker, unless it was woken within the last second: it looks again a
 * second after a rejection, so that a storm of them does not wake it for each.  A
 * queue that fills up must not wait for that.
 */
static void
wake_worker(TimestampTz now)
{
	Latch	   *worker_latch = pmon->worker_latch;
	int64		since = now - (TimestampTz) pg_atomic_read_u64(&pmon_queue->woken_at);
	uint64		folded = pg_atomic_read_u64(&pmon_queue->folded);

	if (worker_latch == NULL ||
		(since >= 0 && since < WAKE_AGAIN_AFTER &&
		 pg_atomic_read_u64(&pmon_queue->next) - folded < PMON_QUEUE_SIZE / 8))
		return;
	pg_atomic_write_u64(&pmon_queue->woken_at, (uint64) now);
	SetLatch(worker_latch);
}

bool
pmon_rejections_go_on(void)
{
	int64		since = GetCurrentTimestamp() - pmon_last_rejected_at();

	return since > -2 * WAKE_AGAIN_AFTER && since < 2 * WAKE_AGAIN_AFTER;
}

static void
count_rejection(const Port *port, PmonRejectReason reason)
{
	TimestampTz now = GetCurrentTimestamp();

	/* first, so that who hears of the rejection finds it */
	if (reason < PMON_SERVER_REJECT_REASONS)
		pmon_take_start_snapshot();

	pg_atomic_fetch_add_u64(&pmon_queue->ever[reason], 1);
	pg_atomic_write_u64(&pmon_queue->last_at, (uint64) now);
	if (!enqueue(port, reason, now))
		pg_atomic_fetch_add_u64(&pmon_queue->dropped[reason], 1);

	wake_worker(now);
}

static void
pmon_emit_log_hook(ErrorData *edata)
{
	if (edata->sqlerrcode == ERRCODE_TOO_MANY_CONNECTIONS &&
		edata->elevel == FATAL &&
		pmon != NULL && UsedShmemSegAddr != NULL &&
		MyProcPort != NULL && !am_walsender)
	{
		int			reason = reject_reason(edata);

		if (reason >= 0)
			count_rejection(MyProcPort, reason);
	}

	if (prev_emit_log_hook)
		prev_emit_log_hook(edata);
}

void
pmon_install_rejection_hook(void)
{
	prev_emit_log_hook = emit_log_hook;
	emit_log_hook = pmon_emit_log_hook;
}

static void
init_queue(void)
{
	pg_atomic_init_u64(&pmon_queue->next, 0);
	pg_atomic_init_u64(&pmon_queue->folded, 0);
	pg_atomic_init_u64(&pmon_queue->last_at, 0);
	pg_atomic_init_u64(&pmon_queue->woken_at, 0);
	for (int i = 0; i < PMON_REJECT_REASONS; i++)
	{
		pg_atomic_init_u64(&pmon_queue->ever[i], 0);
		pg_atomic_init_u64(&pmon_queue->dropped[i], 0);
	}
	for (int i = 0; i < PMON_QUEUE_SIZE; i++)
		pg_atomic_init_u64(&pmon_queue->entries[i].state, FREE(i));
}

void
pmon_request_rejections(void)
{
	pmon_request_part((void **) &pmon_rejections,
					  sizeof(PmonRejection) * PMON_MAX_REJECTIONS, NULL);
	pmon_request_part((void **) &pmon_queue, sizeof(PmonRejectionQueue), init_queue);
	pmon_request_hash(&rejection_hash, "pool_monitor rejections",
					  PMON_MAX_REJECTIONS, sizeof(PmonRejectionKey));
}

/* Take a rejection away, with what was counted under its name. */
static void
remove_rejection(PmonRejection *rejection)
{
	pmon_queue->named[rejection->key.reason] -= rejection->rejected;
	hash_search(rejection_hash, &rejection->key, HASH_REMOVE, NULL);
	rejection->in_use = false;
	pmon_queue->nrejections--;
	if (rejection->news)
		pmon_queue->nnews--;
	rejection->news = false;
}

/* Make room by counting the least recent rejection as dropped. */
static void
evict_rejection(void)
{
	int			oldest = 0;
	PmonRejection *rejection;

	for (int i = 1; i < PMON_MAX_REJECTIONS; i++)
	{
		if (pmon_rejections[i].last_at < pmon_rejections[oldest].last_at)
			oldest = i;
	}

	rejection = &pmon_rejections[oldest];
	pg_atomic_fetch_add_u64(&pmon_queue->dropped[rejection->key.reason],
							rejection->rejected);
	remove_rejection(rejection);
}

/*
 * Count rejections under their names.  Wants PmonLock() exclusively, but at
 * server start, when nobody else is there.
 */
static void
add_rejections(const PmonRejectionKey *key, uint64 rejected, TimestampTz at)
{
	RejectionHashEntry *entry;
	PmonRejection *rejection;
	int			place = 0;

	Assert(!IsUnderPostmaster || LWLockHeldByMeInMode(PmonLock(), LW_EXCLUSIVE));
	entry = hash_search(rejection_hash, key, HASH_FIND, NULL);
	if (entry == NULL)
	{
		if (pmon_queue->nrejections == PMON_MAX_REJECTIONS)
			evict_rejection();
		while (pmon_rejections[place].in_use)
			place++;
		entry = hash_search(rejection_hash, key, HASH_ENTER, NULL);
		entry->place = place;

		rejection = &pmon_rejections[place];
		memset(rejection, 0, sizeof(*rejection));
		rejection->key = *key;
		rejection->in_use = true;
		pmon_queue->nrejections++;
	}

	rejection = &pmon_rejections[entry->place];
	rejection->rejected += rejected;
	pmon_queue->named[key->reason] += rejected;
	rejection->last_at = Max(rejection->last_at, at);
}

/* The role or the database whose limit a rejection is about, or NULL */
static const char *
limited_name(const PmonRejectionKey *key)
{
	switch (key->reason)
	{
		case PMON_REJECT_ROLE_LIMIT:
			return key->usename;
		case PMON_REJECT_DATABASE_LIMIT:
			return key->datname;
		default:
			return NULL;
	}
}

/*
 * Has this limit not been reached for long?  Wants the lock.  Whatever names a
 * client makes up, this is about one that the server knows.
 */
static bool
is_news(const PmonRejectionKey *key, TimestampTz at)
{
	const char *name = limited_name(key);

	Assert(LWLockHeldByMe(PmonLock()));
	if (name == NULL)
		return false;
	for (int i = 0; i < PMON_MAX_REJECTIONS; i++)
	{
		const PmonRejection *other = &pmon_rejections[i];

		if (other->in_use && other->key.reason == key->reason &&
			at - other->last_at < LIMIT_PAUSE &&
			strcmp(limited_name(&other->key), name) == 0)
			return false;
	}
	return true;
}

static void
mark_news(const PmonRejectionKey *key)
{
	RejectionHashEntry *entry = hash_search(rejection_hash, key, HASH_FIND, NULL);

	if (!pmon_rejections[entry->place].news)
		pmon_queue->nnews++;
	pmon_rejections[entry->place].news = true;
}

static void
log_limit(const PmonRejectionKey *key)
{
	ereport(LOG,
			(key->reason == PMON_REJECT_ROLE_LIMIT ?
			 errmsg("role \"%s\" has reached its connection limit", key->usename) :
			 errmsg("database \"%s\" has reached its connection limit", key->datname),
			 errdetail("A login of role \"%s\" to database \"%s\" as application \"%s\" was refused.",
					   key->usename, key->datname, key->application_name)));
}

void
pmon_log_limits(void)
{
	PmonRejectionKey keys[LIMITS_AT_ONCE];
	int			n = 0;

	if (*((volatile int *) &pmon_queue->nnews) == 0)
		return;

	LWLockAcquire(PmonLock(), LW_EXCLUSIVE);
	for (int i = 0; i < PMON_MAX_REJECTIONS && n < LIMITS_AT_ONCE; i++)
	{
		if (!pmon_rejections[i].news)
			continue;
		keys[n++] = pmon_rejections[i].key;
		pmon_rejections[i].news = false;
		pmon_queue->nnews--;
	}
	LWLockRelease(PmonLock());

	for (int i = 0; i < n; i++)
		log_limit(&keys[i]);
}

void
pmon_drop_half_character(char *string, int size)
{
	int			length = strlen(string);
	int			bytes;

	if (length < size - 1)
		return;
	for (int i = 0; i < length; i += bytes)
	{
		bytes = pg_encoding_mblen(PG_UTF8, string + i);
		if (i + bytes > length)
			string[i] = '\0';
	}
}

/*
 * What a writer left.  Should two writers ever have been at one entry, the
 * names can be a mixture, so trust neither the terminators nor the reason in it.
 */
static void
take_entry(const PmonQueuedRejection *entry, PmonRejectReason reason)
{
	PmonRejectionKey key;
	bool		news;

	memcpy(&key, &entry->key, sizeof(key));
	key.datname[NAMEDATALEN - 1] = '\0';
	key.usename[NAMEDATALEN - 1] = '\0';
	key.application_name[NAMEDATALEN - 1] = '\0';
	pmon_drop_half_character(key.datname, NAMEDATALEN);
	pmon_drop_half_character(key.usename, NAMEDATALEN);
	pmon_drop_half_character(key.application_name, NAMEDATALEN);
	key.reason = reason;
	news = is_news(&key, entry->at);
	add_rejections(&key, 1, entry->at);
	if (news)
		mark_news(&key);
}

/* Has the entry that is next in line been unpublished for too long? */
static bool
pass_over(TimestampTz now)
{
	/* the clock may have been set back */
	if (pmon_queue->stuck_since == 0 || pmon_queue->stuck_since > now)
		pmon_queue->stuck_since = now;
	return now - pmon_queue->stuck_since > PASS_OVER_AFTER;
}

/*
 * Take the entry of a position, or pass it over; and free it for the next
 * round.  Returns false where its writer has some more time.
 */
static bool
fold_entry(uint64 position)
{
	PmonQueuedRejection *entry = &pmon_queue->entries[position % PMON_QUEUE_SIZE];
	uint64		state = pg_atomic_read_u64(&entry->state);
	int			reason = REASON(state, position);

	pg_read_barrier();
	if (reason >= 0 && state == READY(position, reason))
	{
		take_entry(entry, reason);
		pg_memory_barrier();
		pg_atomic_write_u64(&entry->state, FREE(position + PMON_QUEUE_SIZE));
		return true;
	}

	/* where its writer is faster than we are, it is for the next time */
	if (!pass_over(GetCurrentTimestamp()) ||
		!pg_atomic_compare_exchange_u64(&entry->state, &state,
										FREE(position + PMON_QUEUE_SIZE)))
		return false;
	if (reason >= 0)
		pg_atomic_fetch_add_u64(&pmon_queue->dropped[reason], 1);
	return true;
}

/*
 * Take the entries that are published, in their order.  Wants PmonLock()
 * exclusively.
 */
static void
fold_queue(void)
{
	uint64		position = pg_atomic_read_u64(&pmon_queue->folded);
	uint64		end = pg_atomic_read_u64(&pmon_queue->next);

	Assert(LWLockHeldByMeInMode(PmonLock(), LW_EXCLUSIVE));
	for (; position < end && fold_entry(position); position++)
	{
		/* the entry is free before a writer can draw it again */
		pg_write_barrier();
		pg_atomic_write_u64(&pmon_queue->folded, position + 1);
		pmon_queue->stuck_since = 0;
	}
}

void
pmon_fold_rejections(void)
{
	if (pg_atomic_read_u64(&pmon_queue->next) ==
		pg_atomic_read_u64(&pmon_queue->folded))
		return;

	LWLockAcquire(PmonLock(), LW_EXCLUSIVE);
	fold_queue();
	LWLockRelease(PmonLock());
}

void
pmon_restore_rejection(const PmonRejection *saved)
{
	PmonRejectionKey key;

	set_key(&key, saved->key.datname, saved->key.usename,
			saved->key.application_name, saved->key.reason);
	if (key.reason >= 0 && key.reason < PMON_REJECT_REASONS)
		add_rejections(&key, saved->rejected, saved->last_at);
}

void
pmon_count_rejected(uint64 *rejected)
{
	uint64		position = pg_atomic_read_u64(&pmon_queue->folded);
	uint64		end = pg_atomic_read_u64(&pmon_queue->next);

	Assert(LWLockHeldByMe(PmonLock()));
	for (int i = 0; i < PMON_REJECT_REASONS; i++)
		rejected[i] = pmon_queue->named[i] + pg_atomic_read_u64(&pmon_queue->dropped[i]);
	for (; position < end; position++)
	{
		uint64		state = pg_atomic_read_u64(&pmon_queue->entries[position % PMON_QUEUE_SIZE].state);
		int			reason = REASON(state, position);

		if (reason >= 0)
			rejected[reason]++;
	}
}

uint64
pmon_rejected(void)
{
	uint64		by_reason[PMON_REJECT_REASONS];
	uint64		rejected = 0;

	LWLockAcquire(PmonLock(), LW_SHARED);
	pmon_count_rejected(by_reason);
	LWLockRelease(PmonLock());
	for (int i = 0; i < PMON_REJECT_REASONS; i++)
		rejected += by_reason[i];
	return rejected;
}

uint64
pmon_rejected_ever(PmonRejectReason reason)
{
	return pg_atomic_read_u64(&pmon_queue->ever[reason]);
}

uint64
pmon_all_rejected_ever(void)
{
	uint64		rejected = 0;

	for (int i = 0; i < PMON_REJECT_REASONS; i++)
		rejected += pmon_rejected_ever(i);
	return rejected;
}

TimestampTz
pmon_last_rejected_at(void)
{
	return (TimestampTz) pg_atomic_read_u64(&pmon_queue->last_at);
}

void
pmon_reset_rejections(const char *application_name)
{
	Assert(LWLockHeldByMeInMode(PmonLock(), LW_EXCLUSIVE));
	for (int i = 0; i < PMON_MAX_REJECTIONS; i++)
	{
		PmonRejection *rejection = &pmon_rejections[i];

		if (!rejection->in_use ||
			(application_name != NULL &&
			 strcmp(rejection->key.application_name, application_name) != 0))
			continue;

		remove_rejection(rejection);
	}

	/* what stands under no name of its own */
	if (application_name == NULL ||
		strcmp(application_name, PMON_OTHER_APPLICATION) == 0)
	{
		for (int i = 0; i < PMON_REJECT_REASONS; i++)
			pg_atomic_write_u64(&pmon_queue->dropped[i], 0);
	}
	if (application_name == NULL)
		pg_atomic_write_u64(&pmon_queue->last_at, 0);
}
