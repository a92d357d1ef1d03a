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
variation(const PmonHoldBrief *brief)
{
	double		mean;
	double		variance;

	if (brief->transactions < 2 || brief->sum <= 0)
		return NAN;
	mean = brief->sum / brief->transactions;
	variance = brief->square_sum / brief->transactions - mean * mean;
	return sqrt(Max(variance, 0)) / mean;
}

void
pmon_fill_sizing_input(PmonSizingInput *input, const PmonLoad *load,
					   double wait_target, double percentile)
{
	const PmonPool *pool = pmon_pool_by_id(load->id);

	/* one minute may have too few to tell how hold times vary */
	const PmonHoldBrief *typical =
	load->busiest.transactions >= PMON_SIZING_FEW ? &load->busiest : &load->total;

	input->transactions = load->total.transactions;
	input->arrival_rate = load->busiest_rate;
	input->busiest_seconds = load->busiest_seconds;
	input->hold_mean = input->arrival_rate > 0 ?
		load->busiest_erlangs / input->arrival_rate : 0;
	input->hold_cv = variation(typical);
	input->wait_target = wait_target;
	input->percentile = percentile;
	input->instances = pool != NULL ? pool->instances : 1;
	input->observed_p99 = load->p99_checked_out;
	input->observed_peak = load->peak_checked_out;
	input->capacity = pmon_capacity_by_id(load->id);
	input->full_fraction = load->full_fraction;
}
