# The worker's own memory is flat, however many samples it takes and saves.
# (test/bench/memory.sh does the same for as long as one likes.)

use strict;
use warnings;

use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PoolMonitor::new_node('memory',
	extension => 1,
	conf => q{
autovacuum = off
pool_monitor.history_size = 1MB
pool_monitor.sample_interval = 10ms
pool_monitor.save_interval = 1s});
my @clients = map { PoolMonitor::Wire->new($node, appname => "app $_") } 1 .. 30;
my $worker = $node->safe_psql('postgres', 'SELECT worker_pid FROM pool_monitor_info');

# Memory of the process alone: neither shared memory nor files, in kB
sub anonymous
{
	my ($kilobytes) = slurp_file("/proc/$worker/status") =~ /^RssAnon:\s+(\d+) kB$/m;
	return $kilobytes;
}

# The first saves fill what is kept for reuse; the rings, once full, save most
PoolMonitor::wait_until($node, 'SELECT samples > 1500 FROM pool_monitor_info', 'the samples have been round the ring');
my $before = anonymous();
cmp_ok($before, '>', 0, "the worker has $before kB of its own");
PoolMonitor::wait_until($node, 'SELECT samples > 5000 FROM pool_monitor_info', 'thousands more were taken, and saved many times');
my $growth = anonymous() - $before;
cmp_ok($growth, '<', 100, "it grew by $growth kB");
is($node->safe_psql('postgres', 'SELECT worker_pid FROM pool_monitor_info'), $worker, 'it is the same worker');
is($node->safe_psql('postgres', 'SELECT save_failures FROM pool_monitor_info'), '0', 'every save worked');

$_->drop foreach @clients;
$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC/, 'no assertion failed');

done_testing();
