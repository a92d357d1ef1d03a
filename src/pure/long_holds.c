/*-------------------------------------------------------------------------
 *
 * long_holds.c
 *	  Transactions that hold their connection for long, apart from the others.
 *
 * See long_holds.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pure/long_holds.h"

#define FEW_OF_MANY			100 /* a hundredth */
#define TIMES_AS_LONG		10

static const int class_seconds[PMON_LONG_CLASSES] = {1, 10, 60};

int
pmon_long_class(uint64 microseconds)
{
	int			first = PMON_LONG_CLASSES - 1;

	while (first >= 0 && microseconds < class_seconds[first] * UINT64CONST(1000000))
		first--;
	return first;
}

int
pmon_long_class_seconds(int first)
{
	return class_seconds[first];
}

static void
add_sums(PmonHoldSums *sums, const PmonHoldSums *more, int sign)
{
	sums->transactions += sign * more->transactions;
	sums->sum += sign * more->sum;
	sums->square_sum += sign * more->square_sum;
}

void
pmon_sum_briefs(PmonHoldBrief *brief, const PmonHoldBrief *more)
{
	add_sums(&brief->all, &more->all, 1);
	for (int i = 0; i < PMON_LONG_CLASSES; i++)
		add_sums(&brief->longer[i], &more->longer[i], 1);
}

void
pmon_subtract_brief(PmonHoldBrief *brief, const PmonHoldBrief *less)
{
	add_sums(&brief->all, &less->all, -1);
	for (int i = 0; i < PMON_LONG_CLASSES; i++)
		add_sums(&brief->longer[i], &less->longer[i], -1);
}

/* Differences of sums may be below zero by what was rounded. */
static PmonHoldSums
not_negative(PmonHoldSums sums)
{
	sums.transactions = Max(sums.transactions, 0);
	sums.sum = Max(sums.sum, 0);
	sums.square_sum = Max(sums.square_sum, 0);
	return sums;
}

PmonHoldSums
pmon_long_ones(const PmonHoldBrief *brief, int first)
{
	PmonHoldSums sums = {0};

	for (int i = first; i < PMON_LONG_CLASSES; i++)
		add_sums(&sums, &brief->longer[i], 1);
	return not_negative(sums);
}

PmonHoldSums
pmon_shorter_ones(const PmonHoldBrief *brief, int first)
{
	PmonHoldSums sums = brief->all;
	PmonHoldSums longer = pmon_long_ones(brief, first);

	add_sums(&sums, &longer, -1);
	return not_negative(sums);
}

int
pmon_few_from(const PmonHoldBrief *brief)
{
	for (int first = 0; first < PMON_LONG_CLASSES; first++)
	{
		PmonHoldSums few = pmon_long_ones(brief, first);
		PmonHoldSums many = pmon_shorter_ones(brief, first);

		if (few.transactions == 0)
			break;
		if (few.transactions <= Max(PMON_FEW, many.transactions / FEW_OF_MANY) &&
			few.transactions <= many.transactions &&
			few.sum * many.transactions >=
			TIMES_AS_LONG * many.sum * few.transactions)
		{
			/* the same ones, as long as they are */
			while (first < PMON_LONG_CLASSES - 1 &&
				   brief->longer[first].transactions == 0)
				first++;
			return first;
		}
	}
	return PMON_LONG_CLASSES;
}
