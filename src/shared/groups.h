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
 * Who enters, leaves or resets groups holds PmonLock() exclusively.  No
 * function here raises an error.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_GROUPS_H
#define PMON_GROUPS_H

#include "pure/client_network.h"
#include "shared/hold_counters.h"
#include "shared/shared_state.h"

/* The application that takes the figures of those that were folded */
#define PMON_OTHER_APPLICATION	"<other>"

/*
 * Ids of applications are below this one, so that history can use those above
 * for pools.
 */
#define PMON_ID_LIMIT			0x80000000

/* Counters of a group; exact.  Times are in microseconds. */
typedef struct PmonCounters
{
	uint64		sessions;
	uint64		sessions_abandoned;
	uint64		sessions_fatal;
	uint64		sessions_killed;
	uint64		terminated;		/* by us; not in sessions_fatal */
	uint64		session_time;
	PmonHoldTotals hold;
} PmonCounters;

/* No padding between the members, and the name is padded with zeroes */
typedef struct PmonGroupKey
{
	Oid			databaseid;
	Oid			userid;
	char		application_name[NAMEDATALEN];
} PmonGroupKey;

StaticAssertDecl(sizeof(PmonGroupKey) == 2 * sizeof(Oid) + NAMEDATALEN,
				 "a key of a hash table has no padding");

typedef struct PmonGroup
{
	PmonGroupKey key;
	char		datname[NAMEDATALEN];	/* names and client as of the session */
	char		usename[NAMEDATALEN];	/* that entered last; for pools */
	PmonClient	client_addr;
	bool		in_use;
	uint32		id;				/* new each time the place is taken */
	uint32		generation;		/* counts resets: see PmonHoldCounters */
	int			application;	/* place in the applications */
	int			connections;	/* sessions that are in the group now */
	PmonPeak	peak_connections;
	PmonPeak	peak_checked_out;	/* as sampled */
	TimestampTz counted_since;	/* start, or the last reset */
	TimestampTz last_used;		/* when a session last left; 0: none has */
	int			lru_prev;		/* a list of groups without sessions; or the */
	int			lru_next;		/* next one of the free places */
	PmonCounters counters;
} PmonGroup;

/* Places of groups, from the least recently used one on */
typedef struct PmonGroupList
{
	int			first;
	int			last;
	int			length;
} PmonGroupList;

/*
 * An application is remembered, for the sake of its history, after its last
 * group is gone, until its place is wanted.
 */
typedef struct PmonApplication
{
	char		application_name[NAMEDATALEN];	/* padded with zeroes */
	bool		in_use;
	uint32		id;				/* new each time the place is taken */
	int			ngroups;		/* groups of this application */
	int			lru_prev;		/* the list of applications without groups, */
	int			lru_next;		/* by when they lost the last; or free places */
	PmonHoldBrief moved;		/* what its groups have, but is in a minute of
								 * the history or came from other
								 * applications, less what went there */
	int			connections;
	PmonPeak	peak_connections;
	PmonPeak	peak_checked_out;	/* as sampled */
	TimestampTz reset_at;		/* its load counts from then on; 0: always */
} PmonApplication;

/* What is known of all groups and applications */
typedef struct PmonGroupTable
{
	uint64		groups_evicted;
	int			ngroups;		/* places in use */
	int			napplications;	/* likewise */
	uint32		last_id;		/* of PmonGroup.id and PmonApplication.id */
	PmonGroupList idle_groups;	/* groups without sessions */
	PmonGroupList idle_others;	/* likewise, those that are an "<other>" */
	int			unused_first;	/* applications without groups */
	int			unused_last;
	int			first_free_group;
	int			first_free_application;
} PmonGroupTable;

/* Valid whenever pmon is; buckets are at the places of the groups */
extern PmonGroupTable *pmon_group_table;
extern PmonGroup *pmon_groups;
extern PmonHoldBuckets *pmon_group_buckets;
extern PmonApplication *pmon_applications;

/* Ask for the memory, with the one group that always exists. */
extern void pmon_request_groups(void);

/* Fill in a key; the name is cut to what fits and padded with zeroes. */
extern void pmon_set_group_key(PmonGroupKey *key, Oid databaseid, Oid userid,
							   const char *application_name);

/*
 * A session enters the group with that key, or the "<other>" that stands in
 * for it, and leaves it again.  Entering updates the peaks of the group, of
 * its application and of the server.  The names of database and role and the
 * client's address are noted in the group.  Returns the group's place.  Both
 * want PmonLock() exclusively.
 */
extern int	pmon_enter_group(const PmonGroupKey *key, const char *datname,
							 const char *usename,
							 const PmonClient *client_addr, TimestampTz now);
extern void pmon_leave_group(int group, TimestampTz now);

/*
 * Raise a peak to a value that was reached at that time, if it is higher.
 * Wants whichever lock the peak is under.
 */
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
 * forgotten too.  Wants PmonLock() exclusively.
 */
extern void pmon_reset_groups(const char *application_name, TimestampTz now);

#endif							/* PMON_GROUPS_H */
