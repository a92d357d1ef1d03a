/*-------------------------------------------------------------------------
 *
 * rejections.h
 *	  Logins that the server refused with SQLSTATE 53300: counted exactly.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_REJECTIONS_H
#define PMON_REJECTIONS_H

#include "shared/shared_state.h"

/* Rejections kept apart, and on their way at once */
#define PMON_MAX_REJECTIONS		1000
#define PMON_QUEUE_SIZE			1024

/* Why a login was refused; the order is the one of reason names in SQL */
typedef enum PmonRejectReason
{
	PMON_REJECT_TOO_MANY_CLIENTS,
	PMON_REJECT_RESERVED_SLOTS,
	PMON_REJECT_DATABASE_LIMIT,
	PMON_REJECT_ROLE_LIMIT
} PmonRejectReason;

#define PMON_REJECT_REASONS		(PMON_REJECT_ROLE_LIMIT + 1)

/* The first of these say that the server is full */
#define PMON_SERVER_REJECT_REASONS	(PMON_REJECT_RESERVED_SLOTS + 1)

/* Names as the client sent them: they need not exist.  Padded with zeroes. */
typedef struct PmonRejectionKey
{
	char		datname[NAMEDATALEN];
	char		usename[NAMEDATALEN];
	char		application_name[NAMEDATALEN];
	int			reason;
} PmonRejectionKey;

StaticAssertDecl(sizeof(PmonRejectionKey) == 3 * NAMEDATALEN + sizeof(int),
				 "a key of a hash table has no padding");

typedef struct PmonRejection
{
	PmonRejectionKey key;
	bool		in_use;
	bool		news;			/* the log is to tell of this limit */
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
	int			nrejections;	/* places in use; under PmonLock() */
	int			nnews;			/* how many are news; likewise */

	/* all that were seen; no reset lowers this */
	pg_atomic_uint64 ever[PMON_REJECT_REASONS];

	/* those that stand under a name, under PmonLock(), and those that do not */
	uint64		named[PMON_REJECT_REASONS];
	pg_atomic_uint64 dropped[PMON_REJECT_REASONS];
	pg_atomic_uint64 last_at;	/* a TimestampTz */
	pg_atomic_uint64 woken_at;	/* when one woke the worker, likewise */

	PmonQueuedRejection entries[PMON_QUEUE_SIZE];
} PmonRejectionQueue;

/* Valid whenever pmon is */
extern PmonRejection *pmon_rejections;
extern PmonRejectionQueue *pmon_queue;

/* What SQL shows for a PmonRejectReason */
extern const char *const pmon_reject_reason_names[PMON_REJECT_REASONS];

/* Ask for the memory. */
extern void pmon_request_rejections(void);

/*
 * Install the hook that sees logins being refused.  Called from _PG_init()
 * when the library is preloaded.
 */
extern void pmon_install_rejection_hook(void);

/*
 * Move what is in the queue to the rejections.  Cheap when it is empty.  Any
 * process with a PGPROC may call it, without PmonLock(), which it takes.
 */
extern void pmon_fold_rejections(void);

/*
 * A text that was cut to what fits in so many bytes ends before the character
 * that was cut in two.  That is for UTF-8, in which the names of a refused login
 * mostly are, and statements.
 */
extern void pmon_drop_half_character(char *string, int size);

/*
 * Put back what an earlier server knew; what does not fit joins "<other>".
 * For server start: wants no lock.
 */
extern void pmon_restore_rejection(const PmonRejection *saved);

/*
 * Logins refused since the last reset, by reason.  Exact: at any moment each of
 * them is under a name, under none, or in the queue, and in just one of these.
 * Wants PmonLock(), so that nobody moves them meanwhile.
 */
extern void pmon_count_rejected(uint64 *rejected);

/*
 * All of them, and the last one's time or 0.  The first takes PmonLock(),
 * shared.
 */
extern uint64 pmon_rejected(void);
extern TimestampTz pmon_last_rejected_at(void);

/*
 * Was a login refused a moment ago?  Then the worker has to look again within a
 * second, since not every rejection wakes it.  No lock.
 */
extern bool pmon_rejections_go_on(void);

/*
 * All logins refused for that reason that the server knows of, or for any of
 * them: no reset lowers this.
 */
extern uint64 pmon_rejected_ever(PmonRejectReason reason);
extern uint64 pmon_all_rejected_ever(void);

/*
 * Tell the server log of roles and databases whose limit has been reached: once,
 * and again when none of their logins was refused for ten minutes.  Called by
 * the worker whenever it is woken.  Takes PmonLock() where there is news.
 */
extern void pmon_log_limits(void);

/*
 * Forget the rejections of one application (NULL: of all).  Wants PmonLock()
 * exclusively.
 */
extern void pmon_reset_rejections(const char *application_name);

#endif							/* PMON_REJECTIONS_H */
