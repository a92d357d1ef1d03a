/*-------------------------------------------------------------------------
 *
 * diagnosis.c
 *	  What is wrong with the connections: the table of rules, and what
 *	  explains what.
 *
 * See diagnosis.h.  A cause explains an effect if it is in its place: a tenth of a
 * pool, leaked, explains that this pool is full; whatever has a fourth of the
 * server's slots explains that these run out, as do leaks and locks without
 * which there would be room.  What is explained is no reason to do anything of
 * its own, so its remedy is to mend the cause first.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pure/diagnosis_rules.h"

/* From which share of what is at stake on one finding explains another one */
#define EXPLAINS_FROM		4	/* a fourth */
#define EXPLAINS_POOL_FROM	10	/* a tenth of its own pool */

/* The shortest while, in seconds, and its share of leak_threshold */
#define SHORTEST_WHILE		1.0
#define WHILE_OF_THRESHOLD	20

static const struct
{
	PmonRule	rule;
	bool		any_moment;		/* it looks at incidents, too */
}			rules[] = {
	{pmon_rule_orphaned_prepared, false},
	{pmon_rule_leak_in_transaction, true},
	{pmon_rule_leak_aborted, true},
	{pmon_rule_leak_idle, false},
	{pmon_rule_leak_not_returned, false},
	{pmon_rule_client_not_reading, true},
	{pmon_rule_lock_convoy, true},
	{pmon_rule_long_statements, true},
	{pmon_rule_more_instances, false},
	{pmon_rule_idle_pile_up, true},
	{pmon_rule_application_hogs, true},
	{pmon_rule_pools_oversubscribed, false},
	{pmon_rule_pool_too_small, false},
	{pmon_rule_max_connections, true},
	{pmon_rule_logins_stuck, true},
	{pmon_rule_connection_churn, false},
	{pmon_rule_retry_storm, false},
	{pmon_rule_role_limit, false},
	{pmon_rule_database_limit, false},
	{pmon_rule_pool_oversized, false},
	{pmon_rule_pool_mostly_idle, false},
	{pmon_rule_sampling_blind, false}
};

double
pmon_settling_time(double leak_threshold)
{
	return Max(leak_threshold / WHILE_OF_THRESHOLD, SHORTEST_WHILE);
}

bool
pmon_moment_is_above(const PmonFacts *facts, const PmonMoment *moment, int percent)
{
	return (int64) moment->connections * 100 >= (int64) percent * facts->slots;
}

bool
pmon_moment_is_full(const PmonFacts *facts, const PmonMoment *moment)
{
	return moment->exhausted ||
		pmon_moment_is_above(facts, moment, facts->critical_threshold);
}

const PmonPoolFacts *
pmon_pool_of(const PmonFacts *facts, int pool)
{
	return pool >= 0 && facts->pools[pool].capacity > 0 ? &facts->pools[pool] : NULL;
}

int64
pmon_limit_of(const PmonFacts *facts, int pool)
{
	const PmonPoolFacts *of = pmon_pool_of(facts, pool);

	return of != NULL ? Min(of->capacity, facts->slots) : facts->slots;
}

int
pmon_sessions_of(const PmonMoment *moment, const char *application_name)
{
	int			sessions = 0;

	for (int i = 0; i < moment->nuses; i++)
	{
		if (strcmp(moment->uses[i].application_name, application_name) == 0)
			sessions += moment->uses[i].sessions;
	}
	return sessions;
}

void
pmon_begin_evidence(PmonFinding *finding, const PmonFacts *facts,
					const PmonMoment *moment)
{
	finding->moment = moment - facts->moments;
	if (finding->moment == 0)
		return;

	/* nothing that is over is critical any more */
	finding->severity = Min(finding->severity, PMON_WARNING);
	PmonEvidence(finding, "At the peak of %s: ", moment->incident);
}

/*
 * What explains what
 */

static bool
is_limit(const PmonFinding *finding)
{
	return finding->code == PMON_FINDING_ROLE_LIMIT ||
		finding->code == PMON_FINDING_DATABASE_LIMIT;
}

