# 200 sessions of 20 applications, in four databases, of five roles, in every
# state: each view agrees row by row with pg_stat_activity, in one statement.
use strict;
use warnings;

use IO::Socket::UNIX;
use PostgreSQL::Test::Utils;
use PoolMonitor;
use Test::More;

my $node = PoolMonitor::new_node('main', init => [ allows_streaming => 1 ], extension => 1, conf => <<'CONF');
max_connections = 250
listen_addresses = '127.0.0.1'
pool_monitor.sample_interval = '50ms'
autovacuum = off
CONF

$node->safe_psql('postgres', 'CREATE EXTENSION dblink');
$node->safe_psql('postgres', "CREATE DATABASE db_$_ CONNECTION LIMIT " . 100 * $_) foreach (1 .. 3);
$node->safe_psql('postgres', "CREATE ROLE role_$_ LOGIN CONNECTION LIMIT " . 80 * $_) foreach (1 .. 5);
my ($host, $port) = ($node->host, $node->port);

# Who has what is spread so that every combination of application and state
# comes up; and there are rows that differ in one column only.
my $locker = PoolMonitor::session($node, appname => 'locker');
$locker->query('BEGIN');
$locker->query('LOCK TABLE pg_shdescription IN ACCESS EXCLUSIVE MODE');
my $holder = PoolMonitor::session($node, appname => 'holder');
$holder->query(<<"SQL");
SET client_min_messages = error;
CREATE TABLE plan AS
    SELECT i, 's' || i AS name, i % 7 AS kind, 'app ' || i % 20 AS application_name,
           (ARRAY['postgres', 'db_1', 'db_2', 'db_3'])[i / 20 % 4 + 1] AS datname,
           CASE WHEN i % 7 = 5 THEN current_user ELSE 'role_' || i / 40 % 5 + 1 END AS usename,
           CASE WHEN i % 3 = 0 THEN '127.0.0.1' ELSE '$host' END AS host
      FROM generate_series(0, 199) i;
SELECT count(dblink_connect(name, format('host=%L port=$port dbname=%L user=%L application_name=%L options=%L',
             host, datname, usename, application_name,
             CASE WHEN kind = 5 THEN '-c track_activities=off' ELSE '' END)))
  FROM plan;
SQL
is($holder->stderr, '', '200 sessions are open');
$holder->query(<<'SQL');
SELECT count(dblink_exec(name, 'BEGIN')) FROM plan WHERE kind IN (1, 2);
SELECT count(dblink_exec(name, 'SET extra_float_digits = 1')) FROM plan WHERE kind = 1 AND i % 2 = 0;
SELECT count(dblink_exec(name, 'SELECT 1 / 0', false)) FROM plan WHERE kind = 2;
SELECT count(dblink_send_query(name, 'SELECT pg_sleep(3600)')) FROM plan WHERE kind = 3;
SELECT count(dblink_send_query(name, 'SELECT count(*) FROM pg_shdescription')) FROM plan WHERE kind = 4;
SELECT count(dblink_exec(name, format('SET application_name = %L; SET search_path = %L',
             application_name, repeat('ä€', i * 7)))) FROM plan WHERE kind = 6;
SELECT dblink_connect('walsender', format('host=%L port=%s user=%L dbname=postgres replication=database application_name=walsender',
             split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), current_user));
SQL
is($holder->stderr, '', 'they do what they shall');

# A fast-path call takes a client of our own: start, wait until the server is
# ready for a query, and call pg_sleep() by its OID.
my $fastpath = IO::Socket::UNIX->new(Peer => "$host/.s.PGSQL.$port") || die "could not connect: $!";
my $startup = pack('N', 196608)
  . join("\0", 'user', 'role_1', 'database', 'db_1', 'application_name', 'fast path', '', '');
$fastpath->syswrite(pack('N', 4 + length $startup) . $startup);
my $answer = '';
while ($answer !~ /Z\0\0\0\x05I\z/s)
{
	$fastpath->sysread($answer, 8192, length $answer) || die "the server closed the connection: $answer";
}
my $call = pack('N n n n N a* n', 2626, 1, 0, 1, 4, '3600', 0);
$fastpath->syswrite('F' . pack('N', 4 + length $call) . $call);

PoolMonitor::wait_until($node, <<'SQL', 'the sessions are in their states');
SELECT (SELECT count(*) = 200 FROM pg_stat_activity WHERE application_name LIKE 'app %')
   AND (SELECT count(*) = 1 FROM pg_stat_activity WHERE state = 'fastpath function call')
   AND (SELECT count(*) = 57 FROM pg_stat_activity WHERE application_name LIKE 'app %' AND state = 'active'
                                                  AND wait_event IN ('PgSleep', 'relation'))
   AND (SELECT count(*) = 28 FROM pg_stat_activity WHERE state = 'disabled')
   AND (SELECT count(*) = 29 FROM pg_stat_activity WHERE state = 'idle in transaction (aborted)')
