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

/*
 * The entry of a key: the one that is there, or a new one, which is all zeroes
 * but for the key.  key points to what is the key's type.
 */
#define PmonLocalEntry(table, key, type) \
	((type *) pmon_local_entry(table, key, sizeof(*(key)), sizeof(type)))

static inline void *
pmon_local_entry(HTAB *table, const void *key, Size keysize, Size entrysize)
{
	bool		found;
	char	   *entry = hash_search(table, key, HASH_ENTER, &found);

	if (!found)
		memset(entry + keysize, 0, entrysize - keysize);
	return entry;
}

/* All entries in order, palloc'd, with room for one more; *n says how many. */
static inline void *
pmon_sort_entries(HTAB *table, int (*compare) (const void *, const void *), int *n)
{
	void	  **entries = palloc(sizeof(void *) * (hash_get_num_entries(table) + 1));
	HASH_SEQ_STATUS seq;
	void	   *entry;

	*n = 0;
	hash_seq_init(&seq, table);
	while ((entry = hash_seq_search(&seq)) != NULL)
		entries[(*n)++] = entry;
	qsort(entries, *n, sizeof(void *), compare);
	return entries;
}

#endif							/* PMON_LOCAL_HASH_H */
