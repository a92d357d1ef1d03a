/*-------------------------------------------------------------------------
 *
 * lock_waits.c
 *	  Who waits for whose locks now, as the lock manager has it.
 *
 * GetLockStatusData() tells who has and who wants which lock, but not in which
 * order those who want one stand in line.  waitStart is nearly that order, but
 * not where a process joined ahead of others because it had a part of the lock
 * already, or where a deadlock was resolved by changing places.  So for each
 * lock that two or more wait for, its queue is read as well: the process IDs
 * in it, under the lock of its partition, which pg_locks takes for the time of
 * copying all locks.
 *
 * In between, somebody may have got its lock or given up.  Who is not in the
 * queue any more does not wait any more.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "pure/wait_graph.h"
#include "shared/lock_waits.h"

/*
 * Who may have or want a lock: a process, by its lock group's leader, or a
 * prepared transaction, by its virtual one, since it has no process.
 */
typedef struct Party
{
	int			pid;			/* 0: prepared */
	TransactionId xid;			/* of what is prepared, once it is known */
	uint64		virtual_xact;	/* likewise; 0 for a process */
} Party;

struct PmonLockWaits
{
	int			nparties;
	Party	   *parties;		/* sorted */
	PmonWait   *waits;			/* by party */
};

/* A process that waits for a lock */
typedef struct Waiter
{
	int			pid;
	PGPROC	   *proc;
	int			place;			/* in the queue that was read last */
} Waiter;

/* What one reading works with */
typedef struct Reading
{
	LockInstanceData **locks;	/* those that somebody waits for; sorted */
	int			nlocks;
	Waiter	   *waiters;		/* sorted by pid */
	int			nwaiters;
	int		   *queue;			/* room for all processes */
	PmonLockShare *shares;
	int			nshares;
	PmonLockWaits *result;
} Reading;

static int
compare_waiters(const void *a, const void *b)
{
	int			left = ((const Waiter *) a)->pid;
	int			right = ((const Waiter *) b)->pid;

	return (left > right) - (left < right);
}

/* Find who waits for any lock: a look without a lock, at each process. */
static void
find_waiters(Reading *reading)
{
	int			nprocs = ProcGlobal->allProcCount;

	reading->nwaiters = 0;
	for (int i = 0; i < nprocs; i++)
	{
		PGPROC	   *proc = &ProcGlobal->allProcs[i];

		if (*((LOCK *volatile *) &proc->waitLock) == NULL)
			continue;
		if (reading->waiters == NULL)
			reading->waiters = palloc(sizeof(Waiter) * nprocs);
		reading->waiters[reading->nwaiters].pid = proc->pid;
		reading->waiters[reading->nwaiters++].proc = proc;
	}
	if (reading->nwaiters > 1)
		qsort(reading->waiters, reading->nwaiters, sizeof(Waiter), compare_waiters);
}

static Waiter *
find_waiter(const Reading *reading, int pid)
{
	Waiter		wanted = {.pid = pid};

	return bsearch(&wanted, reading->waiters, reading->nwaiters, sizeof(Waiter),
				   compare_waiters);
}

static int
compare_tags(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(LOCKTAG));
}

/* Sort by what is locked; of that, who came first. */
static int
compare_locks(const void *a, const void *b)
{
	const LockInstanceData *left = *(LockInstanceData *const *) a;
	const LockInstanceData *right = *(LockInstanceData *const *) b;
	int			order = memcmp(&left->locktag, &right->locktag, sizeof(LOCKTAG));

	if (order != 0)
		return order;
	return (left->waitStart > right->waitStart) - (left->waitStart < right->waitStart);
}

/* Keep the locks that somebody waits for. */
static void
choose_locks(Reading *reading, const LockData *data)
{
	LOCKTAG    *tags = palloc(sizeof(LOCKTAG) * (data->nelements + 1));
	int			ntags = 0;

	reading->locks = palloc(sizeof(LockInstanceData *) * (data->nelements + 1));
	reading->nlocks = 0;
	for (int i = 0; i < data->nelements; i++)
	{
		if (data->locks[i].waitLockMode != NoLock)
			tags[ntags++] = data->locks[i].locktag;
	}
	if (ntags > 1)
		qsort(tags, ntags, sizeof(LOCKTAG), compare_tags);
	for (int i = 0; ntags > 0 && i < data->nelements; i++)
	{
		if (bsearch(&data->locks[i].locktag, tags, ntags, sizeof(LOCKTAG),
					compare_tags) != NULL)
			reading->locks[reading->nlocks++] = &data->locks[i];
	}
	if (reading->nlocks > 1)
		qsort(reading->locks, reading->nlocks, sizeof(LockInstanceData *), compare_locks);
	pfree(tags);
}

