/*-------------------------------------------------------------------------
 *
 * pmon_bench.c
 *	  Times a sample in a backend, beside what bounds it and what it replaces.
 *
 * bench_time() calls the sampler of the library that the server has preloaded
 * and returns how long each call took.  Beside that it can time
 *
 * limit	a plain read of what a sample needs of the sessions: of each, the
 *			word with its state and the one with its group.  No sample can be
 *			faster than that read.
 * core		core's own snapshot of the status array, with a look at the state of
 *			each entry
 * empty	nothing: what the clock costs
 *
 * The status array is the server's own or, with slots > 0, one made up in this
 * backend's memory: the sampler finds the array through MyBEEntry and its own
 * through its own pointers, and all of those are exchanged around each call.
 *
 * The samples go into the server's history, so its own worker should not be
 * taking any: set pool_monitor.sample_interval to 1h.
 *
 * Between two calls with cold caches, a buffer that is larger than any cache
 * is read.
 *
 * This needs a server in which one library can call another's functions that
 * are not exported, which they are up to PostgreSQL 15.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include <sys/mman.h>
#include <time.h>

#include "port/pg_bitutils.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "shared/history.h"
#include "shared/shared_state.h"
#include "shared/slots.h"
#include "shared/status_array.h"
#include "worker/sampler.h"

PG_MODULE_MAGIC;

#define CACHE_LINE		64

/* What is read to empty the caches: more than the last of them holds */
#define EVICTION_BYTES	(96 * 1024 * 1024)

/* A call that is measured with warm caches is repeated for so long, ns */
#define WARM_TIME		20000.0

/* The most slots of a made-up array, which the sampler is to have room for */
#define MOST_SLOTS		262143

/* What a session of a made-up array has besides its entries in the arrays */
typedef struct Rest
{
	PGPROC		proc;
	char		application_name[NAMEDATALEN];
} Rest;

/* Where the sampler reads: the server's own arrays, or ours */
typedef struct Arrays
{
	PmonShared *header;			/* has the number of slots */
	int			slots;
	int			max_connections;	/* enough that no incident is seen */
	PgBackendStatus *entries;
	pg_atomic_uint64 *live;
	pg_atomic_uint64 *memberships;
	PmonSlot   *sessions;
	Rest	   *rests;			/* by slot; of made-up ones, like the next */
	char	   *statements;
} Arrays;

static Arrays real;
static Arrays made_up;
static int	made_up_live = -1;

/* The places of the sessions, for the plain read */
static int *places;
static int	nplaces;

static char *eviction_buffer;
static MemoryContext sampler_context;
static volatile uint64 sink;

PG_FUNCTION_INFO_V1(bench_time);
PG_FUNCTION_INFO_V1(bench_history_bytes);
PG_FUNCTION_INFO_V1(bench_sampler_bytes);

static double
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

static void
empty_caches(void)
{
	uint64		sum = 0;

	for (size_t i = 0; i < EVICTION_BYTES; i += CACHE_LINE)
		sum += *(uint64 *) (eviction_buffer + i);
	sink += sum;
}

static void
use(const Arrays *arrays)
{
	pmon = arrays->header;
	pmon_live = arrays->live;
	pmon_memberships = arrays->memberships;
	pmon_slots = arrays->sessions;
	MyBEEntry = arrays->entries + PmonMySlot();
	MaxConnections = arrays->max_connections;
}

/* Memory that is zero, and no memory yet where nothing is written to it */
static void *
get_zeroes(Size size)
{
	void	   *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
							  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		elog(ERROR, "out of memory");
	return memory;
}

/*
 * Session i, in a slot: of ten one is in a transaction, one runs a statement, one
 * has been idle for an hour and seven for a minute.  Their statements have tags.
 */
