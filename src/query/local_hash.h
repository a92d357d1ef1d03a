/*-------------------------------------------------------------------------
 *
 * local_hash.h
 *	  A hash table that goes with the current memory context.
 *
 * hash_create() puts a table under TopMemoryContext where it is not told
 * otherwise, and there it would stay for as long as the session: a query that
 * is repeated all day would grow without end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_LOCAL_HASH_H
#define PMON_LOCAL_HASH_H

#include "utils/hsearch.h"

/*
 * Make a table whose keys are so many bytes at the start of each entry,
 * padding included.  It starts small and grows.  Raises an error when out of
 * memory.
 */
static inline HTAB *
pmon_local_hash(const char *name, Size keysize, Size entrysize)
{
	HASHCTL		info = {
		.keysize = keysize,
		.entrysize = entrysize,
		.hcxt = CurrentMemoryContext
	};

	/* entries to start with */
	return hash_create(name, 64, &info, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

#endif							/* PMON_LOCAL_HASH_H */
