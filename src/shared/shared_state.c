/*-------------------------------------------------------------------------
 *
 * shared_state.c
 *	  Allocates and initializes what is in shared memory.
 *
 * All arrays are carved out of one allocation, each at a cache line of its
 * own; the hash tables are dynahash's, and of fixed size.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "utils/timestamp.h"

#include "shared/settings.h"
#include "shared/shared_state.h"

#define LOCK_TRANCHE	"pool_monitor"
#define LOCKS			4

PmonShared *pmon = NULL;
pg_atomic_uint64 *pmon_live = NULL;
pg_atomic_uint64 *pmon_memberships = NULL;
PmonSlot   *pmon_slots = NULL;
PmonGroup  *pmon_groups = NULL;
PmonHoldBuckets *pmon_group_buckets = NULL;
PmonApplication *pmon_applications = NULL;
PmonRejection *pmon_rejections = NULL;
PmonRejectionQueue *pmon_queue = NULL;
HTAB	   *pmon_group_hash = NULL;
HTAB	   *pmon_application_hash = NULL;
HTAB	   *pmon_rejection_hash = NULL;

static LWLockPadded *locks = NULL;

/* Parts that layers above have asked for */
#define MAX_PARTS	8

static struct
{
	void	  **pointer;
	Size		bytes;
}			parts[MAX_PARTS];
static int	nparts = 0;

static void (*init_contents) (void) = NULL;

static shmem_startup_hook_type prev_shmem_startup_hook = NULL;
static shmem_request_hook_type prev_shmem_request_hook = NULL;

LWLock *
PmonLock(void)
{
	return &locks[0].lock;
}

LWLock *
PmonIncidentLock(void)
{
	return &locks[1].lock;
}

LWLock *
PmonTerminationLock(void)
{
	return &locks[2].lock;
}

LWLock *
PmonSnapshotLock(void)
{
	return &locks[3].lock;
}

bool
pmon_locks_are_free(void)
{
	for (int i = 0; i < LOCKS; i++)
	{
		if (!LWLockConditionalAcquire(&locks[i].lock, LW_EXCLUSIVE))
			return false;
		LWLockRelease(&locks[i].lock);
	}
	return true;
}

/*
 * Lay the arrays out from base on, and set the pointers to them unless base
 * is NULL.  Returns the size of it all.
 */
static Size
lay_out(char *base, int max_backends, int max_groups)
{
	Size		size = 0;

#define PART(pointer, bytes) \
	do { \
		if (base != NULL) \
			(pointer) = (void *) (base + size); \
		size = add_size(size, CACHELINEALIGN(bytes)); \
	} while (0)

	PART(pmon, sizeof(PmonShared));
	PART(pmon_live, mul_size(sizeof(pg_atomic_uint64), (max_backends + 63) / 64));
	PART(pmon_memberships, mul_size(sizeof(pg_atomic_uint64), max_backends));
	PART(pmon_slots, mul_size(sizeof(PmonSlot), max_backends));
	PART(pmon_groups, mul_size(sizeof(PmonGroup), max_groups));
	PART(pmon_group_buckets, mul_size(sizeof(PmonHoldBuckets), max_groups));
	PART(pmon_applications, mul_size(sizeof(PmonApplication), max_groups));
	PART(pmon_rejections, mul_size(sizeof(PmonRejection), PMON_MAX_REJECTIONS));
	PART(pmon_queue, sizeof(PmonRejectionQueue));

	for (int i = 0; i < nparts; i++)
		PART(*parts[i].pointer, parts[i].bytes);

#undef PART

	return size;
}

/* The size of what is in the hash tables */
static Size
hash_tables_size(int max_groups)
{
	Size		size;

	size = hash_estimate_size(max_groups, sizeof(PmonGroupKey) + sizeof(int));
	size = add_size(size, hash_estimate_size(max_groups, NAMEDATALEN + sizeof(int)));
	size = add_size(size, hash_estimate_size(PMON_MAX_REJECTIONS,
											 sizeof(PmonRejectionKey) + sizeof(int)));
	return size;
}

/* A hash table in shared memory from a key to a place in an array */
static HTAB *
init_hash_table(const char *name, int nelems, Size keysize)
{
	HASHCTL		info;

	info.keysize = keysize;
	info.entrysize = keysize + sizeof(int);
	return PmonShmemInitHash(name, nelems, &info,
							 HASH_ELEM | HASH_BLOBS | HASH_FIXED_SIZE);
}

static void
init_slots(void)
{
	for (int i = 0; i < PmonLiveWords(); i++)
		pg_atomic_init_u64(&pmon_live[i], 0);

	for (int i = 0; i < pmon->max_backends; i++)
	{
		pg_atomic_init_u64(&pmon_memberships[i], 0);
		PmonSetMembership(i, PMON_NONE, 0);
		pg_atomic_init_u32(&pmon_slots[i].request, 0);
		pg_atomic_init_u64(&pmon_slots[i].request_token, 0);
		pg_atomic_init_u64(&pmon_slots[i].accepted_token, 0);
		pmon_init_hold_counters(&pmon_slots[i].hold);
	}
}

static void
pmon_shmem_request(void)
{
	Size		size;

	if (prev_shmem_request_hook)
		prev_shmem_request_hook();

	size = lay_out(NULL, MaxBackends, pmon_max_groups);
	size = add_size(size, hash_tables_size(pmon_max_groups));
	RequestAddinShmemSpace(size);
	RequestNamedLWLockTranche(LOCK_TRANCHE, LOCKS);
}

/*
 * Runs in the postmaster, also after a crash of a server process, when shared
 * memory is made anew.
 */
static void
pmon_shmem_startup(void)
{
	int			max_backends = MaxBackends;
	Size		size;
	char	   *base;
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	size = lay_out(NULL, max_backends, pmon_max_groups);

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);

	base = ShmemInitStruct("pool_monitor", size, &found);
	if (!found)
		memset(base, 0, size);
	lay_out(base, max_backends, pmon_max_groups);
	pmon_group_hash = init_hash_table("pool_monitor groups", pmon_max_groups,
									  sizeof(PmonGroupKey));
	pmon_application_hash = init_hash_table("pool_monitor applications",
											pmon_max_groups, NAMEDATALEN);
	pmon_rejection_hash = init_hash_table("pool_monitor rejections",
										  PMON_MAX_REJECTIONS,
										  sizeof(PmonRejectionKey));
	locks = GetNamedLWLockTranche(LOCK_TRANCHE);

	if (!found)
	{
		pmon->memory_bytes = size + hash_tables_size(pmon_max_groups);
		pmon->started_at = GetCurrentTimestamp();
		pmon->max_backends = max_backends;
		pmon->max_groups = pmon_max_groups;
		pg_atomic_init_u64(&pmon->clock_set_at, 0);
		pg_atomic_init_u64(&pmon->lost_accepts, 0);
		pg_atomic_init_u64(&pmon->terminated, 0);
		pg_atomic_init_u64(&pmon->terminated_ever, 0);
		pg_atomic_init_u32(&pmon->resets, 0);
		init_slots();
		init_contents();
	}

	LWLockRelease(AddinShmemInitLock);
}

void
pmon_request_part(void **pointer, Size bytes)
{
	Assert(nparts < MAX_PARTS);
	parts[nparts].pointer = pointer;
	parts[nparts].bytes = bytes;
	nparts++;
}

void
pmon_request_shared_state(void (*init) (void))
{
	init_contents = init;
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = pmon_shmem_request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = pmon_shmem_startup;
}
