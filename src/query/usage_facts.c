/*-------------------------------------------------------------------------
 *
 * usage_facts.c
 *	  How connections are used, and were used at the peak of an incident.
 *
 * See usage_facts.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "utils/timestamp.h"

#include "query/local_hash.h"
#include "query/result_set.h"
#include "query/usage_facts.h"
#include "shared/current_policy.h"
#include "shared/incidents.h"
#include "shared/slots.h"

/* The most that a moment tells of; those with the most sessions */
#define MAX_USES			200
#define MAX_ROOTS			10

typedef struct UseKey
{
	int			pool;
	PmonUse		use;
	char		application_name[NAMEDATALEN];
} UseKey;

StaticAssertDecl(sizeof(UseKey) == sizeof(int) + sizeof(PmonUse) + NAMEDATALEN,
				 "a key of a hash table has no padding");

typedef struct UseEntry
{
	UseKey		key;
	PmonUseFacts facts;
} UseEntry;

/* Find what sessions of that kind add up to. */
static PmonUseFacts *
find_use(HTAB *table, const char *application_name, int pool, PmonUse use)
{
	UseKey		key;
	UseEntry   *entry;

	memset(&key, 0, sizeof(key));
	key.pool = pool;
	key.use = use;
	strncpy(key.application_name, application_name, NAMEDATALEN - 1);
	entry = PmonLocalEntry(table, &key, UseEntry);
	if (entry->facts.sessions == 0)
	{
		memcpy(entry->facts.application_name, key.application_name, NAMEDATALEN);
		entry->facts.pool = pool;
		entry->facts.use = use;
		entry->facts.oldest = -1;
		entry->facts.pid = PMON_UNKNOWN;
	}
	return &entry->facts;
}

static void
note_oldest(PmonUseFacts *use, PmonLive *live, double age, int pid,
			Oid userid, Oid databaseid)
{
	if (age <= use->oldest)
		return;
	use->oldest = age;
	use->pid = pid;
	snprintf(use->usename, NAMEDATALEN, "%s",
			 pmon_shown_name(pmon_live_role(live, userid), userid));
	snprintf(use->datname, NAMEDATALEN, "%s",
			 pmon_shown_name(pmon_live_database(live, databaseid), databaseid));
}

static int
compare_uses(const void *a, const void *b)
{
	const PmonUseFacts *left = a;
	const PmonUseFacts *right = b;

	if (left->sessions != right->sessions)
		return left->sessions > right->sessions ? -1 : 1;
	return memcmp(left->application_name, right->application_name, NAMEDATALEN);
}

static void
take_uses(PmonMoment *moment, HTAB *table)
{
	HASH_SEQ_STATUS seq;
	UseEntry   *entry;

	moment->uses = palloc(sizeof(PmonUseFacts) * Max(hash_get_num_entries(table), 1));
	hash_seq_init(&seq, table);
	while ((entry = hash_seq_search(&seq)) != NULL)
		moment->uses[moment->nuses++] = entry->facts;
	qsort(moment->uses, moment->nuses, sizeof(PmonUseFacts), compare_uses);
	moment->nuses = Min(moment->nuses, MAX_USES);
}

static int
compare_roots(const void *a, const void *b)
{
	const PmonRootFacts *left = a;
	const PmonRootFacts *right = b;

	if (left->blocks != right->blocks)
		return left->blocks > right->blocks ? -1 : 1;
	return left->pid < right->pid ? -1 : left->pid > right->pid;
}

static void
sort_roots(PmonMoment *moment)
{
	qsort(moment->roots, moment->nroots, sizeof(PmonRootFacts), compare_roots);
	moment->nroots = Min(moment->nroots, MAX_ROOTS);
}

static void
add_root(PmonMoment *moment, int pid, const char *application_name, const char *usename,
		 PmonUse use, double age, int blocks)
{
	PmonRootFacts *root = &moment->roots[moment->nroots++];

	root->pid = pid;
	memcpy(root->application_name, application_name, NAMEDATALEN);
	snprintf(root->usename, NAMEDATALEN, "%s", usename);
	root->use = use;
	root->age = age;
	root->blocks = blocks;
	root->longest_wait = PMON_UNKNOWN;
}

/* Of what is active, no more is known by its state. */
static PmonUse
use_of_state(PmonState state)
{
	switch (state)
	{
		case PMON_STATE_STARTING:
			return PMON_USE_STARTING;
		case PMON_STATE_IDLE:
			return PMON_USE_IDLE;
		case PMON_STATE_IDLE_IN_TRANSACTION:
			return PMON_USE_IN_TRANSACTION;
		case PMON_STATE_IDLE_IN_TRANSACTION_ABORTED:
			return PMON_USE_ABORTED;
		case PMON_STATE_DISABLED:
			return PMON_USE_DISABLED;
		default:
			return PMON_USE_BUSY;
	}
}

