-- What a session finds about itself in each view, whatever the server's settings
-- are

SET track_activities = on;
SET pool_monitor.track_transactions = on;
CREATE EXTENSION pool_monitor;
SET application_name = 'regress views';

SELECT status = CASE WHEN utilization * 100 >= current_setting('pool_monitor.critical_threshold')::int THEN 'critical'
                     WHEN utilization * 100 >= current_setting('pool_monitor.warning_threshold')::int THEN 'warning'
                     ELSE 'healthy' END AS status,
       max_connections = current_setting('max_connections')::int AS max_connections,
       reserved_connections >= current_setting('superuser_reserved_connections')::int AS reserved,
       connections >= 1 AS connections, available >= 1 AS available,
       utilization BETWEEN 0.0001 AND 1 AS utilization,
       active >= 1 AS active, checked_out >= 1 AS checked_out,
       peak_connections >= connections AS peak, peak_connections_at <= now() AS peak_at,
       rejected >= 0 AS rejected
  FROM pool_monitor_status;

-- The states add up, and so do the sessions checked out
SELECT connections = active + idle + idle_in_transaction + idle_in_transaction_aborted +
                     fastpath_function_call + disabled + starting AS states,
       checked_out = active + idle_in_transaction + idle_in_transaction_aborted +
                     fastpath_function_call AS checked_out
  FROM pool_monitor_status;

SELECT datname = current_database() AS datname, usename = session_user AS usename,
       application_name, client_addr IS NOT DISTINCT FROM inet_client_addr() AS client_addr, state, backend_type,
       connections, longest_in_state >= '0' AS longest_in_state
  FROM pool_monitor_connections
 WHERE application_name = 'regress views';

SELECT application_name, connections, active, idle, idle_in_transaction, idle_in_transaction_aborted,
       fastpath_function_call, disabled, checked_out, longest_idle,
       longest_transaction >= '0' AS longest_transaction, longest_session >= longest_transaction AS longest_session,
       peak_connections, peak_connections_at <= now() AS peak_connections_at,
       sessions, sessions_abandoned, sessions_fatal, sessions_killed, rejected, terminated,
       transactions > 3 AS transactions, session_time > 0 AS session_time,
       transaction_time > 0 AS transaction_time,
       hold_time_p50 <= hold_time_p95 AND hold_time_p95 <= hold_time_p99 AND
       hold_time_p99 <= hold_time_max AS hold_times
  FROM pool_monitor_applications
 WHERE application_name = 'regress views'
\gx

-- Its group, which is a part of it
SELECT g.usename = session_user AS usename,
       g.connections = a.connections AND g.active = a.active AND g.checked_out = a.checked_out AS live,
       g.sessions <= a.sessions AND g.transactions <= a.transactions AS recorded
  FROM pool_monitor_applications a JOIN pool_monitor_groups g USING (application_name)
 WHERE application_name = 'regress views' AND g.datname = current_database();

SELECT connections >= 1 AS connections, checked_out >= 1 AS checked_out, connection_limit,
       available >= 1 AS available, utilization > 0 AS utilization
  FROM pool_monitor_databases
 WHERE datname = current_database();

SELECT connections >= 1 AS connections, checked_out >= 1 AS checked_out, connection_limit,
       available >= 1 AS available, utilization > 0 AS utilization
  FROM pool_monitor_roles
 WHERE usename = session_user;

BEGIN;
SELECT /* my own query */ datname = current_database() AS datname, usename = session_user AS usename, application_name,
       client_addr IS NOT DISTINCT FROM inet_client_addr() AS client_addr,
       client_port = coalesce(inet_client_port(), -1) AS client_port,
       backend_start < xact_start AS backend_start, xact_start = now() AS xact_start,
       query_start = statement_timestamp() AS query_start, state_change >= query_start AS state_change,
       state, wait_event_type, wait_event, backend_xmin IS NOT NULL AS backend_xmin,
       pool IS NULL OR current_setting('pool_monitor.pools') <> '' AS pool, checked_out,
       state_age >= '0' AS state_age, transaction_age >= state_age AS transaction_age,
       leak_suspect, idle_limit, terminates_at, exempt, blocks, query LIKE 'SELECT /* my own query%' AS query
  FROM pool_monitor_sessions
 WHERE pid = pg_backend_pid()
