# A copy of a server starts with empty statistics and has its own history; a
# promotion loses nothing of it.

use strict;
use warnings;

use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $primary = PoolMonitor::new_node('history_primary',
	init => [ allows_streaming => 1 ],
	extension => 1,
	conf => q{
autovacuum = off
pool_monitor.sample_interval = 20ms
pool_monitor.save_interval = 1h});
my $shown = q{
	SELECT (SELECT count(*) FROM pool_monitor_applications WHERE application_name = '%1$s'),
	       (SELECT count(DISTINCT application_name) FROM pool_monitor_history(NULL, NULL) WHERE application_name = '%1$s'),
	       (SELECT sessions FROM pool_monitor_applications WHERE application_name = '%1$s')};

sub work
{
	my ($node, $appname) = @_;
	my $client = PoolMonitor::Wire->new($node, appname => $appname);
	my $samples = $node->safe_psql('postgres', 'SELECT samples FROM pool_monitor_info');

	PoolMonitor::wait_until($node, "SELECT samples > $samples + 3 FROM pool_monitor_info",
		"$appname is sampled on the " . $node->name);
	$client->quit;
	return;
}

work($primary, 'elder');
$primary->restart;
is($primary->safe_psql('postgres', sprintf $shown, 'elder'), '1|1|1', 'the primary has a file');
$primary->backup('base');
ok(-s $primary->backup_dir . '/base/pg_stat/pool_monitor.stat', 'which is part of a base backup');

my $standby = PostgreSQL::Test::Cluster->new('history_standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
is($standby->safe_psql('postgres', sprintf $shown, 'elder'), '0|0|', 'the standby shows nothing of the primary');
is( $standby->safe_psql('postgres', 'SELECT restored_from IS NULL FROM pool_monitor_info'),
	't', 'nothing was restored there');
unlike(slurp_file($standby->logfile), qr/WARNING/, 'without a WARNING');

# It has not saved anything yet, so what it finds now is the primary's file
my $data = $standby->data_dir;
my ($postmaster) = slurp_file("$data/postmaster.pid") =~ /^(\d+)/;
$standby->kill9;
# its children notice by themselves
for (1 .. 600)
{
	last unless kill(0, $postmaster) || grep { (readlink($_) || '') eq $data } glob '/proc/[0-9]*/cwd';
	usleep(50_000);
}
$standby->start;
is($standby->safe_psql('postgres', sprintf $shown, 'elder'), '0|0|',
	'nor after a crash before it has saved for the first time');

work($standby, 'reader');
is($standby->safe_psql('postgres', sprintf $shown, 'reader'), '1|1|1', 'the standby has a history of its own');
is($primary->safe_psql('postgres', sprintf $shown, 'reader'), '0|0|', 'of which the primary knows nothing');
is($primary->safe_psql('postgres', sprintf $shown, 'elder'), '1|1|1', "the primary's is intact");
$standby->restart;
is($standby->safe_psql('postgres', sprintf $shown, 'reader'), '1|1|1', 'it survives a restart of the standby');
is( $standby->safe_psql('postgres', 'SELECT restored_from IS NOT NULL AND pg_is_in_recovery() FROM pool_monitor_info'),
	't', 'from its own file');

my $samples = $standby->safe_psql('postgres', 'SELECT samples FROM pool_monitor_info');
my $now = $standby->safe_psql('postgres', 'SELECT clock_timestamp()');
my $history = "SELECT sum(samples) FROM pool_monitor_utilization(NULL, '$now')";
my $before = $standby->safe_psql('postgres', $history);
$standby->promote;
PoolMonitor::wait_until($standby, "SELECT samples > $samples + 3 FROM pool_monitor_info", 'it samples on after a promotion');
is($standby->safe_psql('postgres', sprintf $shown, 'reader'), '1|1|1', 'a promotion loses nothing');
is($standby->safe_psql('postgres', $history), $before, 'not a sample');
$standby->restart;
is($standby->safe_psql('postgres', sprintf $shown, 'reader'), '1|1|1', 'nor does the restart after it');

$standby->stop;
$primary->stop;
unlike(slurp_file($_->logfile), qr/TRAP|PANIC/, 'no assertion failed on the ' . $_->name) foreach ($primary, $standby);

done_testing();
