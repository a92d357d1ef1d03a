# What survives: a restart keeps everything; a crash of a session, of the
# postmaster or of the whole server keeps what was saved; and a gap stays one.

use strict;
use warnings;

use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = PoolMonitor::new_node('restart',
	extension => 1,
	conf => q{
restart_after_crash = on
autovacuum = off
pool_monitor.sample_interval = 50ms
pool_monitor.save_interval = 1h});
my $file = $node->data_dir . '/pg_stat/pool_monitor.stat';
$node->safe_psql('postgres', q{
	CREATE ROLE joe LOGIN;
	CREATE ROLE nobody LOGIN CONNECTION LIMIT 0});

sub value
{
	my ($query) = @_;
	return $node->safe_psql('postgres', $query);
}

# Something of every kind, under names that the harness does not use
sub work
{
	my @clients = map { PoolMonitor::Wire->new($node, user => 'joe', appname => 'work') } 1 .. 4;

	foreach my $client (@clients)
	{
		$client->query('SELECT pg_sleep(0.01)') foreach 1 .. 5;
		$client->query('BEGIN');
	}
	# a sample sees all of them in their transactions
	PoolMonitor::wait_until($node,
		"SELECT peak_checked_out >= 4 FROM pool_monitor_applications WHERE application_name = 'work'",
		'a sample saw all that were checked out');
	PoolMonitor::Wire->new($node, silent => 1, user => 'nobody', appname => 'refused')->log_in foreach 1 .. 2;
	PoolMonitor::Wire::fill($node, user => 'joe', appname => 'refused');
	$_->query('COMMIT') foreach @clients;
	$clients[0]->drop;
	$_->quit foreach @clients[ 1 .. 3 ];
	PoolMonitor::wait_until($node,
		"SELECT connections = 0 FROM pool_monitor_applications WHERE application_name = 'work'", 'they are gone');
	PoolMonitor::wait_until($node,
		'SELECT sum(rejected) >= 3 FROM pool_monitor_utilization(NULL, NULL)', 'a sample saw the rejections');
	return;
}

# All that is known of it
sub figures
{
	return value(q{
		SELECT * FROM pool_monitor_applications WHERE application_name = 'work';
		SELECT * FROM pool_monitor_groups WHERE application_name = 'work';
		SELECT * FROM pool_monitor_rejections ORDER BY 1, 2, 3;
		SELECT rejected, last_rejected_at, stats_reset FROM pool_monitor_status;
		SELECT groups_evicted FROM pool_monitor_info;
		SELECT incident, started_at, reason, rejected FROM pool_monitor_incidents ORDER BY 1;
		SELECT * FROM pool_monitor_incident_holders() WHERE moment = 'start' AND application_name = 'work' ORDER BY 8;
		SELECT application_name, connections_max, checked_out_max FROM pool_monitor_history(NULL, NULL, '100000 days')
		 WHERE application_name = 'work'});
}

# What the history holds of the time up to then
sub samples_until
{
	my ($at) = @_;
	return value("SELECT sum(samples) FROM pool_monitor_utilization(NULL, '$at', '10 s')");
}

# As long as somebody is there, the incident goes on, however slow the machine is
PoolMonitor::set_and_reload($node, 'pool_monitor.warning_threshold' => 1);
my $keeper = PoolMonitor::Wire->new($node, user => 'joe', appname => 'keeper');
value('SELECT pool_monitor_reset()');
work();
my $expected = figures();
like($expected, qr/^work\|/, 'work was done');
my $now = value('SELECT clock_timestamp()');
my $samples = samples_until($now);
cmp_ok($samples, '>', 0, 'and sampled');
is(value('SELECT saved_at IS NULL AND restored_from IS NULL AND save_failures = 0 FROM pool_monitor_info'),
	't', 'nothing was saved or restored yet');

like(slurp_file($node->logfile), qr/LOG:  pool_monitor 1\.0 has \d+ kB of shared memory\n.*DETAIL:  No statistics were restored\./,
	'the server log tells of an empty start');

