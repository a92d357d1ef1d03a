# Who is never ended, and why: the exemption follows what the session does.

use strict;
use warnings;

use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PoolMonitor::new_node(
	'exemptions',
	extension => 1,
	conf => "max_connections = 40\nmax_prepared_transactions = 2\n"
	  . "pool_monitor.sample_interval = '20ms'\npool_monitor.idle_timeout = '1h'\n"
	  . "pool_monitor.idle_in_transaction_timeout = '1h'\n");
$node->safe_psql('postgres', 'CREATE ROLE app LOGIN; CREATE ROLE chief LOGIN SUPERUSER');
$node->safe_psql('postgres', "CREATE FUNCTION listen_and_fail() RETURNS void LANGUAGE plpgsql AS
	\$\$BEGIN EXECUTE 'LISTEN a'; RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN END\$\$");
$node->safe_psql('postgres', "CREATE FUNCTION listen() RETURNS void LANGUAGE plpgsql AS
	\$\$BEGIN EXECUTE 'LISTEN a'; END\$\$");

sub client
{
	my ($appname, @opts) = @_;
	return PoolMonitor::Wire->new($node, user => 'app', appname => $appname, @opts);
}

# What pool_monitor_sessions says of a client, "-" for nothing.  Its state is
# idle by then.
sub exempt
{
	my ($client) = @_;
	my $pid = $client->pid;

	$node->poll_query_until('postgres',
		"SELECT state <> 'active' FROM pg_stat_activity WHERE pid = $pid") || die 'it stays busy';
	return $node->safe_psql('postgres',
		"SELECT coalesce(exempt, '-') FROM pool_monitor_sessions WHERE pid = $pid");
}

# follows(CLIENT, [STATEMENT, EXPECTED, LABEL]...)
sub follows
{
	my ($client, @steps) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	foreach my $step (@steps)
	{
		my ($sql, $expected, $label) = @$step;

		$client->query($sql) if $sql ne '';
		is(exempt($client), $expected, $label);
	}
	return;
}

my $client = client('listener');
follows(
	$client,
	[ '', '-', 'a session is not exempt' ],
	[ 'LISTEN a', 'LISTEN', 'LISTEN makes it exempt' ],
	[ 'SELECT 1', 'LISTEN', 'it stays that' ],
	[ 'LISTEN a', 'LISTEN', 'to listen twice changes nothing' ],
	[ 'UNLISTEN b', 'LISTEN', 'nor does UNLISTEN of another channel' ],
	[ 'UNLISTEN a', '-', 'UNLISTEN ends it, once for both' ],
	[ 'LISTEN a', 'LISTEN', 'it listens again' ],
	[ 'LISTEN b', 'LISTEN', 'to two channels' ],
	[ 'UNLISTEN a', 'LISTEN', 'UNLISTEN of one of two leaves the other' ],
	[ 'UNLISTEN b', '-', 'UNLISTEN of both ends it' ],
	[ 'LISTEN a; LISTEN b', 'LISTEN', 'two in one message' ],
	[ 'UNLISTEN *', '-', 'UNLISTEN * ends all' ],
	[ 'UNLISTEN *', '-', 'also if there is nothing' ],
	[ 'LISTEN a', 'LISTEN', 'it listens again' ],
	[ 'DISCARD ALL', '-', 'DISCARD ALL ends all' ],
	[ 'DISCARD ALL', '-', 'also if there is nothing' ],
	[ 'LISTEN a', 'LISTEN', 'it listens again' ],
	[ 'DISCARD PLANS', 'LISTEN', 'another DISCARD does not' ],
	[ 'UNLISTEN a; LISTEN b', 'LISTEN', 'from one channel to another' ],
	[ 'LISTEN "B"; UNLISTEN b', 'LISTEN', 'case matters' ],
	[ 'UNLISTEN "B"', '-', 'for both' ],
	[ 'LISTEN ' . 'x' x 80, 'LISTEN', 'a name that is too long' ],
	[ 'UNLISTEN ' . 'x' x 63, '-', 'is cut as the server cuts it' ]);
is($client->query('SELECT count(*) FROM pg_listening_channels()')->{rows}[0][0],
	'0', 'the server agrees');

# Transactions and savepoints
follows(
	$client,
	[ 'BEGIN', '-', 'in a transaction' ],
	[ 'LISTEN a', '-', 'LISTEN waits for the commit' ],
	[ 'COMMIT', 'LISTEN', 'and counts then' ],
	[ 'BEGIN; UNLISTEN a', 'LISTEN', 'so does UNLISTEN wait' ],
	[ 'ROLLBACK', 'LISTEN', 'and is forgotten with a transaction that is rolled back' ],
	[ 'BEGIN; UNLISTEN a; COMMIT', '-', 'or counts' ],
	[ 'BEGIN; LISTEN a; ROLLBACK', '-', 'LISTEN is forgotten likewise' ],
	[ 'BEGIN; LISTEN a; SELECT 1/0', '-', 'also after an error' ],
	[ 'COMMIT', '-', 'that the commit finds' ],
	[ 'LISTEN a; SELECT 1/0', '-', 'or outside of a block' ],
	[ 'BEGIN; SAVEPOINT s; LISTEN a; ROLLBACK TO s; COMMIT', '-', 'forgotten with a savepoint' ],
	[ 'BEGIN; SAVEPOINT s; LISTEN a; RELEASE s; COMMIT', 'LISTEN', 'kept with one that is released' ],
	[ 'BEGIN; SAVEPOINT s; UNLISTEN *; ROLLBACK TO s; COMMIT', 'LISTEN', 'UNLISTEN * is forgotten likewise' ],
	[ 'BEGIN; SAVEPOINT s; UNLISTEN *; RELEASE s; ROLLBACK', 'LISTEN', 'also in two steps' ],
	[ 'BEGIN; SAVEPOINT s; SAVEPOINT t; UNLISTEN *; RELEASE t; ROLLBACK TO s; COMMIT', 'LISTEN', 'and nested ones' ],
	[ 'BEGIN; SAVEPOINT s; SAVEPOINT t; UNLISTEN *; RELEASE t; RELEASE s; COMMIT', '-', 'or kept' ],
	[ 'BEGIN; LISTEN a; SAVEPOINT s; UNLISTEN a; ROLLBACK TO s; COMMIT', 'LISTEN', 'a savepoint takes back only its own' ],
	[ 'BEGIN; UNLISTEN a; LISTEN b; UNLISTEN b; COMMIT', '-', 'the order counts' ],
	[ 'SELECT listen_and_fail()', '-', 'a function that catches its error' ],
	[ 'SELECT listen()', 'LISTEN', 'or does not' ],
	[ 'BEGIN; UNLISTEN *; COMMIT AND CHAIN', '-', 'a chained transaction' ],
	[ 'LISTEN a; ROLLBACK', '-', 'is one of its own' ]);
is($client->query('SELECT count(*) FROM pg_listening_channels()')->{rows}[0][0],
	'0', 'the server agrees again');

# At random, against the server's own list
my @words = ('LISTEN a', 'LISTEN b', 'LISTEN c', 'UNLISTEN a', 'UNLISTEN b', 'UNLISTEN *', 'SELECT 1/0',
	'SAVEPOINT s', 'ROLLBACK TO s', 'RELEASE s', 'SELECT listen_and_fail()');
my ($listened, @differ) = (0);
srand(1);
foreach (1 .. 60)
{
	my @sql = ('BEGIN', (map { $words[ int rand @words ] } 1 .. 2 + int rand 7),
		rand() < 0.7 ? 'COMMIT' : 'ROLLBACK');

	$client->query($_) foreach @sql;
	my $listens = $client->query('SELECT count(*) > 0 FROM pg_listening_channels()')->{rows}[0][0];
	$listened++ if $listens eq 't';
	push @differ, join('; ', @sql) if (exempt($client) eq 'LISTEN') ne ($listens eq 't');
}
is(join(' / ', @differ), '', 'after each of 60 random transactions the server and we agree');
ok($listened > 10 && $listened < 50, 'on one thing and on the other');
$client->quit;

# Advisory locks
$client = client('locks');
follows(
	$client,
	[ 'SELECT pg_advisory_lock(1)', 'advisory lock', 'a session with an advisory lock is exempt' ],
	[ 'SELECT pg_advisory_lock(1)', 'advisory lock', 'also if it has it twice' ],
	[ 'SELECT pg_advisory_unlock(1)', 'advisory lock', 'and returns it once' ],
	[ 'SELECT pg_advisory_unlock(1)', '-', 'until it has none' ],
	[ 'SELECT pg_advisory_lock_shared(1, 2)', 'advisory lock', 'a shared one is one' ],
	[ 'SELECT pg_advisory_unlock_all()', '-', 'they all go at once' ],
	[ 'SELECT pg_advisory_xact_lock(1)', '-', 'a lock of a transaction has gone with it' ],
	[ 'BEGIN; SELECT pg_advisory_lock(1); ROLLBACK', 'advisory lock', "a session's lock survives a rollback" ],
	[ 'DISCARD ALL', '-', 'but not DISCARD ALL' ]);
$client->quit;

# Core's timeouts, turned off by the session itself
$node->safe_psql('postgres', "CREATE ROLE calm LOGIN; ALTER ROLE calm SET idle_session_timeout = 0;
	ALTER ROLE calm SET idle_in_transaction_session_timeout = 0;
	CREATE FUNCTION calmly() RETURNS void LANGUAGE sql SET idle_in_transaction_session_timeout = 0 AS 'SELECT'");
$client = client('own settings');
follows(
	$client,
	[ 'SET idle_in_transaction_session_timeout = 0', '-', 'the timeout of transactions is none for the idle' ],
	[ 'BEGIN', 'own setting', 'but in a transaction it exempts' ],
	[ 'SELECT 1/0', 'own setting', 'also in an aborted one' ],
	[ 'ROLLBACK; RESET idle_in_transaction_session_timeout; BEGIN', '-', 'until it is reset' ],
	[ 'SET LOCAL idle_in_transaction_session_timeout = 0', 'own setting', 'SET LOCAL counts at once' ],
	[ 'COMMIT; BEGIN', '-', 'and until the end of its transaction' ],
	[ "SELECT set_config('idle_in_transaction_session_timeout', '0', false)", 'own setting', 'so does set_config()' ],
	[ 'ROLLBACK; BEGIN', '-', 'which a rollback undoes' ],
	[ 'SAVEPOINT s; SET idle_in_transaction_session_timeout = 0', 'own setting', 'after a savepoint' ],
	[ 'ROLLBACK TO s', '-', 'a rollback to it is enough' ],
	[ 'SELECT calmly()', '-', 'the setting of a function ends with it' ],
	[ 'SET idle_in_transaction_session_timeout = 3600000', '-', 'another value than 0 is none' ],
	[ 'SET idle_in_transaction_session_timeout TO DEFAULT', '-', 'nor is the default' ],
	[ 'COMMIT; SET idle_session_timeout = 0', 'own setting', 'the timeout of the idle exempts the idle' ],
	[ 'BEGIN', '-', 'not in a transaction' ],
	[ "COMMIT AND CHAIN; SET idle_in_transaction_session_timeout TO 0; PREPARE TRANSACTION 'own'", 'own setting', 'a transaction that is prepared' ],
	[ "ROLLBACK PREPARED 'own'; BEGIN", 'own setting', 'commits its settings' ],
	[ 'COMMIT', 'own setting', 'its end is the end of that' ],
	[ 'DISCARD ALL', '-', 'DISCARD ALL ends all of it' ]);
$client->quit;
$client = client('start-up', options => '-c idle_session_timeout=0');
follows(
	$client,
	[ '', 'own setting', 'the start-up packet counts' ],
	[ 'SET idle_session_timeout = 1000000', '-', 'until something else is set' ],
	[ 'RESET idle_session_timeout', 'own setting', 'RESET goes back to it' ]);
$client->quit;
$client = client('by role', user => 'calm');
follows(
	$client,
	[ '', '-', "a role's setting does not exempt" ],
	[ 'BEGIN', '-', 'in no state' ],
	[ 'SET idle_in_transaction_session_timeout = 0', 'own setting', 'to set the same value oneself does' ]);
$client->quit;

# Snapshots
$client = client('exports');
follows(
	$client,
	[ 'BEGIN ISOLATION LEVEL REPEATABLE READ', '-', 'a transaction like others' ],
	[ 'SELECT pg_export_snapshot()', 'exported snapshot', 'that exports its snapshot' ],
	[ 'SELECT pg_export_snapshot(); SELECT 1', 'exported snapshot', 'or two' ],
	[ 'COMMIT', '-', 'for as long as it lasts' ],
	[ 'BEGIN; SAVEPOINT s; RELEASE s; SELECT 1', '-', 'the next one has exported nothing' ]);
$client->quit;

# Other reasons
$client = PoolMonitor::Wire->new($node, user => 'chief', appname => 'chief');
is(exempt($client), 'superuser', 'a superuser is exempt');
follows(
	$client,
	[ 'SET track_activities = off', 'track_activities is off', 'who turns track_activities off is, too' ],
	[ 'SET track_activities = on', 'superuser', 'and a superuser again' ],
	[ 'SET ROLE app', 'superuser', 'SET ROLE changes nothing' ],
	[ 'RESET ROLE; LISTEN a; SELECT pg_advisory_lock(1)', 'superuser', 'a superuser is that first' ]);
is( $node->safe_psql('postgres',
		"SELECT idle_limit, terminates_at IS NULL FROM pool_monitor_sessions WHERE application_name = 'chief'"),
	'01:00:00|t',
	'the limit is shown, but no end');

# Now in earnest.  All these would be due at once.
my %kept = (
	listens => client('listens'),
	locked => client('locked'),
	pool => client('pool'),
	chief => $client,
	transaction => client('transaction'),
	own => client('own'),
	exports => client('exports'),
	dark => PoolMonitor::Wire->new($node, user => 'chief', appname => 'dark', options => '-c track_activities=off'));
$kept{own}->query('SET idle_session_timeout = 0');
$kept{exports}->query('BEGIN; SELECT pg_export_snapshot()');
$kept{listens}->query('LISTEN a');
$kept{locked}->query('SELECT pg_advisory_lock(2)');
$kept{transaction}->query('LISTEN a');
$kept{transaction}->query('BEGIN');
my $plain = client('plain');
$node->append_conf('postgresql.conf', q{
pool_monitor.idle_timeout = '50ms'
pool_monitor.idle_in_transaction_timeout = '50ms'
pool_monitor.pools = 'kept: application=pool idle_timeout=0 idle_in_transaction_timeout=0'
});
$node->reload;
is($plain->wait_end, '57P05', 'a session like the others, but not exempt, is ended');
my $samples = $node->safe_psql('postgres', 'SELECT samples FROM pool_monitor_info');
PoolMonitor::wait_until($node, "SELECT samples >= $samples + 10 FROM pool_monitor_info",
	'some samples later');
foreach my $name (sort keys %kept)
{
	ok($kept{$name}->query('SELECT 1')->{ready}, "an exempt session is still there: $name");
}
is( $node->safe_psql('postgres',
		"SELECT string_agg(DISTINCT application_name, ' ') FROM pool_monitor_terminations"),
	'plain',
	'and nothing was decided about any of them');

# A dump in several processes.  Its leader holds the locks of all tables, and is
# idle in transaction while others read them.  Two that are slow keep both of
# them busy while the third would be emptied.
$node->safe_psql('postgres', q{
	CREATE TABLE slow_1 AS SELECT g AS i FROM generate_series(1, 5000) g;
	CREATE TABLE slow_2 AS SELECT * FROM slow_1;
	CREATE TABLE later AS SELECT g AS i FROM generate_series(1, 1000) g;
	ANALYZE;
	CREATE FUNCTION wait_for_test() RETURNS boolean LANGUAGE plpgsql STABLE AS
		'BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN true; END';
	ALTER TABLE slow_1 ENABLE ROW LEVEL SECURITY;
	ALTER TABLE slow_2 ENABLE ROW LEVEL SECURITY;
	CREATE POLICY slow ON slow_1 USING ((SELECT wait_for_test()));
	CREATE POLICY slow ON slow_2 USING ((SELECT wait_for_test()));
	GRANT pg_read_all_data TO app;
});
$kept{chief}->query('SELECT pg_advisory_lock(42)');
my $folder = PostgreSQL::Test::Utils::tempdir() . '/dump';
my $log = '';
my $dump = IPC::Run::start(
	[ 'pg_dump', '-U', 'app', '-Fd', '-j', '2', '--enable-row-security', '-f', $folder,
		'-t', 'slow_*', '-t', 'later', $node->connstr('postgres') . ' application_name=pg_dump' ],
	'<', \undef, '>&', \$log);
PoolMonitor::wait_until($node,
	"SELECT count(*) = 2 FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted",
	'both processes of a dump are busy');
PoolMonitor::wait_until($node,
	"SELECT NOT EXISTS (SELECT FROM pool_monitor_sessions WHERE application_name = 'pg_dump'"
	  . " AND state = 'idle in transaction' AND state_age < '200 ms')",
	'the leader has been idle for longer than the limit');
is( $node->safe_psql('postgres',
		"SELECT exempt FROM pool_monitor_sessions WHERE application_name = 'pg_dump' AND state = 'idle in transaction'"),
	'own setting',
	'it is there, and exempt');
my (undef, undef, $stderr) = $node->psql('postgres', "SET lock_timeout = '1ms'; TRUNCATE later");
like($stderr, qr/canceling statement due to lock timeout/, 'so nobody can empty a table that is still to come');
$kept{chief}->query('SELECT pg_advisory_unlock(42)');
ok($dump->finish, 'the dump succeeds') || diag($log);
$node->safe_psql('postgres', 'TRUNCATE later');
$node->command_ok([ 'pg_restore', '-d', $node->connstr('postgres'), '--data-only', '-t', 'later', $folder ],
	'it is restored from the dump');
is($node->safe_psql('postgres', 'SELECT count(*) FROM later'), '1000', 'with all its rows');

# An exemption that ends
$kept{listens}->send_query('UNLISTEN *');
is($kept{listens}->wait_end, '57P05', 'who stops to listen is ended in turn');
$kept{locked}->send_query('SELECT pg_advisory_unlock_all()');
is($kept{locked}->wait_end, '57P05', 'so is who releases its locks');
$kept{transaction}->send_query('UNLISTEN *');
is($kept{transaction}->query('SELECT 1')->{ready}, 1, 'but not before the commit');

# In a pipeline, an idle state may hide a transaction
$node->append_conf('postgresql.conf', "pool_monitor.idle_timeout = '1h'\n");
$node->reload;
PoolMonitor::wait_until($node, "SELECT setting = '3600000' FROM pg_settings WHERE name = 'pool_monitor.idle_timeout'",
	'a long limit again');
$client = client('describe');
$client->parse('s', 'SELECT 1')->sync->wait_ready;
$client->describe('s');
$client->send('H', '');
$client->wait_for('T');
$node->append_conf('postgresql.conf', "pool_monitor.idle_timeout = '50ms'\n");
$node->reload;
PoolMonitor::wait_until($node,
	"SELECT count(*) > 0 FROM pool_monitor_terminations WHERE application_name = 'describe'",
	'a session between Describe and Sync is asked');
is( $node->safe_psql('postgres',
		"SELECT DISTINCT outcome, detail FROM pool_monitor_terminations WHERE application_name = 'describe'"),
	'spared|the session could not be interrupted',
	'and turns it down');
$client->sync;
ok($client->wait_ready->{ready}, 'it goes on');

done_testing();
