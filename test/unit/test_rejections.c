/*-------------------------------------------------------------------------
 *
 * test_rejections.c
 *	  Unit test of shared/rejections: a refused login is counted once, wherever
 *	  its process dies or is stopped.
 *
 * The writer is interrupted at each of its atomic operations in turn: there it
 * dies, or the reader comes and passes it over, or a whole round of other
 * writers does.  At each of them a process without a place in the server can
 * vanish, since its authentication times out in a signal handler.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <setjmp.h>

#include "libpq/libpq-be.h"
#include "port/atomics.h"

#include "fakes/hash_tables.h"
#include "fakes/locks.h"
#include "fakes/memory.h"
#include "fakes/messages.h"
#include "fakes/parts.h"
#include "fakes/process.h"
#include "tap.h"

/* What happens at the atomic operation with that number, from 1 on */
static int	operations = 0;
static int	interrupted_at = 0;
static void (*interruption) (void) = NULL;

static void
step(void)
{
	if (++operations == interrupted_at)
		interruption();
}

static uint64
step_read(pg_atomic_uint64 *at)
{
	step();
	return pg_atomic_read_u64(at);
}

static void
step_write(pg_atomic_uint64 *at, uint64 value)
{
	step();
	pg_atomic_write_u64(at, value);
}

static uint64
step_add(pg_atomic_uint64 *at, int64 by)
{
	step();
	return pg_atomic_fetch_add_u64(at, by);
}

static bool
step_exchange(pg_atomic_uint64 *at, uint64 *expected, uint64 value)
{
	step();
	return pg_atomic_compare_exchange_u64(at, expected, value);
}

#define pg_atomic_read_u64				step_read
#define pg_atomic_write_u64				step_write
#define pg_atomic_fetch_add_u64			step_add
#define pg_atomic_compare_exchange_u64	step_exchange

#include "../../src/shared/rejections.c"

PmonShared *pmon = NULL;

static PmonShared shared;
static Port port = {.database_name = "shop",.user_name = "joe",.application_name = "api"};

/* UTF-8 is not what this is about, */
int
pg_encoding_mblen(int encoding, const char *mbstr)
{
	return 1;
}

/* nor is the snapshot, which has a test of its own */
void
pmon_take_start_snapshot(void)
{
}

void
pmon_request_hash(HTAB **table, const char *name, int nelems, Size keysize)
{
	HASHCTL		info = {.keysize = keysize,.entrysize = keysize + sizeof(int)};

	*table = hash_create(name, nelems, &info, HASH_ELEM | HASH_BLOBS);
}

static void
start_anew(void)
{
	pmon = &shared;
	pmon_request_rejections();
}

static void
refuse(void)
{
	count_rejection(&port, PMON_REJECT_ROLE_LIMIT);
}

/* Read until nothing is left that could be passed over */
static void
fold(void)
{
	for (int i = 0; i < 4; i++)
		pmon_fold_rejections();
}

/* What stands under a name, and what does not */
static uint64
settled(void)
{
	uint64		n = 0;

	for (int i = 0; i < PMON_MAX_REJECTIONS; i++)
		n += pmon_rejections[i].in_use ? pmon_rejections[i].rejected : 0;
	for (int i = 0; i < PMON_REJECT_REASONS; i++)
		n += pg_atomic_read_u64(&pmon_queue->dropped[i]);
	return n;
}

static void
reset(void)
{
	locks_held++;
	pmon_reset_rejections(NULL);
	locks_held--;
}

static jmp_buf death;

static void
die(void)
{
	longjmp(death, 1);
}

/* Others fill the queue once around, while the reader passes over who is slow. */
static void
others_go_around(void)
{
	for (int i = 0; i < 3 * PMON_QUEUE_SIZE / 2; i++)
	{
		refuse();
		if (i % 100 == 0)
			fold();
	}
	fold();
}

/* Refuse one login that is interrupted.  Returns whether it came to that. */
static bool
refuse_interrupted(int at, void (*what) (void))
{
	operations = 0;
	interrupted_at = at;
	interruption = what;
	if (setjmp(death) == 0)
		refuse();
	interrupted_at = 0;
	return operations >= at;
}

/* Run a writer that is interrupted at each place in turn; others: what else counts */
static void
interrupt_everywhere(const char *how, void (*what) (void), int others, bool may_be_lost)
{
	int			places = 0;
	int			wrong = 0;
	int			lost = 0;

	for (int at = 1;; at++)
	{
		uint64		before;
		bool		interrupted;

		start_anew();
		interrupted = refuse_interrupted(at, what);
		if (!interrupted)
			break;
		places++;
		before = pmon_rejected();
		fold();
		lost += before == others;
		wrong += before != others && before != others + 1;
		wrong += pmon_rejected() != before || settled() != before;

		/* the next one is as good as any */
		refuse();
		wrong += pmon_rejected() != before + 1;
		fold();
		wrong += settled() != before + 1;
		reset();
		wrong += pmon_rejected() != 0 || settled() != 0;
	}
	ok(places >= 7 && wrong == 0, "%s at each of %d places: what is counted is settled, and a reset forgets it",
	   how, places);
	ok(may_be_lost ? lost > 0 && lost < places : lost == 0, "%s: %s", how,
	   may_be_lost ? "counted unless it dies before" : "counted once, wherever that is");
}

int
main(void)
{
	uint64		by_reason[PMON_REJECT_REASONS];

	start_anew();
	refuse();
	ok(pmon_rejected() == 1 && settled() == 0, "a login is counted before it is named");
	fold();
	ok(pmon_rejected() == 1 && settled() == 1 && pmon_queue->nrejections == 1, "then it is named");
	locks_held++;
	pmon_count_rejected(by_reason);
	locks_held--;
	ok(by_reason[PMON_REJECT_ROLE_LIMIT] == 1 && by_reason[PMON_REJECT_RESERVED_SLOTS] == 0,
	   "under its reason");

	for (int i = 0; i < PMON_QUEUE_SIZE + 10; i++)
		refuse();
	ok(pmon_rejected() == PMON_QUEUE_SIZE + 11, "what finds no place in the queue is counted");
	ok(pg_atomic_read_u64(&pmon_queue->dropped[PMON_REJECT_ROLE_LIMIT]) == 10, "under no name");
	reset();
	ok(pmon_rejected() == PMON_QUEUE_SIZE, "a reset leaves what is on its way");
	fold();
	ok(settled() == PMON_QUEUE_SIZE, "which is named then");

	interrupt_everywhere("a process that dies", die, 0, true);
	interrupt_everywhere("a process that is passed over", fold, 0, false);
	interrupt_everywhere("a process that others overtake", others_go_around, 3 * PMON_QUEUE_SIZE / 2, false);
	return tap_done();
}
