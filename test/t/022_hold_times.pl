# Hold times: against the same transactions as the client timed them.

use strict;
use warnings;

use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = PoolMonitor::new_node('hold', extension => 1);
my $observer = PoolMonitor::session($node, appname => 'observer');

sub client
{
	my ($appname, @opts) = @_;
	return PoolMonitor::Wire->new($node, appname => $appname, @opts);
}

# figure(COLUMN, APPNAME), in milliseconds
sub figure
{
	my ($column, $appname) = @_;
	return $observer->query(
		"SELECT $column FROM pool_monitor_applications WHERE application_name = '$appname'");
}

# timed(CLIENT, SQL): milliseconds by the client's clock
sub timed
{
	my ($client, @messages) = @_;
	my $start = time;

	$client->query($_) foreach @messages;
	return 1000 * (time - $start);
}

# 100 transactions of known durations: 60 of 4 ms, 30 of 20 ms, 6 of 60 ms,
# 4 of 150 ms, in an order that does not matter.  Each transaction lasts at
# least as long as it sleeps, and no longer than the client saw.
my $client = client('known');
my (@at_least, @at_most);
foreach my $class ([ 60, 4 ], [ 30, 20 ], [ 6, 60 ], [ 4, 150 ])
{
	my ($count, $sleep) = @$class;

	for (1 .. $count)
	{
		push @at_least, $sleep;
		push @at_most, timed($client, "SELECT pg_sleep($sleep / 1000.0)");
	}
}
@at_most = sort { $a <=> $b } @at_most;

is(figure('transactions', 'known'), 100, 'the transactions are counted');
foreach my $percentile (50, 95, 99)
{
	my $got = figure("hold_time_p$percentile", 'known');

	cmp_ok($got, '>=', $at_least[ $percentile - 1 ] * 0.9375,
		"the percentile $percentile is no less than was slept, less 6.25 %");
	cmp_ok($got, '<=', $at_most[ $percentile - 1 ] * 1.0625,
		"the percentile $percentile is no more than the client saw, plus 6.25 %");
}
my $max = figure('hold_time_max', 'known');
cmp_ok($max, '>=', 150, 'the longest is no less than was slept');
cmp_ok($max, '<=', $at_most[-1], 'the longest is no more than the client saw');
my ($slept, $seen) = (0, 0);
$slept += $_ foreach @at_least;
$seen += $_ foreach @at_most;
cmp_ok(figure('transaction_time', 'known'), '>=', $slept, 'all together are no less than was slept');
cmp_ok(figure('transaction_time', 'known'), '<=', $seen, 'all together are no more than the client saw');

# A block is held from its first statement to its last, not only while it runs
$client = client('block');
my $outer = timed($client, 'BEGIN', 'SELECT 1');
my $inner = timed($observer, 'SELECT pg_sleep(0.2)');
$outer += $inner + timed($client, 'COMMIT');
cmp_ok(figure('hold_time_max', 'block'), '>=', 200, 'what the client does in a block holds the connection');
cmp_ok(figure('hold_time_max', 'block'), '<=', $outer, 'and no more than that');

# Also after an error, until it is rolled back
$client = client('failed');
my $start = time;
$client->query('BEGIN');
$client->query('SELECT 1/0');
is(figure('transactions', 'failed'), 0, 'a block that failed has not ended yet');
$observer->query('SELECT pg_sleep(0.2)');
is(figure('transactions', 'failed'), 0, 'as long as it is not rolled back');
$client->query('ROLLBACK');
$outer = 1000 * (time - $start);
is(figure('transactions', 'failed'), 1, 'it ends when it is rolled back');
cmp_ok(figure('hold_time_max', 'failed'), '>=', 200, 'a block that failed holds the connection until it is rolled back');
cmp_ok(figure('hold_time_max', 'failed'), '<=', $outer, 'and no more than that');

# Or until the session ends
$client = client('ended');
$start = time;
$client->query('BEGIN');
$client->query('SELECT 1/0');
$observer->query('SELECT pg_sleep(0.2)');
$observer->query('SELECT pg_terminate_backend(' . $client->pid . ')');
$client->wait_end;
$outer = 1000 * (time - $start);
PoolMonitor::wait_until($node,
	"SELECT connections = 0 FROM pool_monitor_applications WHERE application_name = 'ended'",
	'a session is ended in a block that failed');
cmp_ok(figure('hold_time_max', 'ended'), '>=', 200, 'the connection was held up to that moment');
cmp_ok(figure('hold_time_max', 'ended'), '<=', $outer, 'and no more than that');

# An open transaction is not counted, and none that follows another one in the
# same message is counted from the start of the message
$client = client('several');
my $total = timed($client, 'BEGIN; SELECT pg_sleep(0.1); COMMIT; BEGIN; SELECT pg_sleep(0.1); COMMIT');
is(figure('transactions', 'several'), 2, 'two blocks in one message are two transactions');
cmp_ok(figure('transaction_time', 'several'), '<=', $total,
	'together they held the connection no longer than the message took');
cmp_ok(figure('transaction_time', 'several'), '>=', 200, 'and no less than they slept');

$client = client('vacuum');
$client->query("CREATE TABLE v$_ AS SELECT generate_series(1, 5000) AS a") foreach 1 .. 10;
my $before = figure('transaction_time', 'vacuum');
my $counted = figure('transactions', 'vacuum');
$total = timed($client, 'VACUUM ' . join(', ', map { "v$_" } 1 .. 10));
cmp_ok(figure('transactions', 'vacuum') - $counted, '>=', 10, 'VACUUM runs a transaction for each table');
cmp_ok(figure('transaction_time', 'vacuum') - $before, '<=', $total,
	'together they held the connection no longer than the statement took');

$client = client('procedure');
$total = timed($client, 'DO $$ BEGIN FOR i IN 1..4 LOOP PERFORM pg_sleep(0.05); COMMIT; END LOOP; END $$');
is(figure('transactions', 'procedure'), 5, 'a block that commits four times is five transactions');
cmp_ok(figure('hold_time_max', 'procedure'), '>=', 50, 'each was held for as long as it slept');
cmp_ok(figure('transaction_time', 'procedure'), '<=', $total,
	'together they held the connection no longer than the statement took');

# Over all: no more is held than sessions lasted
is( $observer->query('SELECT count(*) FROM pool_monitor_applications WHERE transaction_time > session_time'),
	'0', 'nobody held a connection for longer than it was there');

# Two sessions of one group
my @two = map { client('two') } 1 .. 2;
$_->send_query('SELECT pg_sleep(0.1)') foreach @two;
$_->wait_ready foreach @two;
is(figure('transactions', 'two'), 2, 'two sessions of one group are added up while they are there');
$two[0]->quit;
PoolMonitor::wait_until($node,
	"SELECT connections = 1 FROM pool_monitor_applications WHERE application_name = 'two'",
	'one of them leaves');
is(figure('transactions', 'two'), 2, 'what it counted stays');
cmp_ok(figure('transaction_time', 'two'), '>=', 200, 'and so does what it held');

done_testing();
