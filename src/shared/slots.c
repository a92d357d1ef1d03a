/*-------------------------------------------------------------------------
 *
 * slots.c
 *	  What each session leaves in shared memory.
 *
 * See slots.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "shared/slots.h"

pg_atomic_uint64 *pmon_live = NULL;
pg_atomic_uint64 *pmon_memberships = NULL;
PmonSlot   *pmon_slots = NULL;

static Size
live_size(void)
{
	return mul_size(sizeof(pg_atomic_uint64), (MaxBackends + 63) / 64);
}

static Size
memberships_size(void)
{
	return mul_size(sizeof(pg_atomic_uint64), MaxBackends);
}

static Size
slots_size(void)
{
	return mul_size(sizeof(PmonSlot), MaxBackends);
}

static void
init_live(void)
{
	for (int i = 0; i < PmonLiveWords(); i++)
		pg_atomic_init_u64(&pmon_live[i], 0);
}

static void
init_memberships(void)
{
	for (int i = 0; i < pmon->max_backends; i++)
	{
		pg_atomic_init_u64(&pmon_memberships[i], 0);
		PmonSetMembership(i, PMON_NONE, 0);
	}
}

static void
init_slots(void)
{
	for (int i = 0; i < pmon->max_backends; i++)
	{
		PmonInitEndSlot(&pmon_slots[i].end);
		pmon_init_hold_counters(&pmon_slots[i].hold);
	}
}

void
pmon_request_slots(void)
{
	pmon_request_backends_part((void **) &pmon_live, live_size, init_live);
	pmon_request_backends_part((void **) &pmon_memberships, memberships_size, init_memberships);
	pmon_request_backends_part((void **) &pmon_slots, slots_size, init_slots);
}