static Party
party_of(const LockInstanceData *lock)
{
	Party		party = {.pid = lock->leaderPid};

	if (lock->pid == 0)
		party.virtual_xact = PmonVirtualXact(lock) + 1;
	return party;
}

static int
compare_parties(const void *a, const void *b)
{
	const Party *left = a;
	const Party *right = b;

	if (left->pid != right->pid)
		return left->pid < right->pid ? -1 : 1;
	return (left->virtual_xact > right->virtual_xact) -
		(left->virtual_xact < right->virtual_xact);
}

static int
find_party(const PmonLockWaits *waits, const Party *party)
{
	const Party *found = bsearch(party, waits->parties, waits->nparties,
								 sizeof(Party), compare_parties);

	return found != NULL ? found - waits->parties : -1;
}

/* Number those who have or want what somebody waits for. */
static void
number_parties(Reading *reading)
{
	PmonLockWaits *result = reading->result;
	int			n = 0;

	result->parties = palloc(sizeof(Party) * (reading->nlocks + 1));
	for (int i = 0; i < reading->nlocks; i++)
		result->parties[i] = party_of(reading->locks[i]);
	if (reading->nlocks > 1)
		qsort(result->parties, reading->nlocks, sizeof(Party), compare_parties);
	for (int i = 0; i < reading->nlocks; i++)
	{
		if (n == 0 || compare_parties(&result->parties[n - 1], &result->parties[i]) != 0)
			result->parties[n++] = result->parties[i];
	}
	result->nparties = n;
}

/* A prepared transaction is known by the lock on its own transaction ID. */
static void
name_prepared(PmonLockWaits *waits, const LockData *data)
{
	for (int i = 0; i < data->nelements; i++)
	{
		const LockInstanceData *lock = &data->locks[i];
		Party		party;
		int			number;

		if (lock->pid != 0 ||
			lock->locktag.locktag_type != LOCKTAG_TRANSACTION ||
			(lock->holdMask & LOCKBIT_ON(ExclusiveLock)) == 0)
			continue;
		party = party_of(lock);
		number = find_party(waits, &party);

		/* its subtransactions have such locks too, and later numbers */
		if (number >= 0 &&
			(!TransactionIdIsValid(waits->parties[number].xid) ||
			 TransactionIdPrecedes(lock->locktag.locktag_field1,
								   waits->parties[number].xid)))
			waits->parties[number].xid = lock->locktag.locktag_field1;
	}
}

/*
 * Read the queue of a lock: who is at which place.  It is found by one who
 * waits for it; that proc->waitLock is still this lock holds for as long as
 * the partition is locked.
 */
static int
read_queue(Reading *reading, const LockInstanceData *waiting)
{
	LWLock	   *partition = LockHashPartitionLock(LockTagHashCode(&waiting->locktag));
	const Waiter *waiter = find_waiter(reading, waiting->pid);
	LOCK	   *lock;
	int			n = 0;

	if (waiter == NULL)
		return 0;
	LWLockAcquire(partition, LW_SHARED);
	lock = *((LOCK *volatile *) &waiter->proc->waitLock);
	if (lock != NULL && memcmp(&lock->tag, &waiting->locktag, sizeof(LOCKTAG)) == 0)
		n = PmonCopyWaitQueue(lock, reading->queue, ProcGlobal->allProcCount);
	LWLockRelease(partition);
	return n;
}

/*
 * The queue of one thing, by any of those who wait for it: the first whose
 * wait has not ended meanwhile.  Returns whether there is one.
 */
static bool
place_waiters(Reading *reading, int start, int end)
{
	int			n = 0;

	for (int i = start; i < end && n == 0; i++)
	{
		if (reading->locks[i]->waitLockMode != NoLock)
			n = read_queue(reading, reading->locks[i]);
	}
	for (int i = start; i < end; i++)
	{
		Waiter	   *waiter = find_waiter(reading, reading->locks[i]->pid);

		if (waiter != NULL)
			waiter->place = -1;
	}
	for (int i = 0; i < n; i++)
	{
		Waiter	   *waiter = find_waiter(reading, reading->queue[i]);

		if (waiter != NULL)
			waiter->place = i;
	}
	return n > 0;
}

/* A share, and where it is in the queue */
typedef struct Place
{
	int			place;
	int			lock;
} Place;

static int
compare_places(const void *a, const void *b)
{
	const Place *left = a;
	const Place *right = b;

	if (left->place != right->place)
		return left->place - right->place;
	return left->lock - right->lock;
}

