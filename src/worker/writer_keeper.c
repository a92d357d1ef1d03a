/*-------------------------------------------------------------------------
 *
 * writer_keeper.c
 *	  Has the writer of metrics run where one is wanted.
 *
 * See writer_keeper.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include <math.h>

#include "utils/memutils.h"
#include "utils/varlena.h"

#include "shared/settings.h"
#include "shared/shared_state.h"
#include "worker/writer_keeper.h"

#define LIBRARY			"pool_monitor"

/* After the end of a writer the next one waits for so long; in ms */
#define FIRST_DELAY		1000.0
#define LAST_DELAY		(10 * 60 * 1000.0)

/* One that lived for longer was a good one */
#define LONG_LIFE		(30 * 1000.0)

/* Where there is no place for a worker, try again after that time */
#define NO_PLACE_DELAY	(15 * 1000.0)

static char library[BGW_MAXLEN] = "";

/* The writer that was started last, NULL when it has ended */
static BackgroundWorkerHandle *writer = NULL;
static double writer_started_at;
static uint64 writers_before;
static bool without_database = false;

static double delay = FIRST_DELAY;
static double not_before = 0;
static bool no_place = false;

/*
 * Find the name by which the user preloads the library, which may have a path: it
 * need not be found by any other.
 */
static void
find_library(void)
{
	List	   *names = NIL;
	ListCell   *lc;

	strcpy(library, LIBRARY);
	if (!SplitDirectoriesString(pstrdup(shared_preload_libraries_string), ',', &names))
		return;
	foreach(lc, names)
	{
		char	   *name = lfirst(lc);
		char	   *slash = last_dir_separator(name);
		char	   *base = slash != NULL ? slash + 1 : name;

		if ((strcmp(base, LIBRARY) != 0 && strcmp(base, LIBRARY DLSUFFIX) != 0) ||
			strlen(name) >= BGW_MAXLEN)
			continue;
		strcpy(library, name);
		return;
	}
}

void
pmon_describe_worker(BackgroundWorker *worker, const char *function, const char *name)
{
	/* the postmaster is the first to ask, so that its children know already */
	if (library[0] == '\0')
		find_library();
	memset(worker, 0, sizeof(*worker));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_ConsistentState;
	snprintf(worker->bgw_library_name, sizeof(worker->bgw_library_name), "%s", library);
	snprintf(worker->bgw_function_name, sizeof(worker->bgw_function_name), "%s", function);
	snprintf(worker->bgw_name, sizeof(worker->bgw_name), "%s", name);
	snprintf(worker->bgw_type, sizeof(worker->bgw_type), "%s", name);
}

/* How many writers have come to work, and whether there is one */
static uint64
count_writers(bool *present)
{
	uint64		writers;

	LWLockAcquire(PmonLock(), LW_SHARED);
	writers = pmon->metrics_writers;
	*present = pmon->metrics_pid != 0;
	LWLockRelease(PmonLock());
	return writers;
}

/* The writer has ended: when may there be another, and with a database? */
static void
note_end(double now)
{
	bool		present;
	bool		worked = count_writers(&present) != writers_before;

	without_database = !worked && !without_database;
	if (now - writer_started_at > LONG_LIFE)
		delay = FIRST_DELAY;
	not_before = now + delay;
	delay = Min(delay * 2, LAST_DELAY);
}

static void
note_no_place(double now)
{
	LWLockAcquire(PmonLock(), LW_EXCLUSIVE);
	pmon->metrics_failures++;
	LWLockRelease(PmonLock());

	if (!no_place)
		ereport(WARNING,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("no background worker could be started to write metrics"),
				 errdetail("It will be tried again."),
				 errhint("You might need to increase \"max_worker_processes\".")));
	no_place = true;
	not_before = now + NO_PLACE_DELAY;
}

static void
start_writer(double now)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(TopMemoryContext);
	BackgroundWorker worker;

	pmon_describe_worker(&worker, "pmon_metrics_writer_main", "pool_monitor metrics");
	worker.bgw_flags |= PMON_BGWORKER_INTERRUPTIBLE;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_main_arg = BoolGetDatum(without_database);
	worker.bgw_notify_pid = MyProcPid;

	if (RegisterDynamicBackgroundWorker(&worker, &writer))
		no_place = false;
	else
		note_no_place(now);
	writer_started_at = now;
	MemoryContextSwitchTo(oldcontext);
}

/* Does the writer that was started last run, or is it about to? */
static bool
writer_runs(double now)
{
	pid_t		pid;

	if (writer == NULL)
		return false;
	if (GetBackgroundWorkerPid(writer, &pid) != BGWH_STOPPED)
		return true;
	pfree(writer);
	writer = NULL;
	note_end(now);
	return false;
}

double
pmon_keep_metrics_writer(double now)
{
	bool		present;

	/* we are woken when it ends */
	if (writer_runs(now))
		return INFINITY;
	if (pmon_metrics_file[0] == '\0')
	{
		/* if it ended, that was why */
		delay = FIRST_DELAY;
		not_before = 0;
		return INFINITY;
	}
	if (now < not_before)
		return not_before;

	/*
	 * one of a worker before this one may be there, and ends without our
	 * notice
	 */
	writers_before = count_writers(&present);
	if (present)
		return now + FIRST_DELAY;
	start_writer(now);
	return writer != NULL ? INFINITY : not_before;
}
