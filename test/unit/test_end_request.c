/* links: pure/session_state.c */
/*-------------------------------------------------------------------------
 *
 * test_end_request.c
 *	  Unit test of shared/end_request: the real functions, in every order.
 *
 * A process is a row of actions, each of which is run up to its next access to
 * shared memory.  Each access (a read, a write or an atomic operation) is a
 * step; all interleavings of the steps of all processes are explored, and so is
 * everything that a process may choose.  What a process has seen since its
 * action began, and nothing else, determines what it does next; so it is
 * brought to a state by running the action from its start with what it has seen.
 * Two orders that lead to the same memory and the same things seen are explored
 * once.
 *
 * The processes: two requesters, each of which asks and then waits, reads or
 * withdraws as it likes; one of them a second time; and a slot whose session
 * answers, starts another idle period, is kept from ending, or exits, in any
 * order, after which another session with another pid takes the slot and does
 * the same.
 *
 * What must hold: each acceptance is told to the requester whose request it
 * was, and to nobody else; no session accepts what was not asked of it in its
 * present idle period; a requester who is told something is told about his own
 * request; and when all have gone, the slot is free.
 *
 * That the explorer finds what it looks for is shown with planted faults: those
 * that the protocol had when an answer was a state without a number.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <setjmp.h>
#include <signal.h>

#include "port/atomics.h"
#include "storage/latch.h"

#include "tap.h"

/* The functions under test, with every access to shared memory a step */
static uint64 step_read(volatile void *at, int size);
static void step_write(volatile void *at, int size, uint64 value);
static bool step_exchange(pg_atomic_uint64 *at, uint64 *expected, uint64 value);
static uint64 step_and(pg_atomic_uint64 *at, uint64 mask);
static uint64 step_or(pg_atomic_uint64 *at, uint64 mask);
static int	step_kill(int pid);

#define pg_atomic_read_u32(at)			((uint32) step_read(&(at)->value, 4))
#define pg_atomic_read_u64(at)			step_read(&(at)->value, 8)
#define pg_atomic_write_u32(at, new)	step_write(&(at)->value, 4, new)
#define pg_atomic_write_u64(at, new)	step_write(&(at)->value, 8, new)
#define pg_atomic_compare_exchange_u64	step_exchange
#define pg_atomic_fetch_and_u64			step_and
#define pg_atomic_fetch_or_u64			step_or
#define kill(pid, signo)				step_kill(pid)

#undef pg_atomic_init_u32
#undef pg_atomic_init_u64
#define pg_atomic_init_u32(at, init)	((at)->value = (init))
#define pg_atomic_init_u64(at, init)	((at)->value = (init))

#include "../../src/shared/end_request.c"

/* What is planted */
typedef enum Fault
{
	NO_FAULT,
	NO_NUMBERS,					/* requests can not be told apart */
	ANSWER_IGNORED,				/* where the signal fails, what was answered */
	SLOT_WIPED,					/* a new session starts with an empty slot */
	UNCHECKED_PID,				/* a session looks at the token only */
	CLAIM_TAKEN					/* who exits takes the claim from its owner */
} Fault;

static Fault fault;

#define PROCESSES	3
#define FIRST_PID	101
#define SECOND_PID	102
#define MAX_SEEN	24
#define TABLE_SIZE	(1 << 24)

/* What requests are about, and what has become of them */
typedef enum Told
{
	NOTHING,
	TOLD_ACCEPTED,
	TOLD_SPARED
} Told;

#define REQUESTS	3

/*
 * What a process knows between its actions; during an action, it knows what it
 * has seen as well
 */
typedef struct Local
{
	uint64		word;			/* a session: what it has accepted */
	uint8		action;			/* a request or a session: which one; how far */
	uint8		stage;
	uint8		left;			/* it tries, or acts, so often */
	uint8		pid;			/* a session: less FIRST_PID */
	uint8		period;
	uint8		accepted;		/* the request, or NO_REQUEST */
	uint8		answer;			/* a requester: what he was told */
	uint8		unused;
} Local;

#define NO_REQUEST	255

/* The world: shared memory and what the checks remember */
typedef struct World
{
	PmonEndSlot slot;
	uint8		seen[PROCESSES][MAX_SEEN];	/* each value by its number */
	uint8		nseen[PROCESSES];
	Local		local[PROCESSES];
	uint8		alive;			/* pid of the session, less FIRST_PID, or 255 */
	uint8		period;			/* token of the session's idle period */
	uint8		accepted[REQUESTS]; /* by request: acceptances, ... */
	uint8		called_off[REQUESTS];	/* of which so many were called off */
	uint8		told[REQUESTS]; /* a Told */
	uint8		answered[REQUESTS]; /* what the session decided of it */
} World;

static World world;
static const char *problem;

