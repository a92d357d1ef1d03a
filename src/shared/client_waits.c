/*-------------------------------------------------------------------------
 *
 * client_waits.c
 *	  Which statements have been seen waiting for their client.
 *
 * See client_waits.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "shared/client_waits.h"
#include "shared/slots.h"
#include "shared/status_array.h"

/* One a backend */
static pg_atomic_uint64 *client_waits = NULL;

static Size
client_waits_size(void)
{
	return mul_size(sizeof(pg_atomic_uint64), MaxBackends);
}

static void
init_client_waits(void)
{
	for (int i = 0; i < pmon->max_backends; i++)
		pg_atomic_init_u64(&client_waits[i], 0);
}

void
pmon_request_client_waits(void)
{
	pmon_request_backends_part((void **) &client_waits, client_waits_size,
							   init_client_waits);
}

/* The lowest bit has the way; the highest one of a time is of no use. */
static uint64
make_note(TimestampTz query_start, bool writes)
{
	return ((uint64) query_start << 1) | (writes ? 1 : 0);
}

bool
pmon_waits_for_client(uint32 wait_event_info)
{
	return wait_event_info == WAIT_EVENT_CLIENT_READ ||
		wait_event_info == WAIT_EVENT_CLIENT_WRITE;
}

void
pmon_note_client_wait(int slot, TimestampTz query_start, uint32 wait_event_info)
{
	if (pmon != NULL)
		pg_atomic_write_u64(&client_waits[slot],
							make_note(query_start,
									  wait_event_info == WAIT_EVENT_CLIENT_WRITE));
}

static uint32
wait_event_of(int slot)
{
	return *((volatile uint32 *) &pmon_slots[slot].proc->wait_event_info);
}

void
pmon_watch_for_client_wait(int slot)
{
	uint32		wait_event_info = wait_event_of(slot);
	PmonSession session;

	if (!pmon_waits_for_client(wait_event_info) ||
		!pmon_read_session(slot, &session) ||
		session.state != PMON_STATE_ACTIVE)
		return;

	/* else it may have been the statement before that waited */
	if (wait_event_of(slot) == wait_event_info)
		pmon_note_client_wait(slot, session.query_start, wait_event_info);
}

uint32
pmon_noted_client_wait(int slot, TimestampTz query_start)
{
	uint64		note;

	if (pmon == NULL)
		return 0;
	note = pg_atomic_read_u64(&client_waits[slot]);
	if (note == make_note(query_start, true))
		return WAIT_EVENT_CLIENT_WRITE;
	if (note == make_note(query_start, false))
		return WAIT_EVENT_CLIENT_READ;
	return 0;
}
