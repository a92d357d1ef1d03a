/*-------------------------------------------------------------------------
 *
 * shared_state.h
 *	  What is in shared memory, and what protects it.
 *
 * Memory map.  Everything is allocated when the server starts and never
 * grows.  Sizes follow max_connections (through MaxBackends) and
 * pool_monitor.max_groups.  Each module declares its own structs and asks for
 * its own parts:
 *
 *		shared_state	PmonShared: server-wide figures, the worker
 *		slots			live words: a bit for each slot that is taken;
 *						PmonMembership[], one a backend: the group that it is
 *						in; PmonSlot[], one a backend: its own exact counters
 *		groups			PmonGroupTable; PmonGroup[], one a (database, role,
 *						application); buckets of the hold times in each;
 *						PmonApplication[]; two hash tables
 *		pool_states		PmonPoolState[], one a declared pool
 *		rejections		PmonRejection[], one a (database, role, application,
 *						reason) that was refused, with a hash table;
 *						PmonRejectionQueue: on their way there
 *		history			two rings
 *		incidents		PmonIncidents, with a lock
 *		terminations	PmonTerminations, with a lock
 *		group_snapshot	a lock
 *
 * Protection.  One LWLock, PmonLock(), protects the groups, applications,
 * rejections and pools' states, their hash tables, and the header where its
 * comments say so.  It is taken by a session when it logs in, changes its
 * application name and ends; by the worker once a sample; and by readers.  A
 * transaction that ends takes no lock: each session counts into its own slot,
 * and what that holds is folded into its group when the session leaves the
 * group; hold_counters.h has the protocol.  The live words are atomic and are
 * read without a lock.  The queue of rejections is written by processes that
 * may not take a lock at all; rejections.c explains it.
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

#include "compat.h"

#define PMON_VERSION			"1.0"

/* Places in the arrays below; -1 is none */
#define PMON_NONE				(-1)

/* A highest figure and when it was reached; at is 0 as long as value is */
typedef struct PmonPeak
{
	int			value;
	TimestampTz at;
} PmonPeak;

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

	/* writing the metrics; written by who does it under PmonLock() */
	int			metrics_pid;	/* 0 while nobody does */
	uint64		metrics_writers;	/* so many have started */
	TimestampTz metrics_written_at;
	uint64		metrics_failures;

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

	/* The server's array of status entries; NULL until a backend was there */
	PgBackendStatus *volatile status_array;

	/*
	 * The wall clock less the monotonic one, in microseconds, as the worker
	 * has last seen it (0: not yet), and where the wall clock was when it had
	 * been set (0: it was not).  See idle_policy.h.
	 */
	int64		clock_offset;
	pg_atomic_uint64 clock_set_at;

	/* see role_tracker.c */
	pg_atomic_uint64 role_changes_begun;
	pg_atomic_uint64 role_changes_done;

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
} PmonShared;

/*
 * NULL unless the library is preloaded and shared memory is set up; the
 * others are valid whenever this one is.
 */
extern PmonShared *pmon;

/* The monotonic clock, which nobody sets, in microseconds */
extern int64 pmon_monotonic_us(void);

/*
 * The lock of what the memory map above says.  Other modules have locks of
 * their own; who needs two takes PmonLock() last.
 */
extern LWLock *PmonLock(void);

/*
 * Is nobody holding any of our locks?  For the postmaster, which can not wait
 * for one: after an immediate shutdown a process may have died with it.
 */
extern bool pmon_locks_are_free(void);

/*
 * How much of what was ever counted is in no sample yet.  The two are read one
 * after the other, and a reset may fall between: so never less than nothing.
 */
static inline uint64
PmonUnsampled(uint64 total, uint64 sampled)
{
	return total > sampled ? total - sampled : 0;
}

/*
 * The allocator.  Each module has a function, called from _PG_init() when the
 * library is preloaded, which asks for what it owns:
 *
 * - a part of shared memory: *pointer is set to it, at a cache line of its own.
 *	 It is of a fixed size, or of one that is asked for once the number of
 *	 backends is known.  init, which may be NULL, is called in the postmaster
 *	 each time the memory is new, which is at server start and after a crash: it
 *	 is all zeroes then, and the parts that were asked for before it are
 *	 initialised;
 * - a hash table of fixed size from a key without padding to an int;
 * - a lock.
 *
 * pmon_request_header() asks for PmonShared and its lock, and comes first;
 * pmon_request_shared_state() comes last.  is_new is called when all parts are
 * initialised.
 */
extern void pmon_request_header(void);
extern void pmon_request_part(void **pointer, Size size, void (*init) (void));
extern void pmon_request_backends_part(void **pointer, Size (*size) (void),
									   void (*init) (void));
extern void pmon_request_hash(HTAB **table, const char *name, int nelems,
							  Size keysize);
extern void pmon_request_lock(LWLock **lock);
extern void pmon_request_shared_state(void (*is_new) (void));

/* Initialise all parts, whose memory is all zeroes. */
extern void pmon_init_parts(void);

#endif							/* PMON_SHARED_STATE_H */