SQL

# The one that looks is a session as well, and stays as it is.
my $observer = PoolMonitor::session($node, appname => 'observer');
PoolMonitor::wait_until($node, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity
	WHERE application_name NOT LIKE 'app %' AND backend_type = 'client backend' AND pid <> pg_backend_pid()
	  AND application_name NOT IN ('observer', 'holder', 'locker', 'fast path'))", 'nobody else is connected');
PoolMonitor::wait_until($node, "SELECT samples > 1 FROM pool_monitor_info", 'the worker samples');

# Are both queries' rows the same, as bags?  What differs is shown.
sub agrees
{
	my ($label, $rows, $ours, $theirs) = @_;
	my $result = $observer->query(<<"SQL");
WITH ours AS MATERIALIZED ($ours), theirs AS MATERIALIZED ($theirs),
     extra AS (TABLE ours EXCEPT ALL TABLE theirs), missing AS (TABLE theirs EXCEPT ALL TABLE ours)
SELECT (SELECT count(*) FROM ours) || ' rows'
UNION ALL SELECT 'extra: ' || extra::text FROM extra
UNION ALL SELECT 'missing: ' || missing::text FROM missing
SQL
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($result, "$rows rows", $label) || diag($observer->stderr);
}

my $client = "FROM pg_stat_activity a WHERE backend_type = 'client backend'";
my $counts = <<'SQL';
count(*)::int AS connections, count(*) FILTER (WHERE state = 'active')::int,
count(*) FILTER (WHERE state = 'idle')::int, count(*) FILTER (WHERE state = 'idle in transaction')::int,
count(*) FILTER (WHERE state = 'idle in transaction (aborted)')::int,
count(*) FILTER (WHERE state = 'fastpath function call')::int, count(*) FILTER (WHERE state = 'disabled')::int,
count(*) FILTER (WHERE state <> 'idle' AND state <> 'disabled')::int
SQL
my $live = 'connections, active, idle, idle_in_transaction, idle_in_transaction_aborted,
	fastpath_function_call, disabled, checked_out';

