/*-------------------------------------------------------------------------
 *
 * report_sections.c
 *	  The report's sections, in their order.
 *
 * See report_sections.h.  Each is a function that asks and writes; the chart and the
 * incidents have files of their own.  What is long has a limit, which its caption or
 * its text tells, so that a report stays small whatever the server has seen.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "executor/spi.h"

#include "query/report_sections.h"
#include "query/report_svg.h"
#include "shared/shared_state.h"

/* Back to the report's since, for what looks back from now; null: no bound */
#define LOOK_BACK \
	"CASE WHEN $1 = '-infinity' THEN NULL WHEN pg_catalog.isfinite($1)" \
	" THEN greatest(pg_catalog.clock_timestamp() - $1, interval '1 s') ELSE interval '1 s' END"

typedef struct Section
{
	const char *id;
	const char *title;
	bool		needs_preload;
	const char *function;		/* that one must be allowed to call */
	void		(*put) (const PmonReport *report);
} Section;

/* The main figures, each with its name */
static void
put_figures(const PmonReport *report)
{
	static const char *const names[] = {
		"connections", "of max_connections", "available", "checked out",
		"most since the reset", "refused since the reset", "ended since the reset"
	};
	PmonHtml   *html = report->html;

	pmon_report_begin_query(report,
							"SELECT status, connections, max_connections, available, checked_out, peak_connections, rejected, terminated"
							" FROM @extschema@.pool_monitor_status()",
							0);
	pmon_html_markup(html, "<p>The server is <strong>");
	pmon_html_text(html, pmon_report_value(0, 1));
	pmon_html_markup(html, "</strong>.</p>\n<dl class=\"figures\">\n");
	for (int i = 0; i < lengthof(names); i++)
	{
		const char *value = pmon_report_value(0, i + 2);

		if (value == NULL)
			continue;
		pmon_html_markup(html, "<div>");
		pmon_html_element(html, "dt", names[i]);
		pmon_html_element(html, "dd", value);
		pmon_html_markup(html, "</div>\n");
	}
	pmon_html_markup(html, "</dl>\n");
	pmon_report_end_query();
}

/* One finding: severity, finding, subject, evidence, remedy, reference */
static void
put_verdict(PmonHtml *html, uint64 row)
{
	const char *severity = pmon_report_value(row, 1);
	const char *subject = pmon_report_value(row, 4);
	const char *remedy = pmon_report_value(row, 6);

	pmon_html_markup(html, strcmp(severity, "critical") == 0 ? "<li class=\"critical\">\n" :
					 strcmp(severity, "warning") == 0 ? "<li class=\"warning\">\n" :
					 "<li class=\"notice\">\n");
	pmon_html_markup(html, "<p class=\"finding\"><span class=\"severity\">");
	pmon_html_text(html, severity);
	pmon_html_markup(html, "</span> <strong>");
	pmon_html_text(html, pmon_report_value(row, 2));
	pmon_html_markup(html, "</strong>");
	if (subject != NULL)
	{
		pmon_html_format(html, ", %s ", pmon_report_value(row, 3));
		pmon_html_markup(html, "<b>");
		pmon_html_text(html, subject[0] != '\0' ? subject : "(empty)");
		pmon_html_markup(html, "</b>");
	}
	pmon_html_markup(html, "</p>\n");
	pmon_html_element(html, "p", pmon_report_value(row, 5));
	if (remedy != NULL)
	{
		pmon_html_markup(html, "<p><b>What to do:</b> ");
		pmon_html_text(html, remedy);
		pmon_html_markup(html, "</p>\n");
	}
	pmon_html_markup(html, "<p class=\"reference\">See ");
	pmon_html_text(html, pmon_report_value(row, 7));
	pmon_html_markup(html, "</p>\n</li>\n");
}

