/*-------------------------------------------------------------------------
 *
 * report_incidents.c
 *	  The report's incidents: who held the slots, and who blocked whom.
 *
 * See report_sections.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "executor/spi.h"

#include "query/report_sections.h"

/* Incidents whose holders are shown */
#define SHOWN_INCIDENTS		5

/* Those that have a part in the time of the report */
#define IN_TIME \
	" WHERE started_at < $2 AND coalesce(ended_at, 'infinity') >= $1"

static void
put_list(const PmonReport *report)
{
	static const PmonHtmlColumn columns[] = {
		{"incident", PMON_CELL_HEADER},
		{"started", PMON_CELL_TEXT},
		{"ended", PMON_CELL_TEXT},
		{"reason", PMON_CELL_TEXT},
		{"most at once", PMON_CELL_NUMBER},
		{"refused logins", PMON_CELL_NUMBER},
		{"largest application", PMON_CELL_TEXT}
	};

	pmon_report_table(report, "Incidents, the latest first", columns, lengthof(columns),
					  "SELECT incident, " PMON_INSTANT("started_at") ","
					  " coalesce(" PMON_INSTANT("ended_at") ", 'goes on'), reason,"
					  " peak_connections, rejected, top_application"
					  " FROM @extschema@.pool_monitor_incidents()" IN_TIME
					  " ORDER BY started_at DESC, incident DESC",
					  0, "The server did not run out of connections.");
}

static void
put_holders(const PmonReport *report, int64 incident)
{
	static const PmonHtmlColumn columns[] = {
		{"moment", PMON_CELL_TEXT},
		{"application", PMON_CELL_HEADER},
		{"role", PMON_CELL_TEXT},
		{"database", PMON_CELL_TEXT},
		{"client", PMON_CELL_TEXT},
		{"state", PMON_CELL_TEXT},
		{"connections", PMON_CELL_NUMBER},
		{"oldest transaction", PMON_CELL_NUMBER},
		{"one of them waited for", PMON_CELL_TEXT},
		{"tags", PMON_CELL_TEXT},
		{"its statement", PMON_CELL_CODE}
	};

	pmon_report_table(report, psprintf("Who held the connections in incident " INT64_FORMAT ", the largest", incident),
					  columns, lengthof(columns),
					  "SELECT moment, application_name, usename, datname, client_addr, state, connections, "
					  PMON_DURATION("longest_transaction") ","
					  " wait_event_type || ': ' || wait_event, " PMON_TAGS ", query FROM ("
					  "SELECT *, row_number() OVER (PARTITION BY moment ORDER BY connections DESC, longest_transaction DESC NULLS LAST) AS place"
					  " FROM @extschema@.pool_monitor_incident_holders($3)) h"
					  " WHERE place <= 8 ORDER BY moment DESC, place",
					  incident, "Nothing is kept of who held the connections.");
}

static void
put_blockers(const PmonReport *report, int64 incident)
{
	static const PmonHtmlColumn columns[] = {
		{"moment", PMON_CELL_TEXT},
		{"session", PMON_CELL_HEADER},
		{"application", PMON_CELL_TEXT},
		{"state", PMON_CELL_TEXT},
		{"waited for it", PMON_CELL_NUMBER},
		{"it waited for", PMON_CELL_TEXT},
		{"its statement", PMON_CELL_CODE}
	};

	pmon_report_table(report, psprintf("Who blocked whom in incident " INT64_FORMAT, incident),
					  columns, lengthof(columns),
					  "SELECT moment, pid, application_name, state, blocks,"
					  " CASE blocked_by WHEN 0 THEN 'a prepared transaction' ELSE 'session ' || blocked_by END, query FROM ("
					  "SELECT *, row_number() OVER (PARTITION BY moment ORDER BY blocked_by IS NOT NULL, blocks DESC, connections DESC) AS place"
					  " FROM @extschema@.pool_monitor_incident_holders($3) WHERE blocks > 0 OR blocked_by IS NOT NULL) b"
					  " WHERE place <= 5 ORDER BY moment DESC, place",
					  incident, NULL);
}

void
pmon_report_incidents(const PmonReport *report)
{
	int64		incidents[SHOWN_INCIDENTS];
	int			nincidents;

	put_list(report);
	if (!pmon_report_may_call(report, "pool_monitor_incident_holders(bigint)"))
		return;
	pmon_report_begin_query(report,
							"SELECT incident FROM @extschema@.pool_monitor_incidents()" IN_TIME
							" ORDER BY started_at DESC, incident DESC LIMIT $3",
							SHOWN_INCIDENTS);
	nincidents = SPI_processed;
	for (int i = 0; i < nincidents; i++)
		incidents[i] = (int64) pmon_report_number(i, 1);
	pmon_report_end_query();

	for (int i = 0; i < nincidents; i++)
	{
		pmon_html_element(report->html, "h3", psprintf("Incident " INT64_FORMAT, incidents[i]));
		put_blockers(report, incidents[i]);
		put_holders(report, incidents[i]);
	}
}