/* What process is run, and how far it is */
static int	running;
static int	position;
static bool stepped;
static bool local;				/* nobody else could see that step */
static int	chosen;
static int	choices;
static jmp_buf paused;

/* Values seen are kept by their number in a list */
static uint64 values[256];
static int	nvalues = 0;

static uint8
number_of(uint64 value)
{
	int			i;

	for (i = 0; i < nvalues; i++)
	{
		if (values[i] == value)
			return i;
	}
	if (nvalues == 256)
		abort();
	values[nvalues++] = value;
	return nvalues - 1;
}

/*
 * Is the next access one that was made before?  Then *value is what it saw.
 * Otherwise it may be made, unless this run has made one: then the process
 * pauses.
 */
static bool
is_past(uint64 *value)
{
	if (position < world.nseen[running])
	{
		*value = values[world.seen[running][position++]];
		return true;
	}
	if (stepped)
		longjmp(paused, 1);
	stepped = true;
	return false;
}

static uint64
saw(uint64 value)
{
	if (position == MAX_SEEN)
		abort();
	world.seen[running][position++] = number_of(value);
	world.nseen[running] = position;
	return value;
}

static uint64
step_read(volatile void *at, int size)
{
	uint64		value;

	if (is_past(&value))
		return value;
	return saw(size == 4 ? *(volatile uint32 *) at : *(volatile uint64 *) at);
}

static void
step_write(volatile void *at, int size, uint64 value)
{
	uint64		past;

	if (is_past(&past))
		return;
	if (size == 4)
		*(volatile uint32 *) at = (uint32) value;
	else
		*(volatile uint64 *) at = value;
	saw(0);
}

static bool
step_exchange(pg_atomic_uint64 *at, uint64 *expected, uint64 value)
{
	uint64		bits = fault == NO_NUMBERS ? PMON_END_NUMBER - 1 : ~UINT64CONST(0);
	uint64		was;

	if (!is_past(&was))
	{
		was = at->value;
		if (was == (*expected & bits))
			at->value = value & bits;
		saw(was);
	}
	if (was == (*expected & bits))
		return true;
	*expected = was;
	return false;
}

static uint64
step_and(pg_atomic_uint64 *at, uint64 mask)
{
	uint64		was;

	if (is_past(&was))
		return was;
	was = at->value;
	at->value &= mask;
	if (fault == CLAIM_TAKEN && mask == ~PMON_END_OPEN &&
		PmonEndState(was) == PMON_ANSWER_CLAIMED)
		at->value &= ~PMON_END_STATE;
	return saw(was);
}

static uint64
step_or(pg_atomic_uint64 *at, uint64 mask)
{
	uint64		was;

	if (is_past(&was))
		return was;
	was = at->value;
	at->value |= mask;
	if (fault == SLOT_WIPED && position > 0)
		at->value = PMON_END_OPEN;
	return saw(was);
}

static int
step_kill(int pid)
{
	uint64		value;

	if (!is_past(&value))
		value = saw(world.alive == pid - FIRST_PID ? 0 : 1);
	return value == 0 ? 0 : -1;
}

/* Choose one of n: a step that sees the choice */
static int
choose(int n)
{
	uint64		value;

	if (is_past(&value))
		return (int) value;
	choices = n;
	local = true;
	return (int) saw(chosen);
}

/*
 * A step that does something to the world besides shared memory, which other
 * processes can not see
 */
#define NOTE(action)	ONCE(local = true; action)

#define ONCE(action) \
	do { \
		uint64		past_; \
		if (!is_past(&past_)) \
		{ \
			action; \
			saw(0); \
		} \
	} while (0)

static void
complain(const char *what)
{
	if (problem == NULL)
		problem = what;
}

/* The latch of a request tells which one it is */
#define LATCH_OF(request)	((Latch *) (uintptr_t) ((request) + 1))
#define REQUEST_OF(latch)	((int) (uintptr_t) (latch) - 1)

/* A requester is told of a request, which is over for him. */
static void
tell(int request, PmonAnswer answer)
{
	if (world.told[request] != NOTHING)
		complain("a request is settled twice");
	world.told[request] = answer == PMON_ANSWER_ACCEPTED ? TOLD_ACCEPTED : TOLD_SPARED;
	if (answer == PMON_ANSWER_ACCEPTED && world.accepted[request] == 0)
		complain("a requester is told of an acceptance that was not his");
	if ((answer == PMON_ANSWER_FREE || answer == PMON_ANSWER_CLAIMED))
		complain("a requester is told what is no answer");
	if (answer == PMON_ANSWER_SPARED_STATE &&
		world.answered[request] != PMON_ANSWER_SPARED_STATE)
		complain("a requester is told what was decided about another request");
}

/*
 * What is requested: by each of two requesters, one after the other.  The last
 * one is about the same idle period as the first, or another one.
 */
