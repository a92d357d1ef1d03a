/*-------------------------------------------------------------------------
 *
 * require.h
 *	  The end of a program in which something does not hold: a fuzzer keeps its
 *	  input, a test has no plan.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_FAKE_REQUIRE_H
#define PMON_FAKE_REQUIRE_H

#include <stdio.h>
#include <stdlib.h>

/* End the program, unless the property holds. */
#define require(holds, ...) \
	do { \
		if (!(holds)) \
		{ \
			fprintf(stderr, "%s:%d: ", __FILE__, __LINE__); \
			fprintf(stderr, __VA_ARGS__); \
			fprintf(stderr, "\n"); \
			abort(); \
		} \
	} while (0)

/* What Assert() calls, whatever its arguments are in this version */
extern void assertion_failed(const char *condition) __asm__("ExceptionalCondition");

void
assertion_failed(const char *condition)
{
	require(false, "assertion \"%s\"", condition);
}

#endif							/* PMON_FAKE_REQUIRE_H */
