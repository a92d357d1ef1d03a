# Leak suspects: each kind from a client that leaks in that way.

use strict;
use warnings;

use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PoolMonitor::new_node('main', extension => 1, conf => <<'CONF');
max_connections = 40
autovacuum = off
pool_monitor.sample_interval = '50ms'
pool_monitor.pools = 'leaky: application=leak-* size=20; closing: application=held-* closes_idle=1ms; keeping: application=kept-* closes_idle=1ms min_idle=1'
CONF
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE stock (item int PRIMARY KEY, left_over int);
INSERT INTO stock SELECT i, 10 FROM generate_series(1, 10) i;
CREATE TABLE import (line text);
CREATE ROLE joe LOGIN;
SQL

my $observer = PoolMonitor::session($node, appname => 'observer');

sub threshold
{
	my ($threshold) = @_;

	$observer->query("ALTER SYSTEM SET pool_monitor.leak_threshold = '$threshold'");
	$node->reload;
	return $observer->holds("SELECT current_setting('pool_monitor.leak_threshold') = '$threshold'", "a session is a suspect after $threshold");
}

# The columns of a session, as it shows among the leaks
sub leak { return $observer->query("SELECT $_[1] FROM pool_monitor_leaks WHERE application_name = '$_[0]'"); }

sub becomes
{
	my ($appname, $reason) = @_;
	my $condition = defined $reason ? "= '$reason'" : 'IS NULL';

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return $observer->holds("SELECT leak_suspect $condition FROM pool_monitor_sessions WHERE application_name = '$appname'",
		"$appname " . (defined $reason ? "is a suspect: $reason" : 'is no suspect'));
}

#
# Clients that leak
#
# An error path that forgets to commit
my $forgotten = PoolMonitor::session($node, appname => 'leak-forgotten');
$forgotten->query('BEGIN ISOLATION LEVEL REPEATABLE READ');
$forgotten->query('UPDATE stock SET left_over = left_over - 1 WHERE item = 1');
# One that goes on as if nothing had happened, and then stops
my $failed = PoolMonitor::session($node, appname => 'leak-failed');
$failed->query('BEGIN');
$failed->query('SELECT 1 / 0');
# A COPY whose client has sent a part
my $copy = PoolMonitor::Wire->new($node, appname => 'leak-copy');
$copy->send_query('COPY import FROM STDIN');
$copy->wait_for('G');
$copy->send('d', "first line\nsecond");
# A pipeline whose client never comes to its end
my $pipeline = PoolMonitor::Wire->new($node, appname => 'leak-pipeline');
$pipeline->extended('SELECT 42')->send('H', '');
$pipeline->wait_for('C');
# A client that stops in the middle of a result
my $result = PoolMonitor::Wire->new($node, appname => 'leak-result');
$result->send_query("SELECT repeat('x', 1000) FROM generate_series(1, 1000000)");
# A transaction that runs and runs
my $long = PoolMonitor::session($node, appname => 'leak-long');
$long->query_async('SELECT pg_sleep(3600)');
# Clients that do not
my $idle = PoolMonitor::session($node, appname => 'good-idle');
my $busy = PoolMonitor::session($node, appname => 'good-busy');
$busy->query('BEGIN');
my @held = map { PoolMonitor::session($node, appname => $_) } ('held-1', 'held-2', 'kept-1', 'other');
$_->query('SELECT 1') foreach @held;

$observer->holds("SELECT bool_and(clock_timestamp() - query_start > '100ms') FROM pool_monitor_sessions WHERE application_name LIKE 'leak-%' HAVING count(*) = 6",
	'all of them hold their connections for a while');
