# max_connections, max_groups and history_size changed over restarts, up and
# down, and over a crash: what was counted and sampled is kept, and every slot
# there is can be used.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../modules";

use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TestModule;

my $node = PoolMonitor::new_node('sizes',
	extension => 1,
	conf => q{
restart_after_crash = on
autovacuum = off
max_connections = 20
superuser_reserved_connections = 3
pool_monitor.sample_interval = 20ms
pool_monitor.save_interval = 1s});
$node->safe_psql('postgres', 'CREATE ROLE joe LOGIN; CREATE ROLE nobody LOGIN CONNECTION LIMIT 0');
TestModule::install_check($node);

sub value
{
	my ($query) = @_;
	return $node->safe_psql('postgres', $query);
}

# Work of 30 applications, the last of them with five sessions at a time
foreach my $n (1 .. 30)
{
	my @clients = map { PoolMonitor::Wire->new($node, user => 'joe', appname => "work $n") } 1 .. ($n == 30 ? 5 : 1);

	$_->query('SELECT 1') foreach @clients;
	PoolMonitor::wait_until($node,
		"SELECT count(*) > 0 FROM pool_monitor_history(NULL, NULL) WHERE application_name = 'work 30' AND connections_max = 5",
		'all were sampled') if $n == 30;
	$_->quit foreach @clients;
}
PoolMonitor::Wire->new($node, silent => 1, user => 'nobody', appname => 'refused')->log_in foreach 1 .. 2;
PoolMonitor::Wire::fill($node, user => 'joe', appname => 'refused');
PoolMonitor::wait_until($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = 'joe'", 'they have left');
PoolMonitor::wait_until($node, q{
	SELECT count(*) = 1 FROM pool_monitor_incidents, pool_monitor_utilization(NULL, NULL, '100000 days') u WHERE u.rejected = 3}, 'logins were refused');

# What must be the same for ever, of joe's applications together
my $figures = q{
	SELECT sum(sessions), sum(transactions), sum(transaction_time)::bigint, max(peak_connections) FROM pool_monitor_groups WHERE usename = 'joe';
	SELECT * FROM pool_monitor_rejections;
	SELECT incident, started_at, rejected FROM pool_monitor_incidents};
my $last_of_them = q{
	SELECT sessions, transactions, peak_connections, peak_connections_at FROM pool_monitor_applications WHERE application_name = 'work 30';
	SELECT max(connections_max) FROM pool_monitor_history(NULL, NULL) WHERE application_name = 'work 30'};
my $expected = value($figures);
my $expected_of_last = value($last_of_them);
my $until = value('SELECT clock_timestamp()');
my $samples_until = "SELECT sum(samples) FROM pool_monitor_utilization(NULL, '$until', '100000 days')";
my $samples = value($samples_until);

sub fill_all_slots
{
	my ($slots) = @_;
	my @clients;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	while (@clients <= $slots)
	{
		my $client = PoolMonitor::Wire->new($node, silent => 1, user => 'joe', appname => 'work 30');

		last unless $client->log_in->{ready};
		push @clients, $client;
	}
	is(scalar @clients, $slots, "all $slots slots for ordinary roles can be used");
	is(value('SELECT status, connections FROM pool_monitor_status'), 'exhausted|' . ($slots + 1), 'each of them is counted');
	PoolMonitor::wait_until($node,
		"SELECT connections_max = $slots FROM pool_monitor_history((SELECT started_at FROM pool_monitor_info), NULL, '100000 days') WHERE application_name = 'work 30'",
		'and sampled');
	$_->quit foreach @clients;
	return;
}

my @sizes = (
	[ 60, 2000, '16MB' ],
	[ 200, 2000, '1MB' ],
	[ 12, 2000, '64MB' ],
	[ 20, 100, '16MB' ],
	[ 90, 5000, '16MB' ],
	[ 12, 2000, '1MB' ]);

foreach my $size (@sizes)
{
	my ($connections, $groups, $history) = @$size;
	my $label = "max_connections $connections, max_groups $groups, history_size $history";
	my $at = value('SELECT clock_timestamp()');

	$node->append_conf('postgresql.conf',
		"max_connections = $connections\npool_monitor.max_groups = $groups\npool_monitor.history_size = $history\n");
	$node->restart;
	is(value($figures), $expected, "$label: everything is kept");
	is(value($last_of_them), $expected_of_last, 'also of one application');
	is(value($samples_until), $samples, 'and every sample');
	is( value('SELECT max_groups, max_connections, groups_evicted FROM pool_monitor_info, pool_monitor_status'),
		"$groups|$connections|0", 'the sizes are in force, and nothing was folded');
	is(value("SELECT restored_from > '$at' FROM pool_monitor_info"), 't', 'it came from the shutdown');
	TestModule::settles($node, 'with other sizes');
}

# A crash with them
my $client = PoolMonitor::Wire->new($node, appname => 'victim');
my $at = value('SELECT clock_timestamp()');
PoolMonitor::wait_until($node, "SELECT saved_at > '$at' FROM pool_monitor_info", 'it saves');
kill 'KILL', $client->pid;
$node->poll_query_until('postgres', "SELECT started_at > '$at' FROM pool_monitor_info") || die 'it does not come back';
is(value($figures), $expected, 'everything is kept over a crash, too');
is(value($samples_until), $samples, 'and every sample');

# Every slot works after growth, and after it got smaller
foreach my $connections (60, 12)
{
	$node->append_conf('postgresql.conf', "max_connections = $connections\n");
	$node->restart;
	fill_all_slots($connections - 3);
	TestModule::settles($node, 'when they are free again');
}

# Fewer places than groups: the latest keep theirs, the rest are added up
$node->safe_psql('postgres', join '', map { "SET application_name = 'more $_';\n" } 1 .. 150);
my $before = value(q{SELECT sum(sessions) FROM pool_monitor_groups});
$node->append_conf('postgresql.conf', "pool_monitor.max_groups = 100\n");
$node->restart;
cmp_ok(value('SELECT sum(sessions) FROM pool_monitor_groups'), '>=', $before, 'with fewer places than groups no session is forgotten');
is(value('SELECT groups_evicted > 0 AND groups <= 100 FROM pool_monitor_info'), 't', 'some were folded');
TestModule::settles($node, 'with fewer places than groups');

$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC|renamed to/, 'no assertion failed, and the file was always good');

done_testing();