static struct
{
	int			requester;
	int			pid;
	TimestampTz token;
}			requests[REQUESTS] =

{
	{
		0, FIRST_PID, 1
	},
	{
		0, SECOND_PID, 1
	},
	{
		1, FIRST_PID, 1
	}
};

/* A requester's next action.  Returns false if he has none. */
static bool
act_as_requester(Local *me)
{
	int			request = running == 0 ? me->action : 2;
	PmonAnswer	answer = me->answer;

	if (me->action == (running == 0 ? 2 : 1))
		return false;
	if (me->stage == 0)
	{
		answer = pmon_request_end(&world.slot, requests[request].pid,
								  requests[request].token, LATCH_OF(request));
		if (fault == ANSWER_IGNORED && answer >= PMON_ANSWER_ACCEPTED &&
			answer != PMON_ANSWER_OTHER_ASKS)
			answer = PMON_ANSWER_SPARED_EXITING;
		me->stage = 1;
		me->left = 2;
	}
	else if (me->left-- == 0 || choose(2) == 0)
	{
		answer = pmon_withdraw_request(&world.slot);
		if (answer == PMON_ANSWER_REQUESTED)
			answer = PMON_ANSWER_SPARED_BUSY;	/* as good as any */
	}
	else
		answer = pmon_request_answer(&world.slot);

	if (answer != PMON_ANSWER_REQUESTED)
	{
		NOTE(tell(request, answer));
		me->action++;
		me->stage = 0;
	}
	return true;
}

/* What the session decides of a request */
static PmonAnswer
decide(const PmonEndQuestion *question, const Local *me)
{
	if (me->accepted != NO_REQUEST)
		return PMON_ANSWER_SPARED_EXITING;
	if (question->token != me->period)
		return PMON_ANSWER_SPARED_STATE;
	if (question->asked != FIRST_PID + me->pid && fault != UNCHECKED_PID)
		return PMON_ANSWER_SPARED_STATE;
	return PMON_ANSWER_ACCEPTED;
}

/* The answer has been given: is it one that may be? */
static void
note_answer(const Local *me, PmonAnswer answer)
{
	int			request = REQUEST_OF((Latch *) (uintptr_t) world.slot.latch.value);

	/* nothing of the slot can have changed yet: this is about that request */
	world.answered[request] = answer;
	if (answer != PMON_ANSWER_ACCEPTED)
		return;
	world.accepted[request]++;
	if (requests[request].pid != FIRST_PID + me->pid ||
		requests[request].token != me->period)
		complain("a session accepts what was asked of another one, or of another idle period");
}

/* The handler of SIGUSR1 */
static void
handle_signal(Local *me)
{
	PmonEndQuestion question;
	PmonAnswer	answer;
	bool		past;

	if (!pmon_read_request(&world.slot, &question))
		return;
	answer = decide(&question, me);
	past = position < world.nseen[running];
	if (!pmon_answer_request(&world.slot, &question, answer))
		return;
	if (!past)
		note_answer(me, answer);
	if (answer == PMON_ANSWER_ACCEPTED)
	{
		me->accepted = REQUEST_OF(question.latch);
		me->word = question.word;
	}
}

/* A statement starts; perhaps although the session has accepted to end. */
static void
start_statement(Local *me)
{
	if (me->accepted != NO_REQUEST)
	{
		PmonEndQuestion accepts = {.word = me->word};

		NOTE(world.called_off[me->accepted]++);
		pmon_call_off_end(&world.slot, &accepts);
	}
	me->accepted = NO_REQUEST;
	me->period++;
}

static void
log_in(Local *me)
{
	me->pid = me->action;
	me->period = 1;
	me->accepted = NO_REQUEST;
	me->word = 0;
	ONCE(world.alive = me->pid);
	pmon_open_end_slot(&world.slot, FIRST_PID + me->pid);
	me->stage = 1;
	me->left = 3;
}

static void
exit_session(Local *me)
{
	Latch	   *latch = pmon_close_end_slot(&world.slot);

	if (latch != NULL)
		NOTE(world.answered[REQUEST_OF(latch)] = PMON_ANSWER_SPARED_EXITING);
	ONCE(world.alive = 255);
	me->stage = 0;
	me->action++;
}

/* A session's next action, or its successor's.  Returns false if there is none. */
static bool
act_as_session(Local *me)
{
	int			what;

	if (me->action == 2)
		return false;
	if (me->stage == 0)
	{
		log_in(me);
		return true;
	}
	what = me->left == 0 ? 2 : choose(3);
	me->left -= me->left > 0;
	if (what == 0)
		handle_signal(me);
	else if (what == 1)
		start_statement(me);
	else
		exit_session(me);
	return true;
}

static bool
act(Local *me)
{
	return running < 2 ? act_as_requester(me) : act_as_session(me);
}

static void explore(void);

