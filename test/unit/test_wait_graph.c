/* links: pure/wait_graph.c */
/*-------------------------------------------------------------------------
 *
 * test_wait_graph.c
 *	  Who waits for whom: queues, chains, deadlocks, and random locks against
 *	  an implementation that looks at each pair.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "pure/wait_graph.h"
#include "tap.h"

#define ACCESS_SHARE		1
#define ROW_EXCLUSIVE		3
#define EXCLUSIVE			7
#define ACCESS_EXCLUSIVE	8

#define MAX_SHARES			5000
#define MAX_SESSIONS		2500

/* As in the server */
static const int conflicts[PMON_LOCK_MODES] = {
	0,
	1 << 8,
	1 << 7 | 1 << 8,
	1 << 5 | 1 << 6 | 1 << 7 | 1 << 8,
	1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8,
	1 << 3 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 8,
	1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8,
	1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8,
	1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8
};

static PmonLockShare shares[MAX_SHARES];
static int	nshares;
static PmonWait waits[MAX_SESSIONS];

static void
share(int object, int session, int held, int awaited)
{
	shares[nshares++] = (PmonLockShare)
	{
		object, session, held != 0 ? 1 << held : 0, awaited
	};
}

/* Returns the processor time that it took, in ms: the least of five times. */
static double
follow(int nsessions)
{
	PmonLockShares all = {shares, nshares, nsessions, conflicts};
	size_t		size = pmon_wait_graph_size(&all);
	char	   *memory = malloc(size + 8);
	double		least = 1e9;

	/* whatever was in it, and nothing beyond it */
	memset(memory, 0x7f, size + 8);
	for (int i = 0; i < 5; i++)
	{
		clock_t		start = clock();
		double		ms;

		pmon_follow_waits(&all, waits, memory);
		ms = (double) (clock() - start) * 1000 / CLOCKS_PER_SEC;
		least = Min(least, ms);
	}
	if (memory[size] != 0x7f || memory[size + 7] != 0x7f)
		abort();
	free(memory);
	return least;
}

static void
is_wait(int session, int blocks, int root, const char *what)
{
	ok(waits[session].blocks == blocks && waits[session].root == root,
	   "%s: blocks %d, root %d (expected %d, %d)", what,
	   waits[session].blocks, waits[session].root, blocks, root);
}

/* By the definition: each pair, and then all paths */
static bool reaches[100][100];

static void
reference(int nsessions)
{
	memset(reaches, 0, sizeof(reaches));
	for (int w = 0; w < nshares; w++)
	{
		if (shares[w].awaits == 0)
			continue;
		for (int b = 0; b < nshares; b++)
		{
			int			mask = conflicts[shares[w].awaits];

			if (shares[b].object != shares[w].object ||
				shares[b].session == shares[w].session)
				continue;
			if ((shares[b].holds & mask) != 0 ||
				(b < w && shares[b].awaits != 0 && (mask & 1 << shares[b].awaits)))
				reaches[shares[w].session][shares[b].session] = true;
		}
	}
	for (int k = 0; k < nsessions; k++)
		for (int i = 0; i < nsessions; i++)
			for (int j = 0; reaches[i][k] && j < nsessions; j++)
				reaches[i][j] |= reaches[k][j];
}

static int
reference_blocks(int session, int nsessions)
{
	int			n = 0;

	for (int i = 0; i < nsessions; i++)
		n += i != session && reaches[i][session];
	return n;
}

/* Does it wait for nobody, or for none who does not wait for it too? */
static bool
is_end(int session, int nsessions)
{
	for (int i = 0; i < nsessions; i++)
	{
		if (i != session && reaches[session][i] && !reaches[i][session])
			return false;
	}
	return true;
}

static int
reference_root(int session, int nsessions)
{
	int			root = -1;
	int			most = -1;

	for (int i = 0; i < nsessions; i++)
	{
		int			blocks;

		if (i == session || !reaches[session][i] || !is_end(i, nsessions))
			continue;
		blocks = reference_blocks(i, nsessions);
		if (blocks > most)
		{
			most = blocks;
			root = i;
		}
	}
	return root;
}

/* A random lock table.  Of it, one in so many shares waits. */
static void
make_random(int nsessions, int nobjects, int one_in)
{
	nshares = 0;
	for (int object = 0; object < nobjects; object++)
	{
		int			n = rand() % 8;

		for (int i = 0; i < n; i++)
		{
			bool		awaits = rand() % one_in == 0;

			share(object, rand() % nsessions,
				  !awaits || rand() % 4 == 0 ? 1 + rand() % 8 : 0,
				  awaits ? 1 + rand() % 8 : 0);
		}
	}
}

