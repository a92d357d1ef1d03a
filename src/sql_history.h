/*-------------------------------------------------------------------------
 *
 * sql_history.h
 *	  SQL functions that show the past.
 *
 * pool_monitor_history, pool_monitor_utilization, pool_monitor_chart,
 * pool_monitor_incidents and pool_monitor_incident_holders.  Their SQL
 * comments say what they return.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_SQL_HISTORY_H
#define PMON_SQL_HISTORY_H

#include "fmgr.h"

extern PGDLLEXPORT Datum pool_monitor_history(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum pool_monitor_utilization(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum pool_monitor_chart(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum pool_monitor_incidents(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum pool_monitor_incident_holders(PG_FUNCTION_ARGS);

#endif							/* PMON_SQL_HISTORY_H */