/*
 * Now
 */

static PmonUse
use_of(PmonLive *live, const PmonSession *session, uint32 wait_event_info,
	   PmonBlocking blocking)
{
	PmonUse		use = use_of_state(session->state);

	if (use == PMON_USE_IDLE &&
		pmon_live_proof(live, session) == PMON_PROOF_CLOSES_IDLE)
		return PMON_USE_NOT_RETURNED;
	if (use != PMON_USE_BUSY)
		return use;
	switch (pmon_why_active(session, wait_event_info, blocking))
	{
		case PMON_LEAK_SLOW_CLIENT:
		case PMON_LEAK_WAITS_FOR_CLIENT:
			return PMON_USE_CLIENT;
		case PMON_LEAK_WAITS_FOR_LOCK:
			return PMON_USE_LOCK;
		default:
			return PMON_USE_BUSY;
	}
}

/* For how long it has done that, in seconds; 0: not known */
static double
age_in_use(const PmonLive *live, const PmonSession *session, PmonUse use)
{
	TimestampTz since = pmon_statement_start(session);

	if (use == PMON_USE_STARTING || use == PMON_USE_DISABLED)
		since = session->backend_start;
	else if (use == PMON_USE_IDLE || use == PMON_USE_NOT_RETURNED || since == 0)
		since = session->state_change;
	return Max(pmon_age(live->now, since), 0) / (double) USECS_PER_SEC;
}

/* Has it said that it must not be ended for being idle in a transaction? */
static bool
is_deliberate(const PmonSession *session)
{
	PmonIdleSession idle = {.slot = session->slot,.pid = session->pid};

	if (pmon == NULL || pmon_slots[session->slot].pid != session->pid)
		return false;
	pmon_read_slot_flags(&idle);
	return idle.own_in_transaction_timeout || idle.exported_snapshot;
}

static void
add_session(PmonUseFacts *use, const PmonFacts *facts, PmonLive *live,
			const PmonSession *session, double age)
{
	use->sessions++;
	if (age >= pmon_settling_time(facts->leak_threshold))
	{
		use->newest = use->settled == 0 ? age : Min(use->newest, age);
		use->settled++;
	}
	if (age >= facts->leak_threshold)
	{
		use->aged++;
		use->deliberate += is_deliberate(session);
	}
	note_oldest(use, live, age, session->pid, session->userid, session->databaseid);
}

/* The longest statement, or login, that waits for each root */
static void
note_longest_waits(PmonMoment *moment, PmonLive *live, const PmonLockWaits *waits)
{
	for (int i = 0; i < live->nsessions; i++)
	{
		const PmonSession *session = &live->sessions[i];
		int			blocked_by = pmon_blocking(waits, session->pid).blocked_by;
		PmonUse		use = session->state == PMON_STATE_STARTING ?
		PMON_USE_STARTING : PMON_USE_LOCK;

		for (int r = 0; r < moment->nroots && blocked_by > 0; r++)
		{
			PmonRootFacts *root = &moment->roots[r];

			if (root->pid == blocked_by)
				root->longest_wait = Max(root->longest_wait,
										 age_in_use(live, session, use));
		}
	}
}

void
pmon_add_live_moment(PmonFacts *facts, PmonLive *live, const PmonLockWaits *waits)
{
	PmonMoment *moment = &facts->moments[facts->nmoments++];
	PmonProcState *procs = pmon_read_procs();
	HTAB	   *table = pmon_local_hash("uses", sizeof(UseKey), sizeof(UseEntry));

	memset(moment, 0, sizeof(*moment));
	moment->exhausted = pmon_slots_exhausted();
	moment->connections = live->nsessions;
	moment->roots = palloc(sizeof(PmonRootFacts) * Max(live->nsessions, 1));
	for (int i = 0; i < live->nsessions; i++)
	{
		const PmonSession *session = &live->sessions[i];
		PmonBlocking blocking = pmon_blocking(waits, session->pid);
		PmonUse		use = use_of(live, session, procs[session->slot].wait_event_info, blocking);
		double		age = age_in_use(live, session, use);

		facts->sight.disabled += use == PMON_USE_DISABLED;
		if (!pmon_may_read(session->userid))
		{
			facts->sight.hidden++;
			continue;
		}
		add_session(find_use(table, session->application_name,
							 pmon_live_pool(live, session), use),
					facts, live, session, age);
		if (blocking.blocks > 0 && blocking.blocked_by == PMON_BLOCKED_BY_NOBODY)
			add_root(moment, session->pid, session->application_name,
					 pmon_shown_name(pmon_live_role(live, session->userid), session->userid),
					 use, age, blocking.blocks);
	}
	take_uses(moment, table);
	sort_roots(moment);
	note_longest_waits(moment, live, waits);
}

