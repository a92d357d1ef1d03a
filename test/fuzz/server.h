/*-------------------------------------------------------------------------
 *
 * server.h
 *	  What stands in for the server around the modules that are fuzzed.
 *
 * Memory is malloc's, so that AddressSanitizer watches each piece, and is
 * freed all at once after an input.  Messages are kept; an ERROR ends the
 * program, since nothing may raise one.  A harness includes this once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_FUZZ_SERVER_H
#define PMON_FUZZ_SERVER_H

#include <sanitizer/asan_interface.h>

#include "lib/ilist.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "fuzz.h"

/*
 * Memory
 */

MemoryContext CurrentMemoryContext = NULL;
MemoryContext TopMemoryContext = NULL;

/* What stands before each piece */
typedef struct Piece
{
	dlist_node	node;
	Size		size;
} Piece;

static dlist_head pieces = DLIST_STATIC_INIT(pieces);

/*
 * A large piece would be mapped and unmapped each time, which takes most of
 * the time.  So the last one is kept, and is out of bounds until it is used.
 */
#define LARGE	(100 * 1024)

static Piece *large = NULL;

static void *
allocate(Size size)
{
	Piece	   *piece = large;

	if (piece != NULL && piece->size == size)
	{
		large = NULL;
		__asan_unpoison_memory_region(piece + 1, size);
	}
	else
	{
		piece = malloc(sizeof(Piece) + size);
		require(piece != NULL, "no memory for %zu bytes", size);
		piece->size = size;
	}
	dlist_push_head(&pieces, &piece->node);
	return piece + 1;
}

static void
release(Piece *piece)
{
	if (piece->size > LARGE && large == NULL)
	{
		large = piece;
		__asan_poison_memory_region(piece + 1, piece->size);
	}
	else
		free(piece);
}

void *
palloc(Size size)
{
	require(size <= MaxAllocSize, "palloc() of %zu bytes", size);
	return allocate(size);
}

void *
palloc_extended(Size size, int flags)
{
	require(size <= MaxAllocSize || (flags & MCXT_ALLOC_HUGE) != 0,
			"palloc_extended() of %zu bytes", size);
	return allocate(size);
}

void *
palloc0(Size size)
{
	return memset(palloc(size), 0, size);
}

void
pfree(void *pointer)
{
	Piece	   *piece = (Piece *) pointer - 1;

	dlist_delete(&piece->node);
	release(piece);
}

void *
MemoryContextAllocHuge(MemoryContext context, Size size)
{
	return allocate(size);
}

void *
MemoryContextAllocExtended(MemoryContext context, Size size, int flags)
{
	void	   *pointer = allocate(size);

	return flags & MCXT_ALLOC_ZERO ? memset(pointer, 0, size) : pointer;
}

MemoryContext
AllocSetContextCreateInternal(MemoryContext parent, const char *name,
							  Size minContextSize, Size initBlockSize,
							  Size maxBlockSize)
{
	return parent;
}

void
MemoryContextDelete(MemoryContext context)
{
}

/* Free what was allocated; or never free what is allocated by now. */
static void
free_all(void)
{
	while (!dlist_is_empty(&pieces))
		release(dlist_container(Piece, node, dlist_pop_head_node(&pieces)));
}

static dlist_head kept = DLIST_STATIC_INIT(kept);

static void
keep_all(void)
{
	while (!dlist_is_empty(&pieces))
		dlist_push_head(&kept, dlist_pop_head_node(&pieces));
}

char *
psprintf(const char *fmt,...)
{
	char	   *text = allocate(1024);
	va_list		args;

	va_start(args, fmt);
	vsnprintf(text, 1024, fmt, args);
	va_end(args);
	return text;
}

/*
 * Messages: how many, and the last one
 */

static int	warnings;
static int	message_errno;
static int	message_level;
static char message[1024];

volatile sig_atomic_t InterruptPending = false;

