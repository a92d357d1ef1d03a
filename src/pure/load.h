/*-------------------------------------------------------------------------
 *
 * load.h
 *	  The load of a minute, out of what was counted in it.
 *
 * Pure functions; nothing here allocates, locks or raises an error.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_LOAD_H
#define PMON_LOAD_H

/* What was counted in a minute, or in the parts that it came in */
typedef struct PmonCountedMinute
{
	double		transactions;
	double		hold_sum;		/* of these transactions, in ms */
	double		length;			/* of the time that they ended in, in ms */
	double		checked_out;	/* sum over the samples */
	double		outside;		/* of these, outside of transactions */
	double		samples;		/* how many there were; 0: none */
} PmonCountedMinute;

/*
 * The seconds that the counts are divided by: 60, or more where they are of a
 * longer time, since the worker took no samples meanwhile.  A minute of which
 * only a part was counted is not blown up to a whole one.
 */
extern double pmon_minute_seconds(const PmonCountedMinute *minute);

/* Transactions a second */
extern double pmon_minute_rate(const PmonCountedMinute *minute);

/*
 * The load in erlangs: the time that transactions held connections, divided
 * by the minute.  A transaction counts whole in the minute in which it ends,
 * so one that began long before would make that minute look busier than it
 * was.  The average number of connections that the samples saw checked out is
 * the same figure by another way (J. D. C. Little, "A Proof for the Queuing
 * Formula L = lambda W", 1961): coarser, but never beyond what there was.  So
 * the load is not taken to be above that, by more than three standard
 * deviations of what so many samples can be wrong.
 *
 * Connections that were checked out outside of transactions are load as well, of
 * which no transaction tells: as many as the samples saw.
 */
extern double pmon_minute_erlangs(const PmonCountedMinute *minute);

/* That part of it: the connections checked out outside of transactions */
extern double pmon_minute_outside(const PmonCountedMinute *minute);

#endif							/* PMON_LOAD_H */
