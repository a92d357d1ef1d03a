/*-------------------------------------------------------------------------
 *
 * sql_live.h
 *	  SQL functions that show the server's connections as they are now.
 *
 * pool_monitor_status, pool_monitor_connections, and
 * the counts behind pool_monitor_databases and pool_monitor_roles.  Their SQL
 * comments say what they return.  None takes a lock but PmonLock(), shared,
 * for a few words of it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_SQL_LIVE_H
#define PMON_SQL_LIVE_H

#include "fmgr.h"

extern PGDLLEXPORT Datum pool_monitor_status(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum pool_monitor_connections(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum pool_monitor_database_counts(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum pool_monitor_role_counts(PG_FUNCTION_ARGS);

#endif							/* PMON_SQL_LIVE_H */
