/*-------------------------------------------------------------------------
 *
 * session_pool.h
 *	  Which declared pool a session belongs to: the one place that decides.
 *
 * A session is matched by figures of its own: the application name and the
 * client address that its status entry shows, and the names of its database
 * and role.  These it leaves in its slot, since the worker can not look into a
 * catalog.  (A database with sessions can not be renamed; role_tracker.h says
 * how a role's new name gets there.  The group that a session counts in is no
 * substitute: it may be an "<other>" that has sessions of many names.)
 *
 * Views, functions and the worker ask here, and so does whoever is about to
 * end a session, once more: the one that is shown as exempt is never ended.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_SESSION_POOL_H
#define PMON_SESSION_POOL_H

#include "pure/pools.h"
#include "shared/status_array.h"

/*
 * For the session itself: note in its slot who it is.  Called when it is
 * complete, and when it goes on under another name; application_name is the
 * one that it counts for.  Wants PmonLock(), exclusively.
 */
extern void pmon_set_identity(int slot, const char *datname,
							  const char *usename,
							  const char *application_name);

/* The role of a session has been renamed.  Wants the lock likewise. */
extern void pmon_set_role_name(int slot, const char *usename);

/*
 * Find the pool that takes a session, as an index of pools, or -1.  Returns
 * false where there is no slot that says who the session is: the library is
 * not preloaded, or the session is not complete or has ended.  No lock.
 */
extern bool pmon_match_session(const PmonPools *pools, const PmonSession *session,
							   int *pool);

/*
 * The same for a session of which only the place and the application name are
 * known, and which is complete; -1 where it is not.
 */
extern int	pmon_match_slot(const PmonPools *pools, int slot,
							const char *application_name);

/* For views, where a session is not in a slot: by names from the catalogs */
extern int	pmon_match_names(const PmonPools *pools, const PmonSession *session,
							 const char *datname, const char *usename);

#endif							/* PMON_SESSION_POOL_H */
