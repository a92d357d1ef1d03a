/*-------------------------------------------------------------------------
 *
 * duration.h
 *	  Durations as text: "10min", "1.5h", "500".
 *
 * Pure functions; nothing here allocates, locks or raises an error.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_DURATION_H
#define PMON_DURATION_H

/*
 * The longest duration, 100 years in milliseconds: adding it to any timestamp
 * that a clock shows cannot overflow.
 */
#define PMON_MAX_DURATION		INT64CONST(3153600000000)

/* The same for messages */
#define PMON_MAX_DURATION_TEXT	"36500d"

typedef enum PmonDurationResult
{
	PMON_DURATION_OK,
	PMON_DURATION_INVALID,		/* not a number with a known unit */
	PMON_DURATION_OUT_OF_RANGE, /* negative, or above PMON_MAX_DURATION */
	PMON_DURATION_ROUNDS_TO_ZERO	/* though it is above zero */
} PmonDurationResult;

/* A blank as core's scanners define it; isspace() would ask the locale. */
static inline bool
pmon_is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/*
 * Read a duration into *milliseconds, which is set only if the result is
 * PMON_DURATION_OK.
 *
 * The string is read as core reads a setting in milliseconds (parse_int() in
 * settings.c): decimal, hexadecimal, octal or floating point, blanks around number
 * and unit, the units us, ms, s, min, h and d, no unit for ms; a fraction is
 * rounded to the next smaller unit.  Two differences: the largest value is not
 * that of an int, and what rounds to zero is refused, since zero means "never".
 */
extern PmonDurationResult pmon_duration_parse(const char *str,
											  int64 *milliseconds);

#endif							/* PMON_DURATION_H */
