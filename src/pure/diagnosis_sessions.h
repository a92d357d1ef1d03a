/*-------------------------------------------------------------------------
 *
 * diagnosis_sessions.h
 *	  Rules about what sessions do with their connections at one moment.
 *
 * These look at any moment, now or at the peak of an incident.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_DIAGNOSIS_SESSIONS_H
#define PMON_DIAGNOSIS_SESSIONS_H

#include "pure/diagnosis_rules.h"

PMON_RULE(pmon_rule_leak_in_transaction);
PMON_RULE(pmon_rule_leak_aborted);
PMON_RULE(pmon_rule_leak_idle);
PMON_RULE(pmon_rule_client_not_reading);
PMON_RULE(pmon_rule_lock_convoy);
PMON_RULE(pmon_rule_long_statements);
PMON_RULE(pmon_rule_idle_pile_up);
PMON_RULE(pmon_rule_application_hogs);
PMON_RULE(pmon_rule_max_connections);
PMON_RULE(pmon_rule_logins_stuck);

#endif							/* PMON_DIAGNOSIS_SESSIONS_H */
