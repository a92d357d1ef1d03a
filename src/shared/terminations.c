/*-------------------------------------------------------------------------
 *
 * terminations.c
 *	  The record of sessions that were ended, or spared, or would have been.
 *
 * See terminations.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "common/hashfn.h"
#include "utils/builtins.h"

#include "shared/pool_states.h"
#include "shared/session_pool.h"
#include "shared/status_array.h"
#include "shared/terminations.h"

PmonTerminations *pmon_terminations = NULL;

static LWLock *termination_lock = NULL;

void
pmon_request_terminations(void)
{
	pmon_request_part((void **) &pmon_terminations, sizeof(PmonTerminations), NULL);
	pmon_request_lock(&termination_lock);
}

const char *const pmon_outcome_names[PMON_OUTCOMES] = {
	"terminated", "spared", "dry run", "failed"
};

bool
pmon_start_record(PmonTermination *record, const PmonIdleSession *session,
				  const PmonPools *pools, TimestampTz now)
{
	PmonSession read;
	int			pool;

	if (!pmon_read_session(session->slot, &read) || read.pid != session->pid ||
		!pmon_match_session(pools, &read, &pool) || pool != session->pool)
		return false;

	memset(record, 0, sizeof(*record));
	record->terminated_at = now;
	record->pid = read.pid;
	record->databaseid = read.databaseid;
	record->userid = read.userid;
	namestrcpy((Name) record->application_name, read.application_name);
	record->client_addr = read.client_addr;
	record->backend_start = read.backend_start;
	record->state = session->state;
	record->idle_for = Max(now - session->state_change, 0);
	record->limit_applied = session->limit;
	if (session->pool >= 0)
		namestrcpy((Name) record->pool, pools->pools[session->pool].name);
	record->reason = session->reason;
	return true;
}

/*
 * Every decision is in the server log, with what the client is not told; nor is
 * whoever called for it, who may end sessions of which he may not read this.
 */
static void
log_record(const PmonTermination *record)
{
	static const char *const messages[PMON_OUTCOMES] = {
		"terminated session with PID %d",
		"spared session with PID %d",
		"would terminate session with PID %d",
		"could not terminate session with PID %d"
	};

	ereport(LOG_SERVER_ONLY,
			(errmsg_internal(messages[record->outcome], record->pid),
			 errdetail("Application \"%s\", pool \"%s\": state \"%s\" for %.3f s, limit %.3f s (%s)%s%s.",
					   record->application_name, record->pool,
					   pmon_state_name(record->state),
					   (double) record->idle_for / USECS_PER_SEC,
					   (double) record->limit_applied / 1000.0,
					   pmon_end_reason_name(record->reason),
					   record->detail[0] != '\0' ? "; " : "",
					   record->detail)));
}

/* How many records each role's sessions have: a hash table of fixed size */
#define ROLE_PLACES		2048

typedef struct RoleCount
{
	Oid			userid;
	int			n;				/* 0: an unused place */
} RoleCount;

static RoleCount roles[ROLE_PLACES];

/* The count of a role.  There are more places than records. */
static RoleCount *
role_count(Oid userid)
{
	uint32		place = murmurhash32(userid) % ROLE_PLACES;

	while (roles[place].n > 0 && roles[place].userid != userid)
		place = (place + 1) % ROLE_PLACES;
	roles[place].userid = userid;
	return &roles[place];
}

/*
 * The record that is given up for one about that role: the oldest one of who
 * has the most, which the newcomer is if he would have as many.
 */
static int
find_victim(Oid userid)
{
	int			most = 0;
	int			own;
	int			victim = PMON_NONE;

	memset(roles, 0, sizeof(roles));
	for (int i = 0; i < pmon_terminations->n; i++)
	{
		RoleCount  *count = role_count(pmon_terminations->records[i].userid);

		count->n++;
		most = Max(most, count->n);
	}
	own = role_count(userid)->n;

	for (int i = 0; i < pmon_terminations->n; i++)
	{
		Oid			other = pmon_terminations->records[i].userid;

		if (own > 0 && own + 1 >= most ? other != userid :
			role_count(other)->n < most)
			continue;
		if (victim == PMON_NONE ||
			pmon_terminations->numbers[i] < pmon_terminations->numbers[victim])
			victim = i;
	}
	return victim;
}

/*
 * Put a record to the others.  Wants the lock exclusively, but at server start,
 * when nobody else is there.
 */
static void
put_record(const PmonTermination *record)
{
	int			place;

	Assert(!IsUnderPostmaster ||
		   LWLockHeldByMeInMode(termination_lock, LW_EXCLUSIVE));
	if (pmon_terminations->n < PMON_MAX_TERMINATIONS)
		place = pmon_terminations->n++;
	else
		place = find_victim(record->userid);
	pmon_terminations->numbers[place] = ++pmon_terminations->recorded;
	pmon_terminations->records[place] = *record;
}

void
pmon_finish_record(PmonTermination *record, PmonOutcome outcome,
				   const char *detail)
{
	record->outcome = outcome;
	if (detail != NULL)
		snprintf(record->detail, sizeof(record->detail), "%s", detail);
}

void
pmon_keep_record(const PmonTermination *record)
{
	LWLockAcquire(termination_lock, LW_EXCLUSIVE);
	put_record(record);
	LWLockRelease(termination_lock);

	/* what is in a transaction is checked out; what is idle may be, or not */
	if (record->outcome == PMON_OUTCOME_TERMINATED &&
		record->state != PMON_STATE_IDLE && record->pool[0] != '\0')
		pmon_count_ended_checked_out(record->pool);

	log_record(record);
}

/* A record's number, and its place */
typedef struct Numbered
{
	uint64		number;
	int			place;
} Numbered;

static int
compare_numbers(const void *a, const void *b)
{
	const Numbered *left = a;
	const Numbered *right = b;

	return left->number < right->number ? -1 : 1;
}

PmonTermination *
pmon_copy_terminations(int *n)
{
	PmonTermination *unordered = palloc(sizeof(PmonTermination) * PMON_MAX_TERMINATIONS);
	PmonTermination *copies = palloc(sizeof(PmonTermination) * PMON_MAX_TERMINATIONS);
	Numbered   *order = palloc(sizeof(Numbered) * PMON_MAX_TERMINATIONS);

	LWLockAcquire(termination_lock, LW_SHARED);
	*n = pmon_terminations->n;
	memcpy(unordered, pmon_terminations->records, sizeof(PmonTermination) * *n);
	for (int i = 0; i < *n; i++)
		order[i] = (Numbered)
	{
		.number = pmon_terminations->numbers[i],.place = i
	};
	LWLockRelease(termination_lock);

	qsort(order, *n, sizeof(Numbered), compare_numbers);
	for (int i = 0; i < *n; i++)
		copies[i] = unordered[order[i].place];
	pfree(unordered);
	pfree(order);
	return copies;
}

void
pmon_restore_termination(const PmonTermination *saved)
{
	PmonTermination record = *saved;

	/* what can not be shown is left out */
	if (record.state < 0 || record.state >= PMON_STATES ||
		record.reason < 0 || record.reason > PMON_END_REQUESTED ||
		record.outcome < 0 || record.outcome >= PMON_OUTCOMES)
		return;
	record.application_name[NAMEDATALEN - 1] = '\0';
	record.pool[NAMEDATALEN - 1] = '\0';
	record.detail[sizeof(record.detail) - 1] = '\0';
	put_record(&record);
}

void
pmon_reset_terminations(void)
{
	LWLockAcquire(termination_lock, LW_EXCLUSIVE);
	pmon_terminations->n = 0;
	LWLockRelease(termination_lock);
}
