/*-------------------------------------------------------------------------
 *
 * messages.h
 *	  Messages, for what is tested without a server: they are counted, and the
 *	  last one is kept; an ERROR ends the program, since nothing may raise one.
 *	  Nothing interrupts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_FAKE_MESSAGES_H
#define PMON_FAKE_MESSAGES_H

#include <signal.h>

#include "fakes/require.h"

/* How many there were, and what the last one said */
static int	warnings;
static int	logs;
static int	message_errno;
static int	message_level;
static char message[1024];
static char detail[1024];

volatile sig_atomic_t InterruptPending = false;

void
ProcessInterrupts(void)
{
}

bool
errstart(int elevel, const char *domain)
{
	message_errno = errno;
	message_level = elevel;
	warnings += (elevel == WARNING);
	logs += (elevel == LOG);
	return elevel >= LOG;
}

bool
errstart_cold(int elevel, const char *domain)
{
	return errstart(elevel, domain);
}

void
errfinish(const char *filename, int lineno, const char *funcname)
{
	require(message_level < ERROR, "%s: \"%s\"", funcname, message);
}

int
errcode(int sqlerrcode)
{
	return 0;
}

int
errcode_for_file_access(void)
{
	return 0;
}

static void
keep_text(char *text, const char *fmt, va_list args)
{
	errno = message_errno;
	vsnprintf(text, sizeof(message), fmt, args);
}

int
errmsg(const char *fmt,...)
{
	va_list		args;

	va_start(args, fmt);
	keep_text(message, fmt, args);
	va_end(args);
	return 0;
}

int
errmsg_internal(const char *fmt,...)
{
	va_list		args;

	va_start(args, fmt);
	keep_text(message, fmt, args);
	va_end(args);
	return 0;
}

int
errhint(const char *fmt,...)
{
	return 0;
}

int
errdetail(const char *fmt,...)
{
	va_list		args;

	va_start(args, fmt);
	keep_text(detail, fmt, args);
	va_end(args);
	return 0;
}

static inline void
forget_messages(void)
{
	warnings = logs = 0;
	message[0] = detail[0] = '\0';
}

#endif							/* PMON_FAKE_MESSAGES_H */
