# Far more application names than groups: memory stays bounded, sums exact.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use PoolMonitor;
use Test::More;

my $node = PoolMonitor::new_node('main', extension => 1, conf => <<'CONF');
pool_monitor.max_groups = 50
pool_monitor.sample_interval = '10ms'
max_connections = 120
autovacuum = off
CONF
$node->safe_psql('postgres', 'CREATE EXTENSION dblink');
$node->safe_psql('postgres', 'CREATE ROLE client LOGIN');

my $observer = PoolMonitor::session($node, appname => 'observer');
my $superuser = $observer->query('SELECT current_user');

# All that is not the superuser's is the clients', wherever it was folded to.
sub clients
{
	my ($columns, $condition) = @_;
	return $observer->query("SELECT $columns FROM pool_monitor_groups
		WHERE usename IS DISTINCT FROM '$superuser' AND " . ($condition || 'true'));
}

my $named_before = $observer->query("SELECT count(*) FROM pool_monitor_groups
	WHERE application_name <> '<other>' AND usename = '$superuser'");
is($observer->query('SELECT groups_evicted, max_groups FROM pool_monitor_info'), '0|50', 'nothing was folded yet');

# 2,000 names, two transactions each; one transaction is the harness' own
my $session = PoolMonitor::session($node, appname => 'first', user => 'client');
my $most = 0;
foreach my $batch (0 .. 19)
{
	$session->query(join('', map { "SET application_name = 'name $_';\nSELECT 1;\n" } $batch * 100 + 1 .. $batch * 100 + 100));
	my $groups = $observer->query('SELECT groups FROM pool_monitor_info');
	$most = $groups if $groups > $most;
}
is($most, 50, 'the groups never exceed max_groups');
is(clients('sum(transactions), sum(sessions), sum(connections)'), '4001|1|1', 'sums of transactions and sessions are exact');
cmp_ok(clients('count(*)'), '<=', 50, 'no more rows than groups');
is(clients('connections, transactions', "application_name = 'name 2000'"), '1|2', 'the group with a session is there');
is(clients('transactions', "application_name = 'name 1990'"), '2', 'a recent one as well');
is(clients('count(*)', "application_name = 'name 1000'"), '0', 'the least recently used ones are gone');
is(clients('count(*), max(datname), max(usename)', "application_name = '<other>'"), '1|postgres|client',
	'they are in <other>, of their database and role');
cmp_ok(clients('transactions', "application_name = '<other>'"), '>=', 2 * 1950, 'with their transactions');
is( clients("hold_time_p50 <= hold_time_p95 AND hold_time_p95 <= hold_time_max AND transaction_time > 0 AND session_time > 0",
		"application_name = '<other>'"),
	't', 'and hold times');
is( $observer->query(
		"SELECT groups_evicted + (SELECT count(*) FROM pool_monitor_groups WHERE application_name <> '<other>')
		      = 2001 + $named_before, groups, max_groups FROM pool_monitor_info"),
	't|50|50', 'groups_evicted counts every group that was folded');
is( $observer->query('SELECT sum(transactions) FROM pool_monitor_applications')
	  - $observer->query('SELECT sum(transactions) FROM pool_monitor_groups'),
	-1, 'applications and groups agree, but for the transaction between');

# A name that comes back starts anew
$session->query("SET application_name = 'name 1'");
is(clients('transactions', "application_name = 'name 1'"), '1', 'a name that was folded and comes back starts anew');
is(clients('sum(transactions), sum(sessions)'), '4002|1', 'and the sums stay exact');

# More sessions than groups, all with names of their own
$session->query(<<"SQL");
SET application_name = 'holder';
SELECT 1
SQL
my $holder = PoolMonitor::session($node, appname => 'superholder');
my $dblink = "host=''%s'' port=%s user=client dbname=postgres application_name=''crowd %s''";
$holder->query("SELECT count(dblink_connect('c' || i, format('$dblink',
	split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), i)))
	FROM generate_series(1, 100) i");
