/* links: pure/load.c */
/*-------------------------------------------------------------------------
 *
 * test_load.c
 *	  Unit test of pure/load: what a minute's counts are divided by.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "pure/load.h"
#include "tap.h"

static bool
near(double got, double expected)
{
	return fabs(got - expected) <= 1e-9 * Max(fabs(expected), 1);
}

int
main(void)
{
	PmonCountedMinute minute = {.transactions = 1200,.hold_sum = 240000,.length = 60000};

	ok(near(pmon_minute_rate(&minute), 20) && near(pmon_minute_erlangs(&minute), 4),
	   "1,200 transactions of 200 ms in a minute are 20 a second and 4 erlangs");

	minute.length = 150000;
	minute.transactions *= 2.5;
	minute.hold_sum *= 2.5;
	ok(near(pmon_minute_seconds(&minute), 150) && near(pmon_minute_rate(&minute), 20) &&
	   near(pmon_minute_erlangs(&minute), 4), "as are 3,000 of them in two and a half");

	minute = (PmonCountedMinute)
	{
		.transactions = 100,.hold_sum = 60000,.length = 5000
	};
	ok(near(pmon_minute_seconds(&minute), 60) && near(pmon_minute_erlangs(&minute), 1),
	   "five seconds are not blown up to a minute");
	minute.length = 0;
	ok(near(pmon_minute_seconds(&minute), 60), "nor is a record without a length");

	/* one transaction of ten minutes that ended in this one */
	minute = (PmonCountedMinute)
	{
		.transactions = 1,.hold_sum = 600000,.length = 60000,.checked_out = 30,.samples = 60
	};
	ok(near(pmon_minute_erlangs(&minute), 0.5 + 3 * sqrt(1.5 / 60)),
	   "the load is not far above what the samples saw checked out");
	minute.hold_sum = 33000;
	ok(near(pmon_minute_erlangs(&minute), 0.55), "but may be somewhat above it");
	minute.checked_out = 0;
	ok(near(pmon_minute_erlangs(&minute), 3 * sqrt(1.0 / 60)), "also where they saw nothing");

	/* four are idle and checked out for all of it, besides */
	minute.checked_out = 270;
	minute.outside = 240;
	minute.hold_sum = 33000;
	ok(near(pmon_minute_outside(&minute), 4) && near(pmon_minute_erlangs(&minute), 4.55),
	   "what is held outside of transactions is load as well");

	minute = (PmonCountedMinute)
	{
		.length = 60000
	};
	ok(pmon_minute_rate(&minute) == 0 && pmon_minute_erlangs(&minute) == 0, "nothing is no load");
	return tap_done();
}
