/*-------------------------------------------------------------------------
 *
 * sql_metrics.c
 *	  SQL function that exposes all figures to Prometheus.
 *
 * The text is made by metrics_text.h, which metrics_writer.c writes to a file
 * as well.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "utils/builtins.h"

#include "query/metrics_text.h"

PG_FUNCTION_INFO_V1(pool_monitor_metrics);

Datum
pool_monitor_metrics(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(pmon_make_metrics(PMON_OPENMETRICS)));
}
