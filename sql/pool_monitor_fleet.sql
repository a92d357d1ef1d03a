-- pool_monitor_fleet.sql: the views of many servers as one, each row with the
-- name of its server.
--
--   psql -v ON_ERROR_STOP=1 -d monitoring -f pool_monitor_fleet.sql
--
-- needs postgres_fdw and pool_monitor in that database (the views here are
-- made like the ones that it finds there).  Then for each server:
--
--   CREATE SERVER shop_1 FOREIGN DATA WRAPPER postgres_fdw
--       OPTIONS (host 'shop-1', dbname 'postgres', connect_timeout '2',
--                keep_connections 'off', options '-c statement_timeout=2000');
--   CREATE USER MAPPING FOR CURRENT_USER SERVER shop_1 OPTIONS (user 'monitor', password '...');
--   SELECT pool_monitor_fleet.add('shop_1');
--
-- A server that can not be read is one row, with the reason in "error" and no
-- figures.  Set statement_timeout where you read the views: it bounds the whole
-- even when servers hang, and what was read until then is shown.  DROP SERVER shop_1 CASCADE takes a server out again, DROP SCHEMA
-- pool_monitor_fleet CASCADE all that is made here.

BEGIN;

-- What is made here must not find operators or functions that others planted
SET LOCAL search_path = pg_catalog, pg_temp;

CREATE SCHEMA pool_monitor_fleet;
COMMENT ON SCHEMA pool_monitor_fleet IS 'the views of pool_monitor of many servers, each row with the name of its server';
GRANT USAGE ON SCHEMA pool_monitor_fleet TO pg_monitor;

CREATE FUNCTION pool_monitor_fleet.columns(view regclass)
RETURNS text
LANGUAGE SQL STABLE STRICT
BEGIN ATOMIC
    SELECT pg_catalog.string_agg(pg_catalog.format('%I %s', a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)),
                                 ', ' ORDER BY a.attnum)
      FROM pg_catalog.pg_attribute a
     WHERE a.attrelid = view AND a.attnum > 0 AND NOT a.attisdropped;
END;
COMMENT ON FUNCTION pool_monitor_fleet.columns(regclass) IS 'the columns of a view and their types, as a table is made of them';

CREATE FUNCTION pool_monitor_fleet.views(OUT name text, OUT view regclass)
RETURNS SETOF record
LANGUAGE SQL STABLE
BEGIN ATOMIC
    SELECT pg_catalog.substr(c.relname, pg_catalog.length('pool_monitor_') + 1), c.oid::regclass
      FROM pg_catalog.pg_extension e
      JOIN pg_catalog.pg_depend d
        ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
      JOIN pg_catalog.pg_class c
        ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND c.relkind = 'v'
     WHERE e.extname = 'pool_monitor';
END;
COMMENT ON FUNCTION pool_monitor_fleet.views() IS 'the views of pool_monitor in this database, and their names here';

CREATE FUNCTION pool_monitor_fleet.add(server name, remote_schema name DEFAULT 'public')
RETURNS void
LANGUAGE plpgsql STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v record;
BEGIN
    -- The table's name must hold both names
    IF length(server) > 40 THEN
        RAISE EXCEPTION USING ERRCODE = 'name_too_long',
            MESSAGE = format('the name of server "%s" is longer than 40 characters', server);
    END IF;
    FOR v IN SELECT * FROM pool_monitor_fleet.views() LOOP
        EXECUTE format('CREATE FOREIGN TABLE pool_monitor_fleet.%I (%s) SERVER %I OPTIONS (schema_name %L, table_name %L)',
                       v.name || '@' || server, pool_monitor_fleet.columns(v.view), server,
                       remote_schema, 'pool_monitor_' || v.name);
        EXECUTE format('GRANT SELECT ON pool_monitor_fleet.%I TO pg_monitor', v.name || '@' || server);
    END LOOP;
END;
$$;
COMMENT ON FUNCTION pool_monitor_fleet.add(name, name) IS
'make a foreign server part of the fleet; it need not be up; remote_schema is where its extension is';
REVOKE ALL ON FUNCTION pool_monitor_fleet.add(name, name) FROM PUBLIC;

CREATE FUNCTION pool_monitor_fleet.read(name text)
RETURNS SETOF record
LANGUAGE plpgsql STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t record;
    late boolean := false;
BEGIN
    FOR t IN
        SELECT s.srvname AS server, c.oid::regclass AS rel
          FROM pg_foreign_table f
          JOIN pg_foreign_server s ON s.oid = f.ftserver
          JOIN pg_class c ON c.oid = f.ftrelid
         WHERE c.relnamespace = 'pool_monitor_fleet'::regnamespace
           AND split_part(c.relname, '@', 1) = name
         ORDER BY s.srvname
    LOOP
        IF late THEN
            RETURN QUERY EXECUTE format('SELECT %2$L::text, %3$L::text, (NULL::%1$s).*', t.rel, t.server,
                                        'not asked, since statement_timeout was over');
            CONTINUE;
        END IF;
        BEGIN
            -- What was returned stays when an error is caught, so the count
            -- has all rows fetched before the first one is returned.
            RETURN QUERY EXECUTE format(
                'WITH r AS MATERIALIZED (SELECT * FROM %1$s), n AS MATERIALIZED (SELECT count(*) FROM r)
                 SELECT %2$L::text, NULL::text, r.* FROM n, r', t.rel, t.server);
        EXCEPTION
        WHEN query_canceled THEN
            -- From PostgreSQL 16 on, connect_timeout does not end the wait for
            -- a server that hangs, but statement_timeout here does.  It comes
            -- once in a statement, so no other server is asked after it.
            late := (SELECT setting::float8 > 0
                            AND clock_timestamp() >= statement_timestamp() + setting::float8 * interval '1 ms'
                       FROM pg_settings WHERE pg_settings.name = 'statement_timeout');
            IF NOT late THEN
                RAISE;
            END IF;
            RETURN QUERY EXECUTE format('SELECT %2$L::text, %3$L::text, (NULL::%1$s).*', t.rel, t.server, SQLERRM);
        WHEN OTHERS THEN
            RETURN QUERY EXECUTE format('SELECT %2$L::text, %3$L::text, (NULL::%1$s).*', t.rel, t.server, SQLERRM);
        END;
    END LOOP;
END;
$$;
COMMENT ON FUNCTION pool_monitor_fleet.read(text) IS
'one view of every server of the fleet; of a server that can not be read, one row with the reason';

DO $$
DECLARE
    v record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'pool_monitor') THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_object',
            MESSAGE = 'extension "pool_monitor" does not exist in this database',
            HINT = 'Run CREATE EXTENSION pool_monitor; its library need not be preloaded here.';
    END IF;
    FOR v IN SELECT * FROM pool_monitor_fleet.views() LOOP
        EXECUTE pg_catalog.format('CREATE VIEW pool_monitor_fleet.%I AS SELECT * FROM pool_monitor_fleet.read(%L) AS r (server text, error text, %s)',
                                  v.name, v.name, pool_monitor_fleet.columns(v.view));
        EXECUTE pg_catalog.format('COMMENT ON VIEW pool_monitor_fleet.%I IS %L',
                                  v.name, 'pool_monitor_' || v.name || ' of every server of the fleet');
        EXECUTE pg_catalog.format('GRANT SELECT ON pool_monitor_fleet.%I TO pg_monitor', v.name);
    END LOOP;
END;
$$;

COMMIT;
