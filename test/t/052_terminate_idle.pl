# pool_monitor_terminate_idle(): its arguments, who may end whose sessions, and
# what it leaves behind.

use strict;
use warnings;

use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PoolMonitor::new_node(
	'terminate_idle',
	extension => 1,
	conf => "listen_addresses = '127.0.0.1'\nmax_connections = 40\npool_monitor.sample_interval = '50ms'\n");
$node->safe_psql('postgres', q{
	CREATE ROLE app LOGIN;
	CREATE ROLE other LOGIN;
	CREATE ROLE member LOGIN IN ROLE app;
	CREATE ROLE reader LOGIN IN ROLE pg_read_all_stats;
	CREATE ROLE signaller LOGIN IN ROLE pg_signal_backend;
	CREATE ROLE chief LOGIN SUPERUSER;
});
$node->safe_psql('postgres', 'CREATE DATABASE shop');

sub client
{
	my (%opts) = @_;
	return PoolMonitor::Wire->new($node, user => 'app', appname => 'web', %opts);
}

# Waits until these have been idle for 50 ms
sub settle
{
	foreach my $client (@_)
	{
		$node->poll_query_until('postgres',
			"SELECT state = 'idle' AND clock_timestamp() - state_change > '50 ms' FROM pg_stat_activity WHERE pid = "
			  . $client->pid) || die 'it stays busy';
	}
	return;
}

# call(ARGUMENTS, [ROLE], [COLUMNS])
sub call
{
	my ($arguments, $role, $columns) = @_;
	$columns = "string_agg(concat_ws(' ', application_name, datname, usename, outcome, detail), ',' ORDER BY usename, datname, application_name, outcome)"
	  unless defined $columns;
	return $node->safe_psql('postgres', "SELECT $columns FROM pool_monitor_terminate_idle($arguments)",
		extra_params => [ '-U', defined $role ? $role : 'chief' ]);
}

sub is_alive { return $_[0]->query('SELECT 1')->{ready}; }

# Arguments that make no sense
foreach my $case (
	[ 'NULL', qr/"idle_for" must not be null/, 'no age' ],
	[ "'-1 s'", qr/"idle_for" must be greater than zero/, 'a negative age' ],
	[ "'0'", qr/"idle_for" must be greater than zero/, 'age 0' ],
	[ "'1 month'", qr/"idle_for" must not contain months or years/, 'months' ],
	[ "'1 s', max_sessions => -1", qr/"max_sessions" must be at least 0/, 'a negative number' ],
	[ "'1 s', datname => 'nowhere'", qr/database "nowhere" does not exist/, 'a database that is missing' ],
	[ "'1 s', usename => 'nobody'", qr/role "nobody" does not exist/, 'a role that is missing' ])
{
	my ($arguments, $message, $label) = @$case;
	my (undef, undef, $stderr) = $node->psql('postgres',
		"SELECT * FROM pool_monitor_terminate_idle($arguments)");

	like($stderr, $message, "$label is refused");
}

# A dry run is the default
my %clients = (
	web => client(),
	shop => client(dbname => 'shop'),
	mail => client(appname => 'mail'),
	other => client(user => 'other'),
	chief => PoolMonitor::Wire->new($node, user => 'chief', appname => 'web'));
settle(values %clients);
is( call("'10 ms'"),
	'mail postgres app dry run,web postgres app dry run,web shop app dry run,web postgres chief spared superuser,web postgres other dry run',
	'without more it only says whom it would end');
is(call("'10 ms', dry_run => NULL", 'other'), 'web postgres other dry run', 'null is a dry run as well');
ok(is_alive($clients{$_}), "$_ is still there") foreach sort keys %clients;
settle(values %clients);

is($node->safe_psql('postgres', 'SELECT count(*) FROM pool_monitor_terminations'),
	'0', 'who only asks leaves no record');
unlike(slurp_file($node->logfile), qr/LOG:  (?:would terminate|spared) session/, 'and nothing in the log');

