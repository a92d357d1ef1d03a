# Where there is nothing to monitor the preloaded library stays idle: in
# single-user mode, under initdb and under pg_upgrade.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PoolMonitor;
use Test::More;

my $node = PoolMonitor::new_node('main', extension => 1, conf => "max_connections = 20\n");
my $session = PoolMonitor::session($node, appname => 'before');
is($node->safe_psql('postgres', 'SELECT loaded FROM pool_monitor_info'), 't', 'the library is preloaded');
my $normal_memory = $node->safe_psql('postgres', 'SELECT memory_bytes FROM pool_monitor_info');

# A dump has the extension, and a restored one works
$node->command_like([ 'pg_dump', '-p', $node->port, '-h', $node->host, 'postgres' ],
	qr/^CREATE EXTENSION IF NOT EXISTS pool_monitor WITH SCHEMA public;$(?!.*CREATE VIEW)/ms,
	'pg_dump saves the extension and not what is in it');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
my $dump = $node->basedir . '/dump';
$node->command_ok([ 'pg_dump', '-p', $node->port, '-h', $node->host, '-Fc', '-f', $dump, 'postgres' ], 'a dump is made');
$node->command_ok([ 'pg_restore', '-p', $node->port, '-h', $node->host, '-d', 'restored', '--exit-on-error', $dump ], 'and restored');
is($node->safe_psql('restored', "SELECT connections FROM pool_monitor_applications WHERE application_name = 'before'"),
	'1', 'the restored extension works');
$session->quit;
$node->stop;

# Single-user mode
my ($stdout, $stderr) = ('', '');
my $input = join "\n",
  'SELECT loaded, worker_pid FROM pool_monitor_info',
  'SELECT status, connections, rejected FROM pool_monitor_status',
  'SELECT count(*) AS applications FROM pool_monitor_applications',
  'SELECT count(*) AS sessions FROM pool_monitor_sessions',
  'SELECT count(*) = 1 AS roles FROM pool_monitor_roles',
  'SELECT pool_monitor_reset()',
  'CREATE TABLE made_in_single_user_mode ()', '';
my $ok = IPC::Run::run(
	[ $node->installed_command('postgres'), '--single', '-F', '-D', $node->data_dir, 'postgres' ],
	'<', \$input, '>', \$stdout, '2>', \$stderr);
ok($ok, 'single-user mode starts with the library preloaded, and ends');
like($stdout, qr/loaded = "f"/, 'the library stays idle there');
like($stdout, qr/status = "healthy"/, 'live views work in single-user mode');
like($stdout, qr/sessions = "0"/, 'there are no sessions');
like($stdout, qr/roles = "t"/, 'but a role');
like($stderr, qr/ERROR:  pool_monitor must be loaded via "shared_preload_libraries"/, 'what needs more says so');
unlike($stderr, qr/FATAL|PANIC|TRAP|background worker/, 'and nothing else goes wrong');

# pg_upgrade's mode
is(PostgreSQL::Test::Utils::system_log('pg_ctl', '-w', '-D', $node->data_dir, '-l', $node->logfile, '-o', '-b', 'start'),
	0, 'the server starts in binary-upgrade mode');
$node->command_like([ 'psql', '-XAtp', $node->port, '-h', $node->host, '-c', 'SELECT loaded, worker_pid IS NULL, samples IS NULL FROM pool_monitor_info', 'postgres' ],
	qr/^f\|t\|t$/, 'the library stays idle there');
$node->command_like([ 'psql', '-XAtp', $node->port, '-h', $node->host, '-c', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'pool_monitor%'", 'postgres' ],
	qr/^0$/, 'there is no worker');
is(PostgreSQL::Test::Utils::system_log('pg_ctl', '-w', '-D', $node->data_dir, 'stop'), 0, 'it stops');

# A normal start again
$node->start;
is($node->safe_psql('postgres', "SELECT loaded, to_regclass('made_in_single_user_mode') IS NOT NULL FROM pool_monitor_info"),
	't|t', 'afterwards everything is as before');

# initdb with the library in its configuration, which it can have from 16 on
if ($node->safe_psql('postgres', 'SHOW server_version_num') >= 160000)
{
	my $dir = PostgreSQL::Test::Utils::tempdir . '/data';
	my @set = ('-c', 'shared_preload_libraries=pool_monitor');
	if ($ENV{PMON_EXTENSION_CONF})
	{
		my ($path) = slurp_file($ENV{PMON_EXTENSION_CONF}) =~ /^dynamic_library_path = '(.*)'$/m;
		push @set, '-c', "dynamic_library_path=$path";
	}
	$node->command_ok([ 'initdb', '-D', $dir, '-A', 'trust', '--no-sync', @set ], 'initdb works with the library preloaded');
}

# The size of what the server allocates follows max_groups
my %memory;
foreach my $groups (10, 2000, 100000)
{
	$node->append_conf('postgresql.conf', "pool_monitor.max_groups = $groups\n");
	$node->restart;
	$memory{$groups} = $node->safe_psql('postgres', 'SELECT memory_bytes FROM pool_monitor_info');
	cmp_ok(
		$node->safe_psql('postgres', "SELECT sum(allocated_size) FROM pg_shmem_allocations WHERE name LIKE 'pool_monitor%'"),
		'<=', 1.001 * $memory{$groups}, "memory_bytes covers what is allocated with $groups groups, but for rounding");
}
is($memory{2000}, $normal_memory, 'the default is 2,000 groups');
cmp_ok($memory{2000}, '<', 32 * 1024 * 1024, 'which takes less than 32 MB');
cmp_ok($memory{10}, '<', $memory{2000}, 'fewer groups take less memory');
cmp_ok($memory{2000}, '<', $memory{100000}, 'more groups take more');

$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC/, 'no assertion failed');

done_testing();
