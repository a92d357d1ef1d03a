/*-------------------------------------------------------------------------
 *
 * session_state.c
 *	  The states that a session can be in.
 *
 * See session_state.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pure/session_state.h"

static const char *const state_names[PMON_STATES] = {
	"starting",
	"active",
	"idle",
	"idle in transaction",
	"idle in transaction (aborted)",
	"fastpath function call",
	"disabled"
};

const char *
pmon_state_name(PmonState state)
{
	return state_names[state];
}
