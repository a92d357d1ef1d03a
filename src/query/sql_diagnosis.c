/*-------------------------------------------------------------------------
 *
 * sql_diagnosis.c
 *	  SQL function that says what is wrong, why, and what to do.
 *
 * The facts are gathered by diagnosis_facts.h; what follows from them is
 * decided by pure/diagnosis.h.  Here are the rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "query/arguments.h"
#include "query/diagnosis_facts.h"
#include "query/result_set.h"

PG_FUNCTION_INFO_V1(pool_monitor_diagnosis);

/* Where the sections are that findings refer to */
#define DOCUMENT	"docs/operations.md#"

static void
put_finding(FunctionCallInfo fcinfo, int rank, const PmonFinding *finding)
{
	PmonRow		row = {0};
	char		reference[128];

	snprintf(reference, sizeof(reference), "%s%s", DOCUMENT,
			 pmon_finding_reference(finding->code));
	pmon_put_int(&row, rank);
	pmon_put_text(&row, pmon_severity_names[finding->severity]);
	pmon_put_text(&row, pmon_finding_name(finding->code));
	pmon_put_text(&row, pmon_subject_type_names[finding->subject_type]);
	pmon_put_foreign_text(&row, finding->subject_type == PMON_SUBJECT_SERVER ?
						  NULL : finding->subject);
	pmon_put_foreign_text(&row, finding->evidence);
	pmon_put_foreign_text(&row, finding->remedy[0] != '\0' ? finding->remedy : NULL);
	pmon_put_text(&row, reference);
	pmon_add_row(fcinfo, &row);
}

Datum
pool_monitor_diagnosis(PG_FUNCTION_ARGS)
{
	double		since = pmon_since_argument(fcinfo, 0);
	PmonFindings *findings = palloc(sizeof(PmonFindings));

	InitMaterializedSRF(fcinfo, 0);
	pmon_diagnose(pmon_gather_facts(since), findings);
	for (int i = 0; i < findings->nfindings; i++)
		put_finding(fcinfo, i + 1, &findings->findings[i]);
	return (Datum) 0;
}
