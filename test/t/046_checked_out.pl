# Connections that are checked out and idle outside of a transaction: what the
# declaration of a pool proves of them, when that ends, and who says so.

use strict;
use warnings;

use PoolMonitor;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $pools =
    'queue: application=queue size=2 overflow=3; reserve: application=reserve size=1 overflow=2 min_idle=1; '
  . 'fixed: application=fixed size=4; two: application=two size=1 overflow=1 instances=2';
my $node = PoolMonitor::new_node('main', extension => 1, conf => <<CONF);
max_connections = 40
autovacuum = off
listen_addresses = '127.0.0.1'
pool_monitor.sample_interval = '50ms'
pool_monitor.pools = '$pools'
CONF
$node->safe_psql('postgres', 'CREATE ROLE joe LOGIN');

my $observer = PoolMonitor::session($node, appname => 'observer');

sub value
{
	my ($sql) = @_;
	my $result = $observer->query($sql);

	diag($observer->stderr) if $observer->stderr ne '';
	return $result;
}

sub wait_here
{
	my ($sql, $label) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	foreach (1 .. 3000)
	{
		return pass($label) if value($sql) eq 't';
		value('SELECT pg_sleep(0.01)');
	}
	diag(value('SELECT to_jsonb(p) FROM pool_monitor_pools p'));
	return fail($label);
}

# open_one(APPNAME): a session that has run something, and that a sample has seen
sub open_one
{
	my ($appname, %opts) = @_;
	my $session = PoolMonitor::session($node, appname => $appname, %opts);

	$session->query('SELECT 1');
	after_samples();
	return $session;
}

# What two more samples have found is known to all
sub after_samples
{
	my $samples = value('SELECT samples FROM pool_monitor_info');

	foreach (1 .. 3000)
	{
		return if value("SELECT samples >= $samples + 2 FROM pool_monitor_info") eq 't';
		value('SELECT pg_sleep(0.01)');
	}
	return;
}

sub pool { return value("SELECT $_[1] FROM pool_monitor_pools WHERE pool = '$_[0]'"); }

my $counts = 'total_connections, checked_in, checked_out, checked_out_proven, status';

sub evidence
{
	my ($appname) = @_;

	return value("SELECT string_agg(coalesce(checked_out_evidence, '-'), ' ' ORDER BY backend_start) FROM pool_monitor_sessions WHERE application_name = '$appname'");
}

#
# A pool with an overflow, which opens connections one by one
#
my @queue = map { open_one('queue') } 1 .. 2;
is(pool('queue', $counts), '2|2|0|0|healthy', 'within its size nothing is proven');
is(pool('queue', 'last_exhausted_at IS NULL'), 't', 'it has not been exhausted');
push @queue, open_one('queue');
is(pool('queue', $counts), '3|2|1|1|overflow', 'what is beyond its size is checked out');
is(evidence('queue'), '- - -', 'which one nobody knows');
push @queue, open_one('queue');
my $before = value('SELECT clock_timestamp()');
push @queue, open_one('queue');
is(pool('queue', $counts), '5|1|4|4|overflow', 'when it opened its last one, all others were checked out');
is(evidence('queue'), 'opened opened opened opened -', 'that one may have been given back since');
is(pool('queue', "last_exhausted_at > '$before' AND last_exhausted_at < clock_timestamp()"), 't',
	'the connection that reached the capacity says that it was full then');
is(pool('queue', 'last_exhausted_at') eq value("SELECT max(backend_start) FROM pool_monitor_sessions WHERE application_name = 'queue'"), 1,
	'and when');
unlike(slurp_file($node->logfile), qr/connection pool "queue" is exhausted/, 'not by a sample');

$queue[4]->query('BEGIN');
after_samples();
is(pool('queue', $counts), '5|0|5|4|exhausted', 'with the last one in a transaction all are checked out');
is(evidence('queue'), 'opened opened opened opened state', 'each has its evidence');
is(pool('queue', 'peak_checked_out, utilization, last_exhausted_at > now() - interval \'10 s\''), '5|1|t', 'the worker says the same');
like(slurp_file($node->logfile), qr/connection pool "queue" is exhausted/, 'and the log');
like(value('SELECT pool_monitor_metrics()'), qr/^pool_monitor_pool_connections\{pool="queue",state="checked_in"\} 0\npool_monitor_pool_connections\{pool="queue",state="checked_out"\} 5$/m, 'and the metrics');
is(value("SELECT p -> 'checked_in', p -> 'checked_out', p -> 'status' FROM jsonb_array_elements(pool_monitor_health() -> 'pools') p WHERE p ->> 'pool' = 'queue'"),
	'0|5|"exhausted"', 'and pool_monitor_health()');
