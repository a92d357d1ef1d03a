/*-------------------------------------------------------------------------
 *
 * pool_states.c
 *	  What is remembered of each declared pool.
 *
 * See pool_states.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "shared/pool_states.h"

PmonPoolState *pmon_pool_states = NULL;

static Size
pool_states_size(void)
{
	return mul_size(sizeof(PmonPoolState), PMON_MAX_POOLS);
}

void
pmon_request_pool_states(void)
{
	pmon_request_part((void **) &pmon_pool_states, pool_states_size, NULL);
}

bool
pmon_copy_pool_state(const char *name, PmonPoolState *state)
{
	bool		found = false;

	if (pmon == NULL)
		return false;
	LWLockAcquire(PmonLock(), LW_SHARED);
	for (int i = 0; i < PMON_MAX_POOLS && !found; i++)
	{
		if (strcmp(pmon_pool_states[i].name, name) == 0)
		{
			*state = pmon_pool_states[i];
			found = true;
		}
	}
	LWLockRelease(PmonLock());
	return found;
}

void
pmon_reset_pool_states(void)
{
	Assert(LWLockHeldByMeInMode(PmonLock(), LW_EXCLUSIVE));
	for (int i = 0; i < PMON_MAX_POOLS; i++)
		memset(&pmon_pool_states[i].peak_checked_out, 0, sizeof(PmonPeak));
}