static void
put_verdicts(const PmonReport *report)
{
	PmonHtml   *html = report->html;

	pmon_html_element(html, "p", "What is wrong now, and was since the beginning of the report: the most likely cause first.");
	pmon_report_begin_query(report,
							"SELECT severity, finding, subject_type, subject, evidence, remedy, reference"
							" FROM @extschema@.pool_monitor_diagnosis(" LOOK_BACK ") ORDER BY rank",
							0);
	pmon_html_markup(html, "<ol class=\"verdicts\">\n");
	for (uint64 row = 0; row < SPI_processed; row++)
		put_verdict(html, row);
	pmon_html_markup(html, "</ol>\n");
	pmon_report_end_query();
	if (pmon_report_may_call(report, "pool_monitor_status()"))
		put_figures(report);
}

/* The height that a pool takes in the picture: its name above its bar */
#define POOL_HEIGHT		46

static void
put_pool_bars(const PmonReport *report)
{
	PmonHtml   *html = report->html;
	double		widest = 1;
	uint64		npools;

	pmon_report_begin_query(report,
							"SELECT pool, capacity, checked_out, total_connections, status, peak_checked_out FROM @extschema@.pool_monitor_pools()"
							" WHERE capacity > 0",
							0);
	npools = SPI_processed;
	for (uint64 row = 0; row < npools; row++)
		widest = Max(Max(widest, pmon_report_number(row, 2)),
					 Max(pmon_report_number(row, 4), pmon_report_number(row, 6)));
	if (npools > 0)
	{
		appendStringInfo(&html->out,
						 "<figure>\n<div class=\"scroll\" role=\"group\" tabindex=\"0\" aria-label=\"Chart of pools\">\n"
						 "<svg class=\"chart\" viewBox=\"0 0 %d %d\" role=\"img\" aria-labelledby=\"pools-title pools-text\">\n"
						 "<title id=\"pools-title\">Declared pools beside their capacity</title>\n"
						 "<desc id=\"pools-text\">The figures are in the table below.</desc>\n",
						 PMON_BAR_WIDTH + 2, (int) npools * POOL_HEIGHT);
		for (uint64 row = 0; row < npools; row++)
		{
			int			y = row * POOL_HEIGHT;

			appendStringInfo(&html->out, "<text class=\"pool\" x=\"1\" y=\"%d\">", y + 14);
			pmon_html_format(html, "%s: %s of %s checked out, %s",
							 pmon_report_value(row, 1), pmon_report_value(row, 3),
							 pmon_report_value(row, 2), pmon_report_value(row, 5));
			pmon_html_markup(html, "</text>\n");
			pmon_svg_bar(html, y + 20, PMON_BAR_WIDTH / widest, (int64) pmon_report_number(row, 2),
						 (int64) pmon_report_number(row, 3), (int64) pmon_report_number(row, 4),
						 (int64) pmon_report_number(row, 6));
		}
		pmon_html_markup(html,
						 "</svg>\n</div>\n<figcaption>Solid: checked out. Pale: checked in. Frame: the capacity, "
						 "size and overflow of all instances. Red line: the most that was checked out at once.</figcaption>\n</figure>\n");
	}
	pmon_report_end_query();
}

static void
put_pools(const PmonReport *report)
{
	static const PmonHtmlColumn columns[] = {
		{"pool", PMON_CELL_HEADER},
		{"status", PMON_CELL_TEXT},
		{"checked out", PMON_CELL_NUMBER},
		{"checked in", PMON_CELL_NUMBER},
		{"connections", PMON_CELL_NUMBER},
		{"capacity", PMON_CELL_NUMBER},
		{"size", PMON_CELL_NUMBER},
		{"overflow", PMON_CELL_NUMBER},
		{"instances", PMON_CELL_NUMBER},
		{"most checked out", PMON_CELL_NUMBER},
		{"ended badly", PMON_CELL_NUMBER},
		{"last exhausted", PMON_CELL_TEXT}
	};

	put_pool_bars(report);
	pmon_report_table(report, "Declared pools, now", columns, lengthof(columns),
					  "SELECT pool, status, checked_out, checked_in, total_connections, capacity, pool_size, max_overflow,"
					  " instances, peak_checked_out, invalid, " PMON_INSTANT("last_exhausted_at")
					  " FROM @extschema@.pool_monitor_pools()",
					  0, "No pool is declared in pool_monitor.pools.");
}

