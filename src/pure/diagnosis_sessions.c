/*-------------------------------------------------------------------------
 *
 * diagnosis_sessions.c
 *	  Rules about what sessions do with their connections at one moment.
 *
 * What a session has done for leak_threshold is what it will go on doing.  What
 * it has done for a while only may pass; but where that is so of half of the
 * connections that there are, it is told, with how fast it grows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pure/diagnosis_rules.h"

/* From how many on sessions are more than a few, where they are not aged */
#define MANY				3

/* Sessions that began so closely together, in seconds, began as one. */
#define SHORTEST_PACE		0.1

/* The share of the threshold after which a wait for a lock is not a short one */
#define WAIT_OF_THRESHOLD	10
#define SHORTEST_WAIT		1.0

/* Logins that take longer than that do not just wait for a processor */
#define LONG_LOGIN			10.0

static const char *
is_or_are(int sessions)
{
	return sessions == 1 ? "is" : "are";
}

/* Is that many a part of what there is: half (2), a fourth (4), of it? */
static bool
is_part(int64 sessions, int64 of, int part)
{
	return sessions > 0 && sessions * part >= of;
}

/*
 * How bad it is that sessions keep connections: critical where there are none
 * left that they compete for.
 */
static PmonSeverity
severity_of(const PmonFacts *facts, const PmonMoment *moment,
			const PmonUseFacts *use, int sessions)
{
	const PmonPoolFacts *pool = pmon_pool_of(facts, use->pool);
	bool		full = pmon_moment_is_full(facts, moment);

	if (pool != NULL && moment->incident[0] == '\0' &&
		pool->connections >= pool->capacity)
		full = true;
	return full && is_part(sessions, pmon_limit_of(facts, use->pool), 4) ?
		PMON_CRITICAL : PMON_WARNING;
}

static PmonFinding *
add_use(PMON_RULE_ARGS, PmonFindingCode code,
		PmonSeverity severity, const PmonUseFacts *use, int sessions)
{
	PmonFinding *finding = pmon_add_finding(findings, code, severity,
											PMON_SUBJECT_APPLICATION,
											use->application_name);

	finding->connections = sessions;
	finding->pool = use->pool;
	memcpy(finding->application_name, use->application_name, NAMEDATALEN);
	pmon_begin_evidence(finding, facts, moment);
	PmonEvidence(finding, "%d of the %d connections of \"%s\" ", sessions,
				 pmon_sessions_of(moment, use->application_name), use->application_name);
	return finding;
}

/* "the longest for 7 min 38 s (pid 17, role web, database shop)" */
static void
add_oldest(PmonFinding *finding, const PmonUseFacts *use)
{
	char		age[PMON_AGE_BYTES];

	PmonEvidence(finding, "the longest for %s (", pmon_age_text(use->oldest, age));
	if (use->pid > 0)
		PmonEvidence(finding, "pid %d, ", use->pid);
	PmonEvidence(finding, "role %s, database %s)", use->usename, use->datname);
}

static void
add_limit(PmonFinding *finding, const PmonFacts *facts, const PmonUseFacts *use)
{
	const PmonPoolFacts *pool = pmon_pool_of(facts, use->pool);

	if (pool != NULL)
		PmonEvidence(finding, "; pool %s can have " INT64_FORMAT " and has %d",
					 pool->name, pool->capacity, pool->connections);
	PmonEvidence(finding, ".");
}

/* It is too early to be sure, so the evidence says what speaks for it. */
static void
add_growing(PMON_RULE_ARGS, PmonFindingCode code,
			const PmonUseFacts *use, const char *what)
{
	bool		half = is_part(use->settled, pmon_limit_of(facts, use->pool), 2);
	PmonFinding *finding;
	char		age[PMON_AGE_BYTES];
	char		name[PMON_LITERAL_BYTES];

	if (use->settled < MANY ||
		!is_part(use->settled, pmon_sessions_of(moment, use->application_name), 4))
		return;
	finding = add_use(facts, moment, findings, code, half ? PMON_WARNING : PMON_NOTICE,
					  use, use->settled);
	PmonEvidence(finding, "%s %s, ", is_or_are(use->settled), what);
	add_oldest(finding, use);
	if (use->oldest - use->newest >= use->settled * SHORTEST_PACE)
		PmonEvidence(finding, ", and there is one more every %s",
					 pmon_age_text((use->oldest - use->newest) / (use->settled - 1), age));
	add_limit(finding, facts, use);
	PmonEvidence(finding, " That is less than leak_threshold (%s): it may be load that is slow, or a leak that grows.",
				 pmon_age_text(facts->leak_threshold, age));
	PmonRemedy(finding, "Ask again in %s: what is the same session then has leaked. SELECT pid, query FROM pool_monitor_sessions WHERE application_name = %s shows the last statements.",
			   age, pmon_literal(use->application_name, name));
}

