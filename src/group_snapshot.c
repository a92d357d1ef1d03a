/*-------------------------------------------------------------------------
 *
 * group_snapshot.c
 *	  A copy of all groups with what their sessions have counted so far.
 *
 * The memory is allocated before the lock is taken, for as many as there are
 * and some more.  Where that turns out to be too few, it starts over.
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

/* Copy the groups; copies[place] becomes the copy's index.  Wants the lock. */
static void
copy_groups(PmonGroupSnapshot *snapshot, int *copies)
{
	snapshot->ngroups = 0;
	for (int i = 0; i < pmon->max_groups && snapshot->ngroups < pmon->groups; i++)
	{
		if (!pmon_groups[i].in_use)
			continue;
		copies[i] = snapshot->ngroups;
		snapshot->groups[snapshot->ngroups++] = pmon_groups[i];
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
add_session(PmonGroup *group, PmonSlot *slot, TimestampTz now,
			bool with_buckets)
{
	TimestampTz since = Max(slot->group_since, group->counted_since);

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
		uint64		bits = pg_atomic_read_u64(&pmon_live[word]);

		for (; bits != 0; bits &= bits - 1)
		{
			PmonSlot   *slot = &pmon_slots[word * 64 + pg_rightmost_one_pos64(bits)];

			if (slot->group != PMON_NONE)
				add_session(&snapshot->groups[copies[slot->group]], slot, now,
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

		snapshot->groups = MemoryContextAllocHuge(CurrentMemoryContext,
												  sizeof(PmonGroup) * room);
		snapshot->applications = palloc(sizeof(PmonApplication) * room_applications);
		snapshot->rejections = palloc(sizeof(PmonRejection) * room_rejections);

		LWLockAcquire(PmonLock(), LW_SHARED);
		fits = pmon->groups <= room &&
			pmon->applications <= room_applications &&
			pmon->rejections <= room_rejections;
		if (fits)
		{
			copy_groups(snapshot, copies);
			add_sessions(snapshot, copies, now, with_buckets);
			copy_rejections(snapshot);
		}
		LWLockRelease(PmonLock());

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
