/*-------------------------------------------------------------------------
 *
 * sql_metrics.h
 *	  SQL function that exposes all figures to Prometheus.
 *
 * pool_monitor_metrics.  Its SQL comment says what it returns.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_SQL_METRICS_H
#define PMON_SQL_METRICS_H

#include "fmgr.h"

extern PGDLLEXPORT Datum pool_monitor_metrics(PG_FUNCTION_ARGS);

#endif							/* PMON_SQL_METRICS_H */