my $expected = $observer->query('SELECT count(*) FROM (SELECT DISTINCT datname, usename, application_name,
	client_addr, state FROM pg_stat_activity WHERE backend_type IN (\'client backend\', \'walsender\')) d');
cmp_ok($expected, '>', 150, 'there are many different connections');
agrees('pool_monitor_connections agrees with pg_stat_activity', $expected,
	'SELECT datname, usename, application_name, client_addr, state, backend_type, connections FROM pool_monitor_connections',
	"SELECT datname::text, usename::text, application_name, client_addr, state, backend_type, count(*)::int
	   FROM pg_stat_activity WHERE backend_type IN ('client backend', 'walsender') GROUP BY 1, 2, 3, 4, 5, 6");
agrees('pool_monitor_applications agrees with pg_stat_activity', 24,
	"SELECT application_name, $live FROM pool_monitor_applications WHERE connections > 0",
	"SELECT application_name, $counts $client GROUP BY 1");
$expected = $observer->query("SELECT count(*) FROM (SELECT DISTINCT datname, usename, application_name $client) d");
agrees('pool_monitor_groups agrees with pg_stat_activity', $expected,
	"SELECT datname, usename, application_name, $live FROM pool_monitor_groups WHERE connections > 0",
	"SELECT datname::text, usename::text, application_name, $counts $client GROUP BY 1, 2, 3");
agrees('pool_monitor_status agrees with pg_stat_activity', 1,
	"SELECT $live FROM pool_monitor_status", "SELECT $counts $client");
agrees('pool_monitor_databases agrees with pg_stat_activity', 5,
	'SELECT datname, connections, checked_out, connection_limit, available, utilization FROM pool_monitor_databases',
	"SELECT d.datname::text, count(pid)::int, count(*) FILTER (WHERE state NOT IN ('idle', 'disabled'))::int,
	        nullif(datconnlimit, -1), greatest(least(250 - 3 - (SELECT count(*) $client), nullif(datconnlimit, -1) - count(pid)), 0)::int,
	        count(pid) / least(nullif(datconnlimit, -1), 250 - 3)::float
	   FROM pg_database d LEFT JOIN pg_stat_activity a ON datid = d.oid AND backend_type = 'client backend'
	  WHERE datallowconn GROUP BY d.oid, d.datname, datconnlimit");
agrees('pool_monitor_roles agrees with pg_stat_activity', 6,
	'SELECT usename, connections, checked_out, connection_limit, available, utilization FROM pool_monitor_roles',
	"SELECT rolname::text, count(pid)::int, count(*) FILTER (WHERE state NOT IN ('idle', 'disabled'))::int,
	        nullif(rolconnlimit, -1), greatest(least(250 - 3 - (SELECT count(*) $client), nullif(rolconnlimit, -1) - count(pid)), 0)::int,
	        count(pid) / least(nullif(rolconnlimit, -1), 250 - 3)::float
	   FROM pg_roles r LEFT JOIN pg_stat_activity a ON usesysid = r.oid AND backend_type = 'client backend'
	  WHERE rolcanlogin GROUP BY r.oid, rolname, rolconnlimit");
agrees('pool_monitor_sessions agrees with pg_stat_activity, column by column', 204,
	"SELECT pid, datname, usename, application_name, client_addr, client_port, backend_start,
	        CASE WHEN state <> 'idle in transaction (aborted)' THEN xact_start END, query_start,
	        state_change, state, wait_event_type, wait_event, backend_xmin, checked_out, blocks, query
	   FROM pool_monitor_sessions",
	"SELECT pid, datname::text, usename::text, application_name, client_addr, client_port, backend_start, xact_start, query_start,
	        state_change, state, wait_event_type, wait_event, backend_xmin, state NOT IN ('idle', 'disabled'),
	        (SELECT count(*)::int FROM unnest(ARRAY(SELECT w.pid FROM pg_locks w WHERE NOT w.granted)) w
	          WHERE a.pid = ANY (pg_blocking_pids(w))), query $client");
is( $observer->query(
		"SELECT count(*) > 20, count(*) FILTER (WHERE s.xact_start BETWEEN a.backend_start AND a.query_start) - count(*)
		   FROM pool_monitor_sessions s JOIN pg_stat_activity a USING (pid) WHERE a.state = 'idle in transaction (aborted)'"),
	't|0', 'and has the start of a failed transaction, which pg_stat_activity forgets');
is($observer->query("SELECT blocks FROM pool_monitor_sessions WHERE application_name = 'locker'"),
	'28', 'the session that all wait for is told');

# A pool for every application, database and role, named or any
agrees('pool_monitor_pool_status() agrees with pg_stat_activity', 24 * 5 * 7,
	"SELECT k.application_name, d.datname, r.usename, checked_in, checked_out, overflow, total_connections, status
	   FROM (SELECT DISTINCT application_name $client) k,
	        (SELECT datname FROM pg_database WHERE datallowconn AND datname <> 'template1' UNION ALL VALUES (NULL)) d,
	        (SELECT rolname AS usename FROM pg_roles WHERE rolcanlogin UNION ALL VALUES (NULL)) r,
	        pool_monitor_pool_status(3, 1, k.application_name, d.datname, r.usename)",
	"SELECT *, CASE WHEN total = 0 THEN NULL WHEN checked_out >= 4 THEN 'exhausted' WHEN total > 3 THEN 'overflow' ELSE 'healthy' END
	   FROM (SELECT k.application_name, d.datname, r.usename, count(*) FILTER (WHERE state = 'idle')::int,
	                count(*) FILTER (WHERE state NOT IN ('idle', 'disabled'))::int AS checked_out,
	                greatest(count(pid) - 3, 0), count(pid)::int AS total
	           FROM (SELECT DISTINCT application_name $client) k
	          CROSS JOIN (SELECT datname FROM pg_database WHERE datallowconn AND datname <> 'template1' UNION ALL VALUES (NULL)) d
	          CROSS JOIN (SELECT rolname AS usename FROM pg_roles WHERE rolcanlogin UNION ALL VALUES (NULL)) r
	           LEFT JOIN (SELECT * $client) a ON a.application_name = k.application_name
	                AND (d.datname IS NULL OR d.datname = a.datname) AND (r.usename IS NULL OR r.usename = a.usename)
	          GROUP BY 1, 2, 3) c");
agrees('pool_monitor_health() agrees with pg_stat_activity', 1,
	"SELECT h->'connections', h->'active', h->'idle', h->'idle_in_transaction', h->'checked_out', h->>'status'
	   FROM pool_monitor_health() h",
	"SELECT to_jsonb(count(*)), to_jsonb(count(*) FILTER (WHERE state = 'active')), to_jsonb(count(*) FILTER (WHERE state = 'idle')),
	        to_jsonb(count(*) FILTER (WHERE state = 'idle in transaction')),
	        to_jsonb(count(*) FILTER (WHERE state NOT IN ('idle', 'disabled'))), 'warning' $client");

# How long: between what it was when the statement began and what it is now
sub ages_agree
{
	my ($view, $keys, $ages) = @_;
	my @keys = split / /, $keys;
	my $same = join ' AND ', map { "o.$_ IS NOT DISTINCT FROM t.$_" } @keys;
	my $list = join ', ', @keys;
	my $oldest = join ', ', map { "$ages->{$_} AS $_" } sort keys %$ages;
	my $wrong = join ' OR ', map {
		"o.$_ NOT BETWEEN statement_timestamp() - t.$_ AND clock_timestamp() - t.$_ OR (o.$_ IS NULL) <> (t.$_ IS NULL)"
	} sort keys %$ages;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(
		$observer->query(
			"SELECT count(*) > 0, count(*) FILTER (WHERE $wrong) FROM $view o
			   JOIN (SELECT $list, $oldest FROM pg_stat_activity
			           LEFT JOIN (SELECT pid, xact_start AS failed_xact_start FROM pool_monitor_sessions
			                       WHERE state = 'idle in transaction (aborted)') f USING (pid)
			          WHERE backend_type IN ('client backend', 'walsender') GROUP BY $list) t ON $same"),
		't|0',
		"the ages in $view agree with pg_stat_activity") || diag($observer->stderr);
}
ages_agree('pool_monitor_connections', 'datname usename application_name client_addr state backend_type',
	{ longest_in_state => 'min(state_change)' });
my $ages = {
	longest_idle => "min(state_change) FILTER (WHERE state = 'idle')",
	longest_transaction => 'min(coalesce(xact_start, failed_xact_start))',
	longest_session => 'min(backend_start)'
};
ages_agree('pool_monitor_applications', 'application_name', $ages);
ages_agree('pool_monitor_groups', 'datname usename application_name', $ages);
ages_agree('pool_monitor_sessions', 'pid', { state_age => 'min(state_change)', transaction_age => 'min(coalesce(xact_start, failed_xact_start))' });

# What was counted, not looked up
agrees('the counts of logins and peaks are those of the sessions there are', 20,
	"SELECT application_name, sessions, peak_connections, sessions_abandoned + sessions_fatal + sessions_killed
	   FROM pool_monitor_applications WHERE application_name LIKE 'app %'",
	"SELECT application_name, count(*), count(*)::int, 0::bigint $client AND application_name LIKE 'app %' GROUP BY 1");
agrees('also by database and role', $observer->query('SELECT count(*) FROM (SELECT DISTINCT datname, usename, application_name FROM plan) d'),
	"SELECT datname, usename, application_name, sessions, peak_connections
	   FROM pool_monitor_groups WHERE application_name LIKE 'app %'",
	"SELECT datname::text, usename::text, application_name, count(*), count(*)::int
	   $client AND application_name LIKE 'app %' GROUP BY 1, 2, 3");
PoolMonitor::wait_until($node,
	"SELECT bool_and(peak_checked_out >= checked_out) FROM pool_monitor_applications WHERE connections > 0",
	'the sampler has seen all that are checked out');

# In a parallel worker
$observer->query("SELECT set_config(name, 'on', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query')");
is($observer->query("SELECT sum(connections) FROM pool_monitor_connections WHERE backend_type = 'client backend'"),
	'204', 'pool_monitor_connections works in a parallel worker');
is($observer->query('SELECT connections FROM pool_monitor_status()'), '204', 'pool_monitor_status() works in a parallel worker');
is($observer->query('SELECT sum(connections) FROM pool_monitor_databases'), '204', 'pool_monitor_databases works in a parallel worker');
is($observer->query('SELECT sum(connections) FROM pool_monitor_roles'), '204', 'pool_monitor_roles works in a parallel worker');

# They all go
$fastpath->close;
$observer->query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'fast path'");
$locker->quit;
$holder->query("SELECT count(dblink_cancel_query(name)) FROM plan WHERE kind IN (3, 4)");
$holder->query("SELECT count(dblink_disconnect(name)) FROM plan");
PoolMonitor::wait_until($node, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'app %')",
	'the sessions have ended');
is( $observer->query("SELECT count(*), sum(connections), sum(sessions) FROM pool_monitor_applications WHERE application_name LIKE 'app %'"),
	'20|0|200', 'what was counted stays');
$holder->quit;
$observer->quit;

$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC/, 'no assertion failed');

done_testing();
