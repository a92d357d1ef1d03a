/*-------------------------------------------------------------------------
 *
 * reset.c
 *	  Forgetting what was counted.
 *
 * Each module forgets its own; here is the order, and what belongs to the
 * server as a whole.  A sample that is being taken sees the number of resets
 * change, and keeps nothing of before.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "shared/groups.h"
#include "shared/history.h"
#include "shared/holds.h"
#include "shared/incidents.h"
#include "shared/pool_states.h"
#include "shared/rejections.h"
#include "shared/reset.h"
#include "shared/terminations.h"

static void
reset_counters(const char *application_name, TimestampTz now)
{
	pmon_fold_rejections();

	LWLockAcquire(PmonLock(), LW_EXCLUSIVE);
	pmon_reset_groups(application_name, now);
	pmon_reset_rejections(application_name);
	if (application_name == NULL)
	{
		pmon_reset_pool_states();
		pmon->stats_reset = now;
		pg_atomic_write_u64(&pmon->terminated, 0);

		/* what was counted before will be in no minute */
		pmon->sampled_terminated = pg_atomic_read_u64(&pmon->terminated_ever);
		pmon->sampled_rejected = pmon_all_rejected_ever();
		pg_atomic_fetch_add_u32(&pmon->resets, 1);
	}
	LWLockRelease(PmonLock());
}

void
pmon_reset_all(TimestampTz now)
{
	reset_counters(NULL, now);
	pmon_ring_forget(pmon_sample_ring);
	pmon_ring_forget(pmon_minute_ring);
	pmon_ring_forget(pmon_hold_ring);
	pmon_reset_incidents();
	pmon_reset_terminations();
}

void
pmon_reset_application(const char *application_name, TimestampTz now)
{
	reset_counters(application_name, now);
}

bool
pmon_notice_reset(uint32 *noticed)
{
	uint32		before = *noticed;

	*noticed = pg_atomic_read_u32(&pmon->resets);
	return *noticed != before;
}
