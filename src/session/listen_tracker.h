/*-------------------------------------------------------------------------
 *
 * listen_tracker.h
 *	  Does this session listen for notifications?
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_LISTEN_TRACKER_H
#define PMON_LISTEN_TRACKER_H

#include "nodes/nodes.h"

/*
 * Note a utility statement that is about to be executed; those other than
 * LISTEN, UNLISTEN and DISCARD do not matter.  From the next commit on, *listening says whether the
 * session listens to anything.  May raise an error, out of memory.
 */
extern void pmon_track_listen(Node *statement, volatile bool *listening);

#endif							/* PMON_LISTEN_TRACKER_H */
