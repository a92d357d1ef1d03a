/*-------------------------------------------------------------------------
 *
 * group_snapshot.h
 *	  A copy of all groups with what their sessions have counted so far.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_GROUP_SNAPSHOT_H
#define PMON_GROUP_SNAPSHOT_H

#include "shared/groups.h"
#include "shared/rejections.h"

typedef struct PmonGroupSnapshot
{
	int			ngroups;
	PmonGroup  *groups;			/* with the counters of sessions in progress */
	PmonHistogram *histograms;	/* of each, or NULL */
	int			napplications;
	PmonApplication *applications;
	int			nrejections;
	PmonRejection *rejections;
	uint64		groups_evicted;
	uint64		dropped[PMON_REJECT_REASONS];	/* those under no name */
	uint64		rejected[PMON_REJECT_REASONS];	/* in all, also on their way */
} PmonGroupSnapshot;

/*
 * Take a snapshot, palloc'd in the current context.  All of it is as of one
 * instant.  Where they are not wanted, histograms is NULL.  Takes a
 * lock of its own, and PmonLock(), shared, while it copies what is in use.
 */
extern PmonGroupSnapshot *pmon_take_snapshot(bool with_histograms);

/*
 * Free the applications of a snapshot.  For those who do not look at them and
 * are about to need as much memory again: with many groups these are many.
 */
extern void pmon_forget_applications(PmonGroupSnapshot *snapshot);

/* Ask for the lock that lets one snapshot be taken at a time. */
extern void pmon_request_snapshots(void);

/* A histogram with those octaves and no counts yet, palloc'd. */
extern PmonHistogram pmon_make_histogram(uint64 octaves);

#endif							/* PMON_GROUP_SNAPSHOT_H */
