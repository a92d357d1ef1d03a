# Who floods the table with names costs no other database or role its figures:
# each has an <other> of its own, which stays for as long as there is room.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use PoolMonitor;
use Test::More;
use Time::HiRes qw(usleep);

my $node = PoolMonitor::new_node('main', extension => 1, conf => <<'CONF');
pool_monitor.max_groups = 40
autovacuum = off
CONF
my @roles = map { "role_$_" } 1 .. 30;
$node->safe_psql('postgres', join('', map { "CREATE ROLE $_ LOGIN;" } @roles) . 'CREATE DATABASE flooded');

my $observer = PoolMonitor::session($node, appname => 'observer');
my $asked = 0;

sub observe
{
	my ($sql) = @_;

	$asked++;
	return $observer->query($sql);
}

# A session of that role gives itself so many names, each for one transaction.
sub flood
{
	my ($role, $dbname, $names, $prefix) = @_;
	my $session = PoolMonitor::session($node, appname => 'first', user => $role, dbname => $dbname);
	my $attempts = 10 * $PostgreSQL::Test::Utils::timeout_default;

	$session->query(join('', map { "SET application_name = '$prefix $_';\n" } 1 .. $names));
	$session->quit;
	usleep(100_000)
	  while --$attempts > 0
	  && observe("SELECT count(*) FROM pg_stat_activity WHERE usename = '$role'") ne '0';
	fail("$role does not leave") if $attempts == 0;
}

# What everybody has, but for the transactions of the session that asks
sub totals
{
	return observe("SELECT sum(sessions), sum(transactions) - $asked FROM pool_monitor_groups");
}

# What all groups of a role have; the session itself makes one transaction.
sub counted
{
	my ($role) = @_;
	return observe("SELECT sum(sessions) || '|' || sum(transactions) FROM pool_monitor_groups WHERE usename = '$role'");
}

sub catch_all
{
	return observe("SELECT coalesce(sum(sessions), 0) || '|' || coalesce(sum(transactions), 0) FROM pool_monitor_groups WHERE usename IS NULL");
}

my @before = split /\|/, totals();

# Whether a first transaction is made by the harness is seen here.
flood('role_1', 'postgres', 5, 'few');
my (undef, $made) = split /\|/, counted('role_1');
my $extra = $made - 5;

# One after the other, so that the <other> of the first has long not been used
flood('role_1', 'postgres', 195, 'early');
flood('role_2', 'flooded', 2000, 'late');
is(counted('role_1'), '2|' . (200 + 2 * $extra), 'a flood of names leaves the figures of another role as they are');
is(counted('role_2'), '1|' . (2000 + $extra), 'and has its own');
is(catch_all(), '0|0', 'nothing went where database and role are lost');

# Roles that have one group each, beside a flood
flood($_, 'postgres', 1, 'once') foreach (@roles[2 .. 9]);
flood('role_2', 'flooded', 1000, 'again');
is(join(' ', map { counted($_) } @roles[2 .. 9]),
	join(' ', ('1|' . (1 + $extra)) x 8), 'so have roles that logged in once before it');
is(counted('role_2'), '2|' . (3000 + 2 * $extra), 'and the flood');
is(catch_all(), '0|0', 'still nothing is lost');

# More of them than half of the places: the least recently used give way
flood($_, 'postgres', 1, 'once') foreach (@roles[10 .. 29]);
flood('role_2', 'flooded', 1000, 'last');
my $others = observe("SELECT count(*) FROM pool_monitor_groups WHERE application_name = '<other>' AND usename IS NOT NULL");
cmp_ok($others, '<=', 21, 'the <other>s of databases and roles take no more than half of the places');
cmp_ok($others, '>=', 15, 'but they do take that');
cmp_ok(observe("SELECT count(*) FROM pool_monitor_groups WHERE application_name LIKE 'last %'"),
	'>=', 15, 'which leaves the other half for names');
is(counted('role_30'), '1|' . (1 + $extra), 'the one that was used last keeps its figures');
my @now = split /\|/, totals();
is( join('|', $now[0] - $before[0], $now[1] - $before[1]),
	'33|' . (200 + 4000 + 28 + 33 * $extra), 'and no figure is lost in all');

$observer->quit;
$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC/, 'no assertion failed');

done_testing();
