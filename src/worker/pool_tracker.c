/*-------------------------------------------------------------------------
 *
 * pool_tracker.c
 *	  How full the declared pools are, as the worker sees it.
 *
 * See pool_tracker.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "utils/builtins.h"

#include "shared/groups.h"
#include "shared/pool_states.h"
#include "shared/session_pool.h"
#include "shared/settings.h"
#include "shared/slots.h"
#include "worker/openings.h"
#include "worker/pool_tracker.h"

/* An exhausted pool is healthy again after so many samples below capacity */
#define HEALTHY_SAMPLES		10

/* Ends of sessions that were checked out are news again after so long a pause */
#define ENDED_PAUSE			(10 * 60 * USECS_PER_SEC)

/* What was matched, and with which result */
typedef struct SessionMatch
{
	uint32		version;		/* pmon_declared_version; 0: not matched yet */
	uint32		identity;		/* of the slot */
	int			pool;
	TimestampTz backend_start;	/* of the session that was matched */
} SessionMatch;

typedef struct GroupMatch
{
	uint32		version;
	uint32		group_id;
	int			pool;
} GroupMatch;

static SessionMatch *sessions;	/* by slot */
static GroupMatch *groups;		/* by place */

/* The version that the pools' states in shared memory are of */
static uint32 states_version = 0;

void
pmon_pool_tracker_init(void)
{
	sessions = palloc0(sizeof(SessionMatch) * pmon->max_backends);
	groups = palloc0(sizeof(GroupMatch) * pmon->max_groups);
}

int
pmon_session_pool(int slot)
{
	SessionMatch *known = &sessions[slot];
	uint32		identity = pmon_slots[slot].identity;
	TimestampTz backend_start;

	if (pmon_declared->npools == 0)
		return -1;
	if (known->version == pmon_declared_version && known->identity == identity)
		return known->pool;

	/* its names were there before the number, and may be newer now */
	pg_read_barrier();
	known->pool = pmon_match_slot(pmon_declared, slot,
								  pmon_slots[slot].application_name);
	known->version = pmon_declared_version;
	known->identity = identity;
	backend_start = pmon_slots[slot].backend_start;
	if (known->pool >= 0)
		pmon_note_arrival(known->pool, slot, known->backend_start != backend_start);
	known->backend_start = backend_start;
	return known->pool;
}

int
pmon_current_session_pool(int slot, const char *application_name)
{
	if (pmon_declared->npools == 0)
		return -1;
	if (strcmp(pmon_slots[slot].application_name, application_name) == 0)
		return pmon_session_pool(slot);
	return pmon_match_slot(pmon_declared, slot, application_name);
}

/* Match a group.  Returns false if it is gone. */
static bool
match_group(int place, uint32 group_id, int *pool)
{
	PmonGroup  *group = &pmon_groups[place];
	PmonPoolSubject subject;
	PmonGroupKey key;
	char		datname[NAMEDATALEN];
	char		usename[NAMEDATALEN];
	bool		found;

	LWLockAcquire(PmonLock(), LW_SHARED);
	found = group->in_use && group->id == group_id;
	key = group->key;
	memcpy(datname, group->datname, NAMEDATALEN);
	memcpy(usename, group->usename, NAMEDATALEN);
	subject.client = group->client_addr;
	LWLockRelease(PmonLock());

	if (!found)
		return false;
	subject.application_name = key.application_name;
	subject.datname = datname;
	subject.usename = usename;
	*pool = pmon_pools_match(pmon_declared, &subject);
	return true;
}

void
pmon_match_groups(void)
{
	if (pmon_declared->npools == 0)
		return;

	for (int i = 0; i < pmon->max_groups; i++)
	{
		PmonGroup  *group = &pmon_groups[i];
		uint32		id = *((volatile uint32 *) &group->id);

		if (!group->in_use ||
			(groups[i].version == pmon_declared_version && groups[i].group_id == id))
			continue;
		if (match_group(i, id, &groups[i].pool))
		{
			groups[i].version = pmon_declared_version;
			groups[i].group_id = id;
		}
	}
}

int
pmon_group_pool(int place)
{
	GroupMatch *known = &groups[place];

	if (pmon_declared->npools == 0 || known->version != pmon_declared_version ||
		known->group_id != pmon_groups[place].id)
		return -1;
	return known->pool;
}

/*
 * Put the states in the order of the declared pools; one that was declared
 * before, by its name, keeps its state.  Wants the lock.
 */