void
ProcessInterrupts(void)
{
}

bool
errstart(int elevel, const char *domain)
{
	message_errno = errno;
	message_level = elevel;
	warnings += (elevel == WARNING);
	return elevel >= LOG;
}

bool
errstart_cold(int elevel, const char *domain)
{
	return errstart(elevel, domain);
}

void
errfinish(const char *filename, int lineno, const char *funcname)
{
	require(message_level < ERROR, "%s: \"%s\"", funcname, message);
}

int
errcode(int sqlerrcode)
{
	return 0;
}

int
errcode_for_file_access(void)
{
	return 0;
}

int
errmsg(const char *fmt,...)
{
	va_list		args;

	errno = message_errno;
	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	return 0;
}

int
errmsg_internal(const char *fmt,...)
{
	va_list		args;

	errno = message_errno;
	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	return 0;
}

/* It is formatted, so that a text without an end is noticed. */
int
errdetail(const char *fmt,...)
{
	char		detail[1024];
	va_list		args;

	va_start(args, fmt);
	vsnprintf(detail, sizeof(detail), fmt, args);
	va_end(args);
	return 0;
}

static void
forget_messages(void)
{
	warnings = 0;
	message[0] = '\0';
}

/*
 * Locks, memory, time
 */

LWLockPadded fuzz_locks[8];
LWLockPadded *MainLWLockArray = fuzz_locks;
static int	locks_held = 0;

bool
LWLockHeldByMe(LWLock *lock)
{
	return locks_held > 0;
}

bool
LWLockHeldByMeInMode(LWLock *lock, LWLockMode mode)
{
	return locks_held > 0;
}

bool
LWLockAcquire(LWLock *lock, LWLockMode mode)
{
	locks_held++;
	return true;
}

bool
LWLockConditionalAcquire(LWLock *lock, LWLockMode mode)
{
	return LWLockAcquire(lock, mode);
}

void
LWLockRelease(LWLock *lock)
{
	locks_held--;
	require(locks_held >= 0, "no lock to release");
}

void
RequestNamedLWLockTranche(const char *tranche_name, int num_lwlocks)
{
}

LWLockPadded *
GetNamedLWLockTranche(const char *tranche_name)
{
	static LWLockPadded locks[8];

	return locks;
}

void
RequestAddinShmemSpace(Size size)
{
}

Size
add_size(Size s1, Size s2)
{
	return s1 + s2;
}

Size
mul_size(Size s1, Size s2)
{
	return s1 * s2;
}

/* Each call is a second later, but never the end of time. */
TimestampTz
GetCurrentTimestamp(void)
{
	static TimestampTz now = INT64CONST(800000000000000);

	return now += USECS_PER_SEC;
}

/* Of this process there is only its shared memory. */
int			MaxBackends = 4;
int			MaxConnections = 4;
int			max_worker_processes = 0;
int			max_wal_senders = 0;
int			autovacuum_max_workers = 0;
bool		IsUnderPostmaster = false;
bool		am_walsender = false;
struct Port *MyProcPort = NULL;
void	   *UsedShmemSegAddr = NULL;
emit_log_hook_type emit_log_hook = NULL;
shmem_startup_hook_type shmem_startup_hook = NULL;
shmem_request_hook_type shmem_request_hook = NULL;

void
SetLatch(Latch *latch)
{
}

void
namestrcpy(Name name, const char *str)
{
	strncpy(NameStr(*name), str, NAMEDATALEN);
	NameStr(*name)[NAMEDATALEN - 1] = '\0';
}

/*
 * Hash tables: as many buckets as are enough for an input, chained
 */

#define HASH_BUCKETS	256

typedef struct HashEntry
{
	struct HashEntry *next;
	char		data[FLEXIBLE_ARRAY_MEMBER];	/* the key first */
} HashEntry;

struct HTAB
{
	Size		keysize;
	Size		entrysize;
	long		entries;
	HashEntry  *buckets[HASH_BUCKETS];
	HTAB	   *next;
};

