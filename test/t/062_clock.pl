# A clock that is set forward and back by hours while the server runs: no
# session is ended for it, nothing lasts for a negative time, samples and
# history go on, and all is right again at once.

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
use Time::HiRes qw(time);

# AddressSanitizer needs LD_PRELOAD for itself
if (($ENV{PROFILE} || '') =~ /sanitize=address/)
{
	pass('AddressSanitizer allows no other clock');
	done_testing();
	exit;
}

my $node = PoolMonitor::new_node('clock',
	conf => q{
autovacuum = off
max_connections = 30
pool_monitor.sample_interval = 20ms
pool_monitor.save_interval = 1s
pool_monitor.idle_timeout = 10min
pool_monitor.idle_in_transaction_timeout = 10min
pool_monitor.max_lifetime = 1h
pool_monitor.pools = 'sleepers: application=sleeper size=10'});

# The server's clock alone is set
my $folder = PostgreSQL::Test::Utils::tempdir();
my $offset_file = "$folder/offset";
my $clock = TestModule::build('clock');
open(my $offset, '>', $offset_file) || die "open: $!";
binmode $offset;
syswrite($offset, pack('qq', 0, 0)) == 16 || die "write: $!";

sub start
{
	local $ENV{LD_PRELOAD} = join ':', grep { $_ } $ENV{LD_PRELOAD}, $clock;
	local $ENV{CLOCK_OFFSET} = $offset_file;

	$node->start;
	return;
}

start();
$node->safe_psql('postgres', 'CREATE EXTENSION pool_monitor; CREATE ROLE joe LOGIN; CREATE ROLE nobody LOGIN CONNECTION LIMIT 0');
TestModule::install_check($node);
my $observer = PoolMonitor::session($node, appname => 'observer');

my $set_by = 0;

sub set_clock
{
	my ($hours) = @_;

	$set_by = $hours;
	sysseek($offset, 0, 0);
	syswrite($offset, pack('q', int($hours * 3600 * 1e6))) == 8 || die "write: $!";
	return;
}

# Nothing that lasted, or lasts, did so for a negative time
sub nothing_negative
{
	my ($label) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(
		$observer->query(q{
			SELECT (SELECT count(*) FROM pool_monitor_sessions
			         WHERE least(state_age, transaction_age) < '0' OR idle_limit < '0')
			     + (SELECT count(*) FROM pool_monitor_connections WHERE longest_in_state < '0')
			     + (SELECT count(*) FROM pool_monitor_applications
			         WHERE least(longest_idle, longest_transaction, longest_session) < '0'
			            OR least(session_time, transaction_time, hold_time_p50, hold_time_p99, hold_time_max) < 0)
			     + (SELECT count(*) FROM pool_monitor_groups WHERE least(session_time, transaction_time, hold_time_p50) < 0)
			     + (SELECT count(*) FROM pool_monitor_incidents WHERE ended_at < started_at)
			     + (SELECT count(*) FROM pool_monitor_incident_holders() WHERE least(longest_in_state, longest_transaction) < '0')
			     + (SELECT count(*) FROM pool_monitor_terminations WHERE idle_for < '0')
			     + (SELECT count(*) FROM pool_monitor_info WHERE least(last_sample_duration, sample_duration_max, missed_samples) < 0)
			     + (SELECT count(*) FROM pool_monitor_sizing()
			         WHERE least(arrival_rate, hold_time_mean, hold_time_cv, offered_load, recommended_pool_size, expected_wait) < 0)
			     + (SELECT count(*) FROM regexp_matches(pool_monitor_metrics(), '^pool_monitor[^#]* -[0-9.]+$', 'gn'))}),
		'0', $label);
}

# Sessions that a policy would end if they were as old as the clock says
my @sleepers = map { PoolMonitor::Wire->new($node, user => 'joe', appname => 'sleeper') } 1 .. 6;
$sleepers[$_]->query('BEGIN') foreach 0 .. 2;
$observer->samples(5, 'there are samples');
nothing_negative('nothing is negative before');
my $worker = $observer->query('SELECT worker_pid FROM pool_monitor_info');
my $missed = $observer->query('SELECT missed_samples FROM pool_monitor_info');
my $began = time;

