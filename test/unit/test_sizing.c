/* links: pure/sizing.c */
/*-------------------------------------------------------------------------
 *
 * test_sizing.c
 *	  Pool sizing: Erlang's formulas against published and exact values, sizes
 *	  against a simulation, and input that makes no sense.
 *
 *	  test_sizing [LOADS [SEED]]
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <math.h>

#include "pure/sizing.h"
#include "tap.h"

/* Does got agree with expected to a relative error? */
static bool
close_to(double got, double expected, double relative)
{
	if (isnan(got) || isnan(expected))
		return isnan(got) && isnan(expected);
	if (isinf(got) || isinf(expected))
		return got == expected;
	return fabs(got - expected) <= relative * fabs(expected);
}

static void
is_close(double got, double expected, double relative, const char *fact)
{
	bool		same = close_to(got, expected, relative);

	ok(same, "%s", fact);
	if (!same)
		printf("#      got: %.17g\n# expected: %.17g\n", got, expected);
}

/*
 * Erlang's formulas
 */

typedef struct ErlangCase
{
	int			servers;
	double		offered_load;
	double		probability;
} ErlangCase;

/*
 * Erlang B: the load that so many circuits carry with a loss of 1% or 2%, from
 * the traffic tables that are printed everywhere (four figures, for instance
 * Siemens, "Telephone Traffic Theory: Tables and Charts", 1970).
 */
static const ErlangCase erlang_b_table[] = {
	{1, 0.0101, 0.01},
	{5, 1.361, 0.01},
	{10, 4.461, 0.01},
	{20, 12.03, 0.01},
	{50, 37.90, 0.01},
	{100, 84.06, 0.01},
	{10, 5.084, 0.02},
	{100, 87.97, 0.02},
};

/*
 * Erlang C in exact rational arithmetic, from the sum
 * C = t / (sum of a^n/n! for n < c, plus t), t = a^c/c! * c/(c - a), which the
 * recurrence under test does not use.  Two of them are textbook examples: 4/9
 * for 3 servers and a load of 2 is the clinic of Gross and Harris,
 * "Fundamentals of Queueing Theory"; 1/6 for 2 servers and a load of 2/3 the
 * county hospital of Hillier and Lieberman, "Introduction to Operations
 * Research".
 */
static const ErlangCase erlang_c_exact[] = {
	{1, 0.5, 1.0 / 2},
	{2, 1, 1.0 / 3},
	{2, 2.0 / 3, 1.0 / 6},
	{3, 2, 4.0 / 9},
	{4, 3, 27.0 / 53},
	{5, 4, 128.0 / 231},
	{5, 0.1, 1.0 / 12996810},
	{10, 8, 4194304.0 / 10250507},
	{10, 9.9, 0.9637384203876213},
	{20, 16, 0.2560777938390579},
	{30, 12.5, 1.9455491270649343e-05},
	{50, 45, 0.3638644672069884},
	{100, 90, 0.2169404809063664},
	{100, 99, 0.8827684626100845},
	{200, 180, 0.09447121817759081},
};

/* The same where exact fractions are too long: with 60 decimal digits */
static const ErlangCase erlang_c_large[] = {
	{200, 20, 4.66636112370656689e-124},
	{1000, 500, 3.30483025550268391e-86},
	{1000, 950, 6.82534153771414270e-02},
	{1000, 999.5, 9.80484296188815829e-01},
	{5000, 4900, 9.99378772344876598e-02},
	{10000, 9990, 8.80541711373989733e-01},
	{100000, 99500, 7.09061993551133030e-02},
	{262143, 262000, 6.92580054483260210e-01},
};

static void
test_erlang_tables(void)
{
	char		fact[128];

	for (int i = 0; i < lengthof(erlang_b_table); i++)
	{
		const ErlangCase *c = &erlang_b_table[i];

		snprintf(fact, sizeof(fact), "B(%d, %g) is the %g of the traffic tables",
				 c->servers, c->offered_load, c->probability);
		is_close(pmon_erlang_b(c->servers, c->offered_load), c->probability,
				 1e-3, fact);
	}
	for (int i = 0; i < lengthof(erlang_c_exact); i++)
	{
		const ErlangCase *c = &erlang_c_exact[i];

		snprintf(fact, sizeof(fact), "C(%d, %g) is exact", c->servers,
				 c->offered_load);
		is_close(pmon_erlang_c(c->servers, c->offered_load), c->probability,
				 1e-13, fact);
	}
	for (int i = 0; i < lengthof(erlang_c_large); i++)
	{
		const ErlangCase *c = &erlang_c_large[i];

		snprintf(fact, sizeof(fact), "C(%d, %g) is exact to 11 digits",
				 c->servers, c->offered_load);
		is_close(pmon_erlang_c(c->servers, c->offered_load), c->probability,
				 1e-11, fact);
	}
}

