/* links: worker/stats_file.c shared/ring.c shared/history.c shared/holds.c pure/hold_histogram.c */
/*-------------------------------------------------------------------------
 *
 * test_stats_file.c
 *	  The statistics file: what is saved comes back, and what is damaged,
 *	  foreign or made up does no harm.
 *
 *	  test_stats_file [STRIDE]
 *
 * The functions that put groups, applications and rejections back only take
 * notes here.  The rest is the real thing, in a folder of its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "port/pg_crc32c.h"
#include "storage/fd.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "shared/group_snapshot.h"
#include "shared/groups.h"
#include "shared/history.h"
#include "shared/holds.h"
#include "shared/incidents.h"
#include "shared/pool_states.h"
#include "shared/rejections.h"
#include "shared/terminations.h"
#include "worker/stats_file.h"

#include "fakes/locks.h"
#include "fakes/memory.h"
#include "fakes/messages.h"
#include "fakes/parts.h"
#include "fakes/process.h"
#include "tap.h"

#define TEMPORARY_FILE	PMON_STATS_FILE ".tmp"
#define BAD_FILE		PMON_STATS_FILE ".bad"

/*
 * What stats_file.c wants of the server
 */

FILE *
AllocateFile(const char *name, const char *mode)
{
	return fopen(name, mode);
}

int
FreeFile(FILE *file)
{
	return fclose(file);
}

int
durable_rename(const char *oldfile, const char *newfile, int elevel)
{
	if (rename(oldfile, newfile) == 0)
		return 0;
	ereport(elevel,
			(errmsg("could not rename file \"%s\" to \"%s\": %m", oldfile, newfile)));
	return -1;
}

/*
 * What it wants of the other files
 */

#define APPLICATIONS	5
#define GROUPS			7
#define REJECTIONS		3
#define INCIDENTS		2
#define TERMINATIONS	4
#define LAST_INCIDENT	40
#define HISTORY_SIZE	32		/* kB */
#define REJECTED		12345

PmonShared *pmon;
PmonRejectionQueue *pmon_queue;
PmonIncidents *pmon_incidents;

static PmonShared shared;
static PmonGroupTable table;
static PmonPoolState pool_states[PMON_MAX_POOLS];

PmonGroupTable *pmon_group_table = &table;
PmonPoolState *pmon_pool_states = pool_states;

static PmonRejectionQueue queue;
int			pmon_history_size = HISTORY_SIZE;
int			pmon_holds_size = HISTORY_SIZE / 2;

static PmonApplication applications[APPLICATIONS];
static PmonGroup groups[GROUPS];
static uint64 buckets[GROUPS][PMON_HOLD_BUCKETS];
static PmonHistogram histograms[GROUPS];
static PmonRejection rejections[REJECTIONS];
static PmonTermination terminations[TERMINATIONS];

/* What was put back, in that order */
static int	restored_applications;
static int	restored_groups;
static int	restored_rejections;
static int	restored_terminations;
static bool buckets_saved;		/* the snapshot had those of sessions too */
static bool as_saved;			/* and it is what had been saved */
static TimestampTz last_group_used;

PmonGroupSnapshot *
pmon_take_snapshot(bool with_histograms)
{
	PmonGroupSnapshot *snapshot = allocate(sizeof(PmonGroupSnapshot));

	buckets_saved = with_histograms;
	memset(snapshot, 0, sizeof(*snapshot));
	snapshot->napplications = APPLICATIONS;
	snapshot->applications = applications;
	snapshot->ngroups = GROUPS;
	snapshot->groups = groups;
	snapshot->histograms = histograms;
	snapshot->nrejections = REJECTIONS;
	snapshot->rejections = rejections;
	snapshot->rejected[0] = REJECTED;
	for (int i = 0; i < REJECTIONS; i++)
		snapshot->rejected[0] += rejections[i].rejected;
	snapshot->rejected[1] = 17;
	return snapshot;
}

void
pmon_restore_application(const PmonApplication *saved)
{
	as_saved = as_saved && restored_applications < APPLICATIONS &&
		memcmp(saved, &applications[restored_applications], sizeof(*saved)) == 0;
	restored_applications++;
}

/* They come in the order in which they were used. */
void
pmon_restore_group(const PmonGroup *saved, const PmonHistogram *histogram)
{
	bool		found = false;

	for (int i = 0; i < GROUPS; i++)
		found = found ||
			(memcmp(saved, &groups[i], sizeof(*saved)) == 0 &&
			 histogram->octaves == histograms[i].octaves &&
			 memcmp(histogram->counts, histograms[i].counts, sizeof(uint64) * pmon_histogram_length(histogram->octaves)) == 0);
	as_saved = as_saved && found &&
		(saved->connections > 0 || saved->last_used >= last_group_used);
	last_group_used = saved->connections > 0 ? DT_NOEND : saved->last_used;
	restored_groups++;
}

void
pmon_restore_rejection(const PmonRejection *saved)
{
	as_saved = as_saved && restored_rejections < REJECTIONS &&
		memcmp(saved, &rejections[restored_rejections], sizeof(*saved)) == 0;
	restored_rejections++;
}

