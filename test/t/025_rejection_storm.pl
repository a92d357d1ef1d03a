# Storms of logins against a full server: every rejected one is counted and
# attributed, whatever the reason, and whatever the names.

use strict;
use warnings;

use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $queue = 1024;    # rejections that can be on their way to the worker
my $kept = 1000;     # kept apart by their names

my $node = PoolMonitor::new_node('storm',
	extension => 1,
	conf => q{
max_connections = 150
superuser_reserved_connections = 100
log_statement = none
log_min_messages = fatal
pool_monitor.sample_interval = 1h});
$node->safe_psql('postgres', q{
	CREATE ROLE joe LOGIN;
	CREATE ROLE few LOGIN CONNECTION LIMIT 0;
	CREATE DATABASE closed CONNECTION LIMIT 0});
my $observer = PoolMonitor::session($node, appname => 'observer');

# What the server says for each reason
my %reasons = (
	too_many_clients => qr/^53300 sorry, too many clients already/,
	reserved_slots => qr/^53300 remaining connection slots are reserved/,
	database_limit => qr/^53300 too many connections for database/,
	role_limit => qr/^53300 too many connections for role/);

# storm(NODE, OBSERVER, REASON, COUNT, %opts): logins of ten applications in turn.  What
# the clients were told is what must have been counted.
sub storm
{
	my ($on, $watch, $reason, $count, %opts) = @_;
	my %told;
	my $before = rejected($watch);
	my $answers = PoolMonitor::Wire::storm($on, $count, 40,
		sub { return (appname => "$reason " . $_[0] % 10, %opts) });

	foreach my $answer (keys %$answers)
	{
		my ($told) = grep { $answer =~ $reasons{$_} } keys %reasons;
		$told{ defined $told ? $told : $answer } += $answers->{$answer};
	}
	is(join(', ', map { "$told{$_} $_" } sort keys %told), "$count $reason",
		"$count clients were rejected for $reason");
	is(rejected($watch) - $before, $count, 'all of them are counted');
	return;
}

# What the worker does soon
sub comes_to
{
	my ($watch, $sql, $value, $label) = @_;
	my $got;

	foreach (1 .. 3000)
	{
		$got = $watch->query($sql);
		return pass($label) if $got eq $value;
		$watch->query('SELECT pg_sleep(0.01)');
	}
	return is($got, $value, $label);
}

sub rejected { return $_[0]->query('SELECT rejected FROM pool_monitor_status'); }

# are_attributed(OBSERVER, REASON, DATNAME, USENAME, EACH)
sub are_attributed
{
	my ($watch, $reason, $datname, $usename, $each) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is( $watch->query(qq{
			SELECT datname, usename, application_name, rejected FROM pool_monitor_rejections
			WHERE reason = '$reason' ORDER BY 3}),
		join("\n", map { "$datname|$usename|$reason $_|$each" } 0 .. 9),
		'each has its application, role and database');
	return;
}

# hold(USER, COUNT): sessions that take the connections
sub hold
{
	my ($user, $count) = @_;
	my @held;

	while (@held < $count)
	{
		# Who was rejected before may still be on the way out
		my $client = eval { PoolMonitor::Wire->new($node, user => $user, appname => 'held') };
		push @held, $client if $client;
	}
	return @held;
}

my $superuser = $observer->query('SELECT current_user');

storm($node, $observer, 'role_limit', 1000, user => 'few');
are_attributed($observer, 'role_limit', 'postgres', 'few', 100);

storm($node, $observer, 'database_limit', 1000, user => 'joe', dbname => 'closed');
are_attributed($observer, 'database_limit', 'closed', 'joe', 100);

my @held = hold('joe', 49);
storm($node, $observer, 'reserved_slots', 1000, user => 'joe');
are_attributed($observer, 'reserved_slots', 'postgres', 'joe', 100);

push @held, hold($superuser, 100);
$observer->query('SELECT pool_monitor_reset()');
storm($node, $observer, 'too_many_clients', 1000, user => 'joe');
are_attributed($observer, 'too_many_clients', 'postgres', 'joe', 100);

# Without the worker: what is in the queue keeps its names, what finds no place
# in it is counted all the same.  It sleeps, so it holds no lock.
my $worker = $observer->query('SELECT worker_pid FROM pool_monitor_info');
ok( $observer->query("SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = $worker") eq 't',
	'the worker sleeps');
