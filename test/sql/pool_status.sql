-- pool_monitor_pool_status(): this session as the only one of a pool

SET track_activities = on;
CREATE EXTENSION pool_monitor;
SET application_name = 'regress pool';

-- status: exhausted from checked_out = pool_size + max_overflow on, overflow
-- while more than pool_size are connected
SELECT a.pool_size AS size, a.max_overflow AS more, s.*
  FROM (VALUES (5, 10), (1, 1), (1, 0), (0, 2), (0, 1), (0, 0), (5, -1), (1, -1), (0, -1),
               (2147483647, 2147483647)) a (pool_size, max_overflow),
       LATERAL pool_monitor_pool_status(a.pool_size, a.max_overflow, 'regress pool') s;

-- Filters: null is any
SELECT total_connections FROM pool_monitor_pool_status(5, 10, 'regress pool', current_database(), session_user);
SELECT total_connections FROM pool_monitor_pool_status(5, 10, 'regress pool', NULL, NULL);
SELECT total_connections FROM pool_monitor_pool_status(5, 10, 'regress pool', 'template1');
SELECT total_connections FROM pool_monitor_pool_status(5, 10, 'regress pool', usename => 'pg_monitor');
SELECT total_connections >= 1 AS all FROM pool_monitor_pool_status(5, 10);
SELECT total_connections >= 1 AS all FROM pool_monitor_pool_status(pool_size => 5, max_overflow => 10, application_name => NULL);
SELECT * FROM pool_monitor_pool_status(5, 10, 'no such application');
SELECT * FROM pool_monitor_pool_status(5, 10, 'regress%');
SELECT * FROM pool_monitor_pool_status(5, 10, 'Regress Pool');
SELECT * FROM pool_monitor_pool_status(5, 10, repeat('x', 100000));

-- A long name is cut as the server cuts that of a session
SET application_name = 'a name of sixty-three bytes that fits as it is ................';
SELECT total_connections FROM pool_monitor_pool_status(5, 10, 'a name of sixty-three bytes that fits as it is ................, and more');
SET application_name = 'regress pool';

-- The empty name is a name
SET application_name = '';
SELECT total_connections >= 1 AS found FROM pool_monitor_pool_status(5, 10, '');
SET application_name = 'regress pool';

-- What can not be
SELECT * FROM pool_monitor_pool_status(-1, 10);
SELECT * FROM pool_monitor_pool_status(5, -2);
SELECT * FROM pool_monitor_pool_status(NULL, 10);
SELECT * FROM pool_monitor_pool_status(5, NULL);
SELECT * FROM pool_monitor_pool_status(5, 10, datname => 'no such database');
SELECT * FROM pool_monitor_pool_status(5, 10, usename => 'no such role');
\set VERBOSITY sqlstate
SELECT * FROM pool_monitor_pool_status(5);
SELECT * FROM pool_monitor_pool_status('five', 10);
SELECT * FROM pool_monitor_pool_status(-1, 10);
SELECT * FROM pool_monitor_pool_status(NULL, 10);
SELECT * FROM pool_monitor_pool_status(5, 10, datname => 'no such database');
SELECT * FROM pool_monitor_pool_status(5, 10, usename => 'no such role');

DROP EXTENSION pool_monitor;
