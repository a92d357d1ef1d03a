-- What "test/run.sh check random_sql" asks.
--
-- sqlsmith calls no functions that return sets, and picks the others from all
-- there are.  So each of ours stands behind ones that return one value, of the
-- types that are asked for most.
\set ON_ERROR_STOP on
CREATE ROLE smith LOGIN;
CREATE ROLE reader LOGIN IN ROLE pg_monitor;
CREATE ROLE full_role LOGIN CONNECTION LIMIT 0;
ALTER ROLE smith SET statement_timeout = '2s';
ALTER ROLE reader SET statement_timeout = '2s';
CREATE DATABASE target;
\c target
CREATE EXTENSION pool_monitor;
CREATE SCHEMA aim;
GRANT USAGE ON SCHEMA aim TO PUBLIC;
DO $$
DECLARE
    f record;
    i int;
    result record;
BEGIN
    FOR f IN
        SELECT p.proname, count(a) AS n,
               coalesce(string_agg(CASE WHEN format_type(a, NULL) = 'boolean' THEN 'true' ELSE '$' || k END, ', ' ORDER BY k), '') AS passed,
               coalesce(string_agg(format_type(a, NULL), ', ' ORDER BY k), '') AS types
          FROM pg_depend d
          JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
          LEFT JOIN LATERAL unnest(p.proargtypes) WITH ORDINALITY u (a, k) ON true
         WHERE d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pool_monitor')
           AND p.proname <> 'pool_monitor_reset'
         GROUP BY p.oid
    LOOP
        FOR result IN SELECT * FROM (VALUES ('text', 'string_agg(r::text, '','')'), ('integer', 'count(*)::integer'),
                ('bigint', 'count(*)'), ('boolean', 'count(*) > 1'), ('double precision', 'avg(length(r::text))::double precision'),
                ('name', 'max(r::text)::name'), ('interval', 'count(*) * interval ''1 s'''), ('timestamptz', 'now() - count(*) * interval ''1 s''')) v (type, value)
        LOOP
            FOR i IN 1 .. 16 LOOP
                EXECUTE format('CREATE FUNCTION aim.%I(%s) RETURNS %s LANGUAGE sql VOLATILE AS %L',
                               format('%s_%s_%s', f.proname, split_part(result.type, ' ', 1), i), f.types, result.type,
                               format('SELECT %s FROM public.%I(%s) r', result.value, f.proname, f.passed));
            END LOOP;
        END LOOP;
    END LOOP;
END $$;

-- sqlsmith knows nothing of the polymorphic types: half of its queries would
-- end in the parser, on operators that only they have
SET allow_system_table_mods = on;
DELETE FROM pg_operator WHERE EXISTS (SELECT FROM pg_type WHERE oid IN (oprleft, oprright) AND typname LIKE 'any%');
DELETE FROM pg_proc WHERE EXISTS (SELECT FROM pg_type WHERE (oid = prorettype OR oid = ANY (proargtypes::oid[])) AND typname LIKE 'any%range');
