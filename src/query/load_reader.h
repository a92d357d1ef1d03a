/*-------------------------------------------------------------------------
 *
 * load_reader.h
 *	  The load of each application and pool, out of the history.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_LOAD_READER_H
#define PMON_LOAD_READER_H

#include "pure/long_holds.h"

/* The minute with the largest load, of some transactions or of all */
typedef struct PmonBusiest
{
	TimestampTz at;
	PmonHoldSums counted;
	double		erlangs;
	double		outside;		/* of these, outside of transactions */
	double		rate;			/* transactions a second */
	double		seconds;		/* that its figures are of */
} PmonBusiest;

/* The load of one application or declared pool in a window of time */
typedef struct PmonLoad
{
	uint32		id;				/* PmonApplication.id or pmon_pool_id() */
	PmonHoldBrief total;		/* of the whole window */

	/* without the long ones from each class on; the last is of all */
	PmonBusiest busiest[PMON_LONG_CLASSES + 1];

	/* connections checked out at once */
	int			peak_checked_out;
	int64		samples;		/* samples that p99 is taken from */
	int			p99_checked_out;	/* -1: no samples reach back so far */

	/*
	 * share of full samples in the fullest minute that was sampled for half
	 * of it at least, or of all samples where there is none; NaN: not known
	 */
	double		full_fraction;
} PmonLoad;

/*
 * Read the load since some time of everything that is wanted and had
 * transactions in whole minutes since then.  There is no bound to the ids in
 * the history, so wanted(id, at) has to be true of a bounded number of them; at is
 * the time that something is of, the end of a minute that it is the minute of.
 * capacity(id) tells where a pool is full; it returns -1 for what has no
 * capacity.  Returns a palloc'd array; *nloads is its length.
 */
extern PmonLoad *pmon_read_load(TimestampTz since,
								bool (*wanted) (uint32 id, TimestampTz at),
								int64 (*capacity) (uint32 id),
								int *nloads);

#endif							/* PMON_LOAD_READER_H */
