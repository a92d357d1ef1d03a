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

-- When samples were taken, as the history has it
CREATE TABLE sample_times (at timestamptz, samples bigint);