static HTAB *hash_tables = NULL;

static HashEntry **
find_entry(HTAB *table, const void *key)
{
	const unsigned char *bytes = key;
	uint32		hash = 2166136261U;
	HashEntry **entry;

	for (Size i = 0; i < table->keysize; i++)
		hash = (uint32) ((uint64) (hash ^ bytes[i]) * 16777619);
	entry = &table->buckets[hash % HASH_BUCKETS];
	while (*entry != NULL && memcmp((*entry)->data, key, table->keysize) != 0)
		entry = &(*entry)->next;
	return entry;
}

HTAB *
hash_create(const char *tabname, long nelem, const HASHCTL *info, int flags)
{
	HTAB	   *table = calloc(1, sizeof(HTAB));

	table->keysize = info->keysize;
	table->entrysize = info->entrysize;
	table->next = hash_tables;
	hash_tables = table;
	return table;
}

/* A table is forgotten together with all others. */
void
hash_destroy(HTAB *table)
{
}

HTAB *
#if PG_VERSION_NUM >= 190000
ShmemInitHash(const char *name, int64 nelems, HASHCTL *info, int flags)
#else
ShmemInitHash(const char *name, long nelems, long max_size, HASHCTL *info, int flags)
#endif
{
	return hash_create(name, nelems, info, flags);
}

Size
hash_estimate_size(long num_entries, Size entrysize)
{
	return num_entries * entrysize;
}

long
hash_get_num_entries(HTAB *table)
{
	return table->entries;
}

void *
hash_search(HTAB *table, const void *key, HASHACTION action, bool *found)
{
	HashEntry **place = find_entry(table, key);
	HashEntry  *entry = *place;

	if (found != NULL)
		*found = entry != NULL;
	if (action == HASH_REMOVE && entry != NULL)
	{
		*place = entry->next;
		table->entries--;
		free(entry);
		return NULL;
	}
	if (action == HASH_ENTER && entry == NULL)
	{
		entry = malloc(offsetof(HashEntry, data) + table->entrysize);
		memset(entry->data, 0xA5, table->entrysize);
		memcpy(entry->data, key, table->keysize);
		entry->next = NULL;
		*place = entry;
		table->entries++;
	}
	return entry != NULL ? entry->data : NULL;
}

bool
hash_update_hash_key(HTAB *table, void *existing, const void *key)
{
	HashEntry **place = find_entry(table, existing);
	HashEntry  *entry = *place;

	require(entry != NULL && entry->data == existing, "no entry to update");
	*place = entry->next;
	memcpy(entry->data, key, table->keysize);
	place = find_entry(table, key);
	require(*place == NULL, "a key is there twice");
	entry->next = NULL;
	*place = entry;
	return true;
}

void
hash_seq_init(HASH_SEQ_STATUS *status, HTAB *table)
{
	memset(status, 0, sizeof(*status));
	status->hashp = table;
}

void *
hash_seq_search(HASH_SEQ_STATUS *status)
{
	HashEntry  *entry = (HashEntry *) status->curEntry;

	while (entry == NULL && status->curBucket < HASH_BUCKETS)
		entry = status->hashp->buckets[status->curBucket++];
	if (entry == NULL)
		return NULL;
	status->curEntry = (void *) entry->next;
	return entry->data;
}

/* Free all tables, whoever made them. */
static void
forget_hash_tables(void)
{
	while (hash_tables != NULL)
	{
		HTAB	   *table = hash_tables;

		for (int i = 0; i < HASH_BUCKETS; i++)
		{
			while (table->buckets[i] != NULL)
			{
				HashEntry  *entry = table->buckets[i];

				table->buckets[i] = entry->next;
				free(entry);
			}
		}
		hash_tables = table->next;
		free(table);
	}
}

#endif							/* PMON_FUZZ_SERVER_H */
