# Transactions: each that a client runs counts once, whatever its end and
# whatever the protocol; what a session does for itself does not count.

use strict;
use warnings;

use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PoolMonitor::new_node('transactions',
	extension => 1,
	conf => "max_prepared_transactions = 5\nlog_line_prefix = '%m [%p] %q%a '\nlog_error_verbosity = terse");
$node->safe_psql('postgres', q{
	CREATE TABLE t (a int PRIMARY KEY);
	CREATE ROLE weak LOGIN;
	CREATE PROCEDURE commits(n int) LANGUAGE plpgsql AS $$
		BEGIN FOR i IN 1..n LOOP COMMIT; END LOOP; END $$;
	CREATE PROCEDURE ends_each_way() LANGUAGE plpgsql AS $$
		BEGIN PERFORM 1; COMMIT; PERFORM 1; ROLLBACK; PERFORM 1; END $$;
	CREATE PROCEDURE fails_after_commit() LANGUAGE plpgsql AS $$
		BEGIN COMMIT; RAISE EXCEPTION 'no'; END $$});

my $observer = PoolMonitor::session($node, appname => 'observer');

sub client
{
	my ($appname, @opts) = @_;
	return PoolMonitor::Wire->new($node, appname => $appname, @opts);
}

# counted(APPNAME): its transactions so far
sub counted
{
	my ($appname) = @_;
	return $observer->query(
		"SELECT transactions FROM pool_monitor_applications WHERE application_name = '$appname'");
}

# A session for what follows; adds(EXPECTED, LABEL, SQL...) says how many
# transactions those messages are
my $client = client('simple');

sub adds
{
	my ($expected, $label, @messages) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $before = counted('simple');
	$client->query($_) foreach @messages;
	is(counted('simple') - $before, $expected, $label);
	return;
}

is(counted('simple'), 0, 'a login is no transaction');

# One by one
adds(1, 'a statement is a transaction', 'SELECT 1');
adds(5, 'five statements are five', ('SELECT 1') x 5);
adds(1, 'a statement that fails is one', 'SELECT 1/0');
adds(1, 'one that can not be parsed is one', 'SELEC 1');
adds(1, 'a block that is committed is one', 'BEGIN', 'SELECT 1', 'SELECT 2', 'COMMIT');
adds(1, 'a block that is rolled back is one', 'BEGIN', 'SELECT 1', 'ROLLBACK');
adds(1, 'a block that fails is one', 'BEGIN', 'SELECT 1/0', 'SELECT 1', 'ROLLBACK');
adds(1, 'a block that fails and is committed is one', 'BEGIN', 'SELECT 1/0', 'COMMIT');
adds(1, 'savepoints are none', 'BEGIN', 'SAVEPOINT a', 'SELECT 1/0', 'ROLLBACK TO a',
	'SAVEPOINT b', 'SELECT 1', 'RELEASE b', 'COMMIT');
adds(1, 'nor are those of a block that is rolled back', 'BEGIN', 'SAVEPOINT a', 'SAVEPOINT b',
	'SELECT 1', 'ROLLBACK');
adds(1, 'nor are blocks with exceptions',
	'DO $$ BEGIN FOR i IN 1..10 LOOP BEGIN PERFORM 1/0; EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END $$');
adds(1, 'a block is one, though it is declared twice', 'BEGIN', 'BEGIN', 'COMMIT');
adds(2, 'a chain is as many as its commits', 'BEGIN', 'SELECT 1', 'COMMIT AND CHAIN', 'SELECT 1', 'COMMIT');
adds(2, 'a chain of rollbacks too', 'BEGIN', 'SELECT 1/0', 'ROLLBACK AND CHAIN', 'SELECT 1', 'ROLLBACK');
adds(2, 'a prepared transaction is one, and its commit another',
	'BEGIN', 'INSERT INTO t VALUES (1)', "PREPARE TRANSACTION 'x'", "COMMIT PREPARED 'x'");
