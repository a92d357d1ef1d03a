/*-------------------------------------------------------------------------
 *
 * own_settings.h
 *	  Has this session turned core's idle timeouts off for itself?
 *
 * Who sets idle_session_timeout or idle_in_transaction_session_timeout to 0,
 * in a start-up packet, with SET or with set_config(), says that the session
 * must not be ended while it is idle: pg_dump does, since a dump loses rows
 * without a word when the session that holds its locks goes away.  A 0 from
 * the server's configuration, a database's or a role's settings says nothing
 * like it: it is the default.
 *
 * To know it from the very moment of the statement until it is undone, by
 * RESET, by the end of a transaction or of a savepoint, we hang ourselves on
 * the two settings.  Core tells a check hook where a value comes from, keeps
 * what the hook adds to the value together with it, and gives both to the
 * assign hook whenever the value is put in force, for whatever reason.  So
 * nothing has to be looked at when a statement or a transaction ends.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_OWN_SETTINGS_H
#define PMON_OWN_SETTINGS_H

#include "shared/shared_state.h"
#include "shared/slots.h"

/*
 * Follow the two settings, in this process and those forked from it.  Called
 * from _PG_init() when the library is preloaded.
 */
extern void pmon_follow_own_settings(void);

/* Keep own_timeouts of the session's slot; it says what holds now, too. */
extern void pmon_show_own_settings(PmonSlot *slot);

#endif							/* PMON_OWN_SETTINGS_H */
