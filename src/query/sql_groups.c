/*-------------------------------------------------------------------------
 *
 * sql_groups.c
 *	  SQL functions that show live and exact figures by application or group.
 *
 * The live figures come from the status array; where the library is preloaded,
 * the counters of the groups stand beside them.  Both are added up in one
 * table, whose key leaves database and role out for an application.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "utils/acl.h"
#include "utils/builtins.h"

#include "query/live_sessions.h"
#include "query/local_hash.h"
#include "query/result_set.h"
#include "shared/group_snapshot.h"
#include "shared/groups.h"

PG_FUNCTION_INFO_V1(pool_monitor_applications);
PG_FUNCTION_INFO_V1(pool_monitor_groups);

/* One row in the making */
typedef struct Entry
{
	PmonGroupKey key;
	PmonCounts	live;
	PmonCounters counters;
	PmonHistogram histogram;
	int			ngroups;		/* groups that were added */
	PmonPeak	peak_connections;
	PmonPeak	peak_checked_out;
	uint64		rejected;
} Entry;

typedef struct Table
{
	HTAB	   *entries;
	bool		by_group;
	Entry		hidden;			/* what the reader may not see one by one */
	PmonGroupSnapshot *snapshot;	/* NULL: not preloaded */
	PmonLive   *live;
} Table;

/* The row for a key: found or made; the hidden one where not to be seen */
static Entry *
find_entry(Table *table, Oid databaseid, Oid userid, const char *application_name)
{
	PmonGroupKey key;

	if (!pmon_may_read(userid))
		return &table->hidden;

	/*
	 * An application may call itself what stands for the hidden ones.  Where
	 * there can be such a row it goes in there, so that no two rows of
	 * applications bear one name; a group has a database and a role, too.
	 */
	if (!table->by_group && !pmon_may_read_all() &&
		strcmp(application_name, PMON_INSUFFICIENT_PRIVILEGE) == 0)
		return &table->hidden;

	pmon_set_group_key(&key,
					   table->by_group ? databaseid : InvalidOid,
					   table->by_group ? userid : InvalidOid,
					   application_name);
	return PmonLocalEntry(table->entries, &key, Entry);
}

static void
add_live(Table *table)
{
	for (int i = 0; i < table->live->nsessions; i++)
	{
		const PmonSession *session = &table->live->sessions[i];

		pmon_count_session(&find_entry(table, session->databaseid,
									   session->userid,
									   session->application_name)->live,
						   session);
	}
}

/* Does a group have anything to show? */
static bool
is_empty(const PmonGroup *group)
{
	return group->connections == 0 && group->peak_connections.value == 0 &&
		group->counters.sessions == 0 && group->counters.hold.transactions == 0;
}

static void
add_groups(Table *table)
{
	PmonGroupSnapshot *snapshot = table->snapshot;
	Entry	  **entries = palloc0(sizeof(Entry *) * snapshot->ngroups);

	for (int i = 0; i < snapshot->ngroups; i++)
	{
		PmonGroup  *group = &snapshot->groups[i];

		if (is_empty(group))
			continue;
		entries[i] = find_entry(table, group->key.databaseid, group->key.userid,
								group->key.application_name);
		pmon_add_counters(&entries[i]->counters, &group->counters);
		entries[i]->ngroups++;
		entries[i]->peak_connections = group->peak_connections;
		entries[i]->peak_checked_out = group->peak_checked_out;
	}

	/* the octaves of an entry are known now */
	for (int i = 0; i < snapshot->ngroups; i++)
	{
		Entry	   *entry = entries[i];

		if (entry == NULL)
			continue;
		if (entry->ngroups == 1)
		{
			entry->histogram = snapshot->histograms[i];
			continue;
		}
		if (entry->histogram.counts == NULL)
			entry->histogram = pmon_make_histogram(entry->counters.hold.octaves);
		pmon_histogram_add(&entry->histogram, &snapshot->histograms[i]);
	}
}

/*
 * The peaks of an application are its own, not the sum of its groups'.  They
 * tell of all its sessions; a reader who may not see all of those gets a peak
 * only where it is that of a single group.
 */
static void
set_application_peaks(Table *table)
{
	PmonGroupSnapshot *snapshot = table->snapshot;
	HASH_SEQ_STATUS seq;
	Entry	   *entry;

	hash_seq_init(&seq, table->entries);
	while ((entry = hash_seq_search(&seq)) != NULL)
	{
		if (entry->ngroups > 1)
			entry->peak_connections.at = entry->peak_connections.value = 0;
	}
	if (!pmon_may_read_all())
		return;

	for (int i = 0; i < snapshot->napplications; i++)
	{
		PmonApplication *application = &snapshot->applications[i];
		PmonGroupKey key;

		pmon_set_group_key(&key, InvalidOid, InvalidOid,
						   application->application_name);
		entry = hash_search(table->entries, &key, HASH_FIND, NULL);
		if (entry == NULL)
			continue;
		entry->peak_connections = application->peak_connections;
		entry->peak_checked_out = application->peak_checked_out;
	}
}

/*
 * Rejections bear names, which need not exist.  One that names no role can be
 * seen by those who see all, and is in no group.
 */
