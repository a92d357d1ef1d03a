# The library is taken out of shared_preload_libraries while its settings stay in
# postgresql.conf and its objects in the databases, one of them in a schema of
# its own: the server starts, live views work, whatever needs the library
# preloaded says what is missing, a dump can be made; and when it is put back, what
# it had kept is there.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use PoolMonitor;
use Test::More;

my $node = PoolMonitor::new_node('main', extension => 1, conf => <<'END');
max_connections = 20
pool_monitor.sample_interval = 10ms
pool_monitor.pools = 'shop: application=shop* size=5'
pool_monitor.idle_timeout = 1h
END

sub sql
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

sql('CREATE ROLE joe LOGIN');
sql('CREATE DATABASE elsewhere');
$node->safe_psql('elsewhere', 'CREATE SCHEMA monitoring; CREATE EXTENSION pool_monitor SCHEMA monitoring');
my $shop = PoolMonitor::session($node, appname => 'shop');
$shop->query('SELECT 1');
PoolMonitor::wait_until($node, "SELECT count(*) > 0 FROM pool_monitor_history() WHERE application_name = 'shop'",
	'there is a history');
$shop->quit;
PoolMonitor::wait_until($node, "SELECT sessions = 1 FROM pool_monitor_applications WHERE application_name = 'shop'",
	'and a count');

#
# Away with it, with its settings left where they are
#
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->stop;
my $file = $node->data_dir . '/pg_stat/pool_monitor.stat';
my $statistics = slurp_file($file);
my $offset = -s $node->logfile;
$node->start;
unlike(slurp_file($node->logfile, $offset), qr{pool_monitor(?!\.\w+/)|WARNING}, # the temporary folder has our name, too
	'the server starts without a word about what is left');
is(sql('SHOW pool_monitor.pools'), 'shop: application=shop* size=5', 'its settings stay what the file says');

# What needs the library preloaded; all else is live
my %needs = map { $_ => 1 } (
	'pool_monitor_chart()', 'pool_monitor_history()', 'pool_monitor_holds()', 'pool_monitor_incident_holders()',
	'pool_monitor_incidents()', 'pool_monitor_rejections()', 'pool_monitor_reset()', 'pool_monitor_reset(1)',
	'pool_monitor_sizing()', 'pool_monitor_terminate()', 'pool_monitor_terminate_idle()',
	'pool_monitor_terminations()', 'pool_monitor_utilization()',
	'pool_monitor_incidents', 'pool_monitor_rejections', 'pool_monitor_terminations');

# Values for what has no default
my %arguments = (
	pool_monitor_incident_holders => '1',
	'pool_monitor_reset(1)' => q{'shop'},
	pool_monitor_pool_status => '5, 10',
	pool_monitor_terminate => '-1',
	pool_monitor_terminate_idle => q{'1 hour'});

# The statements that call everything there is: name, and statement
sub calls
{
	my ($database, $schema) = @_;
	my %calls;

	$calls{$_} = "SELECT * FROM $schema.$_"
	  foreach split /\n/, $node->safe_psql($database,
		"SELECT relname FROM pg_class WHERE relkind = 'v' AND relname LIKE 'pool\\_monitor%'");
	foreach my $function (split /\n/, $node->safe_psql($database,
		"SELECT proname || CASE WHEN proname = 'pool_monitor_reset' AND pronargs > 0 THEN '(1)' ELSE '()' END FROM pg_proc WHERE proname LIKE 'pool\\_monitor%'"))
	{
		my ($name) = $function =~ /^(\w+)/;
		my $arguments = $arguments{$function} // ($function eq 'pool_monitor_reset()' ? '' : $arguments{$name} // '');

		$calls{$function} = "SELECT * FROM $schema.$name($arguments)";
	}
	return %calls;
}

