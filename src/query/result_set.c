/*-------------------------------------------------------------------------
 *
 * result_set.c
 *	  Rows for SQL, and who may read what.
 *
 * See result_set.h.  How many columns a function has is written in its code and
 * in the SQL script of some version, so each row is compared with what the
 * function was declared with.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_authid.h"
#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inet.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "query/result_set.h"
#include "shared/shared_state.h"

static void
put(PmonRow *row, Datum value, bool isnull)
{
	Assert(row->ncolumns < PMON_MAX_COLUMNS);
	row->values[row->ncolumns] = value;
	row->nulls[row->ncolumns] = isnull;
	row->ncolumns++;
}

void
pmon_put_null(PmonRow *row)
{
	put(row, (Datum) 0, true);
}

void
pmon_put_nulls(PmonRow *row, int n)
{
	for (int i = 0; i < n; i++)
		pmon_put_null(row);
}

void
pmon_put_text(PmonRow *row, const char *value)
{
	if (value == NULL)
		pmon_put_null(row);
	else
		put(row, CStringGetTextDatum(value), false);
}

void
pmon_copy_foreign_text(char *copy, const char *value, int length)
{
	int			encoding = GetDatabaseEncoding();
	bool		is_utf8 = encoding == PG_UTF8 || encoding == PG_SQL_ASCII;

	for (int i = 0; i < length;)
	{
		int			bytes = is_utf8 ?
		pg_encoding_verifymbchar(PG_UTF8, value + i, length - i) :
		(IS_HIGHBIT_SET(value[i]) ? -1 : 1);

		if (bytes > 0)
		{
			memcpy(copy + i, value + i, bytes);
			i += bytes;
		}
		else
			copy[i++] = '?';
	}
}

void
pmon_put_foreign_text(PmonRow *row, const char *value)
{
	int			length;
	char	   *copy;

	if (value == NULL)
	{
		pmon_put_null(row);
		return;
	}
	length = strlen(value);
	copy = palloc0(length + 1);
	pmon_copy_foreign_text(copy, value, length);
	pmon_put_text(row, copy);
}

void
pmon_put_shared_text(PmonRow *row, PmonSharedTexts *texts, const char *value)
{
	int			place = murmurhash32((uint32) (uintptr_t) value) % PMON_SHARED_TEXTS;
	const char *known = texts->texts[place].string;

	/* one whose place is taken is made each time */
	if (value == NULL || (known != NULL && known != value))
	{
		pmon_put_text(row, value);
		return;
	}
	if (known == NULL)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(texts->context);

		texts->texts[place].text = CStringGetTextDatum(value);
		texts->texts[place].string = value;
		MemoryContextSwitchTo(oldcontext);
	}
	put(row, texts->texts[place].text, false);
}

void
pmon_put_json(PmonRow *row, const char *json)
{
	put(row, DirectFunctionCall1(jsonb_in, CStringGetDatum(json)), false);
}

void
pmon_put_bool(PmonRow *row, bool value)
{
	put(row, BoolGetDatum(value), false);
}

void
pmon_put_int(PmonRow *row, int value)
{
	put(row, Int32GetDatum(value), false);
}

void
pmon_put_bigint(PmonRow *row, int64 value)
{
	put(row, Int64GetDatum(value), false);
}

void
pmon_put_double(PmonRow *row, double value)
{
	put(row, Float8GetDatum(value), false);
}

void
pmon_put_estimate(PmonRow *row, double value)
{
	char		digits[32];

	snprintf(digits, sizeof(digits), "%.6g", value);
	put(row, Float8GetDatum(strtod(digits, NULL)), !isfinite(value));
}

void
pmon_put_int_or_null(PmonRow *row, bool has_value, int value)
{
	put(row, Int32GetDatum(value), !has_value);
}

void
pmon_put_bigint_or_null(PmonRow *row, bool has_value, int64 value)
{
	put(row, Int64GetDatum(value), !has_value);
}

void
pmon_put_double_or_null(PmonRow *row, bool has_value, double value)
{
	put(row, Float8GetDatum(value), !has_value);
}

void
pmon_put_time(PmonRow *row, TimestampTz value)
{
	put(row, TimestampTzGetDatum(value), value == 0);
}

void
pmon_put_instant(PmonRow *row, TimestampTz value)
{
	put(row, TimestampTzGetDatum(value), false);
}

void
pmon_put_oid(PmonRow *row, Oid value)
{
	put(row, ObjectIdGetDatum(value), !OidIsValid(value));
}

