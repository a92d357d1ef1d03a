/*-------------------------------------------------------------------------
 *
 * current_policy.c
 *	  The policy that is in force.
 *
 * See current_policy.h.  Used by the worker, which acts on it, and by
 * queries, which show it.
 *
 * An exported snapshot is a file whose name starts with the place of the
 * transaction that exported it among the backends.  It is removed when the
 * transaction ends, and all are when the server starts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include <dirent.h>

#include "shared/current_policy.h"
#include "shared/settings.h"
#include "shared/shared_state.h"
#include "shared/slots.h"
#include "shared/status_array.h"

/* SNAPSHOT_EXPORT_DIR of snapmgr.c */
#define SNAPSHOT_FOLDER		"pg_snapshots"

void
pmon_get_policy(PmonIdlePolicy *policy, TimestampTz now)
{
	policy->idle_timeout = pmon_idle_timeout;
	policy->idle_in_transaction_timeout = pmon_idle_in_transaction_timeout;
	policy->max_lifetime = pmon_max_lifetime;
	policy->terminate_above = pmon_terminate_above;
	policy->max_terminations = pmon_max_terminations;
	policy->terminate_superusers = pmon_terminate_superusers;
	policy->pools = pmon_declared;
	policy->connections = 0;
	policy->slots = pmon_ordinary_slots();
	policy->now = now;
	policy->clock_set_at = pmon != NULL ?
		(TimestampTz) pg_atomic_read_u64(&pmon->clock_set_at) : 0;
}

void
pmon_read_slot_flags(PmonIdleSession *session)
{
	const PmonSlot *slot = &pmon_slots[session->slot];
	uint8		own_timeouts = slot->own_timeouts;

	session->superuser = slot->superuser;
	session->listening = slot->listening;
	session->own_idle_timeout = (own_timeouts & PMON_OWN_IDLE_TIMEOUT) != 0;
	session->own_in_transaction_timeout =
		(own_timeouts & PMON_OWN_IN_TRANSACTION_TIMEOUT) != 0;
}

/* The slot that a file in the folder of snapshots belongs to, or -1 */
static int
snapshot_owner(const char *file_name)
{
	unsigned int proc;
	unsigned int transaction;

	if (sscanf(file_name, "%8X-%8X-", &proc, &transaction) != 2)
		return -1;
	return PmonSlotOfVirtualXact((int) proc);
}

/*
 * For each slot, whether its session has exported a snapshot.  A folder that
 * can not be read has none.
 */
static bool *
read_exported_snapshots(void)
{
	bool	   *exported = palloc0(sizeof(bool) * pmon_status_slots());
	DIR		   *folder = opendir(SNAPSHOT_FOLDER);
	struct dirent *file;

	if (folder == NULL)
		return exported;
	while ((file = readdir(folder)) != NULL)
	{
		int			slot = snapshot_owner(file->d_name);

		if (slot >= 0 && slot < pmon_status_slots())
			exported[slot] = true;
	}
	closedir(folder);
	return exported;
}

void
pmon_mark_holders(PmonIdleSession *judged, int n)
{
	int		   *pids = palloc0(sizeof(int) * pmon_status_slots());
	bool	   *holds;
	bool	   *exported;

	for (int i = 0; i < n; i++)
		pids[judged[i].slot] = judged[i].pid;
	holds = pmon_read_advisory_locks(pids);
	exported = read_exported_snapshots();
	for (int i = 0; i < n; i++)
	{
		judged[i].advisory_lock = holds[judged[i].slot];
		judged[i].exported_snapshot = exported[judged[i].slot];
	}
}
