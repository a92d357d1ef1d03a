-- A hostile search_path: a role that may create objects plants operators,
-- functions, types and relations that fit better than the system's, wherever
-- ours are made and used.  None of them may ever run, and nothing of ours may
-- depend on one: neither the extension nor the script of the fleet.
\set QUIET on
\pset format unaligned
\pset tuples_only on
\pset pager off
SET client_min_messages = warning;
SET jit = off;
DROP EXTENSION pool_monitor;

CREATE ROLE pmon_hostile;
CREATE ROLE pmon_victim;
CREATE SCHEMA trap;
CREATE SCHEMA clean;
CREATE SCHEMA later;
GRANT USAGE, CREATE ON SCHEMA trap TO pmon_hostile;
GRANT USAGE ON SCHEMA trap, clean, later TO pmon_victim;
CREATE TABLE trap.caught (what text, who text);
GRANT INSERT ON trap.caught TO PUBLIC;

SELECT no_plan();

-- The names of all functions that the two scripts call, or seem to; of our own,
-- those that our views read
\set extension `cat sql/pool_monitor--1.0.sql`
\set fleet `cat sql/pool_monitor_fleet.sql`
CREATE TABLE called AS
    SELECT DISTINCT m[1] AS name, m[1] LIKE 'pool\_monitor%' AS ours
      FROM regexp_matches(:'extension' || :'fleet', '([a-z_]+)\(', 'g') m
     WHERE m[1] NOT LIKE 'pool\_monitor%' OR :'extension' ~ format('FROM %s\(\)', m[1]);
SELECT cmp_ok((SELECT count(*) FROM called), '>', 20::bigint, 'the scripts call functions');

CREATE FUNCTION plant(planted text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE planted;
    RETURN true;
END $$;

-- A function that tells that it was called
CREATE FUNCTION plant_function(name text, arguments text, result text) RETURNS boolean
LANGUAGE sql AS $$
    SELECT plant(format(
        'CREATE FUNCTION trap.%I(%s) RETURNS pg_catalog.%I LANGUAGE plpgsql AS %L', name, arguments, result,
        format('BEGIN INSERT INTO trap.caught VALUES (%L, current_user); RETURN NULL; END', name || '(' || arguments || ')')))
$$;

CREATE TABLE types AS
    SELECT t, format('pg_catalog.%I', t) AS q
      FROM unnest('{bool, char, int2, int4, int8, float8, numeric, text, name, oid, regclass,
                    interval, timestamptz, jsonb}'::text[]) t;

SET ROLE pmon_hostile;
SELECT session_user <> current_user AS planted_by_another \gset
RESET ROLE;
GRANT SELECT ON called, types TO pmon_hostile;
SET ROLE pmon_hostile;
-- Operators: every pair of types, those too that the system has its own for
SELECT count(plant_function('operator ' || o, format('%s, %s', l.q, r.q),
                            CASE WHEN o ~ '^[-+*/]$' THEN l.t WHEN o = '||' THEN 'text' ELSE 'bool' END)) +
       count(plant(format('CREATE OPERATOR trap.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = trap.%I)',
                          o, l.q, r.q, 'operator ' || o))) AS planted
      FROM unnest('{=, <>, <, >, <=, >=, +, -, /, ||}'::text[]) o, types l, types r \gset
-- Functions of no, of one and of two arguments, and those that take anything
SELECT count(plant_function(name, '', 'text')) AS planted FROM called WHERE NOT ours \gset
SELECT count(plant_function(name, q, 'text')) AS planted FROM called, types WHERE NOT ours \gset
SELECT count(plant_function(name, format('%s, %s', l.q, r.q), 'text')) AS planted
  FROM called, types l, types r WHERE NOT ours AND l.t IN ('text', 'numeric', 'int4', 'name', 'oid') \gset
SELECT count(plant_function('all ' || name, 'VARIADIC pg_catalog._text', 'text')) AS planted FROM called \gset
SELECT count(plant_function(name, 'VARIADIC pg_catalog._int4', 'text')) AS planted FROM called \gset
SELECT count(plant_function(name, 'pg_catalog.float4 DEFAULT 1', 'text')) AS planted FROM called WHERE NOT ours \gset
-- Types and relations with the names of the system's
SELECT count(plant(format('CREATE DOMAIN trap.%I AS %s', t, q))) AS planted FROM types \gset
SELECT plant_function('relation', '', 'text') AS planted \gset
SELECT count(plant(format('CREATE VIEW trap.%I AS SELECT trap.relation() AS oid', relname))) AS planted
  FROM unnest('{pg_database, pg_roles, pg_class, pg_depend, pg_extension, pg_attribute, pg_foreign_table,
                pg_foreign_server, pg_settings}'::text[]) relname \gset
CREATE TYPE trap.other AS (t pg_catalog.text);
CREATE FUNCTION trap.cast_other(trap.other) RETURNS pg_catalog.text LANGUAGE plpgsql AS
    'BEGIN INSERT INTO trap.caught VALUES (''cast'', current_user); RETURN NULL; END';
CREATE CAST (trap.other AS pg_catalog.text) WITH FUNCTION trap.cast_other(trap.other) AS IMPLICIT;
RESET ROLE;

SELECT ok(:'planted_by_another', 'the traps are of another role');
SELECT cmp_ok((SELECT count(*) FROM pg_proc WHERE proowner = 'pmon_hostile'::regrole), '>', 3000::bigint, 'there are traps');

-- The traps do snap: as they would for a script that takes no care
SET search_path = trap;
SELECT 1::pg_catalog.float8 / 1::pg_catalog.int4 AS bait \gset
RESET search_path;
SELECT results_eq('SELECT what FROM trap.caught', $$VALUES ('operator /(pg_catalog.float8, pg_catalog.int4)')$$, 'a trap snaps');
TRUNCATE trap.caught;

-- What of ours depends on anything that is not ours nor the system's
CREATE VIEW public.strange_dependencies AS
    WITH ours AS (SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e
                         ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
                   WHERE d.deptype = 'e' AND e.extname = 'pool_monitor'
                  UNION
                  SELECT 'pg_proc'::regclass, oid FROM pg_proc WHERE pronamespace = to_regnamespace('pool_monitor_fleet')
                  UNION
                  SELECT 'pg_class'::regclass, oid FROM pg_class WHERE relnamespace = to_regnamespace('pool_monitor_fleet')),
         parts AS (SELECT * FROM ours UNION
                   SELECT 'pg_rewrite'::regclass, r.oid FROM pg_rewrite r JOIN ours o
                          ON o.classid = 'pg_class'::regclass AND o.objid = r.ev_class UNION
                   SELECT 'pg_type'::regclass, t.oid FROM pg_type t JOIN ours o
                          ON o.classid = 'pg_class'::regclass AND o.objid IN (t.typrelid,
                             (SELECT typrelid FROM pg_type WHERE oid = t.typelem)))
    SELECT pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid) AS object
      FROM pg_depend d JOIN parts USING (classid, objid)
     WHERE (d.refclassid, d.refobjid) NOT IN (SELECT * FROM parts)
       AND d.refclassid NOT IN ('pg_namespace'::regclass, 'pg_extension'::regclass)
       AND d.refobjid >= 16384;

