-- The past through SQL: columns, arguments and errors.
\set QUIET on
\pset format unaligned
\pset tuples_only on
\pset pager off

SELECT no_plan();

CREATE FUNCTION pg_temp.results(function text) RETURNS SETOF text
LANGUAGE sql AS $$
    SELECT p.proargnames[i] || ' ' || format_type(p.proallargtypes[i], NULL)
      FROM pg_proc p, generate_subscripts(p.proallargtypes, 1) i
     WHERE p.oid = function::regprocedure AND p.proargmodes[i] = 'o'
     ORDER BY i
$$;

SELECT results_eq($$SELECT * FROM pg_temp.results('pool_monitor_history(timestamptz, timestamptz, interval)')$$, ARRAY[
    'period_start timestamp with time zone', 'application_name text', 'samples bigint',
    'connections_avg double precision', 'connections_max integer', 'active_avg double precision', 'active_max integer',
    'idle_avg double precision', 'idle_max integer', 'idle_in_transaction_avg double precision',
    'idle_in_transaction_max integer', 'checked_out_avg double precision', 'checked_out_max integer'],
    'pool_monitor_history() has its columns');
SELECT results_eq($$SELECT * FROM pg_temp.results('pool_monitor_utilization(timestamptz, timestamptz, interval)')$$, ARRAY[
    'period_start timestamp with time zone', 'samples bigint', 'max_connections integer',
    'connections_avg double precision', 'connections_max integer', 'active_avg double precision', 'active_max integer',
    'idle_in_transaction_avg double precision', 'idle_in_transaction_max integer',
    'utilization_max double precision', 'rejected bigint', 'terminated bigint'],
    'pool_monitor_utilization() has its columns');
SELECT results_eq($$SELECT * FROM pg_temp.results('pool_monitor_holds(timestamptz, timestamptz)')$$, ARRAY[
    'datname text', 'usename text', 'application_name text', 'tags jsonb', 'query_id bigint', 'state text',
    'wait_event_type text', 'wait_event text', 'connections_avg double precision', 'share double precision',
    'longest interval', 'query text'],
    'pool_monitor_holds() has its columns');
SELECT results_eq($$SELECT * FROM pg_temp.results('pool_monitor_incident_holders(bigint)')$$, ARRAY[
    'incident bigint', 'moment text', 'taken_at timestamp with time zone', 'datname text', 'usename text',
    'application_name text', 'client_addr inet', 'state text', 'connections integer', 'longest_in_state interval',
    'longest_transaction interval', 'wait_event_type text', 'wait_event text', 'pid integer', 'blocks integer',
    'blocked_by integer', 'query_id bigint', 'tags jsonb', 'query text'],
    'pool_monitor_incident_holders() has its columns');
SELECT results_eq($$SELECT * FROM pg_temp.results('pool_monitor_chart(text, interval)')$$, ARRAY[
    'application_name text', 'minimum integer', 'average double precision', 'maximum integer', 'chart text'],
    'pool_monitor_chart() has its columns');
SELECT columns_are('pool_monitor_incidents', ARRAY[
    'incident', 'started_at', 'ended_at', 'reason', 'peak_connections', 'peak_at', 'rejected', 'top_application'],
    'pool_monitor_incidents has its columns');

-- Something to look at
DO $$
BEGIN
    WHILE (SELECT samples < 2 FROM pool_monitor_info) LOOP
        PERFORM pg_sleep(0.05);
    END LOOP;
END $$;

-- Steps that can not be
CREATE FUNCTION pg_temp.step_fails(step text, sqlstate text, message text, why text) RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
    RETURN NEXT throws_ok(format('SELECT * FROM pool_monitor_history(NULL, NULL, %L)', step),
        sqlstate, message, 'pool_monitor_history() refuses ' || why);
    RETURN NEXT throws_ok(format('SELECT * FROM pool_monitor_utilization(NULL, NULL, %L)', step),
        sqlstate, message, 'pool_monitor_utilization() refuses ' || why);