# Restart
my $log_end = -s $node->logfile;
$node->stop('fast');
ok(-s $file, 'the file is there after a shutdown');
usleep(2_100_000);    # the gap to come is longer than two periods of a second
$node->start;
is(figures(), $expected, 'counters, rejections, incidents, holders and history survived a restart');
my @ready = substr(slurp_file($node->logfile), $log_end) =~
  /LOG:  pool_monitor 1\.0 has \d+ kB of shared memory\n.*DETAIL:  Statistics that were saved at [^\n]+ were restored: groups [1-9]\d*, applications [1-9]\d*\./g;
is(scalar @ready, 1, 'the server log tells once what was restored');
is(samples_until($now), $samples, 'no sample was lost');
is( value("SELECT restored_from = saved_at AND restored_from > '$now' FROM pool_monitor_info"),
	't', 'restored_from tells when it is from');
is( value('SELECT bool_and(ended_at = restored_from) FROM pool_monitor_incidents, pool_monitor_info'),
	't', 'the incident that went on ended with the server');
is( value('SELECT current_incident IS NULL FROM pool_monitor_status'), 't', 'none goes on');
value('ALTER SYSTEM RESET pool_monitor.warning_threshold');
$node->reload;
PoolMonitor::wait_until($node,
	'SELECT count(*) > 0 FROM pool_monitor_utilization((SELECT started_at FROM pool_monitor_info), NULL)',
	'the history goes on');
is( value(q{
		SELECT max(period_start - before) >= '2 s' FROM (
			SELECT period_start, lag(period_start) OVER (ORDER BY period_start) AS before
			  FROM pool_monitor_utilization(NULL, NULL, '1 s')) s}),
	't', 'the time between is a gap');
is( value(q{
		SELECT count(*) FROM pool_monitor_utilization(NULL, NULL, '1 us'), pool_monitor_info
		 WHERE period_start > restored_from AND period_start < started_at}),
	'0', 'of which nothing is shown');

# Rejections after the last sample are in the history nevertheless
PoolMonitor::set_and_reload($node, 'pool_monitor.sample_interval' => '1h');
$node->poll_query_until('postgres', 'SELECT last_sample_at < clock_timestamp() - interval $$200 ms$$ FROM pool_monitor_info')
  || die 'it samples on';
PoolMonitor::Wire->new($node, silent => 1, user => 'nobody', appname => 'refused')->log_in foreach 1 .. 2;
PoolMonitor::wait_until($node, 'SELECT rejected = 5 FROM pool_monitor_status', 'two more logins are refused');
$node->restart;
PoolMonitor::wait_until($node, 'SELECT samples > 0 FROM pool_monitor_info', 'after a restart the first sample was taken');
is( value('SELECT sum(u.rejected) = (SELECT rejected FROM pool_monitor_status) FROM pool_monitor_utilization(NULL, NULL) u'),
	't', 'the history knows of the logins refused after the last sample before the restart');

# A crash of a session.  First, save_interval by reload
PoolMonitor::set_and_reload($node, 'pool_monitor.sample_interval' => '50ms');
$expected = figures();
my $live = PoolMonitor::Wire->new($node, user => 'joe', appname => 'live');
$live->query('SELECT pg_sleep(0.02)') foreach 1 .. 10;
my $live_figures = q{SELECT transactions, sessions, hold_time_p50 BETWEEN 18 AND 40, hold_time_max >= hold_time_p99
	FROM pool_monitor_applications WHERE application_name = 'live'};
