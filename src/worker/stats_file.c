/*-------------------------------------------------------------------------
 *
 * stats_file.c
 *	  Saves statistics, history and incidents to a file, and restores them.
 *
 * The file, in the byte order and the alignment of the machine:
 *
 *		FileHeader		magic number, version, sizes of the structs, and the
 *						numbers of what follows
 *		PmonPoolState[]	always PMON_MAX_POOLS
 *		PmonApplication[], PmonGroup[], buckets, PmonRejection[]
 *						as pmon_take_snapshot() copies them; the buckets of all
 *						groups, packed, in the groups' order
 *		PmonIncident[], PmonTermination[]
 *		samples, minutes
 *						the records of the three rings, the oldest first
 *		pg_crc32c		of all before it
 *
 * It is written under another name, and renamed when it is durable, so a
 * crash at any moment leaves a whole file.  It is read whole, and nothing of
 * it is believed unless the CRC is right; sizes and numbers are checked even
 * then.  A file that was made with other settings is used as far as there is
 * room.  A file that came with a base backup tells of another server, and is
 * removed: after a crash, nothing would tell any more where it is from.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "port/pg_bitutils.h"
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

#define TEMPORARY_FILE	PMON_STATS_FILE ".tmp"
#define BAD_FILE		PMON_STATS_FILE ".bad"

#define MAGIC			UINT64CONST(0x504D4F4E53544154) /* "PMONSTAT" */
#define FORMAT			6

typedef struct FileHeader
{
	uint64		magic;
	uint32		format;
	uint32		header_size;
	uint32		application_size;
	uint32		group_size;
	uint32		rejection_size;
	uint32		incident_size;
	uint32		sample_size;
	uint32		minute_size;
	uint32		termination_size;
	uint32		pool_size;

	TimestampTz saved_at;
	TimestampTz stats_reset;
	PmonPeak	peak_connections;
	uint64		groups_evicted;
	uint64		dropped[PMON_REJECT_REASONS];
	TimestampTz last_rejected_at;
	uint64		terminated;
	uint64		unsampled_rejected;
	uint64		unsampled_terminated;
	int64		last_incident;
	uint32		last_id;

	uint32		napplications;
	uint32		ngroups;
	uint32		nrejections;
	uint32		nincidents;
	uint32		nterminations;
	uint64		noctaves;		/* of all groups */
	uint64		sample_bytes;
	uint64		minute_bytes;
	uint64		hold_bytes;
} FileHeader;

/* The bytes of the buckets in an octave */
#define OCTAVE_BYTES	(sizeof(uint64) * PMON_HOLD_SUB_BUCKETS)

/* A file being written */
typedef struct Writer
{
	FILE	   *file;
	pg_crc32c	crc;
	bool		failed;			/* errno says why */
} Writer;

static void
put(Writer *writer, const void *data, Size size)
{
	if (writer->failed || size == 0)
		return;
	COMP_CRC32C(writer->crc, data, size);
	writer->failed = fwrite(data, size, 1, writer->file) != 1;
}

/* What a file of this build says of itself */
static void
init_header(FileHeader *header)
{
	memset(header, 0, sizeof(*header));
	header->magic = MAGIC;
	header->format = FORMAT;
	header->header_size = sizeof(FileHeader);
	header->application_size = sizeof(PmonApplication);
	header->group_size = sizeof(PmonGroup);
	header->rejection_size = sizeof(PmonRejection);
	header->incident_size = sizeof(PmonIncident);
	header->sample_size = sizeof(PmonSampleEntry);
	header->minute_size = sizeof(PmonMinuteEntry);
	header->termination_size = sizeof(PmonTermination);
	header->pool_size = sizeof(PmonPoolState);
}

