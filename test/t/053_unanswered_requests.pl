# Sessions that do not answer: nothing but a request ever ends them.

use strict;
use warnings;

use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PoolMonitor::new_node(
	'unanswered',
	extension => 1,
	conf => "max_connections = 13\nsuperuser_reserved_connections = 3\nautovacuum = off\n"
	  . "pool_monitor.sample_interval = '20ms'\n");
$node->safe_psql('postgres', 'CREATE ROLE app LOGIN');
my $observer = PoolMonitor::session($node, appname => 'observer');

sub configure
{
	my (%settings) = @_;

	$observer->query(
		defined $settings{$_}
		? "ALTER SYSTEM SET pool_monitor.$_ = '$settings{$_}'"
		: "ALTER SYSTEM RESET pool_monitor.$_") foreach sort keys %settings;
	$observer->query('SELECT pg_reload_conf()');
	return;
}

sub client
{
	my ($appname, @opts) = @_;
	return PoolMonitor::Wire->new($node, user => 'app', appname => $appname, @opts);
}

sub is_there
{
	my ($client) = @_;
	return 'EXISTS (SELECT FROM pg_stat_activity WHERE pid = ' . $client->pid . ')';
}

# Is the signal of a request pending?
sub is_asked
{
	my ($client) = @_;
	my $pid = $client->pid;
	my ($pending) = slurp_file("/proc/$pid/status") =~ /^ShdPnd:\s*([0-9a-f]+)/m;
	return hex($pending) & (1 << 9);
}

sub wait_for_signal
{
	my ($client) = @_;
	my $deadline = time + 20;

	until (is_asked($client))
	{
		return 0 if time > $deadline;
		$observer->query('SELECT pg_sleep(0.01)');
	}
	return 1;
}

#
# A session that is stopped
#
my $client = client('stopped');
kill 'STOP', $client->pid;
my $start = time;
configure(idle_timeout => '100ms');
$observer->holds(
	"SELECT count(*) = 1 FROM pool_monitor_terminations WHERE application_name = 'stopped'",
	'a session that does not answer is recorded');
cmp_ok(time - $start, '>=', 4, 'after some seconds');
is( $observer->query(
		"SELECT outcome, detail FROM pool_monitor_terminations WHERE application_name = 'stopped'"),
	'failed|the session did not answer',
	'as failed');
my $pid = $client->pid;
like(slurp_file($node->logfile), qr/LOG:  could not terminate session with PID $pid\n/, 'the log says so, too');
kill 'CONT', $client->pid;
$observer->samples(10);
is($observer->query('SELECT ' . is_there($client)), 't', 'it is not killed when it goes on');
is( $observer->query(
		"SELECT count(*) FROM pool_monitor_terminations WHERE application_name = 'stopped'"),
	'1', 'nor asked again in this idle period');
ok($client->query('SELECT 1')->{ready}, 'it works');
is($client->wait_end, '57P05', 'in its next idle period it is asked again');
$observer->holds('SELECT terminated = 1 FROM pool_monitor_status', 'and ends');
configure(idle_timeout => undef);

#
# It still holds its slot: others must go in its place.  10 slots are for
# ordinary roles; the observer has one.
#
configure(terminate_above => 100, idle_timeout => '10ms');
my @crowd = map { client('crowd') } 1 .. 8;
kill 'STOP', $crowd[0]->pid;
configure(terminate_above => 90);
$observer->holds(
	"SELECT count(*) = 1 FROM pool_monitor_terminations WHERE application_name = 'crowd' AND outcome = 'failed'",
	'at 90%, the longest idle one does not answer');
$observer->holds(
	"SELECT count(*) = 1 FROM pool_monitor_terminations WHERE application_name = 'crowd' AND outcome = 'terminated'",
	'so the next one goes');
$observer->holds("SELECT connections = 8 FROM pool_monitor_status", 'and utilization is below the percentage');
kill 'CONT', $crowd[0]->pid;
$_->drop foreach @crowd;
configure(terminate_above => undef, idle_timeout => undef);
$observer->holds("SELECT connections = 1 FROM pool_monitor_status", 'they are gone');

