/*-------------------------------------------------------------------------
 *
 * group_snapshot.c
 *	  A copy of all groups with what their sessions have counted so far.
 *
 * The memory is allocated before the lock is taken, for as many as there are
 * and some more.  Where that turns out to be too few, it starts over.
 *
 * Sessions that log in or end need PmonLock() exclusively, and an LWLock lets
 * whoever wants it shared in before them.  So that readers, of whom there may
 * be many and who may be anybody, can not keep them out by taking turns, only
 * one snapshot is taken at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "port/pg_bitutils.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "group_snapshot.h"
#include "groups.h"
#include "rejections.h"

/* Room for what comes while we allocate */
#define SPARE	16

/*
 * Copy the groups; copies[place] becomes the copy's index.  Wants the lock.
 * The buckets are most of a group, and its end.
 */
static void
copy_groups(PmonGroupSnapshot *snapshot, int *copies, bool with_buckets)
{
	Size		bytes = with_buckets ? sizeof(PmonGroup) :
	offsetof(PmonGroup, counters.hold.buckets);

	StaticAssertStmt(offsetof(PmonGroup, counters.hold.buckets) +
					 sizeof(((PmonGroup *) 0)->counters.hold.buckets) == sizeof(PmonGroup),
					 "the buckets must be the last of a group");

	snapshot->ngroups = 0;
	for (int i = 0; i < pmon->max_groups && snapshot->ngroups < pmon->groups; i++)
	{
		if (!pmon_groups[i].in_use)
			continue;
		copies[i] = snapshot->ngroups;
		memcpy(&snapshot->groups[snapshot->ngroups++], &pmon_groups[i], bytes);
	}

	snapshot->napplications = 0;
	for (int i = 0; i < pmon->max_groups && snapshot->napplications < pmon->applications; i++)
	{
		if (pmon_applications[i].in_use)
			snapshot->applications[snapshot->napplications++] = pmon_applications[i];
	}
}

/* Add what one session has counted so far.  Wants the lock. */
static void
add_session(PmonGroup *group, int slot, TimestampTz now, bool with_buckets)
{
	TimestampTz since = Max(pmon_slots[slot].group_since, group->counted_since);

	pmon_add_slot(&group->counters.hold, slot, with_buckets);
	if (now > since)
		group->counters.session_time += now - since;
}

static void
add_sessions(PmonGroupSnapshot *snapshot, const int *copies, TimestampTz now,
			 bool with_buckets)
{
	for (int word = 0; word < PmonLiveWords(); word++)
	{
		uint64		live = pg_atomic_read_u64(&pmon_live[word]);

		/* each slot is on pages of its own: wait for all of them at once */
		for (uint64 bits = live; bits != 0; bits &= bits - 1)
		{
			PmonSlot   *slot = &pmon_slots[word * 64 + pg_rightmost_one_pos64(bits)];

			PmonPrefetch(slot);
			PmonPrefetch(&slot->hold);
		}

		for (uint64 bits = live; bits != 0; bits &= bits - 1)
		{
			int			slot = word * 64 + pg_rightmost_one_pos64(bits);
			int			place = PmonGetMembership(slot).group;

			if (place != PMON_NONE)
				add_session(&snapshot->groups[copies[place]], slot, now,
							with_buckets);
		}
	}
}

static void
copy_rejections(PmonGroupSnapshot *snapshot)
{
	snapshot->nrejections = 0;
	for (int i = 0; i < PMON_MAX_REJECTIONS && snapshot->nrejections < pmon->rejections; i++)
	{
		if (pmon_rejections[i].in_use)
			snapshot->rejections[snapshot->nrejections++] = pmon_rejections[i];
	}
	for (int i = 0; i < PMON_REJECT_REASONS; i++)
		snapshot->dropped[i] = pg_atomic_read_u64(&pmon_queue->dropped[i]);
}

PmonGroupSnapshot *
pmon_take_snapshot(bool with_buckets)
{
	PmonGroupSnapshot *snapshot = palloc(sizeof(PmonGroupSnapshot));
	int		   *copies = palloc(sizeof(int) * pmon->max_groups);
	TimestampTz now = GetCurrentTimestamp();

	pmon_fold_rejections();
	for (;;)
	{
		int			room = *((volatile int *) &pmon->groups) + SPARE;
		int			room_applications = *((volatile int *) &pmon->applications) + SPARE;
		int			room_rejections = *((volatile int *) &pmon->rejections) + SPARE;
		bool		fits;

		/* zeroed, so that no page is touched first under the lock */
		snapshot->groups = MemoryContextAllocExtended(CurrentMemoryContext,
													  sizeof(PmonGroup) * room,
													  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
		snapshot->applications = palloc(sizeof(PmonApplication) * room_applications);
		snapshot->rejections = palloc(sizeof(PmonRejection) * room_rejections);

		LWLockAcquire(PmonSnapshotLock(), LW_EXCLUSIVE);
		LWLockAcquire(PmonLock(), LW_SHARED);
		fits = pmon->groups <= room &&
			pmon->applications <= room_applications &&
			pmon->rejections <= room_rejections;
		if (fits)
		{
			copy_groups(snapshot, copies, with_buckets);
			add_sessions(snapshot, copies, now, with_buckets);
			copy_rejections(snapshot);
		}
		LWLockRelease(PmonLock());
		LWLockRelease(PmonSnapshotLock());

		if (fits)
			break;
		CHECK_FOR_INTERRUPTS();
		pfree(snapshot->groups);
		pfree(snapshot->applications);
		pfree(snapshot->rejections);
	}

	pfree(copies);
	return snapshot;
}
