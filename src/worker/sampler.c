/*-------------------------------------------------------------------------
 *
 * sampler.c
 *	  Takes one sample of all sessions and updates what is derived from it.
 *
 * Only the slots whose live bit is set are read, so an empty slot costs
 * nothing but its bit.  The sessions are counted by the place of their group,
 * in memory of the worker; then the lock is taken once, to add the groups up
 * by application and to raise their peaks.  What is read of a session is its
 * state and its group; where the state is active, whether it waits for its
 * client too (see client_waits.h).  The states are scattered over as many cache lines, so
 * those of the next 64 places are asked for before these 64 are counted; and so is what
 * is read of those of the 64 that are checked out.
 *
 * A session's group is read without a lock.  The session may leave it, and
 * the place may go to another group, before the counts are applied: so its id
 * is noted too, and counts for a group that is gone are left out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "port/pg_bitutils.h"
#include "portability/instr_time.h"
#include "utils/timestamp.h"

#include "shared/client_waits.h"
#include "shared/groups.h"
#include "shared/incidents.h"
#include "shared/rejections.h"
#include "shared/settings.h"
#include "shared/slots.h"
#include "shared/status_array.h"
#include "worker/history_writer.h"
#include "worker/hold_account.h"
#include "worker/openings.h"
#include "worker/pool_tracker.h"
#include "worker/sampler.h"

/* What one sample found in one group */
typedef struct GroupSample
{
	uint32		id;				/* PmonGroup.id */
	int			states[PMON_STATES];
} GroupSample;

static GroupSample *group_samples;	/* one for each place of a group */
static int *touched;			/* the places that this sample found */
static int	ntouched;

static int	pool_states[PMON_MAX_POOLS][PMON_STATES];	/* by pool */

static PmonServerSample sample;
static int *application_index;	/* in sample.applications, by place */

void
pmon_sampler_init(void)
{
	group_samples = palloc0(sizeof(GroupSample) * pmon->max_groups);
	touched = palloc(sizeof(int) * pmon->max_groups);
	sample.applications = palloc(sizeof(PmonApplicationSample) * PmonPlaces());
	application_index = palloc(sizeof(int) * pmon->max_groups);
	for (int i = 0; i < pmon->max_groups; i++)
		application_index[i] = PMON_NONE;
	pmon_pool_tracker_init();
	pmon_openings_init();
	pmon_hold_account_init();
	pmon_history_writer_init();
	pmon_incidents_init();
}

/* Count one session. */
static inline void
count_session(int slot, PmonState state, bool with_pools)
{
	PmonMembership membership = PmonGetMembership(slot);
	GroupSample *group;

	/* not logged in yet, or no longer there */
	if (membership.group == PMON_NONE)
		return;

	group = &group_samples[membership.group];
	if (group->id == 0)
	{
		group->id = membership.group_id;
		touched[ntouched++] = membership.group;
		/* what apply_groups() reads and writes */
		PmonPrefetch(&pmon_groups[membership.group].in_use);
		PmonPrefetch(&pmon_groups[membership.group].peak_checked_out);
	}
	group->states[state]++;

	if (PmonIsCheckedOut(state))
		pmon_count_hold(slot, state);
	if (state == PMON_STATE_ACTIVE)
		pmon_watch_for_client_wait(slot);

	if (with_pools)
	{
		int			pool = pmon_session_pool(slot);

		if (pool >= 0)
			pool_states[pool][state]++;
		if (pool >= 0 && state == PMON_STATE_IDLE)
			pmon_note_idle(pool, slot);
	}
}

/*
 * Of a session that is checked out, much more is read.  Ask for all of that of
 * those in 64 places before the first of them is counted: what is in its slot or
 * its status entry, and then what that leads to.
 */
static void
prefetch_checked_out(int first, uint64 live, const uint8 *states)
{
	uint64		checked_out = 0;

	for (; live != 0; live &= live - 1)
	{
		int			i = pg_rightmost_one_pos64(live);

		if (!PmonIsCheckedOut(states[i]))
			continue;
		checked_out |= UINT64CONST(1) << i;
		PmonPrefetch(&pmon_slots[first + i].proc);
		pmon_prefetch_held_state(first + i);
		pmon_prefetch_slot_hold(first + i);
	}
	for (; checked_out != 0; checked_out &= checked_out - 1)
	{
		int			slot = first + pg_rightmost_one_pos64(checked_out);

		PmonPrefetch(&pmon_slots[slot].proc->wait_event_info);
		pmon_prefetch_hold(slot);
	}
}

static void
count_sessions(void)
{
	bool		with_pools = pmon_declared->npools > 0;
	uint64		next = pg_atomic_read_u64(&pmon_live[0]);

	ntouched = 0;
	pmon_prefetch_states(0, next);
	for (int word = 0; word < PmonLiveWords(); word++)
	{
		int			first = word * 64;
		uint64		live = next;
		uint8		states[64];

		if (word + 1 < PmonLiveWords())
		{
			next = pg_atomic_read_u64(&pmon_live[word + 1]);
			pmon_prefetch_states(first + 64, next);
		}
		if (live == 0)
			continue;

		pmon_read_states(first, live, states);
		prefetch_checked_out(first, live, states);
		for (; live != 0; live &= live - 1)
		{
			int			i = pg_rightmost_one_pos64(live);

			count_session(first + i, states[i], with_pools);
		}
	}
}

