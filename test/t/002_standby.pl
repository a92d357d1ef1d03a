# On a hot standby everything works, and goes on through its promotion.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PoolMonitor;
use Test::More;

my $primary = PoolMonitor::new_node('primary', init => [ allows_streaming => 1 ],
	extension => 1, conf => "pool_monitor.sample_interval = '20ms'\npool_monitor.idle_timeout = '1h'\n");
$primary->backup('base');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('write'));

is($standby->safe_psql('postgres', 'SELECT pg_is_in_recovery()'), 't', 'the standby is a standby');
PoolMonitor::wait_until($standby, 'SELECT samples > 3 FROM pool_monitor_info', 'the worker samples on a standby');
my $worker = $standby->safe_psql('postgres', 'SELECT worker_pid FROM pool_monitor_info');

my $session = PoolMonitor::session($standby, appname => 'reader');
$session->query('BEGIN');
$session->query('SELECT count(*) FROM pg_class');
my $figures = "SELECT connections, idle_in_transaction, checked_out, peak_connections, sessions
	FROM pool_monitor_applications WHERE application_name = 'reader'";
is($standby->safe_psql('postgres', $figures), '1|1|1|1|1', 'a session is counted on a standby');
PoolMonitor::wait_until($standby,
	"SELECT peak_checked_out = 1 FROM pool_monitor_applications WHERE application_name = 'reader'",
	'and sampled');
is($primary->safe_psql('postgres', $figures), '', 'but not on the primary');
is( $standby->safe_psql('postgres', "SELECT state, checked_out FROM pool_monitor_sessions WHERE application_name = 'reader'"),
	'idle in transaction|t', 'each session shows on a standby');
like($standby->safe_psql('postgres', 'SELECT pool_monitor_health()'), qr/"status": "healthy"/,
	'health works on a standby');

# Whose role changes: nobody on the standby does that, the session hears of it
$primary->safe_psql('postgres', 'CREATE ROLE boss LOGIN SUPERUSER');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('write'));
my $boss = PoolMonitor::session($standby, appname => 'boss', user => 'boss');
foreach my $change ([ undef, 'superuser', 'a superuser is exempt on a standby' ],
	[ 'NOSUPERUSER', 'none', 'who is none any more is not, from the next statement on' ],
	[ 'SUPERUSER', 'superuser', 'who is one again is' ])
{
	my ($attribute, $exempt, $label) = @$change;

	$primary->safe_psql('postgres', "ALTER ROLE boss $attribute") if $attribute;
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('write'));
	$boss->query('SELECT 1');
	is($standby->safe_psql('postgres', "SELECT coalesce(exempt, 'none') FROM pool_monitor_sessions WHERE application_name = 'boss'"),
		$exempt, $label);
}
$boss->quit;

# The standby's walsender is a connection of the primary, but not a session
is( $primary->safe_psql(
		'postgres',
		"SELECT backend_type, application_name, state, connections FROM pool_monitor_connections
		  WHERE application_name = 'standby'"),
	'walsender|standby|active|1',
	'the walsender shows among the connections');
is($primary->safe_psql('postgres', "SELECT connections FROM pool_monitor_status"), '1', 'but takes no slot of theirs');
is( $primary->safe_psql(
		'postgres',
		"SELECT (SELECT count(*) FROM pool_monitor_applications WHERE application_name = 'standby')
		      + (SELECT count(*) FROM pool_monitor_groups WHERE application_name = 'standby')
		      + (SELECT count(*) FROM pool_monitor_sessions WHERE application_name = 'standby')"),
	'0', 'and is not a session');

my $samples = $standby->safe_psql('postgres', 'SELECT samples FROM pool_monitor_info');
$standby->promote;
is($standby->safe_psql('postgres', 'SELECT pg_is_in_recovery()'), 'f', 'the standby was promoted');
is( $standby->safe_psql('postgres', 'SELECT worker_pid FROM pool_monitor_info'),
	$worker, 'the worker lived through the promotion');
PoolMonitor::wait_until($standby, "SELECT samples > $samples + 3 FROM pool_monitor_info", 'it goes on sampling');
is($standby->safe_psql('postgres', $figures), '1|1|1|1|1', 'nothing was forgotten');
ok($session->is_connected, 'the session is still there');
$session->quit;
$standby->safe_psql('postgres', 'CREATE DATABASE made_after_promotion');
$standby->safe_psql('postgres', 'DROP DATABASE made_after_promotion');

$standby->stop;
$primary->stop;
unlike(slurp_file($_->logfile), qr/TRAP|PANIC/, 'no assertion failed on the ' . $_->name) foreach ($primary, $standby);

done_testing();