PmonTermination *
pmon_copy_terminations(int *n)
{
	*n = TERMINATIONS;
	return terminations;
}

void
pmon_restore_termination(const PmonTermination *saved)
{
	as_saved = as_saved && restored_terminations < TERMINATIONS &&
		memcmp(saved, &terminations[restored_terminations], sizeof(*saved)) == 0;
	restored_terminations++;
}

uint64
pmon_all_rejected_ever(void)
{
	return pg_atomic_read_u64(&pmon_queue->ever[0]);
}

static int	noted = 0;

void
pmon_note_rejections(void)
{
	noted++;
}

uint64
pmon_rejected(void)
{
	uint64		rejected = 0;

	for (int i = 0; i < PMON_REJECT_REASONS; i++)
		rejected += pg_atomic_read_u64(&pmon_queue->dropped[i]);
	return rejected;
}

TimestampTz
pmon_last_rejected_at(void)
{
	return (TimestampTz) pg_atomic_read_u64(&pmon_queue->last_at);
}

PmonIncident *
pmon_copy_incident(int64 id)
{
	PmonIncident *copy = allocate(sizeof(PmonIncident));

	*copy = *PmonIncidentAt(id);
	if (copy->id == id)
		return copy;
	pfree(copy);
	return NULL;
}

int64
pmon_last_incident(void)
{
	return pmon_incidents->last_id;
}

/*
 * Shared memory, as it is when it is new, and with something in it
 */

/* Memory between two pages that nobody may touch, at the end of its own */
static void *
guarded(Size size)
{
	Size		page = sysconf(_SC_PAGESIZE);
	Size		rounded = TYPEALIGN(page, size);
	char	   *memory = mmap(NULL, rounded + 2 * page, PROT_NONE,
							  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED ||
		mprotect(memory + page, rounded, PROT_READ | PROT_WRITE) != 0)
		abort();
	return memory + page + (rounded - TYPEALIGN(MAXIMUM_ALIGNOF, size));
}

static void
new_memory(void)
{
	memset(&shared, 0, sizeof(shared));
	memset(&table, 0, sizeof(table));
	memset(pool_states, 0, sizeof(pool_states));
	memset(&queue, 0, sizeof(queue));
	if (pmon_incidents == NULL)
		pmon_incidents = guarded(sizeof(PmonIncidents));
	memset(pmon_incidents, 0, sizeof(PmonIncidents));
	pmon = &shared;
	pmon_queue = &queue;
	free(pmon_sample_ring);
	free(pmon_minute_ring);
	free(pmon_hold_ring);
	pmon_request_history();
	pmon_request_holds();
	table.last_id = 1;
	restored_applications = restored_groups = 0;
	restored_rejections = restored_terminations = 0;
	as_saved = true;
	last_group_used = 0;
	forget_messages();
}

static void
make_contents(void)
{
	for (int i = 0; i < APPLICATIONS; i++)
	{
		snprintf(applications[i].application_name, NAMEDATALEN, "application %d", i);
		applications[i].in_use = true;
		applications[i].id = 100 + i;
		applications[i].peak_connections.value = i;
	}
	for (int i = 0; i < GROUPS; i++)
	{
		snprintf(groups[i].key.application_name, NAMEDATALEN, "application %d", i % APPLICATIONS);
		groups[i].key.databaseid = 5;
		groups[i].key.userid = i;
		groups[i].in_use = true;
		groups[i].id = 200 + i;
		groups[i].connections = (i == 2);
		groups[i].last_used = 1000 - 10 * i;
		groups[i].counters.sessions = 1000 + i;
		groups[i].counters.hold.transactions = 77;
		/* of 0 to 6 octaves, the last one the highest there is */
		for (int j = 0; j < i; j++)
			groups[i].counters.hold.octaves |= PmonOctaveBit(PMON_HOLD_OCTAVES - 1 - 3 * j);
		histograms[i].octaves = groups[i].counters.hold.octaves;
		histograms[i].counts = buckets[i];
		for (int j = 0; j < i * PMON_HOLD_SUB_BUCKETS; j++)
			buckets[i][j] = 1000 * i + j;
	}
	for (int i = 0; i < REJECTIONS; i++)
	{
		snprintf(rejections[i].key.application_name, NAMEDATALEN, "refused %d", i);
		rejections[i].in_use = true;
		rejections[i].rejected = 9 + i;
	}

	for (int i = 0; i < TERMINATIONS; i++)
		terminations[i].pid = 5000 + i;

	shared.stats_reset = 4711;
	shared.peak_connections.value = 88;
	shared.peak_connections.at = 4712;
	table.groups_evicted = 3;
	table.last_id = 500;
	pg_atomic_write_u64(&queue.last_at, 4713);

	/* two are kept, and the last of them goes on */
	pmon_incidents->last_id = LAST_INCIDENT;
	for (int64 id = LAST_INCIDENT - INCIDENTS + 1; id <= LAST_INCIDENT; id++)
	{
		PmonIncident *incident = PmonIncidentAt(id);

		incident->id = id;
		incident->started_at = 1000 * id;
		incident->ended_at = id == LAST_INCIDENT ? 0 : 1000 * id + 1;
		incident->reason = PMON_INCIDENT_CRITICAL_THRESHOLD;
		snprintf(incident->top_application, NAMEDATALEN, "application 1");
		incident->at_start.nholders = 2;
		incident->at_peak.nholders = PMON_MAX_HOLDERS;
		for (int i = 0; i < PMON_MAX_HOLDERS; i++)
		{
			incident->at_peak.holders[i].connections = PMON_MAX_HOLDERS - i;
			incident->at_peak.holders[i].session = i < PMON_MAX_HOLDER_SESSIONS ? i : PMON_NONE;
		}
		for (int i = 0; i < PMON_MAX_HOLDER_SESSIONS; i++)
		{
			PmonHolderSession *session = &incident->at_peak.sessions[i];

			session->pid = 7000 + i;
			session->blocks = i;
			session->blocked_by = i == 0 ? PMON_BLOCKED_BY_NOBODY : 7000;
			session->query_id = PG_UINT64_MAX - i;
			snprintf(session->wait_event, NAMEDATALEN, "transactionid");
			memset(session->statement, 'x', PMON_STATEMENT_BYTES - 1);
		}
	}
}