/* Sessions that say themselves that they need it are no leak. */
static void
add_deliberate(PMON_RULE_ARGS,
			   PmonFindingCode code, const PmonUseFacts *use, const char *what)
{
	PmonFinding *finding = add_use(facts, moment, findings, code, PMON_NOTICE, use, use->aged);

	PmonEvidence(finding, "%s %s, ", is_or_are(use->aged), what);
	add_oldest(finding, use);
	PmonEvidence(finding, ". They have turned core's timeout off or exported a snapshot, as a backup does, so this is meant.");
	PmonRemedy(finding, "None, if it is a backup or the like; its locks and its snapshot last as long as it does.");
}

static void
leak_in_transaction(PMON_RULE_ARGS, const PmonUseFacts *use,
					PmonFindingCode code, const char *what)
{
	PmonFinding *finding;
	char		age[PMON_AGE_BYTES];
	char		name[PMON_LITERAL_BYTES];

	if (use->aged == 0)
	{
		add_growing(facts, moment, findings, code, use, what);
		return;
	}
	if (use->deliberate >= use->aged)
	{
		add_deliberate(facts, moment, findings, code, use, what);
		return;
	}
	finding = add_use(facts, moment, findings, code,
					  severity_of(facts, moment, use, use->settled), use, use->settled);
	PmonEvidence(finding, "%s %s, %d of them for more than %s, ", is_or_are(use->settled), what, use->aged,
				 pmon_age_text(facts->leak_threshold, age));
	add_oldest(finding, use);
	add_limit(finding, facts, use);
	if (finding->moment > 0)
		PmonRemedy(finding, "SELECT application_name, longest_transaction, query FROM pool_monitor_incident_holders() shows the last statement: find the code that runs it, and let it commit or roll back in every path.");
	else
		PmonRemedy(finding, "SELECT pid, transaction_age, query FROM pool_monitor_leaks WHERE application_name = %s shows the last statement: find the code that runs it, and let it commit or roll back in every path.",
				   pmon_literal(use->application_name, name));
	PmonRemedy(finding, " SELECT pool_monitor_terminate(pid) ends one now, pool_monitor.idle_in_transaction_timeout all from an age on. A larger pool only leaks for longer.");
}

static void
leaks_in_transaction(PMON_RULE_ARGS, PmonUse use, PmonFindingCode code, const char *what)
{
	for (int i = 0; i < moment->nuses; i++)
	{
		if (moment->uses[i].use == use)
			leak_in_transaction(facts, moment, findings, &moment->uses[i], code, what);
	}
}

void
pmon_rule_leak_in_transaction(PMON_RULE_ARGS)
{
	leaks_in_transaction(facts, moment, findings, PMON_USE_IN_TRANSACTION,
						 PMON_FINDING_LEAK_IN_TRANSACTION, "idle in a transaction");
}

void
pmon_rule_leak_aborted(PMON_RULE_ARGS)
{
	leaks_in_transaction(facts, moment, findings, PMON_USE_ABORTED,
						 PMON_FINDING_LEAK_ABORTED,
						 "idle in a transaction that has failed");
}

/*
 * What the client's pool would have closed if it were free.  The other traces of a
 * connection that is not returned are in diagnosis_pools.c.
 */
void
pmon_rule_leak_idle(PMON_RULE_ARGS)
{
	for (int i = 0; i < moment->nuses; i++)
	{
		const PmonUseFacts *use = &moment->uses[i];
		PmonFinding *finding;
		char		name[PMON_LITERAL_BYTES];
		char		age[PMON_AGE_BYTES];

		if (use->use != PMON_USE_NOT_RETURNED || use->aged == 0)
			continue;
		finding = add_use(facts, moment, findings, PMON_FINDING_LEAK_NOT_RETURNED,
						  severity_of(facts, moment, use, use->aged), use, use->aged);
		PmonEvidence(finding, "%s idle outside of a transaction, ", is_or_are(use->aged));
		add_oldest(finding, use);
		PmonEvidence(finding, ". Pool %s closes what is free for %s, so %s checked out",
					 facts->pools[use->pool].name,
					 pmon_age_text(facts->pools[use->pool].closes_idle, age),
					 use->aged == 1 ? "it is" : "they are");
		add_limit(finding, facts, use);
		PmonRemedy(finding, "SELECT pid, state_age, query FROM pool_monitor_leaks WHERE application_name = %s shows what each ran last: find the code that takes it and does not give it back in every path, or that waits for something else meanwhile. A restart of the application gives them back; ending sessions does not, since its pool counts them as checked out.",
				   pmon_literal(use->application_name, name));
	}
}

