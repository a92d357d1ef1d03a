/*-------------------------------------------------------------------------
 *
 * diagnosis_limits.c
 *	  Rules about limits, logins, prepared transactions, and what is not seen.
 *
 * These need no history of sessions: they count what was refused, what comes
 * and goes, and what nobody looks after.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pure/diagnosis_rules.h"

/* A prepared transaction that is as old as that has been forgotten. */
#define OLD_PREPARED		600.0

/* Sessions that come and go: how many, how often a second, how short */
#define MANY_SESSIONS		100
#define OFTEN				0.5
#define VERY_OFTEN			10.0
#define SHORT_SESSION		30.0
#define FEW_TRANSACTIONS	2

/* Logins that were refused, and in the worst time how many a second */
#define MANY_REFUSED		100
#define REFUSED_OFTEN		1.0

/* So many intervals without a sample, and seconds, are no delay any more. */
#define MISSED_INTERVALS	10
#define MISSED_AT_LEAST		5.0

void
pmon_rule_orphaned_prepared(PMON_RULE_ARGS)
{
	for (int i = 0; i < facts->nprepared; i++)
	{
		const PmonPreparedFacts *prepared = &facts->prepared[i];
		char		age[PMON_AGE_BYTES];
		char		gid[PMON_LITERAL_BYTES];
		PmonFinding *finding;

		if (prepared->blocks == 0 && prepared->age < OLD_PREPARED)
			continue;
		if (prepared->blocks > 0 && prepared->age < pmon_settling_time(facts->leak_threshold))
			continue;
		finding = pmon_add_finding(findings, PMON_FINDING_ORPHANED_PREPARED,
								   prepared->blocks > 0 ? PMON_WARNING : PMON_NOTICE,
								   PMON_SUBJECT_PREPARED, prepared->gid);
		finding->connections = prepared->blocks;
		PmonEvidence(finding, "Transaction %s was prepared by %s in database %s %s ago and is neither committed nor rolled back. %d session%s wait%s for its locks, which no session holds any more.",
					 pmon_literal(prepared->gid, gid), prepared->usename, prepared->datname,
					 pmon_age_text(prepared->age, age), prepared->blocks,
					 PmonPlural(prepared->blocks), prepared->blocks == 1 ? "s" : "");
		PmonRemedy(finding, "Ask the transaction manager what it decided, then COMMIT PREPARED or ROLLBACK PREPARED %s in that database. If nobody uses them, set max_prepared_transactions = 0.",
				   gid);
	}
}

static void
add_limit(PmonFindings *findings, const PmonRefusedFacts *refused,
		  PmonFindingCode code, PmonSubjectType type, const char *word)
{
	PmonFinding *finding = pmon_add_finding(findings, code, PMON_WARNING, type, refused->name);
	char		age[PMON_AGE_BYTES];

	finding->connections = Min(refused->rejected, PG_INT32_MAX);
	PmonEvidence(finding, INT64_FORMAT " login%s refused by the CONNECTION LIMIT of %s %s, the last one %s ago. That is a limit of its own: the server may have slots.",
				 refused->rejected, refused->rejected == 1 ? " was" : "s were", word,
				 refused->name, pmon_age_text(refused->last_ago, age));
	PmonRemedy(finding, "SELECT * FROM pool_monitor_%ss shows the limit and who is near it. If its pools need more, ALTER %s ... CONNECTION LIMIT; if not, the limit has done what it is for: make the pools smaller.",
			   word, type == PMON_SUBJECT_ROLE ? "ROLE" : "DATABASE");
}

static void
add_limits(const PmonFacts *facts, PmonFindings *findings, const PmonRefusedFacts *refused,
		   int n, PmonFindingCode code, PmonSubjectType type, const char *word)
{
	for (int i = 0; i < n; i++)
	{
		if (refused[i].last_ago <= facts->since)
			add_limit(findings, &refused[i], code, type, word);
	}
}

void
pmon_rule_role_limit(PMON_RULE_ARGS)
{
	add_limits(facts, findings, facts->roles, facts->nroles,
			   PMON_FINDING_ROLE_LIMIT, PMON_SUBJECT_ROLE, "role");
}

void
pmon_rule_database_limit(PMON_RULE_ARGS)
{
	add_limits(facts, findings, facts->databases, facts->ndatabases,
			   PMON_FINDING_DATABASE_LIMIT, PMON_SUBJECT_DATABASE, "database");
}

void
pmon_rule_connection_churn(PMON_RULE_ARGS)
{
	for (int i = 0; i < facts->nchurn; i++)
	{
		const PmonChurnFacts *churn = &facts->churn[i];
		double		rate = churn->sessions / Max(churn->seconds, 1.0);
		char		age[PMON_AGE_BYTES];
		char		often[PMON_AGE_BYTES];
		PmonFinding *finding;

		if (churn->sessions < MANY_SESSIONS || rate < OFTEN ||
			churn->session_mean > SHORT_SESSION ||
			churn->transactions > churn->sessions * FEW_TRANSACTIONS)
			continue;
		finding = pmon_add_finding(findings, PMON_FINDING_CONNECTION_CHURN,
								   rate >= VERY_OFTEN ? PMON_WARNING : PMON_NOTICE,
								   PMON_SUBJECT_APPLICATION, churn->application_name);
		memcpy(finding->application_name, churn->application_name, NAMEDATALEN);
		PmonEvidence(finding, "\"%s\" has opened and closed " INT64_FORMAT " sessions, %s a second, for " INT64_FORMAT " transactions",
					 churn->application_name, churn->sessions, pmon_rate_text(rate, often),
					 churn->transactions);
		PmonEvidence(finding, "; they last %s on average. Each is a new process.",
					 pmon_age_text(churn->session_mean, age));
		PmonRemedy(finding, "Let it keep its connections: a pool in the application, persistent connections in its framework (CONN_MAX_AGE in Django), or PgBouncer.");
	}
}