static void
test_erlang_edges(void)
{
	bool		falls = true;
	bool		in_range = true;

	for (int servers = 1; servers <= 3000; servers += 7)
	{
		double		previous = 1.0;

		for (int more = 0; more < 200; more += 5)
		{
			double		c = pmon_erlang_c(servers + more, servers - 0.5);

			in_range = in_range && c >= 0 && c <= 1;
			falls = falls && c <= previous;
			previous = c;
		}
	}
	ok(in_range, "C is a probability for up to thousands of servers");
	ok(falls, "C falls with every server");

	is_close(pmon_erlang_c(5, 0), 0, 0, "without load nobody waits");
	is_close(pmon_erlang_c(0, 0), 1, 0, "without servers everybody waits");
	is_close(pmon_erlang_c(0, 3), 1, 0, "with load and no servers everybody waits");
	is_close(pmon_erlang_c(-1, 3), 1, 0, "a negative number of servers is none");
	is_close(pmon_erlang_c(5, 5), 1, 0, "with as much load as servers everybody waits");
	is_close(pmon_erlang_c(5, 7), 1, 0, "with more load than servers everybody waits");
	is_close(pmon_erlang_c(5, INFINITY), 1, 0, "with infinite load everybody waits");
	is_close(pmon_erlang_c(5, NAN), NAN, 0, "a load that is no number gives none");
	is_close(pmon_erlang_c(5, 1e-300), 0, 0, "hardly any load gives hardly any wait");
	is_close(pmon_erlang_c(1, 1e-300), 1e-300, 1e-12, "one server makes as many wait as its load");
	is_close(pmon_erlang_b(5, NAN), NAN, 0, "no loss for a load that is no number");
	is_close(pmon_erlang_b(5, 0), 0, 0, "without load nothing is lost");
	is_close(pmon_erlang_b(0, 1), 1, 0, "without servers all is lost");
	is_close(pmon_erlang_b(5, INFINITY), 1, 0, "of an infinite load all is lost");
}

static void
test_expected_wait(void)
{
	/*
	 * Hillier and Lieberman's hospital, with a mean hold time of 1/3 hour:
	 * P(wait > 1/2 hour) is 0.404 with one doctor and 0.022 with two.
	 */
	double		one = 2.0 / 3 * exp(-0.5);
	double		two = 1.0 / 6 * exp(-2.0);

	ok(fabs(one - 0.404) < 0.0006 && fabs(two - 0.022) < 0.0006,
	   "the textbook's probabilities are those of the formula");
	is_close(pmon_expected_wait(1, 2.0 / 3, 1.0 / 3, 1, 1 - one), 0.5, 1e-9,
			 "one server makes the textbook's share wait no longer than half an hour");
	is_close(pmon_expected_wait(2, 2.0 / 3, 1.0 / 3, 1, 1 - two), 0.5, 1e-9,
			 "two servers make the textbook's share wait no longer than half an hour");

	is_close(pmon_expected_wait(2, 2.0 / 3, 1.0 / 3, 1, 0.8), 0, 0,
			 "the wait is zero where fewer have to wait than may");
	is_close(pmon_expected_wait(2, 2.0 / 3, 1.0 / 3, 0, 1 - two), 0.5, 1e-9,
			 "constant hold times count as exponential ones");
	is_close(pmon_expected_wait(2, 2.0 / 3, 1.0 / 3, 3, 1 - two), 2.5, 1e-9,
			 "a coefficient of variation of 3 makes the wait five times as long");
	is_close(pmon_expected_wait(2, 2.0 / 3, 1.0 / 3, NAN, 1 - two), 0.5, 1e-9,
			 "an unknown variation counts as that of exponential hold times");
	is_close(pmon_expected_wait(2, 2, 1, 1, 0.99), INFINITY, 0,
			 "a load that is not below the servers makes the wait infinite");
}