static void
arrange_states(void)
{
	static PmonPoolState before[PMON_MAX_POOLS];

	Assert(LWLockHeldByMeInMode(PmonLock(), LW_EXCLUSIVE));
	if (states_version == pmon_declared_version)
		return;
	states_version = pmon_declared_version;

	memcpy(before, pmon_pool_states, PMON_POOL_STATES_BYTES);
	memset(pmon_pool_states, 0, PMON_POOL_STATES_BYTES);
	for (int i = 0; i < pmon_declared->npools; i++)
	{
		const char *name = pmon_declared->pools[i].name;

		namestrcpy((Name) pmon_pool_states[i].name, name);
		for (int j = 0; j < PMON_MAX_POOLS; j++)
		{
			if (strcmp(before[j].name, name) == 0)
				pmon_pool_states[i] = before[j];
		}
	}
}

/* Note when the pool was exhausted, and what proves how much of it is out. */
static void
note_evidence(PmonPoolState *state, int i, bool full, TimestampTz at)
{
	TimestampTz filled_at = pmon_filled_at(i);

	state->opening = *pmon_pool_opening(i);
	if (full)
		state->last_exhausted_at = at;
	else if (filled_at > state->last_exhausted_at)
		state->last_exhausted_at = filled_at;
}

/* Update one pool's state.  Returns whether there is something to log. */
static bool
update_state(PmonPoolState *state, int i, int connections, int checked_out,
			 TimestampTz at)
{
	const PmonPool *pool = &pmon_declared->pools[i];
	bool		full = pmon_pool_status(pool, checked_out,
										connections) == PMON_POOL_EXHAUSTED;

	state->connections = connections;
	state->checked_out = checked_out;
	pmon_raise_peak(&state->peak_checked_out, checked_out, at);
	note_evidence(state, i, full, at);

	if (full)
		state->samples_below = 0;
	else if (state->exhausted)
		state->samples_below++;

	/* without a size it is nothing that could be full, or not any more */
	if (pool->size < 0)
		state->exhausted = false;

	if (full == state->exhausted ||
		(!full && state->samples_below < HEALTHY_SAMPLES))
		return false;
	state->exhausted = full;
	return true;
}

/*
 * Note that sessions were ended while they were checked out.  Returns whether
 * that is to be logged: the first time, and after a pause.
 */
static bool
note_ended(PmonPoolState *state, TimestampTz at)
{
	TimestampTz before = state->ended_noted_at;

	if (state->ended_checked_out == state->ended_noted)
		return false;
	state->ended_noted = state->ended_checked_out;
	state->ended_noted_at = at;
	return at - before > ENDED_PAUSE || at < before;
}

static void
log_ended(const PmonPool *pool)
{
	ereport(LOG,
			(errmsg("sessions of connection pool \"%s\" were ended while they were checked out",
					pool->name),
			 errdetail("The server has their slots back; the client's pool stays as full as it was until the application returns them.")));
}

static void
log_state(const PmonPool *pool, bool exhausted, int checked_out)
{
	ereport(LOG,
			(exhausted ? errmsg("connection pool \"%s\" is exhausted", pool->name) :
			 errmsg("connection pool \"%s\" is healthy again", pool->name),
			 errdetail("Checked out: %d; capacity: %lld.", checked_out,
					   (long long) pmon_pool_capacity(pool))));
}

void
pmon_note_pools(const int *connections, const int *checked_out, TimestampTz at)
{
	bool		changed[PMON_MAX_POOLS] = {0};
	bool		exhausted[PMON_MAX_POOLS];
	bool		ended[PMON_MAX_POOLS] = {0};

	if (pmon_declared->npools == 0 && states_version == pmon_declared_version)
		return;

	LWLockAcquire(PmonLock(), LW_EXCLUSIVE);
	arrange_states();
	for (int i = 0; i < pmon_declared->npools; i++)
	{
		changed[i] = update_state(&pmon_pool_states[i], i, connections[i],
								  checked_out[i], at);
		exhausted[i] = pmon_pool_states[i].exhausted;
		ended[i] = note_ended(&pmon_pool_states[i], at);
	}
	LWLockRelease(PmonLock());

	for (int i = 0; i < pmon_declared->npools; i++)
	{
		if (changed[i])
			log_state(&pmon_declared->pools[i], exhausted[i], checked_out[i]);
		if (ended[i])
			log_ended(&pmon_declared->pools[i]);
	}
}
