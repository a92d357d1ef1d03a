# A session that is stopped where others have to wait for it: in the middle of
# an update of its status entry, where nobody may wait for ever; and with one
# of our locks, where those who need it wait, and go on when it does.

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
use Time::HiRes qw(time usleep);

my $node = PoolMonitor::new_node('stopped',
	extension => 1,
	conf => q{
autovacuum = off
max_connections = 40
authentication_timeout = 10min
pool_monitor.sample_interval = 20ms
pool_monitor.save_interval = 1s
pool_monitor.pools = 'victims: application=victim size=2; observer: application=observer idle_timeout=0 max_lifetime=0; others: size=20'});
my $library = TestModule::build('stopped');
$node->safe_psql('postgres', qq{
	CREATE ROLE joe LOGIN;
	CREATE FUNCTION stop_in_update() RETURNS void LANGUAGE c AS '$library';
	CREATE FUNCTION stop_with_lock(int) RETURNS void LANGUAGE c AS '$library'});
TestModule::install_check($node);

# pg_stat_activity itself waits for a status entry in mid-update, so nothing
# here may look at it as long as a session is stopped there.
my $observer = PoolMonitor::session($node, appname => 'observer');

sub stops
{
	my ($pid, $label) = @_;
	my $deadline = time + 180;

	usleep(10_000) until slurp_file("/proc/$pid/stat") =~ /^\d+ \(.*\) T / || time > $deadline;
	return like(slurp_file("/proc/$pid/stat"), qr/^\d+ \(.*\) T /, $label);
}

#
# In mid-update
#
my $victim = PoolMonitor::Wire->new($node, appname => 'victim');
$victim->send_query('SELECT stop_in_update()');
stops($victim->pid, 'a session is stopped in mid-update of its status entry');
my $pid = $victim->pid;

# Every view and function that reads sessions, with a limit that only a reader
# that hangs would reach
$observer->query("SET statement_timeout = '60s'");
my %readers = (
	(map { ("pool_monitor_$_" => "SELECT count(*) > 0 FROM pool_monitor_$_") }
		  qw(status connections applications groups sessions databases roles pools capacity info)),
	pool_monitor_leaks => 'SELECT count(*) >= 0 FROM pool_monitor_leaks',
	pool_monitor_pool_status => 'SELECT count(*) = 1 FROM pool_monitor_pool_status(5, 5)',
	pool_monitor_health => q{SELECT pool_monitor_health() ->> 'status' = 'healthy'},
	pool_monitor_metrics => q{SELECT pool_monitor_metrics() LIKE '%# EOF%'},
	pool_monitor_terminate_idle => q{SELECT count(*) = 0 FROM pool_monitor_terminate_idle('1 day')});
foreach my $reader (sort keys %readers)
{
	is($observer->query($readers{$reader}), 't', "$reader answers all the same") || diag $observer->stderr;
}
$observer->query('RESET statement_timeout');
is( $observer->query("SELECT datname, application_name, state FROM pool_monitor_sessions WHERE pid = $pid"),
	'postgres|victim|active', 'the session shows as it was');
is( $observer->query(q{
		SELECT connections, active FROM pool_monitor_applications WHERE application_name = 'victim'}),
	'1|1', 'it is counted');
my $worker = $observer->query('SELECT worker_pid FROM pool_monitor_info');
$observer->samples(20, 'samples go on');
is( $observer->query(q{
		SELECT connections_max, active_max FROM pool_monitor_history((SELECT last_sample_at FROM pool_monitor_info), 'infinity', '1 us')
		 WHERE application_name = 'victim' ORDER BY period_start DESC LIMIT 1}),
	'1|1', 'and have it');
$observer->holds('SELECT last_sample_duration < 100 FROM pool_monitor_info', 'which are not held up by it');
my $now = $observer->query('SELECT clock_timestamp()');
$observer->holds("SELECT saved_at > '$now' FROM pool_monitor_info", 'saving goes on');

# A policy goes on, and leaves it alone
my @settings = qw(idle_timeout max_lifetime);
my $idler = PoolMonitor::Wire->new($node, user => 'joe', appname => 'idler');
$observer->query("ALTER SYSTEM SET pool_monitor.$_ = '10ms'") foreach @settings;
$observer->query('ALTER SYSTEM SET pool_monitor.terminate_superusers = on');
$observer->query('SELECT pg_reload_conf()');
is($idler->wait_end, '57P05', 'a policy ends another session');
$observer->samples(5, 'and goes on');
is( $observer->query("SELECT count(*) FROM pool_monitor_terminations WHERE pid = $pid"),
	'0', 'but does not ask the one that is stopped');
$observer->query("ALTER SYSTEM RESET pool_monitor.$_") foreach @settings, 'terminate_superusers';
$observer->query('SELECT pg_reload_conf()');
is($observer->query('SELECT worker_pid FROM pool_monitor_info'), $worker, 'the worker is the same');

kill 'CONT', $pid;
ok($victim->wait_ready->{ready}, 'it goes on');
$observer->holds("SELECT state = 'idle' FROM pool_monitor_sessions WHERE pid = $pid", 'and shows as it is at once');
$observer->quit;
TestModule::settles($node, 'when it has gone on');
$victim->quit;
TestModule::settles($node, 'when it has left');

#
# With a lock: the main one, that of the incidents, that of the terminations
#
foreach my $lock (0 .. 2)
{
	my $name = ('main lock', 'incident lock', 'lock of terminations')[$lock];

	$observer = PoolMonitor::session($node, appname => 'observer');
	$victim = PoolMonitor::Wire->new($node, appname => 'victim');
	my $bystander = PoolMonitor::Wire->new($node, appname => 'bystander');
	$victim->send_query("SELECT stop_with_lock($lock)");
	stops($victim->pid, "a session is stopped with the $name");

	# Whoever needs no lock of ours
	is($observer->query('SELECT count(*) > 0 FROM pool_monitor_sessions'), 't', 'live sessions can be read');
	is($observer->query('SELECT count(*) > 0 FROM pool_monitor_connections'), 't', 'and connections');
	$bystander->query("SELECT $_") foreach 1 .. 3;
	is($bystander->query('SELECT 1')->{ready}, 1, 'transactions go on');

	# A login needs the main lock, and can not be let in without
	my $login = PoolMonitor::Wire->new($node, silent => 1, appname => 'login');
	$login->send_raw(PoolMonitor::Wire::_startup(appname => 'login'));
	my $waits = q{SELECT count(*) = 1 FROM pg_stat_activity
		WHERE application_name = 'login' AND wait_event_type = 'LWLock' AND lower(wait_event) LIKE 'pool\_monitor%'};
	if ($lock == 0)
	{
		$observer->holds($waits, 'a login waits for it');
	}
	else
	{
		is($login->wait_ready->{ready}, 1, 'a login does not need it');
	}
	kill 'CONT', $victim->pid;
	is($victim->wait_ready->{ready}, 1, 'the session goes on');
	is($login->wait_ready->{ready}, 1, 'so does the login') if $lock == 0;
	$observer->samples(3, 'so does the sampler');
	is( $observer->query("SELECT sessions FROM pool_monitor_applications WHERE application_name = 'login'"),
		$lock + 1, 'and counts are right');
	$_->quit foreach ($victim, $bystander, $login, $observer);
	TestModule::settles($node, "after the $name");
}

$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC/, 'no assertion failed');

done_testing();
