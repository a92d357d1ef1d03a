/*-------------------------------------------------------------------------
 *
 * guc.h
 *	  Settings: pool_monitor.*
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_GUC_H
#define PMON_GUC_H

extern int	pmon_sample_interval;	/* ms */
extern int	pmon_max_groups;
extern bool pmon_track_transactions;
extern int	pmon_warning_threshold; /* percent */
extern int	pmon_critical_threshold;	/* percent */
extern int	pmon_leak_threshold;	/* ms */

/*
 * Define the settings and reserve their prefix.  Settings that size shared
 * memory exist only when the library is preloaded.  Called from _PG_init().
 */
extern void pmon_define_settings(bool preloading);

#endif							/* PMON_GUC_H */
