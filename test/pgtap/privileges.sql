-- Who may see what: sessions of several roles, held open through dblink, and
-- roles of each kind that look at them.
\set QUIET on
\pset format unaligned
\pset tuples_only on
\pset pager off
SET client_min_messages = warning;
SET jit = off;			-- takes longer than the queries do

CREATE EXTENSION dblink;
CREATE ROLE pmon_owner LOGIN;					-- has sessions
CREATE ROLE pmon_stranger LOGIN;				-- has others
CREATE ROLE pmon_nobody;						-- has none
CREATE ROLE pmon_member IN ROLE pmon_owner;		-- has the owner's privileges
CREATE ROLE pmon_guest NOINHERIT IN ROLE pmon_owner;	-- has to ask for them
CREATE ROLE pmon_reader IN ROLE pg_read_all_stats;
CREATE ROLE pmon_monitor IN ROLE pg_monitor;
CREATE ROLE pmon_signaler LOGIN IN ROLE pg_signal_backend;
CREATE ROLE pmon_super SUPERUSER;

-- Open a session that stays, under an application of the same name.
CREATE FUNCTION open_session(name text, role text, statement text DEFAULT '') RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM dblink_connect(name, format('host=%L port=%s dbname=%L user=%L application_name=%L',
        split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'),
        current_database(), role, name));
    IF statement <> '' THEN
        PERFORM dblink_exec(name, statement);
    END IF;
END $$;

