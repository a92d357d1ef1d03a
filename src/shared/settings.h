/*-------------------------------------------------------------------------
 *
 * settings.h
 *	  Settings: pool_monitor.*
 *
 * Each process has the values that are in force for it.  Those of which others
 * depend on one value for all, since memory was made by them, can be set at
 * server start only: who reads shared memory takes them from there.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_SETTINGS_H
#define PMON_SETTINGS_H

#include "compat.h"
#include "pure/pools.h"
#include "pure/sql_tags.h"

extern int	pmon_sample_interval;	/* ms */
extern int	pmon_max_groups;
extern int	pmon_history_size;	/* kB */
extern int	pmon_max_holds;		/* 0: none are counted */
extern int	pmon_holds_size;	/* kB */
extern PMON_HIDDEN bool pmon_track_transactions;
extern int	pmon_warning_threshold; /* percent */
extern int	pmon_critical_threshold;	/* percent */
extern int	pmon_leak_threshold;	/* ms */
extern int	pmon_idle_timeout;	/* ms; 0: off, as the next two */
extern int	pmon_idle_in_transaction_timeout;
extern int	pmon_max_lifetime;
extern int	pmon_terminate_above;	/* percent */
extern int	pmon_max_terminations;	/* a sample; 0: no limit */
extern bool pmon_terminate_superusers;
extern bool pmon_dry_run;
extern bool pmon_save;
extern int	pmon_save_interval; /* s */

/*
 * The declared pools, never NULL, and a number that changes whenever they do.
 * The pointer is valid until settings are read again.
 */
extern const PmonPools *pmon_declared;
extern uint32 pmon_declared_version;

extern int	pmon_max_held_metrics;	/* 0: none */

/* Where the metrics are written; "" for nowhere, and NULL before it is defined */
extern char *pmon_metrics_file;
extern int	pmon_metrics_interval;	/* s */

/* What the name of the file ends in while it is being written */
#define PMON_METRICS_TEMPORARY	".tmp"

/* The keys of tags, and a number that changes whenever they do */
extern PmonTagKeys pmon_tag_keys;
extern uint32 pmon_tag_keys_version;

/*
 * Define the settings and reserve their prefix.  Settings that size shared
 * memory exist only when the library is preloaded.  Called from _PG_init().
 */
extern void pmon_define_settings(bool preloading);

#endif							/* PMON_SETTINGS_H */
