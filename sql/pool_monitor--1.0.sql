/* pool_monitor--1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION pool_monitor" to load this file. \quit

-- Others may be able to create operators and functions in the schema that this
-- is made in.  So functions of the system are called with their schema, and
-- operators with the very types that the system's take: else another one
-- could fit better.

--
-- The server
--

CREATE FUNCTION pool_monitor_status(
    OUT status text,
    OUT max_connections integer,
    OUT reserved_connections integer,
    OUT connections integer,
    OUT available integer,
    OUT utilization double precision,
    OUT active integer,
    OUT idle integer,
    OUT idle_in_transaction integer,
    OUT idle_in_transaction_aborted integer,
    OUT fastpath_function_call integer,
    OUT disabled integer,
    OUT starting integer,
    OUT checked_out integer,
    OUT peak_connections integer,
    OUT peak_connections_at timestamptz,
    OUT rejected bigint,
    OUT last_rejected_at timestamptz,
    OUT terminated bigint,
    OUT current_incident bigint,
    OUT stats_reset timestamptz)
RETURNS record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION pool_monitor_status() IS
'the server''s connections now: what the view pool_monitor_status shows';

CREATE VIEW pool_monitor_status AS
    SELECT * FROM pool_monitor_status();
COMMENT ON VIEW pool_monitor_status IS 'the server''s connections now, in one row';
COMMENT ON COLUMN pool_monitor_status.status IS 'healthy, warning or critical (utilization has reached pool_monitor.warning_threshold or critical_threshold), or exhausted: no slot is available to an ordinary role';
COMMENT ON COLUMN pool_monitor_status.max_connections IS 'the setting max_connections';
COMMENT ON COLUMN pool_monitor_status.reserved_connections IS 'slots that ordinary roles can not use: superuser_reserved_connections and, from PostgreSQL 16 on, reserved_connections';
COMMENT ON COLUMN pool_monitor_status.connections IS 'sessions (client backends) in any state';
COMMENT ON COLUMN pool_monitor_status.available IS 'slots that ordinary roles can still take';
COMMENT ON COLUMN pool_monitor_status.utilization IS 'connections divided by the slots for ordinary roles; above 1 while reserved slots are in use';
COMMENT ON COLUMN pool_monitor_status.active IS 'sessions that run a statement';
COMMENT ON COLUMN pool_monitor_status.idle IS 'sessions that wait for a statement, outside of a transaction';
COMMENT ON COLUMN pool_monitor_status.idle_in_transaction IS 'sessions that wait for a statement, in a transaction';
COMMENT ON COLUMN pool_monitor_status.idle_in_transaction_aborted IS 'sessions that wait in a transaction in which a statement failed';
COMMENT ON COLUMN pool_monitor_status.fastpath_function_call IS 'sessions that execute a fast-path function';
COMMENT ON COLUMN pool_monitor_status.disabled IS 'sessions whose state is not known, since their track_activities is off';
COMMENT ON COLUMN pool_monitor_status.starting IS 'sessions that are not ready for their first statement yet; before PostgreSQL 18, logins show only once they are authenticated';
COMMENT ON COLUMN pool_monitor_status.checked_out IS 'sessions that hold a transaction or run a statement';
COMMENT ON COLUMN pool_monitor_status.peak_connections IS 'the highest number of sessions at once since stats_reset, exact; null unless preloaded';
COMMENT ON COLUMN pool_monitor_status.peak_connections_at IS 'when peak_connections was reached';
COMMENT ON COLUMN pool_monitor_status.rejected IS 'logins refused for want of a connection slot (SQLSTATE 53300), exact; null unless preloaded';
COMMENT ON COLUMN pool_monitor_status.last_rejected_at IS 'when the last login was refused';
COMMENT ON COLUMN pool_monitor_status.terminated IS 'idle sessions ended by pool_monitor';
COMMENT ON COLUMN pool_monitor_status.current_incident IS 'the incident that is open now, or null';
COMMENT ON COLUMN pool_monitor_status.stats_reset IS 'when all statistics were last reset, or null';

--
-- Live counts
--

CREATE FUNCTION pool_monitor_connections(
    OUT datname text,
    OUT usename text,
    OUT application_name text,
    OUT client_addr inet,
    OUT state text,
    OUT backend_type text,
    OUT connections integer,
    OUT longest_in_state interval)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE ROWS 100;
COMMENT ON FUNCTION pool_monitor_connections() IS
'connections now: what the view pool_monitor_connections shows';

CREATE VIEW pool_monitor_connections AS
    SELECT * FROM pool_monitor_connections();
COMMENT ON VIEW pool_monitor_connections IS 'connections now, counted by who holds them and in which state; connections that the reader may not see are counted in one row under <insufficient privilege>';
COMMENT ON COLUMN pool_monitor_connections.datname IS 'database, its OID if it was dropped, null if there is none';
COMMENT ON COLUMN pool_monitor_connections.usename IS 'role, its OID if it was dropped, null while not authenticated';
COMMENT ON COLUMN pool_monitor_connections.application_name IS 'what the client declares as application_name';
COMMENT ON COLUMN pool_monitor_connections.client_addr IS 'the client''s IP address, null for a Unix socket';
COMMENT ON COLUMN pool_monitor_connections.state IS 'state as in pg_stat_activity';
COMMENT ON COLUMN pool_monitor_connections.backend_type IS 'client backend or walsender; only client backends use slots of max_connections';
COMMENT ON COLUMN pool_monitor_connections.connections IS 'number of connections';
COMMENT ON COLUMN pool_monitor_connections.longest_in_state IS 'how long the longest of them has been in that state';

CREATE FUNCTION pool_monitor_applications(
    OUT application_name text,
    OUT connections integer,
    OUT active integer,
    OUT idle integer,
    OUT idle_in_transaction integer,
    OUT idle_in_transaction_aborted integer,
    OUT fastpath_function_call integer,
    OUT disabled integer,
    OUT checked_out integer,
    OUT longest_idle interval,
    OUT longest_transaction interval,
    OUT longest_session interval,
    OUT peak_connections integer,
    OUT peak_connections_at timestamptz,
    OUT peak_checked_out integer,
    OUT sessions bigint,
    OUT sessions_abandoned bigint,
    OUT sessions_fatal bigint,
    OUT sessions_killed bigint,
    OUT rejected bigint,
    OUT terminated bigint,
    OUT transactions bigint,
    OUT session_time double precision,
    OUT transaction_time double precision,
    OUT hold_time_p50 double precision,
    OUT hold_time_p95 double precision,
    OUT hold_time_p99 double precision,
    OUT hold_time_max double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 50;
COMMENT ON FUNCTION pool_monitor_applications() IS
'figures by application: what the view pool_monitor_applications shows';

CREATE VIEW pool_monitor_applications AS
    SELECT * FROM pool_monitor_applications();
COMMENT ON VIEW pool_monitor_applications IS 'one row an application: its sessions now, and what was counted since the last reset; sessions that the reader may not see are counted in one row under <insufficient privilege>';

CREATE FUNCTION pool_monitor_groups(
    OUT datname text,
    OUT usename text,
    OUT application_name text,
    OUT connections integer,
    OUT active integer,
    OUT idle integer,
    OUT idle_in_transaction integer,
    OUT idle_in_transaction_aborted integer,
    OUT fastpath_function_call integer,
    OUT disabled integer,
    OUT checked_out integer,
    OUT longest_idle interval,
    OUT longest_transaction interval,
    OUT longest_session interval,
    OUT peak_connections integer,
    OUT peak_connections_at timestamptz,
    OUT peak_checked_out integer,
    OUT sessions bigint,
    OUT sessions_abandoned bigint,
    OUT sessions_fatal bigint,
    OUT sessions_killed bigint,
    OUT rejected bigint,
    OUT terminated bigint,
    OUT transactions bigint,
    OUT session_time double precision,
    OUT transaction_time double precision,
    OUT hold_time_p50 double precision,
    OUT hold_time_p95 double precision,
    OUT hold_time_p99 double precision,
    OUT hold_time_max double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 100;
COMMENT ON FUNCTION pool_monitor_groups() IS
'figures by database, role and application: what the view pool_monitor_groups shows';

CREATE VIEW pool_monitor_groups AS
    SELECT * FROM pool_monitor_groups();
COMMENT ON VIEW pool_monitor_groups IS 'one row a database, role and application, with the columns of pool_monitor_applications; sessions that the reader may not see are counted in one row under <insufficient privilege>';
COMMENT ON COLUMN pool_monitor_groups.datname IS 'database, its OID if it was dropped, null if there is none';
COMMENT ON COLUMN pool_monitor_groups.usename IS 'role, its OID if it was dropped, null if there is none';

COMMENT ON COLUMN pool_monitor_applications.application_name IS 'what the client declares as application_name; <other> stands for applications past pool_monitor.max_groups';
COMMENT ON COLUMN pool_monitor_applications.connections IS 'sessions now';
COMMENT ON COLUMN pool_monitor_applications.active IS 'sessions that run a statement';
COMMENT ON COLUMN pool_monitor_applications.idle IS 'sessions that wait for a statement, outside of a transaction';
COMMENT ON COLUMN pool_monitor_applications.idle_in_transaction IS 'sessions that wait for a statement, in a transaction';
COMMENT ON COLUMN pool_monitor_applications.idle_in_transaction_aborted IS 'sessions that wait in a transaction in which a statement failed';
COMMENT ON COLUMN pool_monitor_applications.fastpath_function_call IS 'sessions that execute a fast-path function';
COMMENT ON COLUMN pool_monitor_applications.disabled IS 'sessions whose state is not known, since their track_activities is off';
COMMENT ON COLUMN pool_monitor_applications.checked_out IS 'sessions that hold a transaction or run a statement';
COMMENT ON COLUMN pool_monitor_applications.longest_idle IS 'how long the longest idle session has been idle';
COMMENT ON COLUMN pool_monitor_applications.longest_transaction IS 'the age of the oldest transaction';
COMMENT ON COLUMN pool_monitor_applications.longest_session IS 'the age of the oldest session';
COMMENT ON COLUMN pool_monitor_applications.peak_connections IS 'the highest number of sessions at once, exact; null unless preloaded, and where the reader may not see all of them';
COMMENT ON COLUMN pool_monitor_applications.peak_connections_at IS 'when peak_connections was reached';
COMMENT ON COLUMN pool_monitor_applications.peak_checked_out IS 'the highest number of sessions checked out at once, as sampled; null where peak_connections is';
COMMENT ON COLUMN pool_monitor_applications.sessions IS 'sessions established, under the name they logged in with, or the first that they took before they ran anything else; null unless preloaded, as are all columns after it';
COMMENT ON COLUMN pool_monitor_applications.sessions_abandoned IS 'sessions that ended because the client vanished without closing';
COMMENT ON COLUMN pool_monitor_applications.sessions_fatal IS 'sessions ended by a fatal error, such as a timeout';
COMMENT ON COLUMN pool_monitor_applications.sessions_killed IS 'sessions ended by an operator, as with pg_terminate_backend()';
COMMENT ON COLUMN pool_monitor_applications.rejected IS 'logins refused for want of a connection slot (SQLSTATE 53300)';
COMMENT ON COLUMN pool_monitor_applications.terminated IS 'idle sessions ended by pool_monitor';
COMMENT ON COLUMN pool_monitor_applications.transactions IS 'transactions ended in any way; not counted while pool_monitor.track_transactions is off';
COMMENT ON COLUMN pool_monitor_applications.session_time IS 'time spent by sessions, in milliseconds';
COMMENT ON COLUMN pool_monitor_applications.transaction_time IS 'time that transactions held a connection, in milliseconds';
COMMENT ON COLUMN pool_monitor_applications.hold_time_p50 IS 'hold time that half of the transactions stay within, in milliseconds, within 6.25%';
COMMENT ON COLUMN pool_monitor_applications.hold_time_p95 IS 'hold time that 95% of the transactions stay within, in milliseconds, within 6.25%';
COMMENT ON COLUMN pool_monitor_applications.hold_time_p99 IS 'hold time that 99% of the transactions stay within, in milliseconds, within 6.25%';
COMMENT ON COLUMN pool_monitor_applications.hold_time_max IS 'the longest hold time, in milliseconds, exact';

COMMENT ON COLUMN pool_monitor_groups.application_name IS 'what the client declares as application_name; <other> stands for applications past pool_monitor.max_groups';
COMMENT ON COLUMN pool_monitor_groups.connections IS 'sessions now';
COMMENT ON COLUMN pool_monitor_groups.active IS 'sessions that run a statement';
COMMENT ON COLUMN pool_monitor_groups.idle IS 'sessions that wait for a statement, outside of a transaction';
COMMENT ON COLUMN pool_monitor_groups.idle_in_transaction IS 'sessions that wait for a statement, in a transaction';
COMMENT ON COLUMN pool_monitor_groups.idle_in_transaction_aborted IS 'sessions that wait in a transaction in which a statement failed';
COMMENT ON COLUMN pool_monitor_groups.fastpath_function_call IS 'sessions that execute a fast-path function';
COMMENT ON COLUMN pool_monitor_groups.disabled IS 'sessions whose state is not known, since their track_activities is off';
COMMENT ON COLUMN pool_monitor_groups.checked_out IS 'sessions that hold a transaction or run a statement';
COMMENT ON COLUMN pool_monitor_groups.longest_idle IS 'how long the longest idle session has been idle';
COMMENT ON COLUMN pool_monitor_groups.longest_transaction IS 'the age of the oldest transaction';
COMMENT ON COLUMN pool_monitor_groups.longest_session IS 'the age of the oldest session';
COMMENT ON COLUMN pool_monitor_groups.peak_connections IS 'the highest number of sessions at once, exact; null unless preloaded, and where the reader may not see all of them';
COMMENT ON COLUMN pool_monitor_groups.peak_connections_at IS 'when peak_connections was reached';
COMMENT ON COLUMN pool_monitor_groups.peak_checked_out IS 'the highest number of sessions checked out at once, as sampled; null where peak_connections is';
COMMENT ON COLUMN pool_monitor_groups.sessions IS 'sessions established, under the name they logged in with, or the first that they took before they ran anything else; null unless preloaded, as are all columns after it';
COMMENT ON COLUMN pool_monitor_groups.sessions_abandoned IS 'sessions that ended because the client vanished without closing';
COMMENT ON COLUMN pool_monitor_groups.sessions_fatal IS 'sessions ended by a fatal error, such as a timeout';
COMMENT ON COLUMN pool_monitor_groups.sessions_killed IS 'sessions ended by an operator, as with pg_terminate_backend()';
COMMENT ON COLUMN pool_monitor_groups.rejected IS 'logins refused for want of a connection slot (SQLSTATE 53300)';
COMMENT ON COLUMN pool_monitor_groups.terminated IS 'idle sessions ended by pool_monitor';
COMMENT ON COLUMN pool_monitor_groups.transactions IS 'transactions ended in any way; not counted while pool_monitor.track_transactions is off';
COMMENT ON COLUMN pool_monitor_groups.session_time IS 'time spent by sessions, in milliseconds';
COMMENT ON COLUMN pool_monitor_groups.transaction_time IS 'time that transactions held a connection, in milliseconds';
COMMENT ON COLUMN pool_monitor_groups.hold_time_p50 IS 'hold time that half of the transactions stay within, in milliseconds, within 6.25%';
COMMENT ON COLUMN pool_monitor_groups.hold_time_p95 IS 'hold time that 95% of the transactions stay within, in milliseconds, within 6.25%';
COMMENT ON COLUMN pool_monitor_groups.hold_time_p99 IS 'hold time that 99% of the transactions stay within, in milliseconds, within 6.25%';
COMMENT ON COLUMN pool_monitor_groups.hold_time_max IS 'the longest hold time, in milliseconds, exact';

CREATE FUNCTION pool_monitor_databases(
    OUT datname text,
    OUT connections integer,
    OUT checked_out integer,
    OUT connection_limit integer,
    OUT available integer,
    OUT utilization double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE ROWS 10;
COMMENT ON FUNCTION pool_monitor_databases() IS
'how near each database is to its connection limit: what the view pool_monitor_databases shows';

CREATE VIEW pool_monitor_databases AS
    SELECT * FROM pool_monitor_databases();
COMMENT ON VIEW pool_monitor_databases IS 'how near each database is to its connection limit';
COMMENT ON COLUMN pool_monitor_databases.datname IS 'database, its OID if it was dropped';
COMMENT ON COLUMN pool_monitor_databases.connections IS 'sessions now';
COMMENT ON COLUMN pool_monitor_databases.checked_out IS 'sessions that hold a transaction or run a statement';
COMMENT ON COLUMN pool_monitor_databases.connection_limit IS 'the database''s CONNECTION LIMIT, null if it has none';
COMMENT ON COLUMN pool_monitor_databases.available IS 'sessions that ordinary roles can still open: what is left of the limit, and no more than the server has';
COMMENT ON COLUMN pool_monitor_databases.utilization IS 'connections divided by the limit, or by the server''s slots for ordinary roles where those are fewer';

CREATE FUNCTION pool_monitor_roles(
    OUT usename text,
    OUT connections integer,
    OUT checked_out integer,
    OUT connection_limit integer,
    OUT available integer,
    OUT utilization double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE ROWS 10;
COMMENT ON FUNCTION pool_monitor_roles() IS
'how near each role is to its connection limit: what the view pool_monitor_roles shows';

CREATE VIEW pool_monitor_roles AS
    SELECT * FROM pool_monitor_roles();
COMMENT ON VIEW pool_monitor_roles IS 'how near each role is to its connection limit';
COMMENT ON COLUMN pool_monitor_roles.usename IS 'role, its OID if it was dropped';
COMMENT ON COLUMN pool_monitor_roles.connections IS 'sessions now';
COMMENT ON COLUMN pool_monitor_roles.checked_out IS 'sessions that hold a transaction or run a statement';
COMMENT ON COLUMN pool_monitor_roles.connection_limit IS 'the role''s CONNECTION LIMIT, null if it has none; superusers have none';
COMMENT ON COLUMN pool_monitor_roles.available IS 'sessions that the role can still open: what is left of the limit, and no more than the server has for ordinary roles';
COMMENT ON COLUMN pool_monitor_roles.utilization IS 'connections divided by the limit, or by the server''s slots for ordinary roles where those are fewer';

--
-- Sessions
--

CREATE FUNCTION pool_monitor_sessions(
    OUT pid integer,
    OUT datname text,
    OUT usename text,
    OUT application_name text,
    OUT client_addr inet,
    OUT client_port integer,
    OUT backend_start timestamptz,
    OUT xact_start timestamptz,
    OUT query_start timestamptz,
    OUT state_change timestamptz,
    OUT state text,
    OUT wait_event_type text,
    OUT wait_event text,
    OUT backend_xmin xid,
    OUT pool text,
    OUT checked_out boolean,
    OUT checked_out_evidence text,
    OUT state_age interval,
    OUT transaction_age interval,
    OUT leak_suspect text,
    OUT idle_limit interval,
    OUT terminates_at timestamptz,
    OUT exempt text,
    OUT blocks integer,
    OUT blocked_by integer,
    OUT query_id bigint,
    OUT tags jsonb,
    OUT query text)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 100;
COMMENT ON FUNCTION pool_monitor_sessions() IS
'each session now: what the view pool_monitor_sessions shows';

CREATE VIEW pool_monitor_sessions AS
    SELECT * FROM pool_monitor_sessions();
COMMENT ON VIEW pool_monitor_sessions IS 'one row a session now; of sessions that the reader may not see, only pid, datname and usename';
COMMENT ON COLUMN pool_monitor_sessions.pid IS 'process ID of the session''s backend';
COMMENT ON COLUMN pool_monitor_sessions.datname IS 'database, its OID if it was dropped';
COMMENT ON COLUMN pool_monitor_sessions.usename IS 'role that logged in, its OID if it was dropped';
COMMENT ON COLUMN pool_monitor_sessions.application_name IS 'what the client declares as application_name';
COMMENT ON COLUMN pool_monitor_sessions.client_addr IS 'the client''s IP address, null for a Unix socket';
COMMENT ON COLUMN pool_monitor_sessions.client_port IS 'the client''s TCP port, -1 for a Unix socket';
COMMENT ON COLUMN pool_monitor_sessions.backend_start IS 'when the client connected';
COMMENT ON COLUMN pool_monitor_sessions.xact_start IS 'when the current transaction started, null outside of one; of one that has failed, only the preloaded library knows';
COMMENT ON COLUMN pool_monitor_sessions.query_start IS 'when the current statement started, or the last one if the session is not active';
COMMENT ON COLUMN pool_monitor_sessions.state_change IS 'when the state last changed';
COMMENT ON COLUMN pool_monitor_sessions.state IS 'state as in pg_stat_activity';
COMMENT ON COLUMN pool_monitor_sessions.wait_event_type IS 'type of the event that the backend waits for, or null';
COMMENT ON COLUMN pool_monitor_sessions.wait_event IS 'the event that the backend waits for, or null';
COMMENT ON COLUMN pool_monitor_sessions.backend_xmin IS 'the oldest transaction that the session may still need to see: VACUUM can not remove what is newer';
COMMENT ON COLUMN pool_monitor_sessions.pool IS 'the declared pool that the session belongs to';
COMMENT ON COLUMN pool_monitor_sessions.checked_out IS 'whether the client''s pool is known to have the session checked out';
COMMENT ON COLUMN pool_monitor_sessions.checked_out_evidence IS 'how that is known: state: it holds a transaction or runs a statement; opened: its pool opened another connection while this one was idle, less than a minute ago; closes_idle: its pool would have closed it if it were free; null: not checked out, as far as the server can tell';
COMMENT ON COLUMN pool_monitor_sessions.state_age IS 'time since state_change';
COMMENT ON COLUMN pool_monitor_sessions.transaction_age IS 'time since xact_start';
COMMENT ON COLUMN pool_monitor_sessions.leak_suspect IS 'why the session looks leaked, null if it does not: it is checked out, has others wait for an advisory lock, or would have been closed if it were free, and started no statement for pool_monitor.leak_threshold';
COMMENT ON COLUMN pool_monitor_sessions.idle_limit IS 'how long the session may stay in its state before pool_monitor ends it, null: for ever';
COMMENT ON COLUMN pool_monitor_sessions.terminates_at IS 'when pool_monitor will end the session unless it becomes busy';
COMMENT ON COLUMN pool_monitor_sessions.exempt IS 'why pool_monitor will not end the session: superuser, own setting, exported snapshot, LISTEN, advisory lock, timeout 0, keep_idle or track_activities is off; waiting for terminate_above, or no worker: not for now';
COMMENT ON COLUMN pool_monitor_sessions.blocks IS 'how many processes wait for this session: for its locks or behind it in a queue, directly or through others';
COMMENT ON COLUMN pool_monitor_sessions.blocked_by IS 'process ID of the session that all of this one''s wait for a lock is due to, at the root of a chain of waits; 0: a prepared transaction; null: it does not wait';
COMMENT ON COLUMN pool_monitor_sessions.query_id IS 'identifier of that statement, as compute_query_id gives one; null: none';
COMMENT ON COLUMN pool_monitor_sessions.tags IS 'which code that statement comes from, as its comment tells: the keys of pool_monitor.tags; null: none of them';
COMMENT ON COLUMN pool_monitor_sessions.query IS 'the current statement, or the last one if the session is not active';

CREATE FUNCTION pool_monitor_leak_suspects()
RETURNS SETOF pool_monitor_sessions
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 10;
COMMENT ON FUNCTION pool_monitor_leak_suspects() IS
'the sessions that look leaked: what the view pool_monitor_leaks shows, in no order';

CREATE VIEW pool_monitor_leaks AS
    SELECT * FROM pool_monitor_leak_suspects() s
     ORDER BY s.blocked_by IS NOT NULL, s.blocks DESC, coalesce(s.xact_start, s.state_change), s.query_start;
COMMENT ON VIEW pool_monitor_leaks IS 'the sessions that look leaked, worst first: those that wait for nobody, and of these the ones that most others wait for, then the oldest transactions; columns as in pool_monitor_sessions';
COMMENT ON COLUMN pool_monitor_leaks.pid IS 'process ID of the session''s backend';
COMMENT ON COLUMN pool_monitor_leaks.datname IS 'database, its OID if it was dropped';
COMMENT ON COLUMN pool_monitor_leaks.usename IS 'role that logged in, its OID if it was dropped';
COMMENT ON COLUMN pool_monitor_leaks.application_name IS 'what the client declares as application_name';
COMMENT ON COLUMN pool_monitor_leaks.client_addr IS 'the client''s IP address, null for a Unix socket';
COMMENT ON COLUMN pool_monitor_leaks.client_port IS 'the client''s TCP port, -1 for a Unix socket';
COMMENT ON COLUMN pool_monitor_leaks.backend_start IS 'when the client connected';
COMMENT ON COLUMN pool_monitor_leaks.xact_start IS 'when the current transaction started, null outside of one; of one that has failed, only the preloaded library knows';
COMMENT ON COLUMN pool_monitor_leaks.query_start IS 'when the current statement started, or the last one if the session is not active';
COMMENT ON COLUMN pool_monitor_leaks.state_change IS 'when the state last changed';
COMMENT ON COLUMN pool_monitor_leaks.state IS 'state as in pg_stat_activity';
COMMENT ON COLUMN pool_monitor_leaks.wait_event_type IS 'type of the event that the backend waits for, or null';
COMMENT ON COLUMN pool_monitor_leaks.wait_event IS 'the event that the backend waits for, or null';
COMMENT ON COLUMN pool_monitor_leaks.backend_xmin IS 'the oldest transaction that the session may still need to see: VACUUM can not remove what is newer';
COMMENT ON COLUMN pool_monitor_leaks.pool IS 'the declared pool that the session belongs to';
COMMENT ON COLUMN pool_monitor_leaks.checked_out IS 'whether the client''s pool is known to have the session checked out';
COMMENT ON COLUMN pool_monitor_leaks.checked_out_evidence IS 'how that is known: state: it holds a transaction or runs a statement; opened: its pool opened another connection while this one was idle, less than a minute ago; closes_idle: its pool would have closed it if it were free; null: not checked out, as far as the server can tell';
COMMENT ON COLUMN pool_monitor_leaks.state_age IS 'time since state_change';
COMMENT ON COLUMN pool_monitor_leaks.transaction_age IS 'time since xact_start';
COMMENT ON COLUMN pool_monitor_leaks.leak_suspect IS 'why the session looks leaked, null if it does not: it is checked out, has others wait for an advisory lock, or would have been closed if it were free, and started no statement for pool_monitor.leak_threshold';
COMMENT ON COLUMN pool_monitor_leaks.idle_limit IS 'how long the session may stay in its state before pool_monitor ends it, null: for ever';
COMMENT ON COLUMN pool_monitor_leaks.terminates_at IS 'when pool_monitor will end the session unless it becomes busy';
COMMENT ON COLUMN pool_monitor_leaks.exempt IS 'why pool_monitor will not end the session: superuser, own setting, exported snapshot, LISTEN, advisory lock, timeout 0, keep_idle or track_activities is off; waiting for terminate_above, or no worker: not for now';
COMMENT ON COLUMN pool_monitor_leaks.blocks IS 'how many processes wait for this session: for its locks or behind it in a queue, directly or through others';
COMMENT ON COLUMN pool_monitor_leaks.blocked_by IS 'process ID of the session that all of this one''s wait for a lock is due to, at the root of a chain of waits; 0: a prepared transaction; null: it does not wait';
COMMENT ON COLUMN pool_monitor_leaks.query_id IS 'identifier of that statement, as compute_query_id gives one; null: none';
COMMENT ON COLUMN pool_monitor_leaks.tags IS 'which code that statement comes from, as its comment tells: the keys of pool_monitor.tags; null: none of them';
COMMENT ON COLUMN pool_monitor_leaks.query IS 'the current statement, or the last one if the session is not active';

CREATE FUNCTION pool_monitor_prepared_blocks(
    OUT transaction xid,
    OUT blocks integer)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 10;
COMMENT ON FUNCTION pool_monitor_prepared_blocks() IS
'how many processes wait for each prepared transaction that any wait for';

CREATE VIEW pool_monitor_prepared AS
    SELECT p.gid, p.owner::text AS owner, p.database::text AS database, p.prepared,
           pg_catalog.clock_timestamp() - p.prepared AS age, coalesce(b.blocks, 0) AS blocks
      FROM pg_catalog.pg_prepared_xacts p
           LEFT JOIN pool_monitor_prepared_blocks() b ON b.transaction OPERATOR(pg_catalog.=) p.transaction
     ORDER BY 6 DESC, p.prepared;
COMMENT ON VIEW pool_monitor_prepared IS 'prepared transactions, which hold their locks without a session, those that most others wait for first';
COMMENT ON COLUMN pool_monitor_prepared.gid IS 'the name that it was prepared under: for COMMIT PREPARED or ROLLBACK PREPARED';
COMMENT ON COLUMN pool_monitor_prepared.owner IS 'role that prepared it';
COMMENT ON COLUMN pool_monitor_prepared.database IS 'database that it was prepared in';
COMMENT ON COLUMN pool_monitor_prepared.prepared IS 'when it was prepared';
COMMENT ON COLUMN pool_monitor_prepared.age IS 'time since then';
COMMENT ON COLUMN pool_monitor_prepared.blocks IS 'how many processes wait for it, directly or through others';

--
-- Pools
--

CREATE FUNCTION pool_monitor_pools(
    OUT pool text,
    OUT application_name text,
    OUT usename text,
    OUT datname text,
    OUT client_addr text,
    OUT pool_size integer,
    OUT max_overflow integer,
    OUT instances integer,
    OUT instances_seen integer,
    OUT capacity bigint,
    OUT total_connections integer,
    OUT checked_in integer,
    OUT checked_out integer,
    OUT checked_out_proven integer,
    OUT overflow bigint,
    OUT invalid bigint,
    OUT peak_checked_out integer,
    OUT last_exhausted_at timestamptz,
    OUT ended_checked_out bigint,
    OUT utilization double precision,
    OUT status text,
    OUT idle_timeout interval,
    OUT idle_in_transaction_timeout interval,
    OUT max_lifetime interval,
    OUT keep_idle integer,
    OUT closes_idle interval,
    OUT min_idle integer)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 10;
COMMENT ON FUNCTION pool_monitor_pools() IS
'the declared pools now: what the view pool_monitor_pools shows';

CREATE VIEW pool_monitor_pools AS
    SELECT * FROM pool_monitor_pools();
COMMENT ON VIEW pool_monitor_pools IS 'one row a pool that pool_monitor.pools declares, in that order; a session belongs to the first pool whose conditions all hold';
COMMENT ON COLUMN pool_monitor_pools.pool IS 'the pool''s name';
COMMENT ON COLUMN pool_monitor_pools.application_name IS 'pattern for the application name, null: any';
COMMENT ON COLUMN pool_monitor_pools.usename IS 'pattern for the role, null: any';
COMMENT ON COLUMN pool_monitor_pools.datname IS 'pattern for the database, null: any';
COMMENT ON COLUMN pool_monitor_pools.client_addr IS 'network that the client is in, or local for Unix sockets, null: any';
COMMENT ON COLUMN pool_monitor_pools.pool_size IS 'connections that each instance keeps, null: a mere policy';
COMMENT ON COLUMN pool_monitor_pools.max_overflow IS 'connections that each instance opens beyond pool_size';
COMMENT ON COLUMN pool_monitor_pools.instances IS 'processes that each hold such a pool';
COMMENT ON COLUMN pool_monitor_pools.instances_seen IS 'different client addresses of its sessions now: instances that share a host, or a Unix socket, count as one';
COMMENT ON COLUMN pool_monitor_pools.capacity IS '(pool_size + max_overflow) * instances';
COMMENT ON COLUMN pool_monitor_pools.total_connections IS 'sessions now';
COMMENT ON COLUMN pool_monitor_pools.checked_in IS 'sessions that wait for a statement, outside of a transaction, and are not proven to be checked out';
COMMENT ON COLUMN pool_monitor_pools.checked_out IS 'sessions that hold a transaction or run a statement, and checked_out_proven';
COMMENT ON COLUMN pool_monitor_pools.checked_out_proven IS 'idle sessions outside of a transaction that the application has checked out, at least: as the pool is declared, it would have closed them, or not opened others';
COMMENT ON COLUMN pool_monitor_pools.overflow IS 'sessions beyond pool_size * instances';
COMMENT ON COLUMN pool_monitor_pools.invalid IS 'sessions that ended abandoned, fatal or killed; with a client condition, those of the groups whose latest session came from such a client; since pool_monitor_status.stats_reset, or a later pool_monitor_reset() of an application';
COMMENT ON COLUMN pool_monitor_pools.peak_checked_out IS 'the highest number checked out at once, as sampled; null unless preloaded';
COMMENT ON COLUMN pool_monitor_pools.last_exhausted_at IS 'when all of its capacity was seen checked out last, or a connection was opened that made it so; since pool_monitor_status.stats_reset; null: never, or not preloaded';
COMMENT ON COLUMN pool_monitor_pools.ended_checked_out IS 'sessions that pool_monitor ended in a transaction, which the client''s pool had out: there they stay checked out until the application returns them; since pool_monitor_status.stats_reset; null unless preloaded';
COMMENT ON COLUMN pool_monitor_pools.utilization IS 'checked_out divided by capacity';
COMMENT ON COLUMN pool_monitor_pools.status IS 'exhausted: checked_out has reached capacity; oversized: more sessions than capacity, so that there are more instances than declared, or larger ones; overflow: more sessions than pool_size * instances; else healthy; null for a mere policy';
COMMENT ON COLUMN pool_monitor_pools.idle_timeout IS 'the pool''s own limit, 0: never, null: the setting pool_monitor.idle_timeout';
COMMENT ON COLUMN pool_monitor_pools.idle_in_transaction_timeout IS 'the pool''s own limit, 0: never, null: the setting pool_monitor.idle_in_transaction_timeout';
COMMENT ON COLUMN pool_monitor_pools.max_lifetime IS 'the pool''s own limit, 0: never, null: the setting pool_monitor.max_lifetime';
COMMENT ON COLUMN pool_monitor_pools.keep_idle IS 'idle sessions of the pool that are never ended';
COMMENT ON COLUMN pool_monitor_pools.closes_idle IS 'after how long the client''s pool closes a connection that is free, as declared; null where it does not say so';
COMMENT ON COLUMN pool_monitor_pools.min_idle IS 'how many free connections each instance of the client''s pool keeps all the same, as declared';

CREATE FUNCTION pool_monitor_capacity(
    OUT max_connections integer,
    OUT reserved_connections integer,
    OUT declared_capacity bigint,
    OUT undeclared_connections integer,
    OUT headroom bigint,
    OUT oversubscribed boolean)
RETURNS record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION pool_monitor_capacity() IS
'whether the declared pools fit the server: what the view pool_monitor_capacity shows';

CREATE VIEW pool_monitor_capacity AS
    SELECT * FROM pool_monitor_capacity();
COMMENT ON VIEW pool_monitor_capacity IS 'whether all declared pools together fit the server, in one row';
COMMENT ON COLUMN pool_monitor_capacity.max_connections IS 'the setting max_connections';
COMMENT ON COLUMN pool_monitor_capacity.reserved_connections IS 'slots that ordinary roles can not use';
COMMENT ON COLUMN pool_monitor_capacity.declared_capacity IS 'the connections that the declared pools need together: of each its capacity, or its sessions now where they are more';
COMMENT ON COLUMN pool_monitor_capacity.undeclared_connections IS 'sessions now that are in no declared pool with a size';
COMMENT ON COLUMN pool_monitor_capacity.headroom IS 'slots for ordinary roles, less declared_capacity and undeclared_connections; below 0: there can be too few';
COMMENT ON COLUMN pool_monitor_capacity.oversubscribed IS 'whether the declared pools together can open more than the slots for ordinary roles';

CREATE FUNCTION pool_monitor_sizing(
    wait_target interval DEFAULT '10 ms',
    percentile double precision DEFAULT 0.99,
    since interval DEFAULT '1 day',
    OUT pool text,
    OUT application_name text,
    OUT transactions bigint,
    OUT arrival_rate double precision,
    OUT hold_time_mean double precision,
    OUT hold_time_cv double precision,
    OUT offered_load double precision,
    OUT total_load double precision,
    OUT observed_p99_checked_out integer,
    OUT peak_checked_out integer,
    OUT recommended_pool_size integer,
    OUT expected_wait double precision,
    OUT saturated boolean,
    OUT note text)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 50;
COMMENT ON FUNCTION pool_monitor_sizing(interval, double precision, interval) IS
'what size each declared pool (pool is set) and each application (pool is null) should have, so that no more than 1 - percentile of its transactions wait longer than wait_target for a connection: from the arrivals a second, the mean and the coefficient of variation of hold times (ms) and the load (erlangs) of the busiest minute since then (where few long transactions would move the size, of the others; total_load is of all); recommended_pool_size is per instance, expected_wait (ms) is at the percentile; note says how far to believe it';
REVOKE ALL ON FUNCTION pool_monitor_sizing(interval, double precision, interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pool_monitor_sizing(interval, double precision, interval) TO pg_read_all_stats;

CREATE FUNCTION pool_monitor_pool_status(
    pool_size integer,
    max_overflow integer,
    application_name text DEFAULT NULL,
    datname name DEFAULT NULL,
    usename name DEFAULT NULL,
    OUT pool_size integer,
    OUT checked_in integer,
    OUT checked_out integer,
    OUT overflow bigint,
    OUT invalid bigint,
    OUT total_connections integer,
    OUT status text)
RETURNS record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pool_monitor_pool_status(integer, integer, text, name, name) IS
'the figures of a pool that is declared nowhere: the sessions with that application name, database and role (null: any) as a pool of that size; a max_overflow of -1 has no limit; status is healthy, overflow or exhausted, null where no such session is known; invalid counts sessions that ended abandoned, fatal or killed since stats_reset of pool_monitor_status, or a later reset of the application';

--
-- Rejections
--

CREATE FUNCTION pool_monitor_rejections(
    OUT datname text,
    OUT usename text,
    OUT application_name text,
    OUT reason text,
    OUT rejected bigint,
    OUT last_rejected_at timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 20;
COMMENT ON FUNCTION pool_monitor_rejections() IS
'logins that were refused: what the view pool_monitor_rejections shows';

CREATE VIEW pool_monitor_rejections AS
    SELECT * FROM pool_monitor_rejections();
COMMENT ON VIEW pool_monitor_rejections IS 'logins that the server refused with SQLSTATE 53300, counted exactly; those that the reader may not see are counted in one row under <insufficient privilege>';
COMMENT ON COLUMN pool_monitor_rejections.datname IS 'database as the client named it; it need not exist';
COMMENT ON COLUMN pool_monitor_rejections.usename IS 'role as the client named it; it need not exist';
COMMENT ON COLUMN pool_monitor_rejections.application_name IS 'application_name that the client sent; <other> for those whose names were not kept';
COMMENT ON COLUMN pool_monitor_rejections.reason IS 'too_many_clients, reserved_slots, database_limit or role_limit';
COMMENT ON COLUMN pool_monitor_rejections.rejected IS 'logins refused';
COMMENT ON COLUMN pool_monitor_rejections.last_rejected_at IS 'when the last of them was refused';

--
-- The past
--

CREATE FUNCTION pool_monitor_history(
    since timestamptz DEFAULT pg_catalog.now() - interval '1 hour',
    until timestamptz DEFAULT pg_catalog.now(),
    step interval DEFAULT NULL,
    OUT period_start timestamptz,
    OUT application_name text,
    OUT samples bigint,
    OUT connections_avg double precision,
    OUT connections_max integer,
    OUT active_avg double precision,
    OUT active_max integer,
    OUT idle_avg double precision,
    OUT idle_max integer,
    OUT idle_in_transaction_avg double precision,
    OUT idle_in_transaction_max integer,
    OUT checked_out_avg double precision,
    OUT checked_out_max integer)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pool_monitor_history(timestamptz, timestamptz, interval) IS
'the sessions of each application in the past, by periods of length step (null: about 60 of them); samples as far back as they are kept, minutes before that; a period without samples has no row, and averages are over all samples of the period; idle_in_transaction includes aborted transactions';
REVOKE ALL ON FUNCTION pool_monitor_history(timestamptz, timestamptz, interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pool_monitor_history(timestamptz, timestamptz, interval) TO pg_read_all_stats;

CREATE FUNCTION pool_monitor_utilization(
    since timestamptz DEFAULT pg_catalog.now() - interval '1 hour',
    until timestamptz DEFAULT pg_catalog.now(),
    step interval DEFAULT NULL,
    OUT period_start timestamptz,
    OUT samples bigint,
    OUT max_connections integer,
    OUT connections_avg double precision,
    OUT connections_max integer,
    OUT active_avg double precision,
    OUT active_max integer,
    OUT idle_in_transaction_avg double precision,
    OUT idle_in_transaction_max integer,
    OUT utilization_max double precision,
    OUT rejected bigint,
    OUT terminated bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pool_monitor_utilization(timestamptz, timestamptz, interval) IS
'the server''s sessions in the past, by periods of length step (null: about 60 of them); a period without samples has no row; rejected and terminated are counted exactly';

CREATE FUNCTION pool_monitor_chart(
    metric text DEFAULT 'checked_out',
    since interval DEFAULT '1 hour',
    OUT application_name text,
    OUT minimum integer,
    OUT average double precision,
    OUT maximum integer,
    OUT chart text)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pool_monitor_chart(text, interval) IS
'one row an application, to look at in psql: the highest value of each period as a block between 0 and the maximum of the row, blank where nothing was sampled; minimum is the lowest of those values; metric is connections, active, idle, idle_in_transaction or checked_out';
REVOKE ALL ON FUNCTION pool_monitor_chart(text, interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pool_monitor_chart(text, interval) TO pg_read_all_stats;

CREATE FUNCTION pool_monitor_holds(
    since timestamptz DEFAULT pg_catalog.now() - interval '1 hour',
    until timestamptz DEFAULT pg_catalog.now(),
    OUT datname text,
    OUT usename text,
    OUT application_name text,
    OUT tags jsonb,
    OUT query_id bigint,
    OUT state text,
    OUT wait_event_type text,
    OUT wait_event text,
    OUT connections_avg double precision,
    OUT share double precision,
    OUT longest interval,
    OUT query text)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 100;
COMMENT ON FUNCTION pool_monitor_holds(timestamptz, timestamptz) IS
'what held connections, by whole minutes: who, which code as the comments of its statements tell (pool_monitor.tags), which statement, and what it waited for; connections_avg is how many it held at once on average, share its part of all connection time; those that held most first';
REVOKE ALL ON FUNCTION pool_monitor_holds(timestamptz, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pool_monitor_holds(timestamptz, timestamptz) TO pg_read_all_stats;

CREATE FUNCTION pool_monitor_incidents(
    OUT incident bigint,
    OUT started_at timestamptz,
    OUT ended_at timestamptz,
    OUT reason text,
    OUT peak_connections integer,
    OUT peak_at timestamptz,
    OUT rejected bigint,
    OUT top_application text)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 20;
COMMENT ON FUNCTION pool_monitor_incidents() IS
'times when the server ran out of connections: what the view pool_monitor_incidents shows';
REVOKE ALL ON FUNCTION pool_monitor_incidents() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pool_monitor_incidents() TO pg_read_all_stats;

CREATE VIEW pool_monitor_incidents AS
    SELECT * FROM pool_monitor_incidents();
GRANT SELECT ON pool_monitor_incidents TO pg_read_all_stats;
COMMENT ON VIEW pool_monitor_incidents IS 'the last 32 times when the server ran out of connections, from the first login that was refused, or utilization reaching pool_monitor.critical_threshold, until the server was healthy again';
COMMENT ON COLUMN pool_monitor_incidents.incident IS 'the incident''s number';
COMMENT ON COLUMN pool_monitor_incidents.started_at IS 'when it started';
COMMENT ON COLUMN pool_monitor_incidents.ended_at IS 'when the server was healthy again, null while it goes on';
COMMENT ON COLUMN pool_monitor_incidents.reason IS 'too_many_clients, reserved_slots: a login was refused because the server was full, as in pool_monitor_rejections; critical_threshold: utilization reached pool_monitor.critical_threshold';
COMMENT ON COLUMN pool_monitor_incidents.peak_connections IS 'the highest number of sessions at once';
COMMENT ON COLUMN pool_monitor_incidents.peak_at IS 'when that was reached';
COMMENT ON COLUMN pool_monitor_incidents.rejected IS 'logins refused during the incident because the server was full';
COMMENT ON COLUMN pool_monitor_incidents.top_application IS 'the application that held most connections at the peak';

CREATE FUNCTION pool_monitor_incident_holders(
    incident bigint DEFAULT NULL,
    OUT incident bigint,
    OUT moment text,
    OUT taken_at timestamptz,
    OUT datname text,
    OUT usename text,
    OUT application_name text,
    OUT client_addr inet,
    OUT state text,
    OUT connections integer,
    OUT longest_in_state interval,
    OUT longest_transaction interval,
    OUT wait_event_type text,
    OUT wait_event text,
    OUT pid integer,
    OUT blocks integer,
    OUT blocked_by integer,
    OUT query_id bigint,
    OUT tags jsonb,
    OUT query text)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 100;
COMMENT ON FUNCTION pool_monitor_incident_holders(bigint) IS
'who held the connections when an incident (null: each one) started, and when most connections were seen during it, the largest holders first; with what the session did that most others waited for, or else the one with the oldest transaction';
REVOKE ALL ON FUNCTION pool_monitor_incident_holders(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pool_monitor_incident_holders(bigint) TO pg_read_all_stats;

--
-- Ending idle sessions
--

CREATE FUNCTION pool_monitor_terminations(
    OUT terminated_at timestamptz,
    OUT pid integer,
    OUT datname text,
    OUT usename text,
    OUT application_name text,
    OUT client_addr inet,
    OUT backend_start timestamptz,
    OUT state text,
    OUT idle_for interval,
    OUT limit_applied interval,
    OUT pool text,
    OUT reason text,
    OUT outcome text,
    OUT detail text)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION pool_monitor_terminations() IS
'idle sessions that were ended: what the view pool_monitor_terminations shows';

CREATE VIEW pool_monitor_terminations AS
    SELECT * FROM pool_monitor_terminations();
COMMENT ON VIEW pool_monitor_terminations IS 'the last 1000 decisions to end an idle session, the oldest first; of sessions that the reader may not see, only pid, datname and usename';
COMMENT ON COLUMN pool_monitor_terminations.terminated_at IS 'when it was decided';
COMMENT ON COLUMN pool_monitor_terminations.pid IS 'process ID of the session''s backend';
COMMENT ON COLUMN pool_monitor_terminations.datname IS 'database, its OID if it was dropped';
COMMENT ON COLUMN pool_monitor_terminations.usename IS 'role that logged in, its OID if it was dropped';
COMMENT ON COLUMN pool_monitor_terminations.application_name IS 'what the client declared as application_name';
COMMENT ON COLUMN pool_monitor_terminations.client_addr IS 'the client''s IP address, null for a Unix socket';
COMMENT ON COLUMN pool_monitor_terminations.backend_start IS 'when the client connected';
COMMENT ON COLUMN pool_monitor_terminations.state IS 'the state that the session was in';
COMMENT ON COLUMN pool_monitor_terminations.idle_for IS 'how long it had been in that state';
COMMENT ON COLUMN pool_monitor_terminations.limit_applied IS 'the limit that it had exceeded';
COMMENT ON COLUMN pool_monitor_terminations.pool IS 'the declared pool that it belonged to';
COMMENT ON COLUMN pool_monitor_terminations.reason IS 'idle, idle in transaction, lifetime, or requested (by pool_monitor_terminate_idle or pool_monitor_terminate)';
COMMENT ON COLUMN pool_monitor_terminations.outcome IS 'terminated, spared (it was not idle any more, or is exempt), dry run, or failed (it did not answer)';
COMMENT ON COLUMN pool_monitor_terminations.detail IS 'why it was spared, or failed';

CREATE FUNCTION pool_monitor_terminate_idle(
    idle_for interval,
    application_name text DEFAULT NULL,
    datname name DEFAULT NULL,
    usename name DEFAULT NULL,
    max_sessions integer DEFAULT NULL,
    dry_run boolean DEFAULT true,
    OUT terminated_at timestamptz,
    OUT pid integer,
    OUT datname text,
    OUT usename text,
    OUT application_name text,
    OUT client_addr inet,
    OUT backend_start timestamptz,
    OUT state text,
    OUT idle_for interval,
    OUT limit_applied interval,
    OUT pool text,
    OUT reason text,
    OUT outcome text,
    OUT detail text)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_monitor_terminate_idle(interval, text, name, name, integer, boolean) IS
'end the sessions with that application name, database and role (null: any) that have been idle for longer than idle_for, the longest idle first and no more than max_sessions, without ever cutting a statement; with dry_run only say which; one row a session, with the columns of pool_monitor_terminations; who may call pg_terminate_backend() on a session may end it, and others are left out';

CREATE FUNCTION pool_monitor_terminate(
    pid integer,
    force boolean DEFAULT false,
    OUT outcome text,
    OUT detail text
)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE ROWS 1;
COMMENT ON FUNCTION pool_monitor_terminate(integer, boolean) IS
'end the session with that process ID if it is idle or idle in transaction, without ever cutting a statement; returns the outcome (terminated, spared or failed) and why; one that listens or holds advisory locks is spared unless force; who may call pg_terminate_backend() on it may do so';

--
-- For applications
--

CREATE FUNCTION pool_monitor_diagnosis(
    since interval DEFAULT '1 hour',
    OUT rank integer,
    OUT severity text,
    OUT finding text,
    OUT subject_type text,
    OUT subject text,
    OUT evidence text,
    OUT remedy text,
    OUT reference text)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 5;
COMMENT ON FUNCTION pool_monitor_diagnosis(interval) IS
'what is wrong with the connections now, and was since then: the most likely cause first (rank), with its severity (critical, warning, notice), a stable code (finding), whom it is about, the figures that decide in words, what to do, and the section of the documentation to read; one row healthy where there is nothing; about the own sessions alone without pg_read_all_stats';

CREATE FUNCTION pool_monitor_health()
RETURNS jsonb
LANGUAGE SQL VOLATILE PARALLEL RESTRICTED
BEGIN ATOMIC
    SELECT pg_catalog.jsonb_build_object(
        'status', s.status,
        'max_connections', s.max_connections,
        'reserved_connections', s.reserved_connections,
        'connections', s.connections,
        'available', s.available,
        'utilization', pg_catalog.round(s.utilization::numeric, 4),
        'active', s.active,
        'idle', s.idle,
        'idle_in_transaction', s.idle_in_transaction,
        'checked_out', s.checked_out,
        'peak_connections', s.peak_connections,
        'rejected', s.rejected,
        'current_incident', s.current_incident,
        'pools', (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                             'pool', p.pool,
                             'pool_size', p.pool_size,
                             'checked_in', p.checked_in,
                             'checked_out', p.checked_out,
                             'overflow', p.overflow,
                             'invalid', p.invalid,
                             'total_connections', p.total_connections,
                             'status', p.status)), '[]')
                    FROM pool_monitor_pools() p),
        'findings', (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                                'finding', d.finding,
                                'severity', d.severity,
                                'subject', d.subject,
                                'evidence', d.evidence) ORDER BY d.rank)
                       FROM pool_monitor_diagnosis('10 minutes') d))
      FROM pool_monitor_status() s;
END;
COMMENT ON FUNCTION pool_monitor_health() IS
'the main figures of pool_monitor_status, those of each declared pool under pools, and what pool_monitor_diagnosis() says under findings, as JSON for a health endpoint';

CREATE FUNCTION pool_monitor_report(
    since timestamptz DEFAULT pg_catalog.now() - interval '1 day',
    until timestamptz DEFAULT pg_catalog.now())
RETURNS text
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pool_monitor_report(timestamptz, timestamptz) IS
'one HTML file that needs nothing else: what pool_monitor_diagnosis() says, a chart of connections by application with incidents and refused logins, declared pools, incidents and who held the connections, which code holds them, sizes, sessions that were ended, and settings; what the reader may not see is not in it';

--
-- The extension itself
--

CREATE FUNCTION pool_monitor_info(
    OUT version text,
    OUT loaded boolean,
    OUT worker_pid integer,
    OUT started_at timestamptz,
    OUT samples bigint,
    OUT last_sample_at timestamptz,
    OUT last_sample_duration double precision,
    OUT sample_duration_max double precision,
    OUT missed_samples bigint,
    OUT groups integer,
    OUT max_groups integer,
    OUT groups_evicted bigint,
    OUT memory_bytes bigint,
    OUT saved_at timestamptz,
    OUT save_failures bigint,
    OUT metrics_written_at timestamptz,
    OUT metrics_failures bigint,
    OUT restored_from timestamptz,
    OUT stats_reset timestamptz)
RETURNS record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION pool_monitor_info() IS
'the extension at work: what the view pool_monitor_info shows';

CREATE VIEW pool_monitor_info AS
    SELECT * FROM pool_monitor_info();
COMMENT ON VIEW pool_monitor_info IS 'the extension at work, in one row; all but the first two columns are null unless it is preloaded';
COMMENT ON COLUMN pool_monitor_info.version IS 'version of the library';
COMMENT ON COLUMN pool_monitor_info.loaded IS 'whether the library was loaded via shared_preload_libraries';
COMMENT ON COLUMN pool_monitor_info.worker_pid IS 'process ID of the background worker, null while there is none';
COMMENT ON COLUMN pool_monitor_info.started_at IS 'when the background worker started';
COMMENT ON COLUMN pool_monitor_info.samples IS 'samples taken since the server started';
COMMENT ON COLUMN pool_monitor_info.last_sample_at IS 'when the last sample was taken';
COMMENT ON COLUMN pool_monitor_info.last_sample_duration IS 'how long the last sample took, in milliseconds';
COMMENT ON COLUMN pool_monitor_info.sample_duration_max IS 'how long the longest sample took, in milliseconds';
COMMENT ON COLUMN pool_monitor_info.missed_samples IS 'samples that were not taken in time';
COMMENT ON COLUMN pool_monitor_info.groups IS 'groups tracked; one of them, the <other> of all databases and roles, is always there';
COMMENT ON COLUMN pool_monitor_info.max_groups IS 'the setting pool_monitor.max_groups';
COMMENT ON COLUMN pool_monitor_info.groups_evicted IS 'groups folded into <other>';
COMMENT ON COLUMN pool_monitor_info.memory_bytes IS 'shared memory of the extension, in bytes';
COMMENT ON COLUMN pool_monitor_info.saved_at IS 'when statistics were last saved';
COMMENT ON COLUMN pool_monitor_info.save_failures IS 'attempts to save that failed';
COMMENT ON COLUMN pool_monitor_info.metrics_written_at IS 'when the metrics were last written to pool_monitor.metrics_file';
COMMENT ON COLUMN pool_monitor_info.metrics_failures IS 'attempts to write them that failed';
COMMENT ON COLUMN pool_monitor_info.restored_from IS 'when the statistics were saved that this server started with';
COMMENT ON COLUMN pool_monitor_info.stats_reset IS 'when all statistics were last reset, or null';

CREATE FUNCTION pool_monitor_reset()
RETURNS timestamptz
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION pool_monitor_reset() IS
'forget all statistics; returns the time of the reset';
REVOKE ALL ON FUNCTION pool_monitor_reset() FROM PUBLIC;

CREATE FUNCTION pool_monitor_reset(application_name text)
RETURNS timestamptz
AS 'MODULE_PATHNAME', 'pool_monitor_reset_application'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION pool_monitor_reset(text) IS
'forget one application''s counters; returns the time of the reset';
REVOKE ALL ON FUNCTION pool_monitor_reset(text) FROM PUBLIC;

--
-- For Prometheus
--

CREATE FUNCTION pool_monitor_metrics()
RETURNS text
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION pool_monitor_metrics() IS
'all figures as an OpenMetrics exposition, for Prometheus: the server, the 100 largest groups (the others added up as application <other>), declared pools, incidents, the worker; only live figures unless preloaded';
REVOKE ALL ON FUNCTION pool_monitor_metrics() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pool_monitor_metrics() TO pg_read_all_stats;

-- Anybody may look; what rows and columns a reader sees, the functions decide
GRANT SELECT ON pool_monitor_status, pool_monitor_connections,
    pool_monitor_applications, pool_monitor_groups, pool_monitor_databases,
    pool_monitor_roles, pool_monitor_sessions, pool_monitor_leaks,
    pool_monitor_prepared,
    pool_monitor_pools, pool_monitor_capacity, pool_monitor_rejections,
    pool_monitor_terminations,
    pool_monitor_info
    TO PUBLIC;
