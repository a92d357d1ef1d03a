/*-------------------------------------------------------------------------
 *
 * start_snapshot.c
 *	  Who held the connections when the first login was refused.
 *
 * See start_snapshot.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "utils/timestamp.h"

#include "shared/shared_state.h"
#include "shared/start_snapshot.h"

/* How often the worker looks again, and how long it waits in between, in us */
#define LOOKS				20
#define LOOK_AGAIN_AFTER	1000

/* Who took it and has not counted its refusal by then is dead, or stopped. */
#define UNHEARD_OF_AFTER	(10 * USECS_PER_SEC)

typedef enum Phase
{
	WANTED,
	BEING_TAKEN,
	TAKEN,
	DONE
} Phase;

#define PHASES				(DONE + 1)

#define PHASE(state)		((Phase) ((state) % PHASES))
#define ROUND(state)		((state) - (state) % PHASES)

typedef struct StartSnapshot
{
	pg_atomic_uint64 state;
	PmonSessionSnapshot snapshot;	/* as long as there are backends */
} StartSnapshot;

static StartSnapshot *start = NULL;

static Size
start_snapshot_size(void)
{
	return add_size(offsetof(StartSnapshot, snapshot), pmon_session_snapshot_size());
}

static void
init_start_snapshot(void)
{
	pg_atomic_init_u64(&start->state, WANTED);
}

void
pmon_request_start_snapshot(void)
{
	pmon_request_backends_part((void **) &start, start_snapshot_size,
							   init_start_snapshot);
}

void
pmon_take_start_snapshot(void)
{
	uint64		state = pg_atomic_read_u64(&start->state);
	uint64		mine = ROUND(state) + BEING_TAKEN;

	if (PHASE(state) != WANTED || !pmon_status_array_is_known() ||
		!pg_atomic_compare_exchange_u64(&start->state, &state, mine))
		return;

	start->snapshot.taken_at = GetCurrentTimestamp();
	for (int i = 0; i < pmon_status_slots(); i++)
	{
		if (pg_atomic_read_u64(&start->state) != mine)
			return;
		pmon_see_session(&start->snapshot, i);
	}
	pmon_see_waits(&start->snapshot);

	/* where this fails, the worker has given it up */
	state = mine;
	pg_atomic_compare_exchange_u64(&start->state, &state, ROUND(mine) + TAKEN);
}

const PmonSessionSnapshot *
pmon_start_snapshot(void)
{
	uint64		state = pg_atomic_read_u64(&start->state);

	for (int i = 0; i < LOOKS && PHASE(state) == BEING_TAKEN; i++)
	{
		pg_usleep(LOOK_AGAIN_AFTER);
		state = pg_atomic_read_u64(&start->state);
	}
	if (PHASE(state) == BEING_TAKEN)
	{
		if (pg_atomic_compare_exchange_u64(&start->state, &state, ROUND(state) + DONE))
			return NULL;
		/* it has been completed just now */
	}
	pg_read_barrier();
	return PHASE(state) == TAKEN ? &start->snapshot : NULL;
}

void
pmon_finish_start_snapshot(void)
{
	uint64		state = pg_atomic_read_u64(&start->state);

	/* the process that takes it, or would, may be faster */
	while (PHASE(state) != DONE &&
		   !pg_atomic_compare_exchange_u64(&start->state, &state, ROUND(state) + DONE))
		;
}

void
pmon_want_start_snapshot(void)
{
	uint64		state = pg_atomic_read_u64(&start->state);
	bool		unused = PHASE(state) == TAKEN &&
	GetCurrentTimestamp() - start->snapshot.taken_at > UNHEARD_OF_AFTER;

	if (PHASE(state) == DONE || unused)
		pg_atomic_compare_exchange_u64(&start->state, &state,
									   ROUND(state) + PHASES + WANTED);
}
