# Who is to blame: waits for locks, through queues and others, to their root.

use strict;
use warnings;

use PoolMonitor;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PoolMonitor::new_node('main', extension => 1, conf => <<'CONF');
max_connections = 60
max_prepared_transactions = 5
autovacuum = off
pool_monitor.sample_interval = '50ms'
pool_monitor.leak_threshold = '100ms'
CONF
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (a int);
CREATE TABLE stock (item int PRIMARY KEY, left_over int);
INSERT INTO stock SELECT i, 10 FROM generate_series(1, 10) i;
CREATE ROLE joe LOGIN;
SQL

my $observer = PoolMonitor::session($node, appname => 'observer');

# So many processes wait for a lock.
sub waiting
{
	my ($n) = @_;

	return $observer->holds("SELECT count(DISTINCT pid) = $n FROM pg_locks WHERE NOT granted", "$n wait");
}

# Sessions with these names, by name
sub sessions { return map { PoolMonitor::session($node, appname => $_) } @_; }

# End sessions, whatever they do.
sub end_all
{
	$observer->query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()");
	$_->quit foreach @_;
	return $observer->holds("SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'", 'they are gone');
}

# What a session shows: how many it blocks, and the name of its root
sub blame
{
	return $observer->query(<<"SQL");
SELECT s.blocks || ' ' || coalesce(r.application_name, s.blocked_by::text, '-')
  FROM pool_monitor_sessions s LEFT JOIN pg_stat_activity r ON r.pid = s.blocked_by
 WHERE s.application_name = '$_[0]'
SQL
}

