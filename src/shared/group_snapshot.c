/*-------------------------------------------------------------------------
 *
 * group_snapshot.c
 *	  A copy of all groups with what their sessions have counted so far.
 *
 * The memory is allocated before the lock is taken, for as many as there are
 * and some more, and so that no page is touched first under the lock.  Where
 * that turns out to be too few, it starts over.
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

#include "shared/group_snapshot.h"
#include "shared/groups.h"
#include "shared/rejections.h"
#include "shared/slots.h"

static LWLock *snapshot_lock = NULL;

/* Room for what comes while we allocate */
#define SPARE	16

/* How many of each there is memory for */
typedef struct Room
{
	int			groups;
	int			applications;
	int			rejections;
	int			octaves;		/* of buckets, of all groups; -1: not wanted */
} Room;

/* A session in progress, and the place of its group */
typedef struct Member
{
	int			slot;
	int			place;
} Member;

/* What is needed only while the snapshot is made */
typedef struct Making
{
	Room		room;
	uint64	   *memory;			/* for the buckets */
	int		   *copies;			/* the index of the copy of each place */
	int		   *places;			/* the place of each copy */
	Member	   *members;
	int			nmembers;
} Making;

static void
list_members(Making *making)
{
	making->nmembers = 0;
	for (int word = 0; word < PmonLiveWords(); word++)
	{
		uint64		live = pg_atomic_read_u64(&pmon_live[word]);

		for (; live != 0; live &= live - 1)
		{
			int			slot = word * 64 + pg_rightmost_one_pos64(live);
			int			place = PmonGetMembership(slot).group;

			if (place == PMON_NONE)
				continue;
			making->members[making->nmembers].slot = slot;
			making->members[making->nmembers++].place = place;

			/* each slot is on pages of its own: wait for many at once */
			PmonPrefetch(&pmon_slots[slot]);
			PmonPrefetch(&pmon_slots[slot].hold);
		}
	}
}

/*
 * The octaves that all groups have together, read without the lock: about as
 * many as there will be.
 */
static int
estimate_octaves(Making *making)
{
	uint64	   *octaves = palloc0(sizeof(uint64) * pmon->max_groups);
	int			ngroups = 0;
	int			n = 0;

	list_members(making);
	for (int i = 0; i < making->nmembers; i++)
		octaves[making->members[i].place] |=
			pg_atomic_read_u64(&pmon_slots[making->members[i].slot].hold.octaves);
	for (int i = 0; i < pmon->max_groups && ngroups < making->room.groups; i++)
	{
		if (!pmon_groups[i].in_use)
			continue;
		n += pg_popcount64(octaves[i] | pmon_groups[i].counters.hold.octaves);
		ngroups++;
	}

	pfree(octaves);
	return n;
}

