/*-------------------------------------------------------------------------
 *
 * metrics_writer.c
 *	  A background worker that writes the metrics to a file.
 *
 * The file is for node_exporter's textfile collector: the metrics reach Prometheus
 * without a connection, a slot or a port, so also when there is none.  A background
 * worker takes no connection slot.  It runs where pool_monitor.metrics_file is set;
 * worker/writer_keeper.h starts it, by the name of its function.
 *
 * It is connected to the database "postgres", since a diagnosis runs a statement,
 * or to none where that can not be.  Between two writings it has no transaction,
 * so it holds back no vacuum; and the file is written when the transaction has ended.
 *
 * The text is written to another file beside it, which is then renamed: a reader
 * never sees half of it.  Nothing is synced: after a crash of the machine it is of
 * no use anyway.  When it can not be written, the first of several times in a row is
 * a WARNING, and all are counted.
 *
 * Whoever reads the file can not tell a server that is gone from one that stands
 * still, but by the file's age.  So the file is removed when the writer ends, be it by a
 * shutdown, by the setting or by an error; and only a file that it has written.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "storage/sinval.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "query/metrics_text.h"
#include "shared/settings.h"
#include "shared/shared_state.h"

/*
 * The entry point: the postmaster looks it up by its name.  The argument says
 * whether to do without a database.
 */
extern PGDLLEXPORT void pmon_metrics_writer_main(Datum main_arg);

#define DATABASE	"postgres"

/* Any reader on the machine, whatever its umask is */
#define FILE_MODE	(S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH)

static char path[MAXPGPATH] = "";
static char temporary_path[MAXPGPATH];
static bool written = false;	/* the file at that path is ours */
static bool failing = false;

/* For one writing: emptied before the next one */
static MemoryContext context;

/*
 * The file
 */

static void
remove_file(void)
{
	if (written && unlink(path) != 0 && errno != ENOENT)
		ereport(WARNING,
				(errcode_for_file_access(),
				 errmsg("could not remove file \"%s\": %m", path)));
	written = false;
}

/* The setting may have changed: the file that was written has no reader now. */
static void
use_path(const char *new_path)
{
	if (strcmp(path, new_path) == 0)
		return;
	remove_file();
	snprintf(path, sizeof(path), "%s", new_path);
	snprintf(temporary_path, sizeof(temporary_path), "%s" PMON_METRICS_TEMPORARY, new_path);
	failing = false;
}

/* Write a new file under the temporary name.  Sets errno if that failed. */
static bool
write_temporary_file(const char *text)
{
	size_t		length = strlen(text);
	int			file;
	bool		done;
	int			why;

	/* follow no link that somebody else has put there */
	(void) unlink(temporary_path);
	file = OpenTransientFilePerm(temporary_path, O_CREAT | O_EXCL | O_WRONLY | PG_BINARY,
								 FILE_MODE);
	if (file < 0)
		return false;
	errno = 0;
	done = write(file, text, length) == length && fchmod(file, FILE_MODE) == 0;

	/* a short write is all that a full disk says */
	why = errno != 0 ? errno : ENOSPC;
	if (CloseTransientFile(file) != 0 && done)
		return false;
	errno = why;
	return done;
}

/* Returns why that failed, NULL if it did not. */
static const char *
write_file(const char *text)
{
	const char *problem;

	if (write_temporary_file(text) && rename(temporary_path, path) == 0)
	{
		written = true;
		return NULL;
	}
	problem = psprintf("%m");
	(void) unlink(temporary_path);
	return problem;
}

/*
 * The text
 */

/* In UTF-8, which the format wants; may raise an error in a transaction. */
static const char *
make_text(void)
{
	const char *text;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(context);
	text = pmon_make_metrics(PMON_PROMETHEUS);
	text = pg_server_to_any(text, strlen(text), PG_UTF8);

	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return text;
}

/* Make the text and write it.  Returns why that failed, NULL if it did not. */
static const char *
make_and_write(void)
{
	const char *volatile problem = NULL;

	PG_TRY();
	{
		problem = write_file(make_text());
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
		problem = error->message;
	}
	PG_END_TRY();
	return problem;
}

