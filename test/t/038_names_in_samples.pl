# An application that only a sample ever saw costs nothing afterwards: what a
# reader of the history needs does not grow with the names in it.

use strict;
use warnings;

use PoolMonitor;
use Test::More;

my $node = PoolMonitor::new_node('main', extension => 1, conf => <<'CONF');
pool_monitor.max_groups = 10
pool_monitor.sample_interval = '10ms'
CONF

# The most memory that a session has ever had, in kB
sub memory
{
	my ($session) = @_;
	my ($kb) = $session->query("SELECT pg_read_file('/proc/self/status')") =~ /^VmHWM:\s*(\d+) kB$/m;

	die 'the system does not tell' unless $kb;
	return $kb;
}

my @questions = (
	'SELECT count(*) FROM pool_monitor_sizing()',
	'SELECT count(*) FROM pool_monitor_history()',
	"SELECT count(*) FROM pool_monitor_chart('connections')",
	'SELECT count(*) FROM pool_monitor_utilization()',
	'SELECT length(pool_monitor_metrics())');
my @observers = map { PoolMonitor::session($node, appname => 'observer') } @questions;
$observers[$_]->query($questions[$_]) foreach 0 .. $#questions;
my @before = map { memory($_) } @observers;

# 2,000 names, each in a sample
my $session = PoolMonitor::session($node, appname => 'first');
my $samples = $observers[0]->query('SELECT samples FROM pool_monitor_info');
foreach my $batch (0 .. 19)
{
	$session->query(join('',
		map { "SET application_name = 'name $_';\nSELECT pg_sleep(0.015);\n" } $batch * 100 + 1 .. $batch * 100 + 100));
}
cmp_ok($observers[0]->query('SELECT samples FROM pool_monitor_info') - $samples, '>=', 1500, 'most names are in a sample');

# (a name was 16 kB)
foreach my $i (0 .. $#questions)
{
	$observers[$i]->query($questions[$i]);
	cmp_ok(memory($observers[$i]) - $before[$i], '<', 8 * 1024, "$questions[$i] does not keep them all");
}

$_->quit foreach ($session, @observers);
$node->stop;

done_testing();
