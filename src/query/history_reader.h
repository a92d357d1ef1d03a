/*-------------------------------------------------------------------------
 *
 * history_reader.h
 *	  Adds the history up by periods of any length.
 *
 * Takes PmonLock(), shared, only to copy the names of the applications; the
 * rings are read without a lock.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_HISTORY_READER_H
#define PMON_HISTORY_READER_H

#include "shared/history.h"

/* The id that stands for the whole server */
#define PMON_SERVER_ID		0

/* The most that one call adds up: about 100 MB */
#define PMON_MAX_PERIODS		10000
#define PMON_MAX_PERIOD_ROWS	500000

/* One period of one application, or of the server */
typedef struct PmonPeriod
{
	/* the key */
	TimestampTz start;
	uint32		id;
	uint32		unused;

	char		application_name[NAMEDATALEN];
	int64		samples;		/* in the period, whoever they show */
	double		sums[PMON_FIGURES];
	int			maxima[PMON_FIGURES];

	/* of the server only */
	int			max_connections;
	double		utilization_max;
	int64		rejected;
	int64		terminated;
} PmonPeriod;

typedef struct PmonPeriods
{
	int			nperiods;
	PmonPeriod **periods;		/* by start, then by name; the server first */
} PmonPeriods;

/*
 * Add up what is kept from since (included) to until (excluded), in periods
 * of step microseconds that start at multiples of it.  Samples are used as
 * far back as they reach, minutes before that.  A period without samples is
 * left out.  Without applications, only the server's periods are read.
 * palloc'd.  An error where there are more than PMON_MAX_PERIODS of them, or
 * PMON_MAX_PERIOD_ROWS of all applications; can be canceled.
 */
extern PmonPeriods *pmon_read_history(TimestampTz since, TimestampTz until,
									  int64 step, bool applications);

/*
 * A step that makes about as many periods out of a time as a person likes to
 * read, or a screen shows: 60, of a round length.  Never below 1 second.
 */
extern int64 pmon_default_step(TimestampTz since, TimestampTz until);

/*
 * Go through all that is kept: the minutes, then the samples, each tier in the
 * order in which they were written.  Can be canceled.
 */
extern void pmon_walk_history(void *arg,
							  void (*on_minute) (void *arg, const PmonMinuteRecord *minute),
							  void (*on_sample) (void *arg, const PmonSampleRecord *sample));

/* The oldest and the newest time that anything is kept of, or 0 for none */
extern void pmon_history_range(TimestampTz *oldest, TimestampTz *newest);

#endif							/* PMON_HISTORY_READER_H */
