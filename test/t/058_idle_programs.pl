# Programs that are idle for long on purpose, with short limits: what happens
# to them, and what helps, as operations.md says.

use strict;
use warnings;

use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PoolMonitor::new_node(
	'programs',
	extension => 1,
	conf => "max_connections = 30\nmax_wal_senders = 4\nwal_level = logical\n"
	  . "pool_monitor.sample_interval = '20ms'\n");
my $loopback = sprintf "host '%s', port '%s', dbname 'postgres'", $node->host, $node->port;

$node->safe_psql('postgres', qq{
	CREATE ROLE app LOGIN REPLICATION;
	GRANT ALL ON SCHEMA public TO app;
	CREATE EXTENSION postgres_fdw;
	CREATE EXTENSION dblink;
	SET ROLE app;
	CREATE TABLE many AS SELECT g AS i, repeat('x', 100) AS filler FROM generate_series(1, 10000) g;
	CREATE TABLE few AS SELECT g AS i FROM generate_series(1, 100) g;
	CREATE INDEX few_i ON few (i);
	RESET ROLE;
	ANALYZE;
	CREATE SERVER loopback FOREIGN DATA WRAPPER postgres_fdw OPTIONS ($loopback);
	GRANT USAGE ON FOREIGN SERVER loopback TO app;
	CREATE USER MAPPING FOR app SERVER loopback OPTIONS (user 'app', password_required 'false');
	SET ROLE app;
	CREATE FOREIGN TABLE far (i int) SERVER loopback OPTIONS (table_name 'few');
});

# Limits for all that follows, and what pools there are
sub set_limits
{
	my ($pools) = @_;

	$node->safe_psql('postgres', $_)
	  foreach "ALTER SYSTEM SET pool_monitor.idle_timeout = '100ms'",
	  "ALTER SYSTEM SET pool_monitor.idle_in_transaction_timeout = '100ms'",
	  "ALTER SYSTEM SET pool_monitor.pools = '$pools'",
	  'SELECT pg_reload_conf()';
	$node->poll_query_until('postgres',
		"SELECT setting = '$pools' FROM pg_settings WHERE name = 'pool_monitor.pools'") || die;
	return;
}

# ended(NAME, LABEL): waits until a session of that application was ended
sub ended
{
	my ($appname, $label) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return PoolMonitor::wait_until($node,
		"SELECT count(*) > 0 FROM pool_monitor_terminations WHERE application_name = '$appname' AND outcome = 'terminated'",
		$label);
}

# past_limits(NAME): waits until each idle session of that application has been
# so for longer than the limits, for several samples
sub past_limits
{
	my ($appname) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return PoolMonitor::wait_until($node,
		"SELECT count(*) > 0 AND bool_and(state_age > '500 ms') FROM pool_monitor_sessions"
		  . " WHERE application_name = '$appname' AND state LIKE 'idle%'",
		"$appname is idle for longer than the limit, and still there");
}

# with_few_locked(COMMAND, SUB): runs a command that has to wait for the table
# "few", calls SUB meanwhile, and lets it go on.  Whether it succeeded, and what
# it said.
my $locker = PoolMonitor::session($node, appname => 'locker');

sub with_few_locked
{
	my ($command, $sub) = @_;
	my $log = '';

	$locker->query('BEGIN; LOCK TABLE few IN EXCLUSIVE MODE');
	my $run = IPC::Run::start($command, '<', \undef, '>&', \$log);
	$sub->();
	$locker->query('COMMIT');
	return ($run->finish, $log);
}

# pg_restore with two jobs: one is stuck, the other has nothing to do until an
# index can be made.
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
$node->command_ok([ 'pg_dump', '-Fd', '-t', 'many', '-t', 'few', '-f', $dump, $node->connstr('postgres') ], 'a dump is made');
my @restore = (
	'pg_restore', '-U', 'app', '-j', '2', '--section=data', '--section=post-data',
	'-d', $node->connstr('postgres') . ' application_name=restore', $dump);

sub empty_tables
{
	$node->safe_psql('postgres', 'TRUNCATE many, few; DROP INDEX few_i');
	return;
}

empty_tables();
set_limits('');
my ($success, $log) = with_few_locked(\@restore, sub { ended('restore', 'a connection of pg_restore is ended'); });
ok(!$success, 'pg_restore fails');
like($log, qr/idle-session timeout|closed the connection/, 'with an error that says why');

$node->safe_psql('postgres', 'CREATE INDEX IF NOT EXISTS few_i ON few (i)');
empty_tables();
set_limits('restore: application=restore terminate=never');
($success, $log) = with_few_locked(\@restore, sub { past_limits('restore'); });
ok($success, 'with terminate=never it succeeds') || diag($log);
is( $node->safe_psql('postgres', q{SELECT (SELECT count(*) FROM many), (SELECT count(*) FROM few), 'few_i'::regclass}),
	'10000|100|few_i',
	'and all is there');

# vacuumdb with two jobs
set_limits('vacuum: application=vacuum terminate=never');
($success, $log) = with_few_locked(
	[   'vacuumdb', '-U', 'app', '-j', '2', '-t', 'many', '-t', 'few',
		'-d', $node->connstr('postgres') . ' application_name=vacuum' ],
	sub { past_limits('vacuum'); });
ok($success, 'so does vacuumdb') || diag($log);

# Replication: a walsender is no session, whatever it does.  Also the initial
# copy of a table is idle in a transaction now and then.
set_limits('');
my $walsender = PoolMonitor::Wire->new($node, user => 'app', appname => 'walsender', replication => 'database');
my $pid = $walsender->pid;
$walsender->query('BEGIN');
PoolMonitor::wait_until($node,
	"SELECT clock_timestamp() - state_change > '500 ms' FROM pg_stat_activity WHERE pid = $pid AND state = 'idle in transaction'",
	'a walsender is idle in transaction');
is( $node->safe_psql('postgres', "SELECT count(*) FROM pool_monitor_sessions WHERE pid = $pid"), '0',
	'it is none of the sessions');
ok($walsender->query('SELECT 1')->{ready}, 'and it is not ended');

# postgres_fdw: the remote session is idle in transaction as long as the local
# one has one.  The first local session is of a superuser, and so not ended.
my $chief = PoolMonitor::session($node, appname => 'chief');
$chief->query('SET ROLE app; BEGIN; SELECT count(*) FROM far');
ended('postgres_fdw', 'the remote session of postgres_fdw is ended');
$chief->query('SELECT count(*) FROM far');
like($chief->stderr, qr/idle-in-transaction timeout|closed the connection/, 'and the local transaction fails');
$chief->query('ROLLBACK');
set_limits('remote: application=postgres_fdw terminate=never');
my $local = PoolMonitor::Wire->new($node, user => 'app', appname => 'local');
$local->query('BEGIN; SELECT count(*) FROM far');
ended('local', 'with terminate=never for it the local session is ended');
PoolMonitor::wait_until($node,
	"SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'postgres_fdw' AND state = 'idle in transaction'",
	'and the remote one goes with it');

# dblink: likewise, if it has a transaction; and idle while the local one works
$chief->query("RESET ROLE; SELECT dblink_connect('far', 'host=" . $node->host . ' port=' . $node->port
	  . " dbname=postgres user=app application_name=dblink')");
ended('dblink', 'a connection of dblink is ended');
$chief->query("SELECT * FROM dblink('far', 'SELECT 1') AS t (i int)");
like($chief->stderr, qr/idle-session timeout|closed the connection/, 'and the next statement on it fails');

$walsender->quit;
$chief->quit;
$locker->quit;
$node->stop;
done_testing();
