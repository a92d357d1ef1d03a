/*-------------------------------------------------------------------------
 *
 * name_tracker.h
 *	  Has this session's application name been assigned?
 *
 * A session can change its name by SET, SET LOCAL, set_config(), RESET and
 * DISCARD, and by a transaction or a savepoint that ends; the server's
 * configuration can change it, too.  All of them come through the assign hook of
 * the setting.  We stand before core's own there and only note that it was
 * called, so that a transaction need not compare names when it ends.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_NAME_TRACKER_H
#define PMON_NAME_TRACKER_H

#include "compat.h"

/*
 * True from when the name was assigned, perhaps to what it was before, until
 * pmon_name_is_known().  Always true where the name can not be followed.
 */
extern PMON_HIDDEN bool pmon_name_was_assigned;

/* The name that is in force now has been looked at. */
extern void pmon_name_is_known(void);

/*
 * Follow the setting, in this process and those forked from it.  Called from
 * _PG_init() when the library is preloaded.
 */
extern void pmon_follow_application_name(void);

#endif							/* PMON_NAME_TRACKER_H */
