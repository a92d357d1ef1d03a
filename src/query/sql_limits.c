/*-------------------------------------------------------------------------
 *
 * sql_limits.c
 *	  SQL functions that show how near roles and databases are to their limits.
 *
 * A row is a role that may log in, or a database that takes connections, and
 * any other that has sessions.  Figures only, so for everybody.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_authid.h"

#include "query/live_sessions.h"
#include "query/local_hash.h"
#include "query/result_set.h"

PG_FUNCTION_INFO_V1(pool_monitor_databases);
PG_FUNCTION_INFO_V1(pool_monitor_roles);

/* The sessions of one role, or in one database */
typedef struct OidCount
{
	Oid			oid;
	int			connections;
	int			checked_out;
	bool		is_shown;
} OidCount;

/* What all rows of one call are made from */
typedef struct Limits
{
	FunctionCallInfo fcinfo;
	HTAB	   *counts;
	int			available;		/* for all roles and databases together */
} Limits;

/* Count the sessions by a member that is an OID. */
static void
begin_limits(Limits *limits, FunctionCallInfo fcinfo, size_t member)
{
	PmonLive   *live = pmon_read_live(false);

	InitMaterializedSRF(fcinfo, 0);
	limits->fcinfo = fcinfo;
	limits->counts = pmon_local_hash("counts", sizeof(Oid), sizeof(OidCount));
	limits->available = pmon_available_slots(live->nsessions, pmon_slots_exhausted());

	for (int i = 0; i < live->nsessions; i++)
	{
		const PmonSession *session = &live->sessions[i];
		bool		found;
		OidCount   *count = hash_search(limits->counts, (const char *) session + member,
										HASH_ENTER, &found);

		if (!found)
			memset((char *) count + sizeof(Oid), 0, sizeof(OidCount) - sizeof(Oid));
		count->connections++;
		if (PmonIsCheckedOut(session->state))
			count->checked_out++;
	}
}

/* Add the row of one of them; limit is negative where there is none. */
static void
add_row(Limits *limits, const char *name, const OidCount *count, int limit)
{
	PmonRow		row = {0};
	int			slots = pmon_ordinary_slots();
	int			available = limits->available;

	if (limit >= 0)
	{
		slots = Min(slots, limit);
		available = Min(available, limit - count->connections);
	}
	pmon_put_name(&row, name, count->oid);
	pmon_put_int(&row, count->connections);
	pmon_put_int(&row, count->checked_out);
	pmon_put_int_or_null(&row, limit >= 0, limit);
	pmon_put_int(&row, Max(available, 0));
	pmon_put_double(&row, (double) count->connections / Max(slots, 1));
	pmon_add_row(limits->fcinfo, &row);
}

/* Show what the catalog has: always, or only if there are sessions. */
static void
show(Limits *limits, Oid oid, const char *name, int limit, bool always)
{
	OidCount	none = {.oid = oid};
	OidCount   *count = hash_search(limits->counts, &oid, HASH_FIND, NULL);

	if (count != NULL)
		count->is_shown = true;
	else if (always)
		count = &none;
	else
		return;
	add_row(limits, name, count, limit);
}

/* What has been dropped, and has sessions still */
static void
show_dropped(Limits *limits)
{
	HASH_SEQ_STATUS seq;
	OidCount   *count;

	hash_seq_init(&seq, limits->counts);
	while ((count = hash_seq_search(&seq)) != NULL)
	{
		/* one that is not authenticated yet has none */
		if (!count->is_shown && OidIsValid(count->oid))
			add_row(limits, NULL, count, -1);
	}
}

Datum
pool_monitor_databases(PG_FUNCTION_ARGS)
{
	Limits		limits;
	Relation	catalog;
	SysScanDesc scan;
	HeapTuple	tuple;

	begin_limits(&limits, fcinfo, offsetof(PmonSession, databaseid));
	catalog = table_open(DatabaseRelationId, AccessShareLock);
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		const FormData_pg_database *database = (Form_pg_database) GETSTRUCT(tuple);

		show(&limits, database->oid, NameStr(database->datname),
			 database->datconnlimit, database->datallowconn);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	show_dropped(&limits);
	return (Datum) 0;
}

Datum
pool_monitor_roles(PG_FUNCTION_ARGS)
{
	Limits		limits;
	Relation	catalog;
	SysScanDesc scan;
	HeapTuple	tuple;

	begin_limits(&limits, fcinfo, offsetof(PmonSession, userid));
	catalog = table_open(AuthIdRelationId, AccessShareLock);
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		const FormData_pg_authid *role = (Form_pg_authid) GETSTRUCT(tuple);

		/* the limit of a superuser is not enforced */
		show(&limits, role->oid, NameStr(role->rolname),
			 role->rolsuper ? -1 : role->rolconnlimit, role->rolcanlogin);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	show_dropped(&limits);
	return (Datum) 0;
}