/*
 * The process
 */

static void
note_outcome(bool succeeded)
{
	LWLockAcquire(PmonLock(), LW_EXCLUSIVE);
	if (succeeded)
		pmon->metrics_written_at = GetCurrentTimestamp();
	else
		pmon->metrics_failures++;
	LWLockRelease(PmonLock());
}

static void
write_metrics(void)
{
	const char *problem;

	pgstat_report_activity(STATE_RUNNING, "writing metrics");
	MemoryContextSwitchTo(context);
	problem = make_and_write();
	if (problem != NULL && !failing)
		ereport(WARNING,
				(errmsg("could not write metrics to file \"%s\": %s", path, problem),
				 errdetail("It will be tried again after \"pool_monitor.metrics_interval\".")));
	if (problem == NULL && failing)
		ereport(LOG,
				(errmsg("metrics are written to file \"%s\" again", path)));
	failing = problem != NULL;
	note_outcome(!failing);

	MemoryContextSwitchTo(TopMemoryContext);
	MemoryContextReset(context);
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
}

static void
writer_exit(int code, Datum arg)
{
	/* an error may have brought us here from anywhere */
	LWLockReleaseAll();
	(void) unlink(temporary_path);
	remove_file();
	LWLockAcquire(PmonLock(), LW_EXCLUSIVE);
	pmon->metrics_pid = 0;
	LWLockRelease(PmonLock());
}

/* Two at once would write over each other's file.  Returns false for a second one. */
static bool
announce(void)
{
	bool		alone;

	LWLockAcquire(PmonLock(), LW_EXCLUSIVE);
	pmon->metrics_writers++;
	alone = pmon->metrics_pid == 0;
	if (alone)
		pmon->metrics_pid = MyProcPid;
	LWLockRelease(PmonLock());
	return alone;
}

static void
connect_writer(bool without_database)
{
	/* it is ended at once, in the middle of a transaction as well */
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	pqsignal(SIGINT, PG_SIG_IGN);	/* there is no statement to cancel */
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(without_database ? NULL : DATABASE, NULL,
										 BGWORKER_BYPASS_ALLOWCONN);

	/* a standby knows no serializable transactions */
	SetConfigOption("default_transaction_isolation", "read committed",
					PGC_SUSET, PGC_S_OVERRIDE);
	if (without_database)
		ereport(LOG,
				(errmsg("metrics are written without a connection to database \"%s\"", DATABASE),
				 errdetail("Findings about prepared transactions are not among them.")));
}

/* Wait until a time of the monotonic clock, or until something happens. */
static void
wait_until(int64 due, uint32 wait_event)
{
	int64		wait = due - pmon_monotonic_us();

	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 wait > 0 ? (long) (wait / 1000 + 1) : 0, wait_event);
	ResetLatch(MyLatch);
	if (ProcDiePending)
		return;
	CHECK_FOR_INTERRUPTS();
	if (catchupInterruptPending)
		ProcessCatchupInterrupt();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

/*
 * Write if that is due, or the file is another one now.  Returns when it is due
 * next.
 */
static int64
write_if_due(int64 due)
{
	int64		now = pmon_monotonic_us();
	int64		interval = pmon_metrics_interval * USECS_PER_SEC;

	if (strcmp(path, pmon_metrics_file) == 0 && now < due)
		return Min(due, now + interval);
	use_path(pmon_metrics_file);
	write_metrics();
	return now + interval;
}

void
pmon_metrics_writer_main(Datum main_arg)
{
	int64		due = 0;
	uint32		wait_event;

	connect_writer(DatumGetBool(main_arg));
	if (pmon == NULL || !announce())
		proc_exit(0);
	before_shmem_exit(writer_exit, (Datum) 0);
	context = AllocSetContextCreate(TopMemoryContext, "pool_monitor metrics",
									ALLOCSET_DEFAULT_SIZES);
	wait_event = PmonWaitEvent("PoolMonitorMetrics");

	while (!ProcDiePending && pmon_metrics_file[0] != '\0')
	{
		due = write_if_due(due);
		wait_until(due, wait_event);
	}
	proc_exit(0);
}
