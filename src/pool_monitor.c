/*-------------------------------------------------------------------------
 *
 * pool_monitor.c
 *	  The library's entry point.
 *
 * Preloaded, the library allocates its shared memory, registers the worker
 * and installs its hooks.  Loaded into a single session, by LOAD or by calling
 * one of its functions, it only defines its settings: the live figures need
 * no more.
 *
 * A map of the sources, from the bottom up; a file includes only files above
 * it in this list:
 *
 *		compat.h			differences between versions of PostgreSQL
 *		guc					settings
 *		hold_histogram		buckets and percentiles of hold times
 *		shared_state		what is in shared memory, and what protects it
 *		backend_reader		reads the server's status array
 *		groups				groups and applications: found, made, folded
 *		session_stats		exact counts, made by each session
 *		rejections			logins that were refused
 *		sampler				one sample
 *		worker				the background worker
 *		result_set			rows for SQL
 *		sql_*				SQL functions
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "groups.h"
#include "guc.h"
#include "pool_monitor.h"
#include "rejections.h"
#include "session_stats.h"
#include "shared_state.h"
#include "worker.h"

PG_MODULE_MAGIC;

/* Fill shared memory that is new. */
static void
init_shared_contents(void)
{
	pmon_init_groups();
	pmon_init_rejections();
}

void
_PG_init(void)
{
	pmon_define_settings(process_shared_preload_libraries_in_progress);

	/* pg_upgrade and single-user mode want nothing but the functions */
	if (!process_shared_preload_libraries_in_progress ||
		IsBinaryUpgrade || !IsPostmasterEnvironment)
		return;

	pmon_request_shared_state(init_shared_contents);
	pmon_install_session_hooks();
	pmon_install_rejection_hook();
	pmon_register_worker();
}
