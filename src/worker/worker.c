/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The background worker that takes the samples.
 *
 * It connects to no database, so that it never stands in the way of DROP or
 * CREATE DATABASE, and starts as soon as the server is consistent, so that it
 * works on a hot standby and goes on through its promotion.
 *
 * Samples are due at fixed distances on the monotonic clock.  Where one comes
 * too late for those after it, they are counted as missed, so that those taken
 * and those missed are together what there should be.  The worker may be woken
 * earlier, by a login that was refused or by a reload; then it looks what there
 * is to do and goes on waiting.
 *
 * Any exit is with a status other than 0: 0 would tell the postmaster not to
 * start the worker again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "shared/incidents.h"
#include "shared/rejections.h"
#include "shared/settings.h"
#include "shared/shared_state.h"
#include "shared/status_array.h"
#include "worker/history_writer.h"
#include "worker/hold_account.h"
#include "worker/sampler.h"
#include "worker/stats_file.h"
#include "worker/terminator.h"
#include "worker/worker.h"
#include "worker/writer_keeper.h"

#define RESTART_SECONDS		1

/* Say whom it concerns when core has no place for the worker. */
static void
register_context(void *arg)
{
	errcontext("while registering the background worker of pool_monitor");
}

void
pmon_register_worker(void)
{
	BackgroundWorker worker;
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = register_context
	};

	pmon_describe_worker(&worker, "pmon_worker_main", "pool_monitor sampler");
	worker.bgw_restart_time = RESTART_SECONDS;

	error_context_stack = &context;
	RegisterBackgroundWorker(&worker);
	error_context_stack = context.previous;
}

/* Tell everybody that the worker is there, or that it is gone. */
static void
announce(int pid)
{
	LWLockAcquire(PmonLock(), LW_EXCLUSIVE);
	pmon->worker_pid = pid;
	pmon->worker_started_at = pid != 0 ? GetCurrentTimestamp() : 0;
	pmon->worker_latch = pid != 0 ? MyLatch : NULL;
	LWLockRelease(PmonLock());
}

static void
worker_exit(int code, Datum arg)
{
	/* an error may have brought us here from anywhere */
	LWLockReleaseAll();
	pmon_withdraw_requests();
	pmon_flush_history();
	pmon_flush_holds();
	announce(0);
}

static double
monotonic_ms(void)
{
	return pmon_monotonic_us() / 1000.0;
}

/* Take a sample if one is due at that time.  Returns when the next one is. */
static double
sample_if_due(double due)
{
	double		now = monotonic_ms();
	uint64		missed;

	if (now < due)
	{
		/* the interval may have been shortened by a reload */
		return Min(due, now + pmon_sample_interval);
	}

	missed = (uint64) ((now - due) / pmon_sample_interval);
	pmon_take_sample(missed);
	pmon_end_idle_sessions();
	return due + (missed + 1.0) * pmon_sample_interval;
}

/* Save if that is due at that time.  Returns when it is due next. */
static double
save_if_due(double due)
{
	double		now = monotonic_ms();
	double		interval = pmon_save_interval * 1000.0;

	if (now < due)
		return Min(due, now + interval);
	if (pmon_save)
		pmon_save_file();
	return now + interval;
}

void
pmon_worker_main(Datum main_arg)
{
	double		due;
	double		save_due;
	double		writer_due;
	uint32		wait_event;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	pqsignal(SIGINT, PG_SIG_IGN);	/* there is no statement to cancel */
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);

	pmon_publish_status_array();
	pmon_sampler_init();
	pmon_termination_init();
	before_shmem_exit(worker_exit, (Datum) 0);
	announce(MyProcPid);
	wait_event = PmonWaitEvent("PoolMonitorSampler");

	due = monotonic_ms();
	save_due = due + pmon_save_interval * 1000.0;
	while (!ShutdownRequestPending)
	{
		double		wait;

		due = sample_if_due(due);
		save_due = save_if_due(save_due);
		writer_due = pmon_keep_metrics_writer(monotonic_ms());

		wait = Min(Min(due, save_due), writer_due) - monotonic_ms();
		if (pmon_answers_missing() || pmon_rejections_go_on())
			wait = Min(wait, 1000.0);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 wait > 0 ? (long) (wait + 1) : 0, wait_event);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();

		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		pmon_fold_rejections();
		pmon_check_rejections();
		pmon_log_limits();
		pmon_collect_answers();
	}

	proc_exit(1);
}