static void
make_up_session(int slot, int i, const PmonGroup *group)
{
	PgBackendStatus *entry = &made_up.entries[slot];
	PmonSlot   *session = &made_up.sessions[slot];
	Rest	   *rest = &made_up.rests[slot];
	TimestampTz long_ago = GetCurrentTimestamp() - USECS_PER_HOUR;
	TimestampTz changed = i % 10 > 2 ? long_ago + 59 * USECS_PER_MINUTE : long_ago;

	namestrcpy((Name) rest->application_name, group->key.application_name);
	entry->st_procpid = slot + 1;
	entry->st_backendType = B_BACKEND;
	entry->st_state = i % 10 == 0 ? STATE_IDLEINTRANSACTION :
		i % 10 == 1 ? STATE_RUNNING : STATE_IDLE;
	entry->st_proc_start_timestamp = long_ago;
	entry->st_activity_start_timestamp = entry->st_state_start_timestamp = changed;
	entry->st_xact_start_timestamp = i % 10 <= 1 ? long_ago : 0;
	entry->st_appname = rest->application_name;
	entry->st_query_id = i / 10 % 100 + 1;
	entry->st_activity_raw = made_up.statements + (Size) slot * pgstat_track_activity_query_size;
	snprintf(entry->st_activity_raw, pgstat_track_activity_query_size,
			 "UPDATE stock SET left_over = left_over - 1 WHERE item = $1 /*controller='c%d',action='a%d'*/",
			 i / 10 % 10, i / 10 % 100);

	session->pid = slot + 1;
	session->identity = 1;
	session->proc = &rest->proc;
	session->client_addr.kind = PMON_CLIENT_LOCAL;
	session->backend_start = long_ago;
	memcpy(session->application_name, rest->application_name, NAMEDATALEN);
	memcpy(session->datname, group->datname, NAMEDATALEN);
	memcpy(session->usename, group->usename, NAMEDATALEN);
}

/* An array of that many slots, that many of which have a session */
static void
make_up(int slots, int live)
{
	int			words = (slots + 63) / 64;
	int			groups[1000];
	int			ngroups = 0;
	MemoryContext oldcontext;

	if (made_up.slots == slots && made_up_live == live)
		return;
	if (made_up.slots > 0)
	{
		pfree(made_up.live);
		pfree(made_up.memberships);
		pfree(made_up.header);
		munmap(made_up.entries, sizeof(PgBackendStatus) * made_up.slots);
		munmap(made_up.sessions, sizeof(PmonSlot) * made_up.slots);
		munmap(made_up.rests, sizeof(Rest) * made_up.slots);
		munmap(made_up.statements, (Size) pgstat_track_activity_query_size * made_up.slots);
	}

	for (int i = 0; i < pmon->max_groups && ngroups < lengthof(groups); i++)
	{
		if (pmon_groups[i].in_use)
			groups[ngroups++] = i;
	}

	oldcontext = MemoryContextSwitchTo(TopMemoryContext);
	made_up.header = palloc(sizeof(PmonShared));
	*made_up.header = *pmon;
	made_up.header->max_backends = made_up.slots = slots;
	made_up.max_connections = 2 * slots;
	made_up_live = live;
	made_up.live = palloc0(sizeof(uint64) * words);
	made_up.memberships = palloc0(sizeof(uint64) * slots);
	made_up.entries = get_zeroes(sizeof(PgBackendStatus) * slots);
	made_up.sessions = get_zeroes(sizeof(PmonSlot) * slots);
	made_up.rests = get_zeroes(sizeof(Rest) * slots);
	made_up.statements = get_zeroes((Size) pgstat_track_activity_query_size * slots);
	MemoryContextSwitchTo(oldcontext);

	for (int i = 0; i < live; i++)
	{
		int			slot = (int64) i * slots / live;
		PmonMembership membership;
		uint64		bits;

		membership.group = groups[i % ngroups];
		membership.group_id = pmon_groups[membership.group].id;
		memcpy(&bits, &membership, sizeof(bits));
		pg_atomic_write_u64(&made_up.memberships[slot], bits);
		pg_atomic_write_u64(&made_up.live[slot / 64],
							pg_atomic_read_u64(&made_up.live[slot / 64]) |
							(UINT64CONST(1) << (slot % 64)));
		make_up_session(slot, i, &pmon_groups[membership.group]);
	}
}

