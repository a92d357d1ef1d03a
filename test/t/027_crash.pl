# A crash of any process: the server comes back, counting starts from a state
# that is right, and nothing crashes again.

use strict;
use warnings;

use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PoolMonitor::new_node('crash',
	extension => 1, conf => "restart_after_crash = on\npool_monitor.sample_interval = 10ms");

# worker_runs(LABEL): a worker takes samples
sub worker_runs
{
	my ($label) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	PoolMonitor::wait_until($node,
		"SELECT worker_pid IS NOT NULL AND last_sample_at > now() - '1 s'::interval FROM pool_monitor_info",
		$label);
	return;
}

sub worker_pid { return $node->safe_psql('postgres', 'SELECT worker_pid FROM pool_monitor_info'); }

# counts_right(LABEL): known figures from here on
sub counts_right
{
	my ($label) = @_;
	my $observer = PoolMonitor::session($node, appname => 'observer');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$node->poll_query_until('postgres',
		"SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type = 'client backend'")
	  || die 'somebody else is there';
	$observer->query('SELECT pg_sleep(0.01)')
	  until $observer->query(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'}) eq '1';
	$observer->query('SELECT pool_monitor_reset()');
	my @clients = map { PoolMonitor::Wire->new($node, appname => 'known') } 1 .. 3;
	$_->query('SELECT 1') foreach @clients;
	# A session that was lost in the crash would still be among the peak's
	is( $observer->query(q{
			SELECT a.sessions, a.transactions, a.peak_connections, s.peak_connections
			FROM pool_monitor_applications a, pool_monitor_status s
			WHERE application_name = 'known'}),
		'3|3|3|4', $label);
	$_->quit foreach @clients;
	$observer->quit;
	return;
}

worker_runs('the worker takes samples');
counts_right('counts are right before');

foreach my $victim ('session', 'worker')
{
	my $log = -s $node->logfile;
	my $worker = worker_pid();
	my @others = map { PoolMonitor::Wire->new($node, appname => 'bystander') } 1 .. 3;
	my $client = PoolMonitor::Wire->new($node, appname => 'victim');

	$client->query('BEGIN');
	$client->query('SELECT 1');
	kill 'KILL', $victim eq 'session' ? $client->pid : $worker;
	$_->wait_end foreach ($client, @others);
	ok($node->wait_for_log(qr/all server processes terminated; reinitializing/, $log) > 0,
		"the server starts over when a $victim is killed");
	PoolMonitor::wait_until($node, "SELECT true", 'it is back');
	worker_runs('so is the worker');
	isnt(worker_pid(), $worker, 'it is a new one');
	counts_right('counts are right after that');
	my $messages = slurp_file($node->logfile, $log);
	is(() = $messages =~ /reinitializing/g, 1, 'nothing crashed again');
}

# An end that is asked for is no crash, and costs no count
my $log = -s $node->logfile;
my $worker = worker_pid();
my $client = PoolMonitor::Wire->new($node, appname => 'stays');
$client->query('SELECT 1');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($worker)");
PoolMonitor::wait_until($node,
	"SELECT worker_pid <> $worker FROM pool_monitor_info", 'a worker that is terminated is replaced');
worker_runs('the new one takes samples');
$client->query('SELECT 1');
is( $node->safe_psql('postgres',
		"SELECT sessions, transactions FROM pool_monitor_applications WHERE application_name = 'stays'"),
	'1|2',
	'sessions count on meanwhile');
unlike(slurp_file($node->logfile, $log), qr/reinitializing/, 'nothing crashed');
$client->quit;

# A restart leaves nothing behind either
$node->restart;
worker_runs('the worker runs after a restart');
counts_right('counts are right after it');

done_testing();