$observer->query('SELECT pool_monitor_reset()');
kill 'STOP', $worker;
storm($node, $observer, 'too_many_clients', 1000, user => 'joe');
kill 'CONT', $worker;
are_attributed($observer, 'too_many_clients', 'postgres', 'joe', 100);

$observer->query('SELECT pool_monitor_reset()');
kill 'STOP', $worker;
storm($node, $observer, 'too_many_clients', $queue + 276, user => 'joe');
kill 'CONT', $worker;
is( $observer->query(q{
		SELECT application_name = '<other>', datname IS NULL AND usename IS NULL, sum(rejected)
		FROM pool_monitor_rejections GROUP BY 1, 2 ORDER BY 1}),
	"f|f|$queue\nt|t|276",
	'as many as fit into the queue have their names, the others are <other>');
is($observer->query("SELECT rejected FROM pool_monitor_applications WHERE application_name = '<other>'"),
	'276', 'among the applications too');
storm($node, $observer, 'too_many_clients', 100, user => 'joe');
is($observer->query("SELECT sum(rejected) FROM pool_monitor_rejections WHERE application_name <> '<other>'"),
	$queue + 100, 'the queue works as before');

# Names that are all different, and none of them nice
$observer->query('SELECT pool_monitor_reset()');
my $memory = $observer->query('SELECT memory_bytes, groups FROM pool_monitor_info');
my @nasty = ("'; DROP TABLE x; --", '%s%n', "\\\n\t\"\e[2J", 'x' x 300, "\xff\xfe\xc3", "\xe2\x82\xac" x 21);
my $count = 2500;
my $answers = PoolMonitor::Wire::storm($node, $count, 40, sub {
	my ($i) = @_;
	my $nasty = $nasty[ $i % @nasty ];
	return (user => "u$i$nasty", dbname => "d$i$nasty", appname => "a$i$nasty");
});
is(join(', ', %$answers), "53300 sorry, too many clients already, $count",
	'thousands of clients with names of all sorts are rejected');
is(rejected($observer), $count, 'all of them are counted');
is( $observer->query(q{
		SELECT count(*), sum(rejected) FROM pool_monitor_rejections
		WHERE application_name <> '<other>'}),
	"$kept|$kept",
	'as many are kept apart as there are places');
is( $observer->query(q{
		SELECT reason, rejected FROM pool_monitor_rejections WHERE application_name = '<other>'}),
	'too_many_clients|' . ($count - $kept),
	'all the others are <other>');
is($observer->query('SELECT memory_bytes, groups FROM pool_monitor_info'), $memory,
	'that takes no more memory, and makes no groups');
foreach my $encoding ('UTF8', 'LATIN1', 'WIN1252')
{
	$observer->query("SET client_encoding = '$encoding'");
	$observer->query('SELECT * FROM pool_monitor_rejections');
	# What an encoding lacks is an error that we have no part in
	unlike($observer->stderr, qr/invalid byte sequence/,
		"the names are valid text, as a client with $encoding sees");
	$observer->query('SELECT application_name FROM pool_monitor_applications');
	is($observer->stderr, '', 'no application has a name that it can not read');
}
$observer->query('RESET client_encoding');
$_->quit foreach @held;

# Processes that are forked only to say no
my $small = PoolMonitor::new_node('dead_ends',
	extension => 1,
	conf => q{
max_connections = 10
autovacuum_max_workers = 1
max_worker_processes = 2
max_wal_senders = 0
wal_level = minimal
log_statement = none
pool_monitor.sample_interval = 1h});
my $watch = PoolMonitor::session($small, appname => 'observer');
$watch->query('SELECT pool_monitor_reset()');
my @silent = map { PoolMonitor::Wire->new($small, silent => 1) } 1 .. 40;
storm($small, $watch, 'too_many_clients', 1000, user => 'joe');
is($watch->query('SELECT connections FROM pool_monitor_status'), '1', 'nobody was connected');
are_attributed($watch, 'too_many_clients', 'postgres', 'joe', 100);
# the last ones of a storm wake nobody, and the next sample is far away
comes_to($watch, 'SELECT sum(rejected) FROM pool_monitor_incidents', '1000', 'the incident has all of them soon, without a sample');
storm($small, $watch, 'too_many_clients', 3, user => 'joe');
comes_to($watch, 'SELECT sum(rejected) FROM pool_monitor_incidents', '1003', 'and some more');
$_->drop foreach @silent;

done_testing();