static void
add_samples(int n)
{
	char		buffer[1024] = {0};
	PmonSampleRecord *sample = (PmonSampleRecord *) buffer;
	PmonMinuteRecord *minute = (PmonMinuteRecord *) buffer;
	PmonHoldsRecord *holds = (PmonHoldsRecord *) buffer;

	for (int i = 0; i < n; i++)
	{
		memset(buffer, 0, sizeof(buffer));
		sample->record.count = i % 4;
		sample->record.size = PmonSampleRecordSize(i % 4);
		sample->at = 1000000 + i;
		for (int j = 0; j < i % 4; j++)
			sample->entries[j].id = i;
		pmon_ring_append(pmon_sample_ring, &sample->record);
	}
	for (int i = 0; i < n; i++)
	{
		memset(buffer, 0, sizeof(buffer));
		minute->record.count = i % 3;
		minute->record.size = PmonMinuteRecordSize(i % 3);
		minute->at = 1000000 + i;
		minute->samples = i;
		pmon_ring_append(pmon_minute_ring, &minute->record);
	}
	for (int i = 0; i < n; i++)
	{
		memset(buffer, 0, sizeof(buffer));
		holds->record.count = i % 5;
		holds->record.size = offsetof(PmonHoldsRecord, words) + i % 5 * sizeof(uint64);
		holds->at = 1000000 + i;
		holds->samples = i;
		pmon_ring_append(pmon_hold_ring, &holds->record);
	}
}

/* What a ring holds: how many records, and their numbers without a gap? */
typedef struct Held
{
	int			records;
	int			first;
	int			last;
	bool		whole;
} Held;

static Held
held_samples(void)
{
	Held		held = {.first = -1,.last = -1,.whole = true};
	PmonRingReader reader;
	PmonSampleRecord *sample;

	pmon_ring_begin_read(&reader, pmon_sample_ring);
	while ((sample = pmon_next_sample(&reader)) != NULL)
	{
		int			i = sample->at - 1000000;

		held.whole = held.whole && sample->record.count == i % 4 &&
			(held.records == 0 || i == held.last + 1);
		for (int j = 0; j < sample->record.count; j++)
			held.whole = held.whole && sample->entries[j].id == i;
		if (held.records++ == 0)
			held.first = i;
		held.last = i;
	}
	pfree(reader.buffer);
	return held;
}

static Held
held_holds(void)
{
	Held		held = {.first = -1,.last = -1,.whole = true};
	PmonRingReader reader;
	PmonHoldsRecord *minute;

	pmon_ring_begin_read(&reader, pmon_hold_ring);
	while ((minute = pmon_next_holds(&reader)) != NULL)
	{
		int			i = minute->at - 1000000;

		held.whole = held.whole && minute->record.count == i % 5 &&
			minute->samples == i && (held.records == 0 || i == held.last + 1);
		if (held.records++ == 0)
			held.first = i;
		held.last = i;
	}
	pfree(reader.buffer);
	return held;
}

static Held
held_minutes(void)
{
	Held		held = {.first = -1,.last = -1,.whole = true};
	PmonRingReader reader;
	PmonMinuteRecord *minute;

	pmon_ring_begin_read(&reader, pmon_minute_ring);
	while ((minute = pmon_next_minute(&reader)) != NULL)
	{
		int			i = minute->at - 1000000;

		held.whole = held.whole && minute->record.count == i % 3 &&
			minute->samples == i && (held.records == 0 || i == held.last + 1);
		if (held.records++ == 0)
			held.first = i;
		held.last = i;
	}
	pfree(reader.buffer);
	return held;
}

