-- Declared pools, leaks and sizing: shapes, arguments, errors and privileges.
\set QUIET on
\pset format unaligned
\pset tuples_only on
\pset pager off
SET client_min_messages = warning;
SET application_name = 'pools of psql';

CREATE EXTENSION dblink;
CREATE ROLE pools_nobody;
CREATE ROLE pools_reader IN ROLE pg_read_all_stats;
CREATE ROLE pools_owner LOGIN;

-- Open a session that stays.
CREATE FUNCTION pg_temp.open_session(name text, role text) RETURNS void
LANGUAGE sql AS $$
    SELECT dblink_connect(name, format('host=%L port=%s dbname=%L user=%L application_name=%L',
        split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'),
        current_database(), role, name))
$$;

-- Reload, and wait until a new session has the value; ours has it with its next
-- statement.
CREATE FUNCTION pg_temp.reload(value text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    seen text;
BEGIN
    PERFORM pg_reload_conf();
    FOR i IN 1 .. 3000 LOOP
        PERFORM pg_temp.open_session('look', current_user);
        SELECT * INTO seen FROM dblink('look', $q$SELECT current_setting('pool_monitor.pools')$q$) AS r (v text);
        PERFORM dblink_disconnect('look');
        EXIT WHEN seen = value;
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$;

-- What a role gets for a query
CREATE FUNCTION pg_temp.seen_by(role text, query text) RETURNS SETOF jsonb
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('role', role, true);
    RETURN QUERY EXECUTE format('SELECT to_jsonb(q) FROM (%s) q', query);
    PERFORM set_config('role', 'none', true);
END $$;

SELECT no_plan();

--
-- Without a pool
--
SELECT is_empty('SELECT * FROM pool_monitor_pools', 'no pool is declared');
SELECT is(pool_monitor_health() -> 'pools', '[]', 'health has an empty list of them');
SELECT is((SELECT pool FROM pool_monitor_sessions WHERE pid = pg_backend_pid()), NULL, 'a session is in no pool');
SELECT results_eq('SELECT declared_capacity, oversubscribed FROM pool_monitor_capacity',
    'VALUES (0::bigint, false)', 'no capacity is declared');

--
-- With some
--
SELECT pg_temp.open_session('pools 1', 'pools_owner') \gset
SELECT pg_temp.open_session('pools 2', 'pools_owner') \gset
\set pools 'policy: application=none-such idle_timeout=0; mine: user=pools_* application="pools ?" size=1 overflow=4 instances=2 idle_timeout=90s; rest: size=1'
ALTER SYSTEM SET pool_monitor.pools = :'pools';
SELECT pg_temp.reload(:'pools') \gset
SELECT results_eq($$SELECT pool, usename, application_name, pool_size, capacity, total_connections, checked_in, overflow, status, idle_timeout
                      FROM pool_monitor_pools WHERE pool <> 'rest'$$,
    $$VALUES ('policy', NULL, 'none-such', NULL, NULL, 0, 0, NULL, NULL, '0'::interval),
             ('mine', 'pools_*', 'pools ?', 1, 10::bigint, 2, 2, 0::bigint, 'healthy', '90 s')$$,
    'each declared pool has a row, in their order');
SELECT is((SELECT count(*) FROM jsonb_array_elements(pool_monitor_health() -> 'pools')), 3::bigint, 'health has them all');
SELECT set_eq(format($$SELECT jsonb_object_keys(pool_monitor_health() -> 'pools' -> %s)$$, i),
    ARRAY['pool', 'pool_size', 'checked_in', 'checked_out', 'overflow', 'invalid', 'total_connections', 'status'],
    format('with exactly eight keys each: pool %s', i + 1)) FROM generate_series(0, 2) i;
SELECT is(pool_monitor_health() #>> '{pools,1,pool}', 'mine', 'in their order too');
SELECT is((SELECT string_agg(pool, ' ') FROM pool_monitor_sessions WHERE application_name LIKE 'pools _'), 'mine mine',
    'sessions know their pool');
SELECT is((SELECT pool FROM pool_monitor_sessions WHERE pid = pg_backend_pid()), 'rest', 'each is in the first that fits');
SELECT is(declared_capacity, 11::bigint, 'capacities are added up, each with its instances') FROM pool_monitor_capacity;
SELECT is((SELECT total_connections FROM pool_monitor_pool_status(1, 4, 'pools 1', current_database(), 'pools_owner')), 1,
    'pool_monitor_pool_status() counts by application, database and role');
SELECT is((SELECT undeclared_connections FROM pool_monitor_capacity), 0, 'no session is undeclared where a pool takes the rest');

--
-- Who may see what
--
SELECT is((SELECT r - 'checked_out' - 'checked_in' - 'peak_checked_out'
             FROM pg_temp.seen_by(role, $$SELECT * FROM pool_monitor_pools WHERE pool = 'mine'$$) r),
          (SELECT to_jsonb(p) - 'checked_out' - 'checked_in' - 'peak_checked_out' FROM pool_monitor_pools p WHERE pool = 'mine'),
          format('%s sees the figures of all pools', role)) FROM unnest(ARRAY['pools_nobody', 'pools_owner', 'pools_reader']) role;
SELECT is((SELECT count(*) FROM pg_temp.seen_by('pools_nobody', query)), n::bigint, 'everyone: ' || query)
  FROM (VALUES ('SELECT * FROM pool_monitor_capacity', 1), ('SELECT pool_monitor_health()', 1),
               ('SELECT * FROM pool_monitor_pool_status(5, 10)', 1), ('SELECT * FROM pool_monitor_leaks', 0),
               ($$SELECT * FROM pool_monitor_sessions WHERE pool IS NOT NULL$$, 0)) q (query, n);
SELECT is((SELECT count(*) FROM pg_temp.seen_by('pools_owner', 'SELECT * FROM pool_monitor_sessions WHERE pool IS NOT NULL')),
    2::bigint, 'whose sessions they are sees their pool');
SELECT throws_ok($$SELECT * FROM pg_temp.seen_by('pools_nobody', 'SELECT * FROM pool_monitor_sizing()')$$,
    '42501', NULL, 'sizing is not for everyone');
SELECT throws_ok($$SELECT * FROM pg_temp.seen_by('pools_owner', 'SELECT * FROM pool_monitor_sizing()')$$,
    '42501', NULL, 'nor for who has sessions');
SELECT lives_ok($$SELECT * FROM pg_temp.seen_by('pools_reader', 'SELECT * FROM pool_monitor_sizing()')$$,
    'but for who may read all statistics');
SELECT throws_ok($$SELECT * FROM pg_temp.seen_by('pools_nobody', $q$SELECT set_config('pool_monitor.pools', '', false)$q$)$$,
    '55P02', NULL, 'nobody sets pools in a session');

--
-- Arguments of sizing
--
SELECT throws_ok('SELECT * FROM pool_monitor_sizing(' || arguments || ')', '22023', message, 'refused: ' || arguments)
  FROM (VALUES ('wait_target => ''-1 ms''', '"wait_target" must not be negative'),
               ('wait_target => ''-1 month 29 days''', '"wait_target" must not be negative'),
               ('percentile => 0', '"percentile" must be greater than 0 and less than 1'),
               ('percentile => 1', '"percentile" must be greater than 0 and less than 1'),
               ('percentile => -0.5', '"percentile" must be greater than 0 and less than 1'),
               ('percentile => 99', '"percentile" must be greater than 0 and less than 1'),
               ('percentile => ''NaN''', '"percentile" must be greater than 0 and less than 1'),
               ('percentile => ''Infinity''', '"percentile" must be greater than 0 and less than 1'),
               ('since => ''0''', '"since" must be greater than zero'),
               ('since => ''-1 day''', '"since" must be greater than zero')) a (arguments, message);
SELECT lives_ok('SELECT * FROM pool_monitor_sizing(' || arguments || ')', 'taken: ' || arguments)
  FROM (VALUES (''), ('wait_target => ''0'''), ('''100 years'', 0.999999999999, ''178000000 years'''),
               ('percentile => 1e-300'), ('since => ''1 microsecond''')) a (arguments);
SELECT results_eq('SELECT count(*) FROM pool_monitor_sizing(since => NULL)',
    $$SELECT count(*) FROM pool_monitor_sizing(since => '100 years')$$, 'a null time is no bound');
SELECT throws_ok('SELECT * FROM pool_monitor_sizing(' || arguments || ')', '22004', message, 'refused: ' || arguments)
  FROM (VALUES ('wait_target => NULL', '"wait_target" must not be null'),
               ('percentile => NULL', '"percentile" must not be null')) a (arguments, message);
SELECT is_empty('SELECT * FROM pool_monitor_sizing(since => ''1 microsecond'')', 'no whole minute is so short');

-- and of pool_monitor_pool_status()
SELECT throws_ok('SELECT * FROM pool_monitor_pool_status(' || arguments || ')', '22023', NULL, 'refused: ' || arguments)
  FROM unnest(ARRAY['-1, 0', '5, -2', '-2147483648, 0']) arguments;
SELECT results_eq('SELECT status, overflow FROM pool_monitor_pool_status(0, -1, ''pools 1'')',
    $$VALUES ('overflow', 1::bigint)$$, 'without a limit a pool is never exhausted');
SELECT results_eq('SELECT status, overflow FROM pool_monitor_pool_status(2147483647, 2147483647)',
    $$VALUES ('healthy', 0::bigint)$$, 'the largest figures do not overflow');

--
-- None again
--
ALTER SYSTEM RESET pool_monitor.pools;
SELECT pg_temp.reload('') \gset
SELECT is_empty('SELECT * FROM pool_monitor_pools', 'no pool is declared any more');
SELECT dblink_disconnect('pools ' || i) FROM generate_series(1, 2) i \g /dev/null
SELECT * FROM finish();
