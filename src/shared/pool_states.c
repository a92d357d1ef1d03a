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

void
pmon_request_pool_states(void)
{
	pmon_request_part((void **) &pmon_pool_states, PMON_POOL_STATES_BYTES, NULL);
}

/* The state of the pool of that name, or NULL.  Wants the lock. */
static PmonPoolState *
find_state(const char *name)
{
	Assert(LWLockHeldByMe(PmonLock()));
	for (int i = 0; i < PMON_MAX_POOLS; i++)
	{
		if (strcmp(pmon_pool_states[i].name, name) == 0)
			return &pmon_pool_states[i];
	}
	return NULL;
}

bool
pmon_copy_pool_state(const char *name, PmonPoolState *state)
{
	const PmonPoolState *found;

	if (pmon == NULL)
		return false;
	LWLockAcquire(PmonLock(), LW_SHARED);
	found = find_state(name);
	if (found != NULL)
		*state = *found;
	LWLockRelease(PmonLock());
	return found != NULL;
}

void
pmon_count_ended_checked_out(const char *name)
{
	PmonPoolState *state;

	LWLockAcquire(PmonLock(), LW_EXCLUSIVE);
	state = find_state(name);
	if (state != NULL)
		state->ended_checked_out++;
	LWLockRelease(PmonLock());
}

void
pmon_reset_pool_states(void)
{
	Assert(LWLockHeldByMeInMode(PmonLock(), LW_EXCLUSIVE));
	for (int i = 0; i < PMON_MAX_POOLS; i++)
	{
		memset(&pmon_pool_states[i].peak_checked_out, 0, sizeof(PmonPeak));
		pmon_pool_states[i].ended_checked_out = 0;
		pmon_pool_states[i].ended_noted = 0;
		pmon_pool_states[i].last_exhausted_at = 0;
	}
}
