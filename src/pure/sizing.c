/*-------------------------------------------------------------------------
 *
 * sizing.c
 *	  How large a pool should be: Erlang C and its extension to any hold time.
 *
 * See sizing.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "pure/sizing.h"

/*
 * A pool is full at times even if it is as large as it should be.  It is
 * saturated if it is full for this share of a minute more than the load
 * explains: more than chance makes of one sample a second.
 */
#define UNEXPLAINED_FULL	0.25

/* One step of the recurrence for 1/B; see sizing.h. */
static inline double
next_inverse_b(int servers, double offered_load, double inverse_b)
{
	return 1.0 + (servers / offered_load) * inverse_b;
}

/* C out of 1/B, for a load below the number of servers. */
static inline double
delay_probability(int servers, double offered_load, double inverse_b)
{
	double		b = 1.0 / inverse_b;

	return servers * b / (servers - offered_load * (1.0 - b));
}

/*
 * The factor by which waits are longer than those of exponential hold times.
 * Never below 1: see sizing.h.
 */
static double
variability(double hold_cv)
{
	if (!(hold_cv > 1.0))
		return 1.0;

	return (1.0 + hold_cv * hold_cv) / 2.0;
}

double
pmon_erlang_b(int servers, double offered_load)
{
	double		inverse_b = 1.0;

	if (isnan(offered_load))
		return offered_load;
	if (servers <= 0)
		return 1.0;
	if (offered_load <= 0)
		return 0.0;

	for (int n = 1; n <= servers; n++)
		inverse_b = next_inverse_b(n, offered_load, inverse_b);

	return 1.0 / inverse_b;
}

double
pmon_erlang_c(int servers, double offered_load)
{
	if (isnan(offered_load))
		return offered_load;
	if (offered_load <= 0)
		return servers > 0 ? 0.0 : 1.0;
	if (servers <= offered_load)
		return 1.0;

	return delay_probability(servers, offered_load,
							 1.0 / pmon_erlang_b(servers, offered_load));
}

double
pmon_expected_wait(int servers, double offered_load, double hold_mean,
				   double hold_cv, double percentile)
{
	double		delayed = pmon_erlang_c(servers, offered_load);
	double		mean_wait;

	if (delayed <= 1.0 - percentile)
		return 0.0;
	if (servers <= offered_load)
		return INFINITY;

	mean_wait = hold_mean * variability(hold_cv) / (servers - offered_load);

	return mean_wait * log(delayed / (1.0 - percentile));
}

/*
 * The smallest number of servers with which at most 1 - percentile of the
 * transactions wait longer than the target, or -1; k is their variability.
 *
 * P(wait > t) falls with every server, and each step of the recurrence gives
 * C for one more, so that the search costs no more than one evaluation of C
 * at its result.
 */
static int
smallest_sufficient(double offered_load, double k,
					const PmonSizingInput *input)
{
	double		tail = 1.0 - input->percentile;
	double		scale = input->hold_mean * k;
	double		inverse_b = 1.0;

	if (offered_load <= 0)
		return 1;

	for (int servers = 1; servers <= PMON_SIZING_MAX; servers++)
	{
		double		delayed;

		inverse_b = next_inverse_b(servers, offered_load, inverse_b);
		if (servers <= offered_load)
			continue;

		delayed = delay_probability(servers, offered_load, inverse_b);
		if (delayed <= tail ||
			delayed * exp(-(servers - offered_load) *
						  input->wait_target / scale) <= tail)
			return servers;
	}

	return -1;
}

/* What is wrong with the input?  NULL if nothing is. */
static const char *
check_input(const PmonSizingInput *input)
{
	if (!(input->percentile > 0 && input->percentile < 1))
		return "percentile is not between 0 and 1";
	if (!(input->wait_target >= 0 && isfinite(input->wait_target)))
		return "wait target is negative or not a finite number";
	if (!(input->arrival_rate >= 0 && isfinite(input->arrival_rate)))
		return "arrival rate is negative or not a finite number";
	if (!(input->hold_mean >= 0 && isfinite(input->hold_mean)))
		return "hold time is negative or not a finite number";

	return NULL;
}

/*
 * Was the pool full in a way that hides demand?  Transactions that wait for a
 * connection, or give up, have not begun: the server does not see them.
 */
static bool
is_saturated(const PmonSizingInput *input, int64 needed, double offered_load)
{
	double		full = input->full_fraction;
	double		explained;

	if (input->capacity <= 0)
		return false;
	if (!(full >= 0))
		return input->observed_peak >= input->capacity;
	if (full <= 1.0 - input->percentile)
		return false;

	/* too small even for the demand that was seen */
	if (needed < 0 || needed > input->capacity)
		return true;

	/* large enough for that, but something held the connections */
	explained = pmon_erlang_c((int) Min(input->capacity, PMON_SIZING_MAX),
							  offered_load);
	return full > explained + UNEXPLAINED_FULL;
}

/*
 * Connections that random arrivals alone would have checked out for 1% of the
 * time if none had to wait: a Poisson distribution's, as a normal one, plus 1.
 */
static double
explained_p99(const PmonSizingResult *result)
{
	return result->offered_load + 2.33 * sqrt(result->offered_load) + 1;
}

/*
 * The most important thing to know about the result.  needed is the size
 * recommended for all instances together, or -1.
 */
static const char *
choose_note(const PmonSizingInput *input, const PmonSizingResult *result,
			int64 needed)
{
	if (needed < 0)
		return "no pool size that a server could take is enough for this load";
	if (result->saturated && needed <= input->capacity)
		return "saturated: the pool was full, though its transactions need no more connections than it has; look for leaks, long transactions and bursts first";
	if (result->saturated)
		return "saturated: demand that waited for a connection was not measured, so that this size is a lower bound";
	if (input->observed_p99 > needed && input->observed_p99 > explained_p99(result))
		return "more connections than this were checked out for over 1% of the time: arrivals come in bursts, or connections are held too long";
	if (input->busiest_seconds > PMON_SIZING_MINUTE)
		return "the busiest minute is an average of a longer time, in which no samples were taken: there may have been a busier one";
	if (input->transactions < PMON_SIZING_FEW)
		return "few transactions: the estimate is rough";
	if (input->capacity > 0 && input->observed_peak >= input->capacity)
		return "the pool was full at its peak, but too briefly to hide demand";
	if (!(input->hold_cv >= 0))
		return "the variation of hold times is unknown and was taken to be that of exponential ones";

	return NULL;
}

bool
pmon_sizing(const PmonSizingInput *input, PmonSizingResult *result)
{
	int			instances = Max(input->instances, 1);
	double		load;			/* of one instance */
	int64		needed = -1;	/* by all instances */

	result->offered_load = NAN;
	result->recommended = -1;
	result->expected_wait = NAN;
	result->saturated = false;
	result->note = check_input(input);
	if (result->note != NULL)
		return false;

	result->offered_load = input->arrival_rate * input->hold_mean;
	if (input->transactions <= 0)
	{
		result->note = "no transactions were measured";
		return true;
	}

	load = result->offered_load / instances;
	result->recommended = smallest_sufficient(load,
											  variability(input->hold_cv),
											  input);
	if (result->recommended >= 0)
	{
		needed = (int64) result->recommended * instances;
		result->expected_wait = pmon_expected_wait(result->recommended, load,
												   input->hold_mean,
												   input->hold_cv,
												   input->percentile);
	}
	result->saturated = is_saturated(input, needed, result->offered_load);
	result->note = choose_note(input, result, needed);

	return true;
}
