-- The published columns: names, types and order of every view and function.
-- A published column is never renamed, moved or dropped.
\set QUIET on
\pset format unaligned
\pset tuples_only on
\pset pager off

SELECT no_plan();

CREATE FUNCTION pg_temp.columns(relation text) RETURNS SETOF text
LANGUAGE sql AS $$
    SELECT attname || ' ' || format_type(atttypid, atttypmod)
      FROM pg_attribute
     WHERE attrelid = relation::regclass AND attnum > 0 AND NOT attisdropped
     ORDER BY attnum
$$;

-- OUT parameters of a function, as it returns them
CREATE FUNCTION pg_temp.results(function text) RETURNS SETOF text
LANGUAGE sql AS $$
    SELECT p.proargnames[i] || ' ' || format_type(p.proallargtypes[i], NULL)
      FROM pg_proc p, generate_subscripts(p.proallargtypes, 1) i
     WHERE p.oid = function::regprocedure AND p.proargmodes[i] = 'o'
     ORDER BY i
$$;

SELECT results_eq($$SELECT * FROM pg_temp.columns('pool_monitor_status')$$, ARRAY[
    'status text', 'max_connections integer', 'reserved_connections integer', 'connections integer',
    'available integer', 'utilization double precision', 'active integer', 'idle integer',
    'idle_in_transaction integer', 'idle_in_transaction_aborted integer', 'fastpath_function_call integer',
    'disabled integer', 'starting integer', 'checked_out integer', 'peak_connections integer',
    'peak_connections_at timestamp with time zone', 'rejected bigint',
    'last_rejected_at timestamp with time zone', 'terminated bigint', 'current_incident bigint',
    'stats_reset timestamp with time zone'],
    'pool_monitor_status has its columns');

SELECT results_eq($$SELECT * FROM pg_temp.columns('pool_monitor_connections')$$, ARRAY[
    'datname text', 'usename text', 'application_name text', 'client_addr inet', 'state text',
    'backend_type text', 'connections integer', 'longest_in_state interval'],
    'pool_monitor_connections has its columns');

CREATE TEMP TABLE figures (n serial, name text);
INSERT INTO figures (name) VALUES
    ('application_name text'), ('connections integer'), ('active integer'), ('idle integer'),
    ('idle_in_transaction integer'), ('idle_in_transaction_aborted integer'),
    ('fastpath_function_call integer'), ('disabled integer'), ('checked_out integer'),
    ('longest_idle interval'), ('longest_transaction interval'), ('longest_session interval'),
    ('peak_connections integer'), ('peak_connections_at timestamp with time zone'),
    ('peak_checked_out integer'), ('sessions bigint'), ('sessions_abandoned bigint'),
    ('sessions_fatal bigint'), ('sessions_killed bigint'), ('rejected bigint'), ('terminated bigint'),
    ('transactions bigint'), ('session_time double precision'), ('transaction_time double precision'),
    ('hold_time_p50 double precision'), ('hold_time_p95 double precision'),
    ('hold_time_p99 double precision'), ('hold_time_max double precision');

SELECT results_eq($$SELECT * FROM pg_temp.columns('pool_monitor_applications')$$,
    'SELECT name FROM figures ORDER BY n',
    'pool_monitor_applications has its columns');
SELECT results_eq($$SELECT * FROM pg_temp.columns('pool_monitor_groups')$$,
    $$SELECT name FROM (SELECT n, name FROM figures
                        UNION ALL VALUES (-1, 'datname text'), (0, 'usename text')) f ORDER BY n$$,
    'pool_monitor_groups has the same columns by database and role');

SELECT results_eq($$SELECT * FROM pg_temp.columns('pool_monitor_sessions')$$, ARRAY[
    'pid integer', 'datname text', 'usename text', 'application_name text', 'client_addr inet',
    'client_port integer', 'backend_start timestamp with time zone', 'xact_start timestamp with time zone',
    'query_start timestamp with time zone', 'state_change timestamp with time zone', 'state text',
    'wait_event_type text', 'wait_event text', 'backend_xmin xid', 'pool text', 'checked_out boolean', 'checked_out_evidence text',
    'state_age interval', 'transaction_age interval', 'leak_suspect text', 'idle_limit interval',
    'terminates_at timestamp with time zone', 'exempt text', 'blocks integer', 'blocked_by integer',
    'query_id bigint', 'tags jsonb', 'query text'],
    'pool_monitor_sessions has its columns');

