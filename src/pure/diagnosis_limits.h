/*-------------------------------------------------------------------------
 *
 * diagnosis_limits.h
 *	  Rules about limits, logins, prepared transactions, and what is not seen.
 *
 * These are about now, and about what was refused since somewhen.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_DIAGNOSIS_LIMITS_H
#define PMON_DIAGNOSIS_LIMITS_H

#include "pure/diagnosis_rules.h"

PMON_RULE(pmon_rule_orphaned_prepared);
PMON_RULE(pmon_rule_role_limit);
PMON_RULE(pmon_rule_database_limit);
PMON_RULE(pmon_rule_connection_churn);
PMON_RULE(pmon_rule_retry_storm);
PMON_RULE(pmon_rule_sampling_blind);

#endif							/* PMON_DIAGNOSIS_LIMITS_H */