void
pmon_rule_client_not_reading(PMON_RULE_ARGS)
{
	for (int i = 0; i < moment->nuses; i++)
	{
		const PmonUseFacts *use = &moment->uses[i];
		PmonFinding *finding;

		if (use->use != PMON_USE_CLIENT || use->aged == 0)
			continue;
		finding = add_use(facts, moment, findings, PMON_FINDING_CLIENT_NOT_READING,
						  severity_of(facts, moment, use, use->aged), use, use->aged);
		PmonEvidence(finding, "run%s a statement that waits for its client, which does not read the result or does not send what it announced, ",
					 use->aged == 1 ? "s" : "");
		add_oldest(finding, use);
		add_limit(finding, facts, use);
		PmonRemedy(finding, "The server waits for the client, not the client for the server: look at what \"%s\" does between two rows, or whether its host is reachable. A LIMIT or a cursor that is closed early frees the connection; tcp_user_timeout ends clients that are gone.",
				   use->application_name);
	}
}

/* What the root of a convoy does, in words */
static const char *
root_does(PmonUse use)
{
	switch (use)
	{
		case PMON_USE_IN_TRANSACTION:
			return "idle in a transaction";
		case PMON_USE_ABORTED:
			return "idle in a failed transaction";
		case PMON_USE_IDLE:
			return "idle, with an advisory lock";
		case PMON_USE_CLIENT:
			return "waiting for its client";
		default:
			return "running a statement";
	}
}

static void
lock_convoy(PMON_RULE_ARGS, const PmonRootFacts *root)
{
	PmonSeverity severity = pmon_moment_is_full(facts, moment) &&
	is_part(root->blocks, facts->slots, 4) ? PMON_CRITICAL : PMON_WARNING;
	char		subject[32];
	char		age[PMON_AGE_BYTES];
	PmonFinding *finding;

	snprintf(subject, sizeof(subject), "%d", root->pid);
	finding = pmon_add_finding(findings, PMON_FINDING_LOCK_CONVOY, severity,
							   PMON_SUBJECT_SESSION, subject);
	finding->connections = root->blocks + 1;
	memcpy(finding->application_name, root->application_name, NAMEDATALEN);
	pmon_begin_evidence(finding, facts, moment);
	PmonEvidence(finding, "%d session%s wait%s for the locks of pid %d of \"%s\" (role %s), which is %s for %s",
				 root->blocks, PmonPlural(root->blocks), root->blocks == 1 ? "s" : "",
				 root->pid, root->application_name, root->usename,
				 root_does(root->use), pmon_age_text(root->age, age));
	if (root->longest_wait >= 0)
		PmonEvidence(finding, "; the longest wait is %s", pmon_age_text(root->longest_wait, age));
	PmonEvidence(finding, ". Those that wait are its victims, however long they take.");

	if (finding->moment > 0)
		PmonRemedy(finding, "SELECT pid, blocks, query FROM pool_monitor_incident_holders() WHERE blocks > 0 has its last statement.");
	else if (root->use == PMON_USE_BUSY)
		PmonRemedy(finding, "SELECT pg_cancel_backend(%d) cancels its statement, if that can be given up.", root->pid);
	else
		PmonRemedy(finding, "SELECT pool_monitor_terminate(%d%s) ends it without cutting a statement.",
				   root->pid, root->use == PMON_USE_IDLE ? ", true" : "");
	PmonRemedy(finding, " Set lock_timeout in whatever takes strong locks, such as migrations, and keep transactions short.");
}

void
pmon_rule_lock_convoy(PMON_RULE_ARGS)
{
	double		a_while = Max(facts->leak_threshold / WAIT_OF_THRESHOLD, SHORTEST_WAIT);

	for (int i = 0; i < moment->nroots; i++)
	{
		const PmonRootFacts *root = &moment->roots[i];
		bool		many = root->blocks >= MANY;
		bool		unknown = root->longest_wait < 0;

		if (many ? (unknown || root->longest_wait >= a_while) :
			(root->blocks > 0 && root->longest_wait >= facts->leak_threshold))
			lock_convoy(facts, moment, findings, root);
	}
}

