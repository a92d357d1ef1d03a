/*-------------------------------------------------------------------------
 *
 * writer_keeper.h
 *	  Has the writer of metrics run where one is wanted.
 *
 * Metrics are made by code that raises errors, looks into catalogs and runs
 * statements, which this worker may not.  A second background worker does that
 * (query/metrics_writer.c), and it is started by this one: so who asks for no file
 * has no such process.  The library's own registration would be for all.
 *
 * A writer ends when the setting becomes empty, and with the server.  When it ends
 * otherwise, or could not be started, another one is started, later the more often
 * that happens.  A writer that could not connect to its database is followed by one
 * that has none.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_WRITER_KEEPER_H
#define PMON_WRITER_KEEPER_H

#include "postmaster/bgworker.h"

/*
 * Describe a background worker of the library, by the name of its function and
 * what people see: what our two have in common.
 */
extern void pmon_describe_worker(BackgroundWorker *worker, const char *function,
								 const char *name);

/*
 * Start a writer if one is wanted, none runs, and it is time to.  Times are of the
 * monotonic clock, in ms.  Returns when to look again at the latest.
 */
extern double pmon_keep_metrics_writer(double now);

#endif							/* PMON_WRITER_KEEPER_H */
