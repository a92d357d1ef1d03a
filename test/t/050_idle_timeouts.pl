# Ending idle sessions by policy: each limit and setting takes effect by a
# reload, also for sessions that have long been idle.

use strict;
use warnings;

use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PoolMonitor::new_node(
	'timeouts',
	extension => 1,
	conf => "max_connections = 103\nsuperuser_reserved_connections = 3\n"
	  . "pool_monitor.sample_interval = '20ms'\n");
$node->safe_psql('postgres', 'CREATE ROLE app LOGIN; CREATE DATABASE shop');

# One connection looks on and changes settings: it is there all the time, and
# a superuser's
my $observer = PoolMonitor::session($node, appname => 'observer');

# configure(NAME => VALUE, ...): settings without their prefix; undef resets
sub configure
{
	my (%settings) = @_;

	foreach my $name (sort keys %settings)
	{
		$observer->query(
			defined $settings{$name}
			? "ALTER SYSTEM SET pool_monitor.$name = '$settings{$name}'"
			: "ALTER SYSTEM RESET pool_monitor.$name");
	}
	$observer->query('SELECT pg_reload_conf()');
	return;
}

# client(APPNAME, ...)
sub client
{
	my ($appname, @opts) = @_;
	return PoolMonitor::Wire->new($node, user => 'app', dbname => 'shop', appname => $appname, @opts);
}

sub is_alive { return $_[0]->query('SELECT 1')->{ready}; }

# idle_since(CLIENT, SECONDS, LABEL): waits until it has been idle so long
sub idle_since
{
	my ($client, $seconds, $label) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return $observer->holds("SELECT clock_timestamp() - state_change > '$seconds s' FROM pg_stat_activity WHERE pid = "
		  . $client->pid, $label);
}

sub records
{
	my ($columns, $appname) = @_;

	# a client sees its end before the worker has recorded it
	$observer->holds("SELECT EXISTS (SELECT FROM pool_monitor_terminations WHERE application_name = '$appname')",
		"$appname is recorded")
	  unless $columns =~ /^count/;
	return $observer->query(
		"SELECT $columns FROM pool_monitor_terminations WHERE application_name = '$appname'");
}

#
# idle_timeout
#
my $client = client('long idle');
idle_since($client, 0.3, 'a session has been idle for a while, and no limit is set');
is($observer->query('SELECT count(*) FROM pool_monitor_terminations'),
	'0', 'nothing is decided without a limit');
configure(idle_timeout => '250ms');
is($client->wait_end, '57P05', 'idle_timeout ends a session that was idle already when it was set');
$observer->holds("SELECT terminated = 1 FROM pool_monitor_status", 'it is counted');
is( records('pid, datname, usename, client_addr, state, limit_applied, pool, reason, outcome, detail',
		'long idle'),
	$client->pid . '|shop|app||idle|00:00:00.25||idle|terminated|',
	'and recorded');
is( records(
		"idle_for > '300 ms', idle_for < '1 min', backend_start < terminated_at - idle_for, terminated_at <= clock_timestamp()",
		'long idle'),
	't|t|t|t', 'with the times');
my $pid = $client->pid;
like(
	slurp_file($node->logfile),
	qr/LOG:  terminated session with PID $pid\n.*DETAIL:  Application "long idle", pool "": state "idle" for 0\.\d{3} s, limit 0\.250 s \(idle\)\./,
	'and in the server log');
like(slurp_file($node->logfile), qr/FATAL:  terminating connection due to idle-session timeout/,
	'with the message of the server itself');

$client = client('young');
idle_since($client, 0.01, 'a session has been idle for less');
ok(is_alive($client), 'it is left alone');
is($client->wait_end, '57P05', 'until its time has come');


# A busy one: not between its statements, however slow this machine is
$client = client('busy');
my $enough = time + 2;
while (time < $enough && is_alive($client)) { }
is($client->wait_end, '57P05', 'a busy one ends when it pauses');
is(records("outcome, idle_for > '100 ms'", 'busy'), 'terminated|t', 'for a tenth of a second at least');
configure(max_lifetime => undef);

#
# dry_run
#
$client = client('dry');
idle_since($client, 0.1, 'a session has been idle for a while');
configure(dry_run => 'on', idle_timeout => '50ms');
$observer->holds("SELECT count(*) = 1 FROM pool_monitor_terminations WHERE application_name = 'dry'",
	'a dry run records it');
is(records('pid, reason, outcome, detail', 'dry'), $client->pid . '|idle|dry run|', 'as what it is');
$observer->samples(5);
is(records('count(*)', 'dry'), '1', 'once in an idle period');
ok(is_alive($client), 'and does not end it');
$observer->holds("SELECT count(*) = 2 FROM pool_monitor_terminations WHERE application_name = 'dry'",
	'once more in the next one');
