/*-------------------------------------------------------------------------
 *
 * live_pools.h
 *	  Which declared pool each session belongs to, as a query sees it.
 *
 * Needs a backend that can look into the catalogs, and nothing else: it works
 * where the library is not preloaded.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_LIVE_POOLS_H
#define PMON_LIVE_POOLS_H

#include "query/live_counts.h"
#include "shared/status_array.h"

/* Names that have been looked up, for the duration of a query */
typedef struct PmonNames PmonNames;

/* Start to match sessions.  Allocates in the current memory context. */
extern PmonNames *pmon_begin_matching(void);

/* The name of a database or a role; NULL for what has been dropped */
extern const char *pmon_live_database(PmonNames *names, Oid databaseid);
extern const char *pmon_live_role(PmonNames *names, Oid userid);

/* The pool of a session, as an index of pmon_declared, or -1 */
extern int	pmon_live_pool(PmonNames *names, const PmonSession *session);

/*
 * Count all sessions by pool: counts has an element for each declared pool,
 * and one more for the sessions that are in none, or in one without a size.
 */
extern void pmon_count_pools(PmonCounts *counts);

/* What all sessions of the groups in a pool counted as invalid; exact */
extern void pmon_count_invalid(int64 *invalid);

#endif							/* PMON_LIVE_POOLS_H */
