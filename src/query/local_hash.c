/*-------------------------------------------------------------------------
 *
 * local_hash.c
 *	  A hash table that goes with the current memory context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "query/local_hash.h"

/* Entries to start with */
#define START_SIZE		64

HTAB *
pmon_local_hash(const char *name, Size keysize, Size entrysize)
{
	HASHCTL		info = {
		.keysize = keysize,
		.entrysize = entrysize,
		.hcxt = CurrentMemoryContext
	};

	return hash_create(name, START_SIZE, &info,
					   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}