$pid = $client->pid;
like(slurp_file($node->logfile), qr/LOG:  would terminate session with PID $pid/, 'the log says so, too');
is( $observer->query(
		"SELECT terminated FROM pool_monitor_applications WHERE application_name = 'dry'"),
	'0',
	'nothing is counted');
$observer->samples(5);
configure(dry_run => undef);
$observer->holds('SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = ' . $client->pid . ')',
	'when the dry run is over, it is ended, though it was idle all the time');
$client->drop;
configure(idle_timeout => undef);

#
# Pools
#
my %in_pool = map { $_ => client($_) } ('short', 'long', 'never', 'none');
idle_since($in_pool{none}, 0.3, 'sessions of several pools have been idle');
configure(
	idle_timeout => '1h',
	pools => 'fast: application=short idle_timeout=100ms; slow: application=long idle_timeout=1h;'
	  . ' kept: application=never idle_timeout=0');
is($in_pool{short}->wait_end, '57P05', "a pool's own limit is shorter");
is(records('pool, limit_applied', 'short'), 'fast|00:00:00.1', 'the record names the pool');
like(slurp_file($node->logfile), qr/Application "short", pool "fast": state "idle"/, 'so does the log');
is( $observer->query(
		"SELECT string_agg(concat_ws(' ', application_name, idle_limit, exempt, (terminates_at - state_change)::text), ',' ORDER BY application_name)"
		  . " FROM pool_monitor_sessions WHERE usename = 'app'"),
	'long 01:00:00 01:00:00,never timeout 0,none 01:00:00 01:00:00',
	'pool_monitor_sessions tells what applies to whom');
configure(idle_timeout => '100ms');
is($in_pool{none}->wait_end, '57P05', 'outside of pools, the global limit applies');
$observer->samples(3);
ok(is_alive($in_pool{long}), 'to no pool that has a longer one');
ok(is_alive($in_pool{never}), 'or 0');
configure(pools => 'slow: application=long');
is($in_pool{long}->wait_end, '57P05', 'pools change by a reload');
is($in_pool{never}->wait_end, '57P05', 'for every session');
configure(idle_timeout => undef, pools => undef);

# Transactions and lifetimes
my %own = map { $_ => client($_) } ('transaction', 'lifetime');
$own{transaction}->query('BEGIN');
configure(pools =>
	  't: application=transaction idle_in_transaction_timeout=100ms; l: application=lifetime max_lifetime=100ms');
is($own{transaction}->wait_end, '25P03', "a pool's limit for transactions");
is($own{lifetime}->wait_end, '57P05', "a pool's lifetime");
is(records('pool, reason', 'transaction'), 't|idle in transaction', 'are recorded as such: transaction');
is(records('pool, reason', 'lifetime'), 'l|lifetime', 'lifetime');
configure(pools => undef);

# keep_idle
my @pool = map { client('warm') } 1 .. 9;
idle_since($pool[8], 0.1, 'nine sessions of a pool have been idle');
configure(pools => 'warm: application=warm idle_timeout=50ms keep_idle=5');
is($pool[$_]->wait_end, '57P05', 'one of the longest idle goes') foreach 0 .. 3;
$observer->samples(10);
is( $observer->query("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'warm'"),
	'5', 'keep_idle = 5 keeps five');
is( $observer->query(
		"SELECT count(*) FROM pool_monitor_sessions WHERE application_name = 'warm' AND exempt = 'keep_idle'"),
	'5', 'they are exempt for this reason');
ok(is_alive($pool[$_]), 'it is the longest idle that went') foreach 4 .. 8;
configure(pools => 'warm: application=warm idle_timeout=50ms keep_idle=4');
is($pool[4]->wait_end, '57P05', 'with one less, one more goes');
configure(pools => undef);
$_->quit foreach @pool[ 5 .. 8 ];

#
# max_terminations
#
my @many = map { client('many') } 1 .. 6;
idle_since($many[5], 0.1, 'six sessions have been idle');
configure(max_terminations => 2, idle_timeout => '50ms');
is($_->wait_end, '57P05', 'one of them ends') foreach @many;
$observer->holds("SELECT count(*) = 6 FROM pool_monitor_terminations WHERE application_name = 'many'",
	'all are recorded');
is( $observer->query(
		"SELECT string_agg(n::text, ' ') FROM (SELECT count(*) AS n FROM pool_monitor_terminations"
		  . " WHERE application_name = 'many' GROUP BY terminated_at ORDER BY terminated_at) s"),
	'2 2 2',
	'max_terminations = 2 ends two in each sample');
is( $observer->query(
		"SELECT string_agg(pid::text, ' ' ORDER BY terminated_at, idle_for DESC) FROM pool_monitor_terminations WHERE application_name = 'many'"),
	join(' ', map { $_->pid } @many),
	'the longest idle first');
