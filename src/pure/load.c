/*-------------------------------------------------------------------------
 *
 * load.c
 *	  The load of a minute, out of what was counted in it.
 *
 * See load.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "pure/load.h"

/* How far samples may be below the truth, in standard deviations */
#define SAMPLING_SIGMAS		3.0

#define SECONDS_OF_MINUTE	60.0

double
pmon_minute_seconds(const PmonCountedMinute *minute)
{
	return Max(minute->length / 1000.0, SECONDS_OF_MINUTE);
}

double
pmon_minute_rate(const PmonCountedMinute *minute)
{
	return minute->transactions / pmon_minute_seconds(minute);
}

double
pmon_minute_outside(const PmonCountedMinute *minute)
{
	return minute->samples > 0 ? minute->outside / minute->samples : 0;
}

double
pmon_minute_erlangs(const PmonCountedMinute *minute)
{
	double		held = minute->hold_sum / 1000.0 / pmon_minute_seconds(minute);
	double		outside = pmon_minute_outside(minute);
	double		sampled;

	if (minute->samples <= 0)
		return held;
	sampled = minute->checked_out / minute->samples - outside;
	return outside + Min(held, sampled + SAMPLING_SIGMAS *
						 sqrt((sampled + 1) / minute->samples));
}
