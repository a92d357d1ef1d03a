/*-------------------------------------------------------------------------
 *
 * terminations.c
 *	  The record of sessions that were ended, or spared, or would have been.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "shared/end_request.h"
#include "shared/status_array.h"
#include "shared/terminations.h"

PmonTerminations *pmon_terminations = NULL;

static LWLock *lock = NULL;

LWLock *
PmonTerminationLock(void)
{
	return lock;
}

static Size
terminations_size(void)
{
	return sizeof(PmonTerminations);
}

void
pmon_request_terminations(void)
{
	pmon_request_part((void **) &pmon_terminations, terminations_size, NULL);
	pmon_request_lock(&lock);
}

static const char *const outcome_names[] = {
	"terminated",
	"spared",
	"dry run",
	"failed"
};

const char *
pmon_outcome_name(PmonOutcome outcome)
{
	return outcome_names[outcome];
}

PmonOutcome
pmon_outcome(int answer, const char **detail)
{
	*detail = NULL;
	switch ((PmonRequest) answer)
	{
		case PMON_REQUEST_ACCEPTED:
			return PMON_OUTCOME_TERMINATED;
		case PMON_REQUEST_SPARED_STATE:
			*detail = "the session is busy, or has been";
			return PMON_OUTCOME_SPARED;
		case PMON_REQUEST_SPARED_EXEMPT:
			*detail = "the session has become exempt";
			return PMON_OUTCOME_SPARED;
		case PMON_REQUEST_SPARED_INPUT:
			*detail = "the client has sent its next message";
			return PMON_OUTCOME_SPARED;
		case PMON_REQUEST_SPARED_EXITING:
			*detail = "the session is ending, or has ended";
			return PMON_OUTCOME_SPARED;
		case PMON_REQUEST_SPARED_BUSY:
			*detail = "the session could not be interrupted";
			return PMON_OUTCOME_SPARED;
		case PMON_REQUEST_NONE:
		case PMON_REQUEST_CLAIMED:
		case PMON_REQUEST_REQUESTED:
			break;
	}
	*detail = "the session did not answer";
	return PMON_OUTCOME_FAILED;
}

bool
pmon_start_record(PmonTermination *record, const PmonIdleSession *session,
				  const PmonPools *pools, TimestampTz now)
{
	PmonSession read;

	if (!pmon_read_session(session->slot, &read) || read.pid != session->pid)
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
	static const char *const messages[] = {
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

/* Keep a record.  Wants the lock. */
static void
keep_record(const PmonTermination *record)
{
	pmon_terminations->records[pmon_terminations->recorded++ % PMON_MAX_TERMINATIONS] = *record;
}

void
pmon_finish_record(PmonTermination *record, PmonOutcome outcome,
				   const char *detail)
{
	record->outcome = outcome;
	if (detail != NULL)
		snprintf(record->detail, sizeof(record->detail), "%s", detail);

	LWLockAcquire(PmonTerminationLock(), LW_EXCLUSIVE);
	keep_record(record);
	LWLockRelease(PmonTerminationLock());

	log_record(record);
}

PmonTermination *
pmon_copy_terminations(int *n)
{
	PmonTermination *copies = palloc(sizeof(PmonTermination) * PMON_MAX_TERMINATIONS);
	uint64		recorded;

	LWLockAcquire(PmonTerminationLock(), LW_SHARED);
	recorded = pmon_terminations->recorded;
	*n = (int) Min(recorded, PMON_MAX_TERMINATIONS);
	for (int i = 0; i < *n; i++)
		copies[i] = pmon_terminations->records[(recorded - *n + i) % PMON_MAX_TERMINATIONS];
	LWLockRelease(PmonTerminationLock());
	return copies;
}

void
pmon_restore_termination(const PmonTermination *saved)
{
	PmonTermination record = *saved;

	/* what can not be shown is left out */
	if (record.state < 0 || record.state >= PMON_STATES ||
		record.reason < 0 || record.reason > PMON_END_REQUESTED ||
		record.outcome < 0 || record.outcome >= lengthof(outcome_names))
		return;
	record.application_name[NAMEDATALEN - 1] = '\0';
	record.pool[NAMEDATALEN - 1] = '\0';
	record.detail[sizeof(record.detail) - 1] = '\0';
	keep_record(&record);
}

void
pmon_reset_terminations(void)
{
	LWLockAcquire(PmonTerminationLock(), LW_EXCLUSIVE);
	pmon_terminations->recorded = 0;
	LWLockRelease(PmonTerminationLock());
}
