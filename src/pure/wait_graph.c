/*-------------------------------------------------------------------------
 *
 * wait_graph.c
 *	  Who waits for whom, through however many others.
 *
 * With a thousand sessions in one queue, there are half a million pairs of
 * which one waits for the other.  So the graph has nodes besides the sessions:
 *
 * - for each object and each mode in which it is held, one that leads to its
 *	 holders;
 * - for each place in a queue, one that leads to the session there, and to the
 *	 one for the place before it that waits for the same mode.
 *
 * A session that waits leads to the former of all modes that it conflicts
 * with, and to the latter as they are at its own place: a few edges each.
 * These nodes make a session reach itself where it holds what it asks more of,
 * but no other than those that it waits for; so nothing but itself has to be
 * left out in the end.
 *
 * Cycles (deadlocks) are folded to components, by Tarjan's algorithm.  Then
 * the sets of those who wait are handed on from component to component as sets
 * of bits, with one word for 64 of them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "port/pg_bitutils.h"

#include "pure/wait_graph.h"

#define NONE	(-1)

/* The edges that a share may have at most */
#define EDGES_OF_SHARE		(3 * PMON_LOCK_MODES + 2)

typedef struct Graph
{
	const PmonLockShares *shares;
	int			nnodes;			/* sessions first */
	int			nedges;
	int			ncomponents;
	int			nwords;			/* of a set of sessions that wait */

	/* by node; first has one more */
	int		   *first;			/* edge */
	int		   *next;			/* edge to look at, or to fill in */
	int		   *number;			/* in the order of discovery; 0: not yet */
	int		   *low;
	int		   *component;
	int		   *stack;
	int		   *path;

	int		   *target;			/* by edge */

	/* by session */
	int		   *bit;			/* in the sets, or NONE */

	/* by component */
	uint64	   *behind;			/* nwords each: who waits for it */
	int		   *root;
	int		   *other_root;		/* for the root itself, in a deadlock */
	int		   *blocks;			/* of any member that waits, or of the only
								 * one */
} Graph;

/* How large all of it can be at most */
static void
bound_graph(const PmonLockShares *shares, Graph *graph)
{
	int			nwaiting = 0;
	int			nheld = 0;
	int			held = 0;		/* modes of the object */

	for (int i = 0; i < shares->n; i++)
	{
		if (i > 0 && shares->shares[i].object != shares->shares[i - 1].object)
		{
			nheld += pg_popcount32(held);
			held = 0;
		}
		held |= shares->shares[i].holds;
		if (shares->shares[i].awaits != 0)
			nwaiting++;
	}
	graph->shares = shares;
	graph->nnodes = shares->nsessions + nheld + pg_popcount32(held) + nwaiting;
	graph->nedges = shares->n * EDGES_OF_SHARE;
	graph->nwords = (Min(nwaiting, shares->nsessions) + 63) / 64;
}

/* Take n elements from the memory; without memory, only count it. */
static void *
take(char **memory, size_t *used, size_t n, size_t size)
{
	size_t		start = *used;

	*used += MAXALIGN(n * size);
	return *memory != NULL ? *memory + start : NULL;
}

/* Lay the graph out in the memory.  Returns how much it takes. */
static size_t
lay_out(Graph *graph, char *memory)
{
	size_t		used = 0;
	size_t		nodes = graph->nnodes + 1;

	graph->behind = take(&memory, &used, nodes * graph->nwords, sizeof(uint64));
	graph->first = take(&memory, &used, nodes, sizeof(int));
	graph->next = take(&memory, &used, nodes, sizeof(int));
	graph->number = take(&memory, &used, nodes, sizeof(int));
	graph->low = take(&memory, &used, nodes, sizeof(int));
	graph->component = take(&memory, &used, nodes, sizeof(int));
	graph->stack = take(&memory, &used, nodes, sizeof(int));
	graph->path = take(&memory, &used, nodes, sizeof(int));
	graph->root = take(&memory, &used, nodes, sizeof(int));
	graph->other_root = take(&memory, &used, nodes, sizeof(int));
	graph->blocks = take(&memory, &used, nodes, sizeof(int));
	graph->bit = take(&memory, &used, nodes, sizeof(int));
	graph->target = take(&memory, &used, graph->nedges, sizeof(int));
	return used;
}

size_t
pmon_wait_graph_size(const PmonLockShares *shares)
{
	Graph		graph;

	bound_graph(shares, &graph);
	return lay_out(&graph, NULL);
}

/* Note an edge; in the first of two rounds, only count it. */
static inline void
add_edge(Graph *graph, bool count, int from, int to)
{
	if (count)
		graph->first[from + 1]++;
	else
		graph->target[graph->next[from]++] = to;
}