static void
add_share(Reading *reading, int object, const LockInstanceData *lock, bool waits)
{
	Party		party = party_of(lock);
	PmonLockShare *share = &reading->shares[reading->nshares++];

	share->object = object;
	share->session = find_party(reading->result, &party);
	share->holds = lock->holdMask;
	share->awaits = waits ? lock->waitLockMode : 0;
}

/* Add the shares in one thing, which is at these places of the array. */
static void
add_shares(Reading *reading, int start, int end)
{
	Place	   *places = palloc(sizeof(Place) * (end - start));
	int			nwaiting = 0;
	bool		has_queue;

	for (int i = start; i < end; i++)
		nwaiting += reading->locks[i]->waitLockMode != NoLock;
	has_queue = nwaiting > 1 && place_waiters(reading, start, end);

	nwaiting = 0;
	for (int i = start; i < end; i++)
	{
		const LockInstanceData *lock = reading->locks[i];
		const Waiter *waiter = has_queue && lock->waitLockMode != NoLock ?
		find_waiter(reading, lock->pid) : NULL;

		if (lock->waitLockMode == NoLock || (waiter != NULL && waiter->place < 0))
			add_share(reading, start, lock, false);
		else
		{
			places[nwaiting].place = waiter != NULL ? waiter->place : INT_MAX;
			places[nwaiting++].lock = i;
		}
	}
	if (nwaiting > 1)
		qsort(places, nwaiting, sizeof(Place), compare_places);
	for (int i = 0; i < nwaiting; i++)
		add_share(reading, start, reading->locks[places[i].lock], true);
	pfree(places);
}

/* Which modes conflict, as the server has it for ordinary and advisory locks */
static void
get_conflicts(int *conflicts)
{
	for (int a = 0; a < PMON_LOCK_MODES; a++)
	{
		conflicts[a] = 0;
		for (int b = 1; a > 0 && b < PMON_LOCK_MODES; b++)
		{
			if (DoLockModesConflict(a, b))
				conflicts[a] |= LOCKBIT_ON(b);
		}
	}
}

PmonLockWaits *
pmon_read_lock_waits(void)
{
	Reading		reading = {0};
	PmonLockShares shares;
	int			conflicts[PMON_LOCK_MODES];
	LockData   *data;

	StaticAssertStmt(MaxLockMode < PMON_LOCK_MODES, "more lock modes");

	find_waiters(&reading);
	if (reading.nwaiters == 0)
		return NULL;

	data = GetLockStatusData();
	reading.result = palloc0(sizeof(PmonLockWaits));
	choose_locks(&reading, data);
	number_parties(&reading);
	name_prepared(reading.result, data);

	reading.queue = palloc(sizeof(int) * ProcGlobal->allProcCount);
	reading.shares = palloc(sizeof(PmonLockShare) * (reading.nlocks + 1));
	for (int start = 0; start < reading.nlocks;)
	{
		int			end = start + 1;

		while (end < reading.nlocks &&
			   compare_tags(&reading.locks[start]->locktag,
							&reading.locks[end]->locktag) == 0)
			end++;
		add_shares(&reading, start, end);
		start = end;
	}

	get_conflicts(conflicts);
	shares = (PmonLockShares)
	{
		.shares = reading.shares,
			.n = reading.nshares,
			.nsessions = reading.result->nparties,
			.conflicts = conflicts
	};
	reading.result->waits = palloc(sizeof(PmonWait) * (shares.nsessions + 1));
	pmon_follow_waits(&shares, reading.result->waits,
					  palloc_extended(pmon_wait_graph_size(&shares) + 1,
									  MCXT_ALLOC_HUGE));
	return reading.result;
}

PmonBlocking
pmon_blocking(const PmonLockWaits *waits, int pid)
{
	PmonBlocking blocking = {.blocked_by = PMON_BLOCKED_BY_NOBODY};
	Party		party = {.pid = pid};
	int			number = waits != NULL ? find_party(waits, &party) : -1;

	if (number < 0)
		return blocking;
	blocking.blocks = waits->waits[number].blocks;
	if (waits->waits[number].root >= 0)
		blocking.blocked_by = waits->parties[waits->waits[number].root].pid;
	return blocking;
}

bool
pmon_prepared_blocks(const PmonLockWaits *waits, int number,
					 TransactionId *xid, int *blocks)
{
	/* they have no pid, so they come first */
	if (waits == NULL || number >= waits->nparties ||
		waits->parties[number].pid != 0)
		return false;
	*xid = waits->parties[number].xid;
	*blocks = waits->waits[number].blocks;
	return true;
}