/* Turn counts by state into the figures that history keeps. */
static void
get_figures(const int *states, int *figures)
{
	memset(figures, 0, sizeof(int) * PMON_FIGURES);
	for (int i = 0; i < PMON_STATES; i++)
	{
		figures[PMON_CONNECTIONS] += states[i];
		if (PmonIsCheckedOut(i))
			figures[PMON_CHECKED_OUT] += states[i];
	}
	figures[PMON_ACTIVE] = states[PMON_STATE_ACTIVE];
	figures[PMON_IDLE] = states[PMON_STATE_IDLE];
	figures[PMON_IDLE_IN_TRANSACTION] =
		states[PMON_STATE_IDLE_IN_TRANSACTION] +
		states[PMON_STATE_IDLE_IN_TRANSACTION_ABORTED];
}

/* This sample's element for an application */
static PmonApplicationSample *
application_sample(int place)
{
	PmonApplicationSample *application;

	if (application_index[place] == PMON_NONE)
	{
		application_index[place] = sample.napplications;
		application = &sample.applications[sample.napplications++];
		memset(application, 0, sizeof(*application));
		application->place = place;
		application->id = pmon_applications[place].id;
	}
	return &sample.applications[application_index[place]];
}

/* Add the groups up, raise their peaks, and forget the counts.  Wants the lock. */
static void
apply_groups(void)
{
	Assert(LWLockHeldByMeInMode(PmonLock(), LW_EXCLUSIVE));
	sample.napplications = 0;
	memset(sample.figures, 0, sizeof(sample.figures));

	for (int i = 0; i < ntouched; i++)
	{
		PmonGroup  *group = &pmon_groups[touched[i]];
		GroupSample *counts = &group_samples[touched[i]];

		if (group->in_use && group->id == counts->id)
		{
			PmonApplicationSample *application = application_sample(group->application);
			int			figures[PMON_FIGURES];

			get_figures(counts->states, figures);
			pmon_raise_peak(&group->peak_checked_out,
							figures[PMON_CHECKED_OUT], sample.at);
			for (int f = 0; f < PMON_FIGURES; f++)
			{
				application->figures[f] += figures[f];
				sample.figures[f] += figures[f];
			}
		}
		memset(counts, 0, sizeof(*counts));
	}

	for (int i = 0; i < sample.napplications; i++)
	{
		PmonApplicationSample *application = &sample.applications[i];

		pmon_raise_peak(&pmon_applications[application->place].peak_checked_out,
						application->figures[PMON_CHECKED_OUT], sample.at);
		application_index[application->place] = PMON_NONE;
	}
}

/* How many idle sessions of each pool are checked out all the same */
static void
find_held_idle(int *held_idle)
{
	int			connections[PMON_MAX_POOLS];
	int			idle[PMON_MAX_POOLS];

	for (int i = 0; i < pmon_declared->npools; i++)
	{
		int			figures[PMON_FIGURES];

		get_figures(pool_states[i], figures);
		connections[i] = figures[PMON_CONNECTIONS];
		idle[i] = figures[PMON_IDLE];
	}
	pmon_finish_openings(connections, idle, held_idle);
}

/* Add the declared pools to the sample, and note how full they are. */
static void
apply_pools(void)
{
	int			connections[PMON_MAX_POOLS];
	int			checked_out[PMON_MAX_POOLS];
	int			held_idle[PMON_MAX_POOLS];

	find_held_idle(held_idle);
	for (int i = 0; i < pmon_declared->npools; i++)
	{
		PmonApplicationSample *pool = &sample.applications[sample.napplications];

		get_figures(pool_states[i], pool->figures);
		pool->figures[PMON_CHECKED_OUT] += held_idle[i];
		connections[i] = pool->figures[PMON_CONNECTIONS];
		checked_out[i] = pool->figures[PMON_CHECKED_OUT];
		memset(pool_states[i], 0, sizeof(pool_states[i]));
		if (connections[i] == 0)
			continue;
		pool->place = PmonPoolPlace(i);
		pool->id = pmon_pool_id(pmon_declared->pools[i].name);
		sample.napplications++;
	}
	pmon_note_pools(connections, checked_out, sample.at);
}

/* Tell how the sample went.  Wants the lock. */
static void
note_sample(uint64 missed, const instr_time *start)
{
	instr_time	duration;
	uint64		ns;

	INSTR_TIME_SET_CURRENT(duration);
	INSTR_TIME_SUBTRACT(duration, *start);
	ns = (uint64) (INSTR_TIME_GET_DOUBLE(duration) * 1e9);

	Assert(LWLockHeldByMeInMode(PmonLock(), LW_EXCLUSIVE));
	pmon->samples++;
	pmon->missed_samples += missed;
	pmon->last_sample_at = sample.at;
	pmon->last_sample_duration = ns;
	pmon->sample_duration_max = Max(pmon->sample_duration_max, ns);
}

void
pmon_take_sample(uint64 missed)
{
	instr_time	start;

	INSTR_TIME_SET_CURRENT(start);
	pmon_fold_rejections();

	sample.at = GetCurrentTimestamp();
	sample.max_connections = MaxConnections;
	sample.ordinary_slots = pmon_ordinary_slots();
	sample.rejected = pmon_all_rejected_ever();
	sample.terminated = pg_atomic_read_u64(&pmon->terminated_ever);
	pmon_begin_openings(sample.at);
	pmon_begin_holds(sample.at);
	count_sessions();

	LWLockAcquire(PmonLock(), LW_EXCLUSIVE);
	apply_groups();
	note_sample(missed, &start);
	LWLockRelease(PmonLock());

	apply_pools();
	pmon_write_history(&sample);
	pmon_check_utilization(sample.figures[PMON_CONNECTIONS]);
}