/*
 * At the peak of an incident
 */

static PmonUse
use_of_holder(const PmonHolder *holder, const PmonHolderSession *session)
{
	PmonUse		use = use_of_state(holder->state);

	if (use != PMON_USE_BUSY || session == NULL)
		return use;
	if (strcmp(session->wait_event_type, "Lock") == 0)
		return PMON_USE_LOCK;
	return strcmp(session->wait_event_type, "Client") == 0 ? PMON_USE_CLIENT : use;
}

/*
 * How old the oldest is: nobody is longer in a transaction than since it began,
 * and a statement can not be told from the others of its transaction.
 */
static double
age_of_holder(const PmonHolders *holders, const PmonHolder *holder)
{
	return Max(pmon_age(holders->taken_at, holder->oldest_state), 0) /
		(double) USECS_PER_SEC;
}

static void
add_holder(HTAB *table, PmonFacts *facts, PmonMoment *moment, PmonLive *live,
		   const PmonHolders *holders, const PmonHolder *holder)
{
	const PmonHolderSession *session = holder->session == PMON_NONE ? NULL :
	&holders->sessions[holder->session];
	PmonUse		use = use_of_holder(holder, session);
	double		age = age_of_holder(holders, holder);
	PmonUseFacts *sum = find_use(table, holder->application_name, -1, use);

	sum->sessions += holder->connections;
	if (age >= pmon_settling_time(facts->leak_threshold))
		sum->settled += holder->connections;
	if (age >= facts->leak_threshold)
		sum->aged += use == PMON_USE_IN_TRANSACTION || use == PMON_USE_ABORTED ?
			1 : holder->connections;
	note_oldest(sum, live, age, session != NULL ? session->pid : PMON_UNKNOWN,
				holder->userid, holder->databaseid);

	if (session != NULL && session->blocks > 0 &&
		session->blocked_by == PMON_BLOCKED_BY_NOBODY)
		add_root(moment, session->pid, holder->application_name, sum->usename, use, age,
				 session->blocks);
}

static void
add_incident(PmonFacts *facts, PmonLive *live, const PmonIncident *incident)
{
	PmonMoment *moment = &facts->moments[facts->nmoments++];
	const PmonHolders *holders = &incident->at_peak;
	HTAB	   *table = pmon_local_hash("uses", sizeof(UseKey), sizeof(UseEntry));
	char	   *started = pstrdup(timestamptz_to_str(incident->started_at));

	memset(moment, 0, sizeof(*moment));
	snprintf(moment->incident, sizeof(moment->incident),
			 "incident " INT64_FORMAT " (%.19s to %.8s)", incident->id, started,
			 incident->ended_at == 0 ? "now" : timestamptz_to_str(incident->ended_at) + 11);
	moment->exhausted = incident->reason != PMON_INCIDENT_CRITICAL_THRESHOLD;
	moment->connections = holders->connections;
	moment->roots = palloc(sizeof(PmonRootFacts) * PMON_MAX_HOLDERS);
	for (int i = 0; i < holders->nholders; i++)
		add_holder(table, facts, moment, live, holders, &holders->holders[i]);
	take_uses(moment, table);
	sort_roots(moment);
}

void
pmon_add_past_moments(PmonFacts *facts, PmonLive *live, TimestampTz since)
{
	int64		last = pmon_last_incident();

	for (int64 id = last; id > 0 && id > last - PMON_MAX_INCIDENTS; id--)
	{
		PmonIncident *incident = pmon_copy_incident(id);
		bool		over;		/* it is, or at least the worst of it */

		if (incident == NULL)
			continue;
		if (incident->ended_at != 0 && incident->ended_at < since)
			break;				/* so did all before it */
		over = incident->ended_at != 0 || !facts->moments[0].exhausted;
		facts->rejected_by_server += incident->rejected;
		if (over && pmon_may_read_all() && facts->nmoments < PMON_MAX_MOMENTS)
			add_incident(facts, live, incident);
		pfree(incident);
	}
}
