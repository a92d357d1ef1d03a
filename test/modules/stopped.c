/*-------------------------------------------------------------------------
 *
 * stopped.c
 *	  SQL functions that stop their own session where it hurts.
 *
 * stop_in_update() stops it in the middle of an update of its entry in the
 * server's status array, with the change count odd; stop_with_lock() while it
 * holds one of pool_monitor's locks, in the order of shared_state.h.  Both
 * return when somebody sends SIGCONT.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include <signal.h>

#include "storage/lwlock.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(stop_in_update);
PG_FUNCTION_INFO_V1(stop_with_lock);

Datum
stop_in_update(PG_FUNCTION_ARGS)
{
	volatile PgBackendStatus *entry = MyBEEntry;

	PGSTAT_BEGIN_WRITE_ACTIVITY(entry);
	raise(SIGSTOP);
	PGSTAT_END_WRITE_ACTIVITY(entry);
	PG_RETURN_VOID();
}

Datum
stop_with_lock(PG_FUNCTION_ARGS)
{
	LWLock	   *lock = &GetNamedLWLockTranche("pool_monitor")[PG_GETARG_INT32(0)].lock;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	raise(SIGSTOP);
	LWLockRelease(lock);
	PG_RETURN_VOID();
}
