# How sessions end: each kind is counted exactly, and as core counts it.

use strict;
use warnings;

use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $n = 5;
my $node = PoolMonitor::new_node('ends', extension => 1);

# A database in which nothing happens but what we do; we look from another one
$node->safe_psql('postgres', 'CREATE DATABASE ends');
$node->safe_psql('postgres',
	'CREATE ROLE owner SUPERUSER LOGIN; CREATE ROLE limited LOGIN CONNECTION LIMIT 0; CREATE ROLE nologin');

# client(APPNAME, ...): a session in that database
sub client
{
	my ($appname, @opts) = @_;
	return PoolMonitor::Wire->new(
		$node,
		dbname => 'ends',
		user => 'owner',
		appname => $appname,
		@opts);
}

# ends_are(APPNAME, EXPECTED, LABEL): sessions, and how many of them ended
# abandoned, by a fatal error and killed
sub ends_are
{
	my ($appname, $expected, $label) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	# An entry in the status array goes after what the session counted came in
	$node->poll_query_until('postgres',
		"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = '$appname')")
	  || die "sessions of $appname do not end";
	is( $node->safe_psql('postgres', qq{
			SELECT sessions, sessions_abandoned, sessions_fatal, sessions_killed
			FROM pool_monitor_groups
			WHERE datname = 'ends' AND usename = 'owner' AND application_name = '$appname'}),
		$expected, $label);
	return;
}

# Normal: the client says goodbye
client('normal')->quit foreach 1 .. $n;
ends_are('normal', "$n|0|0|0", 'a client that says goodbye leaves a session, and nothing else');

PoolMonitor::session($node, dbname => 'ends', user => 'owner', appname => 'libpq')->quit
  foreach 1 .. 3;
ends_are('libpq', '3|0|0|0', 'so does a client of libpq');

# Abandoned: the connection is gone
client('dropped')->drop foreach 1 .. $n;
ends_are('dropped', "$n|$n|0|0", 'a connection that goes away without a word is abandoned');

PoolMonitor::session($node, dbname => 'ends', user => 'owner', appname => 'kill9')->kill9
  foreach 1 .. 3;
ends_are('kill9', '3|3|0|0', 'so is one whose client was killed');

for (1 .. $n)
{
	my $client = client('dropped in transaction');

	$client->query('BEGIN');
	$client->query('SELECT 1');
	$client->drop;
}
ends_are('dropped in transaction', "$n|$n|0|0", 'so is one in a transaction');

# Fatal errors
for (1 .. $n)
{
	is(client('idle timeout', options => '-c idle_session_timeout=1')->wait_end,
		'57P05', 'the server ended an idle session');
}
ends_are('idle timeout', "$n|0|$n|0", 'an end by idle_session_timeout is fatal');

for (1 .. $n)
{
	my $client = client('idle in transaction timeout',
		options => '-c idle_in_transaction_session_timeout=1');

	$client->send_query('BEGIN');
	is($client->wait_end, '25P03', 'the server ended a session idle in transaction');
}
ends_are('idle in transaction timeout', "$n|0|$n|0",
	'an end by idle_in_transaction_session_timeout is fatal');

for (1 .. $n)
{
	my $client = client('garbage');

	$client->send_raw("\x01garbage that is no message");
	is($client->wait_end, '08P01', 'the server does not understand the client');
}
ends_are('garbage', "$n|0|$n|0", 'an end by a violation of the protocol is fatal');

# Killed
for (1 .. $n)
{
	my $client = client('killed idle');

	$node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . $client->pid . ')');
	is($client->wait_end, '57P01', 'an administrator ended an idle session');
}
ends_are('killed idle', "$n|0|0|$n", 'a session that is ended by pg_terminate_backend is killed');

for (1 .. $n)
{
	my $client = client('killed active');

	$client->send_query('SELECT pg_sleep(1000)');
	$node->poll_query_until('postgres',
		"SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = " . $client->pid)
	  || die 'the statement does not run';
	$node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . $client->pid . ')');
	is($client->wait_end, '57P01', 'an administrator ended a running statement');
}
ends_are('killed active', "$n|0|0|$n", 'so is one with a running statement');

