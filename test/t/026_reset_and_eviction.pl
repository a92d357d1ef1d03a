# Reset and eviction in the middle of traffic: no count is lost or doubled.

use strict;
use warnings;

use IPC::Run ();
use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PoolMonitor::new_node('traffic',
	extension => 1,
	conf => "fsync = off\nlog_statement = none\npool_monitor.max_groups = 10");
$node->safe_psql('postgres', 'CREATE UNLOGGED TABLE done (at timestamptz)');
my $observer = PoolMonitor::session($node, appname => 'observer');
my $clients = 4;

# Each transaction notes when it runs
my $script = $node->basedir . '/insert.sql';
append_to_file($script, "INSERT INTO done VALUES (clock_timestamp());\n");

sub traffic
{
	my ($appname, $each, @options) = @_;
	my ($out, $err) = ('', '');
	my $run = IPC::Run::start(
		[
			$node->installed_command('pgbench'), '-n', '-f', $script, @options,
			'-c', $clients, '-t', $each,
			$node->connstr('postgres') . " application_name='$appname'"
		],
		'>', \$out, '2>', \$err);

	return sub {
		$run->finish || die "pgbench: $err";
		$node->poll_query_until('postgres',
			"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = '$appname')")
		  || die 'the traffic does not end';
	};
}

# After a reset that was asked for at FROM and done at TO, as much is counted as
# was done since; a transaction that was running is on either side
sub is_since
{
	my ($appname, $from, $to, $label) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is( $observer->query(qq{
			SELECT CASE WHEN transactions
					BETWEEN count(*) FILTER (WHERE at > '$to')
					AND count(*) FILTER (WHERE at > '$from') + $clients
				THEN 'right'
				ELSE format('%s, not %s to %s', transactions,
					count(*) FILTER (WHERE at > '$to'),
					count(*) FILTER (WHERE at > '$from') + $clients)
				END
			FROM done, pool_monitor_applications
			WHERE application_name = '$appname' GROUP BY transactions}),
		'right', $label);
	return;
}

my $negative = q{
	SELECT count(*) FROM pool_monitor_groups
	WHERE least(sessions, sessions_abandoned, sessions_fatal, sessions_killed, rejected,
			transactions, session_time, transaction_time, hold_time_max) < 0
		OR hold_time_p50 > hold_time_p95 OR hold_time_p95 > hold_time_p99
		OR hold_time_p99 > hold_time_max OR transactions > 1000000 OR session_time > 1e9};

foreach my $reset ('pool_monitor_reset()', "pool_monitor_reset('traffic')")
{
	my ($from, $to);

	$observer->query('TRUNCATE done');
	my $finish = traffic('traffic', 5000);
	foreach my $i (1 .. 10)
	{
		# As the traffic goes on: before anybody can have done his 5,000
		$observer->query('SELECT pg_sleep(0.01)')
		  until $observer->query('SELECT count(*) FROM done') >= 400 * $i;
		$from = $observer->query('SELECT clock_timestamp()');
		$observer->query("SELECT $reset");
		$to = $observer->query('SELECT clock_timestamp()');
		is($observer->query($negative), '0', "$reset in the middle of traffic leaves no nonsense")
		  if $i % 5 == 0;
	}
	$finish->();
	is($observer->query('SELECT count(*) FROM done'), 5000 * $clients, 'the traffic has ended');
	is_since('traffic', $from, $to, 'what was done since the last reset is counted');
	is( $observer->query(q{
			SELECT sessions, sessions_abandoned + sessions_fatal + sessions_killed, peak_connections
			FROM pool_monitor_applications WHERE application_name = 'traffic'}),
		"0|0|$clients",
		'the sessions came before it; they were all there after it');
}

# One application's reset is no other's
$observer->query('TRUNCATE done');
$observer->query('SELECT pool_monitor_reset()');
my $finish = traffic('traffic', 500);
foreach my $i (1 .. 10)
{
	$observer->query("SELECT pool_monitor_reset('somebody else')");
	$observer->query('SELECT pool_monitor_reset(NULL)');
}
$finish->();
is( $observer->query(q{
		SELECT sessions, transactions FROM pool_monitor_applications WHERE application_name = 'traffic'}),
	($clients + 1) . '|' . 500 * $clients,
	"a reset of another application forgets nothing of this one's");

# A reset takes time off a session, too, and leaves it where it is
my $client = PoolMonitor::Wire->new($node, appname => 'open');
$client->query('SELECT 1') foreach 1 .. 3;
$client->query('BEGIN');
$observer->query('SELECT pg_sleep(0.2)');
$observer->query("SELECT pool_monitor_reset('open')");
is( $observer->query(q{
		SELECT sessions, transactions, session_time < 200, peak_connections, hold_time_max IS NULL
		FROM pool_monitor_applications WHERE application_name = 'open'}),
	'0|0|t|1|t',
	'a reset forgets what open sessions counted');
$client->query('COMMIT');
$client->query('SELECT 1');
is( $observer->query(q{
		SELECT transactions, hold_time_max >= 200
		FROM pool_monitor_applications WHERE application_name = 'open'}),
	'2|t',
	'a transaction that was open counts when it ends, with all of its time');
