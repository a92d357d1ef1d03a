/*-------------------------------------------------------------------------
 *
 * rejections.h
 *	  Logins that the server refused with SQLSTATE 53300: counted exactly.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_REJECTIONS_H
#define PMON_REJECTIONS_H

#include "shared/shared_state.h"

/* What SQL shows for a PmonRejectReason */
extern const char *const pmon_reject_reason_names[PMON_REJECT_REASONS];

/* Make the queue ready.  Called once, when memory is new. */
extern void pmon_init_rejections(void);

/*
 * Install the hook that sees logins being refused.  Called from _PG_init()
 * when the library is preloaded.
 */
extern void pmon_install_rejection_hook(void);

/*
 * Move what is in the queue to the rejections.  Cheap when it is empty.  Any
 * process with a PGPROC may call it, without PmonLock(), which it takes.
 */
extern void pmon_fold_rejections(void);

/*
 * Put back what an earlier server knew; what does not fit joins "<other>".
 * For server start: wants no lock.
 */
extern void pmon_restore_rejection(const PmonRejection *saved);

/* All logins refused since the last reset, and the last one's time or 0. */
extern uint64 pmon_rejected(void);
extern TimestampTz pmon_last_rejected_at(void);

/* All logins refused that the server knows of: no reset lowers this. */
extern uint64 pmon_rejected_ever(void);

/*
 * Forget the rejections of one application (NULL: of all).  Wants PmonLock()
 * exclusively.
 */
extern void pmon_reset_rejections(const char *application_name);

#endif							/* PMON_REJECTIONS_H */
