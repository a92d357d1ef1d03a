# Sessions that are ended while their pool has them out: the server's slots come
# back, the client's do not, so that they are counted by pool and said once.

use strict;
use warnings;

use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PoolMonitor::new_node(
	'checked_out',
	extension => 1,
	conf => "max_connections = 30\npool_monitor.sample_interval = '20ms'\n"
	  . "pool_monitor.pools = 'api: application=api size=5 idle_timeout=1s idle_in_transaction_timeout=1s; "
	  . "hand: application=hand size=5; policy: application=policy idle_in_transaction_timeout=1s'\n");
$node->safe_psql('postgres', 'CREATE ROLE app LOGIN');

# client(APPNAME, STATEMENT): a session that has run it, and does no more
sub client
{
	my ($appname, $statement) = @_;
	my $client = PoolMonitor::Wire->new($node, user => 'app', appname => $appname);

	$client->query($statement);
	return $client;
}

# counts(LABEL, POOL => COUNT, ...): waits until the pools have these
sub counts
{
	my ($label, %expected) = @_;
	my $expected = join ',', map { "$_ $expected{$_}" } sort keys %expected;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(
		$node->poll_query_until(
			'postgres',
			"SELECT string_agg(pool || ' ' || ended_checked_out, ',' ORDER BY pool) = '$expected' FROM pool_monitor_pools"),
		$label);
}

# said(POOL): how often the log has its line
sub said
{
	my ($pool) = @_;
	my @lines = slurp_file($node->logfile) =~
	  /sessions of connection pool "$pool" were ended while they were checked out/g;

	return scalar @lines;
}

# samples_pass(N)
sub samples_pass
{
	my ($n) = @_;
	my $until = $node->safe_psql('postgres', "SELECT samples + $n FROM pool_monitor_info");

	return $node->poll_query_until('postgres', "SELECT samples >= $until FROM pool_monitor_info");
}

counts('nothing was ended', api => 0, hand => 0, policy => 0);

$_->wait_end
  foreach (client('api', 'BEGIN'), client('api', 'BEGIN; SELECT 1/0'), client('api', 'SELECT 1'));
counts('who was in a transaction, failed or not, was checked out; who was idle was not known to be',
	api => 2, hand => 0, policy => 0);
is($node->safe_psql('postgres', 'SELECT count(*) FROM pool_monitor_terminations WHERE outcome = $$terminated$$'),
	'3', 'all three were ended');
samples_pass(2);
is(said('api'), 1, 'the log says it once');

client('api', 'BEGIN')->wait_end;
counts('the next one is counted', api => 3, hand => 0, policy => 0);
samples_pass(2);
is(said('api'), 1, 'and not logged: it is no news');

client('policy', 'BEGIN')->wait_end;
counts('of a mere policy too', api => 3, hand => 0, policy => 1);

my $leak = client('hand', 'BEGIN');
my $pid = $leak->pid;
is($node->safe_psql('postgres', "SELECT outcome FROM pool_monitor_terminate($pid)"),
	'terminated', 'one is ended by hand');
$leak->wait_end;
counts('which counts as well', api => 3, hand => 1, policy => 1);

like($node->safe_psql('postgres', 'SELECT pool_monitor_metrics()'),
	qr/^pool_monitor_pool_ended_checked_out_total\{pool="api"\} 3$/m, 'the metrics have it');

$node->restart;
counts('a restart keeps it', api => 3, hand => 1, policy => 1);
samples_pass(2);
is(said('api'), 1, 'and does not say it again');

$node->safe_psql('postgres', 'SELECT pool_monitor_reset()');
counts('a reset forgets it', api => 0, hand => 0, policy => 0);
client('api', 'BEGIN')->wait_end;
counts('and it starts anew', api => 1, hand => 0, policy => 0);

done_testing();
