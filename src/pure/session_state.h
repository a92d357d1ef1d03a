/*-------------------------------------------------------------------------
 *
 * session_state.h
 *	  The states that a session can be in.
 *
 * Core's states (BackendState) by the names of pg_stat_activity, and one more:
 * a session that has not logged in yet.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_SESSION_STATE_H
#define PMON_SESSION_STATE_H

/* States, in the order of pmon_state_name() */
typedef enum PmonState
{
	PMON_STATE_STARTING,
	PMON_STATE_ACTIVE,
	PMON_STATE_IDLE,
	PMON_STATE_IDLE_IN_TRANSACTION,
	PMON_STATE_IDLE_IN_TRANSACTION_ABORTED,
	PMON_STATE_FASTPATH,
	PMON_STATE_DISABLED
} PmonState;

#define PMON_STATES		(PMON_STATE_DISABLED + 1)

/* Does a session in this state hold a transaction or run a statement? */
#define PmonIsCheckedOut(state) \
	((state) == PMON_STATE_ACTIVE || \
	 (state) == PMON_STATE_IDLE_IN_TRANSACTION || \
	 (state) == PMON_STATE_IDLE_IN_TRANSACTION_ABORTED || \
	 (state) == PMON_STATE_FASTPATH)

/* The state's name in pg_stat_activity */
extern const char *pmon_state_name(PmonState state);

#endif							/* PMON_SESSION_STATE_H */
