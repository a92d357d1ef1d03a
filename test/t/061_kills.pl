# kill -9 of sessions, of the worker and of the postmaster, again and again,
# under a load of logins, statements, refused logins and sessions that a policy
# ends.  After each the server serves, the figures are right, and nothing that
# was saved is lost.
#
# PMON_FAULT_MINUTES  go on for so long ("test/run.sh check faults"); else once
#                     through all of it

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../modules";

use IPC::Run ();
use List::Util qw(shuffle);
use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TestModule;
use Time::HiRes qw(time usleep);

my $node = PoolMonitor::new_node('kills',
	extension => 1,
	conf => q{
restart_after_crash = on
autovacuum = off
log_statement = none
max_connections = 50
pool_monitor.sample_interval = 20ms
pool_monitor.save_interval = 1s
pool_monitor.idle_timeout = 50ms
pool_monitor.idle_in_transaction_timeout = 50ms
pool_monitor.pools = 'kept: application=kept size=2 idle_timeout=0; pgbench: application=pgbench size=5'});
$node->safe_psql('postgres', q{
	CREATE ROLE joe LOGIN;
	CREATE ROLE nobody LOGIN CONNECTION LIMIT 0;
	CREATE DATABASE load});
TestModule::install_check($node);

sub value
{
	my ($query) = @_;
	return $node->safe_psql('postgres', $query);
}

# The scripts of the load.  The second one has sessions that the policy ends.
my $folder = PostgreSQL::Test::Utils::tempdir();
append_to_file("$folder/work.sql", "BEGIN;\nSELECT count(*) FROM pg_class;\nSELECT pg_sleep(0.001);\nEND;\n");
append_to_file("$folder/dawdle.sql", "SELECT 1;\n\\sleep 60 ms\nBEGIN;\nSELECT 1;\n\\sleep 30 ms\nEND;\n");
append_to_file("$folder/name.sql", "\\set n random(1, 20)\nSET application_name = 'app :n';\nSELECT 1;\n");

# start_load(): returns what stop_load() ends
sub start_load
{
	my @commands = (
		[ qw(-c 6), "-f$folder/work.sql" ],
		[ qw(-c 4 -C), "-f$folder/work.sql" ],
		[ qw(-c 4 -U joe), "-f$folder/dawdle.sql" ],
		[ qw(-c 2), "-f$folder/name.sql" ]);
	my @load;

	foreach my $command (@commands)
	{
		local $ENV{PGAPPNAME} = 'pgbench';
		my $output = '';

		push @load, IPC::Run::start(
			[
				$node->installed_command('pgbench'), '-n', '-T', '3600', '-h', $node->host, '-p', $node->port,
				@$command, 'load'
			],
			'>', \$output, '2>&1');
	}
	return \@load;
}

sub stop_load
{
	my ($load) = @_;

	local $SIG{PIPE} = 'IGNORE';
	foreach my $run (@$load)
	{
		eval { $run->signal('INT'); };
		eval { $run->finish; };
	}
	return;
}

# Something that is complete, and must be there for ever
my $kept = PoolMonitor::Wire->new($node, appname => 'kept');
$kept->query('SELECT pg_sleep(0.01)') foreach 1 .. 5;
$kept->drop;
PoolMonitor::Wire->new($node, silent => 1, user => 'nobody', appname => 'kept')->log_in foreach 1 .. 3;
PoolMonitor::wait_until($node,
	q{SELECT connections = 0 AND sessions_abandoned = 1 AND rejected = 3 FROM pool_monitor_applications WHERE application_name = 'kept'},
	'there is something to be kept');

sub kept
{
	return value(q{
		SELECT sessions, sessions_abandoned, transactions, rejected, transaction_time, hold_time_max, peak_connections, peak_connections_at
		  FROM pool_monitor_applications WHERE application_name = 'kept'});
}

# Samples until that time
sub samples_until
{
	my ($at) = @_;
	return value("SELECT coalesce(sum(samples), 0) FROM pool_monitor_utilization(NULL, '$at', '10 s')");
}

my $kept_figures = kept();
my $expected_crashes = 0;
my $postmasters = 0;

# Returns when no process of the server that was killed is left
sub wait_until_gone
{
	my ($postmaster) = @_;
	my $data = $node->data_dir;

	for (1 .. 3600)
	{
		return unless kill(0, $postmaster) || grep { (readlink($_) || '') eq $data } glob '/proc/[0-9]*/cwd';
		usleep(50_000);
	}
	die 'processes of the old server stay';
}

my %victims = (
	'a session that works' => q{SELECT pid FROM pg_stat_activity WHERE datname = 'load' AND state = 'active' ORDER BY random() LIMIT 1},
	'a session that is new' => q{SELECT pid FROM pg_stat_activity WHERE datname = 'load' ORDER BY backend_start DESC LIMIT 1},
	'an idle session' => q{SELECT pid FROM pg_stat_activity WHERE application_name = 'idler'},
	'the worker' => 'SELECT worker_pid FROM pool_monitor_info',
	'the postmaster' => undef);

