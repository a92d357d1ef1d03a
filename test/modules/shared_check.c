/*-------------------------------------------------------------------------
 *
 * shared_check.c
 *	  An SQL function that finds what is wrong in pool_monitor's shared memory.
 *
 * pool_monitor_check(size) returns a text with one line for each thing that
 * is not as it has to be: a bit, a slot, a membership or a request of a
 * session that is gone, counts that do not add up, a list that is broken, a
 * rejection that nobody took.  It is empty where all is well.  A session that
 * logs in or out at this very moment may show, so ask again.  size is that
 * of "pool_monitor" in pg_shmem_allocations.
 *
 * This library is linked with copies of some files of its own, so it works
 * where the extension's symbols are hidden.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "shared/end_request.h"
#include "shared/settings.h"

/* where everything is, as the library lays it out */
#include "pure/hold_histogram.c"
#include "pure/long_holds.c"
#include "shared/hold_counters.c"
#include "shared/shared_state.c"
#include "shared/slots.c"
#include "shared/groups.c"
#include "shared/pool_states.c"
#include "shared/client_waits.c"
#include "shared/rejections.c"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(pool_monitor_check);

int			pmon_max_groups;

/* Nobody is refused here, and nobody watched. */
void
pmon_take_start_snapshot(void)
{
}

bool
pmon_read_session(int slot, PmonSession *session)
{
	return false;
}

static StringInfoData problems;

static void problem(const char *format,...) pg_attribute_printf(1, 2);

static void
problem(const char *format,...)
{
	va_list		args;
	char		line[256];

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	appendStringInfo(&problems, "%s\n", line);
}

static void
attach(Size size)
{
	bool		found;
	char	   *base = ShmemInitStruct("pool_monitor", size, &found);

	if (!found)
		elog(ERROR, "pool_monitor has no shared memory");
	pmon = (PmonShared *) base;
	pmon_max_groups = pmon->max_groups;
	if (nparts == 0)
	{
		/* the library's order */
		pmon_request_header();
		pmon_request_slots();
		pmon_request_groups();
		pmon_request_pool_states();
		pmon_request_client_waits();
		pmon_request_rejections();
	}
	lay_out(base);
	main_lock = &GetNamedLWLockTranche(LOCK_TRANCHE)->lock;
}

/* The process in a slot of the status array, if it is a session, else 0 */
static int
session_pid(int slot)
{
	PgBackendStatus *entry = MyBEEntry - PmonMySlot() + slot;

	return entry->st_procpid > 0 && entry->st_backendType == B_BACKEND ?
		entry->st_procpid : 0;
}

/* Each slot is of a live session, or shows nothing. */
static void
check_slots(int *members)
{
	for (int i = 0; i < pmon->max_backends; i++)
	{
		PmonSlot   *slot = &pmon_slots[i];
		PmonMembership membership = PmonGetMembership(i);
		bool		live = (pg_atomic_read_u64(&pmon_live[i / 64]) >> (i % 64)) & 1;
		uint64		word = pg_atomic_read_u64(&slot->end.word);
		int			pid = session_pid(i);

		if (live != (pid != 0))
			problem("slot %d: live bit %d, session %d", i, live, pid);
		if (slot->pid != pid)
			problem("slot %d: pid %d, session %d", i, slot->pid, pid);
		if (PmonEndState(word) != PMON_ANSWER_FREE)
			problem("slot %d: a request is in state %d", i, PmonEndState(word));
		if (((word & PMON_END_OPEN) != 0) != (pid != 0) ||
			pg_atomic_read_u32(&slot->end.pid) != pid)
			problem("slot %d: takes requests %d, session %d", i,
					(word & PMON_END_OPEN) != 0, pid);
		if ((membership.group != PMON_NONE) != (pid != 0))
			problem("slot %d: group %d, session %d", i, membership.group, pid);
		if (membership.group == PMON_NONE)
			continue;
		members[membership.group]++;
		if (!pmon_groups[membership.group].in_use ||
			pmon_groups[membership.group].id != membership.group_id)
			problem("slot %d: its group %d is another one", i, membership.group);
	}
}

/* What the groups, the applications and the header say adds up. */
static void
check_counts(const int *members)
{
	int		   *connections = palloc0(sizeof(int) * pmon->max_groups);
	int		   *groups = palloc0(sizeof(int) * pmon->max_groups);
	int			in_use = 0;
	int			total = 0;

	for (int i = 0; i < pmon->max_groups; i++)
	{
		PmonGroup  *group = &pmon_groups[i];

		if (group->in_use)
		{
			in_use++;
			total += group->connections;
			groups[group->application]++;
			connections[group->application] += group->connections;
		}
		if (members[i] != (group->in_use ? group->connections : 0))
			problem("group %d \"%s\": %d connections, %d members", i,
					group->key.application_name, group->connections, members[i]);
	}
	if (total != pmon->connections)
		problem("groups have %d connections, the server %d", total, pmon->connections);
	if (in_use != pmon_group_table->ngroups)
		problem("%d groups, %d known", in_use, pmon_group_table->ngroups);

	for (int i = 0; i < pmon->max_groups; i++)
	{
		PmonApplication *application = &pmon_applications[i];

		if (application->in_use &&
			(application->connections != connections[i] ||
			 application->ngroups != groups[i]))
			problem("application \"%s\": %d connections in %d groups, but %d in %d",
					application->application_name, application->connections,
					application->ngroups, connections[i], groups[i]);
	}
}

/* Check a list of groups without sessions.  Returns how many are in it. */
static int
check_list(const PmonGroupList *list, bool others)
{
	int			listed = 0;
	int			before = PMON_NONE;

	for (int i = list->first; i != PMON_NONE && listed <= pmon->max_groups;
		 i = pmon_groups[i].lru_next)
	{
		if (pmon_groups[i].lru_prev != before || pmon_groups[i].connections != 0 ||
			(strcmp(pmon_groups[i].key.application_name, PMON_OTHER_APPLICATION) == 0) != others)
			problem("group %d is not well in its list", i);
		before = i;
		listed++;
	}
	if (listed != list->length || before != list->last)
		problem("%d groups in a list, which says %d", listed, list->length);
	return listed;
}

/* The lists of groups without sessions have all of them but the first. */
static void
check_lists(void)
{
	int			unused = 0;
	int			listed = check_list(&pmon_group_table->idle_groups, false) +
	check_list(&pmon_group_table->idle_others, true);

	for (int i = 1; i < pmon->max_groups; i++)
	{
		if (pmon_groups[i].in_use && pmon_groups[i].connections == 0)
			unused++;
	}
	if (listed != unused)
		problem("%d groups without sessions, %d in the lists", unused, listed);
}

Datum
pool_monitor_check(PG_FUNCTION_ARGS)
{
	int		   *members;

	initStringInfo(&problems);
	attach((Size) PG_GETARG_INT64(0));
	members = palloc0(sizeof(int) * pmon->max_groups);

	LWLockAcquire(PmonLock(), LW_SHARED);
	check_slots(members);
	check_counts(members);
	check_lists();
	LWLockRelease(PmonLock());

	if (pg_atomic_read_u64(&pmon_queue->next) != pg_atomic_read_u64(&pmon_queue->folded))
		problem("rejections are in the queue");
	if (pg_atomic_read_u64(&pmon->lost_accepts) != 0)
		problem("a session that had accepted to end was not ended");
	PG_RETURN_TEXT_P(cstring_to_text_with_len(problems.data, problems.len));
}