# Filters
is(call("'10 ms', 'mail'"), 'mail postgres app dry run', 'by application');
is(call("'10 ms', 'mai%'"), '', 'which is no pattern');
is(call("'10 ms', datname => 'shop'"), 'web shop app dry run', 'by database');
is(call("'10 ms', usename => 'other'"), 'web postgres other dry run', 'by role');
is(call("'10 ms', 'web', 'postgres', 'app'"), 'web postgres app dry run', 'by all of them');
is(call("'1 h'"), '', 'by age');
is(call("'10 ms', max_sessions => 0"), 'web postgres chief spared superuser', 'none at most');
my $longest = $node->safe_psql('postgres',
	"SELECT pid FROM pg_stat_activity WHERE usename IN ('app', 'other') ORDER BY state_change LIMIT 1");
is(call("'10 ms', max_sessions => 1", undef, "string_agg(pid::text, ' ') FILTER (WHERE outcome = 'dry run')"),
	$longest, 'one at most: the longest idle');
is(call("'10 ms', max_sessions => 2", undef, "count(*) FILTER (WHERE outcome = 'dry run')"), '2', 'two at most');
is(call("'10 ms', max_sessions => NULL", undef, 'count(*)'), '5', 'null is no limit');

# Who may
is(call("'10 ms'", 'other'), 'web postgres other dry run', 'a role may end its own sessions');
is(call("'10 ms'", 'reader'), '', 'who may read all statistics may end none of others');
is( call("'10 ms'", 'member'),
	'mail postgres app dry run,web postgres app dry run,web shop app dry run',
	"a member of a role may end the role's");
is( call("'10 ms'", 'signaller', "string_agg(concat_ws(' ', datname, usename, outcome), ',' ORDER BY usename, datname)"),
	'postgres app,postgres app,shop app,postgres other',
	"pg_signal_backend may end others' except superusers', but reads no more of them than elsewhere");
is(call("'10 ms', usename => 'chief'", 'signaller'), '', 'and does not hear of them');

# In earnest
is( call("'10 ms', 'mail', dry_run => false", undef,
		"usename, state, limit_applied, pool, reason, outcome, detail, idle_for > '50 ms'"),
	'app|idle|00:00:00.01||requested|terminated||t',
	'it ends a session and tells');
is($clients{mail}->wait_end, '57P05', 'the client hears why');
is(call("'10 ms', dry_run => false", 'reader'), '', 'who may not, ends none');
ok(is_alive($clients{$_}), "$_ is still there") foreach ('web', 'shop', 'other', 'chief');
settle(@clients{ 'web', 'shop', 'other', 'chief' });
is(call("'10 ms', dry_run => false", 'other'), 'web postgres other terminated', 'a role ends its own');
is($clients{other}->wait_end, '57P05', 'it does');
is( call("'10 ms', max_sessions => 1, dry_run => false", 'signaller', 'count(*)'),
	'1', 'one of two');
is(call("'10 ms', dry_run => false", 'signaller', 'count(*)'), '1', 'then the other');
is($clients{web}->wait_end, '57P05', 'both are gone: this one');
is($clients{shop}->wait_end, '57P05', 'and that one');
ok(is_alive($clients{chief}), 'the superuser is not');
PoolMonitor::wait_until($node, 'SELECT terminated = 4 FROM pool_monitor_status', 'they are counted');

# Exemptions hold, and are told
my %exempt = (
	listens => client(appname => 'listens'),
	locks => client(appname => 'locks'),
	pool => client(appname => 'pool'),
	busy => client(appname => 'busy'),
	transaction => client(appname => 'transaction'));
$exempt{listens}->query('LISTEN a');
$exempt{locks}->query('SELECT pg_advisory_lock(1)');
$exempt{transaction}->query('BEGIN');
my @warm = map { client(appname => 'warm') } 1 .. 3;
settle(@exempt{ 'listens', 'locks', 'pool' }, @warm);
$exempt{busy}->send_query('SELECT pg_sleep(100)');
$node->append_conf('postgresql.conf',
	"pool_monitor.pools = 'p: application=pool idle_timeout=0; w: application=warm keep_idle=2; l: application=other max_lifetime=1ms'\n");
