# Incidents: when the server ran out of connections, who held them is known,
# though it lasted for less time than lies between two samples.

use strict;
use warnings;

use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $patience = 30;

# Ten connections for ordinary roles; no sample but the first
my $node = PoolMonitor::new_node('incidents',
	extension => 1,
	conf => q{
max_connections = 12
superuser_reserved_connections = 2
autovacuum = off
pool_monitor.sample_interval = 1h});
$node->safe_psql('postgres', q{
	CREATE ROLE joe LOGIN;
	CREATE ROLE nobody LOGIN CONNECTION LIMIT 0;
	CREATE DATABASE closed CONNECTION LIMIT 0});
my $observer = PoolMonitor::session($node, appname => 'observer');
my $superuser = $observer->query('SELECT current_user');

# Polls through the one session, so that nobody else comes and goes
sub becomes_true
{
	my ($query, $label) = @_;
	my $deadline = time + $patience;
	my $answer = '';

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	while (time < $deadline)
	{
		$answer = $observer->query($query);
		last if $answer eq 't';
		usleep(20_000);
	}
	return is($answer, 't', $label);
}

sub set_and_reload
{
	my %settings = @_;

	$observer->query("ALTER SYSTEM SET $_ = '$settings{$_}'") foreach sort keys %settings;
	$observer->query('SELECT pg_reload_conf()');
	return;
}

sub clients
{
	my ($count, $appname, %opts) = @_;
	return map { PoolMonitor::Wire->new($node, appname => $appname, user => 'joe', %opts) } 1 .. $count;
}

sub refused
{
	my (%opts) = @_;
	my $result = PoolMonitor::Wire->new($node, silent => 1, %opts)->log_in;

	return $result->{ready} ? 'connected' : $result->{sqlstate};
}

# The incidents' columns, of one
sub incident
{
	my ($columns, $number) = @_;
	return $observer->query("SELECT $columns FROM pool_monitor_incidents WHERE incident = $number");
}

# Who held the slots, the largest first.  A login on its way out may show too.
sub holders
{
	my ($columns, $number, $moment) = @_;
	return $observer->query(qq{
		SELECT $columns FROM pool_monitor_incident_holders($number)
		 WHERE moment = '$moment' AND application_name <> 'refused' AND state <> 'starting'});
}

PoolMonitor::wait_until($node, 'SELECT samples = 1 FROM pool_monitor_info', 'one sample was taken');
becomes_true('SELECT connections = 1 FROM pool_monitor_status', 'nobody else is connected');
is($observer->query('SELECT count(*) FROM pool_monitor_incidents'), '0', 'there is no incident yet');
is($observer->query('SELECT current_incident IS NULL FROM pool_monitor_status'), 't', 'the status shows none');

# Full for half a second at most
my $before = $observer->query('SELECT clock_timestamp()');
my @web = clients(6, 'web');
my @batch = clients(3, 'batch');
$_->query('BEGIN') foreach @web;
is(refused(user => 'joe', appname => 'refused'), '53300', 'a login is refused');
becomes_true('SELECT count(*) = 1 FROM pool_monitor_incidents', 'an incident is there at once');
$_->query('ROLLBACK') foreach @web;
$_->quit foreach @web, @batch;
becomes_true('SELECT connections = 1 FROM pool_monitor_status', 'the server is empty again');
is($observer->query('SELECT samples FROM pool_monitor_info'), '1', 'no sample saw any of it');

is( incident('reason, rejected, top_application, ended_at IS NULL', 1),
	'reserved_slots|1|web|t', 'the incident has its reason and the application that held most');
is( incident("started_at BETWEEN '$before' AND clock_timestamp() AND started_at = peak_at", 1),
	't', 'and the time');
like(incident('peak_connections', 1), qr/^1[01]$/, 'and the number of connections');
foreach my $moment ('start', 'peak')
{
	is( holders('application_name, datname, usename, client_addr, state, connections', 1, $moment),
		"web|postgres|joe||idle in transaction|6\nbatch|postgres|joe||idle|3\nobserver|postgres|$superuser||idle|1",
		"who held the slots at its $moment is known, the largest first");
	is( holders("application_name, longest_in_state >= '0', longest_transaction IS NOT NULL", 1, $moment),
		"web|t|t\nbatch|t|f\nobserver|t|f",
		"and for how long");
}
is( $observer->query('SELECT count(DISTINCT taken_at) FROM pool_monitor_incident_holders(1)'),
	'1', 'start and peak are the same moment as long as nothing worse came');
