/*-------------------------------------------------------------------------
 *
 * role_tracker.h
 *	  Keeps what the slots say of roles in step with the catalog.
 *
 * Whether a session is a superuser's, and the name of its role, are in its
 * slot, for the worker, which can not look into a catalog.  A role may be
 * altered while it has sessions, and an idle session does not notice.  So
 * whoever alters or renames a role writes it into the slots of all sessions that
 * are logged in: before its commit, when the catalog can still be
 * read, it looks what will be true, and in the commit it publishes that.  What
 * is guaranteed:
 *
 * - Once ALTER ROLE (or COMMIT PREPARED of one) has returned to its client, all
 *	 sessions of that role are judged by what the role is now.
 * - A session that logs in meanwhile, and may have read the role as it was,
 *	 counts as a superuser's until it has looked again, with its next
 *	 transaction.
 * - On a standby nobody alters a role, and a superuser may also write into
 *	 pg_authid by hand.  Then a session follows when it next runs a statement,
 *	 or catches up with the changes of the server by itself.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_ROLE_TRACKER_H
#define PMON_ROLE_TRACKER_H

#include "access/xact.h"
#include "nodes/nodes.h"

#include "compat.h"

/* Set when there is something to do for pmon_track_roles(): one of these. */
#define PMON_ROLES_TO_READ		0x1
#define PMON_ROLES_TO_PUBLISH	0x2
extern PMON_HIDDEN uint8 pmon_roles_due;

/* Start to follow changes.  Called when the session takes its slot. */
extern void pmon_start_role_tracker(void);

/*
 * Is what was read of the role since then, in order to log in, certain?  Called
 * under PmonLock(); where it is not, the session looks again.
 */
extern bool pmon_role_is_certain(void);

/* Note a utility statement that is about to be executed: does it alter roles? */
extern void pmon_track_alter_role(Node *statement);

/*
 * To be called for these events of a transaction where anything is
 * due: XACT_EVENT_PRE_COMMIT, where it may raise an error, COMMIT and
 * ABORT.  Takes PmonLock().
 */
extern void pmon_track_roles(XactEvent event, int my_slot);

#endif							/* PMON_ROLE_TRACKER_H */