foreach my $hours (2, 0, -3, 5, -1000, 1000, 0)
{
	my $label = sprintf '%+d h', $hours - $set_by;
	my $log = -s $node->logfile;
	my $direction = $hours > $set_by ? 'forward' : 'back';
	my $before = $observer->query('SELECT samples FROM pool_monitor_info');

	# An incident is open while that happens
	PoolMonitor::Wire::fill($node, user => 'joe', appname => 'refused');
	$observer->holds('SELECT current_incident IS NOT NULL FROM pool_monitor_status', "$label: an incident goes on");
	set_clock($hours);
	ok($node->wait_for_log(qr/LOG:  the system clock was set $direction by /, $log) > 0, 'that the clock was set is in the log');
	$observer->samples(10, 'samples go on');
	nothing_negative('nothing is negative');
	is( $observer->query(q{
			SELECT abs(extract(epoch FROM clock_timestamp() - last_sample_at)) < 60 FROM pool_monitor_info}),
		't', 'the last sample is of now');
	is($observer->query('SELECT count(*) FROM pool_monitor_terminations'), '0', 'no session is ended');
	is($observer->query(q{SELECT count(*) FROM pool_monitor_sessions WHERE terminates_at < clock_timestamp()}), '0', 'nor will be at once');
	is($observer->query(q{SELECT count(*) FROM pool_monitor_terminate_idle('5 min', dry_run => false)}), '0', 'not by hand either');
	is($_->query('SELECT 1')->{ready}, 1, 'a sleeper works') foreach @sleepers[ 0, 5 ];
	$observer->samples(2, 'and samples go on');
	nothing_negative('still nothing is negative');
	is( $observer->query(q{
			SELECT connections_max FROM pool_monitor_history(clock_timestamp() - interval '10 s', clock_timestamp() + interval '10 s', '100000 days')
			 WHERE application_name = 'sleeper'}),
		'6', 'the history has it');
	my $now = $observer->query('SELECT clock_timestamp()');
	$observer->holds("SELECT abs(extract(epoch FROM saved_at - '$now')) < 60 AND saved_at > '$now' FROM pool_monitor_info", 'it saves on');
}
$observer->holds('SELECT current_incident IS NULL FROM pool_monitor_status', 'the incident that started in what is the future now ends');
nothing_negative('and did not last for a negative time');
is($observer->query('SELECT worker_pid FROM pool_monitor_info'), $worker, 'the worker is the same');
is( $observer->query("SELECT missed_samples - $missed < 100 * (extract(epoch FROM clock_timestamp()) - $began) FROM pool_monitor_info"),
	't', 'no more samples are missed than time has passed');
is( $observer->query(q{
		SELECT sessions, transactions, connections FROM pool_monitor_applications WHERE application_name = 'sleeper'}),
	'6|7|6', 'counts are exact');
is($observer->query(q{SELECT count(*) FROM pool_monitor_sessions WHERE pool = 'sleepers'}), '6', 'all sleepers are there');

# A policy works after that, on time; and what a setting says is what is done
$observer->query(q{ALTER SYSTEM SET pool_monitor.pools = 'observer: application=observer idle_timeout=0'});
$observer->query('ALTER SYSTEM SET pool_monitor.idle_in_transaction_timeout = 0');
$observer->query(q{ALTER SYSTEM SET pool_monitor.max_lifetime = 0});
$observer->query(q{ALTER SYSTEM SET pool_monitor.idle_timeout = '1s'});
$observer->query('SELECT pg_reload_conf()');
is($sleepers[$_]->wait_end, '57P05', 'a session that is really idle is ended') foreach 3 .. 5;
$observer->holds('SELECT count(*) = 3 FROM pool_monitor_terminations', 'that is recorded');
is($observer->query(q{SELECT count(*) FROM pool_monitor_terminations WHERE idle_for < '1 s'}), '0', 'none before its time');
set_clock(2);
$observer->samples(5, 'the clock is set forward once more');
is($sleepers[0]->query('ROLLBACK')->{ready}, 1, 'a session gets idle after that');
is($sleepers[0]->wait_end, '57P05', 'and is ended in its time');
nothing_negative('nothing is negative in the end');

# A restart with the clock set back: what was saved is from the future
my $samples = $observer->query('SELECT sum(samples) FROM pool_monitor_utilization(NULL, NULL)');
$_->drop foreach @sleepers;
$observer->quit;
$node->stop;
set_clock(-2);
start();
$observer = PoolMonitor::session($node, appname => 'observer');
$observer->samples(5, 'samples are taken when the server comes back in its own past');
is($observer->query(q{SELECT sessions FROM pool_monitor_applications WHERE application_name = 'sleeper'}), '6', 'counts are kept');
cmp_ok($observer->query(q{SELECT sum(samples) FROM pool_monitor_utilization('-infinity', 'infinity')}), '>', $samples, 'history is kept');
nothing_negative('nothing is negative there');
$observer->quit;
TestModule::settles($node, 'with another clock');

$node->stop;
my $messages = slurp_file($node->logfile);
unlike($messages, qr/TRAP|PANIC/, 'no assertion failed');
unlike($messages, qr/(lasted|for) -\d/, 'the log has nothing negative either');
is(() = $messages =~ /the system clock was set/g, 8, 'each time that the clock was set is in the log once');

done_testing();