my $hint = 'Add pool_monitor to "shared_preload_libraries" in postgresql.conf and restart the server.';
foreach my $case ([ 'postgres', 'public' ], [ 'elsewhere', 'monitoring' ])
{
	my ($database, $schema) = @$case;
	my %calls = calls($database, $schema);

	cmp_ok(scalar(keys %calls), '>', 40, "there are views and functions in $database");
	foreach my $name (sort keys %calls)
	{
		# each in a session of its own, which loads the library with that
		my ($ret, $stdout, $stderr) = $node->psql($database, "\\set VERBOSITY verbose\n$calls{$name}");
		my $wanted = $needs{$name}
		  ? qr/^(?:psql:\S+ )?ERROR:  55000: pool_monitor must be loaded via "shared_preload_libraries"\nHINT:  \Q$hint\E\n/
		  : qr/^$/;

		like($stderr, $wanted, "$name in $schema " . ($needs{$name} ? 'says what is missing' : 'works'));
	}
	delete $needs{$_} foreach grep { $database eq 'elsewhere' } keys %calls;
}
is(join(' ', sort keys %needs), '', 'and all of these are there');

# Whoever may ask
my ($ret, $stdout, $stderr) = $node->psql('postgres', 'SELECT * FROM pool_monitor_rejections', connstr => $node->connstr('postgres') . ' user=joe');
like($stderr, qr/must be loaded via "shared_preload_libraries"\nHINT:  \Q$hint\E/, 'an ordinary role is told the same');
is(sql("SELECT pool, pool_size FROM pool_monitor_pools"), 'shop|5', 'the pools are those of the settings');

# The objects can be dumped, dropped and created
my $dump = $node->basedir . '/dump';
$node->command_ok([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-f', $dump, 'elsewhere' ], 'a dump is made');
like(slurp_file($dump), qr/CREATE EXTENSION IF NOT EXISTS pool_monitor WITH SCHEMA monitoring;/, 'with the extension');
sql('CREATE DATABASE restored');
$node->command_ok([ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-h', $node->host, '-p', $node->port, '-d', 'restored', '-f', $dump ],
	'and restored');
is($node->safe_psql('restored', 'SELECT connections FROM monitoring.pool_monitor_status'), '1', 'and works');
$node->safe_psql('restored', 'DROP EXTENSION pool_monitor; CREATE EXTENSION pool_monitor SCHEMA public');
is($node->safe_psql('restored', 'SELECT connections FROM pool_monitor_status'), '1', 'drop and create work');

#
# Settings that are wrong do no harm as long as nobody loads the library
#
$node->append_conf('postgresql.conf', "pool_monitor.nonsense = 1\npool_monitor.leak_threshold = 'often'\n");
$node->restart;
is(sql('SHOW pool_monitor.leak_threshold'), 'often', 'a wrong value is no more than a text');
($ret, $stdout, $stderr) = $node->psql('postgres', 'SELECT connections FROM pool_monitor_status; SHOW pool_monitor.leak_threshold');
is($stdout, "1\n5min", 'a session that loads the library takes the default instead');
like($stderr, qr/WARNING:  invalid value for parameter "pool_monitor\.leak_threshold": "often"/, 'and is told so');

#
# And back with it
#
$node->stop;
is(slurp_file($file) eq $statistics, 1, 'nobody has touched what it had kept');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pool_monitor'");
$offset = -s $node->logfile;
$node->start;
is(sql('SELECT loaded, restored_from IS NOT NULL FROM pool_monitor_info'), 't|t', 'preloaded again, the library finds what it had kept');
is(sql("SELECT count(*) > 0 FROM pool_monitor_history() WHERE application_name = 'shop'"), 't', 'the history');
is(sql("SELECT sessions FROM pool_monitor_applications WHERE application_name = 'shop'"), '1', 'and the counts');
is(sql('SHOW pool_monitor.leak_threshold'), '5min', 'a wrong value is not taken');
like(slurp_file($node->logfile, $offset), qr/WARNING:  invalid value for parameter "pool_monitor\.leak_threshold": "often"/,
	'which the log says');
like(slurp_file($node->logfile, $offset), qr/WARNING:  invalid configuration parameter name "pool_monitor\.nonsense", removing it/,
	'as it says which names there are not');

$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC/, 'no assertion failed');

done_testing();
