/* links: pure/sizing.c pure/hold_histogram.c */
/*-------------------------------------------------------------------------
 *
 * fuzz_sizing.c
 *	  Sizes of pools and percentiles: whatever was measured, nothing breaks.
 *
 * The input is a byte of flags, the figures of PmonSizingInput one after the
 * other, and counts of a histogram.  A flag for each figure makes it one that
 * a server could measure; else its bits are taken as they are, infinite or not
 * a number.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "fuzz.h"
#include "pure/hold_histogram.h"
#include "pure/sizing.h"

/* A figure: any, or from 0 to below the given one */
static double
take_double(FuzzInput *input, bool sane, double below)
{
	int64		bits = take_int64(input);
	double		value;

	if (sane)
		return below * ((double) ((uint64) bits >> 11) / (UINT64CONST(1) << 53));
	memcpy(&value, &bits, sizeof(value));
	return value;
}

static bool
makes_sense(const PmonSizingInput *input)
{
	return input->percentile > 0 && input->percentile < 1 &&
		isfinite(input->wait_target) && input->wait_target >= 0 &&
		isfinite(input->arrival_rate) && input->arrival_rate >= 0 &&
		isfinite(input->hold_mean) && input->hold_mean >= 0;
}

static void
check_result(const PmonSizingInput *input, const PmonSizingResult *result)
{
	require(result->recommended == -1 ||
			(result->recommended >= 1 && result->recommended <= PMON_SIZING_MAX),
			"a size of %d", result->recommended);
	require(result->note != NULL || result->recommended > 0, "no size and no note");
	if (result->recommended < 0)
	{
		require(isnan(result->expected_wait), "a wait without a size");
		return;
	}
	require(result->expected_wait >= 0, "a wait of %g", result->expected_wait);

	/* where the figures are not at the edge of what a double can tell apart */
	if (input->wait_target < 1e9 && input->hold_mean < 1e9 &&
		!(input->hold_cv > 1e9) && input->percentile < 0.999999)
		require(result->expected_wait <= input->wait_target * (1 + 1e-6) + 1e-9,
				"a wait of %g s above the target of %g s",
				result->expected_wait, input->wait_target);
}

/* Who may wait longer needs no more connections. */
static void
check_monotony(const PmonSizingInput *input, const PmonSizingResult *result)
{
	PmonSizingInput patient = *input;
	PmonSizingResult other;

	patient.wait_target *= 2;
	if (!isfinite(patient.wait_target) || result->recommended < 0)
		return;
	require(pmon_sizing(&patient, &other), "twice the target is refused");
	require(other.recommended >= 1 && other.recommended <= result->recommended,
			"%d for twice the target, after %d", other.recommended,
			result->recommended);
}

static void
check_erlang(int servers, double load)
{
	double		b = pmon_erlang_b(servers, load);
	double		c = pmon_erlang_c(servers, load);

	if (isnan(load))
		require(isnan(b) && isnan(c), "a probability without a load");
	else
		require(b >= 0 && b <= 1 && c >= 0 && c <= 1 && b <= c + 1e-9,
				"probabilities %g and %g", b, c);
}

static void
check_histogram(FuzzInput *input)
{
	uint64		counts[PMON_HOLD_BUCKETS] = {0};
	PmonHistogram histogram = {PMON_ALL_OCTAVES, counts};
	uint64		value = (uint64) take_int64(input);
	int			bucket = pmon_hold_bucket(value);
	double		fraction = take_double(input, true, 1);
	double		percentile;

	require(bucket >= 0 && bucket < PMON_HOLD_BUCKETS &&
			pmon_hold_bucket_start(bucket) <= value, "bucket %d", bucket);
	require(bucket == PMON_HOLD_BUCKETS - 1 ||
			value < pmon_hold_bucket_start(bucket + 1), "bucket %d", bucket);

	for (int n = take_byte(input); n > 0; n--)
	{
		int			place = take_byte(input) * 256;

		place += take_byte(input);
		counts[place % PMON_HOLD_BUCKETS] = (uint64) take_int64(input);
	}
	percentile = pmon_hold_percentile(&histogram, fraction, value);
	require(percentile == -1 || (percentile >= 0 && percentile <= (double) value),
			"a percentile of %g", percentile);
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	FuzzInput	input = {data, size};
	uint8		sane = take_byte(&input);
	PmonSizingInput sizing;
	PmonSizingResult result;
	bool		accepted;

	sizing.transactions = take_int64(&input);
	sizing.arrival_rate = take_double(&input, sane & 1, 1000);
	sizing.hold_mean = take_double(&input, sane & 2, 2);
	sizing.hold_cv = take_double(&input, sane & 4, 10);
	sizing.wait_target = take_double(&input, sane & 8, 10);
	sizing.percentile = take_double(&input, sane & 16, 1);
	take_bytes(&input, &sizing.instances, sizeof(sizing.instances));
	take_bytes(&input, &sizing.observed_p99, sizeof(sizing.observed_p99));
	take_bytes(&input, &sizing.observed_peak, sizeof(sizing.observed_peak));
	sizing.capacity = take_int64(&input);
	sizing.full_fraction = take_double(&input, sane & 32, 1);

	/* for these it tries all sizes, which takes its time */
	if (sizing.arrival_rate * sizing.hold_mean > 20000 && (sane & 0xC0) != 0xC0)
		return 0;

	accepted = pmon_sizing(&sizing, &result);
	require(accepted == makes_sense(&sizing), "accepted %d", accepted);
	check_result(&sizing, &result);
	if (accepted)
		check_monotony(&sizing, &result);
	check_erlang(sizing.instances % 1000, sizing.arrival_rate);
	check_histogram(&input);
	return 0;
}
