/*-------------------------------------------------------------------------
 *
 * takes_back.c
 *	  A library that takes back the end of an idle session.
 *
 * take_back_ends(true) puts a handler of SIGUSR1 before the one that the
 * session has.  Whatever that has decided, the session's idle timeouts are not
 * pending afterwards.  take_back_ends(false) lets it decide again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "fmgr.h"
#include "miscadmin.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(take_back_ends);

static bool taking = false;
static struct sigaction before;

/*
 * With sigaction() itself, since what pqsignal() returns and passes on depends
 * on the version.
 */
static void
handler(int signo, siginfo_t *info, void *context)
{
	if (before.sa_flags & SA_SIGINFO)
		before.sa_sigaction(signo, info, context);
	else
		before.sa_handler(signo);

	if (taking)
		IdleSessionTimeoutPending = IdleInTransactionSessionTimeoutPending = false;
}

Datum
take_back_ends(PG_FUNCTION_ARGS)
{
	static bool installed = false;

	if (!installed)
	{
		struct sigaction action;

		sigaction(SIGUSR1, NULL, &before);
		action = before;
		action.sa_sigaction = handler;
		action.sa_flags |= SA_SIGINFO;
		sigaction(SIGUSR1, &action, NULL);
		installed = true;
	}
	taking = PG_GETARG_BOOL(0);
	PG_RETURN_VOID();
}
