/*-------------------------------------------------------------------------
 *
 * arguments.c
 *	  Arguments that several SQL functions take, checked.
 *
 * See arguments.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "common/int.h"
#include "mb/pg_wchar.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "query/arguments.h"

char *
pmon_application_argument(FunctionCallInfo fcinfo, int argument)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(argument));

	name[pg_mbcliplen(name, strlen(name), NAMEDATALEN - 1)] = '\0';
	return name;
}

void
pmon_get_filter(FunctionCallInfo fcinfo, int first, PmonSessionFilter *filter)
{
	memset(filter, 0, sizeof(*filter));
	if (!PG_ARGISNULL(first))
		filter->application_name = pmon_application_argument(fcinfo, first);
	if (!PG_ARGISNULL(first + 1))
		filter->databaseid = get_database_oid(NameStr(*PG_GETARG_NAME(first + 1)), false);
	if (!PG_ARGISNULL(first + 2))
		filter->userid = get_role_oid(NameStr(*PG_GETARG_NAME(first + 2)), false);
}

bool
pmon_filter_matches(const PmonSessionFilter *filter, Oid databaseid,
					Oid userid, const char *application_name)
{
	return (filter->application_name == NULL ||
			strcmp(filter->application_name, application_name) == 0) &&
		(filter->databaseid == InvalidOid || filter->databaseid == databaseid) &&
		(filter->userid == InvalidOid || filter->userid == userid);
}

void
pmon_require_not_null(FunctionCallInfo fcinfo, int argument, const char *name)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("\"%s\" must not be null", name)));
}

int
pmon_count_argument(FunctionCallInfo fcinfo, int argument, const char *name,
					int minimum)
{
	pmon_require_not_null(fcinfo, argument, name);
	if (PG_GETARG_INT32(argument) < minimum)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" must be at least %d", name, minimum)));
	return PG_GETARG_INT32(argument);
}

/* Raise an error for an infinite interval, of which 17 and later know. */
static void
require_finite(const Interval *interval, const char *name)
{
	if (INTERVAL_NOT_FINITE(interval))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" must be finite", name)));
}

int64
pmon_interval_argument(const Interval *interval, const char *name)
{
	int64		length;

	require_finite(interval, name);
	if (interval->month != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" must not contain months or years", name),
				 errhint("Give it in days or smaller units.")));
	if (pg_mul_s64_overflow(interval->day, USECS_PER_DAY, &length) ||
		pg_add_s64_overflow(length, interval->time, &length))
		ereport(ERROR,
				(errcode(ERRCODE_INTERVAL_FIELD_OVERFLOW),
				 errmsg("\"%s\" is out of range", name)));
	if (length <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" must be greater than zero", name)));
	return length;
}

double
pmon_interval_seconds(const Interval *interval, const char *name)
{
	require_finite(interval, name);
	return interval->time / (double) USECS_PER_SEC +
		((double) interval->day + (double) interval->month * DAYS_PER_MONTH) * SECS_PER_DAY;
}

double
pmon_since_argument(FunctionCallInfo fcinfo, int argument)
{
	double		since = (double) GetCurrentTimestamp() / USECS_PER_SEC;

	if (!PG_ARGISNULL(argument))
		since = Min(pmon_interval_seconds(PG_GETARG_INTERVAL_P(argument), "since"), since);
	if (!(since > 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"since\" must be greater than zero")));
	return since;
}
