/*-------------------------------------------------------------------------
 *
 * locks.h
 *	  Locks, for what is tested without a server: they are only counted.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_FAKE_LOCKS_H
#define PMON_FAKE_LOCKS_H

#include "storage/lwlock.h"

#include "fakes/require.h"

LWLockPadded fake_locks[8];
LWLockPadded *MainLWLockArray = fake_locks;
static int	locks_held = 0;

bool
LWLockHeldByMe(LWLock *lock)
{
	return locks_held > 0;
}

bool
LWLockHeldByMeInMode(LWLock *lock, LWLockMode mode)
{
	return locks_held > 0;
}

bool
LWLockAcquire(LWLock *lock, LWLockMode mode)
{
	locks_held++;
	return true;
}

bool
LWLockConditionalAcquire(LWLock *lock, LWLockMode mode)
{
	return LWLockAcquire(lock, mode);
}

void
LWLockRelease(LWLock *lock)
{
	locks_held--;
	require(locks_held >= 0, "no lock to release");
}

#endif							/* PMON_FAKE_LOCKS_H */