void
pmon_put_xid(PmonRow *row, TransactionId value)
{
	put(row, TransactionIdGetDatum(value), !TransactionIdIsValid(value));
}

void
pmon_put_interval(PmonRow *row, int64 microseconds)
{
	Interval   *interval;

	if (microseconds < 0)
	{
		pmon_put_null(row);
		return;
	}

	/* as age() and now() - x: days of 24 hours */
	interval = palloc0(sizeof(Interval));
	interval->day = microseconds / USECS_PER_DAY;
	interval->time = microseconds % USECS_PER_DAY;
	put(row, IntervalPGetDatum(interval), false);
}

void
pmon_put_milliseconds(PmonRow *row, double microseconds)
{
	pmon_put_double_or_null(row, microseconds >= 0, microseconds / 1000.0);
}

void
pmon_put_address(PmonRow *row, const PmonClient *address)
{
	inet	   *value;

	if (address->kind != PMON_CLIENT_INET4 &&
		address->kind != PMON_CLIENT_INET6)
	{
		pmon_put_null(row);
		return;
	}

	value = palloc0(sizeof(inet));
	ip_family(value) = address->kind == PMON_CLIENT_INET4 ?
		PGSQL_AF_INET : PGSQL_AF_INET6;
	ip_bits(value) = ip_maxbits(value);
	memcpy(ip_addr(value), address->address, ip_addrsize(value));
	SET_INET_VARSIZE(value);
	put(row, InetPGetDatum(value), false);
}

const char *
pmon_shown_name(const char *name, Oid oid)
{
	if (!OidIsValid(oid) || name != NULL)
		return name;
	return psprintf("%u", oid);
}

void
pmon_put_name(PmonRow *row, const char *name, Oid oid)
{
	pmon_put_text(row, pmon_shown_name(name, oid));
}

void
pmon_put_database(PmonRow *row, Oid databaseid)
{
	pmon_put_name(row, OidIsValid(databaseid) ? get_database_name(databaseid) : NULL,
				  databaseid);
}

void
pmon_put_role(PmonRow *row, Oid userid)
{
	pmon_put_name(row, OidIsValid(userid) ? GetUserNameFromId(userid, true) : NULL,
				  userid);
}

/* Raise the error for a function that is declared with other columns. */
void
pmon_check_columns(FunctionCallInfo fcinfo, const PmonRow *row, TupleDesc tupdesc)
{
	if (row->ncolumns == tupdesc->natts)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("function \"%s\" is declared with %d columns, but the loaded library has %d",
					get_func_name(fcinfo->flinfo->fn_oid), tupdesc->natts,
					row->ncolumns),
			 errdetail("The library and the extension's objects in this database are of different versions."),
			 errhint("Run ALTER EXTENSION pool_monitor UPDATE in this database, and restart the server if a newer library was installed after its start.")));
}

void
pmon_add_row(FunctionCallInfo fcinfo, PmonRow *row)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	pmon_check_columns(fcinfo, row, rsinfo->setDesc);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc,
						 row->values, row->nulls);
	row->ncolumns = 0;
}

Datum
pmon_return_row(FunctionCallInfo fcinfo, PmonRow *row)
{
	TupleDesc	tupdesc;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	tupdesc = BlessTupleDesc(tupdesc);
	pmon_check_columns(fcinfo, row, tupdesc);
	return HeapTupleGetDatum(heap_form_tuple(tupdesc, row->values, row->nulls));
}

int64
pmon_age(TimestampTz now, TimestampTz then)
{
	if (then == 0)
		return -1;
	return Max(now - then, 0);
}

bool
pmon_may_read_all(void)
{
	return has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
}

bool
pmon_may_read(Oid userid)
{
	return pmon_may_read_all() || has_privs_of_role(GetUserId(), userid);
}

void
pmon_require_loaded(void)
{
	if (pmon == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pool_monitor must be loaded via \"shared_preload_libraries\""),
				 errhint("Add pool_monitor to \"shared_preload_libraries\" in postgresql.conf and restart the server.")));
}

void
pmon_require_worker(void)
{
	TimestampTz last_sample_at;

	pmon_require_loaded();
	if (*(volatile int *) &pmon->worker_pid != 0)
		return;
	last_sample_at = pmon->last_sample_at;
	ereport(WARNING,
			(errmsg("pool_monitor has no background worker"),
			 last_sample_at == 0 ?
			 errdetail("No sample has been taken since the server was started.") :
			 errdetail("The last sample was taken at %s; nothing has been recorded since then.",
					   timestamptz_to_str(last_sample_at)),
			 errhint("See the server log; \"max_worker_processes\" may be too low.")));
}
