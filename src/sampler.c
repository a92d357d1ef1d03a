/*-------------------------------------------------------------------------
 *
 * sampler.c
 *	  Takes one sample of all sessions and updates what is derived from it.
 *
 * Only the slots whose live bit is set are read, so an empty slot costs
 * nothing but its bit.  The sessions are counted by the place of their group,
 * in memory of the worker; then the lock is taken once, and the counts go to
 * the groups and applications.
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

#include "backend_reader.h"
#include "groups.h"
#include "rejections.h"
#include "sampler.h"

/* What one sample found in one group */
typedef struct GroupSample
{
	uint32		id;				/* PmonGroup.id */
	int			checked_out;
} GroupSample;

static GroupSample *group_samples;	/* one for each place of a group */
static int *touched;			/* the places that this sample found */
static int	ntouched;
static int *application_checked_out;	/* by the place of the application */

void
pmon_sampler_init(void)
{
	group_samples = palloc0(sizeof(GroupSample) * pmon->max_groups);
	touched = palloc(sizeof(int) * pmon->max_groups);
	application_checked_out = palloc0(sizeof(int) * pmon->max_groups);
}

/* Count one session. */
static void
count_session(int slot)
{
	PmonSlot   *session = &pmon_slots[slot];
	int			place = *((volatile int *) &session->group);
	uint32		id = *((volatile uint32 *) &session->group_id);
	GroupSample *group;
	PmonSample	sample;

	/* not logged in yet, or no longer there */
	if (place == PMON_NONE || !pmon_read_sample(slot, &sample))
		return;

	group = &group_samples[place];
	if (group->id == 0)
	{
		group->id = id;
		touched[ntouched++] = place;
	}
	if (PmonIsCheckedOut(sample.state))
		group->checked_out++;
}

static void
count_sessions(void)
{
	ntouched = 0;
	for (int word = 0; word < PmonLiveWords(); word++)
	{
		uint64		bits = pg_atomic_read_u64(&pmon_live[word]);

		while (bits != 0)
		{
			int			bit = pg_rightmost_one_pos64(bits);

			count_session(word * 64 + bit);
			bits &= bits - 1;
		}
	}
}

/* Update the groups and applications, and forget the counts.  Wants the lock. */
static void
apply_counts(TimestampTz now)
{
	for (int i = 0; i < ntouched; i++)
	{
		PmonGroup  *group = &pmon_groups[touched[i]];
		GroupSample *counts = &group_samples[touched[i]];

		if (group->in_use && group->id == counts->id)
		{
			pmon_raise_peak(&group->peak_checked_out, counts->checked_out, now);
			application_checked_out[group->application] += counts->checked_out;
		}
	}

	/* an application's count is complete only now */
	for (int i = 0; i < ntouched; i++)
	{
		PmonGroup  *group = &pmon_groups[touched[i]];
		PmonApplication *application = &pmon_applications[group->application];

		pmon_raise_peak(&application->peak_checked_out,
						application_checked_out[group->application], now);
		application_checked_out[group->application] = 0;
		memset(&group_samples[touched[i]], 0, sizeof(GroupSample));
	}
}

void
pmon_take_sample(uint64 missed)
{
	TimestampTz now = GetCurrentTimestamp();
	instr_time	start;
	instr_time	end;
	uint64		duration;

	INSTR_TIME_SET_CURRENT(start);
	pmon_fold_rejections();
	count_sessions();

	LWLockAcquire(PmonLock(), LW_EXCLUSIVE);
	apply_counts(now);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	duration = (uint64) (INSTR_TIME_GET_DOUBLE(end) * 1e9);
	pmon->samples++;
	pmon->missed_samples += missed;
	pmon->last_sample_at = now;
	pmon->last_sample_duration = duration;
	pmon->sample_duration_max = Max(pmon->sample_duration_max, duration);
	LWLockRelease(PmonLock());
}
