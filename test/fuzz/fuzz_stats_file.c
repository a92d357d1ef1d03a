/* links: shared/ring.c shared/history.c shared/holds.c query/history_reader.c query/holds_reader.c query/application_names.c shared/hold_counters.c shared/groups.c shared/group_snapshot.c shared/rejections.c shared/incidents.c shared/terminations.c pure/hold_histogram.c pure/long_holds.c shared/shared_state.c shared/slots.c shared/pool_states.c */
/*-------------------------------------------------------------------------
 *
 * fuzz_stats_file.c
 *	  The statistics file: whatever is in it, the server starts, and what it
 *	  restored can be used and saved again.
 *
 * The input is a file.  Most mutations leave it with the right checksum, for
 * else no change would get past that: figures are replaced by those at the
 * edge of their type, and entries are added, doubled and removed.
 *
 *	  fuzz_stats_file --write-seeds FOLDER
 *
 * writes files to start from, as the server would: their layout is that of
 * the build, so that they can not be kept with the source.
 *
 * All files that a statistics file is restored by are the real ones; they are
 * given memory whose arrays end at pages that nobody may touch.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "port/pg_crc32c.h"
#include "utils/memutils.h"

#include "query/history_reader.h"
#include "query/holds_reader.h"
#include "fuzz.h"
#include "fakes/hash_tables.h"
#include "fakes/locks.h"
#include "fakes/memory.h"
#include "fakes/messages.h"
#include "fakes/process.h"
#include "shared/slots.h"
#include "shared/start_snapshot.h"

/*
 * The header's layout is nobody else's business, so this is part of it.  Its
 * files are in memory: else it would spend its time in the file system.
 */
static int	memory_stat(const char *name, struct stat *st);
static int	memory_rename(const char *from, const char *to);
static int	memory_unlink(const char *name);

#define stat(name, st)		memory_stat(name, st)
#define fstat(file, st)		memory_stat("pg_stat/pool_monitor.stat", st)
#define rename(from, to)	memory_rename(from, to)
#define unlink(name)		memory_unlink(name)
#include "worker/stats_file.c"
#undef stat
#undef fstat
#undef rename
#undef unlink

#define MAX_GROUPS		10		/* the least that the setting takes */
#define HISTORY_SIZE	16		/* kB */
#define SESSIONS		3

/* As in settings.c */
int			pmon_max_groups = MAX_GROUPS;
int			pmon_history_size = HISTORY_SIZE;
int			pmon_holds_size = HISTORY_SIZE / 2;
int			pmon_warning_threshold = 80;
int			pmon_critical_threshold = 95;

/*
 * Memory as it is at server start
 */

