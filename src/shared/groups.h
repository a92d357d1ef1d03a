/*-------------------------------------------------------------------------
 *
 * groups.h
 *	  The groups and applications in shared memory: found, made, folded.
 *
 * A group is one (database, role, application).  There are at most
 * pool_monitor.max_groups; past that, the least recently used group without
 * sessions is folded into the application "<other>" of the same database and
 * role.  Where these take too many places, the least recently used of them is
 * folded into the "<other>" without database and role, which always exists.
 *
 * Every function here wants PmonLock() held: exclusively, but where it says
 * otherwise.  None raises an error.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_GROUPS_H
#define PMON_GROUPS_H

#include "shared/shared_state.h"

/* Make the one group that always exists.  Called once, when memory is new. */
extern void pmon_init_groups(void);

/* Fill in a key; the name is cut to what fits and padded with zeroes. */
extern void pmon_set_group_key(PmonGroupKey *key, Oid databaseid, Oid userid,
							   const char *application_name);

/*
 * A session enters the group with that key, or the "<other>" that stands in
 * for it, and leaves it again.  Entering updates the peaks of the group, of
 * its application and of the server.  The names of database and role and the
 * client's address are noted in the group.  Returns the group's place.
 */
extern int	pmon_enter_group(const PmonGroupKey *key, const char *datname,
							 const char *usename,
							 const PmonClient *client_addr, TimestampTz now);
extern void pmon_leave_group(int group, TimestampTz now);

/* Raise a peak to a value that was reached at that time, if it is higher. */
extern void pmon_raise_peak(PmonPeak *peak, int value, TimestampTz at);

/* Add counters to counters, without buckets.  Needs no lock of its own. */
extern void pmon_add_counters(PmonCounters *totals, const PmonCounters *more);

/*
 * Put back what an earlier server knew of an application or a group, as of
 * the snapshot that was saved; groups go first, each with its histogram.
 * Where there are too many, the groups put back first are folded.  For server
 * start, when nobody else is there: wants no lock.
 */
extern void pmon_restore_application(const PmonApplication *saved);
extern void pmon_restore_group(const PmonGroup *saved,
							   const PmonHistogram *histogram);

/*
 * Forget what was counted: in one application's groups (NULL: in all), as of
 * now.  Sessions in progress stay where they are; what they counted so far is
 * forgotten too.
 */
extern void pmon_reset_groups(const char *application_name, TimestampTz now);

#endif							/* PMON_GROUPS_H */
