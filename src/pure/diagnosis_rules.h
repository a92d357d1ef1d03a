/*-------------------------------------------------------------------------
 *
 * diagnosis_rules.h
 *	  What a rule of a diagnosis is, and what several of them need.
 *
 * See diagnosis.h; this is between its files.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_DIAGNOSIS_RULES_H
#define PMON_DIAGNOSIS_RULES_H

#include "pure/diagnosis.h"

/* A rule, and its declaration */
typedef void (*PmonRule) (const PmonFacts *facts, const PmonMoment *moment,
						  PmonFindings *findings);

#define PMON_RULE(name) \
	extern void name(const PmonFacts *facts, const PmonMoment *moment, \
					 PmonFindings *findings)

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

#endif							/* PMON_DIAGNOSIS_RULES_H */