$node->reload;
PoolMonitor::wait_until($node, 'SELECT count(*) = 3 FROM pool_monitor_pools', 'pools are declared');
is( call("'10 ms', usename => 'app', dry_run => false"),
	'listens postgres app spared LISTEN,locks postgres app spared advisory lock,'
	  . 'pool postgres app spared timeout 0,'
	  . 'warm postgres app spared keep_idle,warm postgres app spared keep_idle,warm postgres app terminated',
	'what a pool or a session forbids holds here, too; others than idle ones are no candidates');
is($warm[0]->wait_end, '57P05', 'of the pool, the longest idle one ends');
ok(is_alive($exempt{$_}), "$_ is still there") foreach ('listens', 'locks', 'pool', 'transaction');
$exempt{busy}->drop;
$exempt{$_}->quit foreach ('listens', 'locks', 'pool', 'transaction');
$_->quit foreach @warm[ 1, 2 ];
$node->append_conf('postgresql.conf', "pool_monitor.pools = ''\n");
$node->append_conf('postgresql.conf', "pool_monitor.terminate_superusers = on\n");
$node->reload;
PoolMonitor::wait_until($node,
	"SELECT setting = 'on' FROM pg_settings WHERE name = 'pool_monitor.terminate_superusers'",
	'superusers may be ended');
settle($clients{chief});
is(call("'10 ms', 'web', dry_run => false", 'signaller'), '', 'by a superuser only');
is(call("'10 ms', 'web', dry_run => false"), 'web postgres chief terminated', 'who does');
is($clients{chief}->wait_end, '57P05', 'and it has ended');

# One session by its pid
sub terminate
{
	my ($client, $role, $more) = @_;

	return $node->safe_psql('postgres',
		'SELECT outcome, detail FROM pool_monitor_terminate(' . $client->pid . (defined $more ? $more : '') . ')',
		extra_params => [ '-U', defined $role ? $role : 'app' ]);
}

{
	my $client = client();
	is(terminate($client), 'terminated|', 'an idle session can be ended by its pid, by its own role');
	is($client->wait_end, '57P05', 'and ends');
	PoolMonitor::wait_until($node,
		q{SELECT reason = 'requested' AND outcome = 'terminated' AND limit_applied = '0' FROM pool_monitor_terminations WHERE pid = }
		  . $client->pid, 'it is recorded');
	is(terminate($client), 'failed|there is no session with that process ID', 'then there is none');
	is($node->safe_psql('postgres', "SELECT outcome FROM pool_monitor_terminate(1)"), 'failed', 'nor has any other process one');
	is($node->safe_psql('postgres', "SELECT count(*) FROM pool_monitor_terminate(NULL)"), '0', 'null is nobody');

	$client = client();
	$client->query('BEGIN');
	is(terminate($client, 'signaller'), 'terminated|', 'so can one in a transaction, and by pg_signal_backend');
	is($client->wait_end, '25P03', 'and ends');

	$client = client();
	my ($status, undef, $stderr) = $node->psql('postgres', 'SELECT * FROM pool_monitor_terminate(' . $client->pid . ')',
		extra_params => [ '-U', 'other' ]);
	like($stderr, qr/permission denied to terminate session with PID/, 'not by another role');
	foreach my $case ([ 'LISTEN a', 'LISTEN' ], [ 'SELECT pg_advisory_lock(1)', 'advisory lock' ])
	{
		my ($sql, $reason) = @$case;

		$client->query($sql);
		is(terminate($client), "spared|$reason", "$reason spares it");
		$client->query('UNLISTEN *');
	}
	$client->query('SET idle_session_timeout = 0');
	is(terminate($client, undef, ', true'), 'spared|own setting', 'an own setting does, even if forced');
	$client->query('RESET idle_session_timeout');
	$client->query('LISTEN a');
	$client->send_query('SELECT pg_sleep(3600)');
	PoolMonitor::wait_until($node, "SELECT state = 'active' FROM pg_stat_activity WHERE pid = " . $client->pid, 'it runs a statement');
	is(terminate($client, undef, ', force => true'), 'spared|the session is busy, or has been', 'a statement is never cut');
	$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $client->pid . ')');
	is($client->wait_ready->{sqlstate}, '57014', 'but goes on until it is canceled');
	is(terminate($client, undef, ', force => true'), 'terminated|', 'when it is idle, force ends it');
	is($client->wait_end, '57P05', 'it does');
}

