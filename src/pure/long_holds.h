/*-------------------------------------------------------------------------
 *
 * long_holds.h
 *	  Transactions that hold their connection for long, apart from the others.
 *
 * Ten transactions that are leaked for minutes and then ended make more load
 * than ten thousand that do their work, and a pool that is sized for both is
 * sized for the leak.  So those that take a second or more are counted in
 * classes beside the sum of all, and where they are few, the size follows the
 * many.
 *
 * Few are no more than PMON_FEW, or a hundredth of the others, nor more than
 * these at all, and they take ten times as long on average.
 *
 * Pure functions; nothing here allocates, locks or raises an error.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_LONG_HOLDS_H
#define PMON_LONG_HOLDS_H

/* From 1 s, 10 s and 60 s on, each up to the next */
#define PMON_LONG_CLASSES		3

#define PMON_FEW				100

/* What transactions add up to; signed, since it may be a difference */
typedef struct PmonHoldSums
{
	int64		transactions;
	double		sum;			/* ms */
	double		square_sum;		/* ms squared */
} PmonHoldSums;

/* The same, and of it the long ones by class */
typedef struct PmonHoldBrief
{
	PmonHoldSums all;
	PmonHoldSums longer[PMON_LONG_CLASSES];
} PmonHoldBrief;

/* The class of a hold time, or -1 where it is not long */
extern int	pmon_long_class(uint64 microseconds);

/* The shortest hold time of a class, in seconds */
extern int	pmon_long_class_seconds(int first);

/* Add and subtract. */
extern void pmon_sum_briefs(PmonHoldBrief *brief, const PmonHoldBrief *more);
extern void pmon_subtract_brief(PmonHoldBrief *brief, const PmonHoldBrief *less);

/* Those of a class and all above it; and all without these.  No figure is negative. */
extern PmonHoldSums pmon_long_ones(const PmonHoldBrief *brief, int first);
extern PmonHoldSums pmon_shorter_ones(const PmonHoldBrief *brief, int first);

/*
 * The class, which is not empty, from which on the long ones are few: the lowest
 * such; or PMON_LONG_CLASSES where there is none.
 */
extern int	pmon_few_from(const PmonHoldBrief *brief);

#endif							/* PMON_LONG_HOLDS_H */