my $suicide = client('killed by itself');
$suicide->send_query('SELECT pg_terminate_backend(pg_backend_pid())');
$suicide->wait_end;
ends_are('killed by itself', '1|0|0|1', 'so is one that ends itself');

# The sums, against core's
my $ours = q{
	SELECT row(sum(sessions), sum(sessions_abandoned), sum(sessions_fatal), sum(sessions_killed))
	FROM pool_monitor_groups WHERE datname = 'ends'};
my $core = q{
	SELECT row(sessions, sessions_abandoned, sessions_fatal, sessions_killed)
	FROM pg_stat_database WHERE datname = 'ends'};

PoolMonitor::wait_until($node, "SELECT ($ours)::text = ($core)::text",
	'the sums are those of pg_stat_database');
is( $node->safe_psql('postgres', $ours),
	sprintf('(%d,%d,%d,%d)', 8 * $n + 7, 2 * $n + 3, 3 * $n, 2 * $n + 1),
	'and what they should be');

# Who never got in is no session
my $logins = $node->safe_psql('postgres',
	"SELECT sum(sessions) FROM pool_monitor_applications WHERE application_name <> '020_session_ends.pl'");
foreach my $opts (
	[ '3D000', 'a missing database', dbname => 'nowhere' ],
	[ '28000', 'a missing role', user => 'nobody' ],
	[ '28000', 'a role without LOGIN', user => 'nologin' ],
	[ '53300', 'a role without connections', user => 'limited' ],
	[ '22023', 'a bad setting', options => '-c work_mem=nonsense' ])
{
	my ($sqlstate, $what, @opts) = @$opts;
	my $client = PoolMonitor::Wire->new($node, silent => 1, appname => 'refused', @opts);

	is($client->log_in->{sqlstate}, $sqlstate, "the server refuses $what");
}
is( $node->safe_psql('postgres',
		"SELECT count(*), coalesce(sum(sessions), 0) FROM pool_monitor_groups WHERE application_name = 'refused'"),
	'1|0',
	'a refused login is no session');
PoolMonitor::wait_until($node,
	"SELECT count(*) = 1 AND sum(connections) = 1 FROM pool_monitor_groups WHERE connections > 0",
	'nothing is left of the refused logins');

# Times: what the client measured is the upper bound, since the server's clock
# starts after the connection was asked for and stops before it is closed
$node->safe_psql('postgres', 'CREATE DATABASE times');
my $measured = 0;
for (1 .. $n)
{
	my $start = time;
	my $client = PoolMonitor::Wire->new($node, dbname => 'times', user => 'owner', appname => 'times');

	$client->query('SELECT pg_sleep(0.1)');
	$client->quit;
	$measured += 1000 * (time - $start);
}
my ($session_time, $transaction_time) = split /\|/, $node->safe_psql('postgres',
	"SELECT session_time, transaction_time FROM pool_monitor_groups WHERE datname = 'times'");
my $lowest = 100 * $n;
cmp_ok($session_time, '<=', $measured, 'sessions lasted no longer than the client saw');
cmp_ok($transaction_time, '>=', $lowest, 'their transactions lasted as long as they slept');
cmp_ok($session_time, '>=', $transaction_time, 'sessions lasted as long as their transactions');
PoolMonitor::wait_until($node, qq{
	SELECT sessions = $n AND session_time BETWEEN $lowest AND $session_time
	FROM pg_stat_database WHERE datname = 'times'},
	'pg_stat_database has no more session time, and not less than they slept');

# A session that is still there
my $open = PoolMonitor::Wire->new($node, dbname => 'times', user => 'owner', appname => 'open');
my $grows = q{SELECT session_time FROM pool_monitor_groups WHERE application_name = 'open'};
my $before = $node->safe_psql('postgres', $grows);
cmp_ok($before, '>', 0, 'the session time of an open session counts already');
cmp_ok($node->safe_psql('postgres', $grows), '>', $before, 'and grows');
$open->quit;

done_testing();