void
pmon_rule_retry_storm(PMON_RULE_ARGS)
{
	bool		known = facts->rejected_application[0] != '\0';
	char		age[PMON_AGE_BYTES];
	char		rate[PMON_AGE_BYTES];
	PmonFinding *finding;

	if (facts->rejected < MANY_REFUSED || facts->rejected_rate < REFUSED_OFTEN)
		return;
	finding = pmon_add_finding(findings, PMON_FINDING_RETRY_STORM, PMON_WARNING,
							   known ? PMON_SUBJECT_APPLICATION : PMON_SUBJECT_SERVER,
							   facts->rejected_application);
	finding->connections = 0;
	PmonEvidence(finding, INT64_FORMAT " logins were refused within %s, up to %s a second",
				 facts->rejected, pmon_age_text(facts->since, age), pmon_rate_text(facts->rejected_rate, rate));
	if (known)
		PmonEvidence(finding, ", most of them of \"%s\"", facts->rejected_application);
	PmonEvidence(finding, ". Who is refused tries again at once, and each attempt costs the server a process.");
	PmonRemedy(finding, "Let clients wait between attempts, longer each time and not all alike; then look at what filled the server.");
}

static PmonFinding *
add_blind(PmonFindings *findings, PmonSeverity severity, const char *setting)
{
	return pmon_add_finding(findings, PMON_FINDING_SAMPLING_BLIND, severity,
							PMON_SUBJECT_SETTING, setting);
}

static void
blind_worker(const PmonSightFacts *sight, PmonFindings *findings)
{
	char		age[PMON_AGE_BYTES];
	PmonFinding *finding;

	if (!sight->preloaded)
	{
		finding = add_blind(findings, PMON_NOTICE, "shared_preload_libraries");
		PmonEvidence(finding, "The library is not preloaded, so there is no history: this is about now alone.");
		PmonRemedy(finding, "Add pool_monitor to shared_preload_libraries at the next restart.");
	}
	else if (!sight->worker)
	{
		finding = add_blind(findings, PMON_WARNING, "max_worker_processes");
		PmonEvidence(finding, "No background worker is running: nothing is sampled, no incident is recorded, and no session is ended by policy.");
		PmonRemedy(finding, "The server log says why. Raise max_worker_processes if it had no place; it is started again by itself.");
	}
	else if (sight->sample_ago > Max(sight->sample_interval * MISSED_INTERVALS, MISSED_AT_LEAST))
	{
		finding = add_blind(findings, PMON_WARNING, "pool_monitor.sample_interval");
		PmonEvidence(finding, "The last sample was taken %s ago: the background worker is stopped or gets no processor.",
					 pmon_age_text(sight->sample_ago, age));
		PmonRemedy(finding, "SELECT worker_pid FROM pool_monitor_info; what does the system say of that process?");
	}
}

void
pmon_rule_sampling_blind(PMON_RULE_ARGS)
{
	const PmonSightFacts *sight = &facts->sight;
	PmonFinding *finding;

	blind_worker(sight, findings);
	if (sight->disabled > 0)
	{
		finding = add_blind(findings, PMON_WARNING, "track_activities");
		PmonEvidence(finding, "%d session%s no state, since track_activities is off for %s: nobody can tell whether %s.",
					 sight->disabled, sight->disabled == 1 ? " shows" : "s show",
					 sight->disabled == 1 ? "it" : "them",
					 sight->disabled == 1 ? "it leaks" : "they leak");
		PmonRemedy(finding, "Set track_activities = on, which is its default, for the server, and look for ALTER ROLE or ALTER DATABASE that turn it off.");
	}
	if (!sight->logs_fatal)
	{
		finding = add_blind(findings, PMON_WARNING, "log_min_messages");
		PmonEvidence(finding, "log_min_messages keeps the server from reporting logins that it refuses: they are not counted.");
		PmonRemedy(finding, "Set log_min_messages to fatal or below.");
	}
	if (sight->preloaded && !sight->track_transactions)
	{
		finding = add_blind(findings, PMON_NOTICE, "pool_monitor.track_transactions");
		PmonEvidence(finding, "pool_monitor.track_transactions is off, so transactions are not counted: there is no load to take a size from.");
		PmonRemedy(finding, "Set it on, which is its default.");
	}
	if (!sight->all && sight->hidden > 0 && findings->nfindings > 0)
	{
		finding = add_blind(findings, PMON_NOTICE, "pg_read_all_stats");
		PmonEvidence(finding, "You may not see %d of the sessions, so only your own ones, and figures of pools and of the server, were looked at.",
					 sight->hidden);
		PmonRemedy(finding, "Ask as a member of pg_read_all_stats.");
	}
}
