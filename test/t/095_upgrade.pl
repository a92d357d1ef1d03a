# A cluster is upgraded with pg_upgrade, the library preloaded in the old one
# and in the new one: from the version that PMON_OLD_PG_CONFIG named to
# run.sh, or else from the same one.
use strict;
use warnings;

use File::Copy;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PoolMonitor;
use PoolMonitor::Catalog;
use Test::More;

my $conf = <<'END';
max_connections = 20
log_min_messages = warning
pool_monitor.sample_interval = 10ms
pool_monitor.pools = 'shop: application=shop* size=5'
END

# From 18 on, initdb makes checksums by default, and both must be the same.
my @init = (init => [ extra => ['--data-checksums'] ]);
my $old = PoolMonitor::new_node('old', upgrade => 'OLD', extension => 1, conf => $conf, @init);
my $old_version = $old->safe_psql('postgres', 'SHOW server_version_num');

# What an administrator does with it
$old->safe_psql('postgres', <<'END');
CREATE ROLE grafana;
CREATE ROLE nobody;
REVOKE SELECT ON pool_monitor_status FROM PUBLIC;
GRANT SELECT ON pool_monitor_status TO grafana;
GRANT EXECUTE ON FUNCTION pool_monitor_reset() TO grafana;
GRANT EXECUTE ON FUNCTION pool_monitor_metrics() TO grafana WITH GRANT OPTION;
CREATE VIEW busiest AS
	SELECT application_name, a.connections, s.status
	FROM pool_monitor_applications a, pool_monitor_status s ORDER BY 2 DESC;
CREATE TABLE kept AS SELECT * FROM pool_monitor_status;
ALTER ROLE grafana SET pool_monitor.track_transactions = off;
ALTER DATABASE postgres SET pool_monitor.track_transactions = on;
CREATE DATABASE elsewhere;
END
$old->safe_psql('elsewhere', <<'END');
CREATE SCHEMA monitoring;
CREATE EXTENSION pool_monitor SCHEMA monitoring;
END
my $shop = PoolMonitor::session($old, appname => 'shop');
$shop->query('BEGIN; SELECT 1; COMMIT');
PoolMonitor::wait_until(
	$old,
	"SELECT count(*) > 0 FROM pool_monitor_history() WHERE application_name = 'shop'",
	'the old cluster has a history');
$shop->quit;

# A dump of it, for another cluster
my $dump = $old->basedir . '/dump';
$old->command_ok([ 'pg_dump', '-h', $old->host, '-p', $old->port, '-Fc', '-f', $dump, 'postgres' ], 'a dump is made');
$old->stop;
my $old_file = $old->data_dir . '/pg_stat/pool_monitor.stat';
ok(-s $old_file, 'the old cluster has saved its statistics');

my $new = PoolMonitor::new_node('new', upgrade => 'NEW', conf => $conf, @init);

# pg_upgrade(LABEL, OPTION...): runs it; what its servers logged but for the
# statements, which all are
sub pg_upgrade
{
	my ($label, @options) = @_;
	my ($log, $stderr);
	my $dir = $new->basedir;
	my @command = (
		$new->installed_command('pg_upgrade'), '--no-sync', '--retain',
		'-d', $old->data_dir, '-D', $new->data_dir,
		'-b', $old->config_data('--bindir'), '-B', $new->config_data('--bindir'),
		'-s', $new->host, '-p', $old->port, '-P', $new->port, @options);

	# It leaves its scripts in the current folder.
	my $ok = IPC::Run::run(\@command, '>', \$log, '2>', \$stderr, init => sub { chdir $dir });
	ok($ok, $label) or diag("@command\n$log$stderr");
	return join "\n", grep { /\b[A-Z]+:  / && !/LOG:  statement: / } map { split /\n/, slurp_file($_) }
	  glob $new->data_dir . '/pg_upgrade_output.d/*/log/pg_upgrade_server.log';
}

my $server_log = pg_upgrade('pg_upgrade --check finds nothing in the way', '--check');
$server_log .= pg_upgrade('pg_upgrade upgrades the cluster');
like($server_log, qr/ready to accept connections/, 'its servers kept a log');
# the temporary folder has our name, too
unlike($server_log, qr{pool_monitor(?!\.\w+/)}, 'where the library said nothing');
unlike($server_log, qr/WARNING|TRAP|PANIC/, 'and nobody had to warn');
ok(!-e $new->data_dir . '/pg_stat/pool_monitor.stat', 'there is no file of statistics in the new cluster');

$new->start;
my $new_version = $new->safe_psql('postgres', 'SHOW server_version_num');
note("upgraded from $old_version to $new_version");
cmp_ok($new_version, '>=', $old_version, 'the upgraded cluster starts');

is($new->safe_psql('postgres', 'SELECT loaded, restored_from FROM pool_monitor_info'), 't|', 'its statistics start empty');
is($new->safe_psql('postgres', "SELECT count(*) FROM pool_monitor_history() WHERE application_name = 'shop'"),
	'0', 'without a history');
