/*-------------------------------------------------------------------------
 *
 * bench_clock.c
 *	  The CPU time that this backend has used, in nanoseconds.
 *
 * Where a machine does other things as well, it tells more than the time that
 * has passed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "fmgr.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(bench_cpu);

Datum
bench_cpu(PG_FUNCTION_ARGS)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	PG_RETURN_INT64(used.tv_sec * INT64CONST(1000000000) + used.tv_nsec);
}