static void
put_holds(const PmonReport *report)
{
	static const PmonHtmlColumn columns[] = {
		{"tags", PMON_CELL_HEADER},
		{"application", PMON_CELL_TEXT},
		{"query_id", PMON_CELL_NUMBER},
		{"connections on average", PMON_CELL_NUMBER},
		{"share", PMON_CELL_NUMBER},
		{"longest", PMON_CELL_NUMBER},
		{"mostly", PMON_CELL_TEXT},
		{"statement", PMON_CELL_CODE}
	};

	pmon_report_table(report, "What held connections, by the code that its statements name: the 20 that held most",
					  columns, lengthof(columns),
					  "SELECT " PMON_TAGS ", application_name, query_id,"
					  " " PMON_ROUNDED("connections", 2) ", " PMON_ROUNDED("100 * share", 1) " || '%',"
					  " " PMON_DURATION("longest") ", mostly, query FROM ("
					  "SELECT tags, application_name, query_id, sum(connections_avg) AS connections, sum(share) AS share,"
					  " max(longest) AS longest,"
					  " (array_agg(coalesce(wait_event_type || ': ' || wait_event, state) ORDER BY connections_avg DESC))[1] AS mostly,"
					  " (array_agg(query ORDER BY connections_avg DESC))[1] AS query"
					  " FROM @extschema@.pool_monitor_holds($1, $2)"
					  " GROUP BY tags, application_name, query_id, CASE WHEN query_id IS NULL THEN query END"
					  " ORDER BY connections DESC, application_name, query_id LIMIT 20) h",
					  0, "Nothing held a connection in the whole minutes of that time.");
}

static void
put_sizing(const PmonReport *report)
{
	static const PmonHtmlColumn columns[] = {
		{"application", PMON_CELL_HEADER},
		{"pool", PMON_CELL_TEXT},
		{"transactions", PMON_CELL_NUMBER},
		{"per second", PMON_CELL_NUMBER},
		{"hold time, ms", PMON_CELL_NUMBER},
		{"load, erlangs", PMON_CELL_NUMBER},
		{"most checked out", PMON_CELL_NUMBER},
		{"recommended size", PMON_CELL_NUMBER},
		{"expected wait, ms", PMON_CELL_NUMBER},
		{"note", PMON_CELL_TEXT}
	};

	pmon_html_element(report->html, "p",
					  "A size for each instance, with which 99% of the transactions wait less than 10 ms for a connection, "
					  "in the busiest minute since the beginning of the report.");
	pmon_report_table(report, "Sizes: declared pools, then the 40 applications with the highest load",
					  columns, lengthof(columns),
					  "SELECT application_name, pool, transactions, " PMON_ROUNDED("arrival_rate", 2) ", "
					  PMON_ROUNDED("hold_time_mean", 2) ", " PMON_ROUNDED("offered_load", 2) ","
					  " peak_checked_out, recommended_pool_size, " PMON_ROUNDED("expected_wait", 2) ", note FROM ("
					  "SELECT *, row_number() OVER (PARTITION BY pool IS NULL ORDER BY offered_load DESC NULLS LAST, application_name) AS place"
					  " FROM @extschema@.pool_monitor_sizing(since => " LOOK_BACK ")) s"
					  " WHERE pool IS NOT NULL OR place <= 40 ORDER BY pool IS NULL, place",
					  0, "No transaction ended in the whole minutes of that time.");
}

