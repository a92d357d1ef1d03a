/*-------------------------------------------------------------------------
 *
 * groups.c
 *	  The groups and applications in shared memory: found, made, folded.
 *
 * A group with sessions never goes away, so a session can keep its group's
 * place and count into it without looking it up again.  Groups without
 * sessions are kept in a list from the least to the most recently used one;
 * when a place is wanted and none is free, the first of them gives way.
 *
 * Each "<other>" without sessions is in a list of its own, for it can go only
 * to the one that takes all, where database and role are lost.  So it gives
 * way when nothing else can, or when these have half of all places: else those
 * of databases and roles that are long gone would crowd out what is used.
 *
 * An application that has lost its last group is remembered, so that history
 * can name it, for as long as no other one wants its place.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "utils/builtins.h"

#include "shared/groups.h"
#include "shared/settings.h"

/* Groups that may become an "<other>" before one goes to the one that takes all */
#define EVICTION_STEPS	16

/* The group that takes what finds no other place */
#define CATCH_ALL_GROUP		0

PmonGroupTable *pmon_group_table = NULL;
PmonGroup  *pmon_groups = NULL;
PmonHoldBuckets *pmon_group_buckets = NULL;
PmonApplication *pmon_applications = NULL;

static HTAB *group_hash = NULL;
static HTAB *application_hash = NULL;

/* An entry of the hash tables of groups and of applications */
typedef struct GroupHashEntry
{
	PmonGroupKey key;
	int			place;
} GroupHashEntry;

typedef struct ApplicationHashEntry
{
	char		name[NAMEDATALEN];
	int			place;
} ApplicationHashEntry;

StaticAssertDecl(sizeof(GroupHashEntry) == sizeof(PmonGroupKey) + sizeof(int) &&
				 sizeof(ApplicationHashEntry) == NAMEDATALEN + sizeof(int),
				 "an entry is a key and a place, without padding");

static bool
is_other(const PmonGroupKey *key)
{
	return strcmp(key->application_name, PMON_OTHER_APPLICATION) == 0;
}

void
pmon_set_group_key(PmonGroupKey *key, Oid databaseid, Oid userid,
				   const char *application_name)
{
	memset(key, 0, sizeof(*key));
	key->databaseid = databaseid;
	key->userid = userid;
	namestrcpy((Name) key->application_name, application_name);
}

/* An id that no group and no application has had for very long */
static uint32
new_id(void)
{
	if (++pmon_group_table->last_id >= PMON_ID_LIMIT)
		pmon_group_table->last_id = 1;
	return pmon_group_table->last_id;
}

/*
 * The lists of groups without sessions
 */
static PmonGroupList *
list_of(const PmonGroup *group)
{
	return is_other(&group->key) ? &pmon_group_table->idle_others : &pmon_group_table->idle_groups;
}

static void
lru_append(int place)
{
	PmonGroup  *group = &pmon_groups[place];
	PmonGroupList *list = list_of(group);

	group->lru_prev = list->last;
	group->lru_next = PMON_NONE;
	if (list->last != PMON_NONE)
		pmon_groups[list->last].lru_next = place;
	else
		list->first = place;
	list->last = place;
	list->length++;
}

static void
lru_remove(int place)
{
	PmonGroup  *group = &pmon_groups[place];
	PmonGroupList *list = list_of(group);

	if (group->lru_prev != PMON_NONE)
		pmon_groups[group->lru_prev].lru_next = group->lru_next;
	else
		list->first = group->lru_next;
	if (group->lru_next != PMON_NONE)
		pmon_groups[group->lru_next].lru_prev = group->lru_prev;
	else
		list->last = group->lru_prev;
	list->length--;
	group->lru_prev = group->lru_next = PMON_NONE;
}

/*
 * The list of applications without groups
 */
static void
unused_append(int place)
{
	PmonApplication *application = &pmon_applications[place];

	application->lru_prev = pmon_group_table->unused_last;
	application->lru_next = PMON_NONE;
	if (pmon_group_table->unused_last != PMON_NONE)
		pmon_applications[pmon_group_table->unused_last].lru_next = place;
	else
		pmon_group_table->unused_first = place;
	pmon_group_table->unused_last = place;
}