is(value($live_figures), '10|1|t|t', 'a session has counted hold times');
$now = value('SELECT clock_timestamp()');
PoolMonitor::set_and_reload($node, 'pool_monitor.save_interval' => '1s');
PoolMonitor::wait_until($node, "SELECT saved_at > '$now' FROM pool_monitor_info", 'save_interval takes effect by a reload');
$now = value('SELECT clock_timestamp()');
PoolMonitor::wait_until($node, "SELECT saved_at > '$now' FROM pool_monitor_info", 'it saves again and again');
my $saved = value('SELECT saved_at FROM pool_monitor_info');
$samples = samples_until($now);
my $victim = PoolMonitor::session($node, appname => 'victim');
my $crashed = value('SELECT clock_timestamp()');
kill 'KILL', $victim->pid;
$node->poll_query_until('postgres', "SELECT pg_postmaster_start_time() < '$crashed' AND restored_from IS NOT NULL
	AND worker_pid IS NOT NULL AND started_at > '$crashed' FROM pool_monitor_info") || die 'it does not recover';
is(figures(), $expected, 'a crash of a session loses nothing that was saved');
is(value($live_figures), '10|1|t|t', 'not even the hold times of sessions that were in progress');
is(samples_until($now), $samples, 'nor a sample');
is( value("SELECT restored_from >= '$saved' AND restored_from BETWEEN '$crashed'::timestamptz - interval '2 s' AND '$crashed'::timestamptz + interval '1 s' FROM pool_monitor_info"),
	't', 'what is lost is at most save_interval');
$_->drop foreach $live;
$victim->kill9;

# The postmaster
$now = value('SELECT clock_timestamp()');
$samples = samples_until($now);
PoolMonitor::wait_until($node, "SELECT saved_at > '$now' FROM pool_monitor_info", 'it saves after a crash');
my $data = $node->data_dir;
my ($postmaster) = slurp_file("$data/postmaster.pid") =~ /^(\d+)/;
$node->kill9;
# its children notice by themselves
for (1 .. 600)
{
	last unless kill(0, $postmaster) || grep { (readlink($_) || '') eq $data } glob '/proc/[0-9]*/cwd';
	usleep(50_000);
}
ok($node->start(fail_ok => 1), 'after kill -9 of the postmaster the server starts');
is(figures(), $expected, 'with everything that was saved');
is(samples_until($now), $samples, 'and every sample');
is(value("SELECT restored_from >= '$now' FROM pool_monitor_info"), 't', 'from the last save');

# An immediate stop
$now = value('SELECT clock_timestamp()');
PoolMonitor::wait_until($node, "SELECT saved_at > '$now' FROM pool_monitor_info", 'it saves on');
PoolMonitor::set_and_reload($node, 'pool_monitor.save_interval' => '1h');
my $before = value('SELECT saved_at FROM pool_monitor_info');
$node->stop('immediate');
$node->start;
is(figures(), $expected, 'after an immediate stop there is everything, too');
is(value("SELECT restored_from >= '$before' AND restored_from < clock_timestamp() FROM pool_monitor_info"),
	't', 'from the last save, or a later one');

# A smart stop
$node->stop('smart');
$node->start;
is(figures(), $expected, 'a smart stop saves, too');

# Reset is for good
value('SELECT pool_monitor_reset()');
$node->restart;
is( value("SELECT (SELECT count(*) FROM pool_monitor_applications WHERE application_name = 'work')
		+ (SELECT count(*) FROM pool_monitor_incidents) + (SELECT count(*) FROM pool_monitor_rejections)"),
	'0', 'what was reset does not come back with a restart');
is(value('SELECT s.stats_reset < i.started_at FROM pool_monitor_status s, pool_monitor_info i'), 't',
	'and the time of the reset is kept');

# Without saving
work();
PoolMonitor::set_and_reload($node, 'pool_monitor.save' => 'off', 'pool_monitor.save_interval' => '1s');
$before = value('SELECT saved_at FROM pool_monitor_info');
$samples = value('SELECT samples FROM pool_monitor_info');
PoolMonitor::wait_until($node, "SELECT samples > $samples + 40 FROM pool_monitor_info", 'it samples for longer than save_interval');
is(value("SELECT saved_at = '$before' FROM pool_monitor_info"), 't', 'with save off nothing is saved');
$node->restart;
ok(!-e $file, 'nor at shutdown: the file is gone');
is( value("SELECT (SELECT count(*) FROM pool_monitor_applications WHERE application_name = 'work')
		+ (SELECT count(*) FROM pool_monitor_incidents) + (SELECT count(*) FROM pool_monitor_rejections)"),
	'0', 'nothing is kept over a restart');
is(value('SELECT restored_from IS NULL AND saved_at IS NULL FROM pool_monitor_info'), 't', 'nothing was restored');
PoolMonitor::set_and_reload($node, 'pool_monitor.save' => 'on');
PoolMonitor::wait_until($node, 'SELECT saved_at IS NOT NULL FROM pool_monitor_info', 'saving can be turned on by a reload');
ok(-s $file, 'the file is there');

$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC/, 'no assertion failed');

done_testing();