static void
put_terminations(const PmonReport *report)
{
	static const PmonHtmlColumn columns[] = {
		{"when", PMON_CELL_TEXT},
		{"session", PMON_CELL_HEADER},
		{"application", PMON_CELL_TEXT},
		{"role", PMON_CELL_TEXT},
		{"database", PMON_CELL_TEXT},
		{"state", PMON_CELL_TEXT},
		{"for", PMON_CELL_NUMBER},
		{"reason", PMON_CELL_TEXT},
		{"outcome", PMON_CELL_TEXT},
		{"detail", PMON_CELL_TEXT}
	};

	pmon_report_table(report, "Idle sessions that were to be ended: the last 40", columns, lengthof(columns),
					  "SELECT " PMON_INSTANT("terminated_at") ", pid, application_name, usename, datname, state, "
					  PMON_DURATION("idle_for") ", reason, outcome, detail FROM ("
					  "SELECT *, row_number() OVER () AS place FROM @extschema@.pool_monitor_terminations()) t"
					  " WHERE coalesce(terminated_at BETWEEN $1 AND $2, true) ORDER BY place DESC LIMIT 40",
					  0, "No session was ended.");
}

static void
put_settings(const PmonReport *report)
{
	static const PmonHtmlColumn info[] = {
		{"figure", PMON_CELL_HEADER},
		{"value", PMON_CELL_TEXT}
	};
	static const PmonHtmlColumn settings[] = {
		{"setting", PMON_CELL_HEADER},
		{"value", PMON_CELL_CODE},
		{"from", PMON_CELL_TEXT}
	};

	pmon_html_markup(report->html, "<p>");
	pmon_report_begin_query(report, "SELECT pg_catalog.version()", 0);
	pmon_html_text(report->html, pmon_report_value(0, 1));
	pmon_report_end_query();
	pmon_html_markup(report->html, "</p>\n");
	pmon_report_table(report, "The extension", info, lengthof(info),
					  "SELECT key, value FROM @extschema@.pool_monitor_info() i,"
					  " pg_catalog.json_each_text(pg_catalog.row_to_json(i))",
					  0, NULL);
	pmon_report_table(report, "Settings", settings, lengthof(settings),
					  "SELECT name, CASE WHEN length(setting) > 2000 THEN left(setting, 2000) || ' ...' ELSE setting END"
					  " || coalesce(' ' || nullif(unit, ''), ''), source FROM pg_catalog.pg_settings"
					  " WHERE starts_with(name, 'pool_monitor.') OR name IN ('max_connections', 'reserved_connections',"
					  " 'superuser_reserved_connections', 'idle_session_timeout', 'idle_in_transaction_session_timeout')"
					  " ORDER BY starts_with(name, 'pool_monitor.'), name",
					  0, NULL);
}

static const Section sections[] = {
	{"verdicts", "Verdicts", false, "pool_monitor_diagnosis(interval)", put_verdicts},
	{"connections", "Connections over time", true, "pool_monitor_utilization(timestamptz,timestamptz,interval)", pmon_report_chart},
	{"pools", "Declared pools", false, "pool_monitor_pools()", put_pools},
	{"incidents", "Incidents", true, "pool_monitor_incidents()", pmon_report_incidents},
	{"holds", "What code holds connections", true, "pool_monitor_holds(timestamptz,timestamptz)", put_holds},
	{"sizing", "Sizes for pools", true, "pool_monitor_sizing(interval,double precision,interval)", put_sizing},
	{"ends", "Sessions that were ended", true, "pool_monitor_terminations()", put_terminations},
	{"settings", "Versions and settings", false, "pool_monitor_info()", put_settings}
};

void
pmon_report_sections(const PmonReport *report)
{
	PmonHtml   *html = report->html;

	for (int i = 0; i < lengthof(sections); i++)
	{
		const Section *section = &sections[i];

		CHECK_FOR_INTERRUPTS();
		appendStringInfo(&html->out, "<section aria-labelledby=\"%s\">\n<h2 id=\"%s\">%s</h2>\n",
						 section->id, section->id, section->title);
		if (section->needs_preload && pmon == NULL)
			pmon_html_element(html, "p", "Nothing is known of this: pool_monitor is not in shared_preload_libraries.");
		else if (!pmon_report_may_call(report, section->function))
			pmon_html_element(html, "p", psprintf("This takes the right to call %s, which members of pg_read_all_stats have by default.",
												  section->function));
		else
			section->put(report);
		pmon_html_markup(html, "</section>\n");
	}
}
