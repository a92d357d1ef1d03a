/*-------------------------------------------------------------------------
 *
 * parts.h
 *	  The extension's shared memory, for what is tested without a server: each
 *	  module's part is there as soon as it asks for it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_FAKE_PARTS_H
#define PMON_FAKE_PARTS_H

#include "shared/shared_state.h"

#include "fakes/require.h"

void
pmon_request_part(void **pointer, Size size, void (*init) (void))
{
	*pointer = calloc(1, size);
	require(*pointer != NULL, "no memory for %zu bytes", size);
	if (init != NULL)
		init();
}

void
pmon_request_backends_part(void **pointer, Size (*size) (void), void (*init) (void))
{
	pmon_request_part(pointer, size(), init);
}

void
pmon_request_lock(LWLock **lock)
{
}

LWLock *
PmonLock(void)
{
	return NULL;
}

#endif							/* PMON_FAKE_PARTS_H */
