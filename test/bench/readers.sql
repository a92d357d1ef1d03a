-- What readers.sh measures with.
SET client_min_messages = warning;
CREATE EXTENSION pool_monitor;

-- Each view and, by another name, the same as far as pg_stat_activity knows it;
-- an equivalent is measured like the views.
CREATE TABLE statements (what text PRIMARY KEY, equivalent text, statement text);
INSERT INTO statements VALUES
    ('pg_stat_activity', NULL, 'SELECT * FROM pg_stat_activity'),
    ('by state', NULL, 'SELECT state, count(*) FROM pg_stat_activity WHERE backend_type = ''client backend'' GROUP BY 1'),
    ('by application and state', NULL,
     'SELECT application_name, state, count(*), max(now() - state_change), max(now() - xact_start)
        FROM pg_stat_activity WHERE backend_type = ''client backend'' GROUP BY 1, 2'),
    ('by database, role, application and state', NULL,
     'SELECT datname, usename, application_name, state, count(*), max(now() - state_change), max(now() - xact_start)
        FROM pg_stat_activity WHERE backend_type = ''client backend'' GROUP BY 1, 2, 3, 4'),
    ('by all labels', NULL,
     'SELECT datname, usename, application_name, client_addr, state, backend_type, count(*), max(now() - state_change)
        FROM pg_stat_activity GROUP BY 1, 2, 3, 4, 5, 6'),
    ('long transactions', NULL,
     'SELECT * FROM pg_stat_activity WHERE state LIKE ''idle in transaction%'' AND state_change < now() - interval ''5 min'' ORDER BY state_change'),
    ('by database', NULL, 'SELECT datname, count(*) FROM pg_stat_activity WHERE backend_type = ''client backend'' GROUP BY 1'),
    ('by role', NULL, 'SELECT usename, count(*) FROM pg_stat_activity WHERE backend_type = ''client backend'' GROUP BY 1'),
    ('one application', NULL, 'SELECT * FROM pg_stat_activity WHERE application_name = ''application 3'''),
    ('few columns', NULL,
     'SELECT pid, usename, application_name, state, now() - xact_start FROM pg_stat_activity WHERE backend_type = ''client backend'''),
    ('few columns of those in a transaction', NULL,
     'SELECT pid, usename, application_name, state, now() - xact_start FROM pg_stat_activity WHERE state LIKE ''idle in transaction%'''),
    ('pool_monitor_status', 'by state', NULL),
    ('pool_monitor_connections', 'by all labels', NULL),
    ('pool_monitor_applications', 'by application and state', NULL),
    ('pool_monitor_groups', 'by database, role, application and state', NULL),
    ('pool_monitor_sessions', 'pg_stat_activity', NULL),
    ('pool_monitor_sessions of one application', 'one application',
     'SELECT * FROM pool_monitor_sessions WHERE application_name = ''application 3'''),
    ('pool_monitor_sessions counted by state', 'by state', 'SELECT state, count(*) FROM pool_monitor_sessions GROUP BY 1'),
    ('pool_monitor_sessions: few columns', 'few columns',
     'SELECT pid, usename, application_name, state, transaction_age FROM pool_monitor_sessions'),
    ('pool_monitor_sessions: few columns of those in a transaction', 'few columns of those in a transaction',
     'SELECT pid, usename, application_name, state, transaction_age FROM pool_monitor_sessions WHERE state LIKE ''idle in transaction%'''),
    ('pool_monitor_leaks', 'long transactions', NULL),
    ('pool_monitor_databases', 'by database', NULL),
    ('pool_monitor_roles', 'by role', NULL),
    ('pool_monitor_pools', 'by application and state', NULL),
    ('pool_monitor_capacity', 'by application and state', NULL),
    ('pool_monitor_health()', NULL, 'SELECT pool_monitor_health()'),
    ('pool_monitor_metrics()', NULL, 'SELECT pool_monitor_metrics()'),
    ('pool_monitor_info', NULL, NULL),
    ('pool_monitor_history()', NULL, 'SELECT * FROM pool_monitor_history()'),
    ('pool_monitor_sizing()', NULL, 'SELECT * FROM pool_monitor_sizing()');
UPDATE statements SET statement = 'SELECT * FROM ' || what WHERE statement IS NULL;

CREATE FUNCTION bench_cpu() RETURNS bigint LANGUAGE C AS 'bench_clock';
CREATE TABLE measured (what text, equivalent text, us float8, cpu_us float8);

-- Each statement so often, in turns
CREATE PROCEDURE measure_readers(rounds int)
LANGUAGE plpgsql AS $$
DECLARE
    s record;
    start timestamptz;
    start_cpu bigint;
BEGIN
    TRUNCATE measured;
    FOR round IN 1 .. rounds LOOP
        FOR s IN SELECT * FROM statements LOOP
            FOR i IN 1 .. 4 LOOP
                PERFORM pg_stat_clear_snapshot(), pg_sleep(0.001);
                start := clock_timestamp();
                start_cpu := bench_cpu();
                EXECUTE s.statement;
                INSERT INTO measured VALUES (s.what, s.equivalent,
                                             extract(epoch FROM clock_timestamp() - start) * 1e6,
                                             (bench_cpu() - start_cpu) / 1e3);
            END LOOP;
        END LOOP;
    END LOOP;
END $$;

-- How long the worker's samples take, for so many seconds
CREATE TABLE samples (us float8);
CREATE PROCEDURE watch_samples(seconds float8)
LANGUAGE plpgsql AS $$
DECLARE
    until timestamptz := clock_timestamp() + make_interval(secs => seconds);
    last bigint := 0;
    info record;
BEGIN
    TRUNCATE samples;
    WHILE clock_timestamp() < until LOOP
        SELECT i.samples, last_sample_duration AS ms INTO info FROM pool_monitor_info i;
        IF info.samples > last THEN
            INSERT INTO samples VALUES (info.ms * 1000);
            last := info.samples;
        END IF;
        PERFORM pg_sleep(0.02);
    END LOOP;
END $$;
