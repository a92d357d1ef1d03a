# Without shared_preload_libraries: live views work, and what needs the
# library preloaded says so.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use PoolMonitor;
use File::Copy qw(copy);
use Test::More;

chomp(my $pkglibdir = `$ENV{BINDIR}/pg_config --pkglibdir`);

my $node = PoolMonitor::new_node('main', preload => 0, extension => 1);
$node->safe_psql('postgres', 'CREATE ROLE joe LOGIN');

my $session = PoolMonitor::session($node, appname => 'billing', user => 'joe');
$session->query('BEGIN');

sub sql
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

is(sql('SELECT loaded, version FROM pool_monitor_info'), 'f|1.0', 'pool_monitor_info tells that it is not preloaded');
is( sql("SELECT key FROM pool_monitor_info i, to_jsonb(i) j, jsonb_each(j) e
	      WHERE e.value <> 'null' ORDER BY 1"),
	"loaded\nversion", 'and nothing else');
is( sql('SELECT status, connections, active, idle_in_transaction, checked_out FROM pool_monitor_status'),
	'healthy|2|1|1|2', 'the status is live');
is( sql("SELECT string_agg(e.key, ' ' ORDER BY e.key) FROM pool_monitor_status s, to_jsonb(s) j, jsonb_each(j) e
	      WHERE e.value = 'null'"),
	'current_incident last_rejected_at peak_connections peak_connections_at rejected stats_reset terminated',
	'what only the preloaded library knows is null');
is( sql("SELECT datname, usename, state, connections FROM pool_monitor_connections
	      WHERE application_name = 'billing'"),
	'postgres|joe|idle in transaction|1', 'connections are live');
foreach my $view ('applications', 'groups')
{
	is( sql("SELECT connections, idle_in_transaction, checked_out, longest_transaction > '0',
	                longest_session > longest_transaction
	           FROM pool_monitor_$view WHERE application_name = 'billing'"),
		'1|1|1|t|t', "$view are live");
	is( sql("SELECT count(*) FROM pool_monitor_$view v, to_jsonb(v) j, jsonb_each(j) e
	          WHERE e.value <> 'null' AND e.key ~ '^(peak|sessions|rejected|terminated|transactions|session_time|transaction_time|hold)'"),
		'0', "their history is null in $view");
}
is( sql("SELECT usename, state, checked_out, blocks FROM pool_monitor_sessions
	      WHERE application_name = 'billing'"),
	'joe|idle in transaction|t|0', 'sessions are live');
is(sql("SELECT connections, checked_out FROM pool_monitor_databases WHERE datname = 'postgres'"),
	'2|2', 'databases are live');
is(sql("SELECT connections, checked_out FROM pool_monitor_roles WHERE usename = 'joe'"), '1|1', 'roles are live');
is( sql("SELECT checked_out, total_connections, status, invalid IS NULL
	       FROM pool_monitor_pool_status(1, 0, 'billing')"),
	'1|1|exhausted|t', 'the status of a pool is live');
is( sql("SELECT h ->> 'status', h ->> 'connections', h -> 'rejected' FROM pool_monitor_health() h"),
	'healthy|2|null', 'health is live');

my $hint = 'Add pool_monitor to "shared_preload_libraries" in postgresql.conf and restart the server.';
foreach my $statement ('SELECT pool_monitor_reset()', "SELECT pool_monitor_reset('billing')",
	'SELECT * FROM pool_monitor_rejections', 'SELECT * FROM pool_monitor_rejections()')
{
	my ($ret, $stdout, $stderr) =
	  $node->psql('postgres', "\\set VERBOSITY verbose\n$statement");
	like(
		$stderr,
		qr/ERROR:  55000: pool_monitor must be loaded via "shared_preload_libraries"\nHINT:  \Q$hint\E/,
		"$statement says what is missing");
}

# LOAD in a session: the settings of a session, and no more
my $loaded = PoolMonitor::session($node, appname => 'loader');
$loaded->query("LOAD 'pool_monitor'");
is($loaded->stderr, '', 'LOAD works');
is($loaded->query('SHOW pool_monitor.sample_interval'), '1s', 'LOAD defines the settings');
is($loaded->query('SELECT loaded FROM pool_monitor_info'), 'f', 'but does not make the library preloaded');
is( $loaded->query("SELECT connections FROM pool_monitor_applications WHERE application_name = 'billing'"),
	'1', 'live views work after LOAD');
$loaded->query('SELECT pool_monitor_reset()');
like($loaded->stderr, qr/must be loaded via "shared_preload_libraries"/, 'reset still says what is missing');
$loaded->query("LOAD 'pool_monitor'");
is($loaded->stderr, '', 'LOAD twice does no harm');
$loaded->query("SET pool_monitor.leak_threshold = '1s'");
like($loaded->stderr, qr/cannot be changed now/, 'contexts hold after LOAD');

# The way to set what a restart is to take effect with
is($node->safe_psql('postgres', q{
	LOAD 'pool_monitor';
	ALTER SYSTEM SET pool_monitor.pools = 'api: application=api size=5';
	SELECT pg_reload_conf()}), 't', 'after LOAD, ALTER SYSTEM knows the settings');
like(slurp_file($node->data_dir . '/postgresql.auto.conf'), qr/^pool_monitor\.pools = 'api: /m, 'and writes them');
my ($ret, undef, $stderr) = $node->psql('postgres', q{
	LOAD 'pool_monitor';
	ALTER SYSTEM SET pool_monitor.pools = 'api: size=many'});
like($stderr, qr/invalid value for parameter "pool_monitor\.pools"/, 'and refuses what is wrong');
$node->safe_psql('postgres', "LOAD 'pool_monitor'; ALTER SYSTEM RESET pool_monitor.pools");

# A second copy of the library, in a session and in the server
my ($library) = grep { -e } map { s/\$libdir/$pkglibdir/r . '/pool_monitor.so' }
  split /:/, sql('SHOW dynamic_library_path');
my $copy = $node->basedir . '/copy.so';
copy($library, $copy) or die "could not copy $library: $!";
$loaded->query("LOAD '$copy'");
like($loaded->stderr, qr/ERROR:  another copy of the library "pool_monitor" is loaded already/,
	'another copy of the library is refused');
like($loaded->stderr, qr/HINT:  Load it from one file only/, 'and the hint says what to do');

# session_preload_libraries and placeholders
$node->append_conf('postgresql.conf', "session_preload_libraries = 'pool_monitor'\npool_monitor.leak_threshold = '42s'\npool_monitor.max_groups = 77\n");
$node->reload;
my $late = PoolMonitor::session($node, appname => 'late');
is($late->query('SHOW pool_monitor.leak_threshold'), '42s', 'settings of the file hold where a session loads the library');
is($late->query('SELECT loaded FROM pool_monitor_info'), 'f', 'session_preload_libraries is not shared_preload_libraries');
is($late->query('SHOW pool_monitor.max_groups'), '77', 'a setting for the preloaded library is left alone');

# A session that ends, and one that is ended, after the library was loaded late
$loaded->quit;
$late->quit;
$session->quit;
PoolMonitor::wait_until($node, 'SELECT connections = 1 FROM pool_monitor_status', 'sessions end as usual');

# Now preload it; not twice
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pool_monitor, $copy'\n");
$node->stop;
ok(!$node->start(fail_ok => 1), 'the server does not start with two copies');
like(slurp_file($node->logfile), qr/FATAL:  another copy of the library "pool_monitor" is loaded already/, 'and says why');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pool_monitor'\n");
$node->start;
is(sql('SELECT loaded, max_groups FROM pool_monitor_info'), 't|77', 'after a restart the library is preloaded');
like(sql('SELECT pool_monitor_reset()'), qr/^\d{4}-/, 'and reset works');
is(sql('SELECT count(*) FROM pool_monitor_rejections'), '0', 'and rejections work');

# The extension's objects need not exist for the library to work
$node->safe_psql('postgres', 'DROP EXTENSION pool_monitor');
$session = PoolMonitor::session($node, appname => 'unwatched');
$node->safe_psql('postgres', 'CREATE EXTENSION pool_monitor');
is( sql("SELECT connections, sessions FROM pool_monitor_applications WHERE application_name = 'unwatched'"),
	'1|1', 'sessions are counted also while the extension is not created');
$session->quit;

$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC/, 'no assertion failed');

done_testing();