# Somebody else is asking
{
	my $client = client(appname => 'asked twice');
	settle($client);
	kill 'STOP', $client->pid;
	my $first = PoolMonitor::session($node, appname => 'first', user => 'chief');
	$first->query_async("SELECT outcome FROM pool_monitor_terminate_idle('10 ms', 'asked twice', dry_run => false)");
	PoolMonitor::wait_until($node,
		"SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = " . $first->pid,
		'one caller asks a session');
	is(call("'10 ms', 'asked twice', dry_run => false"),
		'asked twice postgres app spared somebody else is asking the session', 'another one is told so');
	kill 'CONT', $client->pid;
	$first->wait;
	is($client->wait_end, '57P05', 'the session ends for the first one');
}

# A client that is sending
{
	my $client = PoolMonitor::Wire->new($node, user => 'app', appname => 'sending', host => '127.0.0.1');
	settle($client);
	my $message = 'Q' . pack('N', 4 + length("SELECT 42\0")) . "SELECT 42\0";
	$client->send_raw(substr($message, 0, 3));
	PoolMonitor::wait_until($node, 'SELECT pg_sleep(0.01) IS NOT NULL', 'half of a message is sent');
	is(call("'10 ms', 'sending', dry_run => false"),
		'sending postgres app spared the client is sending its next message',
		'a client that is sending a message is spared');
	$client->send_raw(substr($message, 3));
	ok($client->wait_ready->{ready}, 'and its statement is executed');
	settle($client);
	is(call("'10 ms', 'sending', dry_run => false", undef, 'outcome'), 'terminated', 'it can be ended later');
	$client->drop;
}
{
	my $client = client(appname => 'large');
	settle($client);
	my $query = 'SELECT ' . join(' + ', (1) x 20_000) . "\0";
	my $message = 'Q' . pack('N', 4 + length($query)) . $query;
	$client->send_raw(substr($message, 0, 20_000));
	is(call("'10 ms', 'large', dry_run => false"),
		'large postgres app spared the client is sending its next message',
		'so is one with half of a large message, through whatever socket');
	$client->send_raw(substr($message, 20_000));
	ok($client->wait_ready->{ready}, 'and its statement is executed, too');
	$client->quit;
}

# Nothing is left behind by who is interrupted
foreach my $how ('pg_cancel_backend', 'pg_terminate_backend')
{
	my $client = client(appname => 'stopped');
	settle($client);
	kill 'STOP', $client->pid;

	my $caller = PoolMonitor::session($node, appname => 'caller', user => 'chief');
	$caller->query_async("SELECT outcome FROM pool_monitor_terminate_idle('10 ms', 'stopped', dry_run => false)");
	PoolMonitor::wait_until($node,
		"SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = " . $caller->pid,
		"a caller waits for a session that does not answer ($how)");
	$node->safe_psql('postgres', "SELECT $how(" . $caller->pid . ')');
	if ($how eq 'pg_cancel_backend')
	{
		$caller->wait;
		like($caller->stderr, qr/canceling statement due to user request/, 'the caller is canceled');
	}
	else
	{
		PoolMonitor::wait_until($node,
			'SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = ' . $caller->pid . ')',
			'the caller is gone');
	}
	is( $node->safe_psql('postgres',
			q{SELECT outcome || ' ' || detail FROM pool_monitor_terminations WHERE pid = } . $client->pid),
		'spared the request was withdrawn', "what it had asked is recorded ($how)");
	kill 'CONT', $client->pid;
	PoolMonitor::wait_until($node, "SELECT pg_sleep(0.1) IS NOT NULL", 'the session goes on');
	ok(is_alive($client), "and is not ended ($how)");
	settle($client) if is_alive($client);
	is(call("'10 ms', 'stopped', dry_run => false", undef, "coalesce(string_agg(outcome, ' '), 'nothing')"),
		'terminated', "until it is asked again ($how)");
	$client->drop;
}

done_testing();
