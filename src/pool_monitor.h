/*-------------------------------------------------------------------------
 *
 * pool_monitor.h
 *	  The library's entry point.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POOL_MONITOR_H
#define POOL_MONITOR_H

#include "fmgr.h"

/* Called by the server when it loads the library. */
extern PGDLLEXPORT void _PG_init(void);

#endif							/* POOL_MONITOR_H */