static void
fill_header(FileHeader *header, const PmonGroupSnapshot *snapshot,
			PmonPoolState *pools)
{
	init_header(header);
	header->saved_at = GetCurrentTimestamp();
	header->napplications = snapshot->napplications;
	header->ngroups = snapshot->ngroups;
	for (int i = 0; i < snapshot->ngroups; i++)
		header->noctaves += pg_popcount64(snapshot->groups[i].counters.hold.octaves);
	header->nrejections = snapshot->nrejections;

	LWLockAcquire(PmonLock(), LW_SHARED);
	header->stats_reset = pmon->stats_reset;
	header->peak_connections = pmon->peak_connections;
	header->groups_evicted = pmon_group_table->groups_evicted;
	header->last_id = pmon_group_table->last_id;
	memcpy(pools, pmon_pool_states, PMON_POOL_STATES_BYTES);
	LWLockRelease(PmonLock());

	/* what is not under its name yet will be under none */
	memcpy(header->dropped, snapshot->rejected, sizeof(header->dropped));
	for (int i = 0; i < snapshot->nrejections; i++)
		header->dropped[snapshot->rejections[i].key.reason] -= snapshot->rejections[i].rejected;
	header->last_rejected_at = pmon_last_rejected_at();
	header->terminated = pg_atomic_read_u64(&pmon->terminated);
	header->unsampled_rejected = PmonUnsampled(pmon_all_rejected_ever(), pmon->sampled_rejected);
	header->unsampled_terminated =
		PmonUnsampled(pg_atomic_read_u64(&pmon->terminated_ever),
					  pmon->sampled_terminated);
	header->last_incident = pmon_last_incident();
}

