/*-------------------------------------------------------------------------
 *
 * own_settings.c
 *	  Has this session turned core's idle timeouts off for itself?
 *
 * See own_settings.h.  What the check hook adds to a value is a byte if the
 * value is an own one, and nothing otherwise.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "session/own_settings.h"

/* What is in force: bits of PmonSlot.own_timeouts */
static uint8 own_timeouts = 0;
static PmonSlot *my_slot = NULL;

static bool
check_timeout(int *newval, void **extra, GucSource source)
{
	if (*newval != 0 || (source != PGC_S_CLIENT && source != PGC_S_SESSION))
		return true;
	*extra = PmonGucMalloc(1);
	return *extra != NULL;
}

static void
note(uint8 bit, int value, void *extra)
{
	if (value == 0 && extra != NULL)
		own_timeouts |= bit;
	else
		own_timeouts &= ~bit;
	if (my_slot != NULL)
		my_slot->own_timeouts = own_timeouts;
}

static void
assign_idle_timeout(int newval, void *extra)
{
	note(PMON_OWN_IDLE_TIMEOUT, newval, extra);
}

static void
assign_in_transaction_timeout(int newval, void *extra)
{
	note(PMON_OWN_IN_TRANSACTION_TIMEOUT, newval, extra);
}

/* Hang hooks on a setting.  Nobody else does; if somebody did, we would not. */
static void
follow(const char *name, GucIntAssignHook assign_hook)
{
	struct config_generic *setting = PmonFindSetting(name);

	if (setting == NULL || setting->vartype != PGC_INT ||
		PmonIntSetting(setting)->check_hook != NULL ||
		PmonIntSetting(setting)->assign_hook != NULL)
	{
		ereport(LOG,
				(errmsg("pool_monitor cannot tell which sessions set \"%s\" for themselves",
						name)));
		return;
	}
	PmonIntSetting(setting)->check_hook = check_timeout;
	PmonIntSetting(setting)->assign_hook = assign_hook;
}

void
pmon_follow_own_settings(void)
{
	follow("idle_session_timeout", assign_idle_timeout);
	follow("idle_in_transaction_session_timeout", assign_in_transaction_timeout);
}

void
pmon_show_own_settings(PmonSlot *slot)
{
	my_slot = slot;
	my_slot->own_timeouts = own_timeouts;
}
