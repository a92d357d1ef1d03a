-- The role that everything here connects as: psql -f role.sql, in one database;
-- then \password monitoring.
--
-- It sees all sessions and changes nothing.  The limit keeps a dashboard that is
-- opened often from taking slots that the applications need: postgres_exporter
-- has two connections, sql_exporter one, Grafana as many as its data source says.
-- reserved_connections should be what an exporter takes, and one for you.
CREATE ROLE monitoring LOGIN CONNECTION LIMIT 10;
GRANT pg_monitor TO monitoring;

-- When the server is full, monitoring would be refused like everybody else, at
-- the one moment that it is for.  From PostgreSQL 16 on, reserved_connections = 3
-- in postgresql.conf (with a restart) keeps slots for this role.  Before that
-- there are slots for superusers only: postgres_exporter goes on with the
-- connections that it keeps, and sql_exporter, which opens one every other time, is
-- blind meanwhile.  PoolMonitorBlind says so.
SELECT current_setting('server_version_num')::integer >= 160000 AS can_be_reserved \gset
\if :can_be_reserved
GRANT pg_use_reserved_connections TO monitoring;
\endif