/* Memory that ends where nobody may touch */
static void *
guarded(size_t size)
{
	size_t		page = sysconf(_SC_PAGESIZE);
	size_t		length = TYPEALIGN(page, size);
	char	   *memory = mmap(NULL, length + 2 * page, PROT_NONE,
							  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	require(memory != MAP_FAILED &&
			mprotect(memory + page, length, PROT_READ | PROT_WRITE) == 0, "no memory");
	return memory + page + (length - TYPEALIGN(8, size));
}

/* Give each array memory of its own. */
static void
separate_arrays(void)
{
	static PmonGroup *groups = NULL;
	static PmonHoldBuckets *buckets;
	static PmonApplication *applications;
	static PmonRejection *rejections;
	static PmonRejectionQueue *queue;
	static PmonRing *samples;
	static PmonRing *minutes;
	static PmonRing *holds;
	static PmonIncidents *incidents;
	static PmonTerminations *terminations;
	Size		ring = PmonRingBytes((Size) HISTORY_SIZE * 1024 / 2);

	if (groups == NULL)
	{
		groups = guarded(sizeof(PmonGroup) * MAX_GROUPS);
		buckets = guarded(sizeof(PmonHoldBuckets) * MAX_GROUPS);
		applications = guarded(sizeof(PmonApplication) * MAX_GROUPS);
		rejections = guarded(sizeof(PmonRejection) * PMON_MAX_REJECTIONS);
		queue = guarded(sizeof(PmonRejectionQueue));
		samples = guarded(ring);
		minutes = guarded(ring);
		holds = guarded(ring);
		incidents = guarded(sizeof(PmonIncidents));
		terminations = guarded(sizeof(PmonTerminations));
	}
	pmon_groups = groups;
	pmon_group_buckets = buckets;
	pmon_applications = applications;
	pmon_rejections = rejections;
	pmon_queue = queue;
	pmon_sample_ring = samples;
	pmon_minute_ring = minutes;
	pmon_hold_ring = holds;
	pmon_incidents = incidents;
	pmon_terminations = terminations;
}

/*
 * Fill memory that is new.  Where that is much, what no reader can reach by
 * then is left as it was before.
 */
static void
init_contents(void)
{
	separate_arrays();
	memset(pmon_groups, 0, sizeof(PmonGroup) * MAX_GROUPS);
	memset(pmon_applications, 0, sizeof(PmonApplication) * MAX_GROUPS);
	memset(pmon_rejections, 0, sizeof(PmonRejection) * PMON_MAX_REJECTIONS);
	pmon_queue->stuck_since = 0;
	pmon_queue->nrejections = 0;
	memset(pmon_group_table, 0, sizeof(PmonGroupTable));
	memset(pmon_pool_states, 0, PMON_POOL_STATES_BYTES);
	memset(pmon_incidents, 0, offsetof(PmonIncidents, incidents));
	for (int i = 0; i < PMON_MAX_INCIDENTS; i++)
		pmon_incidents->incidents[i].id = 0;
	pmon_terminations->recorded = 0;

	pmon_init_parts();
}

/* What _PG_init() asks for, once */
static void
request_memory(void)
{
	pmon_request_header();
	pmon_request_slots();
	pmon_request_groups();
	pmon_request_snapshots();
	pmon_request_pool_states();
	pmon_request_rejections();
	pmon_request_history();
	pmon_request_holds();
	pmon_request_incidents();
	pmon_request_terminations();
	pmon_request_shared_state(init_contents);
	shmem_request_hook();
}

/* The first time it is new; after that we empty it ourselves, for speed. */
void *
ShmemInitStruct(const char *name, Size size, bool *found)
{
	static char *memory = NULL;

	*found = memory != NULL;
	if (memory == NULL)
		memory = guarded(size);
	return memory;
}

static void
new_memory(void)
{
	static PmonShared as_new;

	forget_hash_tables();
	forget_messages();
	shmem_startup_hook();
	if (as_new.max_groups == 0)
	{
		as_new.memory_bytes = pmon->memory_bytes;
		as_new.started_at = pmon->started_at;
		as_new.max_backends = pmon->max_backends;
		as_new.max_groups = pmon->max_groups;
		forget_hash_tables();
		shmem_startup_hook();
	}
	*pmon = as_new;
	init_contents();
}

/*
 * The sessions that an incident finds
 */

int
pmon_status_slots(void)
{
	return SESSIONS;
}

int
pmon_ordinary_slots(void)
{
	return SESSIONS;
}

const char *
pmon_state_name(PmonState state)
{
	return "active";
}

const char *
pmon_end_reason_name(PmonEndReason reason)
{
	return "idle";
}

bool
pmon_read_session(int slot, PmonSession *session)
{
	memset(session, 0, sizeof(*session));
	session->slot = slot;
	session->pid = 1000 + slot;
	session->backend_type = B_BACKEND;
	session->state = PMON_STATE_ACTIVE;
	snprintf(session->application_name, NAMEDATALEN, "session %d", slot);
	return true;
}

void
pmon_holders_init(void)
{
}

bool
pmon_slots_exhausted(void)
{
	return true;
}

/* Nobody has been refused. */
void
pmon_take_start_snapshot(void)
{
}

const PmonSessionSnapshot *
pmon_start_snapshot(void)
{
	return NULL;
}

void
pmon_finish_start_snapshot(void)
{
}

void
pmon_want_start_snapshot(void)
{
}

void
pmon_make_holders(const PmonSessionSnapshot *snapshot, PmonHolders *holders,
				  PmonTopApplication *top)
{
	require(false, "a snapshot that there is not");
}

/* As many as there can be, each with a session that is told of */
void
pmon_collect_holders(PmonHolders *holders, PmonTopApplication *top)
{
	memset(holders, 0, sizeof(*holders));
	memset(top, 0, sizeof(*top));
	holders->taken_at = GetCurrentTimestamp();
	holders->connections = holders->nholders = SESSIONS;
	for (int i = 0; i < SESSIONS; i++)
	{
		snprintf(holders->holders[i].application_name, NAMEDATALEN, "session %d", i);
		holders->holders[i].connections = 1;
		holders->holders[i].session = i < PMON_MAX_HOLDER_SESSIONS ? i : PMON_NONE;
	}
}

bool
pmon_match_session(const PmonPools *pools, const PmonSession *session, int *pool)
{
	*pool = -1;
	return true;
}

/*
 * The files: the good one and the temporary one
 */

typedef struct MemoryFile
{
	const char *name;
	bool		exists;
	char	   *data;			/* malloc'd */
	size_t		size;
} MemoryFile;

static MemoryFile files[] = {{PMON_STATS_FILE}, {TEMPORARY_FILE}, {BAD_FILE}};

static MemoryFile *
find_file(const char *name)
{
	for (int i = 0; i < lengthof(files); i++)
	{
		if (strcmp(files[i].name, name) == 0)
			return &files[i];
	}
	return NULL;
}

static int
memory_stat(const char *name, struct stat *st)
{
	MemoryFile *file = find_file(name);

	errno = ENOENT;
	if (file == NULL || !file->exists)
		return -1;
	memset(st, 0, sizeof(*st));
	st->st_mode = S_IFREG;
	st->st_size = file->size;
	return 0;
}

static int
memory_unlink(const char *name)
{
	MemoryFile *file = find_file(name);

	errno = ENOENT;
	if (file == NULL || !file->exists)
		return -1;
	free(file->data);
	file->data = NULL;
	file->exists = false;
	return 0;
}

static int
memory_rename(const char *from, const char *to)
{
	MemoryFile *old = find_file(from);
	MemoryFile *new = find_file(to);

	require(old != NULL && new != NULL && old->exists, "renamed %s", from);
	(void) memory_unlink(to);
	new->exists = true;
	new->data = old->data;
	new->size = old->size;
	old->data = NULL;
	old->exists = false;
	return 0;
}

int
durable_rename(const char *oldfile, const char *newfile, int elevel)
{
	return memory_rename(oldfile, newfile);
}

FILE *
AllocateFile(const char *name, const char *mode)
{
	MemoryFile *file = find_file(name);

	require(file != NULL, "opened %s", name);
	if (mode[0] == 'w')
	{
		(void) memory_unlink(name);
		file->exists = true;
		return open_memstream(&file->data, &file->size);
	}
	errno = ENOENT;
	return file->exists ? fmemopen(file->data, file->size, mode) : NULL;
}

int
FreeFile(FILE *file)
{
	return fclose(file);
}

static void
put_file(const uint8 *data, size_t size)
{
	MemoryFile *file = &files[0];

	file->exists = true;
	file->data = malloc(Max(size, 1));
	file->size = size;
	memcpy(file->data, data, size);
}

static void
fix_checksum(uint8 *data, size_t size)
{
	pg_crc32c	crc;

	if (size < sizeof(crc))
		return;
	INIT_CRC32C(crc);
	COMP_CRC32C(crc, data, size - sizeof(crc));
	FIN_CRC32C(crc);
	memcpy(data + size - sizeof(crc), &crc, sizeof(crc));
}

/*
 * What must hold of shared memory
 */

static void
check_name(const char *name)
{
	require(memchr(name, '\0', NAMEDATALEN) != NULL, "a name without an end");
}

static void
check_groups(void)
{
	int			groups = 0;
	int			unused = 0;
	const PmonGroupList *lists[] = {&pmon_group_table->idle_groups, &pmon_group_table->idle_others};
	bool		in_list[MAX_GROUPS] = {0};
	int			last;

	require(pmon_group_table->ngroups > 0 && pmon_group_table->ngroups <= MAX_GROUPS &&
			pmon_group_table->napplications > 0 && pmon_group_table->napplications <= MAX_GROUPS,
			"%d groups of %d applications", pmon_group_table->ngroups, pmon_group_table->napplications);
	for (int list = 0; list < 2; list++)
	{
		int			length = 0;

		last = PMON_NONE;
		for (int i = lists[list]->first; i != PMON_NONE; i = pmon_groups[i].lru_next)
		{
			require(i > 0 && i < MAX_GROUPS && !in_list[i] &&
					pmon_groups[i].lru_prev == last, "the list of groups");
			require((strcmp(pmon_groups[i].key.application_name, PMON_OTHER_APPLICATION) == 0) == (list == 1),
					"a group is in the wrong list");
			in_list[i] = true;
			last = i;
			length++;
		}
		require(lists[list]->last == last && lists[list]->length == length,
				"the end of the list of groups");
	}

	for (int i = 0; i < MAX_GROUPS; i++)
	{
		const PmonGroup *group = &pmon_groups[i];
		const PmonApplication *application;

		if (!group->in_use)
			continue;
		groups++;
		require(group->application >= 0 && group->application < MAX_GROUPS,
				"application %d", group->application);
		application = &pmon_applications[group->application];
		require(application->in_use && application->ngroups > 0 &&
				strcmp(application->application_name, group->key.application_name) == 0,
				"a group of another application");
		require(in_list[i] == (group->connections == 0 && i != 0),
				"the list of groups does not know one");
		check_name(group->key.application_name);
		check_name(group->datname);
		check_name(group->usename);
	}
	require(groups == pmon_group_table->ngroups, "the number of groups");

	for (int i = 0; i < MAX_GROUPS; i++)
	{
		const PmonApplication *application = &pmon_applications[i];

		if (!application->in_use)
			continue;
		check_name(application->application_name);
		require(application->id > PMON_SERVER_ID && application->id < PMON_ID_LIMIT,
				"application number %u", application->id);
		unused += application->ngroups == 0;
	}
	last = PMON_NONE;
	for (int i = pmon_group_table->unused_first; i != PMON_NONE; i = pmon_applications[i].lru_next)
	{
		require(i >= 0 && i < MAX_GROUPS && pmon_applications[i].ngroups == 0 &&
				pmon_applications[i].lru_prev == last && unused-- > 0,
				"the list of applications");
		last = i;
	}
	require(unused == 0 && pmon_group_table->unused_last == last, "the list of applications");
}

static void
check_rejections(void)
{
	int			rejections = 0;

	for (int i = 0; i < PMON_MAX_REJECTIONS && rejections < pmon_queue->nrejections; i++)
	{
		const PmonRejection *rejection = &pmon_rejections[i];

		if (!rejection->in_use)
			continue;
		rejections++;
		check_name(rejection->key.datname);
		check_name(rejection->key.usename);
		check_name(rejection->key.application_name);
		require(rejection->key.reason >= 0 &&
				rejection->key.reason < PMON_REJECT_REASONS, "a reason");
	}
	require(rejections == pmon_queue->nrejections, "the number of rejections");
}

static void
check_holder_session_ends(const PmonHolderSession *session)
{
	require(memchr(session->wait_event_type, '\0', PMON_WAIT_TYPE_BYTES) != NULL &&
			memchr(session->wait_event, '\0', NAMEDATALEN) != NULL &&
			memchr(session->tags, '\0', PMON_TAGS_LEN) != NULL &&
			memchr(session->statement, '\0', PMON_STATEMENT_BYTES) != NULL,
			"a text without an end");
	require(session->blocks >= PMON_BLOCKS_UNKNOWN &&
			session->blocked_by >= PMON_BLOCKED_BY_NOBODY, "a number of sessions");
}

static void
check_incidents(void)
{
	require(pmon_incidents->last_id >= 0 &&
			pmon_incidents->last_id <= PG_INT64_MAX - 1000000,
			"the last incident's number, %lld", (long long) pmon_incidents->last_id);
	for (int i = 0; i < PMON_MAX_INCIDENTS; i++)
	{
		const PmonIncident *incident = &pmon_incidents->incidents[i];
		const PmonHolders *holders[] = {&incident->at_start, &incident->at_peak};

		if (incident->id == 0)
			continue;
		require(incident->id > 0 && incident->id <= pmon_incidents->last_id &&
				PmonIncidentAt(incident->id) == incident, "an incident's place");
		check_name(incident->top_application);
		for (int j = 0; j < 2; j++)
		{
			require(holders[j]->nholders >= 0 &&
					holders[j]->nholders <= PMON_MAX_HOLDERS, "holders");
			for (int k = 0; k < holders[j]->nholders; k++)
			{
				check_name(holders[j]->holders[k].application_name);
				require(holders[j]->holders[k].state >= 0 &&
						holders[j]->holders[k].state < PMON_STATES, "a state");
				require(holders[j]->holders[k].session >= PMON_NONE &&
						holders[j]->holders[k].session < PMON_MAX_HOLDER_SESSIONS, "a holder's session");
			}
			for (int k = 0; k < PMON_MAX_HOLDER_SESSIONS; k++)
				check_holder_session_ends(&holders[j]->sessions[k]);
		}
	}
}

static void
check_terminations(void)
{
	int			n;
	PmonTermination *records = pmon_copy_terminations(&n);

	for (int i = 0; i < n; i++)
	{
		check_name(records[i].application_name);
		check_name(records[i].pool);
		require(memchr(records[i].detail, '\0', sizeof(records[i].detail)) != NULL,
				"a detail without an end");
		require(records[i].state >= 0 && records[i].state < PMON_STATES &&
				records[i].reason >= 0 && records[i].reason <= PMON_END_REQUESTED,
				"a termination that can not be shown");
		require(pmon_outcome_names[records[i].outcome] != NULL, "no outcome");
	}
	pfree(records);
}

static void
check_pools(void)
{
	for (int i = 0; i < PMON_MAX_POOLS; i++)
		check_name(pmon_pool_states[i].name);
}

static void
check_all(void)
{
	require(locks_held == 0, "%d locks are held", locks_held);
	check_groups();
	check_rejections();
	check_incidents();
	check_terminations();
	check_pools();
}

/*
 * Use
 */

/* Read all that SQL functions read, the history in one of several ways. */
static void
read_all(int variant)
{
	static const int64 steps[] = {USECS_PER_SEC, USECS_PER_MINUTE, USECS_PER_DAY, 7};
	PmonGroupSnapshot *snapshot = pmon_take_snapshot(true);
	TimestampTz oldest;
	TimestampTz newest;

	for (int i = 0; i < snapshot->ngroups; i++)
	{
		const PmonHoldTotals *hold = &snapshot->groups[i].counters.hold;
		double		percentile = pmon_hold_percentile(&snapshot->histograms[i], 0.95, hold->time_max);

		require(percentile >= -1 && percentile <= Max((double) hold->time_max, -1),
				"a percentile of %g", percentile);
	}
	(void) pmon_copy_incident(pmon_last_incident());
	pmon_history_range(&oldest, &newest);
	(void) pmon_default_step(0, newest);
	(void) pmon_read_history(variant % 2 == 0 ? 0 : DT_NOBEGIN,
							 variant % 2 == 0 ? newest : DT_NOEND,
							 steps[variant / 2 % lengthof(steps)], true);
	(void) pmon_read_holds(variant % 2 == 0 ? 0 : DT_NOBEGIN, variant % 2 == 0 ? newest : DT_NOEND);
}

/* Let sessions come and go, logins be refused, and an incident begin and end. */
static void
go_on(TimestampTz now)
{
	static const PmonClient client = {PMON_CLIENT_LOCAL};
	int			places[SESSIONS];

	LWLockAcquire(PmonLock(), LW_EXCLUSIVE);
	for (int i = 0; i < MAX_GROUPS + 2; i++)
	{
		PmonGroupKey key;
		char		name[NAMEDATALEN];

		snprintf(name, sizeof(name), "new %d", i);
		pmon_set_group_key(&key, 1, i % 2, name);
		places[i % SESSIONS] = pmon_enter_group(&key, "d", "u", &client, now + i);
		require(places[i % SESSIONS] >= 0 && places[i % SESSIONS] < MAX_GROUPS,
				"group %d", places[i % SESSIONS]);
		pmon_groups[places[i % SESSIONS]].counters.sessions++;
		pmon_leave_group(places[i % SESSIONS], now + i);
	}
	LWLockRelease(PmonLock());

	pg_atomic_fetch_add_u64(&pmon_queue->ever[0], 1);
	pmon_check_rejections();
	require(pmon_incidents->current > 0, "no incident");
	pmon_check_utilization(SESSIONS);
	LWLockAcquire(PmonLock(), LW_EXCLUSIVE);
	pmon_reset_groups("new 1", now);
	pmon_reset_rejections("api");
	LWLockRelease(PmonLock());
}

/* Does a second restart find what the first one had? */
static void
check_restart(void)
{
	PmonGroupSnapshot *before = pmon_take_snapshot(true);
	PmonGroupSnapshot *after;
	int64		last_incident = pmon_last_incident();
	uint64		sample_bytes = ring_bytes(pmon_sample_ring);
	uint64		minute_bytes = ring_bytes(pmon_minute_ring);
	uint64		hold_bytes = ring_bytes(pmon_hold_ring);

	require(pmon_save_file() && warnings == 0, "not saved");
	new_memory();
	pmon_restore_file();
	require(warnings == 0, "refused after it was saved: %s", message);
	check_all();

	after = pmon_take_snapshot(true);
	require(after->ngroups == before->ngroups &&
			after->napplications == before->napplications &&
			after->nrejections == before->nrejections,
			"%d groups, %d applications, %d rejections became %d, %d, %d",
			before->ngroups, before->napplications, before->nrejections,
			after->ngroups, after->napplications, after->nrejections);
	for (int i = 0; i < before->ngroups; i++)
	{
		bool		found = false;

		for (int j = 0; j < after->ngroups; j++)
			found = found ||
				(memcmp(&before->groups[i].key, &after->groups[j].key, sizeof(PmonGroupKey)) == 0 &&
				 memcmp(&before->groups[i].counters, &after->groups[j].counters, sizeof(PmonCounters)) == 0 &&
				 memcmp(before->histograms[i].counts, after->histograms[j].counts,
						sizeof(uint64) * pmon_histogram_length(before->histograms[i].octaves)) == 0);
		require(found, "a group's counters have changed");
	}
	require(pmon_last_incident() == last_incident, "incidents have changed");
	require(ring_bytes(pmon_sample_ring) == sample_bytes &&
			ring_bytes(pmon_minute_ring) == minute_bytes &&
			ring_bytes(pmon_hold_ring) == hold_bytes, "the history has changed");
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	/* the checksum is as good as a random number */
	int			variant = size > 0 ? data[size - 1] : 0;

	put_file(data, size);
	new_memory();
	pmon_restore_file();
	check_all();
	require(warnings <= 1, "%d warnings", warnings);
	if (warnings == 1)
		require(pmon_group_table->ngroups == 1 && pmon_queue->nrejections == 0 &&
				pmon_incidents->last_id == 0 && pmon_terminations->recorded == 0 &&
				pmon->restored_from == 0, "refused, and restored all the same");
	else
	{
		read_all(variant);
		go_on(pmon->restored_from);
		check_all();
		/* the last number of an incident that is believed was one too few */
		if (variant < 64 && pmon_last_incident() <= PG_INT32_MAX)
			check_restart();
	}

	/* what is left would make libFuzzer look for leaks, which takes its time */
	for (int i = 0; i < lengthof(files); i++)
		(void) memory_unlink(files[i].name);
	forget_hash_tables();
	free_all();
	return 0;
}

/*
 * Mutations
 */

static uint64 random_state;

static uint64
draw(uint64 n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return n > 0 ? (random_state >> 11) % n : 0;
}

extern size_t LLVMFuzzerMutate(uint8 *data, size_t size, size_t max_size);
extern size_t LLVMFuzzerCustomMutator(uint8 *data, size_t size, size_t max_size,
									  unsigned int seed);

/* The parts of a file that are counted in its header, in their order */
typedef struct Part
{
	uint64		count;
	size_t		entry;			/* bytes of each */
	size_t		start;
} Part;

#define PARTS	8
#define OCTAVES	2				/* the part of that number */

static const size_t entry_sizes[PARTS] = {
	sizeof(PmonApplication), sizeof(PmonGroup), OCTAVE_BYTES, sizeof(PmonRejection),
	sizeof(PmonIncident), sizeof(PmonTermination), 1, 1
};

/* All but the last two are numbers of entries */
static uint64
get_count(const FileHeader *header, int part)
{
	const uint64 counts[PARTS] = {
		header->napplications, header->ngroups, header->noctaves, header->nrejections,
		header->nincidents, header->nterminations,
		header->sample_bytes, header->minute_bytes
	};

	return counts[part];
}

/* Returns false if the file is not what its header says. */
static bool
find_parts(const uint8 *data, size_t size, Part *parts)
{
	FileHeader	header;
	size_t		start = sizeof(FileHeader) + PMON_POOL_STATES_BYTES;

	if (size < start + sizeof(pg_crc32c))
		return false;
	memcpy(&header, data, sizeof(header));
	for (int i = 0; i < PARTS; i++)
	{
		parts[i].count = get_count(&header, i);
		parts[i].entry = entry_sizes[i];
		parts[i].start = start;
		if (parts[i].count > (size - start) / parts[i].entry)
			return false;
		start += parts[i].count * parts[i].entry;
	}
	return start + sizeof(pg_crc32c) == size;
}

static void
set_count(uint8 *data, int part, uint64 count)
{
	FileHeader	header;
	uint32	   *counts[PARTS] = {
		&header.napplications, &header.ngroups, NULL, &header.nrejections,
		&header.nincidents, &header.nterminations
	};
	uint64	   *long_counts[PARTS] = {
		[OCTAVES] = &header.noctaves,
		[PARTS - 2] = &header.sample_bytes,
		[PARTS - 1] = &header.minute_bytes
	};

	memcpy(&header, data, sizeof(header));
	if (counts[part] != NULL)
		*counts[part] = (uint32) count;
	else
		*long_counts[part] = count;
	memcpy(data, &header, sizeof(header));
}

/* Remove or double an entry, or add an empty one. */
static size_t
change_part(uint8 *data, size_t size, size_t max_size)
{
	Part		parts[PARTS];
	int			i = (int) draw(PARTS);
	uint64		place;
	size_t		length;
	uint8	   *at;

	if (!find_parts(data, size, parts))
		return size;
	length = parts[i].entry;
	if (length == 1)
		length = draw(8) == 0 ? 1 + draw(16) : 8 * (1 + draw(12));
	place = draw(parts[i].count + 1);
	at = data + parts[i].start + place * parts[i].entry;

	if (draw(3) == 0)
	{
		if ((parts[i].count - place) * parts[i].entry < length)
			return size;
		memmove(at, at + length, data + size - (at + length));
		set_count(data, i, parts[i].count - length / parts[i].entry);
		return size - length;
	}
	if (size + length > max_size)
		return size;
	memmove(at + length, at, data + size - at);
	if (place == 0 || draw(2) == 0)
		memset(at, 0, length);
	else
		memmove(at, at - Min(length, place * parts[i].entry),
				Min(length, place * parts[i].entry));
	if (parts[i].entry == 1 && length >= sizeof(PmonRecord))
	{
		PmonRecord	record = {length, draw(4)};

		memcpy(at, &record, sizeof(record));
	}
	set_count(data, i, parts[i].count + length / parts[i].entry);
	return size + length;
}

/* Put a figure at the edge of its type, or near what is there now. */
static void
change_figure(uint8 *data, size_t size)
{
	static const int64 edges[] = {
		0, 1, -1, 2, 7, 8, 64, 200, 201, 1000, PG_INT16_MAX, PG_INT32_MAX,
		PG_INT32_MIN, PG_UINT32_MAX, PG_INT64_MAX, PG_INT64_MIN, PMON_ID_LIMIT,
		INT64CONST(0x7FF8000000000000), INT64CONST(0x7FF0000000000000)
	};
	size_t		width = draw(2) == 0 ? 4 : 8;
	size_t		end = draw(3) == 0 ? Min(size, sizeof(FileHeader)) : size;
	size_t		place;
	int64		value = 0;

	if (end < 16)
		return;
	place = draw((end - width) / 4 + 1) * 4;
	memcpy(&value, data + place, width);
	if (draw(3) == 0)
		value += (int64) draw(5) - 2;
	else
		value = edges[draw(lengthof(edges))];
	memcpy(data + place, &value, width);
}

/* Let libFuzzer change some bytes, or fill them with a name that never ends. */
static void
change_bytes(uint8 *data, size_t size)
{
	size_t		length = Min(size, 1 + draw(NAMEDATALEN + 8));
	size_t		place = draw(size - length + 1);

	if (draw(4) == 0)
		memset(data + place, 'x', length);
	else
		(void) LLVMFuzzerMutate(data + place, length, length);
}

size_t
LLVMFuzzerCustomMutator(uint8 *data, size_t size, size_t max_size,
						unsigned int seed)
{
	random_state = seed * UINT64CONST(0x9E3779B97F4A7C15) + 1;
	if (size < sizeof(FileHeader) || draw(50) == 0)
		return LLVMFuzzerMutate(data, size, max_size);

	for (int n = 1 + (int) draw(4); n > 0; n--)
	{
		switch (draw(4))
		{
			case 0:
				size = change_part(data, size, max_size);
				break;
			case 1:
			case 2:
				change_figure(data, size);
				break;
			case 3:
				change_bytes(data, size);
				break;
		}
	}
	if (draw(50) != 0)
		fix_checksum(data, size);
	return size;
}

/*
 * Files to start from
 */

static void
save_seed(const char *folder, const char *name)
{
	char		path[MAXPGPATH];
	FILE	   *file;

	require(pmon_save_file(), "a seed is not saved: %s", message);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "wb");
	require(file != NULL && fwrite(files[0].data, files[0].size, 1, file) == 1 &&
			fclose(file) == 0, "could not write %s", path);
}

