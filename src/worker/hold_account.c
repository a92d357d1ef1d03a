/*-------------------------------------------------------------------------
 *
 * hold_account.c
 *	  Counts what holds connections, sample by sample, and writes it down by the
 *	  minute.
 *
 * See hold_account.h.
 *
 * Two tables have places that are found by a hash: the sets of tags that were
 * seen, and the holds of the current minute.  When one is full, what is new counts
 * as "other".  At the end of a minute the holds begin anew, and the tags where
 * half of their places are taken, so that sets that are not used any more do not
 * stay for ever.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "common/hashfn.h"
#include "port/pg_bitutils.h"

#include "pure/sql_tags.h"
#include "shared/groups.h"
#include "shared/holds.h"
#include "shared/reset.h"
#include "shared/settings.h"
#include "shared/slots.h"
#include "shared/status_array.h"
#include "worker/hold_account.h"

/* Places of sets of tags that are not in the table */
#define NO_TAGS			(-1)
#define OTHER_TAGS		(-2)

/* By what holds are told apart; without padding, since it is hashed */
typedef struct HoldKey
{
	Oid			databaseid;
	Oid			userid;
	uint32		application;
	uint32		wait_event_info;
	uint64		query_id;
	int32		tags;			/* a place, or one of the above */
	uint32		state;
} HoldKey;

typedef struct HoldCount
{
	HoldKey		key;
	uint32		samples;
	uint32		longest;		/* ms */
	uint8		statement_length;
	char		statement[PMON_HOLD_STATEMENT_BYTES];
} HoldCount;

typedef struct TagSet
{
	uint8		length;
	char text[	PMON_TAGS_LEN];
} TagSet;

/* What a session ran in the sample before, the tags of that, and its hold */
typedef struct SlotHold
{
	TimestampTz query_start;
	TimestampTz backend_start;
	uint32		epoch;			/* of the table of tags */
	int32		tags;
	int32		hold;			/* its place: a guess, to be compared */
} SlotHold;

/* From hashes to places: -1 where there is none; twice as many as places */
typedef struct PlaceIndex
{
	int		   *places;
	uint32		mask;
} PlaceIndex;

static HoldCount *holds;
static int	nholds;
static PlaceIndex hold_index;
static HoldCount other;			/* of all for which there is no place */

static TagSet *tag_sets;
static int	ntag_sets;
static PlaceIndex tag_index;
static uint32 epoch = 1;
static uint32 keys_version;		/* pmon_tag_keys_version of the tags */

static SlotHold *slot_holds;	/* by slot */
static HoldCount **by_samples;	/* to sort them */
static PmonHoldsRecord *record; /* room for the largest one */
static TimestampTz minute_at;
static uint32 minute_samples;
static TimestampTz sampled_at;

static void
init_index(PlaceIndex *index, int places)
{
	uint32		size = pg_nextpower2_32(Max(places, 1) * 2);

	index->places = palloc(sizeof(int) * size);
	index->mask = size - 1;
	memset(index->places, -1, sizeof(int) * size);
}

static void
clear_index(PlaceIndex *index)
{
	memset(index->places, -1, sizeof(int) * ((Size) index->mask + 1));
}

void
pmon_hold_account_init(void)
{
	int			n = pmon_max_holds;

	StaticAssertStmt(sizeof(HoldKey) == 32, "a key has no padding");
	if (n == 0)
		return;
	holds = palloc0(sizeof(HoldCount) * n);
	tag_sets = palloc0(sizeof(TagSet) * n);
	by_samples = palloc0(sizeof(HoldCount *) * (n + 1));
	init_index(&hold_index, n);
	init_index(&tag_index, n);
	slot_holds = palloc0(sizeof(SlotHold) * pmon->max_backends);
	record = palloc0(PmonRingMaxRecord(pmon_hold_ring->size));
	keys_version = pmon_tag_keys_version;
}

/*
 * Tags
 */

