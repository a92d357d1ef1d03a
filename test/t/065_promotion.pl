# A standby that is promoted under load, of readers and of logins: the worker
# and the sessions live on, and no figure is lost or wrong.  Before that, a
# standby that is not yet consistent refuses logins, which counts as nothing.

use strict;
use warnings;

use File::Basename qw(basename);
use FindBin;
use lib "$FindBin::Bin/../modules";

use IPC::Run ();
use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TestModule;
use Time::HiRes qw(time usleep);

my $primary = PoolMonitor::new_node('primary', init => [ allows_streaming => 1 ],
	extension => 1, conf => q{
log_statement = none
autovacuum = off
max_connections = 40
pool_monitor.sample_interval = 20ms
pool_monitor.save_interval = 1s});
TestModule::install_check($primary);
$primary->safe_psql('postgres', 'CREATE DATABASE load; CREATE ROLE joe LOGIN');
$primary->backup('base');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('write'));
PoolMonitor::wait_until($standby, 'SELECT samples > 3 FROM pool_monitor_info', 'the worker samples on a standby');

my $folder = PostgreSQL::Test::Utils::tempdir();
append_to_file("$folder/read.sql", "BEGIN;\nSELECT count(*) FROM pg_class;\nSELECT pg_sleep(0.001);\nEND;\n");

my @outputs = ('', '');
my @load;

foreach my $i (0, 1)
{
	local $ENV{PGAPPNAME} = 'pgbench';
	push @load, IPC::Run::start(
		[
			$standby->installed_command('pgbench'), '-n', '-T', '3600', '-h', $standby->host, '-p', $standby->port,
			'-U', 'joe', qw(-c 6), ($i == 1 ? '-C' : ()), '-f', "$folder/read.sql", 'load'
		],
		'>', \$outputs[$i], '2>&1');
}
PoolMonitor::wait_until($standby,
	q{SELECT connections >= 6 AND sessions > 50 AND transactions > 100 FROM pool_monitor_applications WHERE application_name = 'pgbench'},
	'there is load on it');
my $kept = PoolMonitor::Wire->new($standby, user => 'joe', appname => 'kept', dbname => 'load');
$kept->query('SELECT 1') foreach 1 .. 3;
$kept->query('BEGIN');

my $worker = $standby->safe_psql('postgres', 'SELECT worker_pid FROM pool_monitor_info');
my $samples = $standby->safe_psql('postgres', 'SELECT samples FROM pool_monitor_info');
$standby->promote;
is($standby->safe_psql('postgres', 'SELECT pg_is_in_recovery()'), 'f', 'it was promoted under load');
is($standby->safe_psql('postgres', 'SELECT worker_pid FROM pool_monitor_info'), $worker, 'the worker lived through that');
PoolMonitor::wait_until($standby, "SELECT samples > $samples + 10 FROM pool_monitor_info", 'samples go on');
ok($kept->query('COMMIT')->{ready}, 'so does a transaction that was open');
is( $standby->safe_psql('postgres', q{SELECT sessions, transactions, connections FROM pool_monitor_applications WHERE application_name = 'kept'}),
	'1|4|1', 'with its counts');

is( $standby->safe_psql('postgres', q{SELECT sessions_fatal + sessions_killed + rejected + terminated FROM pool_monitor_applications WHERE application_name = 'pgbench'}),
	'0', 'no session was lost');

foreach my $run (@load)
{
	$run->signal('INT');
	eval { $run->finish; };
}
PoolMonitor::wait_until($standby,
	q{SELECT connections = 0 FROM pool_monitor_applications WHERE application_name = 'pgbench'}, 'the load has ended');
unlike("@outputs", qr/FATAL|ERROR/, 'no client saw an error');

