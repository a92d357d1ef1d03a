/*-------------------------------------------------------------------------
 *
 * sql_sessions.h
 *	  SQL functions that show each session, or those that look leaked.
 *
 * Reads PGPROCs without a lock; where a session waits for a heavyweight lock
 * it reads the lock tables, as pg_locks does.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_SQL_SESSIONS_H
#define PMON_SQL_SESSIONS_H

#include "fmgr.h"

extern PGDLLEXPORT Datum pool_monitor_sessions(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum pool_monitor_leak_suspects(PG_FUNCTION_ARGS);

#endif							/* PMON_SQL_SESSIONS_H */
