/*-------------------------------------------------------------------------
 *
 * checked_out.h
 *	  How many connections of a declared pool its client has checked out.
 *
 * A session that holds a transaction or runs a statement is checked out.  One
 * that is idle may be, too, while its client calls another service or has
 * forgotten it; the server sees that only where the pool, as it is declared,
 * proves it:
 *
 *	opened		a pool that opens connections on demand opens one when it has
 *				none to give.  What was idle at that instant, and has been since,
 *				was checked out then.  It may be given back without a word to
 *				the server.  So this counts only for a pool that has opened all
 *				that it can have: those that wait for one would use it at once,
 *				and if there are none, the pool closes the next ones.  And only
 *				for a minute, and until any session of the pool ends.
 *	closes idle	the pool closes what is free for so long; what is idle for
 *				clearly longer is not free.
 *	overflow	SQLAlchemy's QueuePool closes what comes back while it has size
 *				free ones: those beyond size are checked out.  How many, not
 *				which.
 *
 * All of them rest on the declaration, and each is a lower bound.  A pool that has
 * more sessions than its capacity is not what was declared, so that neither its
 * openings nor its overflow prove anything.
 *
 * Pure functions over plain structs; nothing here allocates, locks or raises an
 * error.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_CHECKED_OUT_H
#define PMON_CHECKED_OUT_H

#include "datatype/timestamp.h"

#include "pure/pools.h"
#include "pure/session_state.h"

/*
 * So long, in microseconds, an opening proves something: twice the time after which
 * those that wait give up by default (SQLAlchemy's pool_timeout and HikariCP's
 * connectionTimeout are 30 s), so that it is there when they say so.
 */
#define PMON_OPENING_LASTS	INT64CONST(60000000)

/* What proves that a session is checked out */
typedef enum PmonProof
{
	PMON_PROOF_NONE,			/* nothing: it counts as checked in */
	PMON_PROOF_STATE,			/* it is in a transaction or runs something */
	PMON_PROOF_OPENED,
	PMON_PROOF_CLOSES_IDLE
} PmonProof;

#define PMON_PROOFS		(PMON_PROOF_CLOSES_IDLE + 1)

/*
 * The last session that a pool has opened when it had none to give, and since when
 * none of its sessions has ended; opened_at is 0 where there is none, or it proves
 * nothing.
 */
typedef struct PmonOpening
{
	TimestampTz opened_at;		/* start of the session */
	TimestampTz closed_at;		/* no session of the pool ended later */
	PmonClient	client;			/* where it came from */
} PmonOpening;

/* The sessions of a pool, counted by their proofs */
typedef struct PmonPoolUse
{
	int			connections;
	int			idle;			/* outside of a transaction, proven or not */
	int			proofs[PMON_PROOFS];
} PmonPoolUse;

/*
 * Does the pool open a connection only when it has none to give?  One with an
 * overflow does, unless it opens some in reserve.  Others may as well, but as they
 * keep what is given back, nothing would tell when it has been.
 */
extern bool pmon_pool_opens_on_demand(const PmonPool *pool);

/* Does an opening prove anything at that time, with so many sessions? */
extern bool pmon_opening_holds(const PmonPool *pool, const PmonOpening *opening,
							   int connections, TimestampTz now);

/*
 * What proves that a session of the pool is checked out.  idle_since matters
 * for an idle one only, and so does the client; opening is NULL where none holds.  Where the pool keeps some that are
 * free (min_idle), PMON_PROOF_CLOSES_IDLE is true of all but those, and nobody can
 * tell which these are.
 */
extern PmonProof pmon_prove(const PmonPool *pool, const PmonOpening *opening,
							PmonState state, TimestampTz idle_since,
							const PmonClient *client, TimestampTz now);

/*
 * How many of the idle sessions are checked out, at least.
 */
extern int	pmon_pool_held_idle(const PmonPool *pool, const PmonPoolUse *use);

/* The word that users see; NULL for PMON_PROOF_NONE */
extern const char *pmon_proof_name(PmonProof proof);

#endif							/* PMON_CHECKED_OUT_H */