static void
unused_remove(int place)
{
	PmonApplication *application = &pmon_applications[place];

	if (application->lru_prev != PMON_NONE)
		pmon_applications[application->lru_prev].lru_next = application->lru_next;
	else
		pmon_group_table->unused_first = application->lru_next;
	if (application->lru_next != PMON_NONE)
		pmon_applications[application->lru_next].lru_prev = application->lru_prev;
	else
		pmon_group_table->unused_last = application->lru_prev;
}

/* Forget an application without groups. */
static void
forget_application(int place)
{
	PmonApplication *application = &pmon_applications[place];

	Assert(application->ngroups == 0);
	unused_remove(place);
	hash_search(application_hash, application->application_name,
				HASH_REMOVE, NULL);
	application->in_use = false;
	application->lru_next = pmon_group_table->first_free_application;
	pmon_group_table->first_free_application = place;
	pmon_group_table->napplications--;
}

/*
 * Remember an application, without groups.  There is a place for it, since
 * there are as many places as groups: if need be, one that has lost its last
 * group gives way.  What it counted stands under "<other>" already; what of
 * that is in no minute yet will be in one of "<other>".
 */
static int
make_application(const char *name)
{
	ApplicationHashEntry *entry;
	PmonApplication *application;
	int			place;

	if (pmon_group_table->first_free_application == PMON_NONE)
	{
		pmon_sum_briefs(&pmon_applications[pmon_groups[CATCH_ALL_GROUP].application].moved,
						&pmon_applications[pmon_group_table->unused_first].moved);
		forget_application(pmon_group_table->unused_first);
	}

	place = pmon_group_table->first_free_application;
	Assert(place != PMON_NONE);
	application = &pmon_applications[place];
	pmon_group_table->first_free_application = application->lru_next;

	memset(application, 0, sizeof(*application));
	memcpy(application->application_name, name, NAMEDATALEN);
	application->in_use = true;
	application->id = new_id();
	unused_append(place);
	pmon_group_table->napplications++;

	entry = hash_search(application_hash, name, HASH_ENTER, NULL);
	entry->place = place;
	return place;
}

/* One more group of that application, which is found or made */
static int
application_add_group(const char *name)
{
	ApplicationHashEntry *entry;
	int			place;

	entry = hash_search(application_hash, name, HASH_FIND, NULL);
	place = entry != NULL ? entry->place : make_application(name);
	if (pmon_applications[place].ngroups++ == 0)
		unused_remove(place);
	return place;
}

static void
application_remove_group(int place)
{
	if (--pmon_applications[place].ngroups == 0)
		unused_append(place);
}

/* A group's hold times now stand under another application. */
static void
note_move(const PmonGroup *group, int to)
{
	PmonHoldBrief *from_moved = &pmon_applications[group->application].moved;
	PmonHoldBrief *to_moved = &pmon_applications[to].moved;
	PmonHoldBrief brief = {0};

	pmon_add_brief(&brief, &group->counters.hold);
	pmon_subtract_brief(from_moved, &brief);
	pmon_sum_briefs(to_moved, &brief);
}

/* The place of the group with that key, or PMON_NONE */
static int
find_group(const PmonGroupKey *key)
{
	GroupHashEntry *entry;

	entry = hash_search(group_hash, key, HASH_FIND, NULL);
	return entry != NULL ? entry->place : PMON_NONE;
}

/* Make a group without sessions; there must be a free place. */
static int
make_group(const PmonGroupKey *key)
{
	int			place = pmon_group_table->first_free_group;
	PmonGroup  *group = &pmon_groups[place];
	GroupHashEntry *entry;

	Assert(place != PMON_NONE);
	pmon_group_table->first_free_group = group->lru_next;
	entry = hash_search(group_hash, key, HASH_ENTER, NULL);
	entry->place = place;

	memset(group, 0, sizeof(*group));
	memset(pmon_group_buckets[place], 0, sizeof(PmonHoldBuckets));
	group->key = *key;
	group->in_use = true;
	group->id = new_id();
	group->application = application_add_group(key->application_name);
	group->counted_since = Max(pmon->started_at, pmon->stats_reset);
	lru_append(place);
	pmon_group_table->ngroups++;
	return place;
}

