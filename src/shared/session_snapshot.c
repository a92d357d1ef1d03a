/*-------------------------------------------------------------------------
 *
 * session_snapshot.c
 *	  What all sessions were doing at one moment, as it is in the status array.
 *
 * See session_snapshot.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "utils/timestamp.h"

#include "shared/session_snapshot.h"
#include "shared/settings.h"

Size
pmon_session_snapshot_size(void)
{
	return add_size(offsetof(PmonSessionSnapshot, sessions),
					mul_size(sizeof(PmonSeenSession), MaxBackends));
}

void
pmon_see_session(PmonSessionSnapshot *snapshot, int slot)
{
	PmonSeenSession *seen = &snapshot->sessions[slot];
	char		ends[PMON_TAGS_LOOK * 2];
	int			length;

	seen->wait_event_info = 0;
	seen->query_id = 0;
	seen->statement[0] = '\0';
	seen->tags[0] = '\0';
	if (pmon_is_my_slot(slot) ||
		!pmon_read_session(slot, &seen->session) || !PmonIsSession(&seen->session))
	{
		seen->session.pid = 0;
		return;
	}
	length = pmon_copy_statement_ends(slot, seen->session.pid, ends, sizeof(ends),
									  &seen->query_id);
	pmon_statement_tags(&pmon_tag_keys, ends, length, seen->tags);
	length = Min(length, PMON_STATEMENT_BYTES - 1);
	memcpy(seen->statement, ends, length);
	seen->statement[length] = '\0';
}

void
pmon_see_waits(PmonSessionSnapshot *snapshot)
{
#ifdef PMON_SLOT_IS_PROC_NUMBER
	for (int i = 0; i < pmon_status_slots(); i++)
	{
		if (snapshot->sessions[i].session.pid != 0)
			snapshot->sessions[i].wait_event_info =
				*((volatile uint32 *) &GetPGProcByNumber(i)->wait_event_info);
	}
#else
	for (int i = 0; i < ProcGlobal->allProcCount; i++)
	{
		PGPROC	   *proc = &ProcGlobal->allProcs[i];
		int			slot = PmonProcSlot(proc);

		/* a PGPROC that is free keeps its pid, but not its slot */
		if (slot >= 0 && slot < pmon_status_slots() &&
			snapshot->sessions[slot].session.pid == proc->pid)
			snapshot->sessions[slot].wait_event_info =
				*((volatile uint32 *) &proc->wait_event_info);
	}
#endif
}

void
pmon_take_session_snapshot(PmonSessionSnapshot *snapshot)
{
	snapshot->taken_at = GetCurrentTimestamp();
	for (int i = 0; i < pmon_status_slots(); i++)
		pmon_see_session(snapshot, i);
	pmon_see_waits(snapshot);
}