sub is_leak
{
	my ($appname, $reason) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return $observer->holds("SELECT leak_suspect IS NOT DISTINCT FROM " . (defined $reason ? "'$reason'" : 'NULL') .
		" FROM pool_monitor_sessions WHERE application_name = '$appname'",
		"$appname: " . ($reason // 'no suspect'));
}

# What follows from core's own word on each session.  Queues change while one
# is asked after the other, so this wants to be right once.
sub as_core_has_it
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return $observer->holds(<<'SQL', 'as follows from pg_blocking_pids()');
WITH RECURSIVE waits AS (SELECT pid AS waiter, unnest(pg_blocking_pids(pid)) AS blocker FROM pg_stat_activity),
  behind AS (SELECT * FROM waits UNION SELECT b.waiter, w.blocker FROM behind b JOIN waits w ON w.waiter = b.blocker)
SELECT bool_and(blocks = (SELECT count(*) FROM behind b WHERE b.blocker = s.pid AND b.waiter <> s.pid)) FROM pool_monitor_sessions s
SQL
}

#
# The queue behind an ALTER TABLE
#
my ($reader, $alter, @selects) = sessions('reader', 'alter', map { "select-$_" } 1 .. 7);
$reader->query('BEGIN; LOCK TABLE t IN ACCESS SHARE MODE');
$alter->query_async('ALTER TABLE t ADD c int');
waiting(1);
$_->query_async('SELECT count(*) FROM t') foreach @selects;
waiting(8);
is(blame('reader'), '8 -', 'who keeps an ALTER TABLE waiting has all of its queue wait');
is(blame('alter'), '7 reader', 'so has the ALTER TABLE');
is(blame('select-1'), '0 reader', 'and a SELECT waits for the one at the root');
as_core_has_it();
is_leak('reader', 'idle in transaction');
is_leak('alter', 'waiting for a lock');
is_leak('select-7', 'waiting for a lock');
is($observer->query("SELECT string_agg(application_name, ' ') FROM (SELECT application_name FROM pool_monitor_leaks LIMIT 2) l"),
	'reader alter', 'the root comes first, then who blocks most');
like($observer->query('SELECT pool_monitor_metrics()'), qr/leak_suspects\{reason="waiting for a lock"\} 8\n/, 'and the metrics count victims as such');
my $joe = PoolMonitor::session($node, appname => 'joe', user => 'joe');
$joe->query('BEGIN');
$joe->query_async('SELECT pg_advisory_xact_lock(5)');
$joe->wait;
my ($stranger) = sessions('stranger');
$stranger->query_async('SELECT pg_advisory_lock(5)');
waiting(9);
$joe->query('SELECT 1');
is($joe->query("SELECT blocks FROM pool_monitor_sessions WHERE application_name = 'joe'"), '1', 'who waits counts for those who may not see it');
end_all($reader, $alter, @selects, $joe, $stranger);

#
# A session-level advisory lock that came back to the pool with its session
#
my ($holder, $wanting, $next) = sessions('holder', 'wanting', 'next');
$holder->query('SELECT pg_advisory_lock(1)');
is_leak('holder', undef);
$_->query_async('SELECT pg_advisory_lock(1)') foreach $wanting, $next;
waiting(2);
is(blame('holder'), '2 -', 'an idle session blocks those who want its advisory lock');
is_leak('holder', 'idle, holds an advisory lock');
is_leak('wanting', 'waiting for a lock');
is($observer->query('SELECT application_name FROM pool_monitor_leaks LIMIT 1'), 'holder', 'it is the first of the leaks');
end_all($holder, $wanting, $next);

#
# A prepared transaction that nobody finishes
#
$node->safe_psql('postgres', <<'SQL');
BEGIN; UPDATE stock SET left_over = 0 WHERE item = 1; SAVEPOINT s; UPDATE stock SET left_over = 0 WHERE item = 2; PREPARE TRANSACTION 'forgotten';
BEGIN; UPDATE stock SET left_over = 0 WHERE item = 3; PREPARE TRANSACTION 'harmless';
SQL
my @updaters = sessions(map { "updater-$_" } 1 .. 12);
$_->query_async('UPDATE stock SET left_over = 1 WHERE item = 1') foreach @updaters;
waiting(12);
is($observer->query("SELECT string_agg(DISTINCT blocked_by::text, ' ') FROM pool_monitor_sessions WHERE application_name LIKE 'updater-%'"),
	'0', 'they wait for a prepared transaction');
is($observer->query("SELECT string_agg(gid || ' ' || blocks, ', ') FROM pool_monitor_prepared"), 'forgotten 12, harmless 0', 'for this one');
is($observer->query("SELECT owner = current_user AND database = 'postgres' AND age BETWEEN '0' AND now() - prepared + '1 s' FROM pool_monitor_prepared LIMIT 1"),
	't', 'which shows whose it is, where, and for how long');
is_leak('updater-3', 'waiting for a lock');
is($observer->query('SELECT count(*) FROM pool_monitor_leaks WHERE blocked_by IS NULL'), '0', 'no session is to blame');
end_all(@updaters);
$node->restart;
$observer = PoolMonitor::session($node, appname => 'observer');
@updaters = sessions(map { "updater-$_" } 1 .. 2);
$_->query_async('UPDATE stock SET left_over = 1 WHERE item = 2') foreach @updaters;
waiting(2);
is($observer->query("SELECT string_agg(gid || ' ' || blocks, ', ') FROM pool_monitor_prepared"), 'forgotten 2, harmless 0',
	'the same after a restart, for a row of its subtransaction');
$observer->query("ROLLBACK PREPARED 'forgotten'");
$observer->query("ROLLBACK PREPARED 'harmless'");
$_->wait foreach @updaters;
is($observer->query('SELECT count(*) FROM pool_monitor_prepared'), '0', 'nothing is prepared any more');
end_all(@updaters);

#
# A row that many want; a deadlock; lock upgrades
#
my ($writer, @writers) = sessions('writer', map { "writer-$_" } 1 .. 9);
$writer->query('BEGIN; UPDATE stock SET left_over = 5 WHERE item = 5');
$_->query_async('UPDATE stock SET left_over = 4 WHERE item = 5') foreach @writers;
waiting(9);
is(blame('writer'), '9 -', 'the first writer of a row has all others wait');
is($observer->query("SELECT count(*) FROM pool_monitor_sessions WHERE blocked_by = " . $writer->pid), '9', 'each of them waits for it in the end');
as_core_has_it();
end_all($writer, @writers);

my ($left, $right, $behind) = map { PoolMonitor::session($node, appname => $_, options => '-c deadlock_timeout=1h') } qw(left right behind);
$left->query('BEGIN; SELECT pg_advisory_xact_lock(1)');
$right->query('BEGIN; SELECT pg_advisory_xact_lock(2)');
$left->query_async('SELECT pg_advisory_xact_lock(2)');
$right->query_async('SELECT pg_advisory_xact_lock(1)');
waiting(2);
$behind->query_async('SELECT pg_advisory_xact_lock(1)');
waiting(3);
is(blame('left'), '2 right', 'in a deadlock each waits for the other');
is(blame('right'), '2 left', 'from both sides');
like(blame('behind'), qr/^0 (left|right)$/, 'and who is behind it for one of them');
as_core_has_it();
end_all($left, $right, $behind);

my ($first, $upgrade, $late) = sessions('first', 'upgrade', 'late');
$first->query('BEGIN; LOCK TABLE t IN ACCESS SHARE MODE');
$upgrade->query('BEGIN; LOCK TABLE t IN ACCESS SHARE MODE');
$late->query_async('BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE');
waiting(1);
# it has a part of the lock, so it goes ahead of the one that waits
$upgrade->query_async('LOCK TABLE t IN SHARE MODE');
$upgrade->wait;
is(blame('first'), '1 -', 'one waits for the other holder');
is(blame('upgrade'), '1 -', 'and for who got more of the lock meanwhile');
as_core_has_it();
my ($writing) = sessions('writing');
$first->query('COMMIT; BEGIN; LOCK TABLE stock IN ROW EXCLUSIVE MODE');
$writing->query('BEGIN; LOCK TABLE stock IN ROW EXCLUSIVE MODE');
my ($exclusive) = sessions('exclusive');
$exclusive->query_async('BEGIN; LOCK TABLE stock IN ACCESS EXCLUSIVE MODE');
waiting(2);
$writing->query_async('LOCK TABLE stock IN EXCLUSIVE MODE');
waiting(3);
is(blame('writing'), '1 first', 'who jumps the queue has the one that it passed wait');
as_core_has_it();
end_all($first, $upgrade, $late, $writing, $exclusive);

# A parallel query waits as one, and its workers block nobody on their own.
my ($blocker, $parallel) = sessions('blocker', 'parallel');
$blocker->query('SELECT pg_advisory_lock(9)');
$parallel->query(($observer->query('SHOW server_version_num') >= 160000 ? 'SET debug_parallel_query = on' : 'SET force_parallel_mode = on'));
$parallel->query('CREATE FUNCTION take() RETURNS void LANGUAGE sql PARALLEL SAFE AS $$ SELECT pg_advisory_xact_lock(9) $$');
$parallel->query_async('SELECT take()');
waiting(1);
is(blame('blocker'), '1 -', 'a parallel worker waits');
is(blame('parallel'), '0 blocker', 'for its leader, which waits for the same');
end_all($blocker, $parallel);

#
# A transaction that has failed has its age.
#
my ($failed) = sessions('failed');
$failed->query('BEGIN; SELECT 1');
my $started = $observer->query("SELECT xact_start FROM pool_monitor_sessions WHERE application_name = 'failed'");
$failed->query('SELECT 1 / 0');
$observer->holds("SELECT state = 'idle in transaction (aborted)' FROM pool_monitor_sessions WHERE application_name = 'failed'", 'a transaction fails');
is($observer->query("SELECT xact_start FROM pg_stat_activity WHERE application_name = 'failed'"), '', 'the server forgets when it began');
is($observer->query("SELECT xact_start = '$started' AND transaction_age >= state_age FROM pool_monitor_sessions WHERE application_name = 'failed'"),
	't', 'it has its age all the same');
$failed->query('ROLLBACK');
$failed->query('SELECT 1 / 0');
is($observer->query("SELECT xact_start FROM pool_monitor_sessions WHERE application_name = 'failed'"), '', 'and none when it is over');
end_all($failed);

#
# Logins that do not become ready
#
my ($culprit) = sessions('culprit');
$culprit->query('BEGIN; LOCK TABLE pg_db_role_setting');
my @logins;
foreach my $i (1 .. 46)
{
	my ($out, $err) = ('', '');
	push @logins, IPC::Run::start(
		[
			$node->installed_command('psql'), '-XAtq', '-w', '-d',
			"host=" . $node->host . " port=" . $node->port . " dbname=postgres user=joe application_name=login-$i", '-c', 'SELECT 1'
		],
		'<', \undef, '>', \$out, '2>', \$err, $observer->{timer});
}
$observer->holds("SELECT starting = 46 AND connections = 48 FROM pool_monitor_status", 'logins that hang are starting');
waiting(46);
is(blame('culprit'), '46 -', 'they wait for the culprit, although no session that is ready waits');
is($observer->query(<<'SQL'), 'postgres|joe|46', 'they have their names');
SELECT datname, usename, count(*) FROM pool_monitor_sessions WHERE application_name ~ '^login-[0-9]+$' AND state = 'starting' GROUP BY 1, 2
SQL
is($observer->query("SELECT count(DISTINCT pid), count(DISTINCT backend_start) > 1, bool_and(query IS NULL OR query = ''), count(DISTINCT blocked_by) FROM pool_monitor_sessions WHERE state = 'starting'"),
	'46|t|t|1', 'and all that is known of them');
is($observer->query("SELECT sum(connections) FROM pool_monitor_connections WHERE usename = 'joe' AND state = 'starting'"), '46', 'also as connections');
$culprit->query('ROLLBACK');
foreach my $login (@logins)
{
	$login->finish;
}
$observer->holds("SELECT starting = 0 AND connections = 2 FROM pool_monitor_status", 'then they come in, and go');
end_all($culprit);

done_testing();
