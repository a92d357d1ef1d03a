/*-------------------------------------------------------------------------
 *
 * report_query.c
 *	  What the report asks, and its answers as tables.
 *
 * See report_query.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "query/report_query.h"

#define SCHEMA_MARK		"@extschema@"

/* The query with the schema's name in the places of its mark */
static char *
with_schema(const PmonReport *report, const char *query)
{
	StringInfoData result;
	const char *mark;

	initStringInfo(&result);
	while ((mark = strstr(query, SCHEMA_MARK)) != NULL)
	{
		appendBinaryStringInfo(&result, query, mark - query);
		appendStringInfoString(&result, report->schema);
		query = mark + strlen(SCHEMA_MARK);
	}
	appendStringInfoString(&result, query);
	return result.data;
}

void
pmon_report_begin_query(const PmonReport *report, const char *query, int64 number)
{
	Oid			types[] = {TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID};
	Datum		values[] = {
		TimestampTzGetDatum(report->since),
		TimestampTzGetDatum(report->until),
		Int64GetDatum(number)
	};

	SPI_connect();
	if (SPI_execute_with_args(with_schema(report, query), lengthof(values), types,
							  values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read what the report shows");
}

void
pmon_report_end_query(void)
{
	SPI_finish();
}

const char *
pmon_report_value(uint64 row, int column)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);
}

double
pmon_report_number(uint64 row, int column)
{
	const char *value = pmon_report_value(row, column);

	return value != NULL ? strtod(value, NULL) : 0;
}

TimestampTz
pmon_report_instant(uint64 row, int column)
{
	bool		null;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
									  column, &null);

	return null ? 0 : DatumGetTimestampTz(value);
}

bool
pmon_report_may_call(const PmonReport *report, const char *function)
{
	char	   *name = psprintf("%s.%s", report->schema, function);
	const char *answer;
	bool		may;

	pmon_report_begin_query(report, psprintf("SELECT pg_catalog.has_function_privilege(%s, 'EXECUTE')",
											 quote_literal_cstr(name)), 0);
	answer = pmon_report_value(0, 1);
	may = answer != NULL && answer[0] == 't';
	pmon_report_end_query();
	return may;
}

uint64
pmon_report_table(const PmonReport *report, const char *caption,
				  const PmonHtmlColumn *columns, int ncolumns,
				  const char *query, int64 number, const char *if_empty)
{
	PmonHtml   *html = report->html;
	uint64		nrows;

	pmon_report_begin_query(report, query, number);
	nrows = SPI_processed;
	if (SPI_tuptable->tupdesc->natts != ncolumns)
		elog(ERROR, "a table of the report has %d columns, but its query %d",
			 ncolumns, SPI_tuptable->tupdesc->natts);
	if (nrows == 0)
	{
		if (if_empty != NULL)
			pmon_html_element(html, "p", if_empty);
	}
	else
	{
		pmon_html_begin_table(html, caption, columns, ncolumns);
		for (uint64 row = 0; row < nrows; row++)
		{
			CHECK_FOR_INTERRUPTS();
			pmon_html_begin_row(html);
			for (int i = 0; i < ncolumns; i++)
				pmon_html_cell(html, columns[i].kind, pmon_report_value(row, i + 1));
			pmon_html_end_row(html);
		}
		pmon_html_end_table(html);
	}
	pmon_report_end_query();
	return nrows;
}
