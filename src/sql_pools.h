/*-------------------------------------------------------------------------
 *
 * sql_pools.h
 *	  SQL functions about declared pools.
 *
 * pool_monitor_pools, pool_monitor_capacity and pool_monitor_pool_status.
 * Their SQL comments say what they return.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_SQL_POOLS_H
#define PMON_SQL_POOLS_H

#include "fmgr.h"

extern PGDLLEXPORT Datum pool_monitor_pools(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum pool_monitor_capacity(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum pool_monitor_pool_status(PG_FUNCTION_ARGS);

#endif							/* PMON_SQL_POOLS_H */
