# Rejections: each login refused for want of a connection counts, for its
# reason and under the names that it gave; nothing else does.

use strict;
use warnings;

use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Few connections, and few processes: the postmaster keeps at most twice as
# many children as there can be backends
my $node = PoolMonitor::new_node('rejections',
	extension => 1,
	conf => q{
max_connections = 10
superuser_reserved_connections = 2
autovacuum_max_workers = 1
max_worker_processes = 2
max_wal_senders = 0
wal_level = minimal
pool_monitor.sample_interval = 1h});
$node->safe_psql('postgres', q{
	CREATE ROLE joe LOGIN;
	CREATE ROLE nobody LOGIN CONNECTION LIMIT 0;
	CREATE ROLE locked LOGIN PASSWORD 'right';
	CREATE DATABASE closed CONNECTION LIMIT 0});
my $observer = PoolMonitor::session($node, appname => 'observer');
$observer->query('SELECT pool_monitor_reset()');

# refused(%opts): a login that is to fail; its sqlstate and message
sub refused
{
	my (%opts) = @_;
	my $client = PoolMonitor::Wire->new($node, silent => 1, %opts);
	my $result = $client->log_in;

	return $result->{ready} ? 'connected' : "$result->{sqlstate} $result->{message}";
}

sub rejections_are
{
	my ($where, $expected, $label) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is( $observer->query(qq{
			SELECT datname, usename, application_name, reason, rejected
			FROM pool_monitor_rejections WHERE $where ORDER BY 1, 2, 3, 4}),
		$expected, $label);
	return;
}

is($observer->query('SELECT rejected, last_rejected_at FROM pool_monitor_status'),
	'0|', 'nothing is rejected yet');
my $start = $observer->query('SELECT clock_timestamp()');

# Limits of a role and of a database
like(refused(user => 'nobody', appname => 'r'), qr/^53300 too many connections for role/,
	'a role is at its limit') foreach 1 .. 3;
rejections_are("reason = 'role_limit'", 'postgres|nobody|r|role_limit|3', 'that is counted');
like(refused(user => 'joe', dbname => 'closed', appname => 'd'),
	qr/^53300 too many connections for database/, 'a database is at its limit')
  foreach 1 .. 2;
rejections_are("reason = 'database_limit'", 'closed|joe|d|database_limit|2', 'that is counted');

# Reserved slots, then none at all
my @held = map { PoolMonitor::Wire->new($node, user => 'joe', appname => 'held') } 1 .. 7;
like(refused(user => 'joe', appname => 's'), qr/^53300 remaining connection slots are reserved/,
	'the rest is reserved') foreach 1 .. 2;
like(refused(user => 'joe'), qr/^53300 remaining connection slots are reserved/,
	'for one without a name too');
rejections_are("reason = 'reserved_slots'",
	"postgres|joe||reserved_slots|1\npostgres|joe|s|reserved_slots|2", 'that is counted');
# A backend that says no may still be on its way out
my $last;
push @held, $last
  while @held < 9 && eval { $last = PoolMonitor::Wire->new($node, appname => 'held'); 1 };
is(scalar @held, 9, 'all connections are held');
like(refused(user => 'joe', appname => 'n', dbname => $_),
	qr/^53300 sorry, too many clients already/, 'there is none left')
  foreach ('postgres', 'nowhere');
rejections_are("application_name = 'n'",
	"nowhere|joe|n|too_many_clients|1\npostgres|joe|n|too_many_clients|1",
	'that is counted under the names that were given');
is($observer->query('SELECT status FROM pool_monitor_status'), 'exhausted', 'the server says so');
$_->quit foreach @held;
PoolMonitor::wait_until($node,
	"SELECT connections = 0 FROM pool_monitor_applications WHERE application_name = 'held'",
	'they are gone');

# Processes that are forked only to say no.  Connections that say nothing yet
# have no place among the backends, but are processes.
my @silent = map { PoolMonitor::Wire->new($node, silent => 1) } 1 .. 40;
like(refused(user => 'joe', appname => 'dead end'),
	qr/^53300 sorry, too many clients already/, 'the server has as many processes as it can')
  foreach 1 .. 5;
is($observer->query("SELECT connections FROM pool_monitor_status"), '1',
	'though nobody is connected');
rejections_are("application_name = 'dead end'", 'postgres|joe|dead end|too_many_clients|5',
	'that is counted');
$_->drop foreach @silent;

# What is shown elsewhere
is( $observer->query(q{
		SELECT application_name, rejected FROM pool_monitor_applications
		WHERE rejected > 0 AND application_name <> 'psql' ORDER BY 1}),
	"|1\nd|2\ndead end|5\nn|2\nr|3\ns|2",
	'applications have their rejections beside them');
