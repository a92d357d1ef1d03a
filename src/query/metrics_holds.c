/*-------------------------------------------------------------------------
 *
 * metrics_holds.c
 *	  Which code holds connections, as metrics.
 *
 * Each value of a tag is another series, and who stores
 * them pays for each, so there are none unless that is asked for.  A tag's label
 * has its key with a prefix, so that it is no other label's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "utils/timestamp.h"

#include "query/holds_reader.h"
#include "query/local_hash.h"
#include "query/metrics_text.h"
#include "query/result_set.h"
#include "shared/groups.h"

#define LABEL_PREFIX	"tag_"

/* A series, with zeroes behind the texts of its key */
typedef struct HeldKey
{
	char		application_name[NAMEDATALEN];
	char		tags[PMON_TAGS_LEN];
} HeldKey;

typedef struct HeldSeries
{
	HeldKey		key;
	int64		samples;
} HeldSeries;

/* The last minute that is whole, or the one before if that is not written yet */
static PmonSummedHolds *
read_last_minute(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz minute = now - now % USECS_PER_MINUTE - USECS_PER_MINUTE;
	PmonSummedHolds *holds = pmon_read_holds(minute, minute + USECS_PER_MINUTE);

	if (holds->samples == 0)
		holds = pmon_read_holds(minute - USECS_PER_MINUTE, minute);
	return holds;
}

static int
compare_series(const void *a, const void *b)
{
	const HeldSeries *left = *(HeldSeries *const *) a;
	const HeldSeries *right = *(HeldSeries *const *) b;

	if (left->samples != right->samples)
		return left->samples > right->samples ? -1 : 1;
	return memcmp(&left->key, &right->key, sizeof(HeldKey));
}

static bool
is_other(const HeldKey *key)
{
	return strcmp(key->application_name, PMON_OTHER_APPLICATION) == 0;
}

/*
 * Add holds up by application and tags.  What is of several sets of tags counts
 * as the application's without any.  Returns the series, the largest first.
 */
static HeldSeries **
add_up(const PmonSummedHolds *holds, int *n)
{
	HTAB	   *table = pmon_local_hash("held", sizeof(HeldKey), sizeof(HeldSeries));

	for (int i = 0; i < holds->nholds; i++)
	{
		const PmonSummedHold *hold = holds->holds[i];
		HeldKey		key = {0};

		pmon_copy_foreign_text(key.application_name, hold->application_name,
							   strlen(hold->application_name));
		if (!is_other(&key))
			pmon_copy_foreign_text(key.tags, hold->identity.tags, hold->identity.tags_length);
		PmonLocalEntry(table, &key, HeldSeries)->samples += hold->samples;
	}
	return pmon_sort_entries(table, compare_series, n);
}

/* The name of a tag's label, palloc'd: keys may have other characters */
static char *
label_name(const char *key, int length)
{
	char	   *name = psprintf("%s%.*s", LABEL_PREFIX, length, key);

	for (char *p = name; *p != '\0'; p++)
	{
		if (*p == '-' || *p == '.')
			*p = '_';
	}
	return name;
}

static bool
has_label(const PmonLabels *labels, const char *name)
{
	for (int i = 0; i < labels->n; i++)
	{
		if (strcmp(labels->labels[i].name, name) == 0)
			return true;
	}
	return false;
}

/* A label for each tag.  Of two keys that make the same name, the first counts. */
static void
add_tags(PmonLabels *labels, const char *tags)
{
	while (*tags != '\0')
	{
		const char *equals = strchr(tags, '=');
		const char *end = strchr(tags, '\n');
		char	   *name;

		if (equals == NULL || end == NULL || equals > end)
			return;
		name = label_name(tags, equals - tags);
		if (!has_label(labels, name))
			pmon_add_label(labels, name, pnstrdup(equals + 1, end - equals - 1));
		tags = end + 1;
	}
}

void
pmon_put_held_connections(PmonExposition *out, int most)
{
	PmonSummedHolds *holds = most > 0 ? read_last_minute() : NULL;
	HeldSeries **series;
	int			n;
	int			shown = 0;
	int64		rest = 0;

	pmon_begin_family(out, PMON_METRIC_HELD_CONNECTIONS);
	if (holds == NULL || holds->samples == 0)
		return;
	series = add_up(holds, &n);
	for (int i = 0; i < n; i++)
	{
		PmonLabels	labels = {0};

		if (shown == most || is_other(&series[i]->key))
		{
			rest += series[i]->samples;
			continue;
		}
		pmon_add_label(&labels, "application_name", series[i]->key.application_name);
		add_tags(&labels, series[i]->key.tags);
		pmon_add_ratio(out, &labels, (double) series[i]->samples / holds->samples);
		shown++;
	}
	if (rest > 0)
	{
		PmonLabels	labels = {0};

		pmon_add_label(&labels, "application_name", PMON_OTHER_APPLICATION);
		pmon_add_ratio(out, &labels, (double) rest / holds->samples);
	}
}