#
# A session whose handler another library has replaced
#
my $folder = PostgreSQL::Test::Utils::tempdir();
append_to_file("$folder/replace.c", <<'C');
#include "postgres.h"
#include "fmgr.h"
#include "libpq/pqsignal.h"
#include "storage/procsignal.h"
#include "storage/latch.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	pqsignal(SIGUSR1, procsignal_sigusr1_handler);
}
C
my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
chomp(my $include = `$pg_config --includedir-server`);
system_or_bail('gcc', '-shared', '-fPIC', "-I$include", '-o', "$folder/replace.so", "$folder/replace.c");

$client = PoolMonitor::Wire->new($node, appname => 'replaced');
$client->query("LOAD '$folder/replace.so'");
configure(
	pools => 'observer: application=observer idle_timeout=0',
	terminate_superusers => 'on',
	idle_timeout => '100ms');
$observer->holds(
	"SELECT count(*) = 1 FROM pool_monitor_terminations WHERE application_name = 'replaced'",
	'a session whose signal handler was replaced');
is( $observer->query(
		"SELECT outcome, detail FROM pool_monitor_terminations WHERE application_name = 'replaced'"),
	'failed|the session did not answer', 'fails to end');
$observer->samples(10);
ok($client->query('SELECT 1')->{ready}, 'and is never ended in another way');
configure(pools => undef, terminate_superusers => undef, idle_timeout => undef);
$client->quit;

#
# A session that ends by itself while it is asked
#
$client = client('killed');
kill 'STOP', $client->pid;
configure(idle_timeout => '100ms');
ok(wait_for_signal($client), 'a session is asked');
kill 'TERM', $client->pid;
kill 'CONT', $client->pid;
$observer->holds('SELECT NOT ' . is_there($client), 'it ends');
$observer->holds("SELECT count(*) = 1 FROM pool_monitor_terminations WHERE application_name = 'killed'",
	'that is recorded');
configure(idle_timeout => undef);

#
# The worker ends while it waits for an answer
#
$client = client('worker gone');
kill 'STOP', $client->pid;
configure(idle_timeout => '100ms');
ok(wait_for_signal($client), 'a session is asked');
configure(idle_timeout => '1h');
my $worker = $observer->query('SELECT worker_pid FROM pool_monitor_info');
$observer->query("SELECT pg_terminate_backend($worker)");
$observer->holds("SELECT worker_pid NOT IN (0, $worker) FROM pool_monitor_info", 'another worker takes over');
kill 'CONT', $client->pid;
$observer->samples(10);
is($observer->query('SELECT ' . is_there($client)), 't', 'the request is gone with the worker that made it');
is( $observer->query(
		"SELECT string_agg(concat_ws(' ', outcome, detail), ',') FROM pool_monitor_terminations WHERE application_name = 'worker gone'"),
	'spared the request was withdrawn', 'and is recorded as withdrawn: nobody knows whether it would have been answered');
configure(idle_timeout => '100ms');
$observer->holds('SELECT NOT ' . is_there($client), 'the new worker ends the session');
$observer->holds(
	"SELECT count(*) FILTER (WHERE outcome = 'terminated') = 1 FROM pool_monitor_terminations WHERE application_name = 'worker gone'",
	'and that is recorded, too');
configure(idle_timeout => undef);

#
# A long sample interval does not make the answer late
#
configure(sample_interval => '1s', idle_timeout => '100ms');
$client = client('late');
kill 'STOP', $client->pid;
ok(wait_for_signal($client), 'a session is asked');
configure(sample_interval => '1h');
$observer->holds(
	"SELECT count(*) = 1 FROM pool_monitor_terminations WHERE application_name = 'late' AND outcome = 'failed'",
	'a request fails in time whatever the sample interval');
kill 'CONT', $client->pid;
$client->drop;

done_testing();
