/*-------------------------------------------------------------------------
 *
 * listen_tracker.c
 *	  Does this session listen for notifications?
 *
 * Core knows, but does not tell other code in a place where we could ask: it
 * updates its list of channels after the callbacks of a commit.  So we keep a
 * list of our own, by core's rules (async.c): what LISTEN and UNLISTEN say
 * waits for the commit of the transaction, and is forgotten with a transaction
 * or a savepoint that is rolled back.
 *
 * A commit must not fail, so all memory is allocated when the statement is
 * executed.  A session that never listens pays for none of this.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "access/xact.h"
#include "lib/ilist.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "session/listen_tracker.h"

typedef enum ListenKind
{
	LISTEN,
	UNLISTEN,
	UNLISTEN_ALL
} ListenKind;

/* A channel that the session listens to, or what a statement asked for */
typedef struct ListenAction
{
	dlist_node	node;
	ListenKind	kind;
	int			nest_level;
	char		channel[NAMEDATALEN];
} ListenAction;

static dlist_head channels = DLIST_STATIC_INIT(channels);
static dlist_head pending = DLIST_STATIC_INIT(pending);
static volatile bool *is_listening = NULL;

static void
forget_all(dlist_head *list)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, list)
	{
		dlist_delete(iter.cur);
		pfree(dlist_container(ListenAction, node, iter.cur));
	}
}

static ListenAction *
find_channel(const char *channel)
{
	dlist_iter	iter;

	dlist_foreach(iter, &channels)
	{
		ListenAction *action = dlist_container(ListenAction, node, iter.cur);

		if (strcmp(action->channel, channel) == 0)
			return action;
	}
	return NULL;
}

/* Do what one statement asked for.  Takes the action over. */
static void
apply(ListenAction *action)
{
	ListenAction *known = find_channel(action->channel);

	if (action->kind == LISTEN && known == NULL)
	{
		dlist_push_tail(&channels, &action->node);
		return;
	}
	if (action->kind == UNLISTEN && known != NULL)
	{
		dlist_delete(&known->node);
		pfree(known);
	}
	if (action->kind == UNLISTEN_ALL)
		forget_all(&channels);
	pfree(action);
}

static void
xact_callback(XactEvent event, void *arg)
{
	dlist_mutable_iter iter;

	if (dlist_is_empty(&pending))
		return;
	if (event == XACT_EVENT_ABORT)
		forget_all(&pending);
	if (event != XACT_EVENT_COMMIT)
		return;

	dlist_foreach_modify(iter, &pending)
	{
		dlist_delete(iter.cur);
		apply(dlist_container(ListenAction, node, iter.cur));
	}
	*is_listening = !dlist_is_empty(&channels);
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mySubid,
				 SubTransactionId parentSubid, void *arg)
{
	int			nest_level = GetCurrentTransactionNestLevel();
	dlist_mutable_iter iter;

	if (event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB)
		return;

	dlist_foreach_modify(iter, &pending)
	{
		ListenAction *action = dlist_container(ListenAction, node, iter.cur);

		if (action->nest_level < nest_level)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			action->nest_level = nest_level - 1;
		else
		{
			dlist_delete(iter.cur);
			pfree(action);
		}
	}
}

static void
note(ListenKind kind, const char *channel)
{
	ListenAction *action;

	/* nothing to stop listening to */
	if (kind != LISTEN && dlist_is_empty(&channels) && dlist_is_empty(&pending))
		return;

	action = MemoryContextAllocZero(TopMemoryContext, sizeof(ListenAction));
	action->kind = kind;
	action->nest_level = GetCurrentTransactionNestLevel();
	if (channel != NULL)
		namestrcpy((Name) action->channel, channel);
	dlist_push_tail(&pending, &action->node);
}

void
pmon_track_listen(Node *statement, volatile bool *listening)
{
	if (IsA(statement, ListenStmt))
	{
		if (is_listening == NULL)
		{
			RegisterXactCallback(xact_callback, NULL);
			RegisterSubXactCallback(subxact_callback, NULL);
			is_listening = listening;
		}
		note(LISTEN, ((ListenStmt *) statement)->conditionname);
	}
	else if (IsA(statement, UnlistenStmt))
	{
		const char *channel = ((UnlistenStmt *) statement)->conditionname;

		note(channel != NULL ? UNLISTEN : UNLISTEN_ALL, channel);
	}
	else if (IsA(statement, DiscardStmt) &&
			 ((DiscardStmt *) statement)->target == DISCARD_ALL)
		note(UNLISTEN_ALL, NULL);
}
