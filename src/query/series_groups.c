/*-------------------------------------------------------------------------
 *
 * series_groups.c
 *	  Groups as they are exposed to Prometheus: by name, and not too many.
 *
 * See series_groups.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "query/local_hash.h"
#include "query/result_set.h"
#include "query/series_groups.h"
#include "shared/groups.h"

void
pmon_copy_exposed_name(char *copy, const char *name)
{
	memset(copy, 0, NAMEDATALEN);
	if (name != NULL)
		pmon_copy_foreign_text(copy, name, strnlen(name, NAMEDATALEN - 1));
}

PmonSeriesTable *
pmon_make_series(void)
{
	PmonSeriesTable *table = palloc0(sizeof(PmonSeriesTable));

	table->hash = pmon_local_hash("groups", sizeof(PmonSeriesNames), sizeof(PmonSeriesGroup));
	pmon_copy_exposed_name(table->other.names.application_name, PMON_OTHER_APPLICATION);
	return table;
}

PmonSeriesGroup *
pmon_find_series(PmonSeriesTable *table, const char *datname, const char *usename,
				 const char *application_name)
{
	PmonSeriesNames names = {0};

	pmon_copy_exposed_name(names.datname, datname);
	pmon_copy_exposed_name(names.usename, usename);
	pmon_copy_exposed_name(names.application_name, application_name);
	if (memcmp(&names, &table->other.names, sizeof(names)) == 0)
		return &table->other;
	return PmonLocalEntry(table->hash, &names, PmonSeriesGroup);
}

static void
merge_group(PmonSeriesGroup *into, PmonSeriesGroup *group)
{
	group->merged_into = into;
	into->sessions += group->sessions;
	into->walsenders += group->walsenders;
	for (int i = 0; i < PMON_STATES; i++)
	{
		into->sessions_by_state[i] += group->sessions_by_state[i];
		into->walsenders_by_state[i] += group->walsenders_by_state[i];
	}
	pmon_add_counters(&into->counters, &group->counters);
	for (int i = 0; i < PMON_REJECT_REASONS; i++)
		into->rejected[i] += group->rejected[i];
	into->rejected_in_all += group->rejected_in_all;
}

/* The largest groups first; only one of the three differs in a rejected one */
static int
compare_groups(const void *left, const void *right)
{
	const PmonSeriesGroup *a = *(PmonSeriesGroup *const *) left;
	const PmonSeriesGroup *b = *(PmonSeriesGroup *const *) right;

	if (a->sessions != b->sessions)
		return a->sessions > b->sessions ? -1 : 1;
	if (a->counters.hold.transactions != b->counters.hold.transactions)
		return a->counters.hold.transactions > b->counters.hold.transactions ? -1 : 1;
	if (a->rejected_in_all != b->rejected_in_all)
		return a->rejected_in_all > b->rejected_in_all ? -1 : 1;
	return memcmp(&a->names, &b->names, sizeof(PmonSeriesNames));
}

void
pmon_finish_series(PmonSeriesTable *table)
{
	int			kept;

	table->groups = pmon_sort_entries(table->hash, compare_groups, &table->ngroups);
	kept = Min(table->ngroups, PMON_MAX_SERIES_GROUPS);
	for (int i = kept; i < table->ngroups; i++)
		merge_group(&table->other, table->groups[i]);
	table->groups[kept] = &table->other;
	table->ngroups = kept + 1;
}

void
pmon_add_series_buckets(const PmonGroupSnapshot *snapshot, PmonSeriesGroup **into)
{
	for (int i = 0; i < snapshot->ngroups; i++)
	{
		PmonSeriesGroup *group = into[i];

		if (group == NULL)
			continue;
		if (group->merged_into != NULL)
			group = group->merged_into;
		if (group->histogram.counts == NULL)
			group->histogram = pmon_make_histogram(group->counters.hold.octaves);
		pmon_histogram_add(&group->histogram, &snapshot->histograms[i]);
	}
}
