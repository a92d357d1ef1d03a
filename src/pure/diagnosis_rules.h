/*-------------------------------------------------------------------------
 *
 * diagnosis_rules.h
 *	  The rules of a diagnosis, and what several of them need.
 *
 * See diagnosis.h; this is between its files.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_DIAGNOSIS_RULES_H
#define PMON_DIAGNOSIS_RULES_H

#include "pure/diagnosis.h"

/* A rule */
#define PMON_RULE_ARGS \
	const PmonFacts *facts, const PmonMoment *moment, PmonFindings *findings

typedef void (*PmonRule) (PMON_RULE_ARGS);

/* Has the server so few slots left that this decides how bad things are? */
extern bool pmon_moment_is_full(const PmonFacts *facts, const PmonMoment *moment);

/* Is its utilization at least so many percent? */
extern bool pmon_moment_is_above(const PmonFacts *facts, const PmonMoment *moment,
								 int percent);

/* The pool of those sessions, where it has a capacity; or NULL */
extern const PmonPoolFacts *pmon_pool_of(const PmonFacts *facts, int pool);

/* Connections that those sessions compete for: their pool's, or the server's */
extern int64 pmon_limit_of(const PmonFacts *facts, int pool);

/* Sessions of an application at that moment, whatever they do */
extern int	pmon_sessions_of(const PmonMoment *moment, const char *application_name);

/* "1 session", "2 sessions" */
#define PmonPlural(n)		((n) == 1 ? "" : "s")

/* The start of an evidence: which incident it is of, if it is not of now */
extern void pmon_begin_evidence(PmonFinding *finding, const PmonFacts *facts,
								const PmonMoment *moment);

/* Rules in diagnosis_sessions.c: what sessions do, now or at the peak of an incident */
extern void pmon_rule_leak_in_transaction(PMON_RULE_ARGS);
extern void pmon_rule_leak_aborted(PMON_RULE_ARGS);
extern void pmon_rule_leak_idle(PMON_RULE_ARGS);
extern void pmon_rule_client_not_reading(PMON_RULE_ARGS);
extern void pmon_rule_lock_convoy(PMON_RULE_ARGS);
extern void pmon_rule_long_statements(PMON_RULE_ARGS);
extern void pmon_rule_idle_pile_up(PMON_RULE_ARGS);
extern void pmon_rule_application_hogs(PMON_RULE_ARGS);
extern void pmon_rule_max_connections(PMON_RULE_ARGS);
extern void pmon_rule_logins_stuck(PMON_RULE_ARGS);

/* Rules in diagnosis_pools.c: declared pools, as they are now, and their history */
extern void pmon_rule_leak_not_returned(PMON_RULE_ARGS);
extern void pmon_rule_pool_too_small(PMON_RULE_ARGS);
extern void pmon_rule_pool_oversized(PMON_RULE_ARGS);
extern void pmon_rule_pool_mostly_idle(PMON_RULE_ARGS);
extern void pmon_rule_more_instances(PMON_RULE_ARGS);
extern void pmon_rule_pools_oversubscribed(PMON_RULE_ARGS);

/* Rules in diagnosis_limits.c: limits, logins, and what nobody looks after */
extern void pmon_rule_orphaned_prepared(PMON_RULE_ARGS);
extern void pmon_rule_role_limit(PMON_RULE_ARGS);
extern void pmon_rule_database_limit(PMON_RULE_ARGS);
extern void pmon_rule_connection_churn(PMON_RULE_ARGS);
extern void pmon_rule_retry_storm(PMON_RULE_ARGS);
extern void pmon_rule_sampling_blind(PMON_RULE_ARGS);

#endif							/* PMON_DIAGNOSIS_RULES_H */
