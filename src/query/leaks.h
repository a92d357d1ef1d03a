/*-------------------------------------------------------------------------
 *
 * leaks.h
 *	  Which sessions hold a connection that nobody seems to be using.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_LEAKS_H
#define PMON_LEAKS_H

#include "shared/status_array.h"

/*
 * When the session started its last statement.  A function called through the
 * fast path is one, which core does not note as such.
 */
extern TimestampTz pmon_statement_start(const PmonSession *session);

/*
 * Why a session looks as if it had been leaked, or NULL if it does not: it is
 * checked out and started its last statement longer ago than threshold.
 *
 * statement_age is the time since then, negative where it is not known;
 * both are in microseconds.  wait_event_info is what its PGPROC shows.
 */
extern const char *pmon_leak_suspect(PmonState state, uint32 wait_event_info,
									 int64 statement_age, int64 threshold);

#endif							/* PMON_LEAKS_H */