static void
make_groups(int n)
{
	static const PmonClient client = {PMON_CLIENT_INET4, {10, 1, 2, 3}};

	LWLockAcquire(PmonLock(), LW_EXCLUSIVE);
	for (int i = 0; i < n; i++)
	{
		PmonGroupKey key;
		char		name[NAMEDATALEN];
		int			place;

		snprintf(name, sizeof(name), "api-%d", i / 2);
		pmon_set_group_key(&key, 5, 10 + i, name);
		place = pmon_enter_group(&key, "shop", "bob", &client, 1000 + i);
		pmon_groups[place].counters.hold.transactions = i;
		pmon_groups[place].counters.hold.time_sum = 1000 * i;
		pmon_groups[place].counters.hold.time_max = 1000;
		pmon_groups[place].counters.hold.octaves |= PmonOctaveBit(PmonHoldOctave(9 * i));
		pmon_group_buckets[place][9 * i] = i;
		pmon_leave_group(place, 2000 + i);
	}
	LWLockRelease(PmonLock());
	pmon_raise_peak(&pmon_pool_states[0].peak_checked_out, 3, 1000);
	snprintf(pmon_pool_states[0].name, NAMEDATALEN, "workers");
}

static void
make_records(void)
{
	PmonRejection rejection = {{"shop", "bob", "api", PMON_REJECT_ROLE_LIMIT}, true, 7, 1000};
	PmonTermination termination = {.pid = 4711,.state = PMON_STATE_IDLE,.detail = "none"};

	pmon_restore_rejection(&rejection);
	pmon_restore_termination(&termination);
	termination.outcome = PMON_OUTCOME_SPARED;
	pmon_restore_termination(&termination);
	pg_atomic_write_u64(&pmon_queue->ever[0], 7);
}

