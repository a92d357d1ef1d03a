/*-------------------------------------------------------------------------
 *
 * sql_admin.h
 *	  SQL functions about the extension itself, and about rejections.
 *
 * pool_monitor_info, pool_monitor_rejections and pool_monitor_reset.  Their
 * SQL comments say what they return.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_SQL_ADMIN_H
#define PMON_SQL_ADMIN_H

#include "fmgr.h"

extern PGDLLEXPORT Datum pool_monitor_info(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum pool_monitor_rejections(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum pool_monitor_reset(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum pool_monitor_reset_application(PG_FUNCTION_ARGS);

#endif							/* PMON_SQL_ADMIN_H */