adds(2, 'or its rollback',
	'BEGIN', 'INSERT INTO t VALUES (2)', "PREPARE TRANSACTION 'x'", "ROLLBACK PREPARED 'x'");
adds(1, 'a constraint that fails at commit is one',
	'BEGIN', 'INSERT INTO t VALUES (1)', 'COMMIT');

# Several in one message
adds(1, 'several statements in one message are one', 'SELECT 1; SELECT 2; SELECT 3');
adds(1, 'also if the last one fails', 'SELECT 1; SELECT 2; SELECT 1/0');
adds(2, 'blocks in one message are as many as they are', 'BEGIN; SELECT 1; COMMIT; BEGIN; SELECT 2; COMMIT');
adds(3, 'with what is outside of them', 'SELECT 1; COMMIT; BEGIN; SELECT 2; ROLLBACK; SELECT 3');
adds(2, 'also if that fails', 'BEGIN; SELECT 1; COMMIT; SELECT 1/0; SELECT 2');

# Several in one statement
adds(4, 'a procedure that commits three times is four', 'CALL commits(3)');
adds(4, 'so is a DO block', 'DO $$ BEGIN COMMIT; COMMIT; COMMIT; PERFORM 1; END $$');
adds(3, 'a procedure that commits and rolls back is three', 'CALL ends_each_way()');
adds(2, 'one that fails after its commit is two', 'CALL fails_after_commit()');

# COPY
my $before = counted('simple');
$client->send_query('COPY t FROM STDIN');
$client->wait_for('G');
$client->send('d', "100\n101\n")->send('c', '');
$client->wait_ready;
is(counted('simple') - $before, 1, 'COPY is a transaction');
$before = counted('simple');
$client->send_query('COPY t FROM STDIN');
$client->wait_for('G');
$client->send('d', "102\nnonsense\n103\n")->send('c', '');
is($client->wait_ready->{sqlstate}, '22P02', 'COPY fails in the middle');
is(counted('simple') - $before, 1, 'that is a transaction');
$before = counted('simple');
$client->send_query('COPY t FROM STDIN');
$client->wait_for('G');
$client->send('d', "104\n")->send('f', "enough\0");
is($client->wait_ready->{sqlstate}, '57014', 'the client gives up in the middle of COPY');
is(counted('simple') - $before, 1, 'that is a transaction too');
foreach my $tracked ('on', 'off')
{
	my $copy = client("copy, tracked $tracked", options => "-c track_activities=$tracked");

	$copy->send_query('COPY t FROM STDIN');
	$copy->wait_for('G');
	$copy->send('d', "105\n");
	$copy->drop;
	PoolMonitor::wait_until($node,
		"SELECT sessions_fatal = 1 FROM pool_monitor_applications WHERE application_name = 'copy, tracked $tracked'",
		"a client is killed in the middle of COPY, with track_activities $tracked");
	is(counted("copy, tracked $tracked"), 1, 'that is a transaction too');
}

# Other ends of a connection in mid-transaction
my $cut = client('cut');
$cut->query('BEGIN');
$cut->query('SELECT 1');
is(counted('cut'), 0, 'a transaction counts when it ends');
$cut->drop;
$cut = client('cut');
$cut->query('BEGIN');
$observer->query('SELECT pg_terminate_backend(' . $cut->pid . ')');
$cut->wait_end;
$cut = client('cut');
$cut->query('BEGIN');
$cut->query('SELECT 1/0');
$observer->query('SELECT pg_terminate_backend(' . $cut->pid . ')');
$cut->wait_end;
$cut = client('cut');
$cut->send_query('SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(1000)');
$cut->wait_end;
PoolMonitor::wait_until($node, q{
	SELECT connections = 0 AND sessions = 4 AND sessions_abandoned = 1 AND sessions_killed = 3
	FROM pool_monitor_applications WHERE application_name = 'cut'},
	'sessions are cut in mid-transaction');
