/*-------------------------------------------------------------------------
 *
 * sql_report.c
 *	  SQL function that tells the whole story in one HTML file.
 *
 * It asks the functions that everybody can ask, as the caller (report_query.h);
 * what is in which section is in report_sections.c, how text becomes HTML in
 * report_html.h, the charts in report_svg.h and how it looks in report_style.c.
 * Whatever the caller has set, names are looked up in pg_catalog alone, and times
 * look the same everywhere, but for the caller's time zone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "query/report_sections.h"

PG_FUNCTION_INFO_V1(pool_monitor_report);

/*
 * Settings that the queries rely on, until the function has ended.  That there is
 * no worker is a verdict, not one more warning from each function that is asked.
 */
static int
apply_settings(void)
{
	static const char *const settings[][2] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"DateStyle", "ISO, YMD"},
		{"IntervalStyle", "postgres"},
		{"client_min_messages", "error"},
		{"jit", "off"}
	};
	int			nest_level = NewGUCNestLevel();

	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return nest_level;
}

/* Of which server, of which time, when, and as seen by whom */
static void
put_title(const PmonReport *report)
{
	PmonHtml   *html = report->html;

	pmon_html_markup(html, "<h1>Connection report</h1>\n<p class=\"about\">");
	pmon_report_begin_query(report,
							"SELECT coalesce(nullif(pg_catalog.current_setting('cluster_name'), ''), 'PostgreSQL'),"
							" pg_catalog.current_setting('server_version'), pg_catalog.current_setting('port'),"
							" CASE WHEN pg_catalog.isfinite($1) THEN 'from ' || " PMON_INSTANT("$1") " ELSE 'from as far back as anything is kept' END,"
							" CASE WHEN pg_catalog.isfinite($2) THEN 'to ' || " PMON_INSTANT("$2") " ELSE 'to now' END,"
							" " PMON_INSTANT("pg_catalog.clock_timestamp()") ", pg_catalog.current_setting('TimeZone'),"
							" current_user",
							0);
	pmon_html_format(html, "%s %s, port %s, %s %s. Made at %s for role %s. Times are of %s.",
					 pmon_report_value(0, 1), pmon_report_value(0, 2), pmon_report_value(0, 3),
					 pmon_report_value(0, 4), pmon_report_value(0, 5), pmon_report_value(0, 6),
					 pmon_report_value(0, 8), pmon_report_value(0, 7));
	pmon_report_end_query();
	pmon_html_markup(html, "</p>\n");
}

Datum
pool_monitor_report(PG_FUNCTION_ARGS)
{
	Oid			schema = get_func_namespace(fcinfo->flinfo->fn_oid);
	int			nest_level = apply_settings();
	PmonReport	report = {
		.html = pmon_begin_html(),
		.schema = quote_identifier(get_namespace_name(schema)),
		.since = PG_ARGISNULL(0) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(0),
		.until = PG_ARGISNULL(1) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(1)
	};

	pmon_report_head(report.html);
	pmon_html_markup(report.html, "<body>\n<main>\n");
	put_title(&report);
	pmon_report_sections(&report);
	pmon_html_markup(report.html, "</main>\n</body>\n</html>\n");
	AtEOXact_GUC(true, nest_level);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(report.html->out.data, report.html->out.len));
}
