/*-------------------------------------------------------------------------
 *
 * name_tracker.c
 *	  Has this session's application name been assigned?
 *
 * See name_tracker.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "session/name_tracker.h"

bool		pmon_name_was_assigned = true;

static GucStringAssignHook prev_assign_hook = NULL;
static bool is_followed = false;

/* Must not fail, as no assign hook may. */
static void
assign_application_name(const char *newval, void *extra)
{
	pmon_name_was_assigned = true;
	if (prev_assign_hook)
		prev_assign_hook(newval, extra);
}

void
pmon_name_is_known(void)
{
	pmon_name_was_assigned = !is_followed;
}

void
pmon_follow_application_name(void)
{
	struct config_generic *setting = PmonFindSetting("application_name");

	if (setting == NULL || setting->vartype != PGC_STRING)
		return;
	prev_assign_hook = PmonStringSetting(setting)->assign_hook;
	PmonStringSetting(setting)->assign_hook = assign_application_name;
	is_followed = true;
}
