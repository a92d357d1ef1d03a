/*-------------------------------------------------------------------------
 *
 * sql_terminations.h
 *	  SQL functions about sessions that are ended.
 *
 * pool_monitor_terminations and pool_monitor_terminate_idle.  Their SQL
 * comments say what they return.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_SQL_TERMINATIONS_H
#define PMON_SQL_TERMINATIONS_H

#include "fmgr.h"

extern PGDLLEXPORT Datum pool_monitor_terminations(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum pool_monitor_terminate_idle(PG_FUNCTION_ARGS);

#endif							/* PMON_SQL_TERMINATIONS_H */