/* Forget a group without sessions. */
static void
drop_group(int place)
{
	PmonGroup  *group = &pmon_groups[place];

	Assert(group->connections == 0 && place != CATCH_ALL_GROUP);
	lru_remove(place);
	hash_search(group_hash, &group->key, HASH_REMOVE, NULL);
	application_remove_group(group->application);
	group->in_use = false;
	group->lru_next = pmon_group_table->first_free_group;
	pmon_group_table->first_free_group = place;
	pmon_group_table->ngroups--;
}

/* Add counters and the counts of their buckets to a group. */
static void
add_to_group(int place, const PmonCounters *counters, const PmonHistogram *histogram)
{
	PmonHistogram all = {PMON_ALL_OCTAVES, pmon_group_buckets[place]};

	pmon_add_counters(&pmon_groups[place].counters, counters);
	pmon_histogram_add(&all, histogram);
}

/* Add what a group without sessions counted to another one, and forget it. */
static void
fold_group(int place, int into)
{
	PmonGroup  *group = &pmon_groups[place];
	PmonGroup  *target = &pmon_groups[into];
	PmonHistogram all = {PMON_ALL_OCTAVES, pmon_group_buckets[place]};

	note_move(group, target->application);
	add_to_group(into, &group->counters, &all);
	pmon_raise_peak(&target->peak_connections, group->peak_connections.value,
					group->peak_connections.at);
	pmon_raise_peak(&target->peak_checked_out, group->peak_checked_out.value,
					group->peak_checked_out.at);
	pmon_group_table->groups_evicted++;
	drop_group(place);

	/* it has just been used, so let others give way before it */
	if (into != CATCH_ALL_GROUP && target->connections == 0)
	{
		lru_remove(into);
		lru_append(into);
	}
}

/* Make a group without sessions the "<other>" of its database and role. */
static void
rename_to_other(int place, const PmonGroupKey *other)
{
	PmonGroup  *group = &pmon_groups[place];
	int			application = application_add_group(other->application_name);
	GroupHashEntry *entry;

	entry = hash_search(group_hash, &group->key, HASH_FIND, NULL);
	hash_update_hash_key(group_hash, entry, other);
	note_move(group, application);
	application_remove_group(group->application);
	lru_remove(place);
	group->key = *other;
	group->id = new_id();
	group->application = application;
	lru_append(place);
	pmon_group_table->groups_evicted++;
}

/*
 * Free a place.  Returns false where no group is without sessions.
 *
 * The least recently used group goes to its "<other>".  Where there is none
 * yet, that group becomes it, which frees no place, so the next one has to go
 * too.  That may be so for several databases and roles in a row; after some
 * steps a group goes to the one that takes all, so that there is an end.
 */
static bool
evict_group(void)
{
	for (int step = 1; step <= EVICTION_STEPS; step++)
	{
		int			place = pmon_group_table->idle_groups.first;
		int			into;
		PmonGroupKey other;

		if (place == PMON_NONE || pmon_group_table->idle_others.length > pmon->max_groups / 2)
		{
			place = pmon_group_table->idle_others.first;
			if (place == PMON_NONE)
				return false;
			fold_group(place, CATCH_ALL_GROUP);
			return true;
		}

		pmon_set_group_key(&other, pmon_groups[place].key.databaseid,
						   pmon_groups[place].key.userid, PMON_OTHER_APPLICATION);
		into = find_group(&other);
		if (into == PMON_NONE && step < EVICTION_STEPS)
		{
			rename_to_other(place, &other);
			continue;
		}
		fold_group(place, into != PMON_NONE ? into : CATCH_ALL_GROUP);
		return true;
	}

	return false;
}

