/*-------------------------------------------------------------------------
 *
 * role_tracker.c
 *	  Keeps what the slots say of roles in step with the catalog.
 *
 * See role_tracker.h.  Who alters a role publishes that for all sessions.  From
 * the cache's invalidations each session hears of it too, when the server gets
 * round to telling; then it looks at its own role again.  What another session
 * had prepared is published by whoever commits it, if there are such
 * invalidations among those that come with it.
 *
 * pmon->role_changes_begun is counted up before the catalog is read, and
 * role_changes_done when the result is in the slots.  A session that finds them
 * equal when it begins to log in, and the first one unchanged when it is
 * complete, has either read the role as it is, or is in its slot in time for
 * whoever changes it to find it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "port/pg_bitutils.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "session/role_tracker.h"
#include "shared/session_pool.h"
#include "shared/shared_state.h"
#include "shared/slots.h"

/* What a session's slot is to say */
typedef struct RoleChange
{
	int			slot;
	Oid			userid;
	bool		superuser;
	NameData	usename;
} RoleChange;

uint8		pmon_roles_due = 0;

/* Does the transaction alter roles, or bring what a prepared one altered? */
static bool alters_role = false;
static bool commits_prepared = false;

/*
 * Invalidations of any role that we have heard of, and the hash of our own: one
 * has to be in a transaction to ask for that, so until the first of these any
 * role's may be ours
 */
static uint32 invalidations = 0;
static uint32 my_hash;
static bool my_hash_is_known = false;

/* In TopTransactionContext, from before the commit to its end */
static RoleChange *changes;
static int	nchanges;

/* role_changes_begun when the session began to log in */
static uint64 begun_at_login;
static bool certain_at_login;

static void
role_was_changed(Datum arg, PmonCacheId cacheid, uint32 hashvalue)
{
	invalidations++;
	if (hashvalue == 0 || !my_hash_is_known || hashvalue == my_hash)
		pmon_roles_due |= PMON_ROLES_TO_READ;
}

void
pmon_start_role_tracker(void)
{
	uint64		done = pg_atomic_read_u64(&pmon->role_changes_done);

	pg_read_barrier();
	begun_at_login = pg_atomic_read_u64(&pmon->role_changes_begun);
	certain_at_login = begun_at_login == done;
	pmon_roles_due &= ~PMON_ROLES_TO_READ;
	CacheRegisterSyscacheCallback(AUTHOID, role_was_changed, (Datum) 0);
}

bool
pmon_role_is_certain(void)
{
	if (certain_at_login &&
		pg_atomic_read_u64(&pmon->role_changes_begun) == begun_at_login)
		return true;
	pmon_roles_due |= PMON_ROLES_TO_READ;
	return false;
}

void
pmon_track_alter_role(Node *statement)
{
	if (IsA(statement, AlterRoleStmt) ||
		(IsA(statement, RenameStmt) &&
		 ((RenameStmt *) statement)->renameType == OBJECT_ROLE))
		alters_role = true;
	else if (IsA(statement, TransactionStmt) &&
			 ((TransactionStmt *) statement)->kind == TRANS_STMT_COMMIT_PREPARED)
		commits_prepared = true;
	else
		return;
	pmon_roles_due |= PMON_ROLES_TO_READ;
}

/* Read the role of the session in a slot, if it is complete. */
static void
read_role(int slot)
{
	RoleChange *change = &changes[nchanges];
	char	   *usename;

	if (PmonGetMembership(slot).group == PMON_NONE)
		return;
	change->slot = slot;
	change->userid = pmon_slots[slot].userid;
	usename = GetUserNameFromId(change->userid, true);
	if (usename == NULL)
		return;					/* dropped: it stays what it was */
	namestrcpy(&change->usename, usename);
	change->superuser = superuser_arg(change->userid);
	pfree(usename);
	nchanges++;
}

/* Before the commit: what will be true of the sessions' roles */
static void
read_roles(int my_slot)
{
	uint32		heard = invalidations;
	int			room;

	my_hash = GetSysCacheHashValue1(AUTHOID,
									ObjectIdGetDatum(GetAuthenticatedUserId()));
	my_hash_is_known = true;
	AcceptInvalidationMessages();
	if (commits_prepared && invalidations != heard)
		alters_role = true;
	room = alters_role ? pmon->max_backends : 1;
	changes = MemoryContextAllocHuge(TopTransactionContext, sizeof(RoleChange) * room);
	nchanges = 0;

	pmon_roles_due = PMON_ROLES_TO_PUBLISH;
	pg_atomic_fetch_add_u64(&pmon->role_changes_begun, 1);
	pg_memory_barrier();
	if (!alters_role)
	{
		read_role(my_slot);
		return;
	}
	for (int word = 0; word < PmonLiveWords(); word++)
	{
		uint64		live = pg_atomic_read_u64(&pmon_live[word]);

		for (; live != 0; live &= live - 1)
			read_role(word * 64 + pg_rightmost_one_pos64(live));
	}
}

static void
publish_roles(void)
{
	LWLockAcquire(PmonLock(), LW_EXCLUSIVE);
	for (int i = 0; i < nchanges; i++)
	{
		RoleChange *change = &changes[i];
		PmonSlot   *slot = &pmon_slots[change->slot];

		if (slot->userid != change->userid ||
			PmonGetMembership(change->slot).group == PMON_NONE)
			continue;
		slot->superuser = change->superuser;
		if (strcmp(slot->usename, NameStr(change->usename)) != 0)
			pmon_set_role_name(change->slot, NameStr(change->usename));
	}
	LWLockRelease(PmonLock());
}

void
pmon_track_roles(XactEvent event, int my_slot)
{
	if (event == XACT_EVENT_PRE_COMMIT && (pmon_roles_due & PMON_ROLES_TO_READ))
		read_roles(my_slot);
	else if (event != XACT_EVENT_PRE_COMMIT && (pmon_roles_due & PMON_ROLES_TO_PUBLISH))
	{
		if (event == XACT_EVENT_COMMIT)
			publish_roles();
		pmon_roles_due &= ~PMON_ROLES_TO_PUBLISH;
		pg_atomic_fetch_add_u64(&pmon->role_changes_done, 1);
	}
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE ||
		event == XACT_EVENT_ABORT)
		alters_role = commits_prepared = false;
}
