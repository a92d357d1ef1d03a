/*-------------------------------------------------------------------------
 *
 * process.h
 *	  What a server has at its start, for what is tested without one: settings,
 *	  hooks, requests of shared memory, and a clock.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_FAKE_PROCESS_H
#define PMON_FAKE_PROCESS_H

#include "storage/latch.h"
#include "storage/lwlock.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "fakes/require.h"

void
RequestNamedLWLockTranche(const char *tranche_name, int num_lwlocks)
{
}

LWLockPadded *
GetNamedLWLockTranche(const char *tranche_name)
{
	static LWLockPadded locks[8];

	return locks;
}

void
RequestAddinShmemSpace(Size size)
{
}

Size
add_size(Size s1, Size s2)
{
	return s1 + s2;
}

Size
mul_size(Size s1, Size s2)
{
	return s1 * s2;
}

/* Each call is a second later, but never the end of time. */
TimestampTz
GetCurrentTimestamp(void)
{
	static TimestampTz now = INT64CONST(800000000000000);

	return now += USECS_PER_SEC;
}

/* Of this process there is only its shared memory. */
int			MaxBackends = 4;
int			MaxConnections = 4;
int			max_worker_processes = 0;
int			max_wal_senders = 0;
int			autovacuum_max_workers = 0;
bool		IsUnderPostmaster = false;
bool		am_walsender = false;
struct Port *MyProcPort = NULL;
void	   *UsedShmemSegAddr = NULL;
emit_log_hook_type emit_log_hook = NULL;
shmem_startup_hook_type shmem_startup_hook = NULL;
shmem_request_hook_type shmem_request_hook = NULL;

void
SetLatch(Latch *latch)
{
}

void
namestrcpy(Name name, const char *str)
{
	strncpy(NameStr(*name), str, NAMEDATALEN);
	NameStr(*name)[NAMEDATALEN - 1] = '\0';
}

#endif							/* PMON_FAKE_PROCESS_H */