is( $observer->query('SELECT count(*) FROM pool_monitor_incident_holders()
		EXCEPT SELECT count(*) FROM pool_monitor_incident_holders(1)'),
	'', 'without a number all incidents are shown');
is( $observer->query('SELECT count(*) FROM unnest(ARRAY[-1, 0, 2, 33, 9223372036854775807]) n,
		pool_monitor_incident_holders(n)'),
	'0', 'a number that there is not has no holders');
is($observer->query('SELECT current_incident FROM pool_monitor_status'), '1', 'the status shows the incident');
is($observer->query("SELECT pool_monitor_health() -> 'current_incident'"), '1', 'so does health');
ok($node->wait_for_log(qr/LOG:  connection incident 1 started\n.*DETAIL:  A login was refused; of 1[01] connections, application "web" holds 6\./),
	'the server log has a line at the start');

# The limits of a role and of a database are not the server's
is(refused(user => 'nobody', appname => 'refused'), '53300', 'a role is at its limit') foreach 1 .. 2;
is(refused(user => 'joe', dbname => 'closed', appname => 'refused'), '53300', 'a database is at its limit');
becomes_true('SELECT rejected = 4 FROM pool_monitor_status', 'they are counted');
is(incident('rejected', 1), '1', 'but not in the incident');
is($observer->query("SELECT string_agg(reason || ' ' || rejected, ', ' ORDER BY reason) FROM pool_monitor_rejections"),
	'database_limit 1, reserved_slots 1, role_limit 2', 'each under its own reason');

# A higher peak, as sampled
my @admin = clients(4, 'admin', user => $superuser);
push @admin, clients(7, 'admin', user => $superuser);
set_and_reload('pool_monitor.sample_interval' => '50ms');
becomes_true('SELECT peak_connections = 12 FROM pool_monitor_incidents', 'a higher peak is noted');
is(incident('top_application', 1), 'admin', 'with the application that held most then');
is(holders('application_name, connections', 1, 'peak'), "admin|11\nobserver|1",
	'and its holders');
is(holders('application_name, connections', 1, 'start'), "web|6\nbatch|3\nobserver|1", 'those at the start stay');
is( $observer->query(q{
		SELECT peak_at BETWEEN started_at AND taken_at FROM pool_monitor_incidents
		  JOIN pool_monitor_incident_holders() USING (incident) WHERE moment = 'peak' LIMIT 1}),
	't', 'the peak is dated');

# More rejections in the same incident
is(refused(user => 'joe', appname => 'refused'), '53300', 'no slot at all is left');
becomes_true('SELECT rejected = 2 FROM pool_monitor_incidents', 'what the server refused counts in the incident that goes on');

# The end.  The last client to go is the one that makes it healthy: below 80%.
$_->quit foreach splice(@admin, 0, 4);
my $samples = $observer->query('SELECT samples FROM pool_monitor_info');
becomes_true("SELECT samples > $samples + 12 FROM pool_monitor_info", 'more than ten samples at 80% were taken');
is(incident('ended_at IS NULL', 1), 't', 'which is not below the warning threshold: it goes on');
my $healthy = $observer->query('SELECT clock_timestamp()');
$_->quit foreach @admin;
becomes_true('SELECT ended_at IS NOT NULL FROM pool_monitor_incidents', 'it ends');
is(incident("ended_at >= '$healthy'::timestamptz + '10 s'", 1), 't', 'not before it was below for ten seconds');
is(incident("ended_at < '$healthy'::timestamptz + '20 s'", 1), 't', 'and not long after');
is($observer->query('SELECT current_incident IS NULL FROM pool_monitor_status'), 't', 'there is no current incident');
is($observer->query("SELECT pool_monitor_health() -> 'current_incident'"), 'null', 'health has none either');
ok($node->wait_for_log(qr/LOG:  connection incident 1 ended\n.*DETAIL:  It lasted \d+\.\d s, with at most 12 connections, most of them of application "admin", and 2 logins refused\./),
	'the server log has a line at the end');

# By utilization.  No sample between those that we cause.
set_and_reload('pool_monitor.critical_threshold' => 60, 'pool_monitor.warning_threshold' => 50);
my @slow = clients(4, 'slow');
$samples = $observer->query('SELECT samples FROM pool_monitor_info');
becomes_true("SELECT samples > $samples + 2 FROM pool_monitor_info", 'utilization is sampled at 50%');
is($observer->query('SELECT count(*) FROM pool_monitor_incidents'), '1', 'which makes no incident');
push @slow, clients(1, 'slow');
becomes_true('SELECT count(*) = 2 FROM pool_monitor_incidents', 'at the critical threshold there is one');
is( incident('reason, rejected, top_application, peak_connections', 2),
	'critical_threshold|0|slow|6', 'with its reason, and nothing refused');
# the last one may have been on its way in
is( $observer->query(q{
		SELECT sum(connections), sum(connections) FILTER (WHERE application_name = 'slow') IN (4, 5)
		  FROM pool_monitor_incident_holders(2) WHERE moment = 'start'}),
	'6|t', 'and its holders');
ok($node->wait_for_log(qr/DETAIL:  Utilization reached 60%; of 6 connections, application "slow" holds [45]\./),
	'the server log has the threshold');

# The worker's end does not end it
my $worker = $observer->query('SELECT worker_pid FROM pool_monitor_info');
$observer->query("SELECT pg_terminate_backend($worker)");
becomes_true("SELECT worker_pid <> $worker FROM pool_monitor_info", 'the worker was replaced');
is($observer->query('SELECT current_incident FROM pool_monitor_status'), '2', 'the incident goes on');
is($observer->query('SELECT count(*) FROM pool_monitor_incidents'), '2', 'there is no other one');
$_->quit foreach @slow;

# Limits of roles and databases, on a server that is nearly empty; and resets
set_and_reload('pool_monitor.sample_interval' => '1h');
becomes_true('SELECT connections = 1 FROM pool_monitor_status', 'the server is empty once more');
$observer->query('SELECT pool_monitor_reset()');
is($observer->query('SELECT count(*) FROM pool_monitor_incidents'), '0', 'a reset forgets all incidents');
is($observer->query('SELECT count(*) FROM pool_monitor_incident_holders()'), '0', 'and their holders');
is($observer->query('SELECT current_incident IS NULL FROM pool_monitor_status'), 't', 'and the current one');
ok($node->wait_for_log(qr/LOG:  connection incident 2 ended by a reset of the statistics\n.*DETAIL:  It lasted \d+\.\d s, with at most 6 connections, most of them of application "slow", and 0 logins refused\./),
	'whose end is in the server log');
my $log = -s $node->logfile;
is(refused(user => 'nobody', appname => "refused $_"), '53300', 'a role is at its limit') foreach 1 .. 40;
is(refused(user => 'joe', dbname => 'closed', appname => 'refused'), '53300', 'a database is at its limit');
becomes_true('SELECT rejected = 41 FROM pool_monitor_status', 'all of them are counted');

# logged and checked by then, since the worker is woken by each
ok($node->wait_for_log(qr/LOG:  database "closed" has reached its connection limit\n.*DETAIL:  A login of role "joe" to database "closed" as application "refused" was refused\./),
	'the log tells of the limit of the database');
is(() = slurp_file($node->logfile, $log) =~ /LOG:  role "nobody" has reached its connection limit\n/g,
	1, 'and once of that of the role, whatever the application');
is($observer->query('SELECT count(*) FROM pool_monitor_incidents'), '0', 'neither is an incident of the server');

sub until_refused { return PoolMonitor::Wire::fill($node, user => 'joe', appname => 'refused'); }

is(until_refused(), '53300', 'the server is full');
becomes_true('SELECT count(*) = 1 FROM pool_monitor_incidents', 'that is an incident');
is($observer->query('SELECT incident, reason, rejected FROM pool_monitor_incidents'),
	'3|reserved_slots|1', 'whose number is new');
$observer->query("SELECT pool_monitor_reset('refused')");
is($observer->query('SELECT count(*) FROM pool_monitor_incidents'), '1', "a reset of one application's counters leaves it alone");
becomes_true('SELECT connections = 1 FROM pool_monitor_status', 'the server is empty');
is(until_refused(), '53300', 'the server is full');
becomes_true('SELECT rejected = 2 FROM pool_monitor_incidents',
	'the first login refused after the reset of its application counts');
becomes_true('SELECT connections = 1 FROM pool_monitor_status', 'the server is empty');
$observer->query('SELECT pool_monitor_reset()');
is(until_refused(), '53300', 'the server is full');
becomes_true('SELECT count(*) = 1 FROM pool_monitor_incidents',
	'the first login refused after a reset of all opens an incident');

# A restart ends what goes on; 32 are kept
for (1 .. 33)
{
	$observer->quit;
	$node->restart;
	$observer = PoolMonitor::session($node, appname => 'observer');
	until_refused();
	$node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM pool_monitor_incidents WHERE ended_at IS NULL')
	  || die 'there is no incident';
}
is( $observer->query('SELECT count(*), max(incident) - min(incident), count(*) FILTER (WHERE ended_at IS NULL) FROM pool_monitor_incidents'),
	'32|31|1', 'after 33 restarts with an incident each, the last 32 are there, and one goes on');
is( $observer->query('SELECT count(DISTINCT incident) FROM pool_monitor_incident_holders()'),
	'32', 'each has its holders');
is( $observer->query('SELECT bool_and(ended_at > started_at) FROM pool_monitor_incidents'),
	't', 'those before ended with the server');

$observer->quit;
$node->stop;
unlike(slurp_file($node->logfile), qr/connection incident 0/, 'the log has no incident that there was not');
unlike(slurp_file($node->logfile), qr/TRAP|PANIC/, 'no assertion failed');

done_testing();
