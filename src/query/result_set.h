/*-------------------------------------------------------------------------
 *
 * result_set.h
 *	  Rows for SQL, and who may read what.
 *
 * A row is filled from left to right, one call a column.  What has no value
 * is null: a NULL pointer, a time of 0, a negative duration.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_RESULT_SET_H
#define PMON_RESULT_SET_H

#include "compat.h"
#include "fmgr.h"

#include "shared/status_array.h"

#define PMON_MAX_COLUMNS	40

/* What stands for the sessions that a reader may not see */
#define PMON_INSUFFICIENT_PRIVILEGE		"<insufficient privilege>"

typedef struct PmonRow
{
	int			ncolumns;
	Datum		values[PMON_MAX_COLUMNS];
	bool		nulls[PMON_MAX_COLUMNS];
} PmonRow;

extern void pmon_put_null(PmonRow *row);
extern void pmon_put_nulls(PmonRow *row, int n);
extern void pmon_put_text(PmonRow *row, const char *value);
extern void pmon_put_json(PmonRow *row, const char *json);	/* as jsonb */
extern void pmon_put_bool(PmonRow *row, bool value);
extern void pmon_put_int(PmonRow *row, int value);
extern void pmon_put_bigint(PmonRow *row, int64 value);
extern void pmon_put_double(PmonRow *row, double value);
extern void pmon_put_time(PmonRow *row, TimestampTz value); /* 0: null */
extern void pmon_put_instant(PmonRow *row, TimestampTz value);	/* 0: 2000-01-01 */

/* What is computed, to six digits, beyond which there is noise; NaN: null */
extern void pmon_put_estimate(PmonRow *row, double value);
extern void pmon_put_xid(PmonRow *row, TransactionId value);
extern void pmon_put_oid(PmonRow *row, Oid value);

/*
 * Text that no server has looked at, or that was written in no encoding that we
 * know: names and patterns of declared pools, names of refused logins.  What
 * can not be text here has "?" in the place of its bytes.
 */
extern void pmon_put_foreign_text(PmonRow *row, const char *value);

/*
 * Texts that many rows have, made once: by where the string is, which stays
 * there and stays what it is for as long as this is used.  Starts as zeroes but for
 * the context, which holds them.
 */
#define PMON_SHARED_TEXTS	64

typedef struct PmonSharedTexts
{
	MemoryContext context;
	struct
	{
		const char *string;
		Datum text;
	}			texts[PMON_SHARED_TEXTS];
} PmonSharedTexts;

extern void pmon_put_shared_text(PmonRow *row, PmonSharedTexts *texts, const char *value);

/*
 * The same as a copy of so many bytes, without an end.  A byte that is not
 * UTF-8 becomes "?"; in a database that is neither UTF8 nor SQL_ASCII, where
 * text is converted on its way to the client, each byte that is not ASCII does.
 */
extern void pmon_copy_foreign_text(char *copy, const char *value, int length);

/* A number, or null for what has none */
extern void pmon_put_int_or_null(PmonRow *row, bool has_value, int value);
extern void pmon_put_bigint_or_null(PmonRow *row, bool has_value, int64 value);
extern void pmon_put_double_or_null(PmonRow *row, bool has_value, double value);

/* A duration in microseconds as an interval */
extern void pmon_put_interval(PmonRow *row, int64 microseconds);

/* A duration in microseconds as double precision milliseconds */
extern void pmon_put_milliseconds(PmonRow *row, double microseconds);

/* An address as inet; null for Unix sockets, as in pg_stat_activity */
extern void pmon_put_address(PmonRow *row, const PmonClient *address);

/* The name of a database or role, its OID as text if dropped, null if none */
extern void pmon_put_database(PmonRow *row, Oid databaseid);
extern void pmon_put_role(PmonRow *row, Oid userid);

/* The same with the name as it has been looked up, NULL if dropped */
extern void pmon_put_name(PmonRow *row, const char *name, Oid oid);
extern const char *pmon_shown_name(const char *name, Oid oid);

/*
 * Add the row to the function's result, and empty it for the next one.  A
 * function that is declared with other columns is an error: the objects in the
 * database are not of the library's version.
 */
extern void pmon_add_row(FunctionCallInfo fcinfo, PmonRow *row);

extern void pmon_check_columns(FunctionCallInfo fcinfo, const PmonRow *row,
							   TupleDesc tupdesc);

/* The row as the result of a function that returns one composite. */
extern Datum pmon_return_row(FunctionCallInfo fcinfo, PmonRow *row);

/* How long ago a time was, in microseconds; negative for a time of 0. */
extern int64 pmon_age(TimestampTz now, TimestampTz then);

/*
 * May the current user read everything about a session of that role?  As in
 * pg_stat_activity: with the role's privileges, or pg_read_all_stats'.
 */
extern bool pmon_may_read(Oid userid);
extern bool pmon_may_read_all(void);

/* Raise the error for what only the preloaded library knows. */
extern void pmon_require_loaded(void);

/*
 * The same; and for what the worker alone writes, warn where there is none: a
 * history that ended unnoticed looks like a calm one.
 */
extern void pmon_require_worker(void);

#endif							/* PMON_RESULT_SET_H */