/*
 * Statements that take long may be all that a database is for, so they are worth
 * a warning only where they have what others are short of.
 */
void
pmon_rule_long_statements(PMON_RULE_ARGS)
{
	for (int i = 0; i < moment->nuses; i++)
	{
		const PmonUseFacts *use = &moment->uses[i];
		PmonSeverity severity;
		PmonFinding *finding;
		char		age[PMON_AGE_BYTES];

		if (use->use != PMON_USE_BUSY || use->aged == 0)
			continue;
		severity = severity_of(facts, moment, use, use->aged);
		finding = add_use(facts, moment, findings, PMON_FINDING_LONG_STATEMENTS,
						  severity == PMON_CRITICAL ? PMON_CRITICAL : PMON_NOTICE,
						  use, use->aged);
		PmonEvidence(finding, "run%s a statement for more than %s, and wait%s neither for a lock nor for the client, ",
					 use->aged == 1 ? "s" : "", pmon_age_text(facts->leak_threshold, age),
					 use->aged == 1 ? "s" : "");
		add_oldest(finding, use);
		add_limit(finding, facts, use);
		PmonRemedy(finding, "SELECT pid, query FROM pool_monitor_leaks WHERE leak_suspect = 'long transaction' shows them; EXPLAIN tells why they take long. Work that takes minutes belongs in a pool of its own, so that it can not use up the one that requests need; statement_timeout bounds it.");
	}
}

/* The application that has most of one use, or of all, and how many */
static const char *
most_of(const PmonMoment *moment, bool idle_only, int *sessions, int *pool)
{
	const char *most = NULL;

	*sessions = 0;
	for (int i = 0; i < moment->nuses; i++)
	{
		const char *name = moment->uses[i].application_name;
		int			n = 0;

		if (idle_only)
			n = moment->uses[i].use == PMON_USE_IDLE ? moment->uses[i].aged : 0;
		else
			n = pmon_sessions_of(moment, name);
		if (n > *sessions)
		{
			*sessions = n;
			most = name;
			*pool = moment->uses[i].pool;
		}
	}
	return most;
}

void
pmon_rule_idle_pile_up(PMON_RULE_ARGS)
{
	int			idle = 0;
	int			most_idle;
	int			pool = -1;
	const char *most = most_of(moment, true, &most_idle, &pool);
	bool		has_most;
	char		age[PMON_AGE_BYTES];
	PmonFinding *finding;

	for (int i = 0; i < moment->nuses; i++)
	{
		if (moment->uses[i].use == PMON_USE_IDLE)
			idle += moment->uses[i].aged;
	}
	if (!is_part(idle, facts->slots, 2) ||
		!pmon_moment_is_above(facts, moment, facts->warning_threshold))
		return;

	has_most = is_part(most_idle, idle, 2);
	finding = pmon_add_finding(findings, PMON_FINDING_IDLE_PILE_UP,
							   pmon_moment_is_full(facts, moment) ? PMON_CRITICAL : PMON_WARNING,
							   has_most ? PMON_SUBJECT_APPLICATION : PMON_SUBJECT_SERVER,
							   has_most ? most : "");
	finding->connections = idle;
	if (has_most)
		memcpy(finding->application_name, most, NAMEDATALEN);
	pmon_begin_evidence(finding, facts, moment);
	PmonEvidence(finding, "%d of the %d connections that there are slots for have been idle for more than %s",
				 idle, facts->slots, pmon_age_text(facts->leak_threshold, age));
	if (most != NULL)
		PmonEvidence(finding, ", %d of them of \"%s\"", most_idle, most);
	PmonEvidence(finding, ". Pools keep more open than they use, or clients do not close what they opened; the server can not see which of them a client counts as checked out.");
	PmonRemedy(finding, "SELECT * FROM pool_monitor_terminate_idle('10min') shows which could be ended; pool_monitor.idle_timeout ends them by policy. Make pools keep fewer connections, or share them with PgBouncer in transaction mode.");
}