is( $observer->query(q{
		SELECT datname, usename, application_name, rejected FROM pool_monitor_groups
		WHERE rejected > 0 AND application_name IN ('d', 'n', 'r') ORDER BY 3}),
	"closed|joe|d|2\npostgres|joe|n|1\npostgres|nobody|r|3",
	'so have groups, where the database and the role exist');
is( $observer->query(q{
		SELECT s.rejected = (SELECT sum(rejected) FROM pool_monitor_rejections)
			AND s.rejected = (SELECT sum(rejected) FROM pool_monitor_applications)
		FROM pool_monitor_status s}),
	't',
	'the sums agree');
is( $observer->query(qq{
		SELECT last_rejected_at BETWEEN '$start' AND clock_timestamp()
			AND last_rejected_at = (SELECT max(last_rejected_at) FROM pool_monitor_rejections)
		FROM pool_monitor_status}),
	't',
	'the last one was when it was');
is( $observer->query(q{
		SELECT sum(sessions) FROM pool_monitor_applications
		WHERE application_name IN ('d', 'dead end', 'n', 'r', 's')}),
	'0',
	'who was rejected had no session');

# What is no rejection
my $total = 'SELECT rejected FROM pool_monitor_status';
# Silent connections that are gone still occupy the postmaster for a moment
$node->poll_query_until('postgres', 'SELECT true') || die 'the server does not recover';
my $rejected = $observer->query($total);
$observer->query(
	q{DO $$ BEGIN RAISE 'sorry, too many clients already' USING ERRCODE = '53300'; END $$});
like($observer->stderr, qr/sorry, too many clients already/, 'a function raises the same error');
is($observer->query($total), $rejected, 'that is no rejection');
like(refused(dbname => 'missing'), qr/^3D000/, 'a database is missing');
like(refused(user => 'missing'), qr/^28000/, 'a role is missing');
is($observer->query($total), $rejected, 'those are no rejections');

my $hba = $node->data_dir . '/pg_hba.conf';
my $rules = slurp_file($hba);
open(my $file, '>', $hba) || die "$hba: $!";
print $file "local all locked scram-sha-256\n$rules";
close($file);
$node->reload;
{
	local $ENV{PGPASSWORD} = 'wrong';
	PoolMonitor::wait_until($node,
		"SELECT count(*) > 0 FROM pg_hba_file_rules WHERE 'locked' = ANY (user_name)",
		'a role needs a password');
	eval { PoolMonitor::session($node, user => 'locked') };
	like($@, qr/password authentication failed/, 'it is wrong');
}
is($observer->query($total), $rejected, 'that is no rejection');
my $client = PoolMonitor::Wire->new($node, silent => 1);
$client->send_raw("\x00\x00\x00\x08\x12\x34\x56\x78");
$client->wait_end;
is($observer->query($total), $rejected, 'nor is a protocol that nobody speaks');

# Where the server logs nothing, we are told nothing
$node->append_conf('postgresql.conf', 'log_min_messages = panic');
$node->reload;
PoolMonitor::wait_until($node, q{SELECT current_setting('log_min_messages') = 'panic'},
	'the server does not log fatal errors');
like(refused(user => 'nobody', appname => 'unseen'), qr/^53300/, 'a role is at its limit');
is($observer->query($total), $rejected, 'with log_min_messages = panic rejections are not seen');
$node->append_conf('postgresql.conf', 'log_min_messages = fatal');
$node->reload;
PoolMonitor::wait_until($node, q{SELECT current_setting('log_min_messages') = 'fatal'},
	'it logs them again');
like(refused(user => 'nobody', appname => 'seen'), qr/^53300/, 'a role is at its limit');
is($observer->query($total), $rejected + 1, 'with log_min_messages = fatal they are');

# In another language the reasons are the same
$rejected = $observer->query($total);
like(refused(user => 'nobody', appname => 'de', options => '-c lc_messages=de_DE.UTF-8'),
	qr/^53300/, 'a role is at its limit, in German');
rejections_are("application_name = 'de'", 'postgres|nobody|de|role_limit|1', 'that is the same reason');

# Reset
$observer->query("SELECT pool_monitor_reset('d')");
rejections_are("application_name IN ('d', 'r')", 'postgres|nobody|r|role_limit|3',
	'the rejections of one application are forgotten');
is($observer->query($total), $rejected + 1 - 2, 'in the total too');
$observer->query('SELECT pool_monitor_reset()');
rejections_are('true', '', 'those of all are');
is($observer->query('SELECT rejected, last_rejected_at FROM pool_monitor_status'), '0|', 'in the total too');

done_testing();