/* Is everything as it was when the memory was new? */
static bool
nothing_restored(void)
{
	static PmonShared empty_shared;
	static PmonGroupTable empty_table;
	static PmonPoolState empty_states[PMON_MAX_POOLS];
	static PmonRejectionQueue empty_queue;
	static PmonIncidents empty_incidents;

	memset(&empty_shared, 0, sizeof(empty_shared));
	empty_table.last_id = 1;
	return memcmp(&shared, &empty_shared, sizeof(shared)) == 0 &&
		memcmp(&table, &empty_table, sizeof(table)) == 0 &&
		memcmp(pool_states, empty_states, sizeof(pool_states)) == 0 &&
		memcmp(&queue, &empty_queue, sizeof(queue)) == 0 &&
		memcmp(pmon_incidents, &empty_incidents, sizeof(PmonIncidents)) == 0 &&
		restored_applications == 0 && restored_groups == 0 &&
		restored_rejections == 0 && restored_terminations == 0 &&
		held_samples().records == 0 && held_minutes().records == 0 &&
		held_holds().records == 0;
}

/*
 * Files
 */

static char *good;				/* the contents of a good file */
static long good_size;

static void
write_file(const char *contents, long size)
{
	int			fd = open(PMON_STATS_FILE, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, contents, size) != size || close(fd) != 0)
		abort();
}

static void
read_good_file(void)
{
	FILE	   *file = fopen(PMON_STATS_FILE, "r");
	struct stat st;

	if (file == NULL || fstat(fileno(file), &st) != 0)
		abort();
	good_size = st.st_size;
	good = palloc(good_size);
	if (fread(good, good_size, 1, file) != 1)
		abort();
	fclose(file);
}

/* A copy of the good file that ends with the checksum of what it says */
static void
fix_checksum(char *contents, long size)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, contents, size - sizeof(crc));
	FIN_CRC32C(crc);
	memcpy(contents + size - sizeof(crc), &crc, sizeof(crc));
}

/*
 * Restore the file into new memory.  Was it found unusable: nothing restored,
 * one WARNING, and the file put aside?
 */
static bool
is_refused(void)
{
	struct stat st;
	bool		refused;

	new_memory();
	pmon_restore_file();
	refused = nothing_restored() && warnings == 1 && logs == 0 &&
		strncmp(message, "statistics file \"pg_stat/pool_monitor.stat\" ", 44) == 0 &&
		strstr(detail, "the file was renamed to \"pg_stat/pool_monitor.stat.bad\"") != NULL &&
		stat(PMON_STATS_FILE, &st) != 0 && stat(BAD_FILE, &st) == 0 && locks_held == 0;
	return refused;
}

static void
refuses(const char *contents, long size, const char *reason, const char *fact)
{
	bool		refused;

	write_file(contents, size);
	refused = is_refused() && strstr(message, reason) != NULL;
	ok(refused, "%s: %s", fact, reason);
	if (!refused)
		printf("# %d warnings, the last: %s\n#   %s\n", warnings, message, detail);
}

static void
test_round_trip(void)
{
	Held		samples;
	Held		minutes;
	PmonIncident *incident;
	TimestampTz saved_at;

	new_memory();
	pmon_restore_file();
	ok(nothing_restored() && warnings == 0 && logs == 0, "without a file the server starts empty, and silently");

	make_contents();
	add_samples(300);
	samples = held_samples();
	minutes = held_minutes();
	ok(pmon_save_file() && warnings == 0 && logs == 0, "the statistics are saved");
	ok(shared.saved_at != 0 && shared.save_failures == 0, "and the time of that is noted");
	ok(access(TEMPORARY_FILE, F_OK) != 0, "no temporary file is left");
	ok(buckets_saved, "the histograms of sessions in progress are in it");
	read_good_file();
	saved_at = shared.saved_at;

	new_memory();
	pmon_restore_file();
	ok(warnings == 0 && logs == 0, "the file is read without a word");
	ok(as_saved && restored_applications == APPLICATIONS && restored_groups == GROUPS &&
	   restored_rejections == REJECTIONS && restored_terminations == TERMINATIONS,
	   "applications, rejections, terminations and groups are put back, the groups as they were used");
	ok(shared.restored_from == saved_at && shared.saved_at == saved_at, "it tells of when it is");
	ok(shared.stats_reset == 4711 && shared.peak_connections.value == 88 &&
	   shared.peak_connections.at == 4712 && table.groups_evicted == 3 && table.last_id == 500,
	   "the server's figures are there");
	ok(pmon_rejected() == REJECTED + 17 && pmon_last_rejected_at() == 4713 &&
	   pg_atomic_read_u64(&queue.dropped[1]) == 17, "so are the rejections");
	ok(pmon_incidents->last_id == LAST_INCIDENT && pmon_incidents->current == 0 &&
	   noted > 0, "incidents go on with the next number");
	incident = pmon_copy_incident(LAST_INCIDENT);
	ok(incident != NULL && incident->ended_at == saved_at && incident->at_peak.nholders == PMON_MAX_HOLDERS &&
	   incident->at_peak.holders[PMON_MAX_HOLDERS - 1].connections == 1,
	   "the one that went on has ended with the file, and has its holders");
	incident = pmon_copy_incident(LAST_INCIDENT - 1);
	ok(incident != NULL && incident->ended_at == 1000 * (LAST_INCIDENT - 1) + 1, "the one before is as it was");
	ok(held_samples().records == samples.records && held_samples().last == 299 && held_samples().whole,
	   "all samples are there");
	ok(held_minutes().records == minutes.records && held_minutes().last == 299 && held_minutes().whole,
	   "all minutes are there");
	ok(held_holds().records == 300 && held_holds().whole, "and all holds");
	ok(access(PMON_STATS_FILE, F_OK) == 0, "the file stays until the next one is durable");

	/* a reset has moved the marks since the totals were read */
	shared.sampled_rejected = pmon_all_rejected_ever() + 1;
	shared.sampled_terminated = pg_atomic_read_u64(&shared.terminated_ever) + 1;
	ok(pmon_save_file(), "the statistics are saved while a reset goes on");
	new_memory();
	pmon_restore_file();
	ok(pmon_all_rejected_ever() == 0 && pg_atomic_read_u64(&shared.terminated_ever) == 0,
	   "there is nothing left for the first sample then");
}