/* The edges of what waits, and of its place in the queue */
static void
add_waiter(Graph *graph, bool count, const PmonLockShare *share,
		   const int *held, int *queued, int *node)
{
	int			conflicts = graph->shares->conflicts[share->awaits];

	for (int mode = 1; mode < PMON_LOCK_MODES; mode++)
	{
		if ((conflicts & (1 << mode)) == 0)
			continue;
		if (held[mode] != NONE)
			add_edge(graph, count, share->session, held[mode]);
		if (queued[mode] != NONE)
			add_edge(graph, count, share->session, queued[mode]);
	}

	add_edge(graph, count, *node, share->session);
	if (queued[share->awaits] != NONE)
		add_edge(graph, count, *node, queued[share->awaits]);
	queued[share->awaits] = (*node)++;
}

/* All edges that one object makes.  Returns the next free node. */
static int
add_object(Graph *graph, bool count, int start, int end, int node)
{
	int			held[PMON_LOCK_MODES];
	int			queued[PMON_LOCK_MODES];

	for (int mode = 0; mode < PMON_LOCK_MODES; mode++)
		held[mode] = queued[mode] = NONE;

	for (int i = start; i < end; i++)
	{
		const PmonLockShare *share = &graph->shares->shares[i];

		for (int mode = 1; mode < PMON_LOCK_MODES; mode++)
		{
			if ((share->holds & (1 << mode)) == 0)
				continue;
			if (held[mode] == NONE)
				held[mode] = node++;
			add_edge(graph, count, held[mode], share->session);
		}
	}
	for (int i = start; i < end; i++)
	{
		const PmonLockShare *share = &graph->shares->shares[i];

		if (share->awaits != 0)
			add_waiter(graph, count, share, held, queued, &node);
	}
	return node;
}

static void
add_objects(Graph *graph, bool count)
{
	const PmonLockShare *shares = graph->shares->shares;
	int			node = graph->shares->nsessions;

	for (int start = 0; start < graph->shares->n;)
	{
		int			end = start + 1;

		while (end < graph->shares->n && shares[end].object == shares[start].object)
			end++;
		node = add_object(graph, count, start, end, node);
		start = end;
	}
	graph->nnodes = node;
}

static void
build(Graph *graph)
{
	memset(graph->first, 0, sizeof(int) * (graph->nnodes + 1));
	add_objects(graph, true);
	for (int i = 0; i < graph->nnodes; i++)
	{
		graph->first[i + 1] += graph->first[i];
		graph->next[i] = graph->first[i];
	}
	add_objects(graph, false);
}

/* All that is on the stack down to a node is a component. */
static void
pop_component(Graph *graph, int node, int *depth)
{
	int			member;

	do
	{
		member = graph->stack[--(*depth)];
		graph->component[member] = graph->ncomponents;
	} while (member != node);
	graph->ncomponents++;
}

/* Tarjan's algorithm from one node on, with a stack of its own. */
static void
find_components_from(Graph *graph, int start, int *found, int *depth)
{
	int			length = 0;

	graph->path[length++] = start;
	while (length > 0)
	{
		int			node = graph->path[length - 1];
		int			target;

		if (graph->number[node] == 0)
		{
			graph->number[node] = graph->low[node] = ++(*found);
			graph->stack[(*depth)++] = node;
		}
		if (graph->next[node] == graph->first[node + 1])
		{
			if (graph->low[node] == graph->number[node])
				pop_component(graph, node, depth);
			length--;
			if (length > 0)
				graph->low[graph->path[length - 1]] =
					Min(graph->low[graph->path[length - 1]], graph->low[node]);
			continue;
		}
		target = graph->target[graph->next[node]++];
		if (graph->number[target] == 0)
			graph->path[length++] = target;
		else if (graph->component[target] == NONE)
			graph->low[node] = Min(graph->low[node], graph->number[target]);
	}
}

/* Components are numbered such that edges lead to lower ones. */
static void
find_components(Graph *graph)
{
	int			found = 0;
	int			depth = 0;

	graph->ncomponents = 0;
	for (int i = 0; i < graph->nnodes; i++)
	{
		graph->number[i] = 0;
		graph->component[i] = NONE;
		graph->next[i] = graph->first[i];
	}
	for (int i = 0; i < graph->nnodes; i++)
	{
		if (graph->number[i] == 0)
			find_components_from(graph, i, &found, &depth);
	}

	/* the stack is free now: nodes by component, as two arrays */
	memset(graph->low, 0, sizeof(int) * (graph->ncomponents + 1));
	for (int i = 0; i < graph->nnodes; i++)
		graph->low[graph->component[i] + 1]++;
	for (int i = 0; i < graph->ncomponents; i++)
	{
		graph->low[i + 1] += graph->low[i];
		graph->path[i] = graph->low[i];
	}
	for (int i = 0; i < graph->nnodes; i++)
		graph->stack[graph->path[graph->component[i]]++] = i;
}

