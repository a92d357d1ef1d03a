/*-------------------------------------------------------------------------
 *
 * terminator.h
 *	  Ends idle sessions by policy: the worker's part.
 *
 * idle_policy.h decides who is due, requester.h asks the sessions, and
 * terminations.h records what became of it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_TERMINATOR_H
#define PMON_TERMINATOR_H

/* Allocate what is needed, in the current memory context. */
extern void pmon_termination_init(void);

/*
 * Ask the sessions that are due to end.  Called after each sample.  Costs next
 * to nothing while no limit is set.  Reads the lock tables, as pg_locks does,
 * only when a session is due.
 */
extern void pmon_end_idle_sessions(void);

/*
 * Record the answers that have come, and give up on those that are overdue.
 * Called whenever the worker is woken.
 */
extern void pmon_collect_answers(void);

/* Is there an answer to wait for? */
extern bool pmon_answers_missing(void);

/* Record all answers, and withdraw the rest.  Called when the worker ends. */
extern void pmon_withdraw_requests(void);

#endif							/* PMON_TERMINATOR_H */