SELECT results_eq($$SELECT * FROM pg_temp.columns('pool_monitor_databases')$$, ARRAY[
    'datname text', 'connections integer', 'checked_out integer', 'connection_limit integer',
    'available integer', 'utilization double precision'],
    'pool_monitor_databases has its columns');
SELECT results_eq($$SELECT * FROM pg_temp.columns('pool_monitor_roles')$$, ARRAY[
    'usename text', 'connections integer', 'checked_out integer', 'connection_limit integer',
    'available integer', 'utilization double precision'],
    'pool_monitor_roles has its columns');

SELECT results_eq($$SELECT * FROM pg_temp.columns('pool_monitor_rejections')$$, ARRAY[
    'datname text', 'usename text', 'application_name text', 'reason text', 'rejected bigint',
    'last_rejected_at timestamp with time zone'],
    'pool_monitor_rejections has its columns');

SELECT results_eq($$SELECT * FROM pg_temp.columns('pool_monitor_info')$$, ARRAY[
    'version text', 'loaded boolean', 'worker_pid integer', 'started_at timestamp with time zone',
    'samples bigint', 'last_sample_at timestamp with time zone', 'last_sample_duration double precision',
    'sample_duration_max double precision', 'missed_samples bigint', 'groups integer', 'max_groups integer',
    'groups_evicted bigint', 'memory_bytes bigint', 'saved_at timestamp with time zone',
    'save_failures bigint', 'metrics_written_at timestamp with time zone', 'metrics_failures bigint',
    'restored_from timestamp with time zone', 'stats_reset timestamp with time zone'],
    'pool_monitor_info has its columns');

SELECT results_eq($$SELECT * FROM pg_temp.results('pool_monitor_pool_status(int, int, text, name, name)')$$, ARRAY[
    'pool_size integer', 'checked_in integer', 'checked_out integer', 'overflow bigint', 'invalid bigint',
    'total_connections integer', 'status text'],
    'pool_monitor_pool_status() returns its columns');
SELECT is(pg_get_function_arguments('pool_monitor_pool_status(int, int, text, name, name)'::regprocedure),
    'pool_size integer, max_overflow integer, application_name text DEFAULT NULL::text, '
    'datname name DEFAULT NULL::name, usename name DEFAULT NULL::name, '
    'OUT pool_size integer, OUT checked_in integer, OUT checked_out integer, OUT overflow bigint, '
    'OUT invalid bigint, OUT total_connections integer, OUT status text',
    'pool_monitor_pool_status() has its arguments and defaults');

SELECT is(pg_get_function_arguments('pool_monitor_diagnosis(interval)'::regprocedure),
    'since interval DEFAULT ''01:00:00''::interval, OUT rank integer, OUT severity text, OUT finding text, '
    'OUT subject_type text, OUT subject text, OUT evidence text, OUT remedy text, OUT reference text',
    'pool_monitor_diagnosis() has its argument and columns');
SELECT function_returns('pool_monitor_health', ARRAY[]::text[], 'jsonb', 'pool_monitor_health() returns jsonb');
SELECT is(pg_get_function_arguments('pool_monitor_report'::regproc), 'since timestamp with time zone DEFAULT (now() - ''1 day''::interval), '
    'until timestamp with time zone DEFAULT now()', 'pool_monitor_report() has its arguments and defaults');
SELECT function_returns('pool_monitor_reset', ARRAY[]::text[], 'timestamp with time zone',
    'pool_monitor_reset() returns a time');
SELECT function_returns('pool_monitor_reset', ARRAY['text'], 'timestamp with time zone',
    'pool_monitor_reset(text) returns a time');

SELECT volatility_is('pool_monitor_diagnosis', ARRAY['interval'], 'volatile', 'pool_monitor_diagnosis() is volatile');
SELECT volatility_is('pool_monitor_' || f, ARRAY[]::text[], 'volatile', 'pool_monitor_' || f || '() is volatile')
  FROM unnest(ARRAY['status', 'connections', 'applications', 'groups', 'sessions', 'rejections', 'info',
                    'health', 'reset', 'databases', 'roles', 'leak_suspects']) f;

SELECT * FROM finish();