/*
 * Simulation
 */

static uint64 random_state;

/* A random number from 0 to below 1 (xorshift64*). */
static double
uniform(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;

	return ((random_state * UINT64CONST(2685821657736338717)) >> 11) /
		9007199254740992.0;
}

static double
exponential(double mean)
{
	return -mean * log(1 - uniform());
}

/* A random number from low to high, each order of magnitude alike */
static double
log_uniform(double low, double high)
{
	return low * pow(high / low, uniform());
}

typedef enum Shape
{
	CONSTANT,
	EXPONENTIAL,
	LOG_NORMAL,
	TWO_CLASSES,
	NUM_SHAPES
} Shape;

static const char *const shape_names[NUM_SHAPES] = {
	"constant", "exponential", "log-normal", "two classes"
};

typedef struct Load
{
	Shape		shape;
	double		offered_load;
	double		hold_mean;
	double		hold_cv;
	double		wait_target;
	double		percentile;
	double		long_share;		/* of two classes: how many are long */
	double		long_factor;	/* and how many times as long */
	uint64		seed;
} Load;

static void
draw_load(Load *load, int number)
{
	static const double percentiles[] = {0.9, 0.95, 0.99, 0.99};
	double		mean;
	double		square;

	load->shape = number % NUM_SHAPES;
	load->offered_load = log_uniform(0.3, 40);
	load->hold_mean = log_uniform(0.002, 0.2);
	load->wait_target = 0.01;
	load->percentile = percentiles[(int) (uniform() * 4)];
	load->long_share = 0.02 + 0.18 * uniform();
	load->long_factor = 2 + 8 * uniform();

	switch (load->shape)
	{
		case CONSTANT:
			load->hold_cv = 0;
			break;
		case LOG_NORMAL:
			load->hold_cv = 0.3 + 1.7 * uniform();
			break;
		case TWO_CLASSES:
			mean = 1 + load->long_share * (load->long_factor - 1);
			square = 1 + load->long_share *
				(load->long_factor * load->long_factor - 1);
			load->hold_cv = sqrt(square / (mean * mean) - 1);
			break;
		default:
			load->hold_cv = 1;
			break;
	}
	load->seed = random_state;
}

static double
draw_hold_time(const Load *load)
{
	double		sigma_square;
	double		normal;
	double		unit;

	switch (load->shape)
	{
		case EXPONENTIAL:
			return exponential(load->hold_mean);
		case LOG_NORMAL:
			sigma_square = log(1 + load->hold_cv * load->hold_cv);
			normal = sqrt(-2 * log(1 - uniform())) * cos(2 * M_PI * uniform());
			return load->hold_mean *
				exp(sqrt(sigma_square) * normal - sigma_square / 2);
		case TWO_CLASSES:
			unit = load->hold_mean /
				(1 + load->long_share * (load->long_factor - 1));
			return uniform() < load->long_share ? unit * load->long_factor : unit;
		default:
			return load->hold_mean;
	}
}

#define MAX_SERVERS		256
#define ARRIVALS		200000
#define BATCHES			20
#define BATCH			(ARRIVALS / BATCHES)

/* Give the server that is free first, at the heap's root, a later time. */
static void
occupy_first(double *free_at, int servers, double until)
{
	int			i = 0;

	for (;;)
	{
		int			child = 2 * i + 1;

		if (child >= servers)
			break;
		if (child + 1 < servers && free_at[child + 1] < free_at[child])
			child++;
		if (free_at[child] >= until)
			break;
		free_at[i] = free_at[child];
		i = child;
	}
	free_at[i] = until;
}

/*
 * Simulate the load on so many servers, first come first served: do more
 * transactions wait too long than may, by more than chance?  Chance is two
 * standard errors of the share, estimated from the shares of batches because
 * one wait follows from another.
 */