-- Use everything: each view and function, only with the arguments it must have
CREATE FUNCTION public.use_everything() RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    q text;
    n bigint := 0;
BEGIN
    FOR q IN
        SELECT format('SELECT pg_catalog.count(*) FROM (SELECT * FROM %s OFFSET 0) q',
                      CASE WHEN d.classid = 'pg_class'::regclass THEN format('%I.%I', s.nspname, c.relname)
                      ELSE format('%I.%I(%s)', s.nspname, p.proname,
                                  (SELECT string_agg(CASE format_type(a, NULL) WHEN 'integer' THEN '1'
                                                     WHEN 'interval' THEN '''1 day''' ELSE '''nobody''' END, ', ' ORDER BY i)
                                     FROM unnest(p.proargtypes) WITH ORDINALITY u (a, i)
                                    WHERE i <= p.pronargs - p.pronargdefaults)) END)
          FROM pg_depend d
          LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
          LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
          JOIN pg_namespace s ON s.oid IN (c.relnamespace, p.pronamespace)
         WHERE d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass
           AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pool_monitor')
    LOOP
        PERFORM set_config('search_path', 'pg_temp, trap, pg_catalog', true);
        EXECUTE q;
        PERFORM set_config('search_path', 'pg_catalog', true);
        n := n + 1;
    END LOOP;
    RETURN n;
END $$;
CREATE TEMP VIEW pg_database AS SELECT trap.relation() AS oid;
CREATE TEMP VIEW pg_roles AS SELECT trap.relation() AS oid;
CREATE TEMP VIEW pool_monitor_status AS SELECT trap.relation() AS status;

-- everything_is_safe(LABEL): nothing was caught until now, nor in its use
CREATE FUNCTION public.everything_is_safe(label text) RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
    RETURN NEXT cmp_ok(use_everything(), '>=', 30::bigint, label || ': each view and function answers');
    RETURN NEXT is_empty('SELECT DISTINCT what, who FROM trap.caught', label || ': no trap has snapped');
    RETURN NEXT is_empty('SELECT DISTINCT object FROM strange_dependencies', label || ': nothing depends on a trap');
    TRUNCATE trap.caught;
