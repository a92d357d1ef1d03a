-- What the views say of an application that leaks its connections; demo.sh runs
-- this.  Figures of the client's own pool are in the variables checkedout and overflow.
\pset pager off
\pset null -
\set ON_ERROR_STOP on

\echo
\echo '==== One question: what is it?  The most likely cause comes first'
\echo
\pset format wrapped
\pset columns 110
SELECT rank, severity, finding, subject, evidence, remedy, reference FROM pool_monitor_diagnosis() \gx
\pset format aligned

\echo
\echo '==== The server as a whole: slots are left, so max_connections is not the problem'
\echo
SELECT status, max_connections AS max, connections, available,
       round(utilization::numeric, 2) AS utilization, active, idle,
       idle_in_transaction AS in_tx, checked_out, peak_connections AS peak
  FROM pool_monitor_status;

\echo
\echo '==== Every application: one has most of the connections, and the most open transactions'
\echo
SELECT application_name, connections AS conns, active, idle, idle_in_transaction AS in_tx,
       checked_out, date_trunc('milliseconds', longest_idle) AS longest_idle,
       date_trunc('milliseconds', longest_transaction) AS longest_tx
  FROM pool_monitor_applications
 ORDER BY connections DESC, application_name;

\echo
\echo '==== The same by database, role and state, under the labels that postgres_exporter uses'
\echo
SELECT datname, usename, application_name, state, connections AS conns,
       date_trunc('milliseconds', longest_in_state) AS longest
  FROM pool_monitor_connections
 ORDER BY connections DESC, application_name, state;

\echo
\echo '==== Its sessions: these hold a transaction open, and this is the last that they did in it'
\echo
SELECT pid, state, date_trunc('milliseconds', transaction_age) AS tx_age, leak_suspect,
       left(query, 29) AS query
  FROM pool_monitor_sessions
 WHERE application_name = 'checkout-service'
 ORDER BY transaction_age DESC NULLS LAST
 LIMIT 7;

\echo
\echo '==== Databases: shop has a limit of its own; elsewhere the server\'s slots are the limit'
\echo
SELECT datname, connections, checked_out, connection_limit, available,
       round(utilization::numeric, 2) AS utilization
  FROM pool_monitor_databases
 WHERE datname NOT LIKE 'template%'
 ORDER BY connections DESC, datname;

\echo
\echo '==== Roles: a second instance of checkout-service would not fit into the limit of its role'
\echo
SELECT usename, connections, checked_out, connection_limit, available,
       round(utilization::numeric, 2) AS utilization
  FROM pool_monitor_roles
 ORDER BY connections DESC, usename;

\echo
\echo '==== The connections that nobody gives back, of all applications: the worst first'
\echo
SELECT application_name, leak_suspect, date_trunc('milliseconds', transaction_age) AS tx_age,
       blocks, pool, left(query, 12) AS query
  FROM pool_monitor_leaks
 LIMIT 9;

\echo
\echo '==== Each pool that the setting pool_monitor.pools declares, now and at its peak'
\echo
SELECT pool, pool_size AS size, max_overflow AS more, capacity, total_connections AS conns,
       checked_in, checked_out, checked_out_proven AS proven, overflow, status
  FROM pool_monitor_pools;

\echo
\echo '==== The same beside SQLAlchemy: what it holds idle is proven by how its pool, as declared, opens connections'
\echo
SELECT figure, sqlalchemy, pool_monitor
  FROM pool_monitor_pools AS p,
       LATERAL (VALUES ('connections', 5 + :overflow, p.total_connections),
                       ('overflow', :overflow, p.overflow),
                       ('checked out', :checkedout, p.checked_out),
                       ('checked in', 5 + :overflow - :checkedout, p.checked_in))
         AS f (figure, sqlalchemy, pool_monitor)
 WHERE pool = 'checkout';

\echo
\echo '==== A pool that is declared nowhere: what is beyond its size is checked out, at least'
\echo
SELECT * FROM pool_monitor_pool_status(5, 10, 'checkout-service');

\echo
\echo '==== All of it as one document, for a /health endpoint'
\echo
\pset format unaligned
\pset tuples_only
SELECT jsonb_pretty(pool_monitor_health());
\pset format aligned
\pset tuples_only

\echo
\echo '==== And how the monitor itself is doing'
\echo
SELECT * FROM pool_monitor_info \gx
