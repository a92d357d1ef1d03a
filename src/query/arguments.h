/*-------------------------------------------------------------------------
 *
 * arguments.h
 *	  Arguments that several SQL functions take, checked.
 *
 * What makes no sense is an error that names the argument; none is bent to what
 * would.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_ARGUMENTS_H
#define PMON_ARGUMENTS_H

#include "compat.h"
#include "fmgr.h"

/* Which sessions a function is about; NULL and InvalidOid: any */
typedef struct PmonSessionFilter
{
	const char *application_name;
	Oid			databaseid;
	Oid			userid;
} PmonSessionFilter;

/*
 * Read application_name, datname and usename from that argument on.  A
 * database or role that does not exist is an error.
 */
extern void pmon_get_filter(FunctionCallInfo fcinfo, int first,
							PmonSessionFilter *filter);

/* An application's name, cut as the server cuts what a client sets */
extern char *pmon_application_argument(FunctionCallInfo fcinfo, int argument);

extern bool pmon_filter_matches(const PmonSessionFilter *filter, Oid databaseid,
								Oid userid, const char *application_name);

/* Raise an error for a null argument. */
extern void pmon_require_not_null(FunctionCallInfo fcinfo, int argument,
								  const char *name);

/* A number that must not be null, nor below minimum */
extern int	pmon_count_argument(FunctionCallInfo fcinfo, int argument,
								const char *name, int minimum);

/* An interval in microseconds, which must be positive and have no months */
extern int64 pmon_interval_argument(const Interval *interval, const char *name);

/* An interval in seconds, months counted as 30 days; it must be finite */
extern double pmon_interval_seconds(const Interval *interval, const char *name);

/*
 * "since", how far to look back, in seconds.  Nothing is kept of the time before
 * 2000, and null is no bound.
 */
extern double pmon_since_argument(FunctionCallInfo fcinfo, int argument);

#endif							/* PMON_ARGUMENTS_H */