static bool
is_sufficient(const Load *load, int servers)
{
	double		free_at[MAX_SERVERS] = {0};
	double		now = 0;
	double		sum = 0;
	double		squares = 0;
	double		share;
	double		error;

	random_state = load->seed;

	/* the batch before the first lets the queue build up, and is not counted */
	for (int batch = -1; batch < BATCHES; batch++)
	{
		int			late = 0;

		for (int i = 0; i < BATCH; i++)
		{
			double		start;

			now += exponential(load->hold_mean / load->offered_load);
			start = Max(now, free_at[0]);
			late += (start - now > load->wait_target);
			occupy_first(free_at, servers, start + draw_hold_time(load));
		}
		if (batch < 0)
			continue;
		sum += (double) late / BATCH;
		squares += ((double) late / BATCH) * ((double) late / BATCH);
	}

	share = sum / BATCHES;
	error = sqrt(Max(squares / BATCHES - share * share, 0) / (BATCHES - 1));

	return share - 2 * error <= 1 - load->percentile;
}

/* The input of pmon_sizing() for a load that was measured without error */
static PmonSizingInput
measured(double offered_load, double hold_mean, double hold_cv)
{
	PmonSizingInput input = {0};

	input.transactions = 100000;
	input.arrival_rate = offered_load / hold_mean;
	input.hold_mean = hold_mean;
	input.hold_cv = hold_cv;
	input.wait_target = 0.01;
	input.percentile = 0.99;
	input.instances = 1;
	input.observed_p99 = -1;
	input.observed_peak = -1;
	input.capacity = -1;
	input.full_fraction = NAN;

	return input;
}

static void
test_simulation(int loads, uint64 seed)
{
	int			below = 0;
	int			exact = 0;
	int			above[MAX_SERVERS] = {0};

	for (int i = 0; i < loads; i++)
	{
		Load		load;
		PmonSizingInput input;
		PmonSizingResult result;
		int			servers;
		int			more;

		random_state = (seed * 1000003 + i + 1) *
			UINT64CONST(0x9E3779B97F4A7C15);
		for (int n = 0; n < 20; n++)
			(void) uniform();
		draw_load(&load, i);

		input = measured(load.offered_load, load.hold_mean, load.hold_cv);
		input.wait_target = load.wait_target;
		input.percentile = load.percentile;
		pmon_sizing(&input, &result);
		servers = result.recommended;

		if (!is_sufficient(&load, servers))
		{
			below++;
			printf("# %s, load %.2f, mean %.1f ms, cv %.2f, percentile %g: %d is not enough\n",
				   shape_names[load.shape], load.offered_load,
				   load.hold_mean * 1000, load.hold_cv, load.percentile,
				   servers);
			continue;
		}

		more = 0;
		while (servers - more - 1 > load.offered_load &&
			   is_sufficient(&load, servers - more - 1))
			more++;
		if (more == 0)
			exact++;
		above[more]++;
	}

	printf("# %d loads: %d sizes exact, %d one above, %d further above, %d below\n",
		   loads, exact, above[1], loads - exact - above[1] - below, below);
	ok(below == 0, "no size is too small for its simulated load");
	ok(exact + above[1] >= 0.9 * loads, "nine of ten sizes are exact or one above the smallest that is enough");
}

/*
 * Recommendations
 */

static int
size_of(const PmonSizingInput *input)
{
	PmonSizingResult result;

	return pmon_sizing(input, &result) ? result.recommended : -2;
}

static void
test_recommendations(void)
{
	PmonSizingInput input = measured(8, 0.02, 1);
	PmonSizingResult result;
	int			size;
	int			previous;
	bool		smallest = true;
	bool		grows = true;

	for (double load = 0.1; load < 3000; load *= 1.7)
	{
		input = measured(load, 0.02, 1.3);
		pmon_sizing(&input, &result);
		if (result.recommended <= load || result.expected_wait > input.wait_target ||
			!close_to(result.offered_load, load, 1e-12) ||
			(result.recommended - 1 > load &&
			 pmon_expected_wait(result.recommended - 1, load, 0.02, 1.3, 0.99) <= 0.01))
			smallest = false;
	}
	ok(smallest, "the size is the smallest whose wait is within the target, for loads up to thousands");

	previous = 0;
	for (double load = 0.1; load < 100; load += 0.1)
	{
		input = measured(load, 0.02, 1);
		size = size_of(&input);
		grows = grows && size >= previous;
		previous = size;
	}
	ok(grows, "more load never needs fewer connections");

	input = measured(8, 0.02, 1);
	size = size_of(&input);
	input.wait_target = 0;
	ok(size_of(&input) > size, "a shorter wait needs more connections");
	input = measured(8, 0.02, 1);
	input.percentile = 0.9;
	ok(size_of(&input) < size, "more waits that may be longer need fewer connections");
	input = measured(8, 0.02, 5);
	ok(size_of(&input) > size, "hold times that vary more need more connections");
	input = measured(8, 0.02, NAN);
	pmon_sizing(&input, &result);
	is_int(result.recommended, size, "an unknown variation counts as that of exponential hold times");
	ok(result.note != NULL && strstr(result.note, "variation"), "an unknown variation is noted");

	input = measured(8, 0.02, 1);
	input.instances = 4;
	pmon_sizing(&input, &result);
	size = result.recommended;
	is_close(result.offered_load, 8, 1e-12, "the offered load is that of all instances");
	input = measured(2, 0.02, 1);
	is_int(size, size_of(&input), "four instances need what a quarter of the load needs, each");

	input = measured(8, 0.02, 1);
	pmon_sizing(&input, &result);
	ok(result.note == NULL && !result.saturated, "a load without peculiarities has no note");
	input.hold_cv = 0;
	is_int(size_of(&input), result.recommended, "hold times that vary little need what exponential ones need");
}

