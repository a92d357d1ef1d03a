# The record of ends: what is kept, for whom, and for how long.

use strict;
use warnings;

use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PoolMonitor::new_node(
	'terminations',
	extension => 1,
	conf => "max_connections = 60\nlisten_addresses = '127.0.0.1'\nlog_min_messages = warning\n"
	  . "pool_monitor.sample_interval = '1h'\n");
$node->safe_psql('postgres', q{
	CREATE ROLE app LOGIN;
	CREATE ROLE other LOGIN;
	CREATE ROLE leaver LOGIN;
	CREATE ROLE reader LOGIN IN ROLE pg_read_all_stats;
	CREATE ROLE signaller LOGIN IN ROLE pg_signal_backend;
});
$node->safe_psql('postgres', 'CREATE DATABASE gone');

sub client
{
	my ($user, $appname, @opts) = @_;
	return PoolMonitor::Wire->new($node, user => $user, appname => $appname, @opts);
}

# End all idle sessions of some application
sub end_all
{
	my ($appname) = @_;
	$node->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = '$appname' AND (state <> 'idle' OR clock_timestamp() - state_change < '2 ms')")
	  || die 'they stay busy';
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM pool_monitor_terminate_idle('1 ms', '$appname', dry_run => false) WHERE outcome = 'terminated'");
}

my @clients = (client('app', 'one'), client('other', 'two'), client('leaver', 'three', dbname => 'gone'));
is(end_all($_), '1', 'a session is ended') foreach ('one', 'two', 'three');
$_->wait_end foreach @clients;
$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'gone'");

# Who sees what
my $seen = q{
	SELECT string_agg(concat_ws(' ', pid IS NOT NULL, datname, usename, coalesce(application_name, '?'),
			coalesce(outcome, '?'), terminated_at IS NULL, detail), ',' ORDER BY usename)
	FROM pool_monitor_terminations};
my $all = 't postgres app one terminated f,t gone leaver three terminated f,t postgres other two terminated f';
foreach my $case (
	[ 'app', 't postgres app one terminated f,t gone leaver ? ? t,t postgres other ? ? t', 'its own only' ],
	[ 'signaller', 't postgres app ? ? t,t gone leaver ? ? t,t postgres other ? ? t', 'none of others' ],
	[ 'reader', $all, 'all' ])
{
	my ($role, $expected, $label) = @$case;

	is($node->safe_psql('postgres', $seen, extra_params => [ '-U', $role ]),
		$expected, "$role sees $label");
}
is($node->safe_psql('postgres', $seen), $all, 'a superuser sees all');

# Names that are gone
my ($database, $role) = split /\|/, $node->safe_psql('postgres',
	"SELECT (SELECT oid FROM pg_database WHERE datname = 'gone'), (SELECT oid FROM pg_roles WHERE rolname = 'leaver')");
$node->safe_psql('postgres', 'DROP DATABASE gone');
$node->safe_psql('postgres', 'DROP ROLE leaver');
is( $node->safe_psql('postgres',
		"SELECT datname, usename FROM pool_monitor_terminations WHERE application_name = 'three'"),
	"$database|$role", 'what was dropped shows as its OID');

# It survives a restart
my $record = $node->safe_psql('postgres', 'SELECT * FROM pool_monitor_terminations');
my $terminated = $node->safe_psql('postgres', "SELECT terminated FROM pool_monitor_applications WHERE application_name = 'one'");
is($terminated, '1', 'the end is counted');
$node->restart;
is($node->safe_psql('postgres', 'SELECT * FROM pool_monitor_terminations'),
	$record, 'the record survived a restart');
is( $node->safe_psql('postgres', "SELECT terminated FROM pool_monitor_applications WHERE application_name = 'one'"),
	'1', 'so did the count');

# 1000 are kept
for my $round (1 .. 26)
{
	my @crowd = map { client('app', "round $round") } 1 .. 40;

	end_all("round $round");
	$_->drop foreach @crowd;
	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = 'app'");
}
is( $node->safe_psql('postgres',
		'SELECT count(*), count(*) FILTER (WHERE application_name = $$round 1$$), count(*) FILTER (WHERE application_name = $$round 26$$) FROM pool_monitor_terminations'),
	'1000|0|40', 'the last 1000 decisions are kept');
is( $node->safe_psql('postgres',
		'SELECT count(*) FROM (SELECT terminated_at < lag(terminated_at) OVER () AS earlier FROM pool_monitor_terminations) t WHERE earlier'),
	'0', 'the oldest first');
is($node->safe_psql('postgres', 'SELECT sum(terminated) FROM pool_monitor_groups'),
	26 * 40 + 3, 'all are counted');
$record = $node->safe_psql('postgres', 'SELECT md5(string_agg(t::text, $$,$$)) FROM pool_monitor_terminations t');
$node->restart;
is( $node->safe_psql('postgres', 'SELECT md5(string_agg(t::text, $$,$$)) FROM pool_monitor_terminations t'),
	$record, 'a full record survives a restart as it is');

# And a reset forgets them
$node->safe_psql('postgres', 'SELECT pool_monitor_reset()');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pool_monitor_terminations'), '0', 'a reset forgets them');
is($node->safe_psql('postgres', 'SELECT terminated FROM pool_monitor_status'), '0', 'and the count');

done_testing();