PoolMonitor::wait_until($new, 'SELECT samples > 0 FROM pool_monitor_info', 'the worker samples');

# Every view answers, in both databases
my $views = 0;
foreach my $database ('postgres', 'elsewhere')
{
	foreach my $view (split /\n/, $new->safe_psql($database,
		"SELECT objid::regclass FROM pg_depend WHERE classid = 'pg_class'::regclass AND deptype = 'e'"
		  . " AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pool_monitor')"))
	{
		my ($ret, $stdout, $stderr) = $new->psql($database, "SELECT * FROM $view");
		is($stderr, '', "$view in $database works");
		$views++;
	}
}
cmp_ok($views, '>', 20, 'there are views');
$shop = PoolMonitor::session($new, appname => 'shop');
is($new->safe_psql('postgres', "SELECT connections FROM busiest WHERE application_name = 'shop'"),
	'1', "a view on the extension's views works");
is($new->safe_psql('postgres', 'SELECT pool, total_connections FROM pool_monitor_pools'), 'shop|1', 'so do the pools');
$shop->quit;
is($new->safe_psql('postgres', 'SELECT count(*) FROM kept'), '1', 'a table of figures has been kept');

# What was granted
is($new->safe_psql('postgres', <<'END'), 'f|t|t|t', 'privileges have been kept');
SELECT has_table_privilege('nobody', 'pool_monitor_status', 'SELECT'),
	has_table_privilege('grafana', 'pool_monitor_status', 'SELECT'),
	has_function_privilege('grafana', 'pool_monitor_reset()', 'EXECUTE'),
	has_function_privilege('grafana', 'pool_monitor_metrics()', 'EXECUTE WITH GRANT OPTION')
END
is($new->safe_psql('postgres', 'SELECT setconfig FROM pg_db_role_setting ORDER BY 1'),
	"{pool_monitor.track_transactions=off}\n{pool_monitor.track_transactions=on}", 'and settings');

# The extension is what a new one would be
$new->safe_psql('postgres', 'CREATE DATABASE fresh');
$new->safe_psql('fresh', 'CREATE EXTENSION pool_monitor');
my $fresh = PoolMonitor::Catalog::describe($new, 'fresh', 'pool_monitor', privileges => 0);
cmp_ok(scalar(split /\n/, $fresh), '>', 300, 'the catalog says much about a new extension');
is(
	PoolMonitor::Catalog::differences(
		$fresh, PoolMonitor::Catalog::describe($new, 'postgres', 'pool_monitor', privileges => 0)),
	'',
	'the upgraded one has the same objects, definitions, comments and initial privileges');
my ($ret, $stdout, $stderr) = $new->psql('postgres', 'ALTER EXTENSION pool_monitor UPDATE');
is($ret, 0, 'ALTER EXTENSION pool_monitor UPDATE works');
like($stderr, qr/NOTICE: .*already installed$/m, 'and has nothing to do');
$new->safe_psql('elsewhere', 'ALTER EXTENSION pool_monitor SET SCHEMA public');
is($new->safe_psql('elsewhere', 'SELECT count(*) FROM public.pool_monitor_status'), '1', 'it can be moved');
$new->safe_psql('elsewhere', 'DROP EXTENSION pool_monitor');
is($new->safe_psql('elsewhere', "SELECT count(*) FROM pg_class WHERE relname LIKE 'pool_monitor%'"), '0', 'and dropped');

# The dump of the old cluster, restored in the new one
$new->safe_psql('postgres', 'CREATE DATABASE restored');
$new->command_ok(
	[ 'pg_restore', '-h', $new->host, '-p', $new->port, '-d', 'restored', '--exit-on-error', $dump ],
	'the dump of the old cluster can be restored in the new one');
is(
	PoolMonitor::Catalog::differences(
		PoolMonitor::Catalog::describe($new, 'postgres'), PoolMonitor::Catalog::describe($new, 'restored')),
	'',
	'with the same objects, comments and privileges');
is($new->safe_psql('restored', 'SELECT count(*) FROM busiest WHERE status IS NULL'), '0', 'its views work');

# The old cluster's file, if somebody carries it over: the new server takes it
# or refuses it whole, and works.
$new->stop;
copy($old_file, $new->data_dir . '/pg_stat/pool_monitor.stat') || die $!;
$new->start;
my $restored = $new->safe_psql('postgres', 'SELECT restored_from IS NOT NULL FROM pool_monitor_info');
is($new->safe_psql('postgres', "SELECT count(*) > 0 FROM pool_monitor_history() WHERE application_name = 'shop'"),
	$restored, "the old cluster's file, carried over, is taken whole or not at all");
PoolMonitor::wait_until($new, 'SELECT samples > 0 FROM pool_monitor_info', 'and the worker samples');

$new->stop;
unlike(slurp_file($new->logfile), qr/TRAP|PANIC|ERROR|WARNING/, 'the upgraded server had nothing to complain about');
unlike(slurp_file($old->logfile), qr/TRAP|PANIC/, 'nor the old one');

done_testing();
