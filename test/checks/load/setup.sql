-- What "test/run.sh check load" needs in its server.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION pool_monitor;
CREATE ROLE client_0 LOGIN;
CREATE ROLE client_1 LOGIN;
CREATE ROLE client_2 LOGIN;
CREATE ROLE client_3 LOGIN;
CREATE ROLE stormer LOGIN;
CREATE ROLE refused LOGIN CONNECTION LIMIT 0;
CREATE ROLE viewer LOGIN IN ROLE pg_monitor;
CREATE DATABASE load_0;
CREATE DATABASE dashboards;
\connect dashboards
CREATE EXTENSION pool_monitor;
-- (before PostgreSQL 15 only for superusers)
GRANT EXECUTE ON FUNCTION pg_get_backend_memory_contexts() TO viewer;
GRANT SELECT ON pg_backend_memory_contexts TO viewer;
\connect load_0
CREATE TABLE numbers (id int PRIMARY KEY, n int) WITH (fillfactor = 20);
INSERT INTO numbers SELECT i, 0 FROM generate_series(0, 10000) i;
GRANT ALL ON numbers TO PUBLIC;
VACUUM ANALYZE numbers;
\connect postgres
CREATE DATABASE load_1 TEMPLATE load_0;

-- What the clients say that they have done
CREATE TABLE done (client text, datname text, usename text, application_name text,
	sessions bigint, abandoned bigint, fatal bigint, killed bigint,
	rejected bigint, transactions bigint);

-- What the server says, added up as the clients do
CREATE VIEW counted AS
	SELECT datname, usename,
		CASE WHEN usename = 'stormer' THEN 'storm' ELSE application_name END AS application_name,
		sum(sessions)::bigint AS sessions, sum(sessions_abandoned)::bigint AS abandoned,
		sum(sessions_fatal)::bigint AS fatal, sum(sessions_killed)::bigint AS killed,
		sum(rejected)::bigint AS rejected, sum(transactions)::bigint AS transactions
	FROM pool_monitor_groups
	WHERE datname <> 'postgres' GROUP BY 1, 2, 3;
CREATE VIEW known AS
	SELECT datname, usename, application_name,
		sum(sessions)::bigint AS sessions, sum(abandoned)::bigint AS abandoned,
		sum(fatal)::bigint AS fatal, sum(killed)::bigint AS killed,
		sum(rejected)::bigint AS rejected, sum(transactions)::bigint AS transactions
	FROM done GROUP BY 1, 2, 3;

-- What the server itself counts
CREATE VIEW core AS
	SELECT datname::text, sessions, sessions_abandoned, sessions_fatal, sessions_killed,
		-- a login is a transaction too
		xact_commit + xact_rollback - sessions AS transactions,
		session_time, active_time + idle_in_transaction_time AS transaction_time
	FROM pg_stat_database WHERE datname LIKE 'load%' OR datname = 'dashboards';

CREATE TABLE core_before AS TABLE core;	-- taken again when all begins
CREATE VIEW timed AS
	SELECT sum(g.session_time) AS session_time, sum(g.transaction_time) AS transaction_time,
		(SELECT sum(a.session_time - b.session_time) FROM core a JOIN core_before b USING (datname)) AS core_session_time,
		(SELECT sum(a.transaction_time - b.transaction_time)
		   FROM core a JOIN core_before b USING (datname)) AS core_transaction_time_until_now
	FROM pool_monitor_groups g WHERE datname <> 'postgres';

-- When samples were taken, as the history has it
CREATE TABLE sample_times (at timestamptz, samples bigint);

-- What the history still has of them, and how much room that takes
CREATE TABLE kept (period_start timestamptz, samples bigint, applications bigint);
CREATE VIEW reached AS
	SELECT count(*) AS samples, max(period_start) - min(period_start) AS period,
		sum(56 + 16 * (applications + 5)) AS bytes, max(56 + 16 * (applications + 5)) AS largest,
		(SELECT count(*) FROM kept WHERE samples > 2) AS minutes
	FROM kept WHERE samples <= 2;

-- The same, as we say it and as pg_stat_activity and the clients do
CREATE SCHEMA ours;
CREATE SCHEMA theirs;
CREATE VIEW activity AS
	SELECT *, state <> 'idle' AS is_out FROM pg_stat_activity WHERE backend_type = 'client backend';

CREATE VIEW ours.connections AS
	SELECT datname, usename, application_name, client_addr, state, backend_type, connections
	FROM pool_monitor_connections;
CREATE VIEW theirs.connections AS
	SELECT datname::text, usename::text, application_name, client_addr, state, backend_type, count(*)::int
	FROM activity GROUP BY 1, 2, 3, 4, 5, 6;

CREATE VIEW ours.groups AS
	SELECT datname, usename, application_name, connections, active, idle, idle_in_transaction,
		idle_in_transaction_aborted, checked_out
	FROM pool_monitor_groups WHERE connections > 0;