void
pmon_rule_application_hogs(PMON_RULE_ARGS)
{
	int			held;
	int			pool = -1;
	const char *most = most_of(moment, false, &held, &pool);
	bool		full = pmon_moment_is_full(facts, moment);
	bool		suffering = moment->exhausted || facts->rejected_by_server > 0;
	PmonFinding *finding;

	if (most == NULL || !is_part(held, facts->slots, 2) ||
		!pmon_moment_is_above(facts, moment, facts->warning_threshold))
		return;
	finding = pmon_add_finding(findings, PMON_FINDING_APPLICATION_HOGS,
							   !suffering ? PMON_NOTICE : full ? PMON_CRITICAL : PMON_WARNING,
							   PMON_SUBJECT_APPLICATION, most);
	finding->connections = held;
	finding->pool = pool;
	memcpy(finding->application_name, most, NAMEDATALEN);
	pmon_begin_evidence(finding, facts, moment);
	PmonEvidence(finding, "\"%s\" has %d of the %d connections that there are slots for, all others %d together.",
				 most, held, facts->slots, moment->connections - held);
	if (pmon_pool_of(facts, pool) != NULL)
		PmonEvidence(finding, " Its pool %s is declared with " INT64_FORMAT ".",
					 facts->pools[pool].name, facts->pools[pool].capacity);
	if (!suffering)
		PmonEvidence(finding, " No login was refused for that so far.");
	PmonRemedy(finding, "Give it a role of its own with a CONNECTION LIMIT, so that others get in whatever it does, and a smaller pool: SELECT * FROM pool_monitor_sizing() says which.");
}

/* Sessions that work, or have only just begun not to */
static int
working_sessions(const PmonMoment *moment)
{
	int			working = 0;

	for (int i = 0; i < moment->nuses; i++)
	{
		const PmonUseFacts *use = &moment->uses[i];

		if (use->use == PMON_USE_BUSY)
			working += use->sessions;
		else if (use->use == PMON_USE_IN_TRANSACTION)
			working += use->sessions - use->settled;
	}
	return working;
}

void
pmon_rule_max_connections(PMON_RULE_ARGS)
{
	int			working = working_sessions(moment);
	bool		refused = moment->exhausted || facts->rejected_by_server > 0;
	PmonFinding *finding;

	if (!pmon_moment_is_full(facts, moment))
		return;
	finding = pmon_add_finding(findings, PMON_FINDING_MAX_CONNECTIONS_TOO_LOW,
							   moment->exhausted ? PMON_CRITICAL :
							   refused ? PMON_WARNING : PMON_NOTICE,
							   PMON_SUBJECT_SERVER, "");
	finding->connections = moment->connections;
	pmon_begin_evidence(finding, facts, moment);
	PmonEvidence(finding, "%d of the %d connections that there are slots for are open, and %d of them work.",
				 moment->connections, facts->slots, working);
	if (facts->rejected_by_server > 0)
		PmonEvidence(finding, " " INT64_FORMAT " login%s refused since there was no slot.",
					 facts->rejected_by_server, facts->rejected_by_server == 1 ? " was" : "s were");
	if (!is_part(working, facts->slots, 2))
		PmonEvidence(finding, " Most of them do not, so more slots would not be used better.");
	PmonRemedy(finding, "If they work and the processors do not, raise max_connections (%d now; it takes a restart). Else queue in front of the server: PgBouncer in transaction mode, or smaller pools. SELECT * FROM pool_monitor_capacity shows what the pools may ask for.",
			   facts->max_connections);
}

void
pmon_rule_logins_stuck(PMON_RULE_ARGS)
{
	int			stuck = 0;
	double		oldest = 0;
	char		age[PMON_AGE_BYTES];
	PmonFinding *finding;

	for (int i = 0; i < moment->nuses; i++)
	{
		if (moment->uses[i].use != PMON_USE_STARTING)
			continue;
		stuck += moment->uses[i].settled;
		oldest = Max(oldest, moment->uses[i].oldest);
	}
	if (stuck == 0 || (stuck < MANY && oldest < LONG_LOGIN))
		return;
	finding = pmon_add_finding(findings, PMON_FINDING_LOGINS_STUCK,
							   is_part(stuck, facts->slots, 4) ? PMON_CRITICAL : PMON_WARNING,
							   PMON_SUBJECT_SERVER, "");
	finding->connections = stuck;
	pmon_begin_evidence(finding, facts, moment);
	PmonEvidence(finding, "%d login%s been authenticated and %s not ready, the longest for %s. Each has a slot meanwhile.",
				 stuck, stuck == 1 ? " has" : "s have", stuck == 1 ? "is" : "are",
				 pmon_age_text(oldest, age));
	PmonRemedy(finding, "Logins wait for a lock on a catalog (VACUUM FULL, REINDEX or LOCK TABLE on one: see pg_locks), for a login trigger, or for a processor. Whoever holds the lock is in pool_monitor_sessions with the most blocks.");
}