$client->drop;
PoolMonitor::wait_until($node, q{
	SELECT sessions = 0 AND sessions_abandoned = 1 AND transactions = 2
	FROM pool_monitor_applications WHERE application_name = 'open'},
	'an end after the reset counts');
$observer->query("SELECT pool_monitor_reset('open')");
is($observer->query("SELECT count(*) FROM pool_monitor_applications WHERE application_name = 'open'"),
	'0', 'without sessions nothing is left after a reset');

# The peak of an application that has lost its groups
my @crowd = map { PoolMonitor::Wire->new($node, appname => 'crowd') } 1 .. 3;
$_->quit foreach @crowd;
PoolMonitor::wait_until($node, q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'crowd')},
	'a crowd has left');

sub peak_after_eviction
{
	my ($statement) = @_;
	my $flood = PoolMonitor::Wire->new($node, appname => 'flood');
	my $n = 0;

	$flood->query('SET application_name = \'flood ' . ++$n . '\'')
	  while $n < 100
	  && $observer->query(q{SELECT count(*) FROM pool_monitor_groups WHERE application_name = 'crowd'}) ne '0';
	$observer->query($statement);
	my $one = PoolMonitor::Wire->new($node, appname => 'crowd');
	my $peak = $observer->query(q{SELECT peak_connections FROM pool_monitor_applications WHERE application_name = 'crowd'});
	$_->quit foreach ($one, $flood);
	PoolMonitor::wait_until($node, q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'crowd')},
		'it has left');
	return $peak;
}

is(peak_after_eviction('SELECT 1'), '3', 'is remembered, when its groups are folded');
is(peak_after_eviction("SELECT pool_monitor_reset('crowd')"), '1', 'and forgotten by a reset even then');

# Eviction, while others come and go
$observer->query('TRUNCATE done');
$observer->query('SELECT pool_monitor_reset()');
$client = PoolMonitor::Wire->new($node, appname => 'start');
$finish = traffic('traffic', 1000);
my $connects = traffic('connects', 50, '-C');
my $answers = PoolMonitor::Wire::storm($node, 300, 5, sub { return (appname => "app $_[0]") });
$client->query("SET application_name = 'name $_'") foreach 1 .. 300;
$connects->();
$finish->();
is(join(', ', %$answers), 'connected, 300', 'three hundred applications come and go');
PoolMonitor::wait_until($node, q{
	SELECT count(*) = 2 FROM pg_stat_activity WHERE application_name <> '026_reset_and_eviction.pl'
		AND backend_type = 'client backend'},
	'all but one have left');
is($observer->query('SELECT groups <= max_groups AND groups_evicted > 500 FROM pool_monitor_info'),
	't', 'hundreds of groups were folded');
is($observer->query('SELECT count(*) FROM done'), 1050 * $clients, 'all of the traffic was done');

# pgbench connects once more than it has clients, to look around.  The test's
# own sessions are in <other> too, so that these are lower bounds; the exact
# sums follow below.
my ($sessions, $transactions) = split /\|/,
  $observer->query('SELECT sum(sessions), sum(transactions) FROM pool_monitor_applications');
cmp_ok($sessions, '>=', $clients + 1 + 50 * $clients + 1 + 300 + 1, 'no session is lost');
cmp_ok($transactions, '>=', 1050 * $clients + 300, 'no transaction is lost');
is($observer->query($negative), '0', 'nothing is nonsense');

# Now nobody else looks, so that the sums are known
$client->quit;
$observer->query('SELECT pg_sleep(0.01)')
  until $observer->query(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'}) eq '1';
$observer->query('SELECT pool_monitor_reset()');
$answers = PoolMonitor::Wire::storm($node, 500, 5, sub { return (appname => "again $_[0]") });
my @all = map { PoolMonitor::Wire->new($node, appname => "open $_") } 1 .. 25;
foreach my $i (0 .. 24)
{
	$all[$i]->query("SET application_name = 'moved $_'") foreach 1 .. $i;
}
is( $observer->query(q{
		SELECT sum(sessions), sum(transactions) FROM pool_monitor_applications
		WHERE application_name <> 'observer'}),
	'525|300',
	'sessions and transactions are all there, with more applications at once than groups');
is( $observer->query(q{
		SELECT count(*) <= 10, sum(peak_connections) >= 25 FROM pool_monitor_groups WHERE peak_connections > 0}),
	't|t',
	'in as many groups as there can be');
is($observer->query('SELECT peak_connections BETWEEN 26 AND 31 FROM pool_monitor_status'), 't',
	'the peak of the server is that of all of them');
$_->quit foreach @all;
$observer->query('SELECT pg_sleep(0.01)')
  until $observer->query(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'}) eq '1';
is( $observer->query(q{
		SELECT sum(sessions), sum(transactions) FROM pool_monitor_applications
		WHERE application_name <> 'observer'}),
	'525|300',
	'and still when they have left');
is($observer->query("SELECT application_name FROM pool_monitor_applications WHERE application_name = '<other>'"),
	'<other>', 'what was folded is in <other>');

done_testing();