static void
add_rejections(Table *table)
{
	PmonGroupSnapshot *snapshot = table->snapshot;

	for (int i = 0; i < snapshot->nrejections; i++)
	{
		PmonRejection *rejection = &snapshot->rejections[i];
		Oid			userid = get_role_oid(rejection->key.usename, true);
		Oid			databaseid = InvalidOid;

		if (table->by_group && OidIsValid(userid))
			databaseid = get_database_oid(rejection->key.datname, true);

		if (table->by_group && (!OidIsValid(databaseid) || !OidIsValid(userid)))
			continue;
		find_entry(table, databaseid, userid,
				   rejection->key.application_name)->rejected += rejection->rejected;
	}

	for (int i = 0; i < PMON_REJECT_REASONS; i++)
	{
		if (snapshot->dropped[i] > 0)
			find_entry(table, InvalidOid, InvalidOid,
					   PMON_OTHER_APPLICATION)->rejected += snapshot->dropped[i];
	}
}

static void
put_live_columns(PmonRow *row, const PmonCounts *live, TimestampTz now)
{
	pmon_put_int(row, live->connections);
	pmon_put_int(row, live->states[PMON_STATE_ACTIVE]);
	pmon_put_int(row, live->states[PMON_STATE_IDLE]);
	pmon_put_int(row, live->states[PMON_STATE_IDLE_IN_TRANSACTION]);
	pmon_put_int(row, live->states[PMON_STATE_IDLE_IN_TRANSACTION_ABORTED]);
	pmon_put_int(row, live->states[PMON_STATE_FASTPATH]);
	pmon_put_int(row, live->states[PMON_STATE_DISABLED]);
	pmon_put_int(row, pmon_checked_out(live));
	pmon_put_interval(row, pmon_age(now, live->oldest_idle));
	pmon_put_interval(row, pmon_age(now, live->oldest_transaction));
	pmon_put_interval(row, pmon_age(now, live->oldest_session));
}

/* The columns that only the preloaded library knows */
static void
put_recorded_columns(PmonRow *row, const Entry *entry)
{
	const PmonCounters *counters = &entry->counters;
	const PmonHoldTotals *hold = &counters->hold;
	static const double percentiles[] = {0.50, 0.95, 0.99};

	if (entry->peak_connections.value > 0)
	{
		pmon_put_int(row, entry->peak_connections.value);
		pmon_put_time(row, entry->peak_connections.at);
		pmon_put_int(row, entry->peak_checked_out.value);
	}
	else
		pmon_put_nulls(row, 3);
	pmon_put_bigint(row, counters->sessions);
	pmon_put_bigint(row, counters->sessions_abandoned);
	pmon_put_bigint(row, counters->sessions_fatal);
	pmon_put_bigint(row, counters->sessions_killed);
	pmon_put_bigint(row, entry->rejected);
	pmon_put_bigint(row, counters->terminated);
	pmon_put_bigint(row, hold->transactions);
	pmon_put_milliseconds(row, counters->session_time);
	pmon_put_milliseconds(row, hold->time_sum);
	for (int i = 0; i < lengthof(percentiles); i++)
		pmon_put_milliseconds(row, pmon_hold_percentile(&entry->histogram,
														percentiles[i],
														hold->time_max));
	pmon_put_milliseconds(row, hold->transactions > 0 ? (double) hold->time_max : -1);
}

#define RECORDED_COLUMNS	16

static void
add_entry_row(FunctionCallInfo fcinfo, Table *table, const Entry *entry,
			  const char *application_name)
{
	PmonRow		row = {0};

	if (table->by_group)
	{
		pmon_put_name(&row, pmon_live_database(table->live, entry->key.databaseid),
					  entry->key.databaseid);
		pmon_put_name(&row, pmon_live_role(table->live, entry->key.userid),
					  entry->key.userid);
	}
	pmon_put_text(&row, application_name);
	put_live_columns(&row, &entry->live, table->live->now);
	if (table->snapshot != NULL)
		put_recorded_columns(&row, entry);
	else
		pmon_put_nulls(&row, RECORDED_COLUMNS);
	pmon_add_row(fcinfo, &row);
}

static Datum
show_table(FunctionCallInfo fcinfo, bool by_group)
{
	Table	   *table = palloc0(sizeof(Table));
	HASH_SEQ_STATUS seq;
	Entry	   *entry;

	InitMaterializedSRF(fcinfo, 0);

	table->by_group = by_group;
	table->entries = pmon_local_hash("groups", sizeof(PmonGroupKey), sizeof(Entry));
	if (pmon != NULL)
	{
		table->snapshot = pmon_take_snapshot(true);
		if (by_group)
			pmon_forget_applications(table->snapshot);
	}

	table->live = pmon_read_live(false);
	add_live(table);
	if (table->snapshot != NULL)
	{
		add_groups(table);
		if (!by_group)
			set_application_peaks(table);
		add_rejections(table);
	}

	hash_seq_init(&seq, table->entries);
	while ((entry = hash_seq_search(&seq)) != NULL)
		add_entry_row(fcinfo, table, entry, entry->key.application_name);
	if (table->hidden.live.connections > 0 || table->hidden.ngroups > 0 ||
		table->hidden.rejected > 0)
	{
		/* peaks of different groups do not add up */
		table->hidden.peak_connections.value = 0;
		add_entry_row(fcinfo, table, &table->hidden,
					  PMON_INSUFFICIENT_PRIVILEGE);
	}
	return (Datum) 0;
}

Datum
pool_monitor_applications(PG_FUNCTION_ARGS)
{
	return show_table(fcinfo, false);
}

Datum
pool_monitor_groups(PG_FUNCTION_ARGS)
{
	return show_table(fcinfo, true);
}