static bool
is_cause(const PmonFinding *finding)
{
	return finding->severity > PMON_NOTICE &&
		(finding->code <= PMON_FINDING_IDLE_PILE_UP || is_limit(finding));
}

/* Of one application, or of the pool that it is in? */
static bool
is_same_subject(const PmonFinding *cause, const PmonFinding *effect)
{
	if (effect->pool >= 0 && cause->pool == effect->pool)
		return true;
	return effect->application_name[0] != '\0' &&
		strcmp(cause->application_name, effect->application_name) == 0;
}

static bool
is_about_locks(const PmonFinding *cause)
{
	return cause->code == PMON_FINDING_LOCK_CONVOY ||
		cause->code == PMON_FINDING_ORPHANED_PREPARED;
}

/* Has it enough of the pool, or of the server, to be what the others lack? */
static bool
takes_away(const PmonFacts *facts, const PmonFinding *cause, const PmonFinding *effect)
{
	return is_same_subject(cause, effect) &&
		(int64) cause->connections * EXPLAINS_POOL_FROM >=
		pmon_limit_of(facts, effect->pool);
}

/* Does enough of a pool or an application wait for locks? */
static bool
is_waiting(const PmonFacts *facts, const PmonFinding *effect)
{
	const PmonMoment *moment = &facts->moments[effect->moment];
	int			waiting = 0;

	for (int i = 0; i < moment->nuses; i++)
	{
		const PmonUseFacts *use = &moment->uses[i];

		if (use->use == PMON_USE_LOCK &&
			(effect->pool >= 0 ? use->pool == effect->pool :
			 strcmp(use->application_name, effect->application_name) == 0))
			waiting += use->sessions;
	}
	return waiting > 0 &&
		waiting * EXPLAINS_FROM >= pmon_limit_of(facts, effect->pool);
}

/* Does it keep sessions from their work: its own, or those of its victims? */
static bool
is_holding(const PmonFinding *cause)
{
	return cause->code == PMON_FINDING_LEAK_IN_TRANSACTION ||
		cause->code == PMON_FINDING_LEAK_ABORTED ||
		cause->code == PMON_FINDING_CLIENT_NOT_READING ||
		cause->code == PMON_FINDING_LOCK_CONVOY;
}

/*
 * Would the server have room at that moment without all such causes together?
 * Of a convoy only its victims count here, since its root may be a leak.
 */
static bool
would_have_room(const PmonFacts *facts, const PmonFindings *findings, int at)
{
	PmonMoment	moment = facts->moments[at];

	for (int i = 0; i < findings->nfindings; i++)
	{
		const PmonFinding *cause = &findings->findings[i];

		if (cause->moment == at && is_cause(cause) && is_holding(cause))
			moment.connections -= cause->connections -
				(cause->code == PMON_FINDING_LOCK_CONVOY);
	}
	return !pmon_moment_is_above(facts, &moment, facts->warning_threshold);
}

/* Has it what the server lacks: a fourth of all slots, or with others enough? */
static bool
fills_server(const PmonFacts *facts, const PmonFindings *findings,
			 const PmonFinding *cause)
{
	return cause->connections * EXPLAINS_FROM >= facts->slots ||
		(is_holding(cause) && would_have_room(facts, findings, cause->moment));
}

static bool
explains(const PmonFacts *facts, const PmonFindings *findings,
		 const PmonFinding *cause, const PmonFinding *effect)
{
	if (!is_cause(cause) || cause->code >= effect->code ||
		cause->moment != effect->moment)
		return false;
	switch (effect->code)
	{
		case PMON_FINDING_LOCK_CONVOY:
			return (cause->code == PMON_FINDING_LEAK_IN_TRANSACTION ||
					cause->code == PMON_FINDING_LEAK_ABORTED ||
					cause->code == PMON_FINDING_CLIENT_NOT_READING) &&
				is_same_subject(cause, effect);
		case PMON_FINDING_IDLE_PILE_UP:
			return cause->code == PMON_FINDING_MORE_INSTANCES;
		case PMON_FINDING_POOL_TOO_SMALL:
		case PMON_FINDING_APPLICATION_HOGS:
			return takes_away(facts, cause, effect) ||
				(is_about_locks(cause) && is_waiting(facts, effect));
		case PMON_FINDING_LOGINS_STUCK:
			return is_about_locks(cause);
		case PMON_FINDING_RETRY_STORM:
			if (is_limit(cause))
				return (int64) cause->connections * EXPLAINS_FROM >= facts->rejected;
			return fills_server(facts, findings, cause);
		case PMON_FINDING_MAX_CONNECTIONS_TOO_LOW:
			return !is_limit(cause) && fills_server(facts, findings, cause);
		default:
			return false;
	}
}