sub round_of
{
	my ($victim) = @_;
	my $load = start_load();
	my $marker = value('SELECT clock_timestamp()');
	my $patience = time + 180;
	my $idler = PoolMonitor::Wire->new($node, appname => 'idler');
	my ($pid, $log);

	PoolMonitor::wait_until($node, q{
		SELECT (SELECT count(*) > 5 FROM pg_stat_activity WHERE datname = 'load')
		   AND (SELECT count(*) > 0 FROM pool_monitor_applications WHERE application_name LIKE 'app %')},
		"$victim: there is load");
	PoolMonitor::wait_until($node, "SELECT saved_at > '$marker' FROM pool_monitor_info", 'and it was saved under it');
	PoolMonitor::Wire->new($node, silent => 1, user => 'nobody', appname => 'refused', dbname => 'load')->log_in;
	my $saved = value('SELECT saved_at FROM pool_monitor_info');
	my $samples = samples_until($marker);

	if ($victim eq 'the postmaster')
	{
		my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;

		$node->kill9;
		$postmasters++;
		stop_load($load);
		wait_until_gone($postmaster);
		ok($node->start(fail_ok => 1), 'the server starts again');
	}
	else
	{
		my $started = value('SELECT clock_timestamp()');

		# It may have ended by itself before the signal came
		$log = -s $node->logfile;
		until (slurp_file($node->logfile, $log) =~ /was terminated by signal 9/)
		{
			die 'found no victim' if time > $patience;
			$pid = eval { value($victims{$victim}) };
			kill('KILL', $pid) if $pid;
			usleep(50_000);
		}
		$expected_crashes++;
		# started_at tells of shared memory that is new
		$node->poll_query_until('postgres',
			"SELECT worker_pid IS NOT NULL AND started_at > '$started' FROM pool_monitor_info")
		  || die 'it does not come back';
		stop_load($load);
	}
	$idler->drop;
	TestModule::settles($node, "after kill -9 of $victim");
	is(kept(), $kept_figures, 'nothing that was saved is lost');
	is(samples_until($marker), $samples, 'nor a sample');
	is(value("SELECT restored_from >= '$saved' FROM pool_monitor_info"), 't', 'it came back with the last save');
	return;
}

my $deadline = time + 60 * ($ENV{PMON_FAULT_MINUTES} || 0);
do
{
	foreach my $victim (shuffle sort keys %victims)
	{
		round_of($victim);
	}
} while (time < $deadline);

# From here on the counts agree with the server's own
sub server_counts
{
	return value(q{
		SELECT sessions, sessions_abandoned, sessions_fatal, sessions_killed FROM pg_stat_database WHERE datname = 'load'});
}

sub our_counts
{
	return value(q{
		SELECT sum(sessions), sum(sessions_abandoned), sum(sessions_fatal + terminated), sum(sessions_killed)
		  FROM pool_monitor_groups WHERE datname = 'load'});
}

# How much counts have grown
sub growth
{
	my ($before, $now) = map { [ split /\|/ ] } @_;
	return join '|', map { $now->[$_] - $before->[$_] } 0 .. 3;
}

$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'load'}) || die 'load stays';
# What was in progress as the load ended reaches the server's statistics late
my $server = server_counts();
for (1 .. 100)
{
	my $before = $server;

	usleep(100_000);
	last if ($server = server_counts()) eq $before;
}
my $ours = our_counts();
my $load = start_load();
PoolMonitor::wait_until($node, q{
	SELECT (SELECT sum(terminated) >= 3 FROM pool_monitor_groups WHERE datname = 'load')
	   AND (SELECT sum(sessions) > 100 FROM pool_monitor_groups WHERE datname = 'load')}, 'there is a last load');
for (1 .. 3)
{
	value(q{SELECT count(pg_terminate_backend(pid)) FROM (
		SELECT pid FROM pg_stat_activity WHERE datname = 'load' AND application_name LIKE 'app %' LIMIT 1) AS one});
}
stop_load($load);
my ($theirs_grown, $ours_grown);
for (1 .. 600)
{
	$theirs_grown = growth($server, server_counts());
	$ours_grown = growth($ours, our_counts());
	last if $theirs_grown eq $ours_grown;
	usleep(100_000);
}
is($ours_grown, $theirs_grown, "sessions and their ends are those of pg_stat_database ($ours_grown)");
TestModule::settles($node, 'in the end');

$node->stop;
my $messages = slurp_file($node->logfile);
is(() = $messages =~ /all server processes terminated; reinitializing/g, $expected_crashes, "no process crashed but the $expected_crashes that were killed");
unlike($messages, qr/TRAP|PANIC|terminated by signal (?!9:)/, 'nor did an assertion fail');
note "$expected_crashes processes and $postmasters postmasters were killed";

done_testing();
