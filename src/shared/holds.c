/*-------------------------------------------------------------------------
 *
 * holds.c
 *	  Which code held connections: what is kept of it, by the minute.
 *
 * See holds.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "pure/session_state.h"
#include "shared/holds.h"
#include "shared/settings.h"
#include "shared/shared_state.h"

PmonRing   *pmon_hold_ring = NULL;

/* Bytes of data in the ring */
#define DATA_SIZE	((Size) pmon_holds_size * 1024)

static void
init_ring(void)
{
	pmon_ring_init(pmon_hold_ring, DATA_SIZE);
}

void
pmon_request_holds(void)
{
	pmon_request_part((void **) &pmon_hold_ring, PmonRingBytes(DATA_SIZE), init_ring);
}

PmonHoldsRecord *
pmon_next_holds(PmonRingReader *reader)
{
	return (PmonHoldsRecord *)
		pmon_ring_next(reader, offsetof(PmonHoldsRecord, words), sizeof(uint64));
}

const PmonHold *
pmon_next_hold(const PmonHoldsRecord *record, Size *position)
{
	Size		left = record->record.count * sizeof(uint64) - *position;
	const PmonHold *hold =
	(const PmonHold *) ((const char *) record->words + *position);

	if (left < offsetof(PmonHold, texts) || hold->size > left ||
		hold->size != PmonHoldSize(hold->tags_length + hold->statement_length) ||
		hold->statement_length > PMON_HOLD_STATEMENT_BYTES ||
		hold->state >= PMON_STATES || hold->other > PMON_HOLD_OTHER)
		return NULL;
	*position += hold->size;
	return hold;
}
