/*-------------------------------------------------------------------------
 *
 * slots.h
 *	  What each session leaves in shared memory, at its place in the status
 *	  array.
 *
 * A session takes its slot when it has been authenticated, and frees it when
 * it exits.  The live words have a bit for each slot that is taken: they are
 * atomic and are read without a lock.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_SLOTS_H
#define PMON_SLOTS_H

#include "pure/client_network.h"
#include "shared/end_request.h"
#include "shared/hold_counters.h"
#include "shared/shared_state.h"

/*
 * The group that a session is in: one a backend, at its place in the status
 * array, as an atomic, so that the two figures are always of the same group.
 * Written by the session under PmonLock(); the worker reads it without, and
 * checks it against the group before it uses it.
 *
 * It is not in PmonSlot because it is all that a sample reads of ours: the
 * memberships of eight backends share a cache line, where each slot would have
 * been another one, and another page.
 */
typedef struct PmonMembership
{
	int			group;			/* PMON_NONE until the session is logged in */
	uint32		group_id;		/* PmonGroup.id of that group */
} PmonMembership;

/* Which of core's timeouts a session has turned off for itself */
#define PMON_OWN_IDLE_TIMEOUT			0x01
#define PMON_OWN_IN_TRANSACTION_TIMEOUT	0x02

/*
 * One a backend, at its place in the status array.  pid is set before the
 * slot's live bit and cleared after it.  group_since and the names are written
 * under PmonLock(); session_pool.h says who reads the names without it.  What a
 * transaction changes is in two cache lines: that of the counters and one of
 * the buckets.
 */
typedef struct PmonSlot
{
	int			pid;
	volatile uint32 identity;	/* another number each time that the session,
								 * or one of its names, is another one */

	/* set before pid; the server itself may not know these yet */
	PGPROC	   *proc;
	PmonClient	client_addr;
	int			client_port;	/* as in PmonSession */
	TimestampTz backend_start;

	/* that of the start-up packet, then the one that the session counts for */
	char		application_name[NAMEDATALEN];

	/* set when the session is complete, and when it changes its name */
	char		datname[NAMEDATALEN];
	char		usename[NAMEDATALEN];

	TimestampTz group_since;	/* when the session entered the group */
	Oid			userid;			/* who logged in */
	bool		superuser;		/* is it one's; see role_tracker.h */
	volatile bool listening;	/* to any channel; set by the session */
	volatile uint8 own_timeouts;	/* bits below; likewise */

	/*
	 * When the transaction started that failed last, a TimestampTz: core
	 * forgets that as it fails
	 */
	pg_atomic_uint64 failed_xact_start;

	PmonEndSlot end;			/* see end_request.h */

	PmonHoldCounters hold;
} PmonSlot;

/* Valid whenever pmon is */
extern pg_atomic_uint64 *pmon_live;
extern pg_atomic_uint64 *pmon_memberships;
extern PmonSlot *pmon_slots;

/* Ask for the memory.  Called from _PG_init(). */
extern void pmon_request_slots(void);

static inline PmonMembership
PmonGetMembership(int slot)
{
	uint64		bits = pg_atomic_read_u64(&pmon_memberships[slot]);
	PmonMembership membership;

	memcpy(&membership, &bits, sizeof(membership));
	return membership;
}

static inline void
PmonSetMembership(int slot, int group, uint32 group_id)
{
	PmonMembership membership = {.group = group,.group_id = group_id};
	uint64		bits;

	memcpy(&bits, &membership, sizeof(bits));
	pg_atomic_write_u64(&pmon_memberships[slot], bits);
}

/* The number of words at pmon_live */
#define PmonLiveWords()		((pmon->max_backends + 63) / 64)

#endif							/* PMON_SLOTS_H */
