# What can befall the worker alone: signals, people who are allowed to end it
# and people who are not, no memory, no room for its file, no file descriptors,
# a standstill, and a server without a free connection.

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

my $node = PoolMonitor::new_node('worker_faults',
	extension => 1,
	conf => q{
restart_after_crash = on
autovacuum = off
log_statement = none
max_connections = 20
superuser_reserved_connections = 3
pool_monitor.sample_interval = 20ms
pool_monitor.save_interval = 1s});
$node->safe_psql('postgres', q{
	CREATE ROLE joe LOGIN;
	CREATE ROLE signaller LOGIN IN ROLE pg_signal_backend, pg_monitor;
	CREATE ROLE nobody LOGIN CONNECTION LIMIT 0});
TestModule::install_check($node);

my $kept = PoolMonitor::Wire->new($node, appname => 'kept');
$kept->query('SELECT 1') foreach 1 .. 5;
my $observer = PoolMonitor::session($node, appname => 'observer');

sub value { return $observer->query($_[0]); }
sub worker { return value('SELECT worker_pid FROM pool_monitor_info'); }

sub holds
{
	my ($query, $label) = @_;
	my $deadline = time + 180;
	my $answer = '';

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	while (($answer = value($query) // 'nothing') ne 't' && time < $deadline)
	{
		value('SELECT pg_sleep(0.02)');
	}
	return is($answer, 't', $label);
}

sub samples
{
	my ($n, $label) = @_;
	my $until = value('SELECT samples FROM pool_monitor_info') + $n;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return holds("SELECT samples >= $until FROM pool_monitor_info", $label);
}

sub saves
{
	my ($label) = @_;
	my $now = value('SELECT clock_timestamp()');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return holds("SELECT saved_at > '$now' FROM pool_monitor_info", $label);
}

# The server serves, and knows what it knew
sub all_right
{
	my ($label) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($kept->query('SELECT 1')->{ready}, 1, "a session lives on $label");
	is(value(q{SELECT sessions, connections FROM pool_monitor_applications WHERE application_name = 'kept'}), '1|1', 'its counts are right');
	TestModule::settles($node, $label);
	return;
}

# limit(LIMIT, PID): sets one of a process's limits, the soft one
sub limit
{
	my ($limit, $pid) = @_;
	return system_or_bail('prlimit', '--pid', $pid, "--$limit:");
}

#
# Signals that a worker has nothing to do with leave it alone
#
my $worker = worker();
for (1 .. 200)
{
	kill $_, $worker foreach qw(HUP USR1 USR2 INT PIPE CHLD URG ALRM CONT WINCH);
	usleep(1000);
}
samples(10, 'samples go on in a storm of signals');
is(worker(), $worker, 'the worker is the same');
is(value("SELECT pg_cancel_backend($worker)"), 't', 'it may be canceled');
samples(10, 'but it has no statement, and goes on');
is(worker(), $worker, 'as the same');
all_right('after a storm of signals');

#
# Who may end it
#
foreach my $role ('joe', 'signaller')
{
	foreach my $function ('pg_cancel_backend', 'pg_terminate_backend')
	{
		my ($status, $stdout, $stderr) = $node->psql('postgres', "SELECT $function($worker)", extra_params => [ '-U', $role ]);

		isnt($status, 0, "$role may not $function() the worker");
		like($stderr, qr/must be|[Pp]ermission denied/, 'and is told so');
	}
}
is(worker(), $worker, 'it is still the same');

# Storms of who may: each worker is ended as soon as it is there
my $history = value('SELECT sum(samples) FROM pool_monitor_utilization(NULL, NULL)');
for (1 .. 3)
{
	$worker = worker();
	value("SELECT pg_terminate_backend($worker)") for 1 .. 50;
	holds("SELECT worker_pid <> $worker FROM pool_monitor_info", 'a worker that a superuser ends is replaced');
}
samples(5, 'samples go on');
cmp_ok(value('SELECT sum(samples) FROM pool_monitor_utilization(NULL, NULL)'), '>', $history, 'the history lost nothing');
all_right('after that');

# Everybody ends everybody
my @crowd = map { PoolMonitor::Wire->new($node, user => 'joe', appname => 'crowd') } 1 .. 12;
my $server = $node->safe_psql('postgres', q{SELECT sessions_killed FROM pg_stat_database WHERE datname = 'postgres'});
my $ours = value('SELECT sum(sessions_killed) FROM pool_monitor_groups');
$_->send_query(q{SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'crowd' AND pid <> pg_backend_pid()})
  foreach @crowd;
holds(q{SELECT count(*) <= 1 FROM pg_stat_activity WHERE application_name = 'crowd'}, 'everybody ends everybody');
$_->drop foreach @crowd;
holds(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'crowd'}, 'they are gone');
my $killed = value('SELECT sum(sessions_killed) FROM pool_monitor_groups') - $ours;
cmp_ok($killed, '>=', 11, 'who was ended was killed');
PoolMonitor::wait_until($node, "SELECT sessions_killed - $server = $killed FROM pg_stat_database WHERE datname = 'postgres'", 'as pg_stat_database has it');
all_right('after everybody ended everybody');

#
# No memory: it can not even save.  (AddressSanitizer itself needs some.)
#
for my $round (1 .. (($ENV{PROFILE} || '') =~ /sanitize=address/ ? 0 : 3))
{
	my $log = -s $node->logfile;

	$worker = worker();
	limit('as=1', $worker);
	# More to save than ever before, so it needs memory that it does not have
	$node->safe_psql('postgres', join '', map { "SET application_name = 'memory $round $_';\n" } 1 .. 400);
	holds("SELECT worker_pid <> $worker FROM pool_monitor_info", 'a worker without memory is replaced');
	like(slurp_file($node->logfile, $log), qr/ERROR:  out of memory/, 'it says why');
	samples(3, 'the new one samples');
	saves('and saves');
}
ok(!-e $node->data_dir . '/pg_stat/pool_monitor.stat.tmp', 'nothing is left of the attempts');
all_right('after it ran out of memory');

#
# No room for its file
#
my $log = -s $node->logfile;
my $failures = value('SELECT save_failures FROM pool_monitor_info');
$worker = worker();
my $file = $node->data_dir . '/pg_stat/pool_monitor.stat';
# More than the log has, since the worker writes there, too
my $room = 65536 + -s $node->logfile;
$node->safe_psql('postgres', join '', map { "SET application_name = 'filler $_';\n" } 1 .. 300) while -s $file <= $room && saves('a larger file is written');
cmp_ok(-s $file, '>', $room, 'the file is larger than what will fit');
limit("fsize=$room", $worker);
holds("SELECT save_failures >= $failures + 2 FROM pool_monitor_info", 'saving fails where a file may not get as large');
cmp_ok(-s $file, '>', $room, 'the last good file is there');
is(worker(), $worker, 'the worker is the same');
samples(10, 'samples go on');
limit('fsize=unlimited', $worker);
saves('it saves again when it may');
my @said = slurp_file($node->logfile, $log) =~ /(could not save statistics|are saved to file "[^"]*" again)/g;
like("@said", qr/^could not save statistics are saved to file \S+ again$/, 'the log says both, once');

# No file descriptors
$log = -s $node->logfile;
$failures = value('SELECT save_failures FROM pool_monitor_info');
limit('nofile=3', $worker);
holds("SELECT save_failures >= $failures + 2 FROM pool_monitor_info", 'saving fails without a file descriptor');
samples(10, 'samples go on');
limit('nofile=1024', $worker);
saves('it saves again with one');
is(worker(), $worker, 'the worker is the same');
all_right('after there was no room');

#
# A standstill
#
my ($missed, $at) = split /\|/, value('SELECT missed_samples, extract(epoch FROM last_sample_at) FROM pool_monitor_info');
kill 'STOP', $worker;
PoolMonitor::Wire->new($node, silent => 1, user => 'nobody', appname => 'refused')->log_in foreach 1 .. 5;
is(value('SELECT rejected FROM pool_monitor_status'), '5', 'while the worker stands still, logins that are refused are counted');
is(value(q{SELECT count(*) FROM pool_monitor_sessions WHERE application_name = 'kept'}), '1', 'live figures are there');
is(value(q{SELECT pool_monitor_health() ->> 'status'}), 'healthy', 'the health answers');
usleep(500_000);
kill 'CONT', $worker;
samples(3, 'it goes on');
my ($now_missed, $now) = split /\|/, value('SELECT missed_samples, extract(epoch FROM last_sample_at) FROM pool_monitor_info');
cmp_ok($now_missed - $missed, '>=', 20, 'what it missed is counted');
cmp_ok($now_missed - $missed, '<=', ($now - $at) / 0.02, 'and no more');
is(worker(), $worker, 'it is the same');
all_right('after a standstill');

#
# No free connection, while the worker starts
#
my @all;
while (@all < 20)
{
	my $client = PoolMonitor::Wire->new($node, silent => 1, appname => 'all');

	last unless $client->log_in->{ready};
	push @all, $client;
}
is(value('SELECT status FROM pool_monitor_status'), 'exhausted', 'all connections are taken');
$worker = worker();
value("SELECT pg_terminate_backend($worker)");
holds("SELECT worker_pid <> $worker FROM pool_monitor_info", 'the worker has a place of its own');
samples(3, 'it samples');
holds('SELECT current_incident IS NOT NULL FROM pool_monitor_status', 'and there is an incident');
is( value(q{SELECT connections_max FROM pool_monitor_history((SELECT last_sample_at FROM pool_monitor_info), 'infinity', '1 us')
		WHERE application_name = 'all' ORDER BY period_start DESC LIMIT 1}),
	scalar @all, 'the samples know who has them');
$_->quit foreach @all;
all_right('when they are free again');

#
# No place for a worker at all
#
$observer->quit;
$kept->quit;
$node->append_conf('postgresql.conf', "max_worker_processes = 0\npool_monitor.idle_timeout = 1s\n");
$log = -s $node->logfile;
$node->restart;
like(slurp_file($node->logfile, $log), qr/too many background workers.*while registering the background worker of pool_monitor/s,
	'without worker processes, the log says whom that concerns');
$observer = PoolMonitor::session($node, appname => 'observer');
is(value('SELECT worker_pid IS NULL AND samples = 0 FROM pool_monitor_info'), 't', 'pool_monitor_info says that there is no worker');
like(value('SELECT pool_monitor_metrics()'), qr/^pool_monitor_worker_up 0$/m, 'so do the metrics');
is(value(q{SELECT pool_monitor_health() ->> 'connections'}), '1', 'live figures are there');
is(value(q{SELECT sessions FROM pool_monitor_applications WHERE application_name = 'kept'}), '1', 'so is what was saved');
my $idle = PoolMonitor::Wire->new($node, user => 'joe', appname => 'idle');
is(value(q{SELECT idle_limit, terminates_at IS NULL, exempt FROM pool_monitor_sessions WHERE application_name = 'idle'}),
	'00:00:01|t|no worker', 'and no session is promised an end');
$idle->quit;
foreach my $source ('pool_monitor_history()', 'pool_monitor_utilization()', 'pool_monitor_chart()', 'pool_monitor_sizing()',
	'pool_monitor_incidents', 'pool_monitor_incident_holders()')
{
	my ($status, undef, $warning) = $node->psql('postgres', "SELECT count(*) FROM $source");
	is($status, 0, "$source has an answer");
	is( () = $warning =~ /WARNING:  pool_monitor has no background worker\n.*DETAIL:  No sample has been taken since the server was started\.\n.*HINT:  See the server log/g,
		1, 'and warns once that nobody records anything');
}
my (undef, undef, $silence) = $node->psql('postgres',
	'SELECT count(*) FROM pool_monitor_status, pool_monitor_pools, pool_monitor_applications, pool_monitor_rejections; SELECT pool_monitor_health(), pool_monitor_metrics()');
is($silence, '', 'what programs ask for all the time does not');
$observer->quit;
$node->stop;
my $messages = slurp_file($node->logfile);
unlike($messages, qr/TRAP|PANIC|reinitializing/, 'nothing crashed');

done_testing();
