/*-------------------------------------------------------------------------
 *
 * duration.c
 *	  Durations as text: "10min", "1.5h", "500".
 *
 * See duration.h.  Core's parse_int() is followed step by step, since it is made
 * for an int, and durations can be longer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <errno.h>
#include <math.h>

#include "pure/duration.h"

/* Largest first: a fraction is rounded to the next one */
static const struct
{
	const char *name;
	double		milliseconds;
}			units[] = {
	{"d", 24 * 60 * 60 * 1000},
	{"h", 60 * 60 * 1000},
	{"min", 60 * 1000},
	{"s", 1000},
	{"ms", 1},
	{"us", 0.001},
};

/* Do the characters from p on spell this unit, with only blanks after it? */
static bool
is_unit(const char *p, const char *name)
{
	Size		length = strlen(name);

	if (strncmp(p, name, length) != 0)
		return false;
	for (p += length; *p != '\0'; p++)
	{
		if (!pmon_is_blank(*p))
			return false;
	}
	return true;
}

/* Convert a number with its unit to milliseconds; false: there is no such. */
static bool
convert(double number, const char *unit, double *milliseconds)
{
	for (int i = 0; i < lengthof(units); i++)
	{
		double		result = number * units[i].milliseconds;

		if (!is_unit(unit, units[i].name))
			continue;

		if (i + 1 < lengthof(units))
		{
			double		smaller = units[i + 1].milliseconds;

			result = rint(result / smaller) * smaller;
		}
		*milliseconds = rint(result);
		return true;
	}

	return false;
}

PmonDurationResult
pmon_duration_parse(const char *str, int64 *milliseconds)
{
	char	   *unit;
	double		number;
	double		result;

	errno = 0;
	number = strtol(str, &unit, 0);
	if (*unit == '.' || *unit == 'e' || *unit == 'E' || errno == ERANGE)
		number = strtod(str, &unit);
	if (unit == str || isnan(number))
		return PMON_DURATION_INVALID;

	while (pmon_is_blank(*unit))
		unit++;
	if (!convert(number, *unit != '\0' ? unit : "ms", &result))
		return PMON_DURATION_INVALID;

	if (number < 0 || result > (double) PMON_MAX_DURATION)
		return PMON_DURATION_OUT_OF_RANGE;
	if (number > 0 && result < 1)
		return PMON_DURATION_ROUNDS_TO_ZERO;

	*milliseconds = (int64) result;
	return PMON_DURATION_OK;
}
