/*-------------------------------------------------------------------------
 *
 * stats_file.h
 *	  Saves statistics, history and incidents to a file, and restores them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_STATS_FILE_H
#define PMON_STATS_FILE_H

/* Relative to the data directory */
#define PMON_STATS_FILE		"pg_stat/pool_monitor.stat"

/*
 * Write the file.  The one before stays until this one is durable.  Returns
 * false, after a WARNING for the first of several failures in a row, when
 * that did not work.  Takes PmonLock() and the incident lock, shared, to copy
 * what it writes.  Only one process at a time may call it: the worker, or the
 * postmaster when all others are gone.
 */
extern bool pmon_save_file(void);

/*
 * Restore what the file holds, if there is one, into shared memory that is
 * new.  A file that can not be used is put aside, and a WARNING says why.
 * Never raises an error.  For the postmaster at server start.
 */
extern void pmon_restore_file(void);

/* Remove the file, if there is one. */
extern void pmon_remove_file(void);

#endif							/* PMON_STATS_FILE_H */
