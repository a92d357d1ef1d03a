/* links: pure/diagnosis.c pure/diagnosis_sessions.c pure/diagnosis_pools.c pure/diagnosis_limits.c pure/findings.c */
/*-------------------------------------------------------------------------
 *
 * test_diagnosis.c
 *	  Each rule of a diagnosis by itself, at its boundaries, and what explains
 *	  what.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "pure/diagnosis.h"
#include "tap.h"

#define SLOTS		100

static PmonFacts facts;
static PmonUseFacts uses[50];
static PmonRootFacts roots[10];
static PmonPoolFacts pools[4];
static PmonUseFacts past_uses[10];
static PmonRootFacts past_roots[10];
static PmonFindings found;

/* A server that has nothing to do */
static void
healthy(void)
{
	memset(&facts, 0, sizeof(facts));
	memset(uses, 0, sizeof(uses));
	memset(pools, 0, sizeof(pools));
	facts.leak_threshold = 60;
	facts.warning_threshold = 80;
	facts.critical_threshold = 95;
	facts.slots = SLOTS;
	facts.max_connections = SLOTS + 3;
	facts.since = 3600;
	facts.nmoments = 1;
	facts.moments[0].uses = uses;
	facts.moments[0].roots = roots;
	facts.pools = pools;
	facts.sight.preloaded = facts.sight.worker = true;
	facts.sight.logs_fatal = facts.sight.track_transactions = facts.sight.all = true;
	facts.sight.sample_interval = 1;
}

static PmonUseFacts *
use(const char *application_name, PmonUse what, int sessions, double age)
{
	PmonMoment *now = &facts.moments[0];
	PmonUseFacts *to = &uses[now->nuses++];

	memset(to, 0, sizeof(*to));
	snprintf(to->application_name, NAMEDATALEN, "%s", application_name);
	strcpy(to->usename, "web");
	strcpy(to->datname, "shop");
	to->pool = -1;
	to->use = what;
	to->sessions = sessions;
	to->oldest = to->newest = age;
	to->settled = age >= pmon_settling_time(facts.leak_threshold) ? sessions : 0;
	to->aged = age >= facts.leak_threshold ? sessions : 0;
	to->pid = 4711;
	now->connections += sessions;
	now->exhausted = now->connections >= facts.slots;
	return to;
}

static PmonRootFacts *
root(const char *application_name, PmonUse what, int blocks, double longest_wait)
{
	PmonRootFacts *to = &roots[facts.moments[0].nroots++];

	memset(to, 0, sizeof(*to));
	to->pid = 815;
	snprintf(to->application_name, NAMEDATALEN, "%s", application_name);
	strcpy(to->usename, "web");
	to->use = what;
	to->age = longest_wait;
	to->blocks = blocks;
	to->longest_wait = longest_wait;
	return to;
}

/* A pool of size + overflow, in one instance */
static PmonPoolFacts *
pool(const char *name, int size, int overflow)
{
	PmonPoolFacts *to = &pools[facts.npools++];

	memset(to, 0, sizeof(*to));
	snprintf(to->name, NAMEDATALEN, "%s", name);
	to->size = size + overflow;
	to->capacity = size + overflow;
	to->kept = size;
	to->instances = to->clients = 1;
	to->full_fraction = to->p99_checked_out = to->recommended = PMON_UNKNOWN;
	to->peak_checked_out = to->ended_ago = to->closes_idle = PMON_UNKNOWN;
	to->silent = 0;
	return to;
}

/* The finding of that code, or NULL; diagnoses */
static const PmonFinding *
find(PmonFindingCode code)
{
	pmon_diagnose(&facts, &found);
	for (int i = 0; i < found.nfindings; i++)
	{
		if (found.findings[i].code == code)
			return &found.findings[i];
	}
	return NULL;
}

static void
finds(PmonFindingCode code, PmonSeverity severity, const char *fact)
{
	const PmonFinding *finding = find(code);

	if (!ok(finding != NULL && finding->severity == severity, "%s", fact))
		printf("# got %s, the first one is %s\n", finding != NULL ?
			   pmon_severity_names[finding->severity] : "nothing",
			   pmon_finding_name(found.findings[0].code));
}

static void
finds_not(PmonFindingCode code, const char *fact)
{
	const PmonFinding *finding = find(code);

	if (!ok(finding == NULL, "%s", fact))
		printf("# got %s\n", finding->evidence);
}

static void
is_first(PmonFindingCode code, const char *fact)
{
	pmon_diagnose(&facts, &found);
	is_str(pmon_finding_name(found.findings[0].code), pmon_finding_name(code), fact);
}

static void
says(PmonFindingCode code, const char *text)
{
	const PmonFinding *finding = find(code);

	if (!ok(finding != NULL &&
			(strstr(finding->evidence, text) != NULL || strstr(finding->remedy, text) != NULL),
			"%s says: %s", pmon_finding_name(code), text) && finding != NULL)
		printf("# %s | %s\n", finding->evidence, finding->remedy);
}

