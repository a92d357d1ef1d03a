/*-------------------------------------------------------------------------
 *
 * diagnosis_pools.h
 *	  Rules about declared pools.
 *
 * These look at the pools as they are now, and at their history.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_DIAGNOSIS_POOLS_H
#define PMON_DIAGNOSIS_POOLS_H

#include "pure/diagnosis_rules.h"

PMON_RULE(pmon_rule_leak_not_returned);
PMON_RULE(pmon_rule_pool_too_small);
PMON_RULE(pmon_rule_pool_oversized);
PMON_RULE(pmon_rule_pool_mostly_idle);
PMON_RULE(pmon_rule_more_instances);
PMON_RULE(pmon_rule_pools_oversubscribed);

#endif							/* PMON_DIAGNOSIS_POOLS_H */
