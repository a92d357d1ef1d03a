/*-------------------------------------------------------------------------
 *
 * sql_groups.h
 *	  SQL functions that show live and exact figures by application or group.
 *
 * pool_monitor_applications and pool_monitor_groups.  Their SQL comments say
 * what they return.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_SQL_GROUPS_H
#define PMON_SQL_GROUPS_H

#include "fmgr.h"

extern PGDLLEXPORT Datum pool_monitor_applications(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum pool_monitor_groups(PG_FUNCTION_ARGS);

#endif							/* PMON_SQL_GROUPS_H */
