# The background worker: it samples, follows reloads, comes back when it is
# ended, and is in nobody's way.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use PoolMonitor;
use Test::More;

# Only a reload can make the second sample come while we wait.
my $node = PoolMonitor::new_node('main', extension => 1, conf => <<'CONF');
pool_monitor.sample_interval = '1h'
restart_after_crash = on
autovacuum = off
CONF

sub info
{
	my ($column) = @_;
	return $node->safe_psql('postgres', "SELECT $column FROM pool_monitor_info");
}

sub samples_go_on
{
	my ($label) = @_;
	my $samples = info('coalesce(samples, 0)');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return PoolMonitor::wait_until($node, "SELECT samples >= $samples + 3 FROM pool_monitor_info", $label);
}

PoolMonitor::wait_until($node, 'SELECT samples = 1 FROM pool_monitor_info',
	'the first sample is taken at once');
my $worker = info('worker_pid');

is( $node->safe_psql(
		'postgres',
		"SELECT datname IS NULL, pid = $worker
		   FROM pg_stat_activity WHERE backend_type = 'pool_monitor sampler'"),
	't|t',
	'the worker shows in pg_stat_activity, connected to no database');
is( $node->safe_psql('postgres', "SELECT count(*) FROM pool_monitor_sessions WHERE pid = $worker"),
	'0', 'the worker is not a session');

# An hour of sleep: what others wait for must be answered anyway
$node->safe_psql('postgres', 'CREATE DATABASE one');
$node->safe_psql('postgres', 'CREATE DATABASE two TEMPLATE one');
$node->safe_psql('postgres', 'DROP DATABASE one');
$node->safe_psql('postgres', 'ALTER DATABASE two RENAME TO one');
$node->safe_psql('postgres', 'DROP DATABASE one');
is(info('worker_pid'), $worker, 'databases were created, copied and dropped while the worker slept');
is(info('samples'), '1', 'an interval of an hour is an hour');

my $log = -s $node->logfile;
$node->safe_psql('postgres', "SELECT pg_log_backend_memory_contexts($worker)");
ok($node->wait_for_log(qr/logging memory contexts of PID $worker/, $log),
	'the worker answers interrupts while it sleeps');

# Reload
PoolMonitor::set_and_reload($node, 'pool_monitor.sample_interval', '50ms');
samples_go_on('a reload from an hour to 50 ms takes effect at once');
is(info('worker_pid'), $worker, 'in the same worker');
ok(info('last_sample_duration > 0 AND last_sample_duration <= sample_duration_max') eq 't',
	'the duration of samples is measured');

PoolMonitor::set_and_reload($node, 'pool_monitor.sample_interval', '10ms');
samples_go_on('the shortest interval is taken');
my ($ret, $stdout, $stderr) =
  $node->psql('postgres', "ALTER SYSTEM SET pool_monitor.sample_interval = '1ms'");
isnt($ret, 0, 'a shorter one is refused');
$log = -s $node->logfile;
$node->append_conf('postgresql.auto.conf', "pool_monitor.sample_interval = '1d'\n");
$node->reload;
$node->wait_for_log(qr/parameter "pool_monitor.sample_interval"/, $log);
samples_go_on('a value out of range in the configuration file leaves the old one in force');
is( $node->safe_psql('postgres', 'SHOW pool_monitor.sample_interval'),
	'10ms', 'and shown');
PoolMonitor::set_and_reload($node, 'pool_monitor.sample_interval', '10ms');

$node->safe_psql('postgres', 'CREATE DATABASE one');
$node->safe_psql('postgres', 'CREATE DATABASE two TEMPLATE one');
$node->safe_psql('postgres', 'DROP DATABASE one');
$node->safe_psql('postgres', 'DROP DATABASE two');
is(info('worker_pid'), $worker, 'databases were created, copied and dropped while the worker worked');

# SIGTERM
my $samples = info('samples');
my $started = info('started_at');
kill 'TERM', $worker;
PoolMonitor::wait_until($node,
	"SELECT worker_pid <> $worker FROM pool_monitor_info",
	'the worker is back after SIGTERM');
is(info("samples >= $samples AND started_at > '$started'"), 't', 'and the count of samples goes on');
samples_go_on('it samples again after SIGTERM');

$worker = info('worker_pid');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($worker)");
PoolMonitor::wait_until($node,
	"SELECT worker_pid <> $worker FROM pool_monitor_info",
	'the worker is back after pg_terminate_backend()');

# SIGKILL.  A session shows that the server did restart.
my $session = PoolMonitor::session($node, appname => 'witness');
$worker = info('worker_pid');
kill 'KILL', $worker;
PoolMonitor::wait_until($node,
	"SELECT worker_pid <> $worker FROM pool_monitor_info",
	'the server recovered from SIGKILL of the worker, and the worker is back');
ok(!$session->is_connected, 'the server had ended all sessions');
samples_go_on('it samples again after SIGKILL');
is( $node->safe_psql('postgres', "SELECT coalesce(sum(connections), 0) FROM pool_monitor_applications WHERE application_name = 'witness'"),
	'0', 'nothing is left of them');
is($node->safe_psql('postgres', 'SELECT connections, checked_out FROM pool_monitor_status'), '1|1', 'the status is right after the crash');

# SIGKILL of a session: the same
$session = PoolMonitor::session($node, appname => 'victim');
$worker = info('worker_pid');
kill 'KILL', $session->pid;
PoolMonitor::wait_until($node,
	"SELECT worker_pid <> $worker FROM pool_monitor_info",
	'the worker is back after SIGKILL of a session');
samples_go_on('it samples again after the crash of a session');

# Stop and start
$node->stop('smart');
$node->start;
samples_go_on('it samples after a restart');
$node->stop('immediate');
$node->start;
samples_go_on('it samples after an immediate shutdown');

# Nowhere to run.  The launcher of logical replication comes first.
$node->append_conf('postgresql.conf', "max_worker_processes = 1\nmax_logical_replication_workers = 1\n");
$log = -s $node->logfile;
$node->restart;
like(slurp_file($node->logfile, $log), qr/too many background workers/,
	'without a free worker process the log says so');
is(info('loaded, worker_pid IS NULL, started_at IS NULL, samples, last_sample_at IS NULL, last_sample_duration IS NULL'),
	't|t|t|0|t|t', 'pool_monitor_info tells that there is no worker');
$session = PoolMonitor::session($node, appname => 'workerless');
$session->query('BEGIN');
is( $node->safe_psql(
		'postgres',
		"SELECT connections, idle_in_transaction, checked_out, peak_connections, sessions
		   FROM pool_monitor_applications WHERE application_name = 'workerless'"),
	'1|1|1|1|1',
	'live and exact figures need no worker');
is( $node->safe_psql('postgres', 'SELECT connections, status FROM pool_monitor_status'),
	'2|healthy', 'nor does the status');
is( $node->safe_psql('postgres', "SELECT state FROM pool_monitor_sessions WHERE application_name = 'workerless'"),
	'idle in transaction', 'nor do the sessions');
like($node->safe_psql('postgres', 'SELECT pool_monitor_reset()'), qr/^\d{4}-/, 'nor does a reset');
$session->quit;

$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC/, 'no assertion failed');

done_testing();
