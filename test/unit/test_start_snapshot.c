/*-------------------------------------------------------------------------
 *
 * test_start_snapshot.c
 *	  Unit test of shared/start_snapshot: who is refused takes a snapshot, is
 *	  disturbed by nobody, and may die at any step.
 *
 * The sessions are made up, and while one is read something can happen: another
 * process is refused, the worker gives up, or the process dies.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <setjmp.h>

#include "tap.h"

#include "../../src/shared/start_snapshot.c"

#define SLOTS		10

int			MaxBackends = SLOTS;
PgBackendStatus *MyBEEntry = NULL;
PmonShared *pmon = NULL;

static PmonShared shared;
static TimestampTz now = INT64CONST(800000000000000);
static int	generation;			/* what each session shows */
static int	sleeps;
static int	seen;				/* sessions read in this snapshot */
static int	happens_at = -1;	/* when that many have been read, */
static void (*happens) (void);	/* this does */
static jmp_buf death;

void
pmon_request_backends_part(void **pointer, Size (*size) (void), void (*init) (void))
{
	*pointer = calloc(1, size());
	init();
}

Size
add_size(Size s1, Size s2)
{
	return s1 + s2;
}

Size
pmon_session_snapshot_size(void)
{
	return offsetof(PmonSessionSnapshot, sessions) + SLOTS * sizeof(PmonSeenSession);
}

int
pmon_status_slots(void)
{
	return SLOTS;
}

void
pmon_see_session(PmonSessionSnapshot *snapshot, int slot)
{
	if (seen++ == happens_at)
	{
		happens_at = -1;
		happens();
	}
	snapshot->sessions[slot].session.pid = 1000 + generation;
}

void
pmon_see_waits(PmonSessionSnapshot *snapshot)
{
	if (seen == happens_at)
	{
		happens_at = -1;
		happens();
	}
}

TimestampTz
GetCurrentTimestamp(void)
{
	return now;
}

void
pg_usleep(long microsec)
{
	sleeps++;
}

/* A process is refused. */
static void
refuse(void)
{
	seen = 0;
	if (setjmp(death) == 0)
		pmon_take_start_snapshot();
}

static void
die(void)
{
	longjmp(death, 1);
}

/* Another one is refused while the first is at it. */
static void
refuse_another(void)
{
	int			was = seen;

	generation++;
	pmon_take_start_snapshot();
	generation--;
	ok(seen == was, "a second one goes its way");
}

/* The worker finds that it takes too long, and an incident comes and goes. */
static void
give_up(void)
{
	ok(pmon_start_snapshot() == NULL, "the worker gives up");
	pmon_want_start_snapshot();
}

static bool
is_whole(const PmonSessionSnapshot *snapshot, int of)
{
	for (int i = 0; i < SLOTS; i++)
	{
		if (snapshot->sessions[i].session.pid != 1000 + of)
			return false;
	}
	return snapshot->taken_at == now;
}

/* The incident is over. */
static void
next_round(void)
{
	pmon_finish_start_snapshot();
	pmon_want_start_snapshot();
	generation++;
	sleeps = 0;
}

int
main(void)
{
	const PmonSessionSnapshot *snapshot;

	pmon = &shared;
	pmon_request_start_snapshot();

	refuse();
	ok(seen == 0 && pmon_start_snapshot() == NULL, "nothing is read while nobody knows where it is");
	shared.status_array = (void *) &shared;

	ok(pmon_start_snapshot() == NULL && sleeps == 0, "there is none before a refusal");
	refuse();
	snapshot = pmon_start_snapshot();
	ok(snapshot != NULL && is_whole(snapshot, generation) && sleeps == 0, "who is refused takes it");
	now += USECS_PER_SEC;
	generation++;
	refuse();
	ok(seen == 0, "the next one does not");
	pmon_finish_start_snapshot();
	refuse();
	ok(seen == 0 && pmon_start_snapshot() == NULL, "nor does one when it has been used");
	pmon_want_start_snapshot();
	refuse();
	ok(is_whole(pmon_start_snapshot(), generation), "until there is no incident any more");

	for (int i = 0; i <= SLOTS; i++)
	{
		next_round();
		happens_at = i;
		happens = refuse_another;
		refuse();
		ok(is_whole(pmon_start_snapshot(), generation), "and does not disturb the first, after %d", i);
	}

	for (int i = 0; i <= SLOTS; i++)
	{
		next_round();
		happens_at = i;
		happens = die;
		refuse();
		refuse();
		ok(seen == 0, "nobody waits for one that died after %d", i);
		ok(pmon_start_snapshot() == NULL && sleeps == LOOKS, "the worker does, but not for long");
		ok(pmon_start_snapshot() == NULL && sleeps == LOOKS, "and only once");
		pmon_want_start_snapshot();
		refuse();
		ok(is_whole(pmon_start_snapshot(), generation), "the next incident has one again");
	}

	for (int i = 0; i <= SLOTS; i++)
	{
		next_round();
		happens_at = i;
		happens = give_up;
		refuse();
		is_int(seen, Min(i + 1, SLOTS), "who was given up notices before the next session");
		ok(pmon_start_snapshot() == NULL, "and what it took is not used");
		refuse();
		ok(is_whole(pmon_start_snapshot(), generation), "the next one's is");
	}

	/* taken, and then its process died before it was counted */
	next_round();
	refuse();
	pmon_want_start_snapshot();
	ok(is_whole(pmon_start_snapshot(), generation), "one that was just taken is not forgotten");
	now += UNHEARD_OF_AFTER + 1;
	pmon_want_start_snapshot();
	ok(pmon_start_snapshot() == NULL, "one that nobody has heard of is");
	refuse();
	ok(is_whole(pmon_start_snapshot(), generation), "and the next one counts");
	return tap_done();
}
