/*-------------------------------------------------------------------------
 *
 * shared_state.h
 *	  What is in shared memory, who writes it, and what protects it.
 *
 * Memory map.  Everything is allocated when the server starts and never
 * grows.  Sizes follow max_connections (through MaxBackends) and
 * pool_monitor.max_groups:
 *
 *		PmonShared			the header: server-wide figures, the worker
 *		live words			one bit for each slot that a session occupies
 *		PmonMembership[]	one a backend: the group that it is in
 *		PmonSlot[]			one a backend: its own exact counters
 *		PmonGroup[]			one a (database, role, application)
 *		buckets				of the hold times in each group
 *		PmonApplication[]	one an application
 *		PmonRejection[]		one a (database, role, application, reason) that
 *							was refused
 *		three hash tables	from the keys to the places in those arrays
 *		PmonRejectionQueue	refused logins on their way into PmonRejection[]
 *		two rings			the history; see history.h
 *		PmonIncidents, PmonTerminations
 *							with locks of their own; see incidents.h and
 *							terminations.h
 *
 * Protection.  One LWLock, PmonLock(), protects the groups, applications and
 * rejections, their hash tables, and the header where its comments say so.
 * It is taken by a session when it logs in, changes its application name and
 * ends; by the worker once a sample; and by readers.  A transaction that ends
 * takes no lock: each session counts into its own slot, where it is the only
 * writer, and what a slot holds is folded into its group when the session
 * leaves the group.  A reader therefore adds a group's counters and those of
 * the slots that belong to it, both under the lock, so that a count that
 * moves from one to the other is seen exactly once.
 *
 * The live words are atomic and are read without a lock.  The queue of
 * rejections is written by processes that may not take a lock at all;
 * rejections.c explains it.
 *
 * Functions in shared_state.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_SHARED_STATE_H
#define PMON_SHARED_STATE_H

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "utils/hsearch.h"

#include "pure/client_network.h"
#include "compat.h"
#include "pure/pools.h"
#include "shared/hold_counters.h"

#define PMON_VERSION			"1.0"

/* The application that takes the figures of those that were folded */
#define PMON_OTHER_APPLICATION	"<other>"

/*
 * Ids of applications are below this one, so that history can use those above
 * for pools.
 */
#define PMON_ID_LIMIT			0x80000000

/* Places in the arrays below; -1 is none */
#define PMON_NONE				(-1)

/* Rejections kept apart, and on their way at once */
#define PMON_MAX_REJECTIONS		1000
#define PMON_QUEUE_SIZE			1024

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
 * slot's live bit and cleared after it.  group_since is written by the session
 * under PmonLock().  What a transaction changes is in two cache lines: that of
 * the counters and one of the buckets.
 */
typedef struct PmonSlot
{
	int			pid;

	/* set before pid; the server itself may not know these yet */
	PGPROC	   *proc;
	PmonClient	client_addr;
	int			client_port;	/* as in PmonSession */
	TimestampTz backend_start;
	char		application_name[NAMEDATALEN];	/* as it was at login */

	TimestampTz group_since;	/* when the session entered the group */
	bool		superuser;		/* set at login */
	volatile bool listening;	/* to any channel; set by the session */
	volatile uint8 own_timeouts;	/* bits below; likewise */

	/*
	 * When the transaction started that failed last, a TimestampTz: core
	 * forgets that as it fails
	 */
	pg_atomic_uint64 failed_xact_start;

	/* a request to end the session; see end_request.h */
	pg_atomic_uint32 request;
	pg_atomic_uint64 request_token;
	pg_atomic_uint64 accepted_token;
	Latch	   *volatile requester;

	PmonHoldCounters hold;
} PmonSlot;

/* Counters of a group; exact.  Times are in microseconds. */
typedef struct PmonCounters
{
	uint64		sessions;
	uint64		sessions_abandoned;
	uint64		sessions_fatal;
	uint64		sessions_killed;
	uint64		terminated;		/* by us; not in sessions_fatal */
	uint64		session_time;
	PmonHoldTotals hold;
} PmonCounters;

/* A highest figure and when it was reached; at is 0 as long as value is */
typedef struct PmonPeak
{
	int			value;
	TimestampTz at;
} PmonPeak;

/* No padding between the members, and the name is padded with zeroes */
typedef struct PmonGroupKey
{
	Oid			databaseid;
	Oid			userid;
	char		application_name[NAMEDATALEN];
} PmonGroupKey;

