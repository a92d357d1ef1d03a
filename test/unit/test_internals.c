/* links: pure/hold_histogram.c */
/*-------------------------------------------------------------------------
 *
 * test_internals.c
 *	  The sizes and numbers that docs/internals.md tells, against the code.
 *
 * Where a row of a table is wrong, the failure shows how it should end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "tap.h"

#include "pure/hold_histogram.h"
#include "pure/pools.h"
#include "pure/sizing.h"
#include "shared/groups.h"
#include "shared/history.h"
#include "shared/incidents.h"
#include "shared/pool_states.h"
#include "shared/rejections.h"
#include "shared/session_snapshot.h"
#include "shared/slots.h"
#include "shared/terminations.h"

#define DOCUMENT	"docs/internals.md"

/* What the totals are for, as the document says */
#define BACKENDS		122
#define GROUPS			2000
#define RING_BYTES		(8 * 1024 * 1024)

static char document[256 * 1024];

static void
read_document(void)
{
	FILE	   *file = fopen(DOCUMENT, "r");
	size_t		length;

	if (file == NULL)
		abort();
	length = fread(document, 1, sizeof(document) - 1, file);
	if (length == sizeof(document) - 1)
		abort();
	document[length] = '\0';
	fclose(file);
}

/* A number with commas between the thousands, in one of some static buffers */
static const char *
number(unsigned long long value)
{
	static char buffers[8][32];
	static int	next = 0;
	char	   *buffer = buffers[next++ % lengthof(buffers)];
	char	   *end = buffer + sizeof(buffers[0]) - 1;
	char	   *p = end;

	*p = '\0';
	for (int digits = 0; digits == 0 || value > 0; digits++, value /= 10)
	{
		if (digits > 0 && digits % 3 == 0)
			*--p = ',';
		*--p = '0' + value % 10;
	}
	return p;
}

/* The document has a line that starts so and ends so. */
static void
has_row(const char *start, const char *fmt,...)
{
	char		end[256];
	char		found[512] = "";
	va_list		args;
	int			n;
	const char *line = document;

	va_start(args, fmt);
	n = vsnprintf(end, sizeof(end), fmt, args);
	va_end(args);

	for (; line != NULL; line = strchr(line, '\n'))
	{
		size_t		length;

		line += (*line == '\n');
		length = strcspn(line, "\n");
		if (strncmp(line, start, strlen(start)) != 0 || length >= sizeof(found))
			continue;
		memcpy(found, line, length);
		found[length] = '\0';
		break;
	}
	if (!ok(strlen(found) >= n && strcmp(found + strlen(found) - n, end) == 0,
			"the row \"%s\"", start))
		printf("#   got: %s\n#   end: %s\n", found, end);
}

/* The document says that somewhere, in one line. */
static void
says(const char *fmt,...)
{
	char		sentence[256];
	va_list		args;

	va_start(args, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, args);
	va_end(args);
	ok(strstr(document, sentence) != NULL, "it says \"%s\"", sentence);
}

static void
part(const char *start, Size one, const char *times, int n)
{
	has_row(start, "| %s | %s | %s |", number(one), times, number(one * n));
}

static void
test_memory_map(void)
{
	int			words = (BACKENDS + 63) / 64;

	part("| header: ", sizeof(PmonShared), "1", 1);
	part("| the states of pools", sizeof(PmonPoolState), number(PMON_MAX_POOLS), PMON_MAX_POOLS);
	part("| live words: ", sizeof(uint64), "backends / 64", words);
	part("| memberships: ", sizeof(PmonMembership), "backends", BACKENDS);
	part("| client waits: ", sizeof(pg_atomic_uint64), "backends", BACKENDS);
	part("| slots: ", sizeof(PmonSlot), "backends", BACKENDS);
	part("| the lists of groups", sizeof(PmonGroupTable), "1", 1);
	part("| groups: ", sizeof(PmonGroup), "`max_groups`", GROUPS);
	part("| their histograms ", sizeof(PmonHoldBuckets), "`max_groups`", GROUPS);
	part("| applications ", sizeof(PmonApplication), "`max_groups`", GROUPS);
	part("| rejections: ", sizeof(PmonRejection), number(PMON_MAX_REJECTIONS),
		 PMON_MAX_REJECTIONS);
	part("| the queue of rejections", sizeof(PmonRejectionQueue), "1", 1);
	part("| the snapshot ", sizeof(PmonSeenSession), "backends", BACKENDS);
	has_row("| incidents, ", "| %s | %d | %s |", number(sizeof(PmonIncident)),
			PMON_MAX_INCIDENTS, number(sizeof(PmonIncidents)));
	has_row("| terminations, ", "| %s | %s | %s |", number(sizeof(PmonTermination)),
			number(PMON_MAX_TERMINATIONS), number(sizeof(PmonTerminations)));
}

static void
test_history(void)
{
	static const int lengths[] = {10, 50, 200};

	says("`%zu + %zu * n` bytes", offsetof(PmonSampleRecord, entries),
		 sizeof(PmonSampleEntry));
	says("`%zu + %zu * n` bytes", offsetof(PmonMinuteRecord, entries),
		 sizeof(PmonMinuteEntry));
	says("8 MB, %s bytes", number(RING_BYTES));
	for (int i = 0; i < lengthof(lengths); i++)
	{
		Size		sample = PmonSampleRecordSize(lengths[i]);
		Size		minute = PmonMinuteRecordSize(lengths[i]);

		says("| %d | %s | %s |", lengths[i], number(sample), number(RING_BYTES / sample));
		says("| %s | %s |", number(minute), number(RING_BYTES / minute));
	}
}

static void
test_numbers(void)
{
	says("%d buckets, log-linear", PMON_HOLD_BUCKETS);
	says("up to 2^%d", PMON_HOLD_MAX_BITS);
	says("%s entries:", number(PMON_QUEUE_SIZE));
	says("Entry `p` modulo %s", number(PMON_QUEUE_SIZE));
	says("%s combinations", number(PMON_MAX_REJECTIONS));
	says("%d of them, with 2 times %d holders", PMON_MAX_INCIDENTS, PMON_MAX_HOLDERS);
	says("The record of ends has %s places", number(PMON_MAX_TERMINATIONS));
	says("for up to %s", number(PMON_SIZING_MAX));
}

int
main(int argc, char **argv)
{
	read_document();
#if PG_VERSION_NUM / 10000 == 15 && SIZEOF_VOID_P == 8
	test_memory_map();
#endif
	test_history();
	test_numbers();
	return tap_done();
}