CREATE VIEW theirs.groups AS
	SELECT datname::text, usename::text, application_name, count(*) AS connections,
		count(*) FILTER (WHERE state = 'active') AS active, count(*) FILTER (WHERE state = 'idle') AS idle,
		count(*) FILTER (WHERE state = 'idle in transaction') AS idle_in_transaction,
		count(*) FILTER (WHERE state = 'idle in transaction (aborted)') AS idle_in_transaction_aborted,
		count(*) FILTER (WHERE is_out) AS checked_out
	FROM activity GROUP BY 1, 2, 3;

CREATE VIEW ours.applications AS
	SELECT application_name, connections, active, idle, idle_in_transaction, idle_in_transaction_aborted, checked_out
	FROM pool_monitor_applications WHERE connections > 0;
CREATE VIEW theirs.applications (application_name, connections, active, idle, idle_in_transaction, idle_in_transaction_aborted, checked_out) AS
	SELECT application_name, sum(connections), sum(active), sum(idle), sum(idle_in_transaction),
		sum(idle_in_transaction_aborted), sum(checked_out)
	FROM theirs.groups GROUP BY 1;

CREATE VIEW ours.databases AS
	SELECT datname, connections, checked_out FROM pool_monitor_databases WHERE connections > 0;
CREATE VIEW theirs.databases (datname, connections, checked_out) AS
	SELECT datname, sum(connections), sum(checked_out) FROM theirs.groups GROUP BY 1;

CREATE VIEW ours.roles AS
	SELECT usename, connections, checked_out FROM pool_monitor_roles WHERE connections > 0;
CREATE VIEW theirs.roles (usename, connections, checked_out) AS
	SELECT usename, sum(connections), sum(checked_out) FROM theirs.groups GROUP BY 1;

CREATE VIEW ours.status AS
	SELECT connections, active, idle, idle_in_transaction, idle_in_transaction_aborted, checked_out
	FROM pool_monitor_status;
CREATE VIEW theirs.status (connections, active, idle, idle_in_transaction, idle_in_transaction_aborted, checked_out) AS
	SELECT sum(connections), sum(active), sum(idle), sum(idle_in_transaction), sum(idle_in_transaction_aborted),
		sum(checked_out)
	FROM theirs.groups;

CREATE VIEW ours.sessions AS
	SELECT pid, datname, usename, application_name, client_addr, client_port, backend_start, xact_start, query_start,
		state_change, state, wait_event_type, wait_event, query
	FROM pool_monitor_sessions WHERE pid <> pg_backend_pid();
CREATE VIEW theirs.sessions AS
	SELECT pid, datname::text, usename::text, application_name, client_addr, client_port, backend_start, xact_start,
		query_start, state_change, state, wait_event_type, wait_event, query
	FROM activity WHERE pid <> pg_backend_pid();

CREATE VIEW ours.pools AS
	SELECT pool, total_connections, checked_in, checked_out, overflow, status FROM pool_monitor_pools;
CREATE VIEW theirs.pools (pool, total_connections, checked_in, checked_out, overflow, status) AS
	SELECT pool, count(a.pid), count(*) FILTER (WHERE state = 'idle'), count(*) FILTER (WHERE is_out),
		CASE WHEN size IS NOT NULL THEN greatest(count(a.pid) - size * instances, 0) END,
		CASE WHEN size IS NULL THEN NULL WHEN count(*) FILTER (WHERE is_out) >= (size + more) * instances THEN 'exhausted'
			WHEN count(a.pid) > size * instances THEN 'overflow' ELSE 'healthy' END
	FROM (VALUES ('idle', 'idle %', 'load_0', '%', 300, 1000, 1), ('busy', 'busy %', '%', 'client_0', 2, 1, 3),
			('shared', 'shared %', '%', '%', 1000, 0, 1), ('logins', 'logins', '%', '%', 10, 90, 1),
			('storm', 'storm %', '%', '%', 2, 2, 1), ('viewers', '%', 'dashboards', '%', NULL, 0, 1))
		p (pool, application, database, role, size, more, instances)
	LEFT JOIN activity a ON application_name LIKE application AND datname LIKE database AND usename LIKE role
	GROUP BY pool, size, more, instances;

CREATE VIEW ours.done (name, sessions, abandoned, fatal, killed, rejected, transactions) AS
	SELECT CASE WHEN application_name LIKE 'storm%' THEN '<other>' ELSE application_name END AS name, sum(sessions),
		sum(sessions_abandoned), sum(sessions_fatal), sum(sessions_killed), sum(rejected), sum(transactions)
	FROM pool_monitor_applications WHERE application_name <> 'inspector' GROUP BY 1;
CREATE VIEW theirs.done (name, sessions, abandoned, fatal, killed, rejected, transactions) AS
	SELECT CASE WHEN application_name LIKE 'storm%' THEN '<other>' ELSE application_name END AS name, sum(sessions),
		sum(abandoned), sum(fatal), sum(killed), sum(rejected), sum(transactions)
	FROM done GROUP BY 1;