is(counted('cut'), 4, 'their transactions count');

# The extended protocol
$client = client('extended');
sub adds_extended
{
	my ($expected, $label, $send) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $before = counted('extended');
	$send->($client);
	$client->wait_ready;
	is(counted('extended') - $before, $expected, $label);
	return;
}

adds_extended(1, 'extended: a statement is a transaction',
	sub { $client->extended('SELECT 1')->sync });
adds_extended(1, 'extended: one that fails is one',
	sub { $client->extended('SELECT 1/0')->sync });
adds_extended(1, 'extended: a pipeline is one up to its end',
	sub { $client->extended("SELECT $_") foreach 1 .. 10; $client->sync });
adds_extended(1, 'extended: a pipeline that fails is one',
	sub { $client->extended($_) foreach ('SELECT 1', 'SELECT 1/0', 'SELECT 2'); $client->sync });
adds_extended(2, 'extended: a pipeline is as many as its commits, and the rest',
	sub { $client->extended($_) foreach ('BEGIN', 'SELECT 1', 'COMMIT', 'SELECT 2'); $client->sync });
adds_extended(4, 'extended: a procedure that commits three times is four',
	sub { $client->extended('CALL commits(3)')->sync });
adds_extended(0, 'extended: the end of an empty pipeline is none',
	sub { $client->sync });
adds_extended(1, 'extended: to prepare a statement is one',
	sub { $client->parse('s', 'SELECT 1')->sync });
adds_extended(1, 'extended: to run it is another',
	sub { $client->bind('s')->execute->sync });
$before = counted('extended');
$client->extended('SELECT 1')->sync foreach 1 .. 10;
$client->wait_ready foreach 1 .. 10;
is(counted('extended') - $before, 10, 'ten pipelines that are sent at once are ten');

# What pgbench counts, in each of its modes.  It prepares BEGIN, SELECT and END
# when it comes to them: only BEGIN is then a transaction of its own.
my $script = $node->basedir . '/script.sql';
append_to_file($script, "BEGIN;\nSELECT 1;\nEND;\n");
my %prepared = (simple => 0, extended => 0, prepared => 4);
foreach my $mode (sort keys %prepared)
{
	command_like(
		[
			'pgbench', '-n', '-M', $mode, '-c', '4', '-t', '250', '-f', $script,
			$node->connstr('postgres') . " application_name='pgbench $mode'"
		],
		qr{processed: 1000/1000}, "pgbench -M $mode runs 1000 transactions");
	PoolMonitor::wait_until($node,
		"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'pgbench $mode')",
		'it has left');
	is(counted("pgbench $mode"), 1000 + $prepared{$mode}, 'they are counted, each once');
}

# What a session does for itself.  The marks it leaves in the log say when.
my $idle = PoolMonitor::session($node,
	appname => 'idle', options => '-c log_min_messages=debug4 -c trace_notify=on');
$idle->query('LISTEN something');
$before = counted('idle');
my $log = -s $node->logfile;
# Temporary tables send invalidations of the catalogs; half a queue is 2048
$observer->query(
	'DO $$ BEGIN FOR i IN 1..400 LOOP CREATE TEMP TABLE x (a int, b text); DROP TABLE x; COMMIT; END LOOP; END $$');
ok($node->wait_for_log(qr/\] idle DEBUG:  ProcessCatchupEvent outside transaction/, $log) > 0,
	'an idle session catches up with invalidations');
# The mark is written when that begins; its second one says that it has ended
$log = -s $node->logfile;
$observer->query(
	'DO $$ BEGIN FOR i IN 1..400 LOOP CREATE TEMP TABLE x (a int, b text); DROP TABLE x; COMMIT; END LOOP; END $$');
ok($node->wait_for_log(qr/\] idle DEBUG:  ProcessCatchupEvent outside transaction/, $log) > 0,
	'and again');