configure(max_terminations => 0, idle_timeout => undef);
@many = map { client('all at once') } 1 .. 25;
idle_since($many[24], 0.1, '25 sessions have been idle');
configure(idle_timeout => '50ms');
$_->wait_end foreach @many;
$observer->holds(
	"SELECT count(*) = 25 AND count(DISTINCT terminated_at) = 1 FROM pool_monitor_terminations WHERE application_name = 'all at once'",
	'max_terminations = 0 ends all in one sample');
configure(max_terminations => undef, idle_timeout => undef);

#
# terminate_superusers
#
my $super = PoolMonitor::Wire->new($node, appname => 'super');
configure(idle_timeout => '50ms');
idle_since($super, 0.1, "a superuser's session has been idle");
$observer->samples(5);
ok(is_alive($super), "a superuser's session is left alone");
configure(pools => 'observer: application=observer idle_timeout=0', terminate_superusers => 'on');
is($super->wait_end, '57P05', 'unless terminate_superusers is on');
configure(pools => undef, terminate_superusers => undef, idle_timeout => undef);

#
# terminate_above: 100 slots are for ordinary roles, the observer has one of
# them
#
configure(terminate_above => 100, max_terminations => 0, idle_timeout => '10ms');
my @crowd = map { client('crowd') } 1 .. 79;
is($observer->query('SELECT connections, utilization FROM pool_monitor_status'), '80|0.8', 'at 80%');
configure(terminate_above => 90);
$observer->samples(10);
is(records('count(*)', 'crowd'), '0', 'terminate_above = 90 ends none');
my $promised = q{SELECT count(*), count(terminates_at), string_agg(DISTINCT exempt, ',') FROM pool_monitor_sessions WHERE application_name = 'crowd'};
is($observer->query($promised), '79|0|waiting for terminate_above', 'and the view promises no end');
configure(terminate_above => 100);
push @crowd, map { client('crowd') } 1 .. 15;
is($observer->query('SELECT connections, utilization FROM pool_monitor_status'), '95|0.95', 'at 95%');
$observer->samples(5);
is(records('count(*)', 'crowd'), '0', 'not as long as they are below the percentage');
configure(terminate_above => 90);
is($crowd[$_]->wait_end, '57P05', 'one of the longest idle ends') foreach 0 .. 5;
$observer->samples(10);
$observer->holds("SELECT count(*) = 6 FROM pool_monitor_terminations WHERE application_name = 'crowd'", 'six are recorded');
is( $observer->query('SELECT connections, utilization FROM pool_monitor_status'),
	'89|0.89', 'just enough go to come below it');
is( $observer->query(
		"SELECT string_agg(pid::text, ' ' ORDER BY terminated_at, idle_for DESC) FROM pool_monitor_terminations WHERE application_name = 'crowd'"),
	join(' ', map { $_->pid } @crowd[ 0 .. 5 ]),
	'the longest idle ones');
my $one_more = client('crowd');
is($crowd[6]->wait_end, '57P05', 'each one that comes costs the longest idle one its session');
$observer->holds("SELECT count(*) = 7 FROM pool_monitor_terminations WHERE application_name = 'crowd'", 'which is recorded');
$one_more->quit;
$_->drop foreach @crowd[ 7 .. 93 ];
configure(terminate_above => undef, max_terminations => undef, idle_timeout => undef);

#
# Counters
#
my $ended = $observer->query(
	"SELECT count(*) FROM pool_monitor_terminations WHERE outcome = 'terminated'");
$observer->holds("SELECT terminated = $ended FROM pool_monitor_status",
	'the status counts as many as the record says');
$observer->holds("SELECT sum(terminated) = $ended FROM pool_monitor_groups", 'so do the groups');
$observer->holds("SELECT sum(terminated) = $ended FROM pool_monitor_applications", 'the applications');
$observer->holds("SELECT sum(terminated) = $ended FROM pool_monitor_utilization(now() - interval '1 day')", 'and history');
is( $observer->query(
		"SELECT sum(sessions_fatal), sum(sessions_killed) FROM pool_monitor_groups WHERE usename = 'app'"),
	'0|0',
	'they are neither fatal nor killed');
is( $observer->query(
		"SELECT count(*) FROM pool_monitor_terminations WHERE outcome <> 'terminated' AND application_name <> 'dry'"),
	'0',
	'no session was spared: they were all idle');

configure(pools => 'invalid: application=long* size=5');
$observer->holds('SELECT count(*) = 1 FROM pool_monitor_pools', 'a pool takes some of them');
is($observer->query('SELECT invalid FROM pool_monitor_pools'), '0', 'a session that was ended is not invalid');

done_testing();
