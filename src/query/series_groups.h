/*-------------------------------------------------------------------------
 *
 * series_groups.h
 *	  Groups as they are exposed to Prometheus: by name, and not too many.
 *
 * A client chooses its application name, so the number of series is bounded:
 * the PMON_MAX_SERIES_GROUPS groups with most sessions, then most transactions,
 * stand for themselves, and the others are added up under "<other>" without
 * database and role.  Sums over all groups are exact.  As groups come and go
 * from there, the counters of "<other>" itself can jump either way, so a rate
 * is that of the sum, which a recording rule keeps.
 *
 * Groups are told apart by the names that are exposed, not by their OIDs: a
 * role can be named like the OID of one that was dropped, and two series with
 * the same labels would make the reader refuse the whole exposition.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_SERIES_GROUPS_H
#define PMON_SERIES_GROUPS_H

#include "shared/group_snapshot.h"
#include "shared/status_array.h"

/* Groups, and names of refused logins, that have series of their own */
#define PMON_MAX_SERIES_GROUPS	100

/* No padding, and padded with zeroes; as they are exposed */
typedef struct PmonSeriesNames
{
	char		datname[NAMEDATALEN];
	char		usename[NAMEDATALEN];
	char		application_name[NAMEDATALEN];
} PmonSeriesNames;

StaticAssertDecl(sizeof(PmonSeriesNames) == 3 * NAMEDATALEN,
				 "a key of a hash table has no padding");

/* What a group adds up to */
typedef struct PmonSeriesGroup
{
	PmonSeriesNames names;
	int			sessions;
	int			sessions_by_state[PMON_STATES];
	int			walsenders;
	int			walsenders_by_state[PMON_STATES];
	PmonCounters counters;
	PmonHistogram histogram;
	struct PmonSeriesGroup *merged_into;
	uint64		rejected[PMON_REJECT_REASONS];
	uint64		rejected_in_all;
} PmonSeriesGroup;

/* Groups by their names, then in the order in which they are exposed */
typedef struct PmonSeriesTable
{
	HTAB	   *hash;
	PmonSeriesGroup other;
	PmonSeriesGroup **groups;
	int			ngroups;
} PmonSeriesTable;

/*
 * Copy a name as it is exposed, padded with zeroes; NULL is empty.  Names come in whatever
 * encoding their creator had, and those of refused logins in none at all, yet
 * a single byte that is not UTF-8 when it reaches Prometheus makes it refuse
 * everything.  So such a byte becomes "?"; in a database that is neither UTF8
 * nor SQL_ASCII, where the text is converted on its way, each byte that is
 * not ASCII does.
 */
extern void pmon_copy_exposed_name(char *copy, const char *name);

/* A table with nothing but "<other>", palloc'd. */
extern PmonSeriesTable *pmon_make_series(void);

/* The group of those names: found or made. */
extern PmonSeriesGroup *pmon_find_series(PmonSeriesTable *table,
										 const char *datname,
										 const char *usename,
										 const char *application_name);

/*
 * Put the groups in order and add up those beyond the bound.  "<other>" is
 * the last, and always there: its counters must not vanish between two looks.
 */
extern void pmon_finish_series(PmonSeriesTable *table);

/*
 * Add the histograms of a snapshot, once the table is finished, so that only
 * what will be exposed has one.  into has the group that the counters of each
 * went to, or NULL.
 */
extern void pmon_add_series_buckets(const PmonGroupSnapshot *snapshot,
									PmonSeriesGroup **into);

#endif							/* PMON_SERIES_GROUPS_H */
