/*-------------------------------------------------------------------------
 *
 * sizing_input.c
 *	  What the formula for the size of a pool is given.
 *
 * See sizing_input.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include <math.h>

#include "query/sizing_input.h"
#include "shared/history.h"
#include "shared/settings.h"

const PmonPool *
pmon_pool_by_id(uint32 id)
{
	if (!PmonIsPoolId(id))
		return NULL;
	for (int i = 0; i < pmon_declared->npools; i++)
	{
		if (pmon_pool_id(pmon_declared->pools[i].name) == id)
			return &pmon_declared->pools[i];
	}
	return NULL;
}

int64
pmon_capacity_by_id(uint32 id)
{
	const PmonPool *pool = pmon_pool_by_id(id);

	return pool != NULL ? pmon_pool_capacity(pool) : -1;
}

/* The coefficient of variation of hold times; NaN if it can not be told */
static double
variation(const PmonHoldSums *sums)
{
	double		mean;
	double		variance;

	if (sums->transactions < 2 || sums->sum <= 0)
		return NAN;
	mean = sums->sum / sums->transactions;
	variance = sums->square_sum / sums->transactions - mean * mean;
	return sqrt(Max(variance, 0)) / mean;
}

/* Fill in what was measured, without the long transactions from a class on. */
static void
fill_input(PmonSizingInput *input, const PmonLoad *load, int first,
		   double wait_target, double percentile)
{
	const PmonPool *pool = pmon_pool_by_id(load->id);
	const PmonBusiest *busiest = &load->busiest[first];
	PmonHoldSums total = pmon_shorter_ones(&load->total, first);

	/* one minute may have too few to tell how hold times vary */
	const PmonHoldSums *typical =
	busiest->counted.transactions >= PMON_SIZING_FEW ? &busiest->counted : &total;

	input->transactions = load->total.all.transactions;
	input->arrival_rate = busiest->rate;
	input->busiest_seconds = busiest->seconds;
	input->hold_mean = busiest->rate > 0 ? busiest->erlangs / busiest->rate : 0;
	input->hold_cv = variation(typical);
	input->wait_target = wait_target;
	input->percentile = percentile;
	input->instances = pool != NULL ? pool->instances : 1;
	input->observed_p99 = load->p99_checked_out;
	input->observed_peak = load->peak_checked_out;
	input->capacity = pmon_capacity_by_id(load->id);
	input->full_fraction = load->full_fraction;
}

static double
held_times(const PmonBusiest *busiest)
{
	double		inside = busiest->erlangs - busiest->outside;

	return busiest->outside > 0 && inside > 0 ? busiest->erlangs / inside : 1;
}

/* Do the few long ones make a difference of more than one connection? */
static bool
is_moved(const PmonSizingResult *all, const PmonSizingResult *many)
{
	return all->recommended < 0 || all->recommended - many->recommended > 1;
}

bool
pmon_size_load(PmonSizedLoad *sized, const PmonLoad *load, double wait_target,
			   double percentile)
{
	int			first = pmon_few_from(&load->total);
	PmonHoldSums few = pmon_long_ones(&load->total, first);
	PmonSizedLoad many = {0};

	memset(sized, 0, sizeof(*sized));
	fill_input(&sized->input, load, PMON_LONG_CLASSES, wait_target, percentile);
	if (!pmon_sizing(&sized->input, &sized->result))
		return false;
	sized->total_load = sized->result.offered_load;
	sized->held_times = held_times(&load->busiest[PMON_LONG_CLASSES]);
	if (first == PMON_LONG_CLASSES)
		return true;

	fill_input(&many.input, load, first, wait_target, percentile);
	if (!pmon_sizing(&many.input, &many.result) ||
		!is_moved(&sized->result, &many.result))
		return true;
	many.total_load = sized->total_load;
	many.few_transactions = few.transactions;
	many.few_seconds = pmon_long_class_seconds(first);
	many.held_times = held_times(&load->busiest[first]);
	many.few_share = few.sum / load->total.all.sum;
	*sized = many;
	return true;
}