# The history has no hole where the promotion was: nothing longer than what a
# busy machine makes of 20 ms
is( $standby->safe_psql('postgres', qq{
		SELECT max(period_start - before) < '10 s' FROM (
			SELECT period_start, lag(period_start) OVER (ORDER BY period_start) AS before
			  FROM pool_monitor_utilization((SELECT started_at FROM pool_monitor_info), NULL, '1 s')) s}),
	't', 'the history has no hole');
TestModule::settles($standby, 'after the promotion');

# The new primary's statistics are those of ours, from here on
my $theirs = q{SELECT sessions, sessions_abandoned, sessions_killed FROM pg_stat_database WHERE datname = 'load'};
my $before = $standby->safe_psql('postgres', $theirs);
for (1 .. 50)
{
	my $last = $before;

	usleep(100_000);
	last if ($before = $standby->safe_psql('postgres', $theirs)) eq $last;
}
PoolMonitor::Wire->new($standby, user => 'joe', appname => 'later', dbname => 'load')->quit foreach 1 .. 5;
PoolMonitor::Wire->new($standby, user => 'joe', appname => 'later', dbname => 'load')->drop foreach 1 .. 3;
PoolMonitor::wait_until($standby, q{SELECT sessions = 8 AND sessions_abandoned = 3 FROM pool_monitor_applications WHERE application_name = 'later'},
	'later sessions are counted');
my ($sessions, $abandoned) = split /\|/, $before;
PoolMonitor::wait_until($standby, "SELECT sessions = $sessions + 8 AND sessions_abandoned = $abandoned + 3 FROM pg_stat_database WHERE datname = 'load'",
	'as pg_stat_database has them');

# What was counted before the promotion survives a restart after it
$kept->quit;
$standby->restart;
is( $standby->safe_psql('postgres', q{SELECT sessions, transactions FROM pool_monitor_applications WHERE application_name = 'kept'}),
	'1|4', 'a restart keeps what was counted before the promotion');

# A standby that can not be consistent yet, since its archive lacks the end of
# the backup, lets nobody in
my $early = PostgreSQL::Test::Cluster->new('early');
$early->init_from_backup($primary, 'base', has_streaming => 1);
$early->append_conf('postgresql.conf', "primary_conninfo = ''\nrestore_command = 'false'\n");
$primary->stop;
my $archive = "$folder/archive";
mkdir $archive;
rename $_, "$archive/" . basename($_) foreach glob $early->data_dir . '/pg_wal/0*';
system('pg_ctl', '-W', '-D', $early->data_dir, '-l', $early->logfile, '-o', '--cluster-name=early', 'start') == 0 || die 'it does not start';
my @answers;
for (1 .. 3000)
{
	my $client = eval { PoolMonitor::Wire->new($early, silent => 1, appname => 'too early') };
	my $result = $client ? $client->log_in : {};

	push @answers, $result->{sqlstate} if defined $result->{sqlstate};
	last if @answers >= 5;
	usleep(20_000);
}
is("@answers", '57P03 57P03 57P03 57P03 57P03', 'a standby that is not consistent refuses logins');
# Now it may have what it lacks
system_or_bail('pg_ctl', '-m', 'immediate', '-D', $early->data_dir, 'stop');
$early->append_conf('postgresql.conf', "restore_command = 'cp \"$archive/%f\" \"%p\"'\n");
$early->start;
PoolMonitor::wait_until($early, 'SELECT samples > 3 FROM pool_monitor_info', 'when it is, the worker samples');
is( $early->safe_psql('postgres', q{
		SELECT (SELECT rejected FROM pool_monitor_status), (SELECT count(*) FROM pool_monitor_rejections),
		       (SELECT count(*) FROM pool_monitor_applications WHERE application_name = 'too early')}),
	'0|0|0', 'those logins count as nothing');
TestModule::settles($early, 'on a standby');

$early->stop;
$standby->stop;
unlike(slurp_file($_->logfile), qr/TRAP|PANIC/, 'no assertion failed on ' . $_->name) foreach ($primary, $standby, $early);

done_testing();