static void
test_words(void)
{
	char text[	PMON_LITERAL_BYTES];
	char		cut[8] = "";
	char		name[PMON_SUBJECT_BYTES + 10];

	is_str(pmon_age_text(0.45, text), "450 ms", "an age in milliseconds");
	is_str(pmon_age_text(59.9, text), "59 s", "in seconds");
	is_str(pmon_age_text(458, text), "7 min 38 s", "in minutes");
	is_str(pmon_age_text(7199, text), "1 h 59 min", "in hours");
	is_str(pmon_age_text(100000, text), "1 d 3 h", "in days");
	is_str(pmon_age_text(-1, text), "0 ms", "none is negative");
	is_str(pmon_rate_text(1.25, text), "1.2", "a rate of a few");
	is_str(pmon_rate_text(150, text), "150", "a rate of many");
	is_str(pmon_literal("it's", text), "'it''s'", "a name is a literal");
	memset(name, '\'', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	is_int(strlen(pmon_literal(name, text)), 2 * PMON_SUBJECT_BYTES + 2, "whatever is in it");
	pmon_append(cut, sizeof(cut), "%s", "12345");
	pmon_append(cut, sizeof(cut), "%s", "6789");
	is_str(cut, "1234567", "a text is cut to its size");
	for (int i = 0; i < PMON_FINDING_CODES; i++)
		ok(pmon_finding_name(i) != NULL && pmon_finding_reference(i) != NULL,
		   "code %d has words", i);
}

static void
test_healthy(void)
{
	healthy();
	use("web", PMON_USE_IDLE, 20, 10000);
	use("web", PMON_USE_BUSY, 20, 2);
	pmon_diagnose(&facts, &found);
	is_int(found.nfindings, 1, "a healthy server has one finding");
	is_first(PMON_FINDING_HEALTHY, "which says so");
	says(PMON_FINDING_HEALTHY, "40 of 100 connections");
	says(PMON_FINDING_HEALTHY, "0 logins were refused in it");
	facts.rejected = 1;
	says(PMON_FINDING_HEALTHY, "1 login was refused in it");
	facts.utilization_max = PMON_UNKNOWN;
	ok(strstr(find(PMON_FINDING_HEALTHY)->evidence, "refused") == NULL, "what was not read is not claimed");
	facts.sight.all = false;
	facts.sight.hidden = 3;
	says(PMON_FINDING_HEALTHY, "among those that you may see");
}

static void
test_leaks(void)
{
	PmonUseFacts *leak;

	healthy();
	leak = use("web", PMON_USE_IN_TRANSACTION, 1, 59.9);
	finds_not(PMON_FINDING_LEAK_IN_TRANSACTION, "one session just below the threshold is no leak");
	leak->aged = 1;
	finds(PMON_FINDING_LEAK_IN_TRANSACTION, PMON_WARNING, "from the threshold on it is");
	says(PMON_FINDING_LEAK_IN_TRANSACTION, "1 of the 1 connections of \"web\"");
	says(PMON_FINDING_LEAK_IN_TRANSACTION, "(pid 4711, role web, database shop)");
	strcpy(leak->application_name, "it's; DROP");
	says(PMON_FINDING_LEAK_IN_TRANSACTION, "application_name = 'it''s; DROP' shows");
	leak->deliberate = 1;
	finds(PMON_FINDING_LEAK_IN_TRANSACTION, PMON_NOTICE, "unless it has said that it needs that");
	says(PMON_FINDING_LEAK_IN_TRANSACTION, "this is meant");

	healthy();
	use("web", PMON_USE_IN_TRANSACTION, 24, 100);
	use("web", PMON_USE_IDLE, 71, 1);
	finds(PMON_FINDING_LEAK_IN_TRANSACTION, PMON_WARNING, "leaks of less than a fourth of a full server");
	uses[0].settled = uses[0].aged = 25;
	finds(PMON_FINDING_LEAK_IN_TRANSACTION, PMON_CRITICAL, "leaks of a fourth are critical");
	facts.moments[0].connections = 94;
	finds(PMON_FINDING_LEAK_IN_TRANSACTION, PMON_WARNING, "where the server is not full they are not");

	healthy();
	pool("p", 10, 20)->connections = 30;
	leak = use("web", PMON_USE_IN_TRANSACTION, 24, 45);
	leak->newest = 7;
	leak->pool = 0;
	use("web", PMON_USE_IDLE, 6, 1)->pool = 0;
	finds(PMON_FINDING_LEAK_IN_TRANSACTION, PMON_WARNING, "24 of 30 are told before the threshold");
	says(PMON_FINDING_LEAK_IN_TRANSACTION, "one more every 1 s");
	says(PMON_FINDING_LEAK_IN_TRANSACTION, "pool p can have 30 and has 30");
	says(PMON_FINDING_LEAK_IN_TRANSACTION, "less than leak_threshold (1 min 0 s)");
	leak->settled = 14;
	finds(PMON_FINDING_LEAK_IN_TRANSACTION, PMON_NOTICE, "less than half is a notice");
	leak->settled = 7;
	finds_not(PMON_FINDING_LEAK_IN_TRANSACTION, "less than a fourth is nothing yet");
	leak->settled = leak->sessions = 2;
	uses[1].sessions = 0;
	finds_not(PMON_FINDING_LEAK_IN_TRANSACTION, "nor are two");
	leak->settled = leak->sessions = 15;
	leak->aged = 1;
	finds(PMON_FINDING_LEAK_IN_TRANSACTION, PMON_CRITICAL, "a leak in a full pool is critical");

	healthy();
	use("web", PMON_USE_ABORTED, 2, 61);
	finds(PMON_FINDING_LEAK_ABORTED, PMON_WARNING, "failed transactions leak by their own name");
	finds_not(PMON_FINDING_LEAK_IN_TRANSACTION, "and by that alone");
	says(PMON_FINDING_LEAK_ABORTED, "in a transaction that has failed");

	healthy();
	use("report", PMON_USE_CLIENT, 1, 59);
	finds_not(PMON_FINDING_CLIENT_NOT_READING, "a client may take its time");
	uses[0].aged = 1;
	finds(PMON_FINDING_CLIENT_NOT_READING, PMON_WARNING, "but not for ever");
}

static void
test_not_returned(void)
{
	PmonPoolFacts *p;

	healthy();
	p = pool("p", 5, 10);
	p->connections = 15;
	p->idle_aged = 5;
	finds_not(PMON_FINDING_LEAK_NOT_RETURNED, "a pool may keep its size idle");
	p->idle_aged = 6;
	finds(PMON_FINDING_LEAK_NOT_RETURNED, PMON_WARNING, "one beyond it is held by somebody");
	says(PMON_FINDING_LEAK_NOT_RETURNED, "at least 1 of them checked out still");
	p->idle_aged = 15;
	says(PMON_FINDING_LEAK_NOT_RETURNED, "at least 10 of them checked out still");
	p->held_idle = 14;
	says(PMON_FINDING_LEAK_NOT_RETURNED, "14 were checked out when it opened another");
	p->checked_out = 15;
	finds(PMON_FINDING_LEAK_NOT_RETURNED, PMON_CRITICAL, "one that is full of them is dead");
	p->held_idle = p->checked_out = 0;
	p->closes_idle = 600;
	finds_not(PMON_FINDING_LEAK_NOT_RETURNED, "a pool that closes them later may have them");
	p->closes_idle = PMON_UNKNOWN;
	p->capacity = p->kept = p->size = 15;
	finds_not(PMON_FINDING_LEAK_NOT_RETURNED, "a pool without an overflow may be idle");
	p->peak_checked_out = 15;
	p->silent = 59;
	finds_not(PMON_FINDING_LEAK_NOT_RETURNED, "for a while also after it was full");
	p->silent = 60;
	finds(PMON_FINDING_LEAK_NOT_RETURNED, PMON_NOTICE, "but silence then is no health");
	says(PMON_FINDING_LEAK_NOT_RETURNED, "can not tell these apart");
	p->checked_out = 1;
	finds_not(PMON_FINDING_LEAK_NOT_RETURNED, "while something runs it is not silent");
	p->ended_checked_out = 2;
	p->ended_ago = 3601;
	finds_not(PMON_FINDING_LEAK_NOT_RETURNED, "ends of long ago are over");
	p->ended_ago = 3600;
	finds(PMON_FINDING_LEAK_NOT_RETURNED, PMON_NOTICE, "ends do not mend a client's pool");
	says(PMON_FINDING_LEAK_NOT_RETURNED, "2 sessions of pool p were ended");
	p->capacity = PMON_UNKNOWN;
	finds_not(PMON_FINDING_LEAK_NOT_RETURNED, "a mere policy has no pool");

	healthy();
	p = pool("p", 10, 0);
	p->connections = 8;
	p->closes_idle = 10;
	p->keeps_idle = 5;
	p->idle_expired = 5;
	finds_not(PMON_FINDING_LEAK_NOT_RETURNED, "a pool may keep some for ever");
	p->idle_expired = 6;
	finds(PMON_FINDING_LEAK_NOT_RETURNED, PMON_WARNING, "more are checked out");
	says(PMON_FINDING_LEAK_NOT_RETURNED, "keeps 5 of these: at least 1 of them are checked out");
	p->keeps_idle = 0;
	finds_not(PMON_FINDING_LEAK_NOT_RETURNED, "where it keeps none, the pool says nothing");
	use("web", PMON_USE_NOT_RETURNED, 6, 100)->pool = 0;
	finds(PMON_FINDING_LEAK_NOT_RETURNED, PMON_WARNING, "but its sessions do");
	says(PMON_FINDING_LEAK_NOT_RETURNED, "Pool p closes what is free for 10 s, so they are checked out");
	uses[0].aged = 0;
	finds_not(PMON_FINDING_LEAK_NOT_RETURNED, "from the threshold on");
}

static void
test_locks(void)
{
	PmonRootFacts *r;

	healthy();
	r = root("migration", PMON_USE_BUSY, 2, 59);
	finds_not(PMON_FINDING_LOCK_CONVOY, "two may wait for a while");
	r->longest_wait = 60;
	finds(PMON_FINDING_LOCK_CONVOY, PMON_WARNING, "but not for the threshold");
	r->blocks = 3;
	r->longest_wait = 5.9;
	finds_not(PMON_FINDING_LOCK_CONVOY, "three may for a shorter one");
	r->longest_wait = 6;
	finds(PMON_FINDING_LOCK_CONVOY, PMON_WARNING, "a tenth of it");
	says(PMON_FINDING_LOCK_CONVOY, "3 sessions wait for the locks of pid 815 of \"migration\"");
	says(PMON_FINDING_LOCK_CONVOY, "pg_cancel_backend(815)");
	r->use = PMON_USE_IN_TRANSACTION;
	says(PMON_FINDING_LOCK_CONVOY, "pool_monitor_terminate(815)");
	r->use = PMON_USE_IDLE;
	says(PMON_FINDING_LOCK_CONVOY, "pool_monitor_terminate(815, true)");
	facts.leak_threshold = 1;
	r->longest_wait = 0.9;
	finds_not(PMON_FINDING_LOCK_CONVOY, "never less than a second");

	healthy();
	use("web", PMON_USE_LOCK, 30, 20);
	use("web", PMON_USE_IDLE, 70, 1);
	root("web", PMON_USE_BUSY, 30, 20);
	finds(PMON_FINDING_LOCK_CONVOY, PMON_CRITICAL, "a convoy of a full server is critical");
	is_first(PMON_FINDING_LOCK_CONVOY, "and the first to be told");
	finds_not(PMON_FINDING_LONG_STATEMENTS, "those that wait run no long statement");

	healthy();
	facts.nprepared = 1;
	strcpy(facts.prepared[0].gid, "x'y");
	facts.prepared[0].age = 599;
	finds_not(PMON_FINDING_ORPHANED_PREPARED, "a prepared transaction may take a while");
	facts.prepared[0].age = 600;
	finds(PMON_FINDING_ORPHANED_PREPARED, PMON_NOTICE, "but not ten minutes");
	facts.prepared[0].blocks = 12;
	facts.prepared[0].age = 2.9;
	finds_not(PMON_FINDING_ORPHANED_PREPARED, "nor does it count what waits at once");
	facts.prepared[0].age = 3;
	finds(PMON_FINDING_ORPHANED_PREPARED, PMON_WARNING, "where others wait for it");
	says(PMON_FINDING_ORPHANED_PREPARED, "ROLLBACK PREPARED 'x''y'");
	says(PMON_FINDING_ORPHANED_PREPARED, "12 sessions wait");
}

static void
test_statements(void)
{
	PmonPoolFacts *p;

	healthy();
	use("batch", PMON_USE_BUSY, 30, 59);
	finds_not(PMON_FINDING_LONG_STATEMENTS, "statements may take a while");
	uses[0].aged = 30;
	finds(PMON_FINDING_LONG_STATEMENTS, PMON_NOTICE, "a batch is no fault");
	p = pool("p", 10, 0);
	p->connections = 10;
	uses[0].pool = 0;
	uses[0].aged = 2;
	finds(PMON_FINDING_LONG_STATEMENTS, PMON_NOTICE, "less than a fourth of a full pool");
	uses[0].aged = 3;
	finds(PMON_FINDING_LONG_STATEMENTS, PMON_CRITICAL, "more than that is what the others lack");
	p->connections = 9;
	finds(PMON_FINDING_LONG_STATEMENTS, PMON_NOTICE, "while there is one left they do not");
}

static void
test_server(void)
{
	PmonUseFacts *idle;

	healthy();
	idle = use("web", PMON_USE_IDLE, 80, 60);
	finds(PMON_FINDING_IDLE_PILE_UP, PMON_WARNING, "idle sessions pile up");
	says(PMON_FINDING_IDLE_PILE_UP, "80 of them of \"web\"");
	idle->aged = 49;
	finds_not(PMON_FINDING_IDLE_PILE_UP, "less than half does not");
	idle->aged = 80;
	facts.moments[0].connections = 79;
	finds_not(PMON_FINDING_IDLE_PILE_UP, "nor does what leaves room");
	facts.moments[0].connections = 95;
	finds(PMON_FINDING_IDLE_PILE_UP, PMON_CRITICAL, "it is critical where the server is full");
	idle->aged = 30;
	use("other", PMON_USE_IDLE, 30, 60);
	use("third", PMON_USE_IDLE, 30, 60);
	pmon_diagnose(&facts, &found);
	ok(find(PMON_FINDING_IDLE_PILE_UP)->subject[0] == '\0', "it is nobody's where nobody has half");

	healthy();
	use("web", PMON_USE_BUSY, 50, 1);
	use("other", PMON_USE_BUSY, 30, 1);
	finds(PMON_FINDING_APPLICATION_HOGS, PMON_NOTICE, "half of the server is a notice while nobody suffers");
	facts.rejected_by_server = 1;
	finds(PMON_FINDING_APPLICATION_HOGS, PMON_WARNING, "and a warning when a login was refused");
	facts.moments[0].connections = 95;
	finds(PMON_FINDING_APPLICATION_HOGS, PMON_CRITICAL, "and critical when the server is full");
	facts.moments[0].connections = 79;
	finds_not(PMON_FINDING_APPLICATION_HOGS, "with room for others it is its right");

	healthy();
	use("web", PMON_USE_BUSY, 94, 1);
	finds_not(PMON_FINDING_MAX_CONNECTIONS_TOO_LOW, "a server may be used well");
	uses[0].sessions = facts.moments[0].connections = 95;
	finds(PMON_FINDING_MAX_CONNECTIONS_TOO_LOW, PMON_NOTICE, "a full one is told");
	facts.rejected_by_server = 7;
	finds(PMON_FINDING_MAX_CONNECTIONS_TOO_LOW, PMON_WARNING, "more so after a refused login");
	says(PMON_FINDING_MAX_CONNECTIONS_TOO_LOW, "7 logins were refused");
	facts.moments[0].exhausted = true;
	finds(PMON_FINDING_MAX_CONNECTIONS_TOO_LOW, PMON_CRITICAL, "and when no slot is left");
	says(PMON_FINDING_MAX_CONNECTIONS_TOO_LOW, "95 of them work");

	healthy();
	use("", PMON_USE_STARTING, 2, 9);
	finds_not(PMON_FINDING_LOGINS_STUCK, "two logins may take a while");
	uses[0].oldest = 10;
	finds(PMON_FINDING_LOGINS_STUCK, PMON_WARNING, "but not ten seconds");
	uses[0].oldest = 3;
	uses[0].settled = 3;
	finds(PMON_FINDING_LOGINS_STUCK, PMON_WARNING, "three may not either");
	uses[0].settled = 25;
	finds(PMON_FINDING_LOGINS_STUCK, PMON_CRITICAL, "a fourth of the server is critical");
}

static void
test_pools(void)
{
	PmonPoolFacts *p;

	healthy();
	p = pool("p", 5, 5);
	p->checked_out = p->connections = 9;
	finds_not(PMON_FINDING_POOL_TOO_SMALL, "a pool with one left is not too small");
	p->checked_out = p->connections = 10;
	finds(PMON_FINDING_POOL_TOO_SMALL, PMON_NOTICE, "one that is full for now is told");
	says(PMON_FINDING_POOL_TOO_SMALL, "There is no history yet");
	p->held_idle = 4;
	says(PMON_FINDING_POOL_TOO_SMALL, "At least 4 of them run nothing");
	says(PMON_FINDING_POOL_TOO_SMALL, "Look first for code that keeps a connection");
	p->held_idle = 0;
	p->full_fraction = 0.29;
	p->recommended = 12;
	p->transactions = 5000;
	p->rate = 80;
	p->hold_mean = 0.12;
	finds(PMON_FINDING_POOL_TOO_SMALL, PMON_NOTICE, "one that is full now and then");
	p->full_fraction = 0.3;
	finds(PMON_FINDING_POOL_TOO_SMALL, PMON_CRITICAL, "one that is often, and would need more");
	says(PMON_FINDING_POOL_TOO_SMALL, "Give it 12 connections with its overflow, instead of 10");
	says(PMON_FINDING_POOL_TOO_SMALL, "80 transactions a second, each of which held a connection for 120 ms");
	facts.claimed = 98;
	finds(PMON_FINDING_POOL_TOO_SMALL, PMON_CRITICAL, "(with as many as the server has)");
	facts.claimed = 99;
	says(PMON_FINDING_POOL_TOO_SMALL, "the pools would claim 101");
	facts.claimed = 0;
	p->checked_out = 3;
	finds(PMON_FINDING_POOL_TOO_SMALL, PMON_WARNING, "one that was, and is not now");
	p->recommended = 10;
	finds(PMON_FINDING_POOL_TOO_SMALL, PMON_NOTICE, "one that would not need more");
	says(PMON_FINDING_POOL_TOO_SMALL, "they come in bursts");
	p->saturated = true;
	finds(PMON_FINDING_POOL_TOO_SMALL, PMON_WARNING, "one whose demand was not measured");
	says(PMON_FINDING_POOL_TOO_SMALL, "15 with its overflow instead of 10");

	healthy();
	p = pool("p", 10, 10);
	p->transactions = 1000;
	p->p99_checked_out = 3;
	p->peak_checked_out = 10;
	p->recommended = 10;
	p->connections = 10;
	finds(PMON_FINDING_POOL_OVERSIZED, PMON_NOTICE, "a pool of twice what it needs is oversized");
	finds_not(PMON_FINDING_POOL_MOSTLY_IDLE, "it is not idle, since it is not open");
	p->recommended = 11;
	finds_not(PMON_FINDING_POOL_OVERSIZED, "less than twice is room");
	p->recommended = 10;
	p->transactions = 999;
	finds_not(PMON_FINDING_POOL_OVERSIZED, "a few transactions say nothing");
	p->transactions = 1000;
	p->peak_checked_out = 11;
	finds_not(PMON_FINDING_POOL_OVERSIZED, "nor is it where more were in use");
	p->peak_checked_out = 5;
	p->connections = 20;
	finds(PMON_FINDING_POOL_MOSTLY_IDLE, PMON_NOTICE, "a pool that is open and idle");
	finds_not(PMON_FINDING_POOL_OVERSIZED, "is told once");
	p->p99_checked_out = 6;
	finds_not(PMON_FINDING_POOL_MOSTLY_IDLE, "unless it uses more than a fourth");

	healthy();
	p = pool("p", 10, 0);
	p->connections = 10;
	finds_not(PMON_FINDING_MORE_INSTANCES, "a pool has what it is declared with");
	p->connections = 11;
	p->clients = 2;
	finds(PMON_FINDING_MORE_INSTANCES, PMON_NOTICE, "more is more than declared");
	says(PMON_FINDING_MORE_INSTANCES, "come from 2 addresses");
	facts.moments[0].connections = 80;
	finds(PMON_FINDING_MORE_INSTANCES, PMON_WARNING, "which matters where the server is near its limit");

	healthy();
	pool("p", 10, 0);
	facts.claimed = 100;
	finds_not(PMON_FINDING_POOLS_OVERSUBSCRIBED, "pools may claim the server");
	facts.claimed = 101;
	finds(PMON_FINDING_POOLS_OVERSUBSCRIBED, PMON_NOTICE, "more than that is oversubscribed");
	facts.utilization_max = 0.8;
	finds(PMON_FINDING_POOLS_OVERSUBSCRIBED, PMON_WARNING, "which matters once it came near");
	facts.utilization_max = 0;
	facts.rejected_by_server = 1;
	finds(PMON_FINDING_POOLS_OVERSUBSCRIBED, PMON_WARNING, "or a login was refused");
}

static void
test_limits(void)
{
	PmonChurnFacts *churn;

	healthy();
	facts.nroles = facts.ndatabases = 1;
	strcpy(facts.roles[0].name, "joe");
	strcpy(facts.databases[0].name, "shop");
	facts.roles[0].rejected = facts.databases[0].rejected = 5;
	facts.roles[0].last_ago = facts.databases[0].last_ago = 3601;
	finds_not(PMON_FINDING_ROLE_LIMIT, "what was refused long ago is over");
	finds_not(PMON_FINDING_DATABASE_LIMIT, "also by a database");
	facts.roles[0].last_ago = facts.databases[0].last_ago = 3600;
	finds(PMON_FINDING_ROLE_LIMIT, PMON_WARNING, "the limit of a role");
	finds(PMON_FINDING_DATABASE_LIMIT, PMON_WARNING, "the limit of a database");
	says(PMON_FINDING_ROLE_LIMIT, "5 logins were refused by the CONNECTION LIMIT of role joe");
	says(PMON_FINDING_DATABASE_LIMIT, "pool_monitor_databases");

	healthy();
	churn = &facts.churn[facts.nchurn++];
	strcpy(churn->application_name, "php");
	churn->sessions = 100;
	churn->transactions = 200;
	churn->seconds = 200;
	churn->session_mean = 30;
	finds(PMON_FINDING_CONNECTION_CHURN, PMON_NOTICE, "sessions of two transactions are churn");
	churn->sessions = 2000;
	finds(PMON_FINDING_CONNECTION_CHURN, PMON_WARNING, "and a fault if ten come a second");
	churn->session_mean = 31;
	finds_not(PMON_FINDING_CONNECTION_CHURN, "unless they last");
	churn->session_mean = 30;
	churn->transactions = 4001;
	finds_not(PMON_FINDING_CONNECTION_CHURN, "or do more");
	churn->transactions = 100;
	churn->sessions = 100;
	churn->seconds = 201;
	finds_not(PMON_FINDING_CONNECTION_CHURN, "or are rare");
	churn->seconds = 100;
	churn->sessions = 99;
	finds_not(PMON_FINDING_CONNECTION_CHURN, "or few");

	healthy();
	facts.rejected = 100;
	facts.rejected_rate = 1;
	finds(PMON_FINDING_RETRY_STORM, PMON_WARNING, "many refused logins are a storm");
	facts.rejected = 99;
	finds_not(PMON_FINDING_RETRY_STORM, "fewer are not");
	facts.rejected = 100;
	facts.rejected_rate = 0.99;
	finds_not(PMON_FINDING_RETRY_STORM, "nor are those over a long time");
}

static void
test_sight(void)
{
	healthy();
	facts.sight.preloaded = false;
	finds(PMON_FINDING_SAMPLING_BLIND, PMON_NOTICE, "without the library there is no past");
	facts.sight.preloaded = true;
	facts.sight.worker = false;
	finds(PMON_FINDING_SAMPLING_BLIND, PMON_WARNING, "without a worker there is no sample");
	facts.sight.worker = true;
	facts.sight.sample_ago = 10;
	finds_not(PMON_FINDING_SAMPLING_BLIND, "it may be late");
	facts.sight.sample_ago = 10.1;
	finds(PMON_FINDING_SAMPLING_BLIND, PMON_WARNING, "but not stopped");
	healthy();
	facts.sight.disabled = 1;
	finds(PMON_FINDING_SAMPLING_BLIND, PMON_WARNING, "a session without a state");
	healthy();
	facts.sight.logs_fatal = false;
	finds(PMON_FINDING_SAMPLING_BLIND, PMON_WARNING, "refusals that nobody sees");
	healthy();
	facts.sight.track_transactions = false;
	finds(PMON_FINDING_SAMPLING_BLIND, PMON_NOTICE, "transactions that nobody counts");
	healthy();
	facts.sight.all = false;
	facts.sight.hidden = 3;
	finds_not(PMON_FINDING_SAMPLING_BLIND, "a healthy row says itself what it has not seen");
	use("web", PMON_USE_IN_TRANSACTION, 1, 60);
	finds(PMON_FINDING_SAMPLING_BLIND, PMON_NOTICE, "other ones have a row for that");
}

/* A leak of one session, those that wait behind it, and many that work */
static void
test_room(void)
{
	healthy();
	use("web", PMON_USE_BUSY, 35, 1);
	use("other", PMON_USE_BUSY, 38, 1);
	use("web", PMON_USE_LOCK, 14, 10);
	use("batch", PMON_USE_IN_TRANSACTION, 1, 100);
	root("batch", PMON_USE_IN_TRANSACTION, 14, 10);
	facts.moments[0].exhausted = true;
	facts.moments[0].connections = 94;
	is_first(PMON_FINDING_LEAK_IN_TRANSACTION, "without a leak and its victims there would be room: it comes first");
	ok(find(PMON_FINDING_LOCK_CONVOY)->explained, "it explains that they wait");
	ok(find(PMON_FINDING_MAX_CONNECTIONS_TOO_LOW)->explained, "and that the server is full");
	facts.moments[0].connections = 95;
	is_first(PMON_FINDING_MAX_CONNECTIONS_TOO_LOW, "not where it would be as good as full without them");
}

static void
test_explanations(void)
{
	PmonPoolFacts *p;
	PmonUseFacts *leak;

	/* a leak that fills a pool and the server */
	healthy();
	p = pool("p", 50, 50);
	p->checked_out = p->connections = 100;
	p->full_fraction = 1;
	p->saturated = true;
	facts.rejected_by_server = 500;
	facts.rejected = 500;
	facts.rejected_rate = 10;
	leak = use("web", PMON_USE_IN_TRANSACTION, 100, 100);
	leak->pool = 0;
	is_first(PMON_FINDING_LEAK_IN_TRANSACTION, "a leak comes before what it leads to");
	ok(find(PMON_FINDING_POOL_TOO_SMALL)->explained, "it explains that the pool is full");
	says(PMON_FINDING_POOL_TOO_SMALL, "Explained by leak_in_transaction of web.");
	says(PMON_FINDING_POOL_TOO_SMALL, "No size is recommended");
	ok(find(PMON_FINDING_MAX_CONNECTIONS_TOO_LOW)->explained, "and the server");
	ok(find(PMON_FINDING_RETRY_STORM)->explained, "and who tries again");
	ok(find(PMON_FINDING_APPLICATION_HOGS)->explained, "and who has them all");
	for (int i = 0; i < found.nfindings; i++)
		ok(strstr(found.findings[i].remedy, "Give it half") == NULL, "no size in row %d", i + 1);

	/* a leak of one session in a large pool */
	leak->sessions = leak->settled = leak->aged = 10;
	ok(find(PMON_FINDING_POOL_TOO_SMALL)->explained, "a tenth of a pool explains that it is full");
	leak->settled = leak->aged = 9;
	ok(!find(PMON_FINDING_POOL_TOO_SMALL)->explained, "less than that does not");

	/* a leak elsewhere */
	leak->pool = -1;
	leak->sessions = leak->settled = leak->aged = 3;
	pmon_diagnose(&facts, &found);
	ok(!find(PMON_FINDING_POOL_TOO_SMALL)->explained, "a leak elsewhere does not explain a pool");
	ok(!find(PMON_FINDING_RETRY_STORM)->explained, "nor three sessions a full server");

	/* a convoy that fills a pool */
	healthy();
	p = pool("p", 20, 0);
	p->checked_out = p->connections = 20;
	p->full_fraction = 1;
	p->recommended = 50;
	use("web", PMON_USE_LOCK, 20, 20)->pool = 0;
	use("billing", PMON_USE_IN_TRANSACTION, 1, 20);
	root("billing", PMON_USE_IN_TRANSACTION, 20, 20);
	is_first(PMON_FINDING_LOCK_CONVOY, "a convoy comes before the pool that it fills");
	ok(find(PMON_FINDING_LOCK_CONVOY)->severity == PMON_CRITICAL, "it is as bad as that");
	ok(find(PMON_FINDING_POOL_TOO_SMALL)->explained, "and explains it");
	uses[0].sessions = 4;
	ok(!find(PMON_FINDING_POOL_TOO_SMALL)->explained, "a few that wait do not");

	/* the root of the convoy has leaked */
	uses[0].sessions = 20;
	uses[1].aged = 1;
	is_first(PMON_FINDING_LEAK_IN_TRANSACTION, "a leak comes before the convoy behind it");
	ok(find(PMON_FINDING_LOCK_CONVOY)->explained, "and explains it");
}

/* An incident that is over */
static void
test_past(void)
{
	PmonMoment *past;

	healthy();
	use("web", PMON_USE_IDLE, 5, 1);
	past = &facts.moments[facts.nmoments++];
	memset(past, 0, sizeof(*past));
	strcpy(past->incident, "incident 7 (02:00 to 02:10)");
	past->exhausted = true;
	past->connections = 100;
	past->uses = past_uses;
	past->roots = past_roots;
	past->nuses = past->nroots = 1;
	past_uses[0] = (PmonUseFacts)
	{
		.application_name = "web",.pool = -1,.use = PMON_USE_LOCK,.sessions = 30,.settled = 30
	};
	past_roots[0] = (PmonRootFacts)
	{
		.pid = 3,.application_name = "billing",.use = PMON_USE_BUSY,.blocks = 30,.longest_wait = PMON_UNKNOWN
	};
	is_first(PMON_FINDING_LOCK_CONVOY, "last night's convoy has a verdict");
	says(PMON_FINDING_LOCK_CONVOY, "At the peak of incident 7 (02:00 to 02:10): 30 sessions wait");
	says(PMON_FINDING_LOCK_CONVOY, "pool_monitor_incident_holders");
	ok(find(PMON_FINDING_LOCK_CONVOY)->moment == 1, "which is of the past");
	ok(find(PMON_FINDING_MAX_CONNECTIONS_TOO_LOW)->explained, "and explains that the server was full");
	ok(found.findings[0].severity == PMON_WARNING, "which is not critical any more");
	past_uses[0].sessions = 60;
	ok(find(PMON_FINDING_APPLICATION_HOGS)->explained, "and that its victims had all slots");
	past_uses[0].sessions = 30;

	/* the same one still leaks */
	past_uses[0].use = PMON_USE_IN_TRANSACTION;
	past_uses[0].aged = 1;
	use("web", PMON_USE_IN_TRANSACTION, 1, 100);
	pmon_diagnose(&facts, &found);
	ok(find(PMON_FINDING_LEAK_IN_TRANSACTION)->moment == 0, "what there still is is told once, as of now");
}

/* More than fit */
static void
test_many(void)
{
	healthy();
	for (int i = 0; i < 50; i++)
	{
		char		name[NAMEDATALEN];

		snprintf(name, sizeof(name), "application %d", i);
		use(name, PMON_USE_IN_TRANSACTION, 1, 100);
	}
	pmon_diagnose(&facts, &found);
	is_int(found.nfindings, PMON_MAX_OF_CODE, "there is a bound to what is found of one kind");
	facts.sight.worker = false;
	finds(PMON_FINDING_SAMPLING_BLIND, PMON_WARNING, "which leaves room for others");
	for (int i = 1; i < found.nfindings; i++)
	{
		if (found.findings[i].severity > found.findings[i - 1].severity)
			ok(false, "they are in order");
	}
}

int
main(void)
{
	test_words();
	test_healthy();
	test_leaks();
	test_not_returned();
	test_locks();
	test_statements();
	test_server();
	test_pools();
	test_limits();
	test_sight();
	test_room();
	test_explanations();
	test_past();
	test_many();
	return tap_done();
}