is(counted('idle'), $before, 'that is no transaction');

$log = -s $node->logfile;
$observer->query('NOTIFY something');
ok($node->wait_for_log(qr/\] idle DEBUG:  ProcessIncomingNotify: done/, $log) > 0,
	'an idle session reads a notification');
is(counted('idle'), $before, 'that is no transaction either');

# A notification that a session sent itself is read before the session is idle
$log = -s $node->logfile;
$idle->query('NOTIFY something');
ok($node->wait_for_log(qr/\] idle DEBUG:  ProcessIncomingNotify: done/, $log) > 0,
	'a session reads its own notification');
is(counted('idle'), $before + 1, 'that makes one transaction, not two');

# So does one that came while the session was busy
$log = -s $node->logfile;
$observer->query('SELECT pg_advisory_lock(1)');
$idle->query_async('SELECT pg_advisory_lock(1)');
$node->poll_query_until('postgres',
	"SELECT wait_event = 'advisory' FROM pg_stat_activity WHERE application_name = 'idle'")
  || die 'the session does not wait';
$observer->query('NOTIFY something');
$observer->query('SELECT pg_advisory_unlock(1)');
$idle->wait;
ok($node->wait_for_log(qr/\] idle DEBUG:  ProcessIncomingNotify: done/, $log) > 0,
	'a busy session reads a notification when it is done');
is(counted('idle'), $before + 2, 'that makes one transaction, not two');
$idle->quit;

# A description of a statement is asked for long after it was prepared
my $describes = client('describes');
$describes->parse('s', 'SELECT 1')->sync->wait_ready;
$observer->query('SELECT pg_sleep(0.5)');
$describes->describe('s')->sync->wait_ready;
cmp_ok($observer->query(
		"SELECT hold_time_max FROM pool_monitor_applications WHERE application_name = 'describes'"),
	'<', 500, 'the time between two messages in which a session was idle is in no hold time');
$describes->quit;

# Parallel workers run in the client's transaction
my $force = $node->pg_version < 16 ? 'force_parallel_mode' : 'debug_parallel_query';
my $parallel = client('parallel', options => "-c $force=on -c min_parallel_table_scan_size=0");
like(join(' ', map { $_->[0] } @{ $parallel->query('EXPLAIN (ANALYZE, COSTS OFF) SELECT count(*) FROM pg_class')->{rows} }),
	qr/Workers Launched: [1-9]/, 'a query runs in parallel workers');
is( $observer->query(q{
		SELECT sessions, transactions, peak_connections
		FROM pool_monitor_applications WHERE application_name = 'parallel'}),
	'1|1|1',
	'they are no sessions, and run no transactions of their own');
$parallel->quit;

# Switched off
my $running = client('switched');
$running->query('SELECT 1');
$node->append_conf('postgresql.conf', 'pool_monitor.track_transactions = off');
$node->reload;
while ($running->query('SHOW pool_monitor.track_transactions')->{rows}[0][0] eq 'on')
{
	# each of these is counted; the reload comes in between two of them
}
my $at = counted('switched');
$running->query('SELECT 1') foreach 1 .. 10;
is(counted('switched'), $at, 'a running session stops counting with track_transactions = off');
my $new = client('switched');
$new->query('SELECT 1') foreach 1 .. 10;
is(counted('switched'), $at, 'a new one does not start');
is( $observer->query("SELECT sessions, connections FROM pool_monitor_applications WHERE application_name = 'switched'"),
	'2|2',
	'sessions are counted all the same');
$new->query('SET pool_monitor.track_transactions = on');
$new->query('SELECT 1') foreach 1 .. 10;
is(counted('switched'), $at + 11, 'a superuser can have his session count');
is( client('switched', user => 'weak')->query('SET pool_monitor.track_transactions = on')->{sqlstate},
	'42501',
	'nobody else can');

done_testing();