static void
compare_random(int rounds, int one_in)
{
	int			wrong = 0;
	long		behind = 0;
	int			loops = 0;

	for (int round = 0; round < rounds; round++)
	{
		int			nsessions = 1 + rand() % 40;

		make_random(nsessions, rand() % 30, one_in);
		follow(nsessions);
		reference(nsessions);
		for (int i = 0; i < nsessions; i++)
		{
			int			blocks = reference_blocks(i, nsessions);

			behind += blocks;
			loops += reaches[i][i];
			wrong += waits[i].blocks != blocks ||
				waits[i].root != reference_root(i, nsessions);
		}
	}
	ok(wrong == 0 && behind > rounds && loops > 0,
	   "%d random lock tables as each pair has it: %d differ; %ld waits, %d in circles",
	   rounds, wrong, behind, loops);
}

static void
test_cases(void)
{
	nshares = 0;
	follow(1);
	is_wait(0, 0, -1, "nobody waits");

	/* LOCK TABLE IN ACCESS SHARE MODE; ALTER TABLE; seven SELECT */
	nshares = 0;
	share(0, 0, ACCESS_SHARE, 0);
	share(0, 1, 0, ACCESS_EXCLUSIVE);
	for (int i = 2; i < 9; i++)
		share(0, i, 0, ACCESS_SHARE);
	follow(9);
	is_wait(0, 8, -1, "the holder at the head of a queue");
	is_wait(1, 7, 0, "ALTER TABLE in the queue");
	is_wait(2, 0, 0, "SELECT behind it");
	is_wait(8, 0, 0, "the last of them");

	/* a row: one holds the transaction, one the tuple, the others wait */
	nshares = 0;
	share(0, 0, EXCLUSIVE, 0);
	share(0, 1, 0, 5);
	share(1, 1, EXCLUSIVE, 0);
	for (int i = 2; i < 31; i++)
		share(1, i, 0, EXCLUSIVE);
	follow(31);
	is_wait(0, 30, -1, "the writer of a row");
	is_wait(1, 29, 0, "who is next for the row");
	is_wait(30, 0, 0, "the last for the row");

	/* it asks for more than it has, which another one has too */
	nshares = 0;
	share(0, 0, ACCESS_SHARE, 0);
	share(0, 1, ACCESS_SHARE, ACCESS_EXCLUSIVE);
	share(0, 2, 0, ROW_EXCLUSIVE);
	follow(3);
	is_wait(0, 2, -1, "the other holder");
	is_wait(1, 1, 0, "who asks for more");
	is_wait(2, 0, 0, "who is behind that");

	/* two that wait for each other, and one for both */
	nshares = 0;
	share(0, 0, EXCLUSIVE, 0);
	share(0, 1, 0, EXCLUSIVE);
	share(0, 2, 0, EXCLUSIVE);
	share(1, 1, EXCLUSIVE, 0);
	share(1, 0, 0, EXCLUSIVE);
	follow(3);
	is_wait(0, 2, 1, "a deadlock");
	is_wait(1, 2, 0, "the other side of it");
	is_wait(2, 0, 0, "who waits for it");

	/* two roots: the one with more behind it */
	nshares = 0;
	share(0, 0, ACCESS_SHARE, 0);
	share(0, 1, ACCESS_SHARE, 0);
	share(0, 2, 0, ACCESS_EXCLUSIVE);
	share(1, 1, EXCLUSIVE, 0);
	share(1, 3, 0, EXCLUSIVE);
	follow(4);
	is_wait(2, 0, 1, "two roots");
	is_wait(1, 2, -1, "the larger one");
	is_wait(0, 1, -1, "the other one");
}

/* One queue of a thousand, with a thousand that do not wait */
static void
test_large(void)
{
	double		ms;
	bool		right = true;

	nshares = 0;
	for (int i = 0; i < 1000; i++)
		share(0, i, ACCESS_SHARE, 0);
	for (int i = 1000; i < 2000; i++)
		share(0, i, 0, i % 2 ? ACCESS_SHARE : ACCESS_EXCLUSIVE);
	ms = follow(2000);
	for (int i = 0; i < 1000; i++)
		right &= waits[i].blocks == 1000;
	for (int i = 1000; i < 2000; i++)
		right &= waits[i].root == 0 && waits[i].blocks == 1999 - i;
	ok(right, "a thousand in one queue, behind a thousand holders");
	ok(ms < 10, "in less than 10 ms: %.2f", ms);

	/* each waits for the one before */
	nshares = 0;
	for (int i = 0; i < 1999; i++)
	{
		share(i, i, EXCLUSIVE, 0);
		share(i, i + 1, 0, EXCLUSIVE);
	}
	ms = follow(2000);
	is_wait(0, 1999, -1, "a chain of two thousand");
	is_wait(1999, 0, 0, "its end");
	ok(ms < 10, "in less than 10 ms: %.2f", ms);
}

int
main(void)
{
	srand(1);
	test_cases();
	compare_random(3000, 2);
	compare_random(3000, 5);
	test_large();
	return tap_done();
}
