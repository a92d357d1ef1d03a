/*-------------------------------------------------------------------------
 *
 * history_writer.h
 *	  Writes samples to the history, and rolls them up into minutes.
 *
 * For the worker alone.  Nothing but pmon_history_writer_init() allocates.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_HISTORY_WRITER_H
#define PMON_HISTORY_WRITER_H

#include "shared/history.h"
#include "shared/shared_state.h"

/* What one sample found in one application, or in one declared pool */
typedef struct PmonApplicationSample
{
	int			place;			/* of the application, or PmonPoolPlace() */
	uint32		id;				/* PmonApplication.id or pmon_pool_id() */
	int			figures[PMON_FIGURES];
} PmonApplicationSample;

/* Places from here on are those of the declared pools */
#define PmonPoolPlace(pool)		(pmon->max_groups + (pool))
#define PmonPlaces()			(pmon->max_groups + PMON_MAX_POOLS)

/* What one sample found */
typedef struct PmonServerSample
{
	TimestampTz at;
	int			max_connections;
	int			ordinary_slots;
	uint64		rejected;		/* ever, not only since the last sample */
	uint64		terminated;		/* likewise */
	int			figures[PMON_FIGURES];
	int			napplications;
	PmonApplicationSample *applications;
} PmonServerSample;

/* Allocate what is needed, in the current memory context. */
extern void pmon_history_writer_init(void);

/*
 * Add a sample to the history.  When it is the first one of a minute, the
 * minute before it is finished first; that takes PmonLock(), shared, to add
 * up what the transactions of that minute counted.
 */
extern void pmon_write_history(const PmonServerSample *sample);

/* Write what there is of the current minute, since the worker will exit. */
extern void pmon_flush_history(void);

#endif							/* PMON_HISTORY_WRITER_H */
