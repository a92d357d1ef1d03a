/*-------------------------------------------------------------------------
 *
 * wait_graph.h
 *	  Who waits for whom, through however many others.
 *
 * A session that waits for a lock waits for those who hold it in a mode that
 * conflicts, and for those ahead of it in the queue who wait for such a mode.
 * That is what pg_blocking_pids() tells of one session; here it is followed
 * to its end, for all of them at once.
 *
 * Nothing here looks at anything but its arguments, allocates or raises an
 * error; the caller brings the memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_WAIT_GRAPH_H
#define PMON_WAIT_GRAPH_H

/* Lock modes are numbered from 1 on; 0 is none */
#define PMON_LOCK_MODES			9

/*
 * One session's share in one object that somebody waits for.  A session is
 * what can not wait for itself: a backend with its parallel workers, or a
 * prepared transaction.
 */
typedef struct PmonLockShare
{
	int			object;
	int			session;		/* from 0 on */
	int			holds;			/* a bit for each mode: 1 << mode */
	int			awaits;			/* a mode, or 0 */
} PmonLockShare;

/* What comes out for a session */
typedef struct PmonWait
{
	bool		waits;
	int			blocks;			/* sessions that wait for it, directly or not */
	int			root;			/* a session that all of this is due to, for
								 * one that waits; or -1 */
} PmonWait;

/*
 * All shares, those in one object next to each other, and of these the ones
 * that wait in the order of the queue.  conflicts has, for each mode, a bit
 * for each mode that it conflicts with.
 */
typedef struct PmonLockShares
{
	const PmonLockShare *shares;
	int			n;
	int			nsessions;
	const int  *conflicts;
} PmonLockShares;

/* How much memory pmon_follow_waits() needs for these. */
extern size_t pmon_wait_graph_size(const PmonLockShares *shares);

/*
 * Fill in waits, which has nsessions elements.  memory is of the size that
 * the function above has told, aligned for 64-bit words.
 *
 * Of several roots, the one with the most sessions behind it is told, and of
 * these the one with the lowest number.  In a deadlock everybody blocks all
 * others, and the root is the lowest of the others.
 */
extern void pmon_follow_waits(const PmonLockShares *shares, PmonWait *waits,
							  void *memory);

#endif							/* PMON_WAIT_GRAPH_H */