static void
test_other_sizes(void)
{
	pmon_history_size = HISTORY_SIZE / 4;
	new_memory();
	pmon_restore_file();
	ok(held_samples().whole && held_samples().last == 299 && held_samples().records > 40 &&
	   held_samples().records < 300, "a smaller history keeps the newest samples");
	ok(held_minutes().whole && held_minutes().last == 299 && held_minutes().records > 20 &&
	   held_minutes().records < 300, "and the newest minutes");
	ok(held_holds().whole && held_holds().last == 299 && held_holds().records > 20, "and the newest holds");

	pmon_history_size = HISTORY_SIZE * 4;
	new_memory();
	pmon_restore_file();
	ok(held_samples().whole && held_samples().last == 299 && held_minutes().whole && held_minutes().last == 299,
	   "a larger one keeps all of them");
	pmon_history_size = HISTORY_SIZE;
}

static void
test_damaged(int stride)
{
	uint32		header_size;
	char	   *contents = palloc(good_size + 4096);
	bool		refused = true;
	int			n = 0;

	memcpy(&header_size, good + 12, sizeof(header_size));

	/* every length up to the header's, then some, then every one at the end */
	for (long length = 0; length < good_size; n++)
	{
		write_file(good, length);
		if (!is_refused())
		{
			printf("# not refused: %ld bytes of %ld\n", length, good_size);
			refused = false;
		}
		if (length < header_size + 16 || length >= good_size - 100)
			length++;
		else
			length = Min(length + good_size / 200, good_size - 100);
	}
	printf("# %d of %ld lengths\n", n, good_size);
	ok(refused, "a file that is cut off anywhere is refused and put aside");

	/* every byte of the header and of the checksum, others at that distance */
	refused = true;
	n = 0;
	write_file(good, good_size);
	for (long position = 0; position < good_size; n++)
	{
		char		flipped = good[position] ^ (n % 2 == 0 ? 0xFF : 1 << (n / 2 % 8));
		int			fd = open(PMON_STATS_FILE, O_WRONLY);

		if (fd < 0 || pwrite(fd, &flipped, 1, position) != 1 || close(fd) != 0)
			abort();
		if (!is_refused())
		{
			printf("# not refused: byte %ld changed\n", position);
			refused = false;
			write_file(good, good_size);
		}
		else
		{
			fd = open(BAD_FILE, O_WRONLY);
			if (fd < 0 || pwrite(fd, &good[position], 1, position) != 1 || close(fd) != 0)
				abort();
			rename(BAD_FILE, PMON_STATS_FILE);
		}
		position += position < header_size || position >= good_size - 100 ? 1 : stride;
	}
	printf("# %d of %ld bytes\n", n, good_size);
	ok(refused, "a file of which any byte was changed is refused and put aside");
	new_memory();
	pmon_restore_file();
	ok(restored_groups == GROUPS && warnings == 0, "the same file without the change is not");

	memcpy(contents, good, good_size);
	memset(contents + good_size, 0, 4096);
	refuses(contents, good_size + 1, "has an incorrect checksum", "one byte more");
	refuses(contents, good_size + 4096, "has an incorrect checksum", "a page of zeroes more");
	fix_checksum(contents, good_size + 8);
	refuses(contents, good_size + 8, "has an incorrect length", "more than it says, with the right checksum");
	pfree(contents);
}

