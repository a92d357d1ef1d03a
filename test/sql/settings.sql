-- Settings: what there is, and what is refused

-- All of them, as they are without any configuration
SELECT name, boot_val, unit, vartype, context, min_val, max_val
  FROM pg_settings
 WHERE name LIKE 'pool\_monitor.%'
 ORDER BY name COLLATE "C";

-- Each is described in a sentence
SELECT name, short_desc
  FROM pg_settings
 WHERE name LIKE 'pool\_monitor.%'
   AND (short_desc !~ '^[A-Z].*\.$' OR category <> 'Customized Options');

-- No other name can be set under our prefix
SET pool_monitor.nonsense = 1;
ALTER ROLE CURRENT_USER SET pool_monitor.nonsense = 1;

-- Contexts
SET pool_monitor.sample_interval = '2s';
SET pool_monitor.warning_threshold = 70;
SET pool_monitor.critical_threshold = 90;
SET pool_monitor.leak_threshold = '1min';
SET pool_monitor.max_groups = 100;
ALTER ROLE CURRENT_USER SET pool_monitor.sample_interval = '2s';
SET pool_monitor.track_transactions = off;
SHOW pool_monitor.track_transactions;
RESET pool_monitor.track_transactions;

CREATE ROLE regress_pool_monitor_settings;
SET ROLE regress_pool_monitor_settings;
SET pool_monitor.track_transactions = off;
RESET ROLE;
DROP ROLE regress_pool_monitor_settings;

-- Values out of range, of the wrong kind, in the wrong unit.  The messages
-- are the server's own and differ between versions.
\set VERBOSITY sqlstate
ALTER SYSTEM SET pool_monitor.sample_interval = '9ms';
ALTER SYSTEM SET pool_monitor.sample_interval = 0;
ALTER SYSTEM SET pool_monitor.sample_interval = -1;
ALTER SYSTEM SET pool_monitor.sample_interval = '3600001ms';
ALTER SYSTEM SET pool_monitor.sample_interval = '2h';
ALTER SYSTEM SET pool_monitor.sample_interval = '1MB';
ALTER SYSTEM SET pool_monitor.sample_interval = 'often';
ALTER SYSTEM SET pool_monitor.sample_interval = '';
ALTER SYSTEM SET pool_monitor.max_groups = 9;
ALTER SYSTEM SET pool_monitor.max_groups = 100001;
ALTER SYSTEM SET pool_monitor.max_groups = '2kB';
ALTER SYSTEM SET pool_monitor.warning_threshold = 0;
ALTER SYSTEM SET pool_monitor.warning_threshold = 101;
ALTER SYSTEM SET pool_monitor.warning_threshold = '80%';
ALTER SYSTEM SET pool_monitor.critical_threshold = 0;
ALTER SYSTEM SET pool_monitor.critical_threshold = 101;
ALTER SYSTEM SET pool_monitor.leak_threshold = 0;
ALTER SYSTEM SET pool_monitor.leak_threshold = -1;
ALTER SYSTEM SET pool_monitor.leak_threshold = '25d';
ALTER SYSTEM SET pool_monitor.track_transactions = 'sometimes';
SET pool_monitor.track_transactions = 2;
ALTER SYSTEM SET pool_monitor.metrics_interval = 0;
ALTER SYSTEM SET pool_monitor.metrics_interval = '2d';
ALTER SYSTEM SET pool_monitor.metrics_file = '/';
ALTER SYSTEM SET pool_monitor.metrics_file = 'metrics.prom/';
ALTER SYSTEM SET pool_monitor.metrics_file = '..';