static void
init_groups(void)
{
	PmonGroupKey key;

	for (int i = 0; i < pmon->max_groups; i++)
	{
		int			next = i + 1 < pmon->max_groups ? i + 1 : PMON_NONE;

		pmon_groups[i].lru_next = next;
		pmon_applications[i].lru_next = next;
	}
	pmon_group_table->first_free_group = pmon_group_table->first_free_application = 0;
	pmon_group_table->idle_groups.first = pmon_group_table->idle_groups.last = PMON_NONE;
	pmon_group_table->idle_others.first = pmon_group_table->idle_others.last = PMON_NONE;
	pmon_group_table->unused_first = pmon_group_table->unused_last = PMON_NONE;

	/* the first one made is at place 0; it is never in the list */
	pmon_set_group_key(&key, InvalidOid, InvalidOid, PMON_OTHER_APPLICATION);
	lru_remove(make_group(&key));
}

void
pmon_request_groups(void)
{
	pmon_request_part((void **) &pmon_group_table, sizeof(PmonGroupTable), NULL);
	pmon_request_part((void **) &pmon_groups, sizeof(PmonGroup) * pmon_max_groups, NULL);
	pmon_request_part((void **) &pmon_group_buckets,
					  sizeof(PmonHoldBuckets) * pmon_max_groups, NULL);
	pmon_request_part((void **) &pmon_applications,
					  sizeof(PmonApplication) * pmon_max_groups, init_groups);
	pmon_request_hash(&group_hash, "pool_monitor groups", pmon_max_groups,
					  sizeof(PmonGroupKey));
	pmon_request_hash(&application_hash, "pool_monitor applications",
					  pmon_max_groups, NAMEDATALEN);
}

/* The place of a group, which is made if that is possible, or PMON_NONE */
static int
find_or_make_group(const PmonGroupKey *key)
{
	int			place = find_group(key);

	if (place == PMON_NONE &&
		(pmon_group_table->first_free_group != PMON_NONE || evict_group()))
		place = make_group(key);
	return place;
}

int
pmon_enter_group(const PmonGroupKey *key, const char *datname,
				 const char *usename, const PmonClient *client_addr,
				 TimestampTz now)
{
	PmonGroup  *group;
	PmonApplication *application;
	int			place;

	Assert(LWLockHeldByMeInMode(PmonLock(), LW_EXCLUSIVE));
	place = find_or_make_group(key);
	if (place == PMON_NONE)
	{
		/* every group has sessions: stand in the "<other>" if there is one */
		PmonGroupKey other;

		pmon_set_group_key(&other, key->databaseid, key->userid,
						   PMON_OTHER_APPLICATION);
		place = find_group(&other);
		if (place == PMON_NONE)
			place = CATCH_ALL_GROUP;
	}

	group = &pmon_groups[place];
	application = &pmon_applications[group->application];
	if (group->connections++ == 0 && place != CATCH_ALL_GROUP)
		lru_remove(place);
	application->connections++;
	pmon->connections++;
	namestrcpy((Name) group->datname, datname);
	namestrcpy((Name) group->usename, usename);
	group->client_addr = *client_addr;

	pmon_raise_peak(&group->peak_connections, group->connections, now);
	pmon_raise_peak(&application->peak_connections, application->connections, now);
	pmon_raise_peak(&pmon->peak_connections, pmon->connections, now);
	pmon_raise_peak(&pmon->incident_peak, pmon->connections, now);
	return place;
}

void
pmon_leave_group(int place, TimestampTz now)
{
	PmonGroup  *group = &pmon_groups[place];

	Assert(LWLockHeldByMeInMode(PmonLock(), LW_EXCLUSIVE));
	Assert(group->in_use && group->connections > 0);
	group->last_used = now;
	if (--group->connections == 0 && place != CATCH_ALL_GROUP)
		lru_append(place);
	pmon_applications[group->application].connections--;
	pmon->connections--;
}

void
pmon_restore_application(const PmonApplication *saved)
{
	ApplicationHashEntry *entry;
	PmonApplication *application;
	NameData	name;
	int			place;

	namestrcpy(&name, saved->application_name);
	entry = hash_search(application_hash, &name, HASH_FIND, NULL);
	if (entry != NULL)
		place = entry->place;
	else if (pmon_group_table->first_free_application != PMON_NONE)
		place = make_application(NameStr(name));
	else
		return;

	application = &pmon_applications[place];
	if (saved->id > 0 && saved->id < PMON_ID_LIMIT)
		application->id = saved->id;
	application->moved = saved->moved;
	application->peak_connections = saved->peak_connections;
	application->peak_checked_out = saved->peak_checked_out;
	application->reset_at = saved->reset_at;
}