\gx
COMMIT;

SELECT reason, count(*) FROM pool_monitor_rejections WHERE application_name = 'regress views' GROUP BY 1;

-- The health document: these keys, and the figures of the status
SELECT key, CASE WHEN key = 'current_incident' AND value <> 'null' THEN 'null' ELSE jsonb_typeof(value) END AS type
  FROM jsonb_each(pool_monitor_health())
 ORDER BY key COLLATE "C";
SELECT h ->> 'status' = s.status AS status, (h ->> 'connections')::int = s.connections AS connections,
       (h ->> 'utilization')::numeric = round(s.utilization::numeric, 4) AS utilization,
       (h ->> 'current_incident')::bigint IS NOT DISTINCT FROM s.current_incident AS current_incident
  FROM pool_monitor_status s, pool_monitor_health() h;

SELECT version = (SELECT extversion FROM pg_extension WHERE extname = 'pool_monitor') AS version, loaded,
       worker_pid = (SELECT pid FROM pg_stat_activity WHERE backend_type = 'pool_monitor sampler') AS worker_pid,
       started_at <= last_sample_at AS started_at, samples > 0 AS samples,
       last_sample_duration > 0 AS last_sample_duration,
       sample_duration_max >= last_sample_duration AS sample_duration_max, missed_samples >= 0 AS missed_samples,
       groups BETWEEN 1 AND max_groups AS groups, max_groups = current_setting('pool_monitor.max_groups')::int AS max_groups,
       groups_evicted >= 0 AS groups_evicted, memory_bytes BETWEEN history_bytes AND history_bytes + 1e9 AS memory_bytes,
       metrics_written_at IS NULL OR current_setting('pool_monitor.metrics_file') <> '' AS metrics_written_at,
       metrics_failures = 0 AS metrics_failures
  FROM pool_monitor_info, pg_size_bytes(current_setting('pool_monitor.history_size')) AS history_bytes
\gx

-- Reset: one application, or everything; the time is returned, and shown
SELECT transactions > 0 AS counted FROM pool_monitor_applications WHERE application_name = 'regress views';
SELECT pool_monitor_reset('regress views') >= now() AS reset;
SELECT transactions <= 1 AS forgotten, peak_connections, sessions
  FROM pool_monitor_applications WHERE application_name = 'regress views';
SELECT pool_monitor_reset('no such application') >= now() AS reset;
SELECT pool_monitor_reset(NULL) IS NULL AS nothing_to_do;
SELECT pool_monitor_reset() AS reset_at \gset
SELECT s.stats_reset = :'reset_at' AS status, i.stats_reset = :'reset_at' AS info, s.peak_connections >= 1 AS peak
  FROM pool_monitor_status s, pool_monitor_info i;

-- A function that returns rows does so anywhere in a query; a view takes conditions
SELECT (pool_monitor_info()).loaded;
SELECT count(*) = 1 AS own FROM (SELECT pool_monitor_sessions() AS s) x WHERE (s).pid = pg_backend_pid();
SELECT count(*) FROM pool_monitor_sessions WHERE pid = -1;
\set VERBOSITY terse
UPDATE pool_monitor_status SET status = 'healthy';
\set VERBOSITY default

-- The same in a cursor that goes back, and in a rescan
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT application_name FROM pool_monitor_sessions WHERE pid = pg_backend_pid();
FETCH c;
FETCH BACKWARD c;
FETCH BACKWARD c;
FETCH FORWARD c;
COMMIT;
SELECT n, (SELECT count(*) FROM pool_monitor_sessions s WHERE s.pid = pg_backend_pid() AND n > 0) AS found
  FROM generate_series(1, 3) n;

DROP EXTENSION pool_monitor;