/* The bytes of the records that a ring has now */
static uint64
ring_bytes(PmonRing *ring)
{
	PmonRingReader reader;
	PmonRecord *record;
	uint64		bytes = 0;

	pmon_ring_begin_read(&reader, ring);
	while ((record = pmon_ring_next(&reader, sizeof(PmonRecord), 0)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		bytes += record->size;
	}
	pfree(reader.buffer);
	return bytes;
}

/* Nobody else writes to the ring, so these are the records counted before. */
static void
put_ring(Writer *writer, PmonRing *ring, uint64 bytes)
{
	PmonRingReader reader;
	PmonRecord *record;

	pmon_ring_begin_read(&reader, ring);
	while (bytes > 0 &&
		   (record = pmon_ring_next(&reader, sizeof(PmonRecord), 0)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		Assert(record->size <= bytes);
		put(writer, record, record->size);
		bytes -= record->size;
	}
	pfree(reader.buffer);

	/* a reset came between: fill up with what no reader takes */
	while (bytes > 0)
	{
		PmonRecord	empty = {sizeof(PmonRecord), 0};

		put(writer, &empty, sizeof(empty));
		bytes -= sizeof(empty);
	}
}

/* Copies of the incidents that are kept, the oldest first; palloc'd */
static PmonIncident **
copy_incidents(int64 last, uint32 *n)
{
	PmonIncident **incidents = palloc(sizeof(PmonIncident *) * PMON_MAX_INCIDENTS);

	*n = 0;
	for (int64 id = Max(last - PMON_MAX_INCIDENTS + 1, 1); id <= last; id++)
	{
		PmonIncident *incident = pmon_copy_incident(id);

		if (incident != NULL)
			incidents[(*n)++] = incident;
	}
	return incidents;
}

/* Write all of it.  Returns when the figures were taken. */
static TimestampTz
write_contents(Writer *writer)
{
	PmonGroupSnapshot *snapshot = pmon_take_snapshot(true);
	PmonPoolState *pools;
	PmonIncident **incidents;
	PmonTermination *terminations;
	int			nterminations;
	FileHeader	header;
	pg_crc32c	crc;

	pools = palloc(PMON_POOL_STATES_BYTES);
	fill_header(&header, snapshot, pools);
	incidents = copy_incidents(header.last_incident, &header.nincidents);
	terminations = pmon_copy_terminations(&nterminations);
	header.nterminations = nterminations;
	header.sample_bytes = ring_bytes(pmon_sample_ring);
	header.minute_bytes = ring_bytes(pmon_minute_ring);
	header.hold_bytes = ring_bytes(pmon_hold_ring);

	INIT_CRC32C(writer->crc);
	put(writer, &header, sizeof(header));
	put(writer, pools, PMON_POOL_STATES_BYTES);
	put(writer, snapshot->applications, sizeof(PmonApplication) * header.napplications);
	put(writer, snapshot->groups, sizeof(PmonGroup) * header.ngroups);
	for (int i = 0; i < header.ngroups; i++)
		put(writer, snapshot->histograms[i].counts,
			sizeof(uint64) * pmon_histogram_length(snapshot->histograms[i].octaves));
	put(writer, snapshot->rejections, sizeof(PmonRejection) * header.nrejections);
	for (int i = 0; i < header.nincidents; i++)
		put(writer, incidents[i], sizeof(PmonIncident));
	put(writer, terminations, sizeof(PmonTermination) * header.nterminations);
	put_ring(writer, pmon_sample_ring, header.sample_bytes);
	put_ring(writer, pmon_minute_ring, header.minute_bytes);
	put_ring(writer, pmon_hold_ring, header.hold_bytes);

	crc = writer->crc;
	FIN_CRC32C(crc);
	put(writer, &crc, sizeof(crc));
	return header.saved_at;
}

/* Write the file under its temporary name.  Returns false if that failed. */
static bool
write_temporary_file(TimestampTz *saved_at)
{
	Writer		writer = {0};

	writer.file = AllocateFile(TEMPORARY_FILE, PG_BINARY_W);
	if (writer.file == NULL)
		return false;
	*saved_at = write_contents(&writer);
	if (FreeFile(writer.file) != 0)
		writer.failed = true;
	return !writer.failed;
}

bool
pmon_save_file(void)
{
	static bool failing = false;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "pool_monitor save",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext oldcontext = MemoryContextSwitchTo(context);
	TimestampTz saved_at = 0;
	bool		saved = write_temporary_file(&saved_at);

	if (!saved && !failing)
		ereport(WARNING,
				(errcode_for_file_access(),
				 errmsg("could not save statistics to file \"%s\": %m",
						TEMPORARY_FILE),
				 errdetail("Statistics are kept in memory; saving will be tried again.")));
	if (saved)
		saved = durable_rename(TEMPORARY_FILE, PMON_STATS_FILE,
							   failing ? DEBUG1 : WARNING) == 0;
	if (!saved)
		unlink(TEMPORARY_FILE);

	if (saved && failing)
		ereport(LOG,
				(errmsg("statistics are saved to file \"%s\" again",
						PMON_STATS_FILE)));
	failing = !saved;

	LWLockAcquire(PmonLock(), LW_EXCLUSIVE);
	if (saved)
		pmon->saved_at = saved_at;
	else
		pmon->save_failures++;
	LWLockRelease(PmonLock());

	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);
	return saved;
}

void
pmon_remove_file(void)
{
	if (unlink(PMON_STATS_FILE) != 0 && errno != ENOENT)
		ereport(WARNING,
				(errcode_for_file_access(),
				 errmsg("could not remove file \"%s\": %m", PMON_STATS_FILE)));
}

/* A file being read: what is left of it */
typedef struct Reader
{
	const char *data;
	uint64		left;
} Reader;

/* The next bytes, of which there must be as many */
static const void *
take(Reader *reader, uint64 size)
{
	const void *taken = reader->data;

	Assert(size <= reader->left);
	reader->data += size;
	reader->left -= size;
	return taken;
}

/*
 * Read the whole file.  Returns NULL, with *problem set unless there simply
 * is no file, if that is not possible.
 */
static char *
read_whole_file(uint64 *size, const char **problem)
{
	FILE	   *file;
	struct stat st;
	char	   *data = NULL;

	/* to open something else, a FIFO for example, could take for ever */
	if (stat(PMON_STATS_FILE, &st) == 0 && !S_ISREG(st.st_mode))
	{
		*problem = "is not a regular file";
		return NULL;
	}

	file = AllocateFile(PMON_STATS_FILE, PG_BINARY_R);
	if (file == NULL)
	{
		if (errno != ENOENT)
			*problem = psprintf("could not be opened: %m");
		return NULL;
	}

	if (fstat(fileno(file), &st) != 0)
		*problem = psprintf("could not be read: %m");
	else if (st.st_size < sizeof(FileHeader) + sizeof(pg_crc32c))
		*problem = "is too short";
	else
	{
		*size = st.st_size;
		data = MemoryContextAllocExtended(CurrentMemoryContext, *size,
										  MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
		if (data == NULL)
			*problem = "does not fit in memory";
		else if (fread(data, *size, 1, file) != 1)
		{
			*problem = "could not be read";
			pfree(data);
			data = NULL;
		}
	}
	FreeFile(file);
	return data;
}

/*
 * Do groups have as many octaves as there are in the file, and none that can
 * not be?
 */
static bool
check_octaves(const FileHeader *header, const PmonGroup *groups)
{
	uint64		octaves = 0;

	for (int i = 0; i < header->ngroups; i++)
	{
		if (groups[i].counters.hold.octaves & ~PMON_ALL_OCTAVES)
			return false;
		octaves += pg_popcount64(groups[i].counters.hold.octaves);
	}
	return octaves == header->noctaves;
}

/* Why a file can not be used, or NULL if it can */
static const char *
check_file(const char *data, uint64 size)
{
	const FileHeader *header = (const FileHeader *) data;
	FileHeader	expected;
	uint64		length = sizeof(FileHeader) + PMON_POOL_STATES_BYTES;
	uint64		groups_at;
	pg_crc32c	crc;
	pg_crc32c	stored;

	if (header->magic != MAGIC)
		return "is not a file of pool_monitor";
	if (header->format != FORMAT)
		return "has another format version";

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, data, size - sizeof(crc));
	FIN_CRC32C(crc);
	memcpy(&stored, data + size - sizeof(crc), sizeof(crc));
	if (!EQ_CRC32C(crc, stored))
		return "has an incorrect checksum";

	init_header(&expected);
	if (memcmp(header, &expected, offsetof(FileHeader, saved_at)) != 0)
		return "was written by another build";

	/* none of these can overflow: each factor is of 32 bits or checked */
	length += (uint64) header->napplications * sizeof(PmonApplication);
	groups_at = length;
	length += (uint64) header->ngroups * sizeof(PmonGroup);
	length += header->noctaves * OCTAVE_BYTES;
	length += (uint64) header->nrejections * sizeof(PmonRejection);
	length += (uint64) header->nincidents * sizeof(PmonIncident);
	length += (uint64) header->nterminations * sizeof(PmonTermination);
	if (header->noctaves > size || header->sample_bytes > size ||
		header->minute_bytes > size || header->hold_bytes > size ||
		header->sample_bytes % 8 != 0 || header->minute_bytes % 8 != 0 ||
		header->hold_bytes % 8 != 0 ||
		length + header->sample_bytes + header->minute_bytes +
		header->hold_bytes + sizeof(crc) != size)
		return "has an incorrect length";
	if (!check_octaves(header, (const PmonGroup *) (data + groups_at)))
		return "has hold times that can not be";

	/* what is counted on from there must not overflow */
	if (header->last_incident < 0 || header->last_incident > PG_INT32_MAX ||
		header->last_id >= PMON_ID_LIMIT)
		return "has a number that can not be";
	return NULL;
}

static void
restore_server(const FileHeader *header)
{
	pmon->restored_from = header->saved_at;
	pmon->saved_at = header->saved_at;
	pmon->stats_reset = header->stats_reset;
	pmon->peak_connections = header->peak_connections;
	pmon_group_table->groups_evicted = header->groups_evicted;
	pmon_group_table->last_id = Max(pmon_group_table->last_id, header->last_id);
	for (int i = 0; i < PMON_REJECT_REASONS; i++)
		pg_atomic_write_u64(&pmon_queue->dropped[i], header->dropped[i]);
	pg_atomic_write_u64(&pmon_queue->last_at, (uint64) header->last_rejected_at);
	pg_atomic_write_u64(&pmon->terminated, header->terminated);

	/* what no sample has seen yet is for the first one to come */
	pg_atomic_write_u64(&pmon_queue->ever[0], header->unsampled_rejected);
	pg_atomic_write_u64(&pmon->terminated_ever, header->unsampled_terminated);
}

/* Of the pools, their peaks and what was counted; the rest is of the moment. */
static void
restore_pools(const PmonPoolState *saved)
{
	for (int i = 0; i < PMON_MAX_POOLS; i++)
	{
		memcpy(pmon_pool_states[i].name, saved[i].name, NAMEDATALEN - 1);
		pmon_pool_states[i].peak_checked_out = saved[i].peak_checked_out;
		pmon_pool_states[i].ended_checked_out = saved[i].ended_checked_out;
		pmon_pool_states[i].ended_noted = saved[i].ended_checked_out;
		pmon_pool_states[i].last_exhausted_at = saved[i].last_exhausted_at;
	}
}

/* A group in the file, and its histogram */
typedef struct SavedGroup
{
	const PmonGroup *group;
	PmonHistogram histogram;
} SavedGroup;

/* The least recently used first: those are the ones to be folded */
static int
compare_last_used(const void *a, const void *b)
{
	const PmonGroup *left = ((const SavedGroup *) a)->group;
	const PmonGroup *right = ((const SavedGroup *) b)->group;

	if ((left->connections > 0) != (right->connections > 0))
		return left->connections > 0 ? 1 : -1;
	return (left->last_used > right->last_used) - (left->last_used < right->last_used);
}

/* An error would end the postmaster, so without memory the order is lost. */
static void
restore_groups(const FileHeader *header, Reader *reader)
{
	const PmonApplication *applications = take(reader, sizeof(PmonApplication) * header->napplications);
	const PmonGroup *groups = take(reader, sizeof(PmonGroup) * header->ngroups);
	uint64	   *counts = unconstify(void *, take(reader, OCTAVE_BYTES * header->noctaves));
	SavedGroup *sorted = palloc_extended(sizeof(SavedGroup) * Max(header->ngroups, 1),
										 MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);

	for (int i = 0; i < header->ngroups; i++)
	{
		PmonHistogram histogram = {groups[i].counters.hold.octaves, counts};

		if (sorted != NULL)
		{
			sorted[i].group = &groups[i];
			sorted[i].histogram = histogram;
		}
		else
			pmon_restore_group(&groups[i], &histogram);
		counts += pmon_histogram_length(histogram.octaves);
	}
	if (sorted != NULL)
	{
		qsort(sorted, header->ngroups, sizeof(SavedGroup), compare_last_used);
		for (int i = 0; i < header->ngroups; i++)
			pmon_restore_group(sorted[i].group, &sorted[i].histogram);
		pfree(sorted);
	}

	/* where there is no room for all applications, those with groups have it */
	for (int i = 0; i < header->napplications; i++)
		pmon_restore_application(&applications[i]);
}

static bool
is_terminated(const char *name, int size)
{
	return memchr(name, '\0', size) != NULL;
}

static bool
check_holder_session(const PmonHolderSession *session)
{
	return session->blocks >= PMON_BLOCKS_UNKNOWN &&
		session->blocked_by >= PMON_BLOCKED_BY_NOBODY &&
		is_terminated(session->wait_event_type, PMON_WAIT_TYPE_BYTES) &&
		is_terminated(session->wait_event, NAMEDATALEN) &&
		is_terminated(session->tags, PMON_TAGS_LEN) &&
		is_terminated(session->statement, PMON_STATEMENT_BYTES);
}

static bool
check_holders(const PmonHolders *holders)
{
	if (holders->nholders < 0 || holders->nholders > PMON_MAX_HOLDERS)
		return false;
	for (int i = 0; i < holders->nholders; i++)
	{
		const PmonHolder *holder = &holders->holders[i];

		if (holder->state < 0 || holder->state >= PMON_STATES ||
			holder->session < PMON_NONE ||
			holder->session >= PMON_MAX_HOLDER_SESSIONS ||
			!is_terminated(holder->application_name, NAMEDATALEN))
			return false;
	}
	for (int i = 0; i < PMON_MAX_HOLDER_SESSIONS; i++)
	{
		if (!check_holder_session(&holders->sessions[i]))
			return false;
	}
	return true;
}

/* Can this be an incident?  What is not is left out. */
static bool
check_incident(const FileHeader *header, const PmonIncident *incident)
{
	return incident->id > 0 && incident->id <= header->last_incident &&
		incident->reason >= 0 && incident->reason < PMON_INCIDENT_REASONS &&
		is_terminated(incident->top_application, NAMEDATALEN) &&
		check_holders(&incident->at_start) && check_holders(&incident->at_peak);
}

/* An incident that was going on has ended with the server. */
static void
restore_incidents(const FileHeader *header, Reader *reader)
{
	const PmonIncident *saved = take(reader, sizeof(PmonIncident) * header->nincidents);

	pmon_incidents->last_id = header->last_incident;
	pmon_note_rejections();
	for (int i = 0; i < header->nincidents; i++)
	{
		PmonIncident *incident;

		if (!check_incident(header, &saved[i]))
			continue;
		incident = PmonIncidentAt(saved[i].id);
		*incident = saved[i];
		if (incident->ended_at == 0)
			incident->ended_at = header->saved_at;
	}
}

/* Records that are too long for the ring, now that it is smaller, are lost. */
static void
restore_ring(PmonRing *ring, Reader *file, uint64 size)
{
	Reader		reader = {take(file, size), size};

	while (reader.left >= sizeof(PmonRecord))
	{
		PmonRecord	header;
		const void *record;

		memcpy(&header, reader.data, sizeof(header));
		if (header.size < sizeof(header) || header.size % 8 != 0 ||
			header.size > reader.left)
			return;
		record = take(&reader, header.size);
		if (header.size > sizeof(header) &&
			header.size <= PmonRingMaxRecord(ring->size))
			pmon_ring_append(ring, record);
	}
}

static void
restore_contents(const char *data, uint64 size)
{
	Reader		reader = {data, size};
	const FileHeader *header = take(&reader, sizeof(FileHeader));
	const PmonRejection *rejections;
	const PmonTermination *terminations;

	restore_server(header);
	restore_pools(take(&reader, PMON_POOL_STATES_BYTES));
	restore_groups(header, &reader);
	rejections = take(&reader, sizeof(PmonRejection) * header->nrejections);
	for (int i = 0; i < header->nrejections; i++)
		pmon_restore_rejection(&rejections[i]);
	restore_incidents(header, &reader);
	terminations = take(&reader, sizeof(PmonTermination) * header->nterminations);
	for (int i = 0; i < header->nterminations; i++)
		pmon_restore_termination(&terminations[i]);
	restore_ring(pmon_sample_ring, &reader, header->sample_bytes);
	restore_ring(pmon_minute_ring, &reader, header->minute_bytes);
	restore_ring(pmon_hold_ring, &reader, header->hold_bytes);
}

/* Keep a file that can not be used, under another name. */
static void
put_aside(const char *problem)
{
	bool		kept = rename(PMON_STATS_FILE, BAD_FILE) == 0;

	ereport(WARNING,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("statistics file \"%s\" %s", PMON_STATS_FILE, problem),
			 kept ?
			 errdetail("Statistics start empty; the file was renamed to \"%s\".",
					   BAD_FILE) :
			 errdetail("Statistics start empty; the file could not be renamed.")));
}

/* Was this data directory copied, and is it starting for the first time? */
static bool
is_base_backup(void)
{
	struct stat st;

	return stat(BACKUP_LABEL_FILE, &st) == 0;
}

void
pmon_restore_file(void)
{
	const char *problem = NULL;
	uint64		size = 0;
	char	   *data;

	if (is_base_backup())
	{
		ereport(LOG,
				(errmsg("statistics start empty, since the data directory is a base backup")));
		pmon_remove_file();
		return;
	}

	data = read_whole_file(&size, &problem);
	if (data != NULL)
		problem = check_file(data, size);
	if (problem != NULL)
		put_aside(problem);
	else if (data != NULL)
		restore_contents(data, size);
	if (data != NULL)
		pfree(data);
}
