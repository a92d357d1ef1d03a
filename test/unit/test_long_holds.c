/* links: pure/long_holds.c */
/*-------------------------------------------------------------------------
 *
 * test_long_holds.c
 *	  Few long transactions apart from the many, and when they are few.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pure/long_holds.h"
#include "tap.h"

/* So many transactions that take so many milliseconds each */
static void
add(PmonHoldBrief *brief, int64 transactions, double milliseconds)
{
	int			class = pmon_long_class((uint64) (milliseconds * 1000));
	PmonHoldSums sums = {transactions, transactions * milliseconds,
	transactions * milliseconds * milliseconds};
	PmonHoldBrief more = {sums};

	if (class >= 0)
		more.longer[class] = sums;
	pmon_sum_briefs(brief, &more);
}

static void
test_classes(void)
{
	PmonHoldBrief brief = {0};
	PmonHoldBrief other = {0};
	PmonHoldSums sums;

	is_int(pmon_long_class(0), -1, "nothing is not long");
	is_int(pmon_long_class(999999), -1, "nor is less than a second");
	is_int(pmon_long_class(1000000), 0, "a second is");
	is_int(pmon_long_class(9999999), 0, "up to ten");
	is_int(pmon_long_class(10000000), 1, "ten seconds are longer");
	is_int(pmon_long_class(60000000), 2, "and a minute longer still");
	is_int(pmon_long_class(PG_UINT64_MAX), 2, "so is eternity");
	for (int i = 0; i < PMON_LONG_CLASSES; i++)
		is_int(pmon_long_class(pmon_long_class_seconds(i) * UINT64CONST(1000000)), i, "a class begins where it says");

	add(&brief, 100, 10);
	add(&brief, 5, 2000);
	add(&brief, 3, 20000);
	add(&brief, 2, 100000);
	is_int(pmon_long_ones(&brief, 0).transactions, 10, "all long ones");
	is_int(pmon_long_ones(&brief, 1).transactions, 5, "those from ten seconds on");
	is_int(pmon_long_ones(&brief, PMON_LONG_CLASSES).transactions, 0, "none");
	is_int(pmon_shorter_ones(&brief, PMON_LONG_CLASSES).transactions, 110, "and all without none");
	sums = pmon_shorter_ones(&brief, 1);
	ok(sums.transactions == 105 && sums.sum == 11000 && sums.square_sum == 100 * 100 + 5 * 4e6, "the others in all figures");
	add(&other, 100, 10);
	pmon_subtract_brief(&brief, &other);
	is_int(pmon_shorter_ones(&brief, 0).transactions, 0, "a difference");
	pmon_subtract_brief(&brief, &other);
	is_int(pmon_shorter_ones(&brief, 0).transactions, 0, "that is never negative");
}

static void
is_few(int64 many, double short_ms, int64 few, double long_ms, int from, const char *fact)
{
	PmonHoldBrief brief = {0};

	add(&brief, many, short_ms);
	add(&brief, few, long_ms);
	is_int(pmon_few_from(&brief), from, fact);
}

int
main(void)
{
	PmonHoldBrief brief = {0};

	test_classes();
	is_few(0, 0, 0, 0, PMON_LONG_CLASSES, "of nothing, none are few");
	is_few(1000, 30, 0, 0, PMON_LONG_CLASSES, "of short ones alone neither");
	is_few(1000, 30, 10, 120000, 2, "ten of minutes are few");
	is_few(1000, 30, 100, 1000, 0, "a hundred are");
	is_few(1000, 30, 101, 1000, PMON_LONG_CLASSES, "more are not");
	is_few(20000, 30, 200, 1000, 0, "unless they are a hundredth");
	is_few(20000, 30, 201, 1000, PMON_LONG_CLASSES, "and no more");
	is_few(10, 30, 10, 120000, 2, "as many as the others are few");
	is_few(9, 30, 10, 120000, PMON_LONG_CLASSES, "more than the others are the many");
	is_few(1000, 120, 10, 1200, 0, "they take ten times as long");
	is_few(1000, 121, 10, 1200, PMON_LONG_CLASSES, "or are just the slower ones");
	is_few(0, 0, 50, 30000, PMON_LONG_CLASSES, "where all are long, that is the load");

	/* a batch of some seconds, and a leak in it */
	add(&brief, 500, 3000);
	add(&brief, 5, 300000);
	is_int(pmon_few_from(&brief), 2, "the few are those that are longer than the many, whatever these are");
	return tap_done();
}
