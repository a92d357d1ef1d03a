/*-------------------------------------------------------------------------
 *
 * live_pools.c
 *	  Which declared pool each session belongs to, as a query sees it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "query/live_pools.h"
#include "query/local_hash.h"
#include "shared/group_snapshot.h"
#include "shared/settings.h"

/* A name, or NULL for what has been dropped */
typedef struct CachedName
{
	Oid			oid;
	char	   *name;
} CachedName;

struct PmonNames
{
	MemoryContext context;
	HTAB	   *databases;
	HTAB	   *roles;
};

PmonNames *
pmon_begin_matching(void)
{
	PmonNames  *names = palloc(sizeof(PmonNames));

	names->context = CurrentMemoryContext;
	names->databases = pmon_local_hash("database names", sizeof(Oid), sizeof(CachedName));
	names->roles = pmon_local_hash("role names", sizeof(Oid), sizeof(CachedName));
	return names;
}

static const char *
cached_name(PmonNames *names, Oid oid, bool is_database)
{
	HTAB	   *cache = is_database ? names->databases : names->roles;
	CachedName *entry;
	bool		found;

	if (!OidIsValid(oid))
		return NULL;
	entry = hash_search(cache, &oid, HASH_ENTER, &found);
	if (!found)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(names->context);

		entry->name = is_database ? get_database_name(oid) :
			GetUserNameFromId(oid, true);
		MemoryContextSwitchTo(oldcontext);
	}
	return entry->name;
}

const char *
pmon_live_database(PmonNames *names, Oid databaseid)
{
	return cached_name(names, databaseid, true);
}

const char *
pmon_live_role(PmonNames *names, Oid userid)
{
	return cached_name(names, userid, false);
}

int
pmon_live_pool(PmonNames *names, const PmonSession *session)
{
	PmonPoolSubject subject;

	if (pmon_declared->npools == 0)
		return -1;
	subject.application_name = session->application_name;
	subject.datname = pmon_live_database(names, session->databaseid);
	subject.usename = pmon_live_role(names, session->userid);
	subject.client = session->client_addr;
	return pmon_pools_match(pmon_declared, &subject);
}

void
pmon_count_pools(PmonCounts *counts)
{
	PmonNames  *names = pmon_begin_matching();
	int			rest = pmon_declared->npools;

	memset(counts, 0, sizeof(PmonCounts) * (rest + 1));
	for (int i = 0; i < pmon_status_slots(); i++)
	{
		PmonSession session;
		int			pool;

		if (!pmon_read_session(i, &session) || !PmonIsSession(&session))
			continue;
		pool = pmon_live_pool(names, &session);
		if (pool >= 0)
			pmon_count_session(&counts[pool], &session);
		if (pool < 0 || pmon_declared->pools[pool].size < 0)
			pmon_count_session(&counts[rest], &session);
	}
}

void
pmon_count_invalid(int64 *invalid)
{
	PmonGroupSnapshot *snapshot = pmon_take_snapshot(false);

	memset(invalid, 0, sizeof(int64) * pmon_declared->npools);
	for (int i = 0; i < snapshot->ngroups; i++)
	{
		PmonGroup  *group = &snapshot->groups[i];
		PmonPoolSubject subject;
		int			pool;

		subject.application_name = group->key.application_name;
		subject.datname = group->datname;
		subject.usename = group->usename;
		subject.client = group->client_addr;
		pool = pmon_pools_match(pmon_declared, &subject);
		if (pool >= 0)
			invalid[pool] += group->counters.sessions_abandoned +
				group->counters.sessions_fatal + group->counters.sessions_killed;
	}
}
