/*-------------------------------------------------------------------------
 *
 * report_query.h
 *	  What the report asks, and its answers as tables.
 *
 * All figures come from the functions that the views show, called by SPI as
 * whoever asks for the report: what they may not see is not in it.  In a query,
 * "@extschema@" stands for the extension's schema, $1 and $2 for the report's since
 * and until, which are infinite where there is no bound, and $3 for a number.  The caller
 * has seen to it that search_path is safe and that dates and intervals look as the
 * queries expect, see sql_report.c.  Everything here can be canceled.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_REPORT_QUERY_H
#define PMON_REPORT_QUERY_H

#include "datatype/timestamp.h"

#include "query/report_html.h"

typedef struct PmonReport
{
	PmonHtml   *html;
	const char *schema;			/* quoted */
	TimestampTz since;
	TimestampTz until;
} PmonReport;

/* In a query: an instant, a duration and a number as text */
#define PMON_INSTANT(x) \
	"pg_catalog.to_char(" x ", 'YYYY-MM-DD HH24:MI:SS')"
#define PMON_DURATION(x) \
	"CASE WHEN " x " < interval '10 s'" \
	" THEN pg_catalog.round(extract(epoch FROM " x ")::numeric, 1) || ' s'" \
	" ELSE pg_catalog.date_trunc('second', " x ")::text END"
#define PMON_ROUNDED(x, digits) \
	"pg_catalog.round((" x ")::numeric, " #digits ")"

#define PMON_TAGS \
	"CASE pg_catalog.jsonb_typeof(tags) WHEN 'object' THEN" \
	" (SELECT string_agg(key || '=' || value, ', ' ORDER BY key) FROM pg_catalog.jsonb_each_text(tags))" \
	" ELSE tags #>> '{}' END"

/* May the user call it?  Given as for regprocedure, without the schema */
extern bool pmon_report_may_call(const PmonReport *report, const char *function);

/*
 * Run a query; its rows are SPI_tuptable's, SPI_processed many, until
 * pmon_report_end_query().
 */
extern void pmon_report_begin_query(const PmonReport *report, const char *query,
									int64 number);
extern void pmon_report_end_query(void);

/* A value of a row, NULL if null; and as a number, 0 if null */
extern const char *pmon_report_value(uint64 row, int column);
extern double pmon_report_number(uint64 row, int column);
extern TimestampTz pmon_report_instant(uint64 row, int column);

/*
 * Show what a query returns as a table, or, if that is nothing, a sentence.
 * Returns the number of rows.
 */
extern uint64 pmon_report_table(const PmonReport *report, const char *caption,
								const PmonHtmlColumn *columns, int ncolumns,
								const char *query, int64 number,
								const char *if_empty);

#endif							/* PMON_REPORT_QUERY_H */