static void
is_note(const PmonSizingInput *input, bool saturated, const char *start,
		const char *fact)
{
	PmonSizingResult result;
	bool		same;

	pmon_sizing(input, &result);
	same = result.saturated == saturated &&
		(start == NULL ? result.note == NULL :
		 result.note != NULL && strncmp(result.note, start, strlen(start)) == 0);
	ok(same, "%s", fact);
	if (!same)
		printf("# saturated %d, note: %s\n", result.saturated,
			   result.note ? result.note : "none");
}

static void
test_honesty(void)
{
	PmonSizingInput input;
	PmonSizingResult result;

	input = measured(8, 0.02, 1);
	input.transactions = 0;
	is_note(&input, false, "no transactions", "no transactions are noted");
	pmon_sizing(&input, &result);
	is_int(result.recommended, -1, "without transactions no size is recommended");
	ok(isnan(result.expected_wait), "without a size there is no wait");
	input.transactions = PMON_SIZING_FEW - 1;
	is_note(&input, false, "few transactions", "few transactions are noted");
	input.busiest_seconds = 60.2;
	is_note(&input, false, "few transactions", "a minute is a minute");
	input.busiest_seconds = 150;
	is_note(&input, false, "the busiest minute is an average", "a minute that is longer is noted");

	/* 8 erlangs in a pool of 8: every sample of a minute full */
	input = measured(7.9, 0.02, 1);
	input.capacity = 8;
	input.observed_peak = 8;
	input.full_fraction = 1;
	is_note(&input, true, "saturated: demand", "a full pool that is too small is saturated");
	input.transactions = 10;
	is_note(&input, true, "saturated: demand", "saturation is said even of few transactions");

	input.transactions = 100000;
	input.full_fraction = 0.005;
	is_note(&input, false, "the pool was full at its peak",
			"a pool that is too small but hardly ever full is not saturated");

	input = measured(1, 0.02, 1);
	input.capacity = 15;
	input.observed_peak = 15;
	input.full_fraction = 1;
	is_note(&input, true, "saturated: the pool was full, though",
			"a full pool whose transactions do not fill it points to leaks");

	/* C(3, 2) is 0.44, but with holds of 1 ms hardly any wait takes 10 ms */
	input = measured(2, 0.001, 1);
	input.capacity = 3;
	input.observed_peak = 3;
	input.full_fraction = 0.5;
	is_note(&input, false, "the pool was full at its peak",
			"a pool that is full as often as its load explains is not saturated");

	/* C(13, 8) is 0.13 */
	input = measured(8, 0.02, 1);
	input.capacity = 13;
	input.observed_peak = 13;
	input.full_fraction = 0.15;
	is_note(&input, false, "the pool was full at its peak",
			"a pool of the right size that is full at times is not saturated");
	input.full_fraction = NAN;
	is_note(&input, true, "saturated", "a pool that was full for nobody knows how long is saturated");
	input.full_fraction = 0;
	input.observed_peak = 12;
	is_note(&input, false, NULL, "a pool that was never full is not saturated");
	input.full_fraction = NAN;
	is_note(&input, false, NULL, "a pool whose peak is below its capacity is not saturated");
	input.capacity = -1;
	input.observed_peak = 500;
	is_note(&input, false, NULL, "without a declared pool nothing is saturated");
	input.observed_p99 = 500;
	is_note(&input, false, "more connections than this", "connections held beyond the model are noted");

	/* the most extreme figures that int and int64 allow */
	input.capacity = PG_INT64_MAX;
	input.observed_peak = INT_MAX;
	input.instances = INT_MAX;
	input.full_fraction = 1;
	ok(pmon_sizing(&input, &result), "the largest capacity and number of instances do no harm");
	input.instances = INT_MIN;
	ok(pmon_sizing(&input, &result) && result.recommended > 8, "a negative number of instances counts as one");
}

