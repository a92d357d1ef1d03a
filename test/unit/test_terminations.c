/* links: pure/idle_policy.c pure/pools.c pure/session_state.c pure/client_network.c */
/*-------------------------------------------------------------------------
 *
 * test_terminations.c
 *	  Unit test of shared/terminations: who loses a record when there is no room.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fakes/locks.h"
#include "fakes/memory.h"
#include "fakes/messages.h"
#include "fakes/parts.h"
#include "fakes/process.h"
#include "tap.h"

#include "../../src/shared/terminations.c"

bool
pmon_read_session(int slot, PmonSession *session)
{
	return false;
}

bool
pmon_match_session(const PmonPools *pools, const PmonSession *session, int *pool)
{
	return false;
}

static const char *counted_for = NULL;

void
pmon_count_ended_checked_out(const char *name)
{
	counted_for = name;
}

static TimestampTz last_at = 0;

static void
record_ends(Oid userid, int n)
{
	PmonTermination record = {.userid = userid,.state = PMON_STATE_IDLE,.reason = PMON_END_IDLE};

	while (n-- > 0)
	{
		record.terminated_at = ++last_at;
		pmon_keep_record(&record);
	}
}

static void
keep_one(PmonState state, PmonOutcome outcome)
{
	PmonTermination record = {.state = state,.outcome = outcome,.pool = "api"};

	pmon_keep_record(&record);
}

/* How many records a role has, and whether all are in order and recent enough */
static int
records_of(Oid userid, bool *in_order)
{
	int			n;
	PmonTermination *records = pmon_copy_terminations(&n);
	int			found = 0;

	*in_order = true;
	for (int i = 0; i < n; i++)
	{
		if (i > 0 && records[i - 1].terminated_at >= records[i].terminated_at)
			*in_order = false;
		found += records[i].userid == userid;
	}
	pfree(records);
	return found;
}

static TimestampTz
oldest_of(Oid userid)
{
	int			n;
	PmonTermination *records = pmon_copy_terminations(&n);
	TimestampTz at = 0;

	for (int i = n - 1; i >= 0; i--)
	{
		if (records[i].userid == userid)
			at = records[i].terminated_at;
	}
	pfree(records);
	return at;
}

int
main(void)
{
	bool		in_order;

	pmon_terminations = calloc(1, sizeof(PmonTerminations));

	record_ends(1, 1500);
	ok(records_of(1, &in_order) == 1000 && in_order, "one role alone has all places");
	ok(oldest_of(1) == 501, "and loses its oldest ones");

	pmon_reset_terminations();
	ok(records_of(1, &in_order) == 0, "a reset forgets them");
	record_ends(1, 10);
	record_ends(2, 20000);
	ok(records_of(1, &in_order) == 10 && in_order, "20,000 of another role push out none of ten");
	ok(records_of(2, &in_order) == 990, "it has the rest");

	record_ends(3, 400);
	ok(records_of(3, &in_order) == 400 && in_order, "a third one gets its room from who has most");
	ok(records_of(1, &in_order) == 10 && records_of(2, &in_order) == 590, "and from nobody else");
	record_ends(3, 400);
	ok(records_of(2, &in_order) == 495 && records_of(3, &in_order) == 495 && in_order,
	   "until both have as many");

	for (Oid role = 1000; role < 3000; role++)
		record_ends(role, 1);
	ok(records_of(2999, &in_order) == 1 && in_order, "with more roles than places, the newest has one");
	ok(records_of(2, &in_order) == 0 && records_of(1500, &in_order) == 0, "and the oldest have none");

	counted_for = NULL;
	keep_one(PMON_STATE_IDLE, PMON_OUTCOME_TERMINATED);
	keep_one(PMON_STATE_IDLE_IN_TRANSACTION, PMON_OUTCOME_SPARED);
	keep_one(PMON_STATE_IDLE_IN_TRANSACTION, PMON_OUTCOME_DRY_RUN);
	keep_one(PMON_STATE_IDLE_IN_TRANSACTION, PMON_OUTCOME_FAILED);
	ok(counted_for == NULL, "who was idle was not checked out, and who was not ended still is");
	keep_one(PMON_STATE_IDLE_IN_TRANSACTION, PMON_OUTCOME_TERMINATED);
	ok(counted_for != NULL, "who was ended in a transaction is counted for the pool");
	return tap_done();
}
