-- What sample.sh measures with.
SET client_min_messages = warning;
CREATE EXTENSION pool_monitor;

CREATE FUNCTION bench_time(what text, times int, cold boolean, slots int, live int) RETURNS float8[]
LANGUAGE C STRICT AS 'pmon_bench';

CREATE FUNCTION bench_sampler_bytes() RETURNS bigint
LANGUAGE C STRICT AS 'pmon_bench';

-- The applications that the sessions of a made-up array are in
SET application_name = 'first';
SET application_name = 'second';

CREATE TABLE measured (what text, ns float8);

-- A statement, so often.  The sleep lets other processes have their turn
-- outside of what is measured.
CREATE PROCEDURE measure_statement(what text, statement text, times int)
LANGUAGE plpgsql AS $$
DECLARE
    start timestamptz;
BEGIN
    FOR i IN 1 .. times LOOP
        PERFORM pg_stat_clear_snapshot(), pg_sleep(0.001);
        start := clock_timestamp();
        EXECUTE statement;
        INSERT INTO measured VALUES (what, extract(epoch FROM clock_timestamp() - start) * 1e9);
    END LOOP;
END $$;

-- In turns, so that whatever else the machine does meets all of them
CREATE PROCEDURE measure_statements(rounds int, exporter text)
LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE measured;
    FOR i IN 1 .. rounds LOOP
        CALL measure_statement('pg_stat_activity',
            'SELECT application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2', 4);
        IF exporter <> '' THEN
            CALL measure_statement('postgres_exporter', exporter, 4);
        END IF;
        CALL measure_statement('pool_monitor_applications', 'SELECT * FROM pool_monitor_applications', 4);
    END LOOP;
END $$;