static void
list_places(const Arrays *arrays)
{
	if (places != NULL)
		pfree(places);
	places = MemoryContextAlloc(TopMemoryContext, sizeof(int) * arrays->slots);
	nplaces = 0;
	for (int i = 0; i < arrays->slots; i++)
	{
		if (pg_atomic_read_u64(&arrays->live[i / 64]) & (UINT64CONST(1) << (i % 64)))
			places[nplaces++] = i;
	}
}

static void
read_limit(const Arrays *arrays)
{
	uint64		sum = 0;

	for (int i = 0; i < nplaces; i++)
		sum += arrays->entries[places[i]].st_state +
			pg_atomic_read_u64(&arrays->memberships[places[i]]);
	sink += sum;
}

static void
read_core(void)
{
	int			states[16] = {0};
	int			n;

	pgstat_clear_snapshot();
	n = pgstat_fetch_stat_numbackends();
	for (int i = 1; i <= n; i++)
		states[pgstat_fetch_stat_local_beentry(i)->backendStatus.st_state]++;
	sink += states[STATE_IDLE];
}

/* Call it once. */
static void
call(const char *what, const Arrays *arrays)
{
	switch (what[0])
	{
		case 's':
			pmon_take_sample(0);
			break;
		case 'l':
			read_limit(arrays);
			break;
		case 'c':
			read_core();
			break;
	}
}

/* Nanoseconds of one call */
static double
measure(const char *what, const Arrays *arrays, bool cold)
{
	double		start;
	double		end;
	int			calls = 0;

	if (cold)
		empty_caches();
	else
		call(what, arrays);

	start = now_ns();
	do
	{
		call(what, arrays);
		calls++;
		end = now_ns();
	} while (!cold && end - start < WARM_TIME);
	return (end - start) / calls;
}

/*
 * The sampler, as the worker starts it, with room for the largest array.  Its first
 * look is at sessions that it has room for.
 */
static void
start_sampler(void)
{
	MemoryContext oldcontext;

	sampler_context = AllocSetContextCreate(TopMemoryContext, "sampler",
											ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(sampler_context);
	make_up(MOST_SLOTS, 1);
	use(&made_up);
	pmon_sampler_init();
	use(&real);
	MemoryContextSwitchTo(oldcontext);
}

/* bench_time(what, times, cold, slots, live) returns ns of each, as an array */
Datum
bench_time(PG_FUNCTION_ARGS)
{
	char	   *what = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int			times = PG_GETARG_INT32(1);
	bool		cold = PG_GETARG_BOOL(2);
	int			slots = PG_GETARG_INT32(3);
	int			live = PG_GETARG_INT32(4);
	Datum	   *results = palloc(sizeof(Datum) * times);
	const Arrays *arrays = &real;

	if (real.slots == 0)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(TopMemoryContext);

		real.header = pmon;
		real.slots = pmon->max_backends;
		real.max_connections = MaxConnections;
		real.entries = MyBEEntry - PmonMySlot();
		real.live = pmon_live;
		real.memberships = pmon_memberships;
		real.sessions = pmon_slots;
		eviction_buffer = MemoryContextAllocHuge(CurrentMemoryContext, EVICTION_BYTES);
		memset(eviction_buffer, 1, EVICTION_BYTES);
		MemoryContextSwitchTo(oldcontext);
		start_sampler();
	}
	if (slots > 0)
	{
		make_up(slots, live);
		arrays = &made_up;
	}
	list_places(arrays);

	/* the server's own state must be back before anything else looks at it */
	HOLD_INTERRUPTS();
	for (int i = 0; i < times; i++)
	{
		double		ns;

		use(arrays);
		ns = measure(what, arrays, cold);
		use(&real);
		results[i] = Float8GetDatum(ns);
	}
	RESUME_INTERRUPTS();

	PG_RETURN_ARRAYTYPE_P(construct_array(results, times, FLOAT8OID,
										  sizeof(float8), FLOAT8PASSBYVAL,
										  TYPALIGN_DOUBLE));
}

/* bench_history_bytes() returns how many bytes samples have put into history */
Datum
bench_history_bytes(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(pg_atomic_read_u64(&pmon_sample_ring->head));
}

/* bench_sampler_bytes() returns the worker's memory where there are MOST_SLOTS */
Datum
bench_sampler_bytes(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(MemoryContextMemAllocated(sampler_context, true));
}
