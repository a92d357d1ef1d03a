# A session that has agreed to end, and does not, because another library takes
# that back: the statement that comes next is not cut, settings are as before,
# the log tells of it, and the session can be ended later.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../modules";

use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TestModule;

my $node = PoolMonitor::new_node('lost',
	extension => 1,
	conf => q{
autovacuum = off
max_connections = 13
superuser_reserved_connections = 3
pool_monitor.sample_interval = 20ms
pool_monitor.pools = 'victims: application=victim size=2 idle_timeout=100ms idle_in_transaction_timeout=100ms'});
my $library = TestModule::build('takes_back');
$node->safe_psql('postgres', qq{
	CREATE ROLE app LOGIN;
	CREATE FUNCTION take_back_ends(boolean) RETURNS void STRICT LANGUAGE c AS '$library'});

# What a statement returns; in many words if it was cut
sub value
{
	my ($client, $sql) = @_;
	my $result = $client->query($sql);

	return $result->{rows}[-1][0] if $result->{ready} && !defined $result->{sqlstate};
	return 'error ' . ($result->{sqlstate} || 'without a reason');
}

# How often has the log told of it?
sub called_off
{
	my $log = slurp_file($node->logfile);

	return scalar(() = $log =~ /the end of this idle session was called off, since a statement has started/g);
}

my $client = PoolMonitor::Wire->new($node, user => 'app', appname => 'victim');

foreach my $case (
	[ 'idle', 'SELECT take_back_ends(true)', 'idle_session_timeout' ],
	[ 'idle in transaction', 'BEGIN', 'idle_in_transaction_session_timeout' ])
{
	my ($state, $sql, $setting) = @$case;

	ok($client->query($sql)->{ready}, "$sql is run");
	my $before = called_off();
	PoolMonitor::wait_until($node,
		qq{SELECT EXISTS (SELECT FROM pool_monitor_terminations
			WHERE reason = '$state' AND outcome = 'terminated' AND pid = } . $client->pid . ')',
		"$state, the session has agreed to end");
	is(value($client, 'SELECT 40 + 2'), '42', "$state, its next statement is not cut all the same");
	cmp_ok(called_off(), '>', $before, "$state, the log tells that its end was called off");
	is(value($client, "SHOW $setting"), '0', "$state, $setting is what it was");
	is($node->safe_psql('postgres', 'SELECT terminated FROM pool_monitor_status'),
		'0', "$state, nothing counts as terminated");
}

is(value($client, 'SELECT take_back_ends(false)'), '', 'the other library lets go');
is($client->wait_end, '25P03', 'then the session is ended');
PoolMonitor::wait_until($node, 'SELECT terminated = 1 FROM pool_monitor_status', 'and counted as terminated, once');

$node->stop('fast');
done_testing();