is($holder->stderr, '', '100 sessions are open');
my $base = 4002 + 2;
is($observer->query('SELECT groups FROM pool_monitor_info'), '50', 'the groups do not exceed max_groups while all have sessions');
is($observer->query("SELECT count(*), sum(connections) FROM pool_monitor_applications WHERE application_name LIKE 'crowd%'"),
	'100|100', 'every application shows what it has now');
is(clients('sum(connections), sum(sessions)'), '101|101', 'no login is lost');
is( $observer->query("SELECT count(*) FROM pool_monitor_applications WHERE application_name LIKE 'crowd%' AND sessions = 1") . '|'
	  . $observer->query("SELECT coalesce(sum(sessions), 0) FROM pool_monitor_applications WHERE application_name = '<other>' OR (application_name NOT LIKE 'crowd%' AND sessions > 0)"),
	$observer->query("SELECT c || '|' || t - c FROM (SELECT count(*) FILTER (WHERE application_name LIKE 'crowd%' AND sessions = 1) c, sum(sessions) t FROM pool_monitor_applications) s"),
	'those without a group of their own count in <other>');
is($observer->query('SELECT peak_connections >= 103, connections FROM pool_monitor_status'), 't|103', 'the peak of the server is exact');
my $before = clients('sum(transactions)');
$holder->query("SELECT count(dblink_exec('c' || i, 'SET work_mem = 1000')) FROM generate_series(1, 100) i");
is(clients('sum(transactions)') - $before, 100, 'no transaction is lost');
$holder->query("SELECT count(dblink_exec('c' || i, 'SET application_name = crowd')) FROM generate_series(1, 100) i");
is(clients('sum(transactions)') - $before, 200, 'nor when all of them change their name');
is($observer->query("SELECT connections FROM pool_monitor_applications WHERE application_name = 'crowd'"), '100', 'to the same one');
$holder->query("SELECT count(dblink_disconnect('c' || i)) FROM generate_series(1, 100) i");
PoolMonitor::wait_until($node, "SELECT connections <= 4 FROM pool_monitor_status", 'the crowd has left');
is(clients('sum(connections), sum(sessions), sum(transactions)'), '1|101|' . ($before + 200), 'all that they did is counted');
$session->query("SET application_name = 'afterwards'");
is(clients('connections, transactions', "application_name = 'afterwards'"), '1|1', 'there is room for new groups again');

# Reset of one application and of all
$observer->query("SELECT pool_monitor_reset('<other>')");
is(clients("coalesce(sum(transactions), 0)", "application_name = '<other>'"), '0', 'a reset of <other> forgets what was folded');
$observer->query('SELECT pool_monitor_reset()');
cmp_ok($observer->query('SELECT groups FROM pool_monitor_info'), '<=', 4, 'a reset of all frees the groups without sessions');
is(clients('sum(transactions), sum(connections)'), '0|1', 'and forgets the counts of those with sessions');
$session->query('SELECT 1');
is(clients('sum(transactions), sum(connections)'), '1|1', 'which count again');

# The smallest table
$_->quit foreach ($session, $holder, $observer);
$node->append_conf('postgresql.conf', 'pool_monitor.max_groups = 10');
$node->restart;
$observer = PoolMonitor::session($node, appname => 'observer');
$session = PoolMonitor::session($node, appname => 'first', user => 'client');
$session->query(join('', map { "SET application_name = 'name $_';\n" } 1 .. 500));
is(clients('sum(transactions), sum(sessions)'), '501|1', 'sums are exact with 10 groups');
is($observer->query('SELECT groups, max_groups FROM pool_monitor_info'), '10|10', 'which they do not exceed');

# Names that nobody holds still leave the sampler alone
my $samples = $observer->query('SELECT samples FROM pool_monitor_info');
PoolMonitor::wait_until($node, "SELECT samples > $samples + 3 FROM pool_monitor_info", 'the worker samples on');

$_->quit foreach ($session, $observer);
$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC/, 'no assertion failed');

done_testing();