/* States that were explored, by a hash of 64 bits */
static uint64 *table;
static uint64 nstates;

static uint64
hash_world(void)
{
	const uint64 *words = (const uint64 *) &world;
	uint64		hash = UINT64CONST(0x9E3779B97F4A7C15);

	StaticAssertStmt(sizeof(World) % 8 == 0, "World must be of whole words");
	for (int i = 0; i < sizeof(World) / 8; i++)
	{
		hash = (hash ^ words[i]) * UINT64CONST(0xFF51AFD7ED558CCD);
		hash ^= hash >> 32;
	}
	return hash | 1;
}

static bool
is_known(uint64 hash)
{
	uint64		place = hash % TABLE_SIZE;

	while (table[place] != 0 && table[place] != hash)
		place = (place + 1) % TABLE_SIZE;
	if (table[place] == hash)
		return true;
	if (++nstates > TABLE_SIZE / 4 * 3)
		abort();
	table[place] = hash;
	return false;
}

/* Everybody has gone. */
static void
check_end(void)
{
	if (PmonEndState(world.slot.word.value) != PMON_ANSWER_FREE)
		complain("a state stays");
	for (int i = 0; i < REQUESTS; i++)
	{
		int			ends = world.accepted[i] - world.called_off[i];

		if (world.told[i] == NOTHING)
			complain("a requester is not told");
		if (ends > 0 && world.told[i] != TOLD_ACCEPTED)
			complain("an acceptance is lost");
		if (world.accepted[i] > 1)
			complain("a request is accepted twice");
	}
}

/*
 * Let a process make one step.  Returns how many choices there were, or 0 if
 * it has finished.
 */
static int
run(int process, int choice)
{
	/* what changes between setjmp() and longjmp() must not be in a register */
	static Local me;

	running = process;
	position = 0;
	stepped = local = false;
	chosen = choice;
	choices = 1;
	me = world.local[process];
	if (setjmp(paused) == 0)
	{
		if (!act(&me))
			return 0;
		world.local[process] = me;
		memset(world.seen[process], 0, sizeof(world.seen[process]));
		world.nseen[process] = 0;
	}
	return choices;
}

/* What follows when that process makes the next step */
static void
explore_step(int process)
{
	World		before = world;
	int			n = 1;

	for (int choice = 0; choice < n && problem == NULL; choice++)
	{
		n = run(process, choice);
		explore();
		world = before;
	}
}

/* What may follow */
static void
explore(void)
{
	World		before = world;
	bool		can[PROCESSES];
	bool		all_finished = true;

	if (problem != NULL || is_known(hash_world()))
		return;

	/* a step that nobody else can see may as well come first */
	for (int process = 0; process < PROCESSES; process++)
	{
		can[process] = run(process, 0) > 0;
		world = before;
		if (can[process])
			all_finished = false;
		if (can[process] && local)
		{
			problem = NULL;
			explore_step(process);
			return;
		}
	}
	problem = NULL;
	for (int process = 0; process < PROCESSES; process++)
	{
		if (can[process])
			explore_step(process);
	}
	if (all_finished)
		check_end();
}

/* Explore everything with that fault.  Returns the first problem, or NULL. */
static const char *
explore_with(Fault planted, TimestampTz last_token)
{
	requests[REQUESTS - 1].token = last_token;
	memset(table, 0, sizeof(uint64) * TABLE_SIZE);
	memset(&world, 0, sizeof(world));
	world.alive = 255;
	nstates = 0;
	nvalues = 0;
	problem = NULL;
	fault = planted;
	explore();
	return problem;
}

int
main(void)
{
	static const struct
	{
		Fault		fault;
		const char *label;
	}			faults[] = {
		{NO_NUMBERS, "a word without the request's number"},
		{ANSWER_IGNORED, "an answer that is ignored since the signal fails"},
		{SLOT_WIPED, "a new session that wipes the slot"},
		{UNCHECKED_PID, "a session that does not look whom the request is for"},
		{CLAIM_TAKEN, "a claim that is taken from its owner"},
	};

	table = malloc(sizeof(uint64) * TABLE_SIZE);
	for (int token = 1; token <= 2; token++)
	{
		const char *found = explore_with(NO_FAULT, token);

		ok(found == NULL, "%s: %s",
		   token == 1 ? "two ask about the same idle period" : "two ask about different ones",
		   found == NULL ? "no answer is lost, none is another's, and no state stays" : found);
		ok(nstates > 1000000, "in " UINT64_FORMAT " states", nstates);
	}

	for (int i = 0; i < lengthof(faults); i++)
	{
		const char *found = explore_with(faults[i].fault, 1);

		if (found == NULL)
			found = explore_with(faults[i].fault, 2);
		ok(found != NULL, "%s is found: %s", faults[i].label, found ? found : "no");
	}
	return tap_done();
}