static void
test_foreign(void)
{
	char	   *contents = palloc(good_size);
	uint32		format = 0;
	uint32		size;
	uint64		random = 88172645463325252;

	refuses("", 0, "is too short", "an empty file");
	refuses("x", 1, "is too short", "a file of one byte");
	memset(contents, 0, good_size);
	refuses(contents, good_size, "is not a file of pool_monitor", "a file of zeroes");
	for (long i = 0; i < good_size; i++)
	{
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		contents[i] = random >> 32;
	}
	refuses(contents, good_size, "is not a file of pool_monitor", "a random file");
	memcpy(contents, good, 8);
	refuses(contents, good_size, "has another format version", "a random file with our magic number");
	memcpy(contents, good, 40);
	refuses(contents, good_size, "has an incorrect checksum", "a random file with the start of a good one");

	for (format = 0; format < 6; format++)
	{
		if (memcmp(&format, good + 8, sizeof(format)) == 0)
			continue;
		memcpy(contents, good, good_size);
		memcpy(contents + 8, &format, sizeof(format));
		fix_checksum(contents, good_size);
		refuses(contents, good_size, "has another format version", "a file of another format");
	}
	for (int offset = 12; offset < 44; offset += sizeof(size))
	{
		memcpy(contents, good, good_size);
		memcpy(&size, contents + offset, sizeof(size));
		size += 8;
		memcpy(contents + offset, &size, sizeof(size));
		fix_checksum(contents, good_size);
		refuses(contents, good_size, "was written by another build", "a file with structs of another size");
	}
	pfree(contents);
}

static void
test_not_a_file(void)
{
	char	   *contents = palloc(good_size);
	int			fd;

	unlink(PMON_STATS_FILE);
	unlink(BAD_FILE);
	if (mkdir(PMON_STATS_FILE, 0700) != 0)
		abort();
	ok(is_refused() && strstr(message, "is not a regular file") != NULL, "a folder in its place is put aside");
	rmdir(BAD_FILE);

	new_memory();
	write_file(good, good_size);
	fd = open("backup_label", O_WRONLY | O_CREAT, 0600);
	close(fd);
	pmon_restore_file();
	ok(nothing_restored() && warnings == 0 && logs == 1 && strstr(message, "base backup") != NULL,
	   "the file in a base backup is another server's");
	unlink("backup_label");

	/* a backup that has been started once has no label any more */
	new_memory();
	pmon_restore_file();
	ok(nothing_restored() && warnings == 0, "and stays so after a crash before the first save");
	pfree(contents);
}

/*
 * Figures that can not be, in a file whose checksum is right
 */

/* All groups together, with 0, 1, ... of them */
#define OCTAVES		(GROUPS * (GROUPS - 1) / 2)

/* Where the groups and the incidents start */
static long
groups_offset(void)
{
	uint32		header_size;

	memcpy(&header_size, good + 12, sizeof(header_size));
	return header_size + PMON_POOL_STATES_BYTES + APPLICATIONS * sizeof(PmonApplication);
}

static long
incidents_offset(void)
{
	return groups_offset() + GROUPS * sizeof(PmonGroup) +
		OCTAVES * PMON_HOLD_SUB_BUCKETS * sizeof(uint64) + REJECTIONS * sizeof(PmonRejection);
}

/* Where in the header a figure stands that is nowhere else in it */
static long
header_offset(const void *figure, Size size)
{
	uint32		header_size;
	long		found = 0;

	memcpy(&header_size, good + 12, sizeof(header_size));
	for (long i = 48; i + size <= header_size; i += size)
	{
		if (memcmp(good + i, figure, size) == 0)
		{
			if (found != 0)
				abort();
			found = i;
		}
	}
	if (found == 0)
		abort();
	return found;
}

/* The good file with another figure in that place */
static void
refuses_figure(long offset, const void *figure, Size size, const char *reason, const char *fact)
{
	char	   *contents = palloc(good_size);

	memcpy(contents, good, good_size);
	memcpy(contents + offset, figure, size);
	fix_checksum(contents, good_size);
	refuses(contents, good_size, reason, fact);
	pfree(contents);
}

static void
test_figures(void)
{
	static const int64 incidents[] = {-1, PG_INT64_MIN, PG_INT32_MAX + INT64CONST(1), PG_INT64_MAX};
	static const uint32 ids[] = {PMON_ID_LIMIT, PG_UINT32_MAX};
	static const int64 odd[] = {1, -1, 4, -4};
	static const uint64 octaves[] = {0, OCTAVES - 1, OCTAVES + 1, PG_UINT64_MAX, PG_UINT64_MAX / 64 + 1 + OCTAVES};
	int64		last_incident = LAST_INCIDENT;
	uint32		last_id = 500;
	uint64		all_octaves = OCTAVES;
	uint64		mask;
	long		octaves_at = header_offset(&all_octaves, 8);
	long		last_group = groups_offset() + (GROUPS - 1) * sizeof(PmonGroup);
	const long	mask_at = last_group + offsetof(PmonGroup, counters.hold.octaves);

	for (int i = 0; i < lengthof(incidents); i++)
		refuses_figure(header_offset(&last_incident, 8), &incidents[i], 8,
					   "has a number that can not be", "a made-up number of the last incident");
	for (int i = 0; i < lengthof(ids); i++)
		refuses_figure(header_offset(&last_id, 4), &ids[i], 4,
					   "has a number that can not be", "a made-up number of the last group");

	/* what one ring has more, the other has less: the length is right */
	for (int i = 0; i < lengthof(odd); i++)
	{
		char	   *contents = palloc(good_size);
		uint64		bytes[2];

		memcpy(contents, good, good_size);
		memcpy(bytes, good + octaves_at + 8, sizeof(bytes));
		bytes[0] += odd[i];
		bytes[1] -= odd[i];
		memcpy(contents + octaves_at + 8, bytes, sizeof(bytes));
		fix_checksum(contents, good_size);
		refuses(contents, good_size, "has an incorrect length", "a history that starts within a word");
		pfree(contents);
	}

	for (int i = 0; i < lengthof(octaves); i++)
		refuses_figure(octaves_at, &octaves[i], 8, "has an incorrect length", "a made-up number of octaves");
	memcpy(&mask, good + mask_at, sizeof(mask));
	mask ^= 1;
	refuses_figure(mask_at, &mask, 8, "has hold times that can not be", "a group with an octave more");
	mask ^= 1;
	mask &= mask - 1;
	refuses_figure(mask_at, &mask, 8, "has hold times that can not be", "a group with an octave less");
	mask |= PmonOctaveBit(PMON_HOLD_OCTAVES);
	refuses_figure(mask_at, &mask, 8, "has hold times that can not be", "a group with an octave that does not exist");
}