/* A minute of one hold, with tags and a statement */
static void
make_holds(PmonHoldsRecord *minute, int i)
{
	PmonHold   *hold = (PmonHold *) minute->words;

	hold->size = PmonHoldSize(8 + i % 5);
	hold->state = PMON_STATE_ACTIVE;
	hold->tags_length = 8;
	hold->statement_length = i % 5;
	hold->application = 2;
	hold->samples = i;
	memcpy(hold->texts, "route=a\nSELE", 8 + i % 5);
	minute->at = USECS_PER_DAY + i * USECS_PER_MINUTE;
	minute->samples = 60;
	minute->record.count = hold->size / sizeof(uint64);
	minute->record.size = offsetof(PmonHoldsRecord, words) + hold->size;
}

static void
make_history(int n)
{
	union
	{
		PmonSampleRecord sample;
		PmonMinuteRecord minute;
		PmonHoldsRecord holds;
		char		bytes[512];
	}			record;

	for (int i = 0; i < n; i++)
	{
		memset(&record, 0, sizeof(record));
		record.sample.record.count = i % 3;
		record.sample.record.size = PmonSampleRecordSize(i % 3);
		record.sample.at = USECS_PER_DAY + i * USECS_PER_SEC;
		record.sample.entries[0].id = 2;
		pmon_ring_append(pmon_sample_ring, &record.sample.record);

		memset(&record, 0, sizeof(record));
		record.minute.record.count = i % 3;
		record.minute.record.size = PmonMinuteRecordSize(i % 3);
		record.minute.at = USECS_PER_DAY + (i - n) * USECS_PER_MINUTE;
		record.minute.samples = 60;
		record.minute.entries[0].id = 2;
		record.minute.entries[0].maxima[PMON_CONNECTIONS] = 1;
		pmon_ring_append(pmon_minute_ring, &record.minute.record);

		memset(&record, 0, sizeof(record));
		make_holds(&record.holds, i);
		pmon_ring_append(pmon_hold_ring, &record.holds.record);
	}
}

static void
write_seeds(const char *folder)
{
	new_memory();
	save_seed(folder, "empty");
	make_groups(4);
	save_seed(folder, "groups");
	make_records();
	save_seed(folder, "records");
	make_history(6);
	save_seed(folder, "history");
	make_groups(MAX_GROUPS + 4);
	make_history(300);
	save_seed(folder, "full");

	new_memory();
	pg_atomic_write_u64(&pmon_queue->ever[0], 7);
	pmon_check_rejections();
	save_seed(folder, "incident");
}

extern int	LLVMFuzzerInitialize(int *argc, char ***argv);

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	request_memory();
	pmon_incidents_init();
	keep_all();

	if (*argc == 3 && strcmp((*argv)[1], "--write-seeds") == 0)
	{
		write_seeds((*argv)[2]);
		exit(0);
	}
	return 0;
}