/* The set of those who wait for a component */
static uint64 *
behind(Graph *graph, int component)
{
	return graph->behind + (size_t) component * graph->nwords;
}

/* Hand the waiters of a component on to those that it waits for. */
static void
hand_on(Graph *graph, int component, int node)
{
	const uint64 *from = behind(graph, component);

	for (int e = graph->first[node]; e < graph->first[node + 1]; e++)
	{
		int			other = graph->component[graph->target[e]];
		uint64	   *to = behind(graph, other);

		if (other == component)
			continue;
		for (int i = 0; i < graph->nwords; i++)
			to[i] |= from[i];
		for (int m = graph->low[component]; m < graph->low[component + 1]; m++)
		{
			int			member = graph->stack[m];

			if (member < graph->shares->nsessions && graph->bit[member] != NONE)
				to[graph->bit[member] / 64] |= UINT64CONST(1) << (graph->bit[member] % 64);
		}
	}
}

/* Collect who waits for each component: those that wait come first. */
static void
collect_waiters(Graph *graph)
{
	int			nsessions = graph->shares->nsessions;

	memset(graph->behind, 0,
		   sizeof(uint64) * graph->nwords * graph->ncomponents);
	for (int c = graph->ncomponents - 1; c >= 0; c--)
	{
		int			nwaiting = 0;
		bool		has_session = false;

		for (int m = graph->low[c]; m < graph->low[c + 1]; m++)
		{
			int			member = graph->stack[m];

			has_session |= member < nsessions;
			if (member < nsessions && graph->bit[member] != NONE)
				nwaiting++;
			hand_on(graph, c, member);
		}

		/* those of a deadlock wait for each other too */
		graph->blocks[c] = nwaiting > 0 ? nwaiting - 1 : 0;
		for (int i = 0; has_session && i < graph->nwords; i++)
			graph->blocks[c] += pg_popcount64(behind(graph, c)[i]);
	}
}

/* Would another session make the better root? */
static bool
is_better_root(Graph *graph, int candidate, int root)
{
	int			left;
	int			right;

	if (root == NONE || candidate == NONE)
		return candidate != NONE;
	left = graph->blocks[graph->component[candidate]];
	right = graph->blocks[graph->component[root]];
	return left != right ? left > right : candidate < root;
}

/* Find the root of each component: those that wait for nobody come first. */
static void
find_roots(Graph *graph)
{
	for (int c = 0; c < graph->ncomponents; c++)
	{
		int			root = NONE;

		graph->root[c] = graph->other_root[c] = NONE;
		for (int m = graph->low[c]; m < graph->low[c + 1]; m++)
		{
			int			node = graph->stack[m];

			for (int e = graph->first[node]; e < graph->first[node + 1]; e++)
			{
				int			other = graph->component[graph->target[e]];

				if (other != c && is_better_root(graph, graph->root[other], root))
					root = graph->root[other];
			}
		}
		graph->root[c] = root;
		if (root != NONE)
			continue;

		/* nothing beyond: its lowest session, and the one after that */
		for (int m = graph->low[c]; m < graph->low[c + 1]; m++)
		{
			int			node = graph->stack[m];

			if (node >= graph->shares->nsessions)
				continue;
			if (graph->root[c] == NONE)
				graph->root[c] = node;
			else if (graph->other_root[c] == NONE)
				graph->other_root[c] = node;
		}
	}
}

void
pmon_follow_waits(const PmonLockShares *shares, PmonWait *waits, void *memory)
{
	Graph		graph;
	int			nbits = 0;

	bound_graph(shares, &graph);
	(void) lay_out(&graph, memory);
	for (int i = 0; i < shares->nsessions; i++)
	{
		graph.bit[i] = NONE;
		waits[i] = (PmonWait)
		{
			.root = NONE
		};
	}
	for (int i = 0; i < shares->n; i++)
	{
		int			session = shares->shares[i].session;

		if (shares->shares[i].awaits != 0 && graph.bit[session] == NONE)
			graph.bit[session] = nbits++;
	}

	build(&graph);
	find_components(&graph);
	collect_waiters(&graph);
	find_roots(&graph);

	for (int i = 0; i < shares->nsessions; i++)
	{
		int			c = graph.component[i];

		waits[i].waits = graph.bit[i] != NONE;
		waits[i].blocks = graph.blocks[c];
		if (waits[i].waits)
			waits[i].root = graph.root[c] == i ? graph.other_root[c] : graph.root[c];
	}
}