/* Can everything that is in memory now be shown? */
static bool
is_sound(void)
{
	for (int i = 0; i < PMON_MAX_INCIDENTS; i++)
	{
		const PmonIncident *incident = &pmon_incidents->incidents[i];
		const PmonHolders *holders[] = {&incident->at_start, &incident->at_peak};

		if (incident->id == 0)
			continue;
		if (PmonIncidentAt(incident->id) != incident || incident->id > pmon_incidents->last_id ||
			strnlen(incident->top_application, NAMEDATALEN) == NAMEDATALEN)
			return false;
		for (int j = 0; j < 2; j++)
		{
			if (holders[j]->nholders < 0 || holders[j]->nholders > PMON_MAX_HOLDERS)
				return false;
			for (int k = 0; k < holders[j]->nholders; k++)
			{
				const PmonHolder *holder = &holders[j]->holders[k];

				if (holder->state < 0 || holder->state >= PMON_STATES ||
					holder->session < PMON_NONE || holder->session >= PMON_MAX_HOLDER_SESSIONS ||
					strnlen(holder->application_name, NAMEDATALEN) == NAMEDATALEN)
					return false;
			}
			for (int k = 0; k < PMON_MAX_HOLDER_SESSIONS; k++)
			{
				const PmonHolderSession *session = &holders[j]->sessions[k];

				if (session->blocks < PMON_BLOCKS_UNKNOWN || session->blocked_by < PMON_BLOCKED_BY_NOBODY ||
					strnlen(session->wait_event_type, PMON_WAIT_TYPE_BYTES) == PMON_WAIT_TYPE_BYTES ||
					strnlen(session->wait_event, NAMEDATALEN) == NAMEDATALEN ||
					strnlen(session->statement, PMON_STATEMENT_BYTES) == PMON_STATEMENT_BYTES)
					return false;
			}
		}
	}
	(void) held_samples();
	(void) held_minutes();
	(void) held_holds();
	return true;
}

/*
 * Restore such a file in a process of its own.  0: nothing bad happened; 1:
 * something is left that can not be shown; 2: it crashed.
 */
