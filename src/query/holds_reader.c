/*-------------------------------------------------------------------------
 *
 * holds_reader.c
 *	  Which code held connections, added up over a time.
 *
 * See holds_reader.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "utils/builtins.h"

#include "query/application_names.h"
#include "query/holds_reader.h"
#include "query/local_hash.h"
#include "shared/groups.h"

static PmonApplicationNames names;	/* while they are read */

StaticAssertDecl(sizeof(PmonHoldIdentity) ==
				 offsetof(PmonHoldIdentity, tags) + PMON_TAGS_LEN + 2,
				 "a key of a hash table has no padding");

/* The name of an application; NULL for what is "<other>" by now */
static const char *
name_of(uint32 id)
{
	const PmonApplicationName *found = pmon_find_application(&names, id);

	return found != NULL && id != names.other_id ? found->application_name : NULL;
}

/* What is the same in all minutes */
static void
identify(const PmonHold *hold, PmonHoldIdentity *identity)
{
	memset(identity, 0, sizeof(*identity));
	if (hold->other == PMON_HOLD_OTHER)
	{
		identity->other = PMON_HOLD_OTHER;
		return;
	}
	identity->databaseid = hold->databaseid;
	identity->userid = hold->userid;
	identity->application = name_of(hold->application) != NULL ? hold->application : 0;
	identity->wait_event_info = hold->wait_event_info;
	identity->query_id = hold->query_id;
	identity->state = hold->state;
	identity->other = hold->other;
	identity->tags_length = hold->tags_length;
	memcpy(identity->tags, hold->texts, hold->tags_length);
}

/* The sum that a hold belongs to, which is a new one at need */
static PmonSummedHold *
find_sum(HTAB *table, const PmonHold *hold)
{
	PmonHoldIdentity identity;
	const char *name;
	PmonSummedHold *sum;

	identify(hold, &identity);
	sum = hash_search(table, &identity, HASH_FIND, NULL);
	if (sum != NULL)
		return sum;
	if (hash_get_num_entries(table) >= PMON_MAX_SUMMED_HOLDS)
	{
		memset(&identity, 0, sizeof(identity));
		identity.other = PMON_HOLD_OTHER;
	}
	sum = PmonLocalEntry(table, &identity, PmonSummedHold);
	name = name_of(identity.application);
	namestrcpy((Name) sum->application_name, name != NULL ? name : PMON_OTHER_APPLICATION);
	return sum;
}

static void
add_hold(HTAB *table, const PmonHold *hold, TimestampTz minute)
{
	PmonSummedHold *sum = find_sum(table, hold);

	sum->samples += hold->samples;
	sum->longest = Max(sum->longest, hold->longest);
	if (hold->statement_length > 0 && minute >= sum->seen &&
		sum->identity.other != PMON_HOLD_OTHER)
	{
		sum->seen = minute;
		sum->statement_length = hold->statement_length;
		memcpy(sum->statement, hold->texts + hold->tags_length, hold->statement_length);
	}
}

static int
compare_sums(const void *a, const void *b)
{
	const PmonSummedHold *left = *(PmonSummedHold *const *) a;
	const PmonSummedHold *right = *(PmonSummedHold *const *) b;

	if (left->samples != right->samples)
		return left->samples > right->samples ? -1 : 1;
	return memcmp(&left->identity, &right->identity, sizeof(PmonHoldIdentity));
}

PmonSummedHolds *
pmon_read_holds(TimestampTz since, TimestampTz until)
{
	PmonSummedHolds *result = palloc0(sizeof(PmonSummedHolds));
	HTAB	   *table = pmon_local_hash("holds", sizeof(PmonHoldIdentity),
										sizeof(PmonSummedHold));
	PmonRingReader reader;
	PmonHoldsRecord *minute;

	names = pmon_read_application_names();
	pmon_ring_begin_read(&reader, pmon_hold_ring);
	while ((minute = pmon_next_holds(&reader)) != NULL)
	{
		Size		position = 0;
		const PmonHold *hold;

		CHECK_FOR_INTERRUPTS();
		if (minute->at + USECS_PER_MINUTE <= since || minute->at >= until)
			continue;
		result->samples += minute->samples;
		while ((hold = pmon_next_hold(minute, &position)) != NULL)
			add_hold(table, hold, minute->at);
	}
	pfree(reader.buffer);
	result->holds = pmon_sort_entries(table, compare_sums, &result->nholds);
	for (int i = 0; i < result->nholds; i++)
		result->held += result->holds[i]->samples;
	return result;
}
