/*-------------------------------------------------------------------------
 *
 * session_pool.c
 *	  Which declared pool a session belongs to: the one place that decides.
 *
 * See session_pool.h.  Names in a slot are read without a lock.  A session
 * that comes into the slot meanwhile may overwrite them, so that the result is
 * of no session at all; it is still a text that ends in its array, and who
 * acts on the result checks afterwards whether the session is the same.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "utils/builtins.h"

#include "shared/session_pool.h"
#include "shared/slots.h"

void
pmon_set_identity(int slot, const char *datname, const char *usename,
				  const char *application_name)
{
	PmonSlot   *session = &pmon_slots[slot];

	Assert(LWLockHeldByMeInMode(PmonLock(), LW_EXCLUSIVE));
	namestrcpy((Name) session->datname, datname);
	namestrcpy((Name) session->usename, usename);
	namestrcpy((Name) session->application_name, application_name);

	/* who sees the new number sees the new names */
	pg_write_barrier();
	session->identity++;
}

void
pmon_set_role_name(int slot, const char *usename)
{
	Assert(LWLockHeldByMeInMode(PmonLock(), LW_EXCLUSIVE));
	namestrcpy((Name) pmon_slots[slot].usename, usename);
	pg_write_barrier();
	pmon_slots[slot].identity++;
}

int
pmon_match_names(const PmonPools *pools, const PmonSession *session,
				 const char *datname, const char *usename)
{
	PmonPoolSubject subject;

	subject.application_name = session->application_name;
	subject.datname = datname;
	subject.usename = usename;
	subject.client = session->client_addr;
	return pmon_pools_match(pools, &subject);
}

/* Is the session with that pid complete, and in that slot? */
static bool
has_identity(int slot, int pid)
{
	return pmon != NULL && pmon_slots[slot].pid == pid &&
		PmonGetMembership(slot).group != PMON_NONE;
}

bool
pmon_match_session(const PmonPools *pools, const PmonSession *session, int *pool)
{
	*pool = -1;
	if (pools->npools == 0)
		return true;
	if (!has_identity(session->slot, session->pid))
		return false;
	*pool = pmon_match_names(pools, session, pmon_slots[session->slot].datname,
							 pmon_slots[session->slot].usename);
	return has_identity(session->slot, session->pid);
}

int
pmon_match_slot(const PmonPools *pools, int slot, const char *application_name)
{
	PmonSession session = {.slot = slot,.pid = pmon_slots[slot].pid};
	int			pool;

	session.client_addr = pmon_slots[slot].client_addr;
	namestrcpy((Name) session.application_name, application_name);
	if (!pmon_match_session(pools, &session, &pool))
		return -1;
	return pool;
}