static void
allocate(PmonGroupSnapshot *snapshot, Making *making)
{
	Room	   *room = &making->room;

	room->groups = *((volatile int *) &pmon_group_table->ngroups) + SPARE;
	room->applications = *((volatile int *) &pmon_group_table->napplications) + SPARE;
	room->rejections = *((volatile int *) &pmon_queue->nrejections) + SPARE;
	snapshot->groups = MemoryContextAllocExtended(CurrentMemoryContext,
												  sizeof(PmonGroup) * room->groups,
												  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	snapshot->applications = palloc0(sizeof(PmonApplication) * room->applications);
	snapshot->rejections = palloc0(sizeof(PmonRejection) * room->rejections);
	if (room->octaves < 0)
		return;

	room->octaves = estimate_octaves(making);
	room->octaves += room->octaves / 8 + SPARE * PMON_HOLD_OCTAVES;
	snapshot->histograms = palloc0(sizeof(PmonHistogram) * room->groups);
	making->memory = MemoryContextAllocExtended(CurrentMemoryContext,
												sizeof(uint64) * PMON_HOLD_SUB_BUCKETS * room->octaves,
												MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

static void
free_all(PmonGroupSnapshot *snapshot, Making *making)
{
	pfree(snapshot->groups);
	pfree(snapshot->applications);
	pfree(snapshot->rejections);
	if (making->room.octaves >= 0)
	{
		pfree(snapshot->histograms);
		pfree(making->memory);
	}
}

/*
 * What follows wants PmonLock(), at least shared.
 */

static void
copy_groups(PmonGroupSnapshot *snapshot, Making *making)
{
	Assert(LWLockHeldByMe(PmonLock()));
	snapshot->groups_evicted = pmon_group_table->groups_evicted;
	snapshot->ngroups = 0;
	for (int i = 0; i < pmon->max_groups && snapshot->ngroups < pmon_group_table->ngroups; i++)
	{
		if (!pmon_groups[i].in_use)
			continue;
		making->copies[i] = snapshot->ngroups;
		making->places[snapshot->ngroups] = i;
		snapshot->groups[snapshot->ngroups++] = pmon_groups[i];
	}

	snapshot->napplications = 0;
	for (int i = 0; i < pmon->max_groups && snapshot->napplications < pmon_group_table->napplications; i++)
	{
		if (pmon_applications[i].in_use)
			snapshot->applications[snapshot->napplications++] = pmon_applications[i];
	}
}

/* Add what the sessions have counted so far. */
static void
add_sessions(PmonGroupSnapshot *snapshot, Making *making, TimestampTz now)
{
	Assert(LWLockHeldByMe(PmonLock()));
	list_members(making);
	for (int i = 0; i < making->nmembers; i++)
	{
		int			slot = making->members[i].slot;
		PmonGroup  *group = &snapshot->groups[making->copies[making->members[i].place]];
		TimestampTz since = Max(pmon_slots[slot].group_since, group->counted_since);

		pmon_add_hold_counters(&group->counters.hold, &pmon_slots[slot].hold,
							   group->generation);
		if (now > since)
			group->counters.session_time += now - since;
	}
}

/*
 * Make the histogram of each group and its sessions.  Returns false where the
 * memory does not suffice.
 */
static bool
make_histograms(PmonGroupSnapshot *snapshot, Making *making)
{
	uint64	   *next = making->memory;
	int			left = making->room.octaves;

	Assert(LWLockHeldByMe(PmonLock()));
	for (int i = 0; i < snapshot->ngroups; i++)
	{
		PmonHistogram *histogram = &snapshot->histograms[i];
		PmonHistogram all = {PMON_ALL_OCTAVES, pmon_group_buckets[making->places[i]]};

		histogram->octaves = snapshot->groups[i].counters.hold.octaves;
		left -= pg_popcount64(histogram->octaves);
		if (left < 0)
			return false;
		histogram->counts = next;
		next += pmon_histogram_length(histogram->octaves);
		pmon_histogram_add(histogram, &all);
	}

	for (int i = 0; i < making->nmembers; i++)
	{
		int			copy = making->copies[making->members[i].place];

		pmon_add_hold_buckets(&snapshot->histograms[copy],
							  &pmon_slots[making->members[i].slot].hold,
							  snapshot->groups[copy].generation);
	}
	return true;
}

static void
copy_rejections(PmonGroupSnapshot *snapshot)
{
	Assert(LWLockHeldByMe(PmonLock()));
	snapshot->nrejections = 0;
	for (int i = 0; i < PMON_MAX_REJECTIONS && snapshot->nrejections < pmon_queue->nrejections; i++)
	{
		if (pmon_rejections[i].in_use)
			snapshot->rejections[snapshot->nrejections++] = pmon_rejections[i];
	}
	for (int i = 0; i < PMON_REJECT_REASONS; i++)
		snapshot->dropped[i] = pg_atomic_read_u64(&pmon_queue->dropped[i]);
	pmon_count_rejected(snapshot->rejected);
}

/* Copy everything.  Returns false where the memory does not suffice. */
static bool
copy_all(PmonGroupSnapshot *snapshot, Making *making, TimestampTz now)
{
	Assert(LWLockHeldByMe(PmonLock()));
	if (pmon_group_table->ngroups > making->room.groups ||
		pmon_group_table->napplications > making->room.applications ||
		pmon_queue->nrejections > making->room.rejections)
		return false;
	copy_groups(snapshot, making);
	add_sessions(snapshot, making, now);
	copy_rejections(snapshot);
	return making->room.octaves < 0 || make_histograms(snapshot, making);
}

void
pmon_request_snapshots(void)
{
	pmon_request_lock(&snapshot_lock);
}

PmonHistogram
pmon_make_histogram(uint64 octaves)
{
	PmonHistogram histogram;

	histogram.octaves = octaves;
	histogram.counts = palloc0(sizeof(uint64) * Max(pmon_histogram_length(octaves), 1));
	return histogram;
}

void
pmon_forget_applications(PmonGroupSnapshot *snapshot)
{
	pfree(snapshot->applications);
	snapshot->applications = NULL;
	snapshot->napplications = 0;
}

PmonGroupSnapshot *
pmon_take_snapshot(bool with_histograms)
{
	PmonGroupSnapshot *snapshot = palloc0(sizeof(PmonGroupSnapshot));
	TimestampTz now = GetCurrentTimestamp();
	Making		making = {.room.octaves = with_histograms ? 0 : -1};
	bool		done;

	making.copies = palloc0(sizeof(int) * pmon->max_groups);
	making.places = palloc0(sizeof(int) * pmon->max_groups);
	making.members = palloc0(sizeof(Member) * pmon->max_backends);

	pmon_fold_rejections();
	for (;;)
	{
		allocate(snapshot, &making);

		LWLockAcquire(snapshot_lock, LW_EXCLUSIVE);
		LWLockAcquire(PmonLock(), LW_SHARED);
		done = copy_all(snapshot, &making, now);
		LWLockRelease(PmonLock());
		LWLockRelease(snapshot_lock);

		if (done)
			break;
		CHECK_FOR_INTERRUPTS();
		free_all(snapshot, &making);
	}

	pfree(making.copies);
	pfree(making.places);
	pfree(making.members);
	return snapshot;
}