END $$;
SELECT pg_temp.step_fails('0', '22023', '"step" must be greater than zero', 'a step of zero');
SELECT pg_temp.step_fails('-1 s', '22023', '"step" must be greater than zero', 'a negative step');
SELECT pg_temp.step_fails('-1 day', '22023', '"step" must be greater than zero', 'a negative step of days');
SELECT pg_temp.step_fails('1 day -24 h', '22023', '"step" must be greater than zero', 'a step that adds up to zero');
SELECT pg_temp.step_fails('infinity', '22023', '"step" must be finite', 'an infinite step')
 WHERE current_setting('server_version_num')::int >= 170000;
SELECT pg_temp.step_fails('1 month', '22023', '"step" must not contain months or years', 'a step of a month');
SELECT pg_temp.step_fails('-1 year 400 days', '22023', '"step" must not contain months or years', 'a step with years in it');
SELECT pg_temp.step_fails('2000000000 days', '22015', '"step" is out of range', 'a step that is out of range');
SELECT throws_ok($$SELECT * FROM pool_monitor_history(NULL, NULL, 'a while')$$, '22007', NULL, 'a step is an interval');

-- Bounds and steps of any kind
SELECT isnt_empty('SELECT * FROM pool_monitor_utilization()', 'all arguments have defaults');
SELECT lives_ok('SELECT * FROM pool_monitor_holds()', 'as those of pool_monitor_holds(), ...');
SELECT lives_ok('SELECT * FROM pool_monitor_holds(NULL, NULL)', '... which can be null');
SELECT lives_ok($$SELECT * FROM pool_monitor_holds('-infinity', 'infinity')$$, '... and infinite');
SELECT is_empty($$SELECT * FROM pool_monitor_holds('infinity', NULL)$$, 'nothing was held after the end of time');
SELECT is_empty($$SELECT * FROM pool_monitor_holds(NULL, '4713-01-01 BC')$$, 'nor very long ago');
SELECT isnt_empty('SELECT * FROM pool_monitor_utilization(NULL, NULL, NULL)', 'all arguments can be null');
SELECT isnt_empty($$SELECT * FROM pool_monitor_utilization('-infinity', 'infinity', '1 s')$$, 'bounds can be infinite');
SELECT is_empty($$SELECT * FROM pool_monitor_utilization('infinity', NULL)$$, 'after the end of time there is nothing');
SELECT is_empty($$SELECT * FROM pool_monitor_utilization(NULL, '-infinity')$$, 'nor before its beginning');
SELECT is_empty($$SELECT * FROM pool_monitor_history('infinity', '-infinity', '1 day')$$, 'nor between both, the wrong way round');
SELECT is_empty($$SELECT * FROM pool_monitor_utilization(NULL, '4713-01-01 BC')$$, 'nor very long ago');
SELECT is_empty($$SELECT * FROM pool_monitor_utilization('294276-12-31 23:59:59', NULL)$$, 'nor very far ahead');
SELECT results_eq($$SELECT period_start = '2000-01-01 00:00:00+00' FROM pool_monitor_utilization(NULL, NULL, '100000000 days')$$, ARRAY[true],
    'a period that begins with the year 2000 says so');
SELECT results_eq($$SELECT count(*) FROM pool_monitor_utilization(NULL, NULL, '100000000 days')$$, ARRAY[1::bigint],
    'the longest step makes one period');
SELECT results_eq($$SELECT count(*) FROM pool_monitor_utilization(NULL, NULL, '1 us') WHERE samples > 1$$, ARRAY[0::bigint],
    'the shortest step makes one period a sample');
SELECT is_empty($$
    SELECT * FROM pool_monitor_utilization(NULL, NULL, '1 us')
     WHERE connections_avg <> connections_max OR active_avg <> active_max OR active_max > connections_max
        OR idle_in_transaction_max > connections_max OR max_connections <> current_setting('max_connections')::int$$,
    'of one sample, the average is the maximum');
