/*-------------------------------------------------------------------------
 *
 * sql_sizing.h
 *	  SQL function that recommends the sizes of pools.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_SQL_SIZING_H
#define PMON_SQL_SIZING_H

#include "fmgr.h"

extern PGDLLEXPORT Datum pool_monitor_sizing(PG_FUNCTION_ARGS);

#endif							/* PMON_SQL_SIZING_H */
