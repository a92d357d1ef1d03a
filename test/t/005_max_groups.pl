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
my $asked = 0;

sub observe
{
	my ($sql) = @_;

	$asked++;
	return $observer->query($sql);
}

# All transactions and logins, wherever they were folded to, but without the
# transactions of the session that asks.
sub totals
{
	return observe("SELECT sum(transactions) - $asked, sum(sessions) FROM pool_monitor_groups");
}

# What was added to a former answer of totals()
sub added
{
	my @before = split /\|/, $_[0];
	my @now = split /\|/, totals();
	return join '|', map { $now[$_] - $before[$_] } 0, 1;
}

sub clients
{
	my ($columns, $condition) = @_;
	return observe("SELECT $columns FROM pool_monitor_groups WHERE usename = 'client' AND $condition");
}

my $before = totals();
my $named = observe("SELECT count(*) FROM pool_monitor_groups WHERE application_name <> '<other>'");
is(observe('SELECT groups_evicted, max_groups FROM pool_monitor_info'), '0|50', 'nothing was folded yet');

# 2,000 names, two transactions each, and one that the harness makes
my $session = PoolMonitor::session($node, appname => 'first', user => 'client');
my $most = 0;
foreach my $batch (0 .. 19)
{
	$session->query(join('', map { "SET application_name = 'name $_';\nSELECT 1;\n" } $batch * 100 + 1 .. $batch * 100 + 100));
	my $groups = observe('SELECT groups FROM pool_monitor_info');
	$most = $groups if $groups > $most;
}
is($most, 50, 'the groups never exceed max_groups');
is(added($before), '4001|1', 'sums of transactions and logins are exact');
cmp_ok(observe('SELECT count(*) FROM pool_monitor_groups'), '<=', 50, 'there are no more rows than groups');
is(clients('connections, transactions', "application_name = 'name 2000'"), '1|2', 'the group with a session is there');
is(clients('transactions', "application_name = 'name 1990'"), '2', 'a recent one as well');
is(clients('count(*)', "application_name = 'name 1000'"), '0', 'the least recently used ones are gone');
is( clients('count(*), min(datname)', "application_name = '<other>'"),
	'1|postgres', 'they are in <other>, of their database and role');
cmp_ok(clients('transactions', "application_name = '<other>'"), '>=', 2 * 1945, 'with all their transactions');
is( clients(
		'hold_time_p50 <= hold_time_p95 AND hold_time_p95 <= hold_time_max AND transaction_time > 0 AND session_time > 0',
		"application_name = '<other>'"),
	't', 'and hold times');
# (an <other> that was itself the least recently used counts as well)
is( observe("SELECT groups_evicted
	              + (SELECT count(*) FROM pool_monitor_groups WHERE application_name <> '<other>')
	              - $named - 2001 BETWEEN 0 AND 1, groups, max_groups FROM pool_monitor_info"),
	't|50|50', 'groups_evicted counts every group that was folded');

# A name that comes back
$session->query("SET application_name = 'name 1'");
is(clients('transactions', "application_name = 'name 1'"), '1', 'a name that was folded and comes back starts anew');
is(added($before), '4002|1', 'and the sums stay exact');

# More sessions than groups, all with names of their own
my $holder = PoolMonitor::session($node, appname => 'holder');
$before = totals();
$holder->query(<<'SQL');
SELECT count(dblink_connect('c' || i, format('host=%s port=%s user=client dbname=postgres application_name=%L',
	split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), 'crowd ' || i)))
  FROM generate_series(1, 100) i
SQL
is($holder->stderr, '', '100 sessions are open');
is(added($before), '1|100', 'no login is lost');
is(observe('SELECT groups FROM pool_monitor_info'), '50', 'the groups do not exceed max_groups while all have sessions');
is( observe("SELECT count(*), sum(connections), max(sessions) FROM pool_monitor_applications
	          WHERE application_name LIKE 'crowd%'"),
	'100|100|1', 'every application shows what it has now');
cmp_ok(observe("SELECT sum(sessions) FROM pool_monitor_applications WHERE application_name = '<other>'"),
	'>=', 50, 'those without a group of their own count in <other>');
is(observe('SELECT peak_connections, connections FROM pool_monitor_status'), '103|103', 'the peak of the server is exact');

$before = totals();
$holder->query("SELECT count(dblink_exec('c' || i, 'SET work_mem = 1000')) FROM generate_series(1, 100) i");
is(added($before), '101|0', 'no transaction is lost');
$holder->query("SELECT count(dblink_exec('c' || i, 'SET application_name = crowd')) FROM generate_series(1, 100) i");
is(added($before), '202|0', 'nor when all of them change their name');
is(observe("SELECT connections FROM pool_monitor_applications WHERE application_name = 'crowd'"), '100', 'to the same one');
$holder->query("SELECT count(dblink_disconnect('c' || i)) FROM generate_series(1, 100) i");
PoolMonitor::wait_until($node,
	"SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'crowd%'", 'the crowd has left');
$session->query("SET application_name = 'afterwards'");
is(clients('connections, transactions', "application_name = 'afterwards'"), '1|1', 'there is room for new groups again');

# Reset of one application and of all
observe("SELECT pool_monitor_reset('<other>')");
is(observe("SELECT coalesce(sum(transactions), 0) FROM pool_monitor_applications WHERE application_name = '<other>'"),
	'0', 'a reset of <other> forgets what was folded');
observe('SELECT pool_monitor_reset()');
# (a client of the harness may still be leaving)
cmp_ok(observe('SELECT groups FROM pool_monitor_info'), '<=', 6, 'a reset of all frees the groups without sessions');
is( clients('transactions, connections', "application_name = 'afterwards'"),
	'0|1', 'and forgets the counts of those with sessions');
$session->query('SELECT 1');
is(clients('transactions, connections', "application_name = 'afterwards'"), '1|1', 'which count again');

# The smallest table
$_->quit foreach ($session, $holder, $observer);
$node->append_conf('postgresql.conf', 'pool_monitor.max_groups = 10');
$node->restart;
$observer = PoolMonitor::session($node, appname => 'observer');
$asked = 1;
$before = totals();
$session = PoolMonitor::session($node, appname => 'first', user => 'client');
$session->query(join('', map { "SET application_name = 'name $_';\n" } 1 .. 500));
is(added($before), '501|1', 'sums are exact with 10 groups');
is(observe('SELECT groups, max_groups FROM pool_monitor_info'), '10|10', 'which they do not exceed');
my $samples = observe('SELECT samples FROM pool_monitor_info');
PoolMonitor::wait_until($node, "SELECT samples > $samples + 3 FROM pool_monitor_info", 'the worker samples on');

$_->quit foreach ($session, $observer);
$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC/, 'no assertion failed');

done_testing();