typedef struct PmonGroup
{
	PmonGroupKey key;
	char		datname[NAMEDATALEN];	/* names and client as of the session */
	char		usename[NAMEDATALEN];	/* that entered last; for pools */
	PmonClient	client_addr;
	bool		in_use;
	uint32		id;				/* new each time the place is taken */
	uint32		generation;		/* counts resets: see PmonHoldCounters */
	int			application;	/* place in the applications */
	int			connections;	/* sessions that are in the group now */
	PmonPeak	peak_connections;
	PmonPeak	peak_checked_out;	/* as sampled */
	TimestampTz counted_since;	/* start, or the last reset */
	TimestampTz last_used;		/* when a session last left; 0: none has */
	int			lru_prev;		/* a list of groups without sessions; or the */
	int			lru_next;		/* next one of the free places */
	PmonCounters counters;
} PmonGroup;

/* Places of groups, from the least recently used one on */
typedef struct PmonGroupList
{
	int			first;
	int			last;
	int			length;
} PmonGroupList;

/*
 * An application is remembered, for the sake of its history, after its last
 * group is gone, until its place is wanted.
 */
typedef struct PmonApplication
{
	char		application_name[NAMEDATALEN];	/* padded with zeroes */
	bool		in_use;
	uint32		id;				/* new each time the place is taken */
	int			groups;			/* groups of this application */
	int			lru_prev;		/* the list of applications without groups, */
	int			lru_next;		/* by when they lost the last; or free places */
	PmonHoldBrief moved;		/* what its groups have, but is in a minute of
								 * the history or came from other
								 * applications, less what went there */
	int			connections;
	PmonPeak	peak_connections;
	PmonPeak	peak_checked_out;	/* as sampled */
} PmonApplication;

/*
 * What is kept of a declared pool, by its name; the worker looks after it.
 * The counts are of the last sample.
 */
typedef struct PmonPoolState
{
	char		name[NAMEDATALEN];	/* empty: an unused place */
	int			connections;
	int			checked_out;
	PmonPeak	peak_checked_out;
	bool		exhausted;		/* as it was logged */
	int			samples_below;	/* in a row, while exhausted */
} PmonPoolState;

/* Why a login was refused; the order is the one of reason names in SQL */
typedef enum PmonRejectReason
{
	PMON_REJECT_TOO_MANY_CLIENTS,
	PMON_REJECT_RESERVED_SLOTS,
	PMON_REJECT_DATABASE_LIMIT,
	PMON_REJECT_ROLE_LIMIT
} PmonRejectReason;

#define PMON_REJECT_REASONS		(PMON_REJECT_ROLE_LIMIT + 1)

/* Names as the client sent them: they need not exist.  Padded with zeroes. */
typedef struct PmonRejectionKey
{
	char		datname[NAMEDATALEN];
	char		usename[NAMEDATALEN];
	char		application_name[NAMEDATALEN];
	int			reason;
} PmonRejectionKey;

typedef struct PmonRejection
{
	PmonRejectionKey key;
	bool		in_use;
	uint64		rejected;
	TimestampTz last_at;
} PmonRejection;

/* One rejection on its way; see rejections.c for the protocol */
typedef struct PmonQueuedRejection
{
	pg_atomic_uint64 state;
	TimestampTz at;
	PmonRejectionKey key;
} PmonQueuedRejection;

typedef struct PmonRejectionQueue
{
	pg_atomic_uint64 next;		/* positions handed out to writers */
	pg_atomic_uint64 folded;	/* positions done with; changed under
								 * PmonLock() */
	TimestampTz stuck_since;	/* first seen unpublished; under PmonLock() */

	/* exact, whatever becomes of the entries; ever is not lowered by resets */
	pg_atomic_uint64 ever;
	pg_atomic_uint64 rejected[PMON_REJECT_REASONS];
	pg_atomic_uint64 dropped[PMON_REJECT_REASONS];
	pg_atomic_uint64 last_at;	/* a TimestampTz */

	PmonQueuedRejection entries[PMON_QUEUE_SIZE];
} PmonRejectionQueue;