/* The place of a set of tags, which is a new one at need */
static int
find_tags(const char *tags, int length)
{
	uint32		hash = hash_bytes((const unsigned char *) tags, length);
	uint32		i;

	for (i = hash & tag_index.mask; tag_index.places[i] >= 0; i = (i + 1) & tag_index.mask)
	{
		const TagSet *set = &tag_sets[tag_index.places[i]];

		if (set->length == length && memcmp(set->text, tags, length) == 0)
			return tag_index.places[i];
	}
	if (ntag_sets == pmon_max_holds)
		return OTHER_TAGS;
	tag_index.places[i] = ntag_sets;
	tag_sets[ntag_sets].length = (uint8) length;
	memcpy(tag_sets[ntag_sets].text, tags, length);
	return ntag_sets++;
}

/* The tags of what a session runs or has run last */
static int
session_tags(int slot, const PmonHeldState *held)
{
	SlotHold   *known = &slot_holds[slot];
	char		statement[PMON_TAGS_LOOK * 2];
	char		tags[PMON_TAGS_LEN];
	uint64		query_id;
	int			length;

	if (known->epoch == epoch && known->query_start == held->query_start &&
		known->backend_start == held->backend_start)
		return known->tags;

	length = pmon_copy_statement_ends(slot, held->pid, statement, sizeof(statement),
									  &query_id);
	length = pmon_statement_tags(&pmon_tag_keys, statement, length, tags);
	known->tags = length == 0 ? NO_TAGS : find_tags(tags, length);
	known->epoch = epoch;
	known->query_start = held->query_start;
	known->backend_start = held->backend_start;
	return known->tags;
}

static void
forget_tags(void)
{
	ntag_sets = 0;
	clear_index(&tag_index);
	epoch++;
}

/*
 * Counting
 */

/*
 * The hold of that key, which is a new one at need; other if there is no place.
 * Most sessions are still at what they were at in the sample before.
 */
static HoldCount *
find_hold(const HoldKey *key, int slot, int pid)
{
	int32	   *guess = &slot_holds[slot].hold;
	HoldCount  *hold;
	uint32		hash;
	uint32		i;
	uint64		query_id;

	if (*guess < nholds && memcmp(&holds[*guess].key, key, sizeof(*key)) == 0)
		return &holds[*guess];

	hash = hash_bytes((const unsigned char *) key, sizeof(*key));
	for (i = hash & hold_index.mask; hold_index.places[i] >= 0; i = (i + 1) & hold_index.mask)
	{
		*guess = hold_index.places[i];
		hold = &holds[*guess];
		if (memcmp(&hold->key, key, sizeof(*key)) == 0)
			return hold;
	}
	if (nholds == pmon_max_holds)
		return &other;

	hold_index.places[i] = *guess = nholds;
	hold = &holds[nholds++];
	memset(hold, 0, sizeof(*hold));
	hold->key = *key;
	pmon_copy_statement(slot, pid, hold->statement, sizeof(hold->statement), &query_id);
	hold->statement_length = (uint8) strlen(hold->statement);
	return hold;
}

/*
 * The id of the application that a session counts for, or 0.  Nothing is locked: its
 * place may go to another one while we look.
 */
static uint32
application_of(int slot)
{
	PmonMembership membership = PmonGetMembership(slot);
	const PmonGroup *group;
	uint32		id;

	if (membership.group == PMON_NONE)
		return 0;
	group = &pmon_groups[membership.group];
	id = pmon_applications[*((volatile const int *) &group->application)].id;
	return *((volatile const uint32 *) &group->id) == membership.group_id ? id : 0;
}

void
pmon_prefetch_slot_hold(int slot)
{
	if (pmon_max_holds > 0)
		PmonPrefetch(&slot_holds[slot]);
}

void
pmon_prefetch_hold(int slot)
{
	if (pmon_max_holds > 0)
		PmonPrefetch(&holds[slot_holds[slot].hold]);
}

void
pmon_count_hold(int slot, PmonState state)
{
	PmonHeldState held;
	HoldKey		key;
	HoldCount  *hold;
	TimestampTz since;

	if (pmon_max_holds == 0 || !pmon_read_held_state(slot, &held))
		return;
	key.databaseid = held.databaseid;
	key.userid = held.userid;
	key.application = application_of(slot);
	key.wait_event_info = *((volatile uint32 *) &pmon_slots[slot].proc->wait_event_info);
	key.query_id = held.query_id;
	key.tags = session_tags(slot, &held);
	key.state = state;
	if (key.application == 0)
		return;

	hold = find_hold(&key, slot, held.pid);
	hold->samples++;
	since = held.xact_start != 0 ? held.xact_start : held.state_change;
	hold->longest = Max(hold->longest,
						(uint32) Min(Max((sampled_at - since) / 1000, 0), PG_UINT32_MAX));
}