is($observer->query('SELECT count(*) FROM pool_monitor_leaks'), '0', 'below the threshold nobody is a suspect');
threshold('100ms');
becomes('held-1', undef);
becomes('leak-forgotten', 'idle in transaction');
becomes('leak-failed', 'idle in transaction (aborted)');
becomes('leak-copy', 'active, waiting for the client');
becomes('leak-pipeline', 'active, waiting for the client');
becomes('leak-result', 'slow client');
becomes('leak-long', 'long transaction');
is(leak('leak-copy', 'state, wait_event_type, wait_event'), 'active|Client|ClientRead', 'a COPY waits for what its client sends');
is(leak('leak-pipeline', 'state, wait_event, query'), 'active|ClientRead|SELECT 42', 'so does a pipeline');
is(leak('leak-result', 'state, wait_event'), 'active|ClientWrite', 'a result waits for its client to fetch it');
is(leak('leak-failed', 'state, query'), 'idle in transaction (aborted)|SELECT 1 / 0;', 'the statement that failed is there');

# A client that reads slowly, as pg_dump into a slow pipe: one row of 20 MB, and
# then the statement goes on.  Who is not asked about can only be noted by the
# worker's samples.
my $megabyte = 1024 * 1024;
my @slow = map { PoolMonitor::Wire->new($node, appname => "slow-$_") } ('sampled', 'seen');
$_->send_query("SELECT repeat('x', 20 * $megabyte) UNION ALL SELECT pg_sleep(3600)::text") foreach @slow;
$observer->holds("SELECT count(*) = 2 FROM pg_stat_activity WHERE application_name LIKE 'slow-%' AND wait_event = 'ClientWrite'
	AND clock_timestamp() - query_start > '100ms'", 'two statements wait for their clients');
my $samples = $observer->query('SELECT samples FROM pool_monitor_info');
$observer->holds("SELECT samples > $samples + 1 FROM pool_monitor_info", 'they are sampled so');
$slow[0]->skim(20 * $megabyte);
$observer->holds("SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE application_name = 'slow-sampled'", 'one goes on');
is(leak('slow-sampled', 'leak_suspect, wait_event'), 'slow client|PgSleep', 'it is known to have waited for its client');
my %reasons;
foreach (1 .. 20)
{
	$slow[1]->skim($megabyte);
	$reasons{ leak('slow-seen', 'leak_suspect') }++;
}
$observer->holds("SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE application_name = 'slow-seen'", 'the other one has been read to its end');
$reasons{ leak('slow-seen', 'leak_suspect') }++;
is(join(', ', sort keys %reasons), 'slow client', 'a client that makes progress has one reason all the time');
$_->drop foreach @slow;
$observer->query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'slow-%'");

is($observer->query("SELECT string_agg(DISTINCT pool, ' ') FROM pool_monitor_leaks WHERE application_name LIKE 'leak-%'"), 'leaky', 'with the pool that the leaks are in');
becomes('good-idle', undef);
is($observer->query("SELECT checked_out FROM pool_monitor_sessions WHERE application_name = 'good-idle'"), 'f', 'an idle session is checked in, however long');

# It is the statement's age that counts, not the transaction's
becomes('good-busy', 'idle in transaction');
threshold('3s');
$observer->holds("SELECT transaction_age > '3.1 s' FROM pool_monitor_sessions WHERE application_name = 'good-busy'", 'a transaction has been open for long');
my $seen = '';
foreach (1 .. 100)
{
	$busy->query('SELECT 1');
	# unless the machine stood still since
	$seen = $observer->query(<<'SQL');
SELECT leak_suspect IS NULL FROM pool_monitor_sessions
 WHERE application_name = 'good-busy' AND clock_timestamp() - query_start < '2.5 s'
SQL
	last if $seen ne '';
}
is($seen, 't', 'but whoever goes on with a new statement is no suspect');
becomes('leak-forgotten', 'idle in transaction');

# A session that was idle for long has only just been checked out
my $fast = PoolMonitor::Wire->new($node, appname => 'good-fastpath');
$fast->query('SELECT 1');
$observer->holds("SELECT clock_timestamp() - query_start > '3.1 s' FROM pool_monitor_sessions WHERE application_name = 'good-fastpath'",
	'a session was idle for longer than the threshold');
my $pg_sleep = $observer->query("SELECT 'pg_sleep(double precision)'::regprocedure::oid");
$fast->send('F', pack('N n n n N a2 n', $pg_sleep, 1, 0, 1, 2, '60', 0));
$observer->holds("SELECT state = 'fastpath function call' FROM pool_monitor_sessions WHERE application_name = 'good-fastpath'", 'it calls a function');
is($observer->query("SELECT leak_suspect FROM pool_monitor_sessions WHERE application_name = 'good-fastpath' AND state_age < '2.5 s'"),
	'', 'and is no suspect from the first moment');
becomes('good-fastpath', 'long transaction');
$fast->drop;
$observer->query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'good-fastpath'");

#
# The damage they do
#
is(leak('leak-forgotten', 'blocks'), '0', 'a leak that nobody waits for blocks nobody');
my @waiting = map { PoolMonitor::session($node, appname => "waiting-$_") } 1 .. 2;
$_->query_async('UPDATE stock SET left_over = left_over - 1 WHERE item = 1') foreach @waiting;
$observer->holds("SELECT count(*) = 2 FROM pg_stat_activity WHERE wait_event_type = 'Lock'", 'two sessions wait for locks');
$observer->holds("SELECT blocks = 2 FROM pool_monitor_leaks WHERE application_name = 'leak-forgotten'", 'the leak blocks both of them');
$observer->holds("SELECT sum(blocks) = 3 FROM pool_monitor_sessions", 'who blocks the second');
is($observer->query(<<'SQL'), 't', 'as core has it');
WITH RECURSIVE waits AS (SELECT pid AS waiter, unnest(pg_blocking_pids(pid)) AS blocker FROM pg_stat_activity),
  behind AS (SELECT * FROM waits UNION SELECT b.waiter, w.blocker FROM behind b JOIN waits w ON w.waiter = b.blocker)
SELECT bool_and(blocks = (SELECT count(*) FROM behind b WHERE b.blocker = s.pid)) FROM pool_monitor_sessions s
SQL
is($observer->query(<<'SQL'), 't', 'the leaks are the sessions that have a suspicion, with the same figures');
WITH leaks AS MATERIALIZED (SELECT pid, application_name, leak_suspect, blocks, pool, xact_start, query FROM pool_monitor_leaks),
  sessions AS MATERIALIZED (SELECT pid, application_name, leak_suspect, blocks, pool, xact_start, query
                              FROM pool_monitor_sessions WHERE leak_suspect IS NOT NULL)
SELECT count(*) > 3 AND count(*) = (SELECT count(*) FROM sessions) AND count(*) = (SELECT count(*) FROM leaks)
  FROM leaks l JOIN sessions s ON l::text = s::text
SQL
is($observer->query(<<'SQL'), 't', 'backend_xmin is what core has');
SELECT bool_and(s.backend_xmin IS NOT DISTINCT FROM a.backend_xmin) AND count(s.backend_xmin) > 0
  FROM pool_monitor_leaks s JOIN pg_stat_activity a USING (pid) WHERE s.application_name LIKE 'leak-%'
SQL
is(leak('leak-forgotten', 'backend_xmin IS NOT NULL'), 't', 'the leak has one');
# dead rows that only the leak can see
$observer->query('UPDATE stock SET left_over = 0 WHERE item = 2') foreach 1 .. 3;
$long->kill9;
$result->drop;
$observer->query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name IN ('leak-long', 'leak-result')");
$observer->holds("SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name IN ('leak-long', 'leak-result')", 'two leaks are ended');
$observer->query('VACUUM (VERBOSE) stock');
like($observer->stderr, qr/[1-9]\d* (?:dead row versions cannot be removed|are dead but not yet removable)/,
	'VACUUM can not remove what the leak may still need to see');

#
# Worst first
#
threshold('100ms');
becomes('waiting-1', 'waiting for a lock');
becomes('waiting-2', 'waiting for a lock');
becomes('good-busy', 'idle in transaction');
is($observer->query("SELECT application_name FROM pool_monitor_leaks WHERE blocks = 0 OR application_name LIKE 'leak-%' LIMIT 1"),
	'leak-forgotten', 'who blocks others is worse than who has only been there for longer');
is($observer->query(<<'SQL'), '', 'the worst is first: who blocks most, then the oldest transaction');
SELECT application_name FROM (
    SELECT application_name, row_number() OVER () AS shown, row_number() OVER (ORDER BY blocked_by IS NOT NULL, blocks DESC, coalesce(xact_start, state_change)) AS rank
      FROM pool_monitor_leaks) l
 WHERE shown <> rank
SQL
is($observer->query("SELECT string_agg(application_name, ' ') FROM (SELECT application_name FROM pool_monitor_leaks WHERE application_name ~ '^(leak|good)') l"),
	'leak-forgotten leak-failed leak-copy leak-pipeline good-busy', 'and all of them are there');

# A connection that is idle outside of a transaction, which its pool would have closed
# by now if it were free
becomes('held-1', 'idle, not returned');
becomes('held-2', 'idle, not returned');
is(leak('held-1', 'state, pool, query, checked_out, checked_out_evidence'), 'idle|closing|SELECT 1;|t|closes_idle', 'with what it ran last');
is($observer->query("SELECT string_agg(pool || ' ' || checked_in || ' ' || checked_out_proven, ', ') FROM pool_monitor_pools WHERE pool IN ('closing', 'keeping')"),
	'closing 0 2, keeping 1 0', 'its pool has it checked out; another one may keep it');
$held[0]->query('SELECT 2');
becomes('held-1', undef);
becomes('kept-1', undef);
becomes('other', undef);
is($observer->query("SELECT finding || ' ' || subject FROM pool_monitor_diagnosis() WHERE finding = 'leak_not_returned'"),
	'leak_not_returned held-2', 'the diagnosis has it');
like($observer->query('SELECT pool_monitor_metrics()'), qr/^pool_monitor_leak_suspects\{reason="idle, not returned"\} 1$/m, 'so have the metrics');
$_->quit foreach @held;

# Who may see them
my $joe = PoolMonitor::session($node, appname => 'joe', user => 'joe');
is($joe->query('SELECT count(*) FROM pool_monitor_leaks'), '0', 'who may not see a session is not told that it looks leaked');
$observer->query('GRANT pg_read_all_stats TO joe');
is($joe->query("SELECT count(*) > 0 FROM pool_monitor_leaks WHERE application_name = 'leak-forgotten'"), 't', 'and does');

#
# Mended
#
$forgotten->query('COMMIT');
$waiting[0]->wait;
$waiting[1]->wait;
becomes('leak-forgotten', undef);
becomes('waiting-1', undef);
$failed->query('ROLLBACK');
becomes('leak-failed', undef);
$copy->send('d', " line\n")->send('c', '');
is($copy->wait_ready->{tags}[0], 'COPY 2', 'the client finishes its COPY');
becomes('leak-copy', undef);
$pipeline->sync->wait_ready;
becomes('leak-pipeline', undef);
$busy->query('COMMIT');
is($observer->query("SELECT count(*) FROM pool_monitor_leaks"), '0', 'nobody is left');
$forgotten->query('BEGIN');
becomes('leak-forgotten', 'idle in transaction');
threshold('5min');
is($observer->query('SELECT count(*) FROM pool_monitor_leaks'), '0', 'nor with a longer threshold');

unlike(slurp_file($node->logfile), qr/TRAP|PANIC/, 'no assertion failed');
$_->quit foreach ($forgotten, $failed, $idle, $busy, @waiting, $joe, $observer);
$_->quit foreach ($copy, $pipeline);
$node->stop;
done_testing();
