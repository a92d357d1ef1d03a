# pool_monitor_terminate_idle() that is canceled in the middle of its work:
# every session that it has ended is recorded, and every one that it has asked
# can be asked again.

use strict;
use warnings;

use PoolMonitor;
use PoolMonitor::Wire;
use Test::More;

my $node = PoolMonitor::new_node('canceled_calls',
	conf => q{
max_connections = 150
pool_monitor.sample_interval = 50ms
pool_monitor.pools = 'keep: application=keep* idle_timeout=0'});
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pool_monitor; CREATE ROLE client LOGIN');

# Those that are exempt are recorded at once, those between them are asked
my @clients = map {
	PoolMonitor::Wire->new($node, user => 'client', appname => $_ % 2 ? "go $_" : "keep $_")
} 1 .. 120;
$_->query('SELECT 1') foreach @clients;
PoolMonitor::wait_until($node, q{
	SELECT count(*) = 120 FROM pool_monitor_sessions
	 WHERE usename = 'client' AND state = 'idle' AND state_age > '50 ms'},
	'the sessions are idle');

my $caller = PoolMonitor::session($node, appname => 'caller');
my $canceled = 0;

foreach my $timeout (1 .. 30)
{
	$caller->query("SET statement_timeout = $timeout");
	$caller->query(q{SELECT count(*) FROM pool_monitor_terminate_idle('50 ms', usename => 'client', max_sessions => 5, dry_run => false)});
	$canceled++ if $caller->stderr =~ /canceling statement due to statement timeout/;
	$caller->query('SET statement_timeout = 0');
	last if $node->safe_psql('postgres', q{SELECT count(*) FROM pool_monitor_sessions WHERE application_name LIKE 'go%'}) < 30;
}
cmp_ok($canceled, '>', 0, "calls were canceled: $canceled");

# What they ended is ended and recorded.  An end can be on its way.
PoolMonitor::wait_until($node, q{
	SELECT s.terminated = count(t.pid)
	  FROM pool_monitor_status() s, pool_monitor_terminations t
	 WHERE t.outcome = 'terminated'
	 GROUP BY s.terminated},
	'as many records as sessions that were ended');
is( $node->safe_psql('postgres', q{
		SELECT count(*) FROM pool_monitor_terminations t JOIN pg_stat_activity a USING (pid)
		 WHERE t.outcome = 'terminated'}),
	'0', 'of whom none is there');

# None is left with a request, so all can be ended
my $left = $node->safe_psql('postgres', q{SELECT count(*) FROM pool_monitor_sessions WHERE application_name LIKE 'go%'});
$caller->query('SET statement_timeout = 0');
is( $caller->query(q{
		SELECT count(*) FILTER (WHERE outcome = 'terminated')
		  FROM pool_monitor_terminate_idle('50 ms', usename => 'client', dry_run => false)}),
	$left, 'the others can still be ended');
PoolMonitor::wait_until($node, q{SELECT count(*) = 0 FROM pool_monitor_sessions WHERE application_name LIKE 'go%'},
	'and are gone');

$_->drop foreach @clients;
$caller->quit;
$node->stop;
done_testing();
