# An incident with more holders than are kept: the application that held most
# is still the right one, and no connection is left out.

use strict;
use warnings;

use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PoolMonitor::new_node('holders',
	extension => 1,
	conf => q{
max_connections = 294
autovacuum = off
pool_monitor.sample_interval = 1h});

# One application under many roles, so that each of its holders is small; the
# others sort before them
$node->safe_psql('postgres', q{
	CREATE ROLE single LOGIN;
	SELECT format('CREATE ROLE w%s LOGIN', n) FROM generate_series(1, 80) n \gexec});
my @clients = map { PoolMonitor::Wire->new($node, user => 'single', appname => "single $_") } 1 .. 210;
push @clients, map { PoolMonitor::Wire->new($node, user => "w$_", appname => 'web') } 1 .. 80;

my $observer = PoolMonitor::session($node, appname => 'observer');
ok(!PoolMonitor::Wire->new($node, silent => 1, user => 'single', appname => 'refused')->log_in->{ready},
	'a login is refused');
PoolMonitor::wait_until($node, 'SELECT count(*) = 1 FROM pool_monitor_incidents', 'there is an incident');
is( $observer->query(q{
		SELECT count(*) <= 200, sum(connections) - 291 - count(*) FILTER (WHERE application_name = 'refused')
		       BETWEEN 0 AND 1 FROM pool_monitor_incident_holders(1) WHERE moment = 'start'}),
	't|t', 'the number of holders is bounded, and they add up to all connections');
is($observer->query('SELECT top_application FROM pool_monitor_incidents'), 'web',
	'the application that held most is named, though each of its holders is small');
$node->wait_for_log(qr/connection incident 1 started\n.*DETAIL/);
like(slurp_file($node->logfile), qr/application "web" holds 80\./, 'so it is in the server log');

$observer->quit;
$_->drop foreach @clients;
$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC/, 'no assertion failed');

done_testing();
