# A session that reads all day does not grow: no view or function leaves
# memory behind.

use strict;
use warnings;

use PoolMonitor;
use Test::More;

my $node = PoolMonitor::new_node('session_memory',
	conf => q{
max_connections = 30
pool_monitor.sample_interval = 50ms
pool_monitor.pools = 'web: application=web size=10'});
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pool_monitor');

# Sessions of some applications, and one that was refused
my @sessions = map { PoolMonitor::session($node, appname => $_) } ('web', 'api', 'batch');
$_->query('BEGIN') foreach @sessions;
$node->safe_psql('postgres', 'CREATE ROLE nobody LOGIN CONNECTION LIMIT 0');
eval { PoolMonitor::session($node, user => 'nobody') };

my $reader = PoolMonitor::session($node, appname => 'reader');
my @readings = split /\n/, $node->safe_psql('postgres', q{
	SELECT format('SELECT count(*) FROM (SELECT * FROM %s OFFSET 0) r', c.oid::regclass)
	  FROM pg_class c
	 WHERE c.relkind = 'v' AND c.relname LIKE 'pool\_monitor%'
	 ORDER BY c.relname});
ok(@readings >= 12, 'there are views to read');
push @readings,
  map { "SELECT count(*) FROM (SELECT * FROM $_ OFFSET 0) r" }
  'pool_monitor_metrics()',
  'pool_monitor_history()',
  'pool_monitor_sizing()',
  'pool_monitor_incident_holders()',
  "pool_monitor_pool_status(10, 20, 'web')",
  'pool_monitor_chart()',
  "pool_monitor_terminate_idle('1 h', dry_run => true)";

# All of the session's memory, and in how many contexts it is
my $memory = q{SELECT sum(total_bytes) || ' ' || count(*) FROM pg_backend_memory_contexts};
my ($rounds, $spare) = (100, 64 * 1024);

foreach my $reading (@readings)
{
	my $loop = "DO \$\$ BEGIN FOR i IN 1 .. $rounds LOOP PERFORM * FROM ($reading) l; END LOOP; END \$\$";

	# the first ones fill the caches
	$reader->query($loop);
	$reader->query($memory);
	my ($bytes_before, $contexts_before) = split / /, $reader->query($memory);
	$reader->query($loop);
	my ($bytes, $contexts) = split / /, $reader->query($memory);

	ok($bytes - $bytes_before < $spare, "no memory left behind: $reading")
	  || diag("$bytes_before bytes became $bytes in $rounds rounds");
	cmp_ok($contexts, '<=', $contexts_before + 2, 'no memory context either');
}

$reader->quit;
$_->quit foreach @sessions;
$node->stop;
done_testing();