static void
is_rejected(PmonSizingInput input, const char *start, const char *fact)
{
	PmonSizingResult result;

	ok(!pmon_sizing(&input, &result) && result.recommended == -1 &&
	   strncmp(result.note, start, strlen(start)) == 0, "%s", fact);
}

static void
test_nonsense(void)
{
	static const double bad_percentiles[] = {0, 1, -0.5, 1.5, NAN, INFINITY, -INFINITY};
	static const double bad_figures[] = {-1, NAN, INFINITY, -INFINITY};
	PmonSizingInput input;
	PmonSizingResult result;
	char		fact[128];

	for (int i = 0; i < lengthof(bad_percentiles); i++)
	{
		input = measured(8, 0.02, 1);
		input.percentile = bad_percentiles[i];
		snprintf(fact, sizeof(fact), "a percentile of %g is rejected", bad_percentiles[i]);
		is_rejected(input, "percentile", fact);
	}
	for (int i = 0; i < lengthof(bad_figures); i++)
	{
		input = measured(8, 0.02, 1);
		input.wait_target = bad_figures[i];
		snprintf(fact, sizeof(fact), "a wait target of %g is rejected", bad_figures[i]);
		is_rejected(input, "wait target", fact);

		input = measured(8, 0.02, 1);
		input.arrival_rate = bad_figures[i];
		snprintf(fact, sizeof(fact), "an arrival rate of %g is rejected", bad_figures[i]);
		is_rejected(input, "arrival rate", fact);

		input = measured(8, 0.02, 1);
		input.hold_mean = bad_figures[i];
		snprintf(fact, sizeof(fact), "a hold time of %g is rejected", bad_figures[i]);
		is_rejected(input, "hold time", fact);
	}

	input = measured(8, 0.02, 1);
	input.hold_mean = 0;
	pmon_sizing(&input, &result);
	ok(result.recommended == 1 && result.expected_wait == 0,
	   "transactions that take no time need one connection");
	input = measured(8, 0.02, 1);
	input.arrival_rate = 0;
	is_int(size_of(&input), 1, "a load of zero needs one connection");
	input = measured(1e-300, 0.02, 1);
	is_int(size_of(&input), 1, "hardly any load needs one connection");
	input = measured(8, 0.02, INFINITY);
	pmon_sizing(&input, &result);
	ok(result.recommended > 8 && result.expected_wait == 0,
	   "infinite variation needs so many connections that hardly anybody waits");

	input = measured(200000, 0.02, 1);
	pmon_sizing(&input, &result);
	ok(result.recommended > 200000 && result.recommended < 202000,
	   "a load of hundreds of thousands is sized");
	input = measured(262142.99, 0.02, 1);
	input.wait_target = 0;
	is_note(&input, false, "no pool size", "a load near the largest server has no size, and that is noted");
	input = measured(1e9, 0.02, 1);
	is_note(&input, false, "no pool size", "a load beyond any server has no size, and that is noted");
	input = measured(8, 1e300, 1);
	input.arrival_rate = 1e300;
	pmon_sizing(&input, &result);
	ok(result.recommended == -1 && isinf(result.offered_load) && isnan(result.expected_wait),
	   "an infinite load has no size and no wait");
	input.capacity = 10;
	input.full_fraction = 1;
	is_note(&input, true, "no pool size", "a load beyond any server saturates its pool");
}

int
main(int argc, char **argv)
{
	int			loads = argc > 1 ? atoi(argv[1]) : 100;
	uint64		seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;

	test_erlang_tables();
	test_erlang_edges();
	test_expected_wait();
	test_recommendations();
	test_honesty();
	test_nonsense();
	test_simulation(loads, seed);

	return tap_done();
}