SELECT is_empty($$
    SELECT * FROM pool_monitor_history(NULL, NULL, '1 us')
     WHERE idle_max + checked_out_max > connections_max OR active_max > checked_out_max OR connections_max < 1$$,
    'of one sample, the states add up to no more than all');
SELECT is_empty($$
    SELECT period_start, sum(h.connections_max) FROM pool_monitor_history(NULL, NULL, '1 us') h
     GROUP BY 1 EXCEPT SELECT period_start, connections_max FROM pool_monitor_utilization(NULL, NULL, '1 us')$$,
    'the applications of a sample add up to the server');
SELECT results_eq(
    $$SELECT period_start FROM pool_monitor_utilization(NULL, NULL, '1 s')$$,
    $$SELECT period_start FROM pool_monitor_utilization(NULL, NULL, '1 s') ORDER BY 1$$,
    'periods come in their order');

-- The chart, as soon as a sample has seen this session
DO $$
BEGIN
    FOR i IN 1..600 LOOP
        EXIT WHEN EXISTS (SELECT FROM pool_monitor_chart());
        PERFORM pg_sleep(0.1);
    END LOOP;
END
$$;
SELECT throws_ok($$SELECT * FROM pool_monitor_chart('sessions')$$, '22023', 'unrecognized metric "sessions"',
    'a metric that there is not is refused');
SELECT throws_ok($$SELECT * FROM pool_monitor_chart('')$$, '22023', 'unrecognized metric ""', 'so is an empty one');
SELECT throws_ok($$SELECT * FROM pool_monitor_chart('Active')$$, '22023', 'unrecognized metric "Active"', 'case matters');
SELECT throws_ok($$SELECT * FROM pool_monitor_chart('active', '0')$$, '22023', '"since" must be greater than zero', 'a chart of no time is refused');
SELECT throws_ok($$SELECT * FROM pool_monitor_chart('active', '-1 h')$$, '22023', '"since" must be greater than zero', 'so is one of the future');
SELECT throws_ok($$SELECT * FROM pool_monitor_chart('active', '1 month')$$, '22023', '"since" must not contain months or years', 'and one of months');
SELECT throws_ok('SELECT * FROM pool_monitor_chart(NULL)', '22004', '"metric" must not be null', 'null is no metric');
SELECT isnt_empty($$SELECT * FROM pool_monitor_chart('connections', NULL)$$, 'a null time is no bound');
SELECT isnt_empty($$SELECT * FROM pool_monitor_chart('connections', NULL) WHERE maximum > 0$$, 'all that is kept is in the chart then');
SELECT isnt_empty('SELECT * FROM pool_monitor_chart()', 'both arguments have defaults');
SELECT isnt_empty($$SELECT * FROM pool_monitor_chart('connections', '100000000 days')$$, 'the longest time makes a chart');
SELECT isnt_empty($$SELECT * FROM pool_monitor_chart('connections', '5 s')$$, 'so does a short one');
SELECT is_empty($$SELECT * FROM pool_monitor_chart('connections') WHERE chart !~ '^[▁-█ ]+$' OR length(chart) > 120$$,
    'it is made of blocks, and not too wide');
SELECT results_eq($$SELECT application_name FROM pool_monitor_chart('connections')$$,
    $$SELECT application_name FROM pool_monitor_chart('connections') ORDER BY application_name COLLATE "C"$$,
    'one row an application, by name');

-- Incidents
SELECT is_empty('SELECT * FROM pool_monitor_incident_holders(0)', 'an incident that there is not has no holders');
SELECT is_empty('SELECT * FROM pool_monitor_incident_holders(-9223372036854775808)', 'whatever its number');
SELECT is_empty('SELECT * FROM pool_monitor_incident_holders(9223372036854775807)', 'is');
SELECT is_empty('SELECT * FROM pool_monitor_incidents WHERE ended_at < started_at OR peak_at < started_at', 'no incident ends before it starts');

SELECT * FROM finish();
