/*-------------------------------------------------------------------------
 *
 * sizing.h
 *	  How large a pool should be: Erlang C and its extension to any hold time.
 *
 * Pure functions; nothing here allocates, locks or raises an error.
 *
 * Transactions that arrive at random (a Poisson process) at rate r and hold a
 * connection for a time of mean W are an offered load of a = r * W erlangs: as
 * many connections are busy on average if nobody ever has to wait.  With c
 * connections, a transaction has to wait with probability C(c, a), Erlang's
 * delay formula (A. K. Erlang, "Solution of some Problems in the Theory of
 * Probabilities of Significance in Automatic Telephone Exchanges", 1917).  For
 * exponential hold times the wait of those that have to wait is exponential
 * with mean W / (c - a).  For others that mean is multiplied by
 * k = (1 + cv^2) / 2, where cv is the coefficient of variation of the hold
 * time: exact for one connection (Pollaczek and Khinchine), the approximation
 * of A. M. Lee and P. A. Longton (1959) for more.  Hence
 *
 *		P(wait > t) = C(c, a) * exp(-(c - a) * t / (W * k))
 *
 * and the size recommended is the smallest c > a for which that is at most
 * 1 - percentile for the wait that is still acceptable.
 *
 * Hold times that vary less than exponential ones (cv < 1) count as those: k
 * is never below 1.  Waits are then shorter on average, but not exponential, so
 * that short ones are likelier than the formula has it: of 2,400 simulated
 * loads (test_sizing.c), the plain k made the size one too small for 66, all
 * of them with cv < 1.  As it is, none was too small: 1,574 were the smallest
 * sufficient size, 720 one above it, 106 further above.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_SIZING_H
#define PMON_SIZING_H

/* The largest size considered: MAX_BACKENDS, no server takes more. */
#define PMON_SIZING_MAX			262143

/* With fewer transactions than this, the note says that they are few. */
#define PMON_SIZING_FEW			100

/* A busiest minute that is longer than this is noted: its peak was higher. */
#define PMON_SIZING_MINUTE		66.0

/* What was measured, and what is wanted */
typedef struct PmonSizingInput
{
	int64		transactions;	/* measured in all */
	double		arrival_rate;	/* a second, in the busiest minute */
	double		busiest_seconds;	/* the length of that minute */
	double		hold_mean;		/* seconds */
	double		hold_cv;		/* coefficient of variation; negative or NaN
								 * if unknown: 1, as exponential hold times
								 * have it, which is also the least that
								 * counts */
	double		wait_target;	/* seconds that a transaction may wait */
	double		percentile;		/* share of transactions that may not wait
								 * longer, between 0 and 1 */
	int			instances;		/* processes that share the load evenly, each
								 * with its own pool; below 1: 1 */

	/* For the note: connections checked out, in all instances; -1: unknown */
	int			observed_p99;
	int			observed_peak;

	/* To notice saturation */
	int64		capacity;		/* (size + overflow) * instances, or -1: no
								 * pool is declared */
	double		full_fraction;	/* share of the samples with no connection
								 * left of that, in the minute in which it is
								 * largest; negative or NaN if unknown */
} PmonSizingInput;

typedef struct PmonSizingResult
{
	double		offered_load;	/* erlangs, of all instances */
	int			recommended;	/* connections for each instance, or -1:
								 * nothing can be said, or no size up to
								 * PMON_SIZING_MAX is enough */
	double		expected_wait;	/* seconds, at the percentile, with the
								 * recommended size; NaN without one */
	bool		saturated;		/* the pool was full for so long that demand
								 * beyond it was not measured */
	const char *note;			/* what to know before believing it, in lower
								 * case without a full stop, or NULL */
} PmonSizingResult;

/*
 * Erlang's loss probability B(servers, offered_load), the probability that an
 * arrival finds all servers busy if those that do are turned away.
 *
 * From 0 to 1; 1 without servers, 0 without load, NaN for a NaN.  Takes one
 * step a server, by the recurrence 1/B(n, a) = 1 + n/a * 1/B(n - 1, a), in which
 * nothing cancels out: the relative error stays near 1e-15 for any size.
 */
extern double pmon_erlang_b(int servers, double offered_load);

/*
 * Erlang's delay probability C(servers, offered_load), the probability that an
 * arrival has to wait.
 *
 * From 0 to 1; 1 if there are not more servers than load, 0 without load, NaN
 * for a NaN.  Computed from B, as C = n * B / (n - a * (1 - B)).
 */
extern double pmon_erlang_c(int servers, double offered_load);

/*
 * The wait in seconds that the given share of transactions does not exceed,
 * with so many servers: 0 if no more than the others have to wait at all,
 * infinity if the load is not below the number of servers.
 *
 * hold_mean is in seconds; a hold_cv below 1, or NaN, counts as 1.  percentile
 * must be between 0 and 1.
 */
extern double pmon_expected_wait(int servers, double offered_load,
								 double hold_mean, double hold_cv,
								 double percentile);

/*
 * Recommend a size for the measured load and say how far to believe it.
 *
 * Returns false if the input makes no sense: a percentile that is not between 0
 * and 1, or a rate, time or target that is negative, infinite or NaN.  The
 * result then has no size, and its note says which.
 */
extern bool pmon_sizing(const PmonSizingInput *input,
						PmonSizingResult *result);

#endif							/* PMON_SIZING_H */