void
pmon_restore_group(const PmonGroup *saved, const PmonHistogram *histogram)
{
	PmonGroupKey key;
	PmonGroup  *group;
	int			place;

	pmon_set_group_key(&key, saved->key.databaseid, saved->key.userid,
					   saved->key.application_name);
	place = find_or_make_group(&key);
	Assert(place != PMON_NONE);
	group = &pmon_groups[place];
	add_to_group(place, &saved->counters, histogram);
	group->counted_since = saved->counted_since;
	group->last_used = saved->last_used;
	namestrcpy((Name) group->datname, saved->datname);
	namestrcpy((Name) group->usename, saved->usename);
	group->client_addr = saved->client_addr;
	pmon_raise_peak(&group->peak_connections, saved->peak_connections.value,
					saved->peak_connections.at);
	pmon_raise_peak(&group->peak_checked_out, saved->peak_checked_out.value,
					saved->peak_checked_out.at);
}

void
pmon_raise_peak(PmonPeak *peak, int value, TimestampTz at)
{
	if (value > peak->value)
	{
		peak->value = value;
		peak->at = at;
	}
}

void
pmon_add_counters(PmonCounters *totals, const PmonCounters *more)
{
	totals->sessions += more->sessions;
	totals->sessions_abandoned += more->sessions_abandoned;
	totals->sessions_fatal += more->sessions_fatal;
	totals->sessions_killed += more->sessions_killed;
	totals->terminated += more->terminated;
	totals->session_time += more->session_time;
	pmon_add_hold_totals(&totals->hold, &more->hold);
}

/* What is in progress is where counting starts again. */
static void
restart_peak(PmonPeak *peak, int value, TimestampTz now)
{
	peak->value = value;
	peak->at = value > 0 ? now : 0;
}

static void
reset_group(int place, TimestampTz now)
{
	PmonGroup  *group = &pmon_groups[place];

	if (group->connections == 0 && place != CATCH_ALL_GROUP)
	{
		drop_group(place);
		return;
	}

	memset(&group->counters, 0, sizeof(group->counters));
	memset(pmon_group_buckets[place], 0, sizeof(PmonHoldBuckets));
	group->generation++;
	group->counted_since = now;
	restart_peak(&group->peak_connections, group->connections, now);
	restart_peak(&group->peak_checked_out, 0, now);
}

static void
reset_application(int place, TimestampTz now)
{
	PmonApplication *application = &pmon_applications[place];

	restart_peak(&application->peak_connections, application->connections, now);
	restart_peak(&application->peak_checked_out, 0, now);
	memset(&application->moved, 0, sizeof(application->moved));
	application->reset_at = now;
}

/* The place of the application with that name, or PMON_NONE */
static int
find_application(const char *application_name)
{
	ApplicationHashEntry *entry;
	NameData	name;

	namestrcpy(&name, application_name);
	entry = hash_search(application_hash, &name, HASH_FIND, NULL);
	return entry != NULL ? entry->place : PMON_NONE;
}

void
pmon_reset_groups(const char *application_name, TimestampTz now)
{
	int			only = PMON_NONE;

	Assert(LWLockHeldByMeInMode(PmonLock(), LW_EXCLUSIVE));
	if (application_name != NULL)
	{
		only = find_application(application_name);
		if (only == PMON_NONE)
			return;
		/* it may be one that has lost its last group */
		reset_application(only, now);
	}

	for (int i = 0; i < pmon->max_groups; i++)
	{
		PmonGroup  *group = &pmon_groups[i];

		if (!group->in_use || (only != PMON_NONE && group->application != only))
			continue;
		reset_application(group->application, now);
		reset_group(i, now);
	}

	if (application_name == NULL)
	{
		restart_peak(&pmon->peak_connections, pmon->connections, now);

		/* history is gone too, and was all that these were remembered for */
		while (pmon_group_table->unused_first != PMON_NONE)
			forget_application(pmon_group_table->unused_first);
	}
}