-- Does the server refuse it?
CREATE FUNCTION is_refused(name text, role text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM open_session(name, role);
    RETURN false;
EXCEPTION WHEN sqlclient_unable_to_establish_sqlconnection THEN
    RETURN true;
END $$;

-- What a role gets for a query, a row an object.
CREATE FUNCTION seen_by(role text, query text) RETURNS SETOF jsonb
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('role', role, true);
    RETURN QUERY EXECUTE format('SELECT to_jsonb(q) FROM (%s) q', query);
    PERFORM set_config('role', 'none', true);
END $$;

-- Its rows of a view, each without the given columns.
CREATE FUNCTION rows_of(role text, view text, VARIADIC without text[] DEFAULT '{}') RETURNS SETOF jsonb
LANGUAGE sql AS $$
    SELECT r - without FROM seen_by(role, 'SELECT * FROM ' || view) r
$$;

SELECT no_plan();

ALTER ROLE pmon_owner CONNECTION LIMIT 0;
ALTER ROLE pmon_stranger CONNECTION LIMIT 0;
SELECT ok(is_refused('refused-owner', 'pmon_owner'), 'a login of the owner is refused');
SELECT ok(is_refused('refused-stranger', 'pmon_stranger'), 'a login of the stranger is refused');
SELECT ok(is_refused('refused-stranger', 'pmon_stranger'), 'another login of the stranger is refused');
ALTER ROLE pmon_owner CONNECTION LIMIT -1;
ALTER ROLE pmon_stranger CONNECTION LIMIT -1;

SELECT open_session('own-1', 'pmon_owner');
SELECT open_session('own-2', 'pmon_owner', 'BEGIN');
SELECT open_session('alien-1', 'pmon_stranger');
SELECT open_session('alien-2', 'pmon_stranger', 'BEGIN');
SELECT open_session('shared', 'pmon_stranger');
SELECT open_session('shared by the owner', 'pmon_owner', 'SET application_name = ''shared''');
SELECT open_session('signal', 'pmon_signaler');

-- The applications that each kind of role sees by name
CREATE TABLE visible (role text, applications text[]);
INSERT INTO visible VALUES
    ('pmon_owner', '{own-1, own-2, shared}'),
    ('pmon_member', '{own-1, own-2, shared}'),
    ('pmon_guest', '{}'),
    ('pmon_nobody', '{}'),
    ('pmon_signaler', '{signal}'),
    ('pmon_stranger', '{alien-1, alien-2, shared}');

--
-- Figures only: for everybody the same
--
SELECT set_eq(format('SELECT * FROM rows_of(%L, %L)', role, view),
              format('SELECT * FROM rows_of(%L, %L)', 'pmon_super', view),
              format('%s shows %s what it shows a superuser', view, role))
  FROM (SELECT role FROM visible UNION ALL VALUES ('pmon_reader'), ('pmon_monitor')) r,
       unnest(ARRAY['pool_monitor_status', 'pool_monitor_databases', 'pool_monitor_roles',
                    '(SELECT pool_monitor_health() - ''findings'' AS health) h', 'pool_monitor_pool_status(1, 1)',
                    'pool_monitor_pool_status(1, 1, ''alien-2'', usename => ''pmon_stranger'')']) view;

SELECT is((SELECT array_agg(key ORDER BY key) FROM rows_of(role, 'pool_monitor_info') r, jsonb_each(r) e
            WHERE e.value <> 'null'),
          (SELECT array_agg(key ORDER BY key) FROM rows_of('pmon_super', 'pool_monitor_info') r, jsonb_each(r) e
            WHERE e.value <> 'null'),
          format('pool_monitor_info shows %s what it shows a superuser', role))
  FROM visible;

--
-- Who reads all statistics sees what a superuser sees
--
SELECT bag_eq(format('SELECT * FROM rows_of(%L, %L, %s)', role, view, without),
              format('SELECT * FROM rows_of(%L, %L, %s)', 'pmon_super', view, without),
              format('%s shows %s all that it shows a superuser', view, role))
  FROM unnest(ARRAY['pmon_reader', 'pmon_monitor']) role,
       (VALUES ('pool_monitor_connections', '''longest_in_state'''),
               ('pool_monitor_applications', '''longest_idle'', ''longest_transaction'', ''longest_session'', ''session_time'', ''transactions'', ''transaction_time'', ''hold_time_p50'', ''hold_time_p95'', ''hold_time_p99'', ''hold_time_max'', ''peak_checked_out'''),
               ('pool_monitor_groups', '''longest_idle'', ''longest_transaction'', ''longest_session'', ''session_time'', ''transactions'', ''transaction_time'', ''hold_time_p50'', ''hold_time_p95'', ''hold_time_p99'', ''hold_time_max'', ''peak_checked_out'''),
               ('pool_monitor_sessions', '''state_age'', ''transaction_age'', ''backend_xmin'', ''xact_start'', ''query_start'', ''state_change'', ''query'''),
               ('pool_monitor_rejections', '''none''')) v (view, without);

SELECT is((SELECT count(*) FROM rows_of(role, view) r WHERE r ->> 'application_name' = '<insufficient privilege>'),
          0::bigint, format('%s hides nothing from %s', view, role))
  FROM unnest(ARRAY['pmon_reader', 'pmon_monitor', 'pmon_super']) role,
       unnest(ARRAY['pool_monitor_connections', 'pool_monitor_applications', 'pool_monitor_groups',
                    'pool_monitor_rejections']) view;

SELECT is((SELECT count(*) FROM rows_of(role, 'pool_monitor_sessions') r
            WHERE jsonb_typeof(r -> 'query') <> 'string' OR jsonb_typeof(r -> 'state') <> 'string'),
          0::bigint, format('pool_monitor_sessions hides nothing from %s', role))
  FROM unnest(ARRAY['pmon_reader', 'pmon_monitor', 'pmon_super']) role;

--
-- Everybody else: the own rows by name, and one row for all others
--
SELECT results_eq(format('SELECT r ->> ''application_name'' FROM rows_of(%L, %L) r ORDER BY 1', role, view),
                  format('SELECT n FROM unnest(%L::text[] || ''<insufficient privilege>''::text) n ORDER BY 1', applications),
                  format('%s names %s its own applications and has one row for the others', view, role))
  FROM visible, unnest(ARRAY['pool_monitor_connections', 'pool_monitor_applications', 'pool_monitor_groups']) view
 WHERE role <> 'pmon_owner' AND role <> 'pmon_member' AND role <> 'pmon_stranger';

-- (these have a refused login beside their sessions)
SELECT results_eq(format('SELECT r ->> ''application_name'' FROM rows_of(%L, %L) r WHERE r ->> ''connections'' <> ''0'' ORDER BY 1', role, view),
                  format('SELECT n FROM unnest(%L::text[] || ''<insufficient privilege>''::text) n ORDER BY 1', applications),
                  format('%s names %s its own applications and has one row for the others', view, role))
  FROM visible, unnest(ARRAY['pool_monitor_connections', 'pool_monitor_applications', 'pool_monitor_groups']) view
 WHERE role IN ('pmon_owner', 'pmon_member', 'pmon_stranger');

-- Totals stay right, whoever looks
SELECT is((SELECT jsonb_object_agg(key, total) FROM
              (SELECT key, sum(value::numeric) AS total
                 FROM rows_of(role, view) r, jsonb_each_text(r - '{application_name,peak_connections,peak_checked_out}'::text[]) e
                WHERE jsonb_typeof(r -> key) = 'number' AND key NOT LIKE '%time%' GROUP BY key) t),
          (SELECT jsonb_object_agg(key, total) FROM
              (SELECT key, sum(value::numeric) AS total
                 FROM rows_of('pmon_super', view) r, jsonb_each_text(r - '{application_name,peak_connections,peak_checked_out}'::text[]) e
                WHERE jsonb_typeof(r -> key) = 'number' AND key NOT LIKE '%time%' GROUP BY key) t),
          format('the totals of %s are right for %s', view, role))
  FROM visible, unnest(ARRAY['pool_monitor_connections', 'pool_monitor_applications', 'pool_monitor_groups',
                             'pool_monitor_rejections']) view;

-- The row for the others says how many, and nothing else
SELECT results_eq(format($$SELECT array_agg(key ORDER BY key) FROM rows_of(%L, 'pool_monitor_connections') r,
                                  jsonb_each(r) e
                            WHERE r ->> 'application_name' = '<insufficient privilege>' AND e.value <> 'null'$$, role),
                  $$VALUES ('{application_name,connections}'::text[])$$,
                  format('pool_monitor_connections tells %s nothing of the others but their number', role))
  FROM visible;
SELECT results_eq(format($$SELECT r ->> 'datname', r ->> 'usename', r ->> 'peak_connections', r ->> 'peak_connections_at',
                                  r ->> 'peak_checked_out'
                             FROM rows_of(%L, 'pool_monitor_groups') r
                            WHERE r ->> 'application_name' = '<insufficient privilege>'$$, role),
                  $$VALUES (NULL::text, NULL::text, NULL::text, NULL::text, NULL::text)$$,
                  format('pool_monitor_groups names %s no database or role of the others, and no peak', role))
  FROM visible;

-- The own rows are complete
SELECT bag_eq(format($$SELECT r FROM rows_of(%L, 'pool_monitor_connections', 'longest_in_state') r
                        WHERE r ->> 'application_name' <> '<insufficient privilege>'$$, role),
              $$SELECT r FROM rows_of('pmon_super', 'pool_monitor_connections', 'longest_in_state') r
                 WHERE r ->> 'usename' = 'pmon_owner'$$,
              format('pool_monitor_connections shows %s its own rows in full', role))
  FROM unnest(ARRAY['pmon_owner', 'pmon_member']) role;
SELECT bag_eq(format($$SELECT r FROM rows_of(%L, 'pool_monitor_groups', 'longest_idle', 'longest_transaction', 'longest_session', 'session_time') r
                        WHERE r ->> 'application_name' <> '<insufficient privilege>'$$, role),
              $$SELECT r FROM rows_of('pmon_super', 'pool_monitor_groups', 'longest_idle', 'longest_transaction', 'longest_session', 'session_time') r
                 WHERE r ->> 'usename' = 'pmon_owner'$$,
              format('pool_monitor_groups shows %s its own rows in full', role))
  FROM unnest(ARRAY['pmon_owner', 'pmon_member']) role;

-- An application that two roles share: each sees its part of it
SELECT is((SELECT string_agg(r ->> 'connections', ' ')
             FROM rows_of(role, 'pool_monitor_applications') r WHERE r ->> 'application_name' = 'shared'),
          expected, format('of the shared application, %s sees %s session(s)', role, coalesce(expected, 'no')))
  FROM (VALUES ('pmon_owner', '1'), ('pmon_stranger', '1'), ('pmon_reader', '2'), ('pmon_super', '2'),
               ('pmon_nobody', NULL)) v (role, expected);
SELECT is((SELECT string_agg(r ->> 'peak_connections', ' ')
             FROM rows_of(role, 'pool_monitor_applications') r WHERE r ->> 'application_name' = 'shared'),
          expected, format('of the shared application, %s sees a peak of %s', role, expected))
  FROM (VALUES ('pmon_owner', '1'), ('pmon_stranger', '1'), ('pmon_super', '2')) v (role, expected);

-- Rejections
SELECT results_eq(format($$SELECT r ->> 'usename', r ->> 'application_name', r ->> 'reason', (r ->> 'rejected')::int
                             FROM rows_of(%L, 'pool_monitor_rejections') r ORDER BY 4$$, role),
                  expected, format('pool_monitor_rejections shows %s what it may', role))
  FROM (VALUES
    ('pmon_super', $$VALUES ('pmon_owner', 'refused-owner', 'role_limit', 1), ('pmon_stranger', 'refused-stranger', 'role_limit', 2)$$),
    ('pmon_owner', $$VALUES ('pmon_owner', 'refused-owner', 'role_limit', 1), (NULL, '<insufficient privilege>', NULL, 2)$$),
    ('pmon_member', $$VALUES ('pmon_owner', 'refused-owner', 'role_limit', 1), (NULL, '<insufficient privilege>', NULL, 2)$$),
    ('pmon_stranger', $$VALUES (NULL, '<insufficient privilege>', NULL, 1), ('pmon_stranger', 'refused-stranger', 'role_limit', 2)$$),
    ('pmon_signaler', $$VALUES (NULL::text, '<insufficient privilege>', NULL::text, 3)$$),
    ('pmon_nobody', $$VALUES (NULL::text, '<insufficient privilege>', NULL::text, 3)$$)) v (role, expected);

--
-- Sessions: of others only pid, datname and usename
--
SELECT bag_eq(format($$SELECT r ->> 'pid' AS pid, r ->> 'datname' AS datname, r ->> 'usename' AS usename FROM rows_of(%L, 'pool_monitor_sessions') r$$, role),
              $$SELECT pid::text, datname::text, usename::text FROM pg_stat_activity WHERE backend_type = 'client backend'$$,
              format('pool_monitor_sessions shows %s every session''s pid, database and role', role))
  FROM visible;
SELECT results_eq(format($$SELECT DISTINCT e.key COLLATE "C" FROM rows_of(%L, 'pool_monitor_sessions') r, jsonb_each(r) e
                            WHERE e.value <> 'null' AND r ->> 'usename' = 'postgres' ORDER BY 1$$, role),
                  $$VALUES ('datname' COLLATE "C"), ('pid'), ('usename')$$,
                  format('pool_monitor_sessions shows %s nothing else of a superuser''s', role))
  FROM visible;
SELECT is((SELECT count(*) FROM rows_of(role, 'pool_monitor_sessions') r, jsonb_each(r) e
            WHERE e.value <> 'null' AND e.key NOT IN ('datname', 'pid', 'usename')
              AND r ->> 'usename' NOT IN ('pmon_owner')),
          0::bigint, format('pool_monitor_sessions shows %s nothing else of any other role''s', role))
  FROM unnest(ARRAY['pmon_owner', 'pmon_member']) role;
SELECT is((SELECT count(*) FROM rows_of(role, 'pool_monitor_sessions') r, jsonb_each(r) e
            WHERE e.value <> 'null' AND e.key NOT IN ('datname', 'pid', 'usename')),
          0::bigint, format('pool_monitor_sessions shows %s nothing else of anybody''s', role))
  FROM unnest(ARRAY['pmon_guest', 'pmon_nobody']) role;
SELECT bag_eq(format($$SELECT r FROM rows_of(%L, 'pool_monitor_sessions', 'state_age', 'transaction_age') r
                        WHERE r ->> 'usename' = 'pmon_owner'$$, role),
              $$SELECT r FROM rows_of('pmon_super', 'pool_monitor_sessions', 'state_age', 'transaction_age') r
                 WHERE r ->> 'usename' = 'pmon_owner'$$,
              format('pool_monitor_sessions shows %s its own sessions in full', role))
  FROM unnest(ARRAY['pmon_owner', 'pmon_member']) role;
SELECT is((SELECT jsonb_object_agg(e.key, e.value) FROM rows_of('pmon_owner', 'pool_monitor_sessions()') r,
                  jsonb_each(r) e WHERE r ->> 'usename' = 'postgres' AND e.value <> 'null' AND e.key NOT IN ('pid', 'datname', 'usename')),
          NULL, 'the function under the view keeps the same secrets');

-- Whoever takes a role on, sees what it sees
SELECT is((SELECT count(*) FROM seen_by('pmon_guest', 'SELECT * FROM pool_monitor_connections') r
            WHERE r ->> 'application_name' LIKE 'own%'), 0::bigint, 'a role that does not inherit sees nothing of the owner''s');
SELECT is((SELECT count(*) FROM seen_by('pmon_owner', 'SELECT * FROM pool_monitor_connections') r
            WHERE r ->> 'application_name' LIKE 'own%'), 2::bigint, 'and both once it has become the owner');

--
-- Every object, from the catalog: what is not in this table is an error
--
CREATE TABLE privileges (object text PRIMARY KEY, kind text);
INSERT INTO privileges
SELECT 'pool_monitor_' || o, 'figures' FROM unnest('{
        status, status(), databases, databases(), roles, roles(), pools, pools(), capacity, capacity(),
        "pool_status(integer,integer,text,name,name)",
        "utilization(timestamp with time zone,timestamp with time zone,interval)", prepared, prepared_blocks(), info, info()}'::text[]) o
UNION ALL
SELECT 'pool_monitor_' || o, 'own' FROM unnest('{
        connections, connections(), applications, applications(), groups, groups(), rejections, rejections(),
        sessions, sessions(), leaks, leak_suspects(), terminations, terminations(), "diagnosis(interval)", health(),
        "report(timestamp with time zone,timestamp with time zone)",
        "terminate(integer,boolean)", "terminate_idle(interval,text,name,name,integer,boolean)"}'::text[]) o
UNION ALL
SELECT 'pool_monitor_' || o, 'all' FROM unnest('{
        "history(timestamp with time zone,timestamp with time zone,interval)", "chart(text,interval)",
        "holds(timestamp with time zone,timestamp with time zone)",
        "sizing(interval,double precision,interval)", incidents, incidents(), incident_holders(bigint), metrics()}'::text[]) o
UNION ALL
SELECT 'pool_monitor_' || o, 'nothing' FROM unnest('{reset(), reset(text)}'::text[]) o;

CREATE VIEW objects AS
    SELECT coalesce(c.relname::text, regexp_replace(p.oid::regprocedure::text, '^public\.', '')) AS object,
           coalesce(c.relacl, p.proacl) AS acl, coalesce(c.relowner, p.proowner) AS owner, c.oid AS view, p.oid AS function,
           coalesce(p.prosecdef, false) AS definer,
           -- how to read it, with no more arguments than it needs
           CASE WHEN c.oid IS NOT NULL THEN c.relname::text
           ELSE format('%s(%s)', p.proname, (SELECT string_agg(CASE format_type(a, NULL) WHEN 'integer' THEN '1'
                         WHEN 'interval' THEN '''1 microsecond''' ELSE '''nobody''' END, ', ' ORDER BY i)
                    FROM unnest(p.proargtypes) WITH ORDINALITY u (a, i) WHERE i <= p.pronargs - p.pronargdefaults))
           END AS call
      FROM pg_depend d
      LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
      LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
     WHERE d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass AND d.classid <> 'pg_type'::regclass
       AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pool_monitor');

SELECT set_eq('SELECT object FROM objects', 'SELECT object FROM privileges',
              'the table of privileges has every view and every function, and no other');
SELECT is_empty('SELECT object FROM objects WHERE definer', 'none lends its owner''s privileges');
SELECT is_empty('SELECT object FROM objects WHERE owner <> (SELECT extowner FROM pg_extension WHERE extname = ''pool_monitor'')',
                'all are of who made the extension');

-- Who was granted what, besides the owner
SELECT set_eq($$SELECT object, coalesce(nullif(grantee, 0)::regrole::text, 'PUBLIC') AS grantee,
                       privilege_type AS privilege, is_grantable AS option
                  FROM objects, aclexplode(coalesce(acl, acldefault(CASE WHEN view IS NULL THEN 'f' ELSE 'r' END::"char", owner)))
                 WHERE aclexplode.grantee <> owner$$,
              $$SELECT object, CASE kind WHEN 'all' THEN 'pg_read_all_stats' ELSE 'PUBLIC' END AS grantee,
                       CASE WHEN object LIKE '%(%' THEN 'EXECUTE' ELSE 'SELECT' END AS privilege, false AS option
                  FROM privileges WHERE kind <> 'nothing'$$,
              'reading is granted to everybody or to those who read all statistics, and nothing else to anybody');
SELECT is_empty('SELECT object FROM objects WHERE pg_relation_is_updatable(view, true) <> 0', 'no view can be written to');

-- may(ROLE, CALL): can the role read it?
CREATE FUNCTION may(role text, call text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('role', role, true);
    EXECUTE format('SELECT * FROM %s', call);
    PERFORM set_config('role', 'none', true);
    RETURN true;
EXCEPTION WHEN insufficient_privilege THEN
    RETURN false;
END $$;

SELECT is(may(role, call), kind IN ('figures', 'own') OR kind = 'all' AND role IN ('pmon_reader', 'pmon_monitor') OR role = 'pmon_super',
          format('%s and %s', role, object))
  FROM unnest('{pmon_nobody, pmon_owner, pmon_member, pmon_guest, pmon_reader, pmon_monitor, pmon_signaler, pmon_super}'::text[]) role,
       privileges JOIN objects USING (object)
 WHERE NOT (kind = 'nothing' AND role = 'pmon_super');

-- Whatever somebody else's is called shows in none that is for everybody
SELECT is((SELECT count(*) FROM rows_of(role, call) r WHERE r::text ~ hidden), 0::bigint,
          format('%s names %s nothing of what it may not see', object, role))
  FROM (VALUES ('pmon_nobody', 'own-|alien-|shared|signal"|refused-'), ('pmon_guest', 'own-|alien-|shared|signal"|refused-'),
               ('pmon_signaler', 'own-|alien-|shared|refused-'),
               ('pmon_owner', 'alien-|refused-stranger'), ('pmon_member', 'alien-|refused-stranger')) v (role, hidden),
       privileges JOIN objects USING (object)
 WHERE kind IN ('figures', 'own');

-- Whom each may end
SELECT results_eq(format($$SELECT r ->> 'usename' AS u FROM rows_of(%L, 'pool_monitor_terminate_idle(''1 microsecond'')') r
                            WHERE r ->> 'usename' LIKE 'pmon%%' GROUP BY 1 ORDER BY 1$$, role),
                  format('SELECT * FROM unnest(%L::text[]) u', ended), format('%s may end sessions of %s', role, ended))
  FROM (VALUES ('pmon_nobody', '{}'), ('pmon_guest', '{}'), ('pmon_reader', '{}'), ('pmon_monitor', '{}'),
               ('pmon_owner', '{pmon_owner}'), ('pmon_member', '{pmon_owner}'), ('pmon_stranger', '{pmon_stranger}'),
               ('pmon_signaler', '{pmon_owner,pmon_signaler,pmon_stranger}'),
               ('pmon_super', '{pmon_owner,pmon_signaler,pmon_stranger}')) v (role, ended);
SELECT open_session('idle superuser', session_user);
SELECT is((SELECT count(*) FROM rows_of('pmon_signaler', 'pool_monitor_terminate_idle(''1 microsecond'')') r
            WHERE r ->> 'usename' = session_user), 0::bigint, 'but none of a superuser');
SELECT cmp_ok((SELECT count(*) FROM rows_of('pmon_super', 'pool_monitor_terminate_idle(''1 microsecond'')') r
                WHERE r ->> 'usename' = session_user), '>', 0::bigint, 'those only another superuser');
SELECT dblink_disconnect('idle superuser');

-- Granting and revoking single things
CREATE FUNCTION change(change text, object text, is_view boolean, whom text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(change, CASE WHEN is_view THEN 'SELECT ON TABLE ' ELSE 'EXECUTE ON FUNCTION ' END || object, whom);
END $$;

CREATE TABLE granted (object text, step text, may boolean, expected boolean);
DO $$
DECLARE
    o record;
BEGIN
    FOR o IN SELECT * FROM privileges JOIN objects USING (object) WHERE kind = 'all' LOOP
        PERFORM change('GRANT %s TO %I', o.object, o.view IS NOT NULL, 'pmon_nobody');
        -- a view alone is not enough: its function decides
        INSERT INTO granted VALUES (o.object, 'granted', may('pmon_nobody', o.call), o.view IS NULL);
        PERFORM change('REVOKE %s FROM %I', o.object, o.view IS NOT NULL, 'pmon_nobody');
        INSERT INTO granted VALUES (o.object, 'revoked', may('pmon_nobody', o.call), false);
    END LOOP;
    FOR o IN SELECT * FROM privileges JOIN objects USING (object) WHERE kind IN ('figures', 'own') LOOP
        PERFORM change('REVOKE %s FROM PUBLIC', o.object, o.view IS NOT NULL, NULL);
        INSERT INTO granted VALUES (o.object, 'taken from everybody', may('pmon_monitor', o.call), false);
        PERFORM change('GRANT %s TO %I', o.object, o.view IS NOT NULL, 'pmon_monitor');
        INSERT INTO granted VALUES (o.object, 'given to one', may('pmon_monitor', o.call), true);
        INSERT INTO granted VALUES (o.object, 'not given to another', may('pmon_reader', o.call), false);
        PERFORM change('REVOKE %s FROM %I', o.object, o.view IS NOT NULL, 'pmon_monitor');
        PERFORM change('GRANT %s TO PUBLIC', o.object, o.view IS NOT NULL, NULL);
        INSERT INTO granted VALUES (o.object, 'given back', may('pmon_monitor', o.call), true);
    END LOOP;
END $$;
SELECT is(may, expected, format('%s: %s', object, step)) FROM granted;

REVOKE pg_read_all_stats FROM pmon_reader;
SELECT ok(NOT may('pmon_reader', 'pool_monitor_metrics()'), 'a role that no longer reads all statistics has no metrics');
SELECT is((SELECT count(*) FROM rows_of('pmon_reader', 'pool_monitor_sessions') r WHERE r::text ~ 'own-|alien-'), 0::bigint,
          'and sees nothing of the sessions any more');
GRANT pg_read_all_stats TO pmon_reader;
REVOKE pmon_owner FROM pmon_member;
SELECT is((SELECT count(*) FROM rows_of('pmon_member', 'pool_monitor_sessions') r WHERE r::text ~ 'own-|alien-'), 0::bigint,
          'nor does a role that is no longer a member of the owner');
GRANT pmon_owner TO pmon_member;

-- Every setting: only the file, or a superuser
SELECT set_eq($$SELECT name, context FROM pg_settings WHERE name LIKE 'pool\_monitor.%' AND context <> 'sighup'$$,
              $$VALUES ('pool_monitor.max_groups', 'postmaster'), ('pool_monitor.history_size', 'postmaster'),
                       ('pool_monitor.max_holds', 'postmaster'), ('pool_monitor.holds_size', 'postmaster'),
                       ('pool_monitor.track_transactions', 'superuser')$$, 'all other settings are of the configuration file');
SELECT throws_ok(format('SELECT * FROM seen_by(%L, %L)', role, format('SELECT set_config(%L, %L, false)', name, setting)),
                 CASE context WHEN 'superuser' THEN '42501' ELSE '55P02' END, NULL, format('%s may not set %s', role, name))
  FROM unnest('{pmon_nobody, pmon_monitor, pmon_signaler}'::text[]) role, pg_settings WHERE name LIKE 'pool\_monitor.%';

--
-- Settings and resets
--
SELECT throws_ok(format('SELECT * FROM seen_by(%L, %L)', role, call), '42501', NULL,
                 format('%s may not call %s', role, call))
  FROM (SELECT role FROM visible UNION ALL VALUES ('pmon_reader'), ('pmon_monitor')) r,
       unnest(ARRAY['SELECT pool_monitor_reset()', 'SELECT pool_monitor_reset(''own-1'')']) call;
SELECT throws_ok(format('SELECT * FROM seen_by(%L, %L)', role,
                        'SELECT set_config(''pool_monitor.track_transactions'', ''off'', true)'), '42501', NULL,
                 format('%s may not stop the counting of transactions', role))
  FROM (SELECT role FROM visible UNION ALL VALUES ('pmon_reader'), ('pmon_monitor')) r;
SELECT lives_ok($$SELECT * FROM seen_by('pmon_super', 'SELECT set_config(''pool_monitor.track_transactions'', ''on'', true)')$$,
                'a superuser may set it');

GRANT EXECUTE ON FUNCTION pool_monitor_reset(text) TO pmon_nobody;
SELECT lives_ok($$SELECT * FROM seen_by('pmon_nobody', 'SELECT pool_monitor_reset(''own-1'')')$$,
                'resetting one application can be granted');
SELECT throws_ok($$SELECT * FROM seen_by('pmon_nobody', 'SELECT pool_monitor_reset()')$$, '42501', NULL,
                 'and does not include resetting all');
GRANT EXECUTE ON FUNCTION pool_monitor_reset() TO pmon_nobody;
SELECT lives_ok($$SELECT * FROM seen_by('pmon_nobody', 'SELECT pool_monitor_reset()')$$,
                'resetting all can be granted');
SELECT lives_ok($$SELECT * FROM seen_by('pmon_super', 'SELECT pool_monitor_reset()')$$, 'a superuser may reset all');
SELECT is((SELECT count(*) FROM pool_monitor_rejections), 0::bigint, 'after a reset there are no rejections');

SELECT * FROM finish();
