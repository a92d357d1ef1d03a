/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  The background worker that takes the samples.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_WORKER_H
#define PMON_WORKER_H

/* Register the worker.  Called from _PG_init() when preloaded. */
extern void pmon_register_worker(void);

/* The worker's entry point: the postmaster looks it up by its name. */
extern PGDLLEXPORT void pmon_worker_main(Datum main_arg);

#endif							/* PMON_WORKER_H */
