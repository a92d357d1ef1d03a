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
 * A map of the sources.  The folders are the processes, since the process
 * decides what a line of code may touch; includes go down this list only, and
 * session/, worker/ and query/ do not know each other.
 *
 * compat.h: differences between versions of PostgreSQL.
 *
 * query/, in the process of whoever asks, and in that of the writer of metrics; may
 * allocate and raise errors:
 *		sql_*				SQL functions
 *		result_set			rows for SQL, and who may read what
 *		arguments			what SQL functions are given
 *		wanted				what the query wants of them
 *		live_sessions		one reading of the sessions, and what follows
 *		application_names	the names behind ids
 *		history_reader		what is kept of the past
 *		load_reader			the load out of it
 *		holds_reader		which code held connections, added up
 *		openmetrics			the text formats of the metrics
 *		metrics_text		the metrics themselves
 *		metrics_writer		a background worker that writes them to a file
 *		metrics_holds		which code holds connections, as metrics
 *		series_groups		groups as they are exposed to Prometheus
 *		sizing_input		what the formula for a pool's size is given
 *		usage_facts			how connections are, and were, used
 *		diagnosis_facts		all that a diagnosis is made from
 *		tags				tags of statements as SQL shows them
 *		report_html			text and tables as HTML
 *		report_svg			charts
 *		report_style		the looks of the report
 *		report_query		what the report asks
 *		report_sections		its sections, in their order
 *		report_chart		the one with connections over time
 *		report_incidents	the one with incidents
 *
 * worker/, in the background worker; allocates once and never raises:
 *		worker				its main loop
 *		sampler				one sample
 *		history_writer		what of it is kept
 *		pool_tracker		how full the pools are
 *		hold_account		what holds connections, counted by the minute
 *		openings			when they opened connections, and what that proves
 *		terminator			ends sessions by policy
 *		stats_file			saving and restoring; also at shutdown
 *		writer_keeper		has the writer of metrics run where one is wanted
 *
 * session/, in every session; takes no lock when a transaction ends:
 *		session_stats		exact counts
 *		end_answer			the answer to whoever asks the session to end
 *		listen_tracker		does it listen?
 *		name_tracker		has its application name been assigned?
 *		own_settings		has it turned core's timeouts off?
 *		role_tracker		what its role is now
 *
 * shared/, what processes share:
 *		settings			the settings
 *		shared_state		what is in shared memory, and what protects it
 *		slots				what each session leaves there
 *		pool_states			what is remembered of each declared pool
 *		client_waits		statements that were seen waiting for their client
 *		status_array		reads the server's status array
 *		lock_waits			who waits for whose locks
 *		hold_counters		how long transactions held connections
 *		groups				groups and applications: found, made, folded
 *		group_snapshot		a copy of all groups
 *		reset				forgetting what was counted
 *		rejections			logins that were refused
 *		ring, history		memory for the past
 *		holds				what is kept of which code held connections
 *		session_snapshot	what all sessions were doing at one moment
 *		start_snapshot		the same, taken by the login that is refused
 *		holders				who held the connections then
 *		incidents			when connections ran out, and who held them
 *		session_pool		which pool a session belongs to
 *		current_policy		the policy that is in force
 *		end_request			asking a session to end: the protocol
 *		requester			whoever asks
 *		terminations		the record of that
 *
 * pure/, plain functions over plain structs:
 *		session_state		the states of a session
 *		client_network		addresses and networks
 *		duration			durations as text
 *		hold_histogram		buckets and percentiles of hold times
 *		pools, pools_parser	declared pools
 *		checked_out			what proves that a connection is checked out
 *		sql_tags			what a statement's comment says of its code
 *		long_holds			few long transactions apart from the many
 *		load				the load of a minute
 *		sizing				how large a pool should be
 *		wait_graph			who waits for whom, in the end
 *		idle_policy			which idle sessions to end
 *		findings			what a diagnosis can find, in words and in order
 *		diagnosis			the table of its rules, and what explains what
 *		diagnosis_sessions, diagnosis_pools, diagnosis_limits
 *							the rules
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "fmgr.h"
#include "utils/timestamp.h"

#include "session/session_stats.h"
#include "shared/client_waits.h"
#include "shared/group_snapshot.h"
#include "shared/groups.h"
#include "shared/history.h"
#include "shared/holds.h"
#include "shared/incidents.h"
#include "shared/pool_states.h"
#include "shared/rejections.h"
#include "shared/settings.h"
#include "shared/shared_state.h"
#include "shared/slots.h"
#include "shared/start_snapshot.h"
#include "shared/terminations.h"
#include "worker/stats_file.h"
#include "worker/worker.h"

PG_MODULE_MAGIC;

/* fmgr.h declares it from 16 on */
extern PGDLLEXPORT void _PG_init(void);

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

/* Tell what there is, once for each time that shared memory is new. */
static void
log_ready(void)
{
	int			kilobytes = (int) (pmon->memory_bytes / 1024);

	ereport(LOG,
			(errmsg("pool_monitor %s has %d kB of shared memory",
					PMON_VERSION, kilobytes),
			 pmon->restored_from != 0 ?
			 errdetail("Statistics that were saved at %s were restored: groups %d, applications %d.",
					   timestamptz_to_str(pmon->restored_from),
					   pmon_group_table->ngroups, pmon_group_table->napplications) :
			 errdetail("No statistics were restored.")));
}

/*
 * Two copies of the library, under two paths, would have hooks, settings and
 * shared memory of the same names.  The address of this tells them apart; a
 * session that failed to load this one may try again.
 */
static void
refuse_second_copy(void)
{
	static char this_copy;
	void	  **first = find_rendezvous_variable("pool_monitor");

	if (*first != NULL && *first != &this_copy)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("another copy of the library \"pool_monitor\" is loaded already"),
				 errhint("Load it from one file only: look for other paths to it in \"shared_preload_libraries\" and in the definitions of its functions.")));
	*first = &this_copy;
}

/* Shared memory is new: put back what was saved. */
static void
memory_is_new(void)
{
	if (pmon_save)
		pmon_restore_file();
	on_shmem_exit(save_at_shutdown, (Datum) 0);
	log_ready();
}

void
_PG_init(void)
{
	refuse_second_copy();
	pmon_define_settings(process_shared_preload_libraries_in_progress);

	/* pg_upgrade and single-user mode want nothing but the functions */
	if (!process_shared_preload_libraries_in_progress ||
		IsBinaryUpgrade || !IsPostmasterEnvironment)
		return;

	pmon_request_header();
	pmon_request_slots();
	pmon_request_groups();
	pmon_request_snapshots();
	pmon_request_pool_states();
	pmon_request_client_waits();
	pmon_request_rejections();
	pmon_request_start_snapshot();
	pmon_request_history();
	pmon_request_holds();
	pmon_request_incidents();
	pmon_request_terminations();
	pmon_request_shared_state(memory_is_new);
	pmon_install_session_hooks();
	pmon_install_rejection_hook();
	pmon_register_worker();
}