END $$;

SET search_path = pg_temp, trap, pg_catalog;
CREATE EXTENSION pool_monitor SCHEMA trap;
RESET search_path;
SELECT everything_is_safe('made among the traps');
DROP EXTENSION pool_monitor;

SET search_path = trap;
CREATE EXTENSION pool_monitor;
RESET search_path;
SELECT everything_is_safe('made where the path leads');
ALTER EXTENSION pool_monitor SET SCHEMA later;
SELECT everything_is_safe('moved away');
DROP EXTENSION pool_monitor;

SET search_path = trap, pg_catalog;
CREATE EXTENSION pool_monitor SCHEMA clean;
RESET search_path;
SELECT everything_is_safe('made elsewhere');
ALTER EXTENSION pool_monitor SET SCHEMA trap;
SELECT everything_is_safe('moved among the traps');

-- What others planted before us stays theirs: an object of the same name and
-- the same arguments is an error, not replaced and not taken over
DROP EXTENSION pool_monitor;
CREATE SCHEMA taken;
GRANT USAGE, CREATE ON SCHEMA taken TO pmon_hostile;
SET ROLE pmon_hostile;
CREATE FUNCTION taken.pool_monitor_status() RETURNS text LANGUAGE sql AS $$ SELECT 'mine'::text $$;
RESET ROLE;
SELECT throws_ok('CREATE EXTENSION pool_monitor SCHEMA taken', '42723', NULL, 'a function that is there is not taken over');
DROP FUNCTION taken.pool_monitor_status();
SET ROLE pmon_hostile;
CREATE VIEW taken.pool_monitor_status AS SELECT 'mine' AS status;
RESET ROLE;
SELECT throws_ok('CREATE EXTENSION pool_monitor SCHEMA taken', '42P07', NULL, 'nor is a view');
SET ROLE pmon_hostile;
SELECT throws_ok('CREATE EXTENSION pool_monitor SCHEMA taken', '42501', NULL, 'only a superuser makes the extension');
RESET ROLE;

-- The fleet: made and used with the traps first in the path
CREATE EXTENSION pool_monitor SCHEMA clean;
SET search_path = trap;
\i sql/pool_monitor_fleet.sql
SELECT pg_catalog.count(*) AS views FROM pool_monitor_fleet.views() \gset
SELECT pg_catalog.count(*) AS rows FROM pool_monitor_fleet.status \gset
SELECT pg_catalog.count(*) AS rows FROM pool_monitor_fleet.read('status') r (server pg_catalog.text) \gset
RESET search_path;
SELECT is(:views::bigint, (SELECT count(*) FROM pg_class WHERE relkind = 'v' AND relnamespace = 'clean'::regnamespace),
          'the fleet finds our views, and no others');
SELECT everything_is_safe('the fleet');
DROP SCHEMA pool_monitor_fleet CASCADE;

SET search_path = trap, pg_catalog, public;
\i sql/pool_monitor_fleet.sql
SELECT pg_catalog.count(*) AS rows FROM pool_monitor_fleet.sessions \gset
RESET search_path;
SELECT everything_is_safe('the fleet, with the system''s last');
DROP SCHEMA pool_monitor_fleet CASCADE;

-- No function of ours looks for names at run time but with a path of its own,
-- and none lends its caller its owner's privileges
\i sql/pool_monitor_fleet.sql
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
                   WHERE p.proname LIKE 'pool\_monitor%' AND p.pronamespace = 'clean'::regnamespace
                     AND l.lanname <> 'c' AND p.prosqlbody IS NULL$$,
                'every function is in C, or bound when it is made');
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
                   WHERE p.pronamespace = 'pool_monitor_fleet'::regnamespace AND p.prosqlbody IS NULL
                     AND p.proconfig IS DISTINCT FROM '{"search_path=pg_catalog, pg_temp"}'$$,
                'those of the fleet are bound too, or have a path of their own');
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p WHERE p.prosecdef
                     AND p.pronamespace IN ('clean'::regnamespace, 'pool_monitor_fleet'::regnamespace)$$,
                'none is SECURITY DEFINER');

SELECT * FROM finish();

-- Later files have the server to themselves
DROP SCHEMA pool_monitor_fleet, trap, taken CASCADE;
DROP OWNED BY pmon_hostile, pmon_victim CASCADE;
DROP ROLE pmon_hostile, pmon_victim;
