/*-------------------------------------------------------------------------
 *
 * shared_state.c
 *	  Allocates what is in shared memory.
 *
 * All parts are carved out of one allocation, each at a cache line of its own;
 * the hash tables are dynahash's, and of fixed size.  Which parts there are,
 * how large each is and what is in it when it is new, the modules say that
 * own them; see shared_state.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "portability/instr_time.h"
#include "utils/timestamp.h"

#include "shared/settings.h"
#include "shared/shared_state.h"

#define LOCK_TRANCHE	"pool_monitor"

/* More than all modules ask for together */
#define MAX_PARTS	24
#define MAX_HASHES	8
#define MAX_LOCKS	8

typedef struct Part
{
	void	  **pointer;
	Size		size;
	Size		(*backends_size) (void);	/* or NULL */
	void		(*init) (void);
} Part;

typedef struct HashTable
{
	HTAB	  **table;
	const char *name;
	int			nelems;
	Size		keysize;
} HashTable;

PmonShared *pmon = NULL;

static Part parts[MAX_PARTS];
static int	nparts = 0;
static HashTable hashes[MAX_HASHES];
static int	nhashes = 0;
static LWLock **locks[MAX_LOCKS];
static int	nlocks = 0;
static LWLock *main_lock = NULL;

static void (*memory_is_new) (void) = NULL;

static shmem_startup_hook_type prev_shmem_startup_hook = NULL;
static shmem_request_hook_type prev_shmem_request_hook = NULL;

int64
pmon_monotonic_us(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64) INSTR_TIME_GET_MICROSEC(now);
}

LWLock *
PmonLock(void)
{
	return main_lock;
}

bool
pmon_locks_are_free(void)
{
	for (int i = 0; i < nlocks; i++)
	{
		if (!LWLockConditionalAcquire(*locks[i], LW_EXCLUSIVE))
			return false;
		LWLockRelease(*locks[i]);
	}
	return true;
}

void
pmon_request_part(void **pointer, Size size, void (*init) (void))
{
	Assert(nparts < MAX_PARTS);
	parts[nparts].pointer = pointer;
	parts[nparts].size = size;
	parts[nparts++].init = init;
}

void
pmon_request_backends_part(void **pointer, Size (*size) (void), void (*init) (void))
{
	pmon_request_part(pointer, 0, init);
	parts[nparts - 1].backends_size = size;
}

void
pmon_request_hash(HTAB **table, const char *name, int nelems, Size keysize)
{
	Assert(nhashes < MAX_HASHES);
	hashes[nhashes].table = table;
	hashes[nhashes].name = name;
	hashes[nhashes].nelems = nelems;
	hashes[nhashes].keysize = keysize;
	nhashes++;
}

void
pmon_request_lock(LWLock **lock)
{
	Assert(nlocks < MAX_LOCKS);
	locks[nlocks++] = lock;
}

void
pmon_init_parts(void)
{
	for (int i = 0; i < nparts; i++)
	{
		if (parts[i].init != NULL)
			parts[i].init();
	}
}

/* The size of all parts, which are laid out from base on unless it is NULL. */
static Size
lay_out(char *base)
{
	Size		size = 0;

	for (int i = 0; i < nparts; i++)
	{
		if (base != NULL)
			*parts[i].pointer = base + size;
		size = add_size(size, CACHELINEALIGN(parts[i].backends_size != NULL ?
											 parts[i].backends_size() : parts[i].size));
	}
	return size;
}

/* The size of what is in the hash tables */
static Size
hash_tables_size(void)
{
	Size		size = 0;

	for (int i = 0; i < nhashes; i++)
		size = add_size(size, hash_estimate_size(hashes[i].nelems,
												 hashes[i].keysize + sizeof(int)));
	return size;
}

static void
init_hash_tables(void)
{
	for (int i = 0; i < nhashes; i++)
	{
		HASHCTL		info;

		info.keysize = hashes[i].keysize;
		info.entrysize = hashes[i].keysize + sizeof(int);
		*hashes[i].table = PmonShmemInitHash(hashes[i].name, hashes[i].nelems, &info,
											 HASH_ELEM | HASH_BLOBS | HASH_FIXED_SIZE);
	}
}

static void
pmon_shmem_request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();

	RequestAddinShmemSpace(add_size(lay_out(NULL), hash_tables_size()));
	RequestNamedLWLockTranche(LOCK_TRANCHE, nlocks);
}

/*
 * Runs in the postmaster, also after a crash of a server process, when shared
 * memory is made anew.
 */
static void
pmon_shmem_startup(void)
{
	LWLockPadded *tranche;
	Size		size;
	char	   *base;
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	size = lay_out(NULL);

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);

	base = ShmemInitStruct("pool_monitor", size, &found);
	if (!found)
		memset(base, 0, size);
	lay_out(base);
	init_hash_tables();
	tranche = GetNamedLWLockTranche(LOCK_TRANCHE);
	for (int i = 0; i < nlocks; i++)
		*locks[i] = &tranche[i].lock;

	if (!found)
	{
		pmon->memory_bytes = size + hash_tables_size();
		pmon_init_parts();
		memory_is_new();
	}

	LWLockRelease(AddinShmemInitLock);
}

static void
init_header(void)
{
	pmon->started_at = GetCurrentTimestamp();
	pmon->max_backends = MaxBackends;
	pmon->max_groups = pmon_max_groups;
	pg_atomic_init_u64(&pmon->clock_set_at, 0);
	pg_atomic_init_u64(&pmon->role_changes_begun, 0);
	pg_atomic_init_u64(&pmon->role_changes_done, 0);
	pg_atomic_init_u64(&pmon->lost_accepts, 0);
	pg_atomic_init_u64(&pmon->terminated, 0);
	pg_atomic_init_u64(&pmon->terminated_ever, 0);
	pg_atomic_init_u32(&pmon->resets, 0);
}

void
pmon_request_header(void)
{
	pmon_request_part((void **) &pmon, sizeof(PmonShared), init_header);
	pmon_request_lock(&main_lock);
}

void
pmon_request_shared_state(void (*is_new) (void))
{
	memory_is_new = is_new;
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = pmon_shmem_request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = pmon_shmem_startup;
}
