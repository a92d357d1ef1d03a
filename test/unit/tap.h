/*-------------------------------------------------------------------------
 *
 * tap.h
 *	  What the stand-alone unit tests share: TAP output.
 *
 * A test includes this once, after postgres.h, calls ok() or is_*() for each
 * fact, and returns tap_done() from main().
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_TAP_H
#define PMON_TAP_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int	tap_count = 0;
static int	tap_failed = 0;

static inline bool ok(bool holds, const char *fmt,...) pg_attribute_printf(2, 3);

/* State one fact; returns whether it holds. */
static inline bool
ok(bool holds, const char *fmt,...)
{
	va_list		args;

	tap_count++;
	if (!holds)
		tap_failed++;

	printf("%sok %d - ", holds ? "" : "not ", tap_count);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");

	return holds;
}

/* State that a text is what it should be. */
static inline bool
is_str(const char *got, const char *expected, const char *fact)
{
	bool		same = strcmp(got, expected) == 0;

	ok(same, "%s", fact);
	if (!same)
		printf("#      got: %s\n# expected: %s\n", got, expected);

	return same;
}

/* State that a whole number is what it should be. */
static inline bool
is_int(long long got, long long expected, const char *fact)
{
	ok(got == expected, "%s", fact);
	if (got != expected)
		printf("#      got: %lld\n# expected: %lld\n", got, expected);

	return got == expected;
}

/* Print the plan; returns the exit status. */
static inline int
tap_done(void)
{
	printf("1..%d\n", tap_count);

	return tap_failed == 0 ? 0 : 1;
}

#endif							/* PMON_TAP_H */
