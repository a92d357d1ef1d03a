/*-------------------------------------------------------------------------
 *
 * sql_live.c
 *	  SQL functions that show the server's connections as they are now.
 *
 * They read the status array in the calling backend, and work whether or not
 * the library is preloaded; what only the preloaded library knows is null.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "query/live_sessions.h"
#include "query/local_hash.h"
#include "query/result_set.h"
#include "shared/incidents.h"
#include "shared/rejections.h"
#include "shared/shared_state.h"

PG_FUNCTION_INFO_V1(pool_monitor_status);
PG_FUNCTION_INFO_V1(pool_monitor_connections);

/* The columns of pool_monitor_status that only the preloaded library knows */
#define RECORDED_COLUMNS	7

static void
put_recorded_status(PmonRow *row)
{
	PmonPeak	peak;
	TimestampTz stats_reset;
	int64		incident;

	if (pmon == NULL)
	{
		pmon_put_nulls(row, RECORDED_COLUMNS);
		return;
	}

	LWLockAcquire(PmonLock(), LW_SHARED);
	peak = pmon->peak_connections;
	stats_reset = pmon->stats_reset;
	LWLockRelease(PmonLock());

	pmon_put_int(row, peak.value);
	pmon_put_time(row, peak.at);
	pmon_put_bigint(row, pmon_rejected());
	pmon_put_time(row, pmon_last_rejected_at());
	pmon_put_bigint(row, pg_atomic_read_u64(&pmon->terminated));
	incident = pmon_current_incident();
	pmon_put_bigint_or_null(row, incident != 0, incident);
	pmon_put_time(row, stats_reset);
}

Datum
pool_monitor_status(PG_FUNCTION_ARGS)
{
	PmonRow		row = {0};
	PmonCounts	counts;
	bool		exhausted = pmon_slots_exhausted();
	double		utilization;

	pmon_count_live(pmon_read_live(false), &counts);
	utilization = (double) counts.connections / pmon_ordinary_slots();

	pmon_put_text(&row, pmon_server_status_names[pmon_server_status(utilization, exhausted)]);
	pmon_put_int(&row, MaxConnections);
	pmon_put_int(&row, PmonReservedSlots());
	pmon_put_int(&row, counts.connections);
	pmon_put_int(&row, pmon_available_slots(counts.connections, exhausted));
	pmon_put_double(&row, utilization);
	pmon_put_int(&row, counts.states[PMON_STATE_ACTIVE]);
	pmon_put_int(&row, counts.states[PMON_STATE_IDLE]);
	pmon_put_int(&row, counts.states[PMON_STATE_IDLE_IN_TRANSACTION]);
	pmon_put_int(&row, counts.states[PMON_STATE_IDLE_IN_TRANSACTION_ABORTED]);
	pmon_put_int(&row, counts.states[PMON_STATE_FASTPATH]);
	pmon_put_int(&row, counts.states[PMON_STATE_DISABLED]);
	pmon_put_int(&row, counts.states[PMON_STATE_STARTING]);
	pmon_put_int(&row, pmon_checked_out(&counts));
	put_recorded_status(&row);
	return pmon_return_row(fcinfo, &row);
}

/* What pool_monitor_connections groups by */
typedef struct ConnectionKey
{
	Oid			databaseid;
	Oid			userid;
	PmonState	state;
	BackendType backend_type;
	PmonClient	client_addr;
	char		application_name[NAMEDATALEN];
} ConnectionKey;

StaticAssertDecl(offsetof(ConnectionKey, application_name) ==
				 2 * sizeof(Oid) + sizeof(PmonState) + sizeof(BackendType) + sizeof(PmonClient) &&
				 sizeof(ConnectionKey) == offsetof(ConnectionKey, application_name) + NAMEDATALEN,
				 "a key of a hash table has no padding");

typedef struct ConnectionEntry
{
	ConnectionKey key;
	int			connections;
	TimestampTz oldest_state;
} ConnectionEntry;

static void
count_connection(HTAB *table, const PmonSession *session)
{
	ConnectionKey key;
	ConnectionEntry *entry;
	bool		found;

	memset(&key, 0, sizeof(key));
	key.databaseid = session->databaseid;
	key.userid = session->userid;
	key.state = session->state;
	key.backend_type = session->backend_type;
	key.client_addr = session->client_addr;
	namestrcpy((Name) key.application_name, session->application_name);

	entry = hash_search(table, &key, HASH_ENTER, &found);
	if (!found)
	{
		entry->connections = 0;
		entry->oldest_state = 0;
	}
	entry->connections++;
	if (session->state_change != 0 &&
		(entry->oldest_state == 0 || session->state_change < entry->oldest_state))
		entry->oldest_state = session->state_change;
}

static void
add_connection_row(FunctionCallInfo fcinfo, PmonLive *live,
				   const ConnectionEntry *entry)
{
	PmonRow		row = {0};

	pmon_put_name(&row, pmon_live_database(live, entry->key.databaseid),
				  entry->key.databaseid);
	pmon_put_name(&row, pmon_live_role(live, entry->key.userid),
				  entry->key.userid);
	pmon_put_text(&row, entry->key.application_name);
	pmon_put_address(&row, &entry->key.client_addr);
	pmon_put_text(&row, pmon_state_name(entry->key.state));
	pmon_put_text(&row, GetBackendTypeDesc(entry->key.backend_type));
	pmon_put_int(&row, entry->connections);
	pmon_put_interval(&row, pmon_age(live->now, entry->oldest_state));
	pmon_add_row(fcinfo, &row);
}

/* All the connections that the reader may not see, in one row */
static void
add_hidden_row(FunctionCallInfo fcinfo, int connections)
{
	PmonRow		row = {0};

	pmon_put_nulls(&row, 2);
	pmon_put_text(&row, PMON_INSUFFICIENT_PRIVILEGE);
	pmon_put_nulls(&row, 3);
	pmon_put_int(&row, connections);
	pmon_put_null(&row);
	pmon_add_row(fcinfo, &row);
}

Datum
pool_monitor_connections(PG_FUNCTION_ARGS)
{
	HTAB	   *table = pmon_local_hash("connections", sizeof(ConnectionKey),
										sizeof(ConnectionEntry));
	HASH_SEQ_STATUS seq;
	ConnectionEntry *entry;
	PmonLive   *live = pmon_read_live(true);
	int			hidden = 0;

	InitMaterializedSRF(fcinfo, 0);

	for (int i = 0; i < live->nsessions; i++)
	{
		if (pmon_may_read(live->sessions[i].userid))
			count_connection(table, &live->sessions[i]);
		else
			hidden++;
	}

	hash_seq_init(&seq, table);
	while ((entry = hash_seq_search(&seq)) != NULL)
		add_connection_row(fcinfo, live, entry);
	if (hidden > 0)
		add_hidden_row(fcinfo, hidden);
	return (Datum) 0;
}