/*
 * Writing
 */

static int
compare_samples(const void *a, const void *b)
{
	const HoldCount *left = *(HoldCount *const *) a;
	const HoldCount *right = *(HoldCount *const *) b;

	if (left->samples != right->samples)
		return left->samples > right->samples ? -1 : 1;
	return 0;
}

static void
fold(const HoldCount *hold)
{
	other.samples += hold->samples;
	other.longest = Max(other.longest, hold->longest);
}

/* Append a hold to the record.  Returns false if there is no room. */
static bool
put_hold(const HoldCount *count, bool is_other, Size limit)
{
	const TagSet *set = !is_other && count->key.tags >= 0 ? &tag_sets[count->key.tags] : NULL;
	int			tags_length = set != NULL ? set->length : 0;
	Size		size = PmonHoldSize(tags_length + count->statement_length);
	PmonHold   *hold = (PmonHold *) ((char *) record + record->record.size);

	if (record->record.size + size > limit)
		return false;
	memset(hold, 0, size);
	hold->size = (uint16) size;
	hold->state = (uint8) count->key.state;
	hold->other = is_other ? PMON_HOLD_OTHER :
		count->key.tags == OTHER_TAGS ? PMON_HOLD_OTHER_TAGS : 0;
	hold->tags_length = (uint8) tags_length;
	hold->statement_length = count->statement_length;
	hold->databaseid = count->key.databaseid;
	hold->userid = count->key.userid;
	hold->application = count->key.application;
	hold->wait_event_info = count->key.wait_event_info;
	hold->query_id = count->key.query_id;
	hold->samples = count->samples;
	hold->longest = count->longest;
	if (set != NULL)
		memcpy(hold->texts, set->text, tags_length);
	memcpy(hold->texts + tags_length, count->statement, count->statement_length);
	record->record.size += size;
	return true;
}

/* Write the minute, those that were seen most first, and start with nothing. */
static void
finish_minute(void)
{
	Size		limit = PmonRingMaxRecord(pmon_hold_ring->size);
	int			n = 0;

	for (int i = 0; i < nholds; i++)
		by_samples[i] = &holds[i];
	qsort(by_samples, nholds, sizeof(HoldCount *), compare_samples);

	record->record.size = offsetof(PmonHoldsRecord, words);
	record->at = minute_at;
	record->samples = minute_samples;
	while (n < nholds && put_hold(by_samples[n], false, limit - PMON_MAX_HOLD_SIZE))
		n++;
	for (; n < nholds; n++)
		fold(by_samples[n]);
	if (other.samples > 0)
		put_hold(&other, true, limit);
	record->record.count = (record->record.size - offsetof(PmonHoldsRecord, words)) / sizeof(uint64);
	pmon_ring_append(pmon_hold_ring, &record->record);
}

static void
begin_minute(void)
{
	nholds = 0;
	minute_samples = 0;
	clear_index(&hold_index);
	memset(&other, 0, sizeof(other));
	if (ntag_sets > pmon_max_holds / 2)
		forget_tags();
}

/* After a reset, the minute that it falls into begins anew. */
static void
notice_reset(void)
{
	static uint32 noticed = 0;

	if (!pmon_notice_reset(&noticed))
		return;
	begin_minute();
}

void
pmon_begin_holds(TimestampTz at)
{
	TimestampTz minute_start = at - at % USECS_PER_MINUTE;

	sampled_at = at;
	if (pmon_max_holds == 0)
		return;
	notice_reset();
	if (minute_samples > 0 && minute_at != minute_start)
	{
		finish_minute();
		begin_minute();
	}
	if (keys_version != pmon_tag_keys_version)
	{
		/* the current minute keeps those that it has */
		keys_version = pmon_tag_keys_version;
		epoch++;
	}
	minute_at = minute_start;
	minute_samples++;
}

void
pmon_flush_holds(void)
{
	if (pmon_max_holds == 0)
		return;
	notice_reset();
	if (minute_samples == 0)
		return;
	finish_minute();
	begin_minute();
}