typedef struct PmonShared
{
	/* set at server start */
	Size		memory_bytes;
	TimestampTz started_at;
	int			max_backends;
	int			max_groups;

	/* the worker; written by it under PmonLock() */
	int			worker_pid;		/* 0 while there is none */
	TimestampTz worker_started_at;
	uint64		samples;
	TimestampTz last_sample_at;
	uint64		last_sample_duration;	/* ns */
	uint64		sample_duration_max;	/* ns */
	uint64		missed_samples;

	/* saving; written by the worker under PmonLock() */
	TimestampTz saved_at;
	uint64		save_failures;
	TimestampTz restored_from;

	/*
	 * Of what was ever counted, how much is in the history.  Written under
	 * PmonLock() by the worker (shared is enough: it is the only one) and by
	 * a reset, which counts the others.
	 */
	pg_atomic_uint32 resets;
	uint64		sampled_rejected;
	uint64		sampled_terminated;

	/*
	 * The worker's latch, so that anybody can wake it.  It points into a
	 * PGPROC, so it stays valid memory; when the worker is gone, setting it
	 * at most wakes another process for nothing.
	 */
	Latch	   *volatile worker_latch;

	/*
	 * The wall clock less the monotonic one, in microseconds, as the worker
	 * has last seen it (0: not yet), and where the wall clock was when it had
	 * been set (0: it was not).  See idle_policy.h.
	 */
	int64		clock_offset;
	pg_atomic_uint64 clock_set_at;

	/* sessions that accepted our request to end, but were not ended by it */
	pg_atomic_uint64 lost_accepts;

	/* sessions ended by us since the last reset, and ever */
	pg_atomic_uint64 terminated;
	pg_atomic_uint64 terminated_ever;

	/* server-wide, under PmonLock() */
	TimestampTz stats_reset;	/* 0: never since the server started */
	int			connections;	/* sessions logged in */
	PmonPeak	peak_connections;
	PmonPeak	incident_peak;	/* since the current incident started */
	uint64		groups_evicted;
	int			ngroups;		/* places in use */
	int			napplications;	/* likewise */
	uint32		last_id;		/* of PmonGroup.id and PmonApplication.id */
	PmonGroupList idle_groups;	/* groups without sessions */
	PmonGroupList idle_others;	/* likewise, those that are an "<other>" */
	int			unused_first;	/* applications without groups */
	int			unused_last;
	int			first_free_group;
	int			first_free_application;
	int			nrejections;	/* places in use */
	PmonPoolState pool_states[PMON_MAX_POOLS];
} PmonShared;

/*
 * NULL unless the library is preloaded and shared memory is set up; the
 * others are valid whenever this one is.
 */
extern PmonShared *pmon;
extern pg_atomic_uint64 *pmon_live;
extern pg_atomic_uint64 *pmon_memberships;
extern PmonSlot *pmon_slots;
extern PmonGroup *pmon_groups;
extern PmonHoldBuckets *pmon_group_buckets; /* at the places of the groups */
extern PmonApplication *pmon_applications;
extern PmonRejection *pmon_rejections;
extern PmonRejectionQueue *pmon_queue;
extern HTAB *pmon_group_hash;
extern HTAB *pmon_application_hash;
extern HTAB *pmon_rejection_hash;

/*
 * The locks: of what the memory map above says, of the incidents, of the
 * record of terminations, and of the right to hold PmonLock() for as long as
 * it takes to copy all groups.  Who needs two takes PmonLock() last.
 */
extern LWLock *PmonLock(void);
extern LWLock *PmonIncidentLock(void);
extern LWLock *PmonTerminationLock(void);
extern LWLock *PmonSnapshotLock(void);

/*
 * Is nobody holding any of our locks?  For the postmaster, which can not wait
 * for one: after an immediate shutdown a process may have died with it.
 */
extern bool pmon_locks_are_free(void);

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

/*
 * What was counted since the mark.  A reset may have moved the mark between
 * the reading of the two, beyond the total: then there is nothing.
 */
static inline uint64
PmonUnsampled(uint64 total, uint64 sampled)
{
	return total > sampled ? total - sampled : 0;
}

/* The number of words at pmon_live */
#define PmonLiveWords()		((pmon->max_backends + 63) / 64)

/*
 * Ask for the memory and the lock, and set them up.  Called from _PG_init()
 * when the library is preloaded.  init is called, in the postmaster, each
 * time the memory is new: at server start and after a crash.
 */
extern void pmon_request_shared_state(void (*init) (void));

/*
 * Ask for another part of shared memory, which is zeroed when it is new;
 * *pointer is set to it.  For layers above; call it before the function above.
 */
extern void pmon_request_part(void **pointer, Size bytes);

#endif							/* PMON_SHARED_STATE_H */
