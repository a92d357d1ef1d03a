/*-------------------------------------------------------------------------
 *
 * session_stats.h
 *	  Exact counts, made by each session for itself.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_SESSION_STATS_H
#define PMON_SESSION_STATS_H

/*
 * Install the hooks that see sessions begin.  Called from _PG_init() when the
 * library is preloaded.
 */
extern void pmon_install_session_hooks(void);

#endif							/* PMON_SESSION_STATS_H */
