-- What sample.sh runs.  The variable sessions says how many to open.
SET client_min_messages = warning;
CREATE EXTENSION pool_monitor;
CREATE EXTENSION dblink;

-- The sessions: 20 applications; one in ten is in a transaction, one in ten
-- runs a statement, the others are idle.
SELECT count(dblink_connect('c' || i, format('host=%s port=%s dbname=%s user=%s application_name=%L',
             split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'),
             current_database(), current_user, 'application ' || i % 20))) AS sessions
  FROM generate_series(1, :sessions) i \gset
SELECT count(dblink_exec('c' || i, 'BEGIN')) AS in_transaction FROM generate_series(1, :sessions, 10) i \gset
SELECT count(dblink_send_query('c' || i, 'SELECT pg_sleep(3600)')) AS active FROM generate_series(2, :sessions, 10) i \gset

CREATE TEMP TABLE measured (what text, microseconds float8);

-- Samples, one after the other, as the worker takes them
CREATE PROCEDURE measure_samples(wanted int)
LANGUAGE plpgsql AS $$
DECLARE
    last bigint := 0;
    info record;
BEGIN
    WHILE wanted > 0 LOOP
        SELECT samples, last_sample_duration AS ms INTO info FROM pool_monitor_info;
        IF info.samples > last THEN
            INSERT INTO measured VALUES ('one sample', info.ms * 1000);
            last := info.samples;
            wanted := wanted - 1;
        END IF;
        PERFORM pg_sleep(0.005);
    END LOOP;
END $$;

-- A statement, so often.  The sleep lets other processes have their turn
-- outside of what is measured.
CREATE PROCEDURE measure_statement(what text, statement text, times int)
LANGUAGE plpgsql AS $$
DECLARE
    start timestamptz;
BEGIN
    FOR i IN 1 .. times LOOP
        PERFORM pg_stat_clear_snapshot(), pg_sleep(0.005);
        start := clock_timestamp();
        EXECUTE statement;
        INSERT INTO measured VALUES (what, extract(epoch FROM clock_timestamp() - start) * 1e6);
    END LOOP;
END $$;

-- In turns, so that whatever else the machine does meets all of them
CREATE PROCEDURE measure_all()
LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 10 LOOP
        CALL measure_samples(30);
        CALL measure_statement('pg_stat_activity, grouped',
            'SELECT application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2', 30);
        CALL measure_statement('pool_monitor_connections', 'SELECT * FROM pool_monitor_connections', 30);
        CALL measure_statement('pool_monitor_applications', 'SELECT * FROM pool_monitor_applications', 30);
        CALL measure_statement('pool_monitor_status', 'SELECT * FROM pool_monitor_status', 30);
    END LOOP;
END $$;
CALL measure_all();

SELECT connections AS sessions, active, idle, idle_in_transaction FROM pool_monitor_status;

WITH spread AS (
    SELECT what, count(*) AS runs, percentile_cont(ARRAY[0.1, 0.5, 0.9]) WITHIN GROUP (ORDER BY microseconds) AS p
      FROM measured GROUP BY what)
SELECT what, runs, round(p[2]::numeric, 1) AS "median, us", round(p[1]::numeric, 1) AS "10%, us",
       round(p[3]::numeric, 1) AS "90%, us",
       round(p[2]::numeric * 1000 / (SELECT connections FROM pool_monitor_status)) AS "ns a session",
       round((p[2] / (SELECT p[2] FROM spread WHERE what = 'one sample'))::numeric, 1) AS "times a sample"
  FROM spread ORDER BY p[2];
