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
 *		end_request			asking a session to end
 *		listen_tracker		does a session listen?
 *		session_stats		exact counts, made by each session
 *		rejections			logins that were refused
 *		ring, history		what is kept of the past
 *		history_writer, history_reader
 *		incidents			when connections ran out, and who held them
 *		group_snapshot		a copy of all groups
 *		idle_policy			which idle sessions to end, as a pure function
 *		terminations		the record of that
 *		sampler				one sample
 *		idle_termination	the worker's part in ending sessions
 *		stats_file			saving and restoring
 *		worker				the background worker
 *		pools, pools_parser, client_network, duration
 *							declared pools, as pure functions
 *		sizing				how large a pool should be, likewise
 *		pool_tracker		which pool a session belongs to, for the worker
 *		load_reader			the load out of the history
 *		live_counts, live_pools, leaks
 *							what live sessions add up to
 *		series_groups		groups as they are exposed to Prometheus
 *		sparkline			a line of blocks
 *		result_set			rows for SQL
 *		sql_*				SQL functions
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "groups.h"
#include "guc.h"
#include "history.h"
#include "incidents.h"
#include "pool_monitor.h"
#include "rejections.h"
#include "session_stats.h"
#include "shared_state.h"
#include "stats_file.h"
#include "terminations.h"
#include "worker.h"

PG_MODULE_MAGIC;

/*
 * Save when the server shuts down.  This runs in the postmaster, when all
 * sessions have ended and counted what they had.
 */
static void
save_at_shutdown(int code, Datum arg)
{
	if (code != 0 || !pmon_locks_are_free())
		return;
	if (pmon_save)
		pmon_save_file();
	else
		pmon_remove_file();
}

/* Fill shared memory that is new. */
static void
init_shared_contents(void)
{
	pmon_init_groups();
	pmon_init_rejections();
	pmon_init_history();
	if (pmon_save)
		pmon_restore_file();
	on_shmem_exit(save_at_shutdown, (Datum) 0);
}

void
_PG_init(void)
{
	pmon_define_settings(process_shared_preload_libraries_in_progress);

	/* pg_upgrade and single-user mode want nothing but the functions */
	if (!process_shared_preload_libraries_in_progress ||
		IsBinaryUpgrade || !IsPostmasterEnvironment)
		return;

	pmon_request_history();
	pmon_request_part((void **) &pmon_incidents, sizeof(PmonIncidents));
	pmon_request_part((void **) &pmon_terminations, sizeof(PmonTerminations));
	pmon_request_shared_state(init_shared_contents);
	pmon_install_session_hooks();
	pmon_install_rejection_hook();
	pmon_register_worker();
}