/* The cause is as bad as what it leads to, and that needs no remedy itself. */
static void
explain(PmonFinding *cause, PmonFinding *effect)
{
	effect->explained = true;
	cause->severity = Max(cause->severity, effect->severity);
	PmonEvidence(effect, " Explained by %s%s%s.", pmon_finding_name(cause->code),
				 cause->subject[0] != '\0' ? " of " : "", cause->subject);

	/*
	 * to end the root of a convoy helps at once, whatever else is to be
	 * mended
	 */
	if (effect->code == PMON_FINDING_LOCK_CONVOY)
		return;
	effect->remedy[0] = '\0';
	PmonRemedy(effect, "Mend %s first, then ask again.", pmon_finding_name(cause->code));
	if (effect->code == PMON_FINDING_POOL_TOO_SMALL)
		PmonRemedy(effect, " No size is recommended while there is that: more connections would be lost to it as well.");
}

/* Each is explained by the first cause that can, before what it explains. */
static void
conclude(const PmonFacts *facts, PmonFindings *findings)
{
	pmon_sort_findings(findings);
	for (int i = 0; i < findings->nfindings; i++)
	{
		PmonFinding *effect = &findings->findings[i];

		for (int j = 0; j < findings->nfindings && !effect->explained; j++)
		{
			if (explains(facts, findings, &findings->findings[j], effect))
				explain(&findings->findings[j], effect);
		}
	}
	pmon_sort_findings(findings);
}

/* What an incident had and there is still is no news. */
static void
drop_repeated(PmonFindings *findings, int first)
{
	int			kept = first;

	for (int i = first; i < findings->nfindings; i++)
	{
		bool		repeated = false;

		for (int j = 0; j < first && !repeated; j++)
			repeated = findings->findings[j].code == findings->findings[i].code &&
				strcmp(findings->findings[j].subject, findings->findings[i].subject) == 0;
		if (!repeated)
			findings->findings[kept++] = findings->findings[i];
	}
	findings->nfindings = kept;
}

static void
add_healthy(const PmonFacts *facts, PmonFindings *findings)
{
	const PmonMoment *now = &facts->moments[0];
	PmonFinding *finding = pmon_add_finding(findings, PMON_FINDING_HEALTHY,
											PMON_NOTICE, PMON_SUBJECT_SERVER, "");
	char		age[PMON_AGE_BYTES];

	PmonEvidence(finding, "%d of %d connections are open", now->connections, facts->slots);
	if (facts->sight.preloaded && facts->utilization_max >= 0)
		PmonEvidence(finding, ", at most %d%% were in the last %s, and " INT64_FORMAT " login%s refused in it",
					 (int) (facts->utilization_max * 100), pmon_age_text(facts->since, age),
					 facts->rejected, facts->rejected == 1 ? " was" : "s were");
	PmonEvidence(finding, ". No session looks leaked or stuck%s.",
				 facts->sight.all ? "" :
				 " among those that you may see; for all, be a member of pg_read_all_stats");
}

void
pmon_diagnose(const PmonFacts *facts, PmonFindings *findings)
{
	findings->nfindings = 0;
	for (int m = 0; m < facts->nmoments; m++)
	{
		int			before = findings->nfindings;

		for (int i = 0; i < lengthof(rules); i++)
		{
			if (m == 0 || rules[i].any_moment)
				rules[i].rule(facts, &facts->moments[m], findings);
		}
		if (m > 0)
			drop_repeated(findings, before);
	}
	if (findings->nfindings == 0)
		add_healthy(facts, findings);
	conclude(facts, findings);
}