static int
made_up(const char *contents)
{
	int			status;
	pid_t		pid;

	write_file(contents, good_size);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
	{
		new_memory();
		pmon_restore_file();
		_exit(is_sound() ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

static void
test_made_up(void)
{
	static const int64 ids[] = {-1, -31, INT64CONST(-1000000), PG_INT64_MIN, 0, LAST_INCIDENT + 1, PG_INT64_MAX};
	static const int numbers[] = {-1, PMON_MAX_HOLDERS + 1, PG_INT32_MAX};
	char	   *contents = palloc(good_size);
	PmonIncident *incident = (PmonIncident *) (contents + incidents_offset());
	int			worst = 0;

	for (int i = 0; i < lengthof(ids); i++)
	{
		memcpy(contents, good, good_size);
		incident->id = ids[i];
		fix_checksum(contents, good_size);
		worst = Max(worst, made_up(contents));
	}
	is_int(worst, 0, "a made-up number of an incident does no harm");

	worst = 0;
	for (int i = 0; i < lengthof(numbers); i++)
	{
		memcpy(contents, good, good_size);
		incident->at_peak.nholders = numbers[i];
		fix_checksum(contents, good_size);
		worst = Max(worst, made_up(contents));
	}
	is_int(worst, 0, "nor does a made-up number of holders");

	worst = 0;
	for (int i = 0; i < 2; i++)
	{
		memcpy(contents, good, good_size);
		incident->at_peak.holders[3].state = i == 0 ? -1 : PMON_STATES;
		fix_checksum(contents, good_size);
		worst = Max(worst, made_up(contents));
	}
	is_int(worst, 0, "nor does a made-up state");

	worst = 0;
	for (int i = 0; i < 4; i++)
	{
		memcpy(contents, good, good_size);
		if (i < 2)
			incident->at_peak.holders[3].session = i == 0 ? PMON_NONE - 1 : PMON_MAX_HOLDER_SESSIONS;
		else if (i == 2)
			incident->at_peak.sessions[3].blocks = -2;
		else
			incident->at_peak.sessions[3].blocked_by = -2;
		fix_checksum(contents, good_size);
		worst = Max(worst, made_up(contents));
	}
	is_int(worst, 0, "nor does a made-up session of a holder");

	worst = 0;
	for (int i = 0; i < 3; i++)
	{
		PmonHolderSession *session = &incident->at_start.sessions[PMON_MAX_HOLDER_SESSIONS - 1];

		memcpy(contents, good, good_size);
		if (i == 0)
			memset(session->wait_event_type, 'x', PMON_WAIT_TYPE_BYTES);
		else if (i == 1)
			memset(session->wait_event, 'x', NAMEDATALEN);
		else
			memset(session->statement, 'x', PMON_STATEMENT_BYTES);
		fix_checksum(contents, good_size);
		worst = Max(worst, made_up(contents));
	}
	is_int(worst, 0, "nor does what it did, without an end");

	memcpy(contents, good, good_size);
	memset(incident->top_application, 'x', NAMEDATALEN);
	memset(incident->at_start.holders[0].application_name, 'x', NAMEDATALEN);
	fix_checksum(contents, good_size);
	is_int(made_up(contents), 0, "nor does a name without an end");

	/* the history's records: their sizes and counts, whatever they are */
	worst = 0;
	for (long position = incidents_offset() + INCIDENTS * sizeof(PmonIncident) + TERMINATIONS * sizeof(PmonTermination);
		 position < good_size - sizeof(pg_crc32c); position += 8 * 17)
	{
		memcpy(contents, good, good_size);
		memset(contents + position, position % 3 == 0 ? 0xFF : position % 251, 8);
		fix_checksum(contents, good_size);
		worst = Max(worst, made_up(contents));
	}
	is_int(worst, 0, "nor do made-up records of the history");
	pfree(contents);
}

/*
 * Saving that does not work
 */

static void
test_failing_saves(void)
{
	TimestampTz saved_at;

	new_memory();
	make_contents();
	add_samples(10);
	ok(pmon_save_file(), "saving works");
	saved_at = shared.saved_at;
	read_good_file();
	forget_messages();

	if (mkdir(TEMPORARY_FILE, 0700) != 0)
		abort();
	ok(!pmon_save_file() && warnings == 1 && strstr(message, "Is a directory") != NULL,
	   "where the file can not be written there is a WARNING that says why");
	ok(!pmon_save_file() && !pmon_save_file() && warnings == 1, "and no further one");
	ok(shared.save_failures == 3 && shared.saved_at == saved_at, "failures are counted, and the time of saving stays");
	rmdir(TEMPORARY_FILE);
	new_memory();
	pmon_restore_file();
	ok(restored_groups == GROUPS && held_samples().records == 10, "the last good file is still there");
	make_contents();
	ok(pmon_save_file() && logs == 1 && warnings == 0, "when it works again the log says so");
	ok(pmon_save_file() && logs == 1, "once");

	/* a device that is always full */
	forget_messages();
	if (symlink("/dev/full", TEMPORARY_FILE) != 0)
		abort();
	ok(!pmon_save_file() && warnings == 1 && strstr(message, "No space left on device") != NULL,
	   "a full disk makes a WARNING that says so");
	ok(access(TEMPORARY_FILE, F_OK) != 0, "and leaves no temporary file to fill it further");
	new_memory();
	pmon_restore_file();
	ok(restored_groups == GROUPS, "the last good file is still there");
	make_contents();
	ok(pmon_save_file() && logs == 1, "saving goes on when there is space again");

	/* it can be written, but not renamed */
	unlink(PMON_STATS_FILE);
	forget_messages();
	if (mkdir(PMON_STATS_FILE, 0700) != 0)
		abort();
	ok(!pmon_save_file() && !pmon_save_file() && warnings == 1, "where the file can not be renamed there is one WARNING");
	is_int(access(TEMPORARY_FILE, F_OK), -1, "no temporary file is left then either");
	rmdir(PMON_STATS_FILE);
	ok(pmon_save_file() && logs == 1, "and saving goes on when it can");

	pmon_remove_file();
	ok(access(PMON_STATS_FILE, F_OK) != 0 && warnings == 1, "the file can be removed");
	pmon_remove_file();
	ok(warnings == 1, "which is silent where there is none");
	is_int(locks_held, 0, "every lock was released");
}

int
main(int argc, char **argv)
{
	int			stride = argc > 1 ? atoi(argv[1]) : 499;
	char		folder[] = "/tmp/test_stats_file.XXXXXX";
	char		command[64];

	if (mkdtemp(folder) == NULL || chdir(folder) != 0 || mkdir("pg_stat", 0700) != 0)
		abort();

	test_round_trip();
	test_other_sizes();
	test_damaged(stride);
	test_foreign();
	test_not_a_file();
	test_figures();
	test_made_up();
	test_failing_saves();

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	if (chdir("/") != 0 || system(command) != 0)
		printf("# could not remove %s\n", folder);
	return tap_done();
}
