-- What the extension brings: objects, comments, their properties, and that
-- it can live in any schema

SET quote_all_identifiers = off;
CREATE EXTENSION pool_monitor;

CREATE VIEW members AS
    SELECT classid, objid, i.type, i.identity
      FROM pg_depend,
           LATERAL pg_identify_object(classid, objid, 0) i
     WHERE refclassid = 'pg_extension'::regclass
       AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pool_monitor')
       AND deptype = 'e';

SELECT type, identity
  FROM members
 WHERE type IN ('function', 'view')
 ORDER BY type, identity COLLATE "C";

-- Nothing else but the views' own types
SELECT type, identity FROM members WHERE type NOT IN ('function', 'view', 'type');

-- Every name starts with pool_monitor_
SELECT identity FROM members
 WHERE type IN ('function', 'view') AND identity NOT LIKE '%.pool\_monitor\_%';

-- Every object has a comment, and so has every column of every view
SELECT identity FROM members
 WHERE type IN ('function', 'view')
   AND coalesce(obj_description(objid, classid::regclass::name), '') = '';
SELECT m.identity, a.attname
  FROM members m JOIN pg_attribute a ON a.attrelid = m.objid AND a.attnum > 0
 WHERE m.type = 'view' AND coalesce(col_description(a.attrelid, a.attnum), '') = '';
SELECT obj_description(oid, 'pg_extension') FROM pg_extension WHERE extname = 'pool_monitor';

-- Functions: properties that a plan may rely on.  They show the present, so
-- they are volatile.
SELECT p.oid::regprocedure AS function, l.lanname AS language, p.provolatile AS volatile,
       p.proisstrict AS strict, p.proparallel AS parallel, p.proretset AS set,
       p.prosecdef AS definer, p.proacl IS NOT NULL AS restricted
  FROM members m
  JOIN pg_proc p ON p.oid = m.objid
  JOIN pg_language l ON l.oid = p.prolang
 WHERE m.type = 'function'
 ORDER BY p.oid::regprocedure::text COLLATE "C";

-- What not everybody may read or call
SELECT identity FROM members
 WHERE type = 'view' AND NOT has_table_privilege('public', objid, 'SELECT');
SELECT identity FROM members
 WHERE type = 'function' AND NOT has_function_privilege('public', objid, 'EXECUTE')
 ORDER BY identity COLLATE "C";

DROP VIEW members;

-- Into another schema: everything still works, without that schema in
-- search_path
CREATE SCHEMA "Monitor's";
ALTER EXTENSION pool_monitor SET SCHEMA "Monitor's";
SELECT format('SELECT count(*) >= 0 AS works FROM %s', oid::regclass)
  FROM pg_class
 WHERE relnamespace = '"Monitor''s"'::regnamespace AND relkind = 'v'
 ORDER BY relname COLLATE "C" \gexec
SELECT format('SELECT count(*) >= 0 AS works FROM %I.%I()', 'Monitor''s', proname)
  FROM pg_proc
 WHERE pronamespace = '"Monitor''s"'::regnamespace AND pronargs = pronargdefaults
   AND proname NOT LIKE '%reset'
 ORDER BY proname COLLATE "C" \gexec
SELECT total_connections > 0 AS works FROM "Monitor's".pool_monitor_pool_status(5, 10);
SELECT "Monitor's".pool_monitor_health() ? 'status' AS works;
SELECT "Monitor's".pool_monitor_reset('no such application') IS NOT NULL AS works;
SELECT to_regclass('pool_monitor_status');
DROP EXTENSION pool_monitor;

-- From the start in a schema of one's choice, and without a trace when gone
CREATE EXTENSION pool_monitor SCHEMA "Monitor's";
SELECT count(*) FROM "Monitor's".pool_monitor_status;
DROP EXTENSION pool_monitor;
DROP SCHEMA "Monitor's";
SELECT proname FROM pg_proc WHERE proname LIKE 'pool\_monitor%';
SELECT relname FROM pg_class WHERE relname LIKE 'pool\_monitor%';

-- There is no other version
CREATE EXTENSION pool_monitor VERSION '0.9';