is(value("SELECT checked_in, checked_out, status FROM pool_monitor_pool_status(2, 3, 'queue')"), '2|3|overflow',
	'a pool that is not declared has the overflow alone');
my $reason = value("SELECT evidence FROM pool_monitor_diagnosis() WHERE finding = 'pool_too_small' AND subject = 'queue'");
like($reason, qr/At least 4 of them run nothing/, 'the diagnosis says what they do');

# What it does next ends the evidence of a session
$queue[4]->query('COMMIT');
$queue[0]->query('SELECT 1');
is(evidence('queue'), '- opened opened opened -', 'a session that has run something since may be free');
is(pool('queue', $counts), '5|2|3|3|overflow', 'and the pool has two that may be');
$queue[1]->query('SELECT 1');
is(pool('queue', $counts), '5|2|3|3|overflow', 'but no more than its size: the overflow is closed when it comes back');

# An end makes all of that doubtful
my $pid = $queue[2]->pid;
(splice @queue, 2, 1)->quit;
wait_here("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid", 'a session has ended');
is(evidence('queue'), '- - - -', 'nobody knows of single ones then, at once');
after_samples();
is(evidence('queue'), '- - - -', 'nor after a sample');
is(pool('queue', $counts), '4|2|2|2|overflow', 'only how many are beyond the size');
push @queue, open_one('queue');
is(evidence('queue'), '- - - - -', 'one that replaces it proves nothing of those that were idle before');
is(value("SELECT last_exhausted_at < backend_start FROM pool_monitor_pools, pool_monitor_sessions s WHERE s.pid = " . $queue[-1]->pid
		. " AND pool_monitor_pools.pool = 'queue'"), 't', 'nor that the pool was full');

# Redeclared, the worker starts anew; another role sees the figures, as before
is($node->safe_psql('postgres', "SELECT checked_out, checked_out_proven FROM pool_monitor_pools WHERE pool = 'queue'", extra_params => [ '-U', 'joe' ]),
	'3|3', 'the figures of a pool are for everybody');
is($node->safe_psql('postgres', "SELECT count(*) FROM pool_monitor_sessions WHERE application_name = 'queue' OR checked_out_evidence <> 'state'", extra_params => [ '-U', 'joe' ]),
	'0', 'the evidence of a session is not');
push @queue, open_one('queue');
is(pool('queue', $counts), '6|6|0|0|oversized', 'a pool beyond its capacity is not what was declared');
$_->quit foreach @queue;

# A session that takes a name of the pool fills it, but nobody opened it for want of one
@queue = map { open_one('queue') } 1 .. 4;
push @queue, open_one('elsewhere');
$queue[4]->query("SET application_name = 'queue'");
after_samples();
is(pool('queue', $counts), '5|2|3|3|overflow', 'a session of another name that joins is one more');
is(evidence('queue'), '- - - - -', 'but no connection that was opened since there was none to give');
$_->quit foreach @queue;

#
# Pools that prove less
#
my @reserve = map { open_one('reserve') } 1 .. 3;
is(evidence('reserve'), '- - -', 'one that opens connections in reserve does not wait for demand');
is(pool('reserve', $counts), '3|1|2|2|overflow', 'but closes its overflow');
my @fixed = map { open_one('fixed') } 1 .. 4;
is(pool('fixed', $counts), '4|4|0|0|healthy', 'one without an overflow proves nothing');
my @two = map { open_one('two') } 1 .. 3;
is(pool('two', $counts), '3|2|1|1|overflow', 'of two instances at one address, the overflow is of both');
is(evidence('two'), '- - -', 'and nobody knows whose the last one was');
push @two, open_one('two', host => '127.0.0.1');
is(pool('two', 'instances_seen, checked_out'), '2|2', 'the other one comes from another address');
is(evidence('two'), '- - - -', 'which tells of its own sessions alone, and has no others');
$_->quit foreach @reserve, @fixed, @two;

# A restart keeps when a pool was full, and nothing else
my $full = pool('queue', 'last_exhausted_at');
$observer->quit;
$node->restart;
$observer = PoolMonitor::session($node, appname => 'observer');
is(pool('queue', 'last_exhausted_at'), $full, 'when it was full is kept over a restart');
value('SELECT pool_monitor_reset()');
is(pool('queue', 'last_exhausted_at IS NULL'), 't', 'until a reset');

$node->stop;
done_testing();
