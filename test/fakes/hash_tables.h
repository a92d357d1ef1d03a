/*-------------------------------------------------------------------------
 *
 * hash_tables.h
 *	  Hash tables, for what is tested without a server.  A table is freed with all
 *	  others.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_FAKE_HASH_TABLES_H
#define PMON_FAKE_HASH_TABLES_H

#include "utils/hsearch.h"

#include "fakes/require.h"

/* As many buckets as are enough for a test, chained */
#define HASH_BUCKETS	256

typedef struct HashEntry
{
	struct HashEntry *next;
	char		data[FLEXIBLE_ARRAY_MEMBER];	/* the key first */
} HashEntry;

struct HTAB
{
	Size		keysize;
	Size		entrysize;
	long		entries;
	HashEntry  *buckets[HASH_BUCKETS];
	HTAB	   *next;
};

static HTAB *hash_tables = NULL;

static HashEntry **
find_entry(HTAB *table, const void *key)
{
	const unsigned char *bytes = key;
	uint32		hash = 2166136261U;
	HashEntry **entry;

	for (Size i = 0; i < table->keysize; i++)
		hash = (uint32) ((uint64) (hash ^ bytes[i]) * 16777619);
	entry = &table->buckets[hash % HASH_BUCKETS];
	while (*entry != NULL && memcmp((*entry)->data, key, table->keysize) != 0)
		entry = &(*entry)->next;
	return entry;
}

HTAB *
hash_create(const char *tabname, long nelem, const HASHCTL *info, int flags)
{
	HTAB	   *table = calloc(1, sizeof(HTAB));

	table->keysize = info->keysize;
	table->entrysize = info->entrysize;
	table->next = hash_tables;
	hash_tables = table;
	return table;
}

/* A table is forgotten together with all others. */
void
hash_destroy(HTAB *table)
{
}

HTAB *
#if PG_VERSION_NUM >= 190000
ShmemInitHash(const char *name, int64 nelems, HASHCTL *info, int flags)
#else
ShmemInitHash(const char *name, long nelems, long max_size, HASHCTL *info, int flags)
#endif
{
	return hash_create(name, nelems, info, flags);
}

Size
hash_estimate_size(long num_entries, Size entrysize)
{
	return num_entries * entrysize;
}

/* whatever it returns in this version */
#undef hash_get_num_entries
extern long number_of_entries(HTAB *table) __asm__("hash_get_num_entries");

long
number_of_entries(HTAB *table)
{
	return table->entries;
}

void *
hash_search(HTAB *table, const void *key, HASHACTION action, bool *found)
{
	HashEntry **place = find_entry(table, key);
	HashEntry  *entry = *place;

	if (found != NULL)
		*found = entry != NULL;
	if (action == HASH_REMOVE && entry != NULL)
	{
		*place = entry->next;
		table->entries--;
		free(entry);
		return NULL;
	}
	if (action == HASH_ENTER && entry == NULL)
	{
		entry = malloc(offsetof(HashEntry, data) + table->entrysize);
		memset(entry->data, 0xA5, table->entrysize);
		memcpy(entry->data, key, table->keysize);
		entry->next = NULL;
		*place = entry;
		table->entries++;
	}
	return entry != NULL ? entry->data : NULL;
}

bool
hash_update_hash_key(HTAB *table, void *existing, const void *key)
{
	HashEntry **place = find_entry(table, existing);
	HashEntry  *entry = *place;

	require(entry != NULL && entry->data == existing, "no entry to update");
	*place = entry->next;
	memcpy(entry->data, key, table->keysize);
	place = find_entry(table, key);
	require(*place == NULL, "a key is there twice");
	entry->next = NULL;
	*place = entry;
	return true;
}

void
hash_seq_init(HASH_SEQ_STATUS *status, HTAB *table)
{
	memset(status, 0, sizeof(*status));
	status->hashp = table;
}

void *
hash_seq_search(HASH_SEQ_STATUS *status)
{
	HashEntry  *entry = (HashEntry *) status->curEntry;

	while (entry == NULL && status->curBucket < HASH_BUCKETS)
		entry = status->hashp->buckets[status->curBucket++];
	if (entry == NULL)
		return NULL;
	status->curEntry = (void *) entry->next;
	return entry->data;
}

/* Free all tables, whoever made them. */
static inline void
forget_hash_tables(void)
{
	while (hash_tables != NULL)
	{
		HTAB	   *table = hash_tables;

		for (int i = 0; i < HASH_BUCKETS; i++)
		{
			while (table->buckets[i] != NULL)
			{
				HashEntry  *entry = table->buckets[i];

				table->buckets[i] = entry->next;
				free(entry);
			}
		}
		hash_tables = table->next;
		free(table);
	}
}

#endif							/* PMON_FAKE_HASH_TABLES_H */
