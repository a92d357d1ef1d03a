# Application names: a session that changes its name moves to another group,
# and nothing is lost or doubled on the way.  Peaks: the most sessions at once,
# however short that was.

use strict;
use warnings;

use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# No sample is taken while we look
my $node = PoolMonitor::new_node('names',
	extension => 1, conf => 'pool_monitor.sample_interval = 1h');
$node->safe_psql('postgres', q{
	CREATE ROLE alice LOGIN;
	CREATE ROLE bob LOGIN;
	CREATE ROLE named LOGIN;
	ALTER ROLE named SET application_name = 'by its role'});
my $observer = PoolMonitor::session($node, appname => 'observer');
my $superuser = $observer->query('SELECT current_user');

sub client
{
	my ($appname, @opts) = @_;
	return PoolMonitor::Wire->new($node, appname => $appname, @opts);
}

# app_is(APPNAME, EXPECTED, LABEL): sessions, transactions, peak_connections
sub app_is
{
	my ($appname, $expected, $label) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is( $observer->query(qq{
			SELECT sessions, transactions, peak_connections
			FROM pool_monitor_applications WHERE application_name = '$appname'}),
		$expected, $label);
	return;
}

# is_idle_in(APPNAME, LABEL): is that where the session's time goes?
sub is_idle_in
{
	my ($appname, $label) = @_;
	my $query = qq{
		SELECT session_time FROM pool_monitor_applications WHERE application_name = '$appname'};

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $before = $observer->query($query);
	cmp_ok($observer->query($query), '>', $before, $label);
	return;
}

# SET
my $client = client('one');
$client->query('SELECT 1') foreach 1 .. 3;
app_is('one', '1|3|1', 'a session is in the group of its name');
$client->query("SET application_name = 'two'");
app_is('one', '1|3|1', 'it leaves what it counted when it changes its name');
app_is('two', '0|1|1', 'and enters the other group, as no new session');
$client->query('SELECT 1') foreach 1 .. 3;
app_is('two', '0|4|1', 'in which it counts from then on');
is_idle_in('two', 'and in which its time passes');
my $left = $observer->query(
	"SELECT session_time FROM pool_monitor_applications WHERE application_name = 'one'");
is( $observer->query("SELECT session_time FROM pool_monitor_applications WHERE application_name = 'one'"),
	$left, 'no longer in the one it left');

# A driver that logs in without a name, and takes one with its first statements.
# The time before is nobody's, and so are these statements.
my $unnamed = 0;
my $tiny = 0;

# unnamed_is(LABEL): what is counted under no name
sub unnamed_is
{
	my ($label) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is( $observer->query(q{
			SELECT coalesce(sum(sessions), 0), coalesce(sum(transactions), 0)
			FROM pool_monitor_groups WHERE application_name = '' AND usename = 'alice'}),
		"$unnamed|$tiny", $label);
	return;
}

my $driver = client('', user => 'alice');
unnamed_is('a session without a name that has run nothing is in no count');
$driver->query('SET extra_float_digits = 3');
$driver->query('SHOW server_version');
unnamed_is('nor is one that has looked at settings only');
$driver->query("BEGIN; SET LOCAL application_name = 'local'; COMMIT");
$driver->query("BEGIN");
$driver->query("SET application_name = 'rolled back'");
$driver->query("ROLLBACK");
is($observer->query("SELECT coalesce(sum(sessions), 0) FROM pool_monitor_groups WHERE application_name IN ('local', 'rolled back')"),
	'0', 'a name for one transaction is none');
$driver->query("SET application_name = 'driver'");
app_is('driver', '1|0|1', 'the first name that it takes is its own');
is_idle_in('driver', 'where its time passes');
unnamed_is('and nothing is left behind');
$driver->query('SELECT 1');
$driver->query("SET application_name = 'second'");
app_is('driver', '1|1|1', 'a later name');
app_is('second', '0|1|1', 'is no new session');
$driver->quit;

$driver = client('', user => 'alice');
$driver->query('SET extra_float_digits = 3');
$driver->query('SELECT 1');
($unnamed, $tiny) = (1, 1);
unnamed_is('one that runs something else first has no name');
$driver->query("SET application_name = 'late'");
$driver->query('SELECT 1');
app_is('late', '0|2|1', 'nor does a name that comes later count it again');
$driver->quit;

$driver = client('', user => 'alice');
$driver->query('BEGIN');
$driver->query('COMMIT');
($unnamed, $tiny) = (2, 2);
unnamed_is('an empty transaction is something else');
$driver->quit;
$driver = client('', user => 'alice');
$driver->query('SET extra_float_digits = three');
$driver->query('SELECT 1/');
($unnamed, $tiny) = (3, 3);
unnamed_is('so is a statement that fails, but a setting that is refused is not');
$driver->quit;
$driver = client('', user => 'alice');
$driver->quit;
$unnamed = 4;
PoolMonitor::wait_until($node, "SELECT sum(sessions) = 4 FROM pool_monitor_groups WHERE application_name = '' AND usename = 'alice'",
	'one that leaves without a word is counted when it leaves');
$driver = client('', user => 'alice');
$driver->drop;
PoolMonitor::wait_until($node, "SELECT sum(sessions) = 5 AND sum(sessions_abandoned) = 1 FROM pool_monitor_groups WHERE application_name = '' AND usename = 'alice'",
	'one that is cut off too, with its end');

# RESET
$client->query('RESET application_name');
app_is('one', '1|4|1', 'RESET brings it back to the name it came with');
is_idle_in('one', 'and its time with it');

# A login trigger's, which exist from 17 on, in a database of its own
if ($observer->query('SHOW server_version_num') >= 170000)
{
	$observer->query('CREATE DATABASE triggered');
	$node->safe_psql('triggered', q{
		CREATE FUNCTION on_login() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
			IF session_user = 'bob' THEN RAISE 'not you'; END IF;
			PERFORM set_config('application_name', current_setting('application_name') || ' by a trigger', false);
		END $$;
		CREATE EVENT TRIGGER on_login ON login EXECUTE FUNCTION on_login();
		ALTER EVENT TRIGGER on_login ENABLE ALWAYS});
	my $triggered = client('named', dbname => 'triggered', user => 'alice');
	app_is('named', '', 'a session is not counted before its login trigger has run');
	app_is('named by a trigger', '1|0|1', 'but then, for the name that it has been given');
	$triggered->query('SELECT 1');
	app_is('named by a trigger', '1|1|1', 'as are its transactions');
	$triggered->quit;
	ok(!eval { client('refused', dbname => 'triggered', user => 'bob') }, 'a login trigger refuses a session');
	app_is('refused', '', 'which is not counted at all');
}

# Rolled back
$client->query($_) foreach ('BEGIN', "SET application_name = 'undone'", 'SELECT 1', 'ROLLBACK');
app_is('undone', '', 'a name that was rolled back has no group');
app_is('one', '1|5|1', 'the transaction counts for the name that stays');
$client->query($_)
  foreach ('BEGIN', 'SAVEPOINT a', "SET application_name = 'undone'", 'ROLLBACK TO a', 'COMMIT');
app_is('undone', '', 'nor has one that was rolled back with a savepoint');
app_is('one', '1|6|1', 'and the transaction counts for the name that stays');

# SET LOCAL
$client->query($_) foreach ('BEGIN', "SET LOCAL application_name = 'local'", 'SELECT 1', 'COMMIT');
app_is('local', '0|1|1', 'a transaction with SET LOCAL counts for that name');
app_is('one', '1|6|1', 'not for the one before');
is_idle_in('one', 'after it the session is back under its own name');
$client->query('SELECT 1');
app_is('one', '1|7|1', 'and counts under it');

# Ends
$client->query("SET application_name = 'last'");
$client->drop;
PoolMonitor::wait_until($node,
	"SELECT sessions_abandoned = 1 FROM pool_monitor_applications WHERE application_name = 'last'",
	'a session ends in the group it is in');
is( $observer->query(q{
		SELECT sum(sessions), sum(sessions_abandoned), sum(transactions)
		FROM pool_monitor_applications
		WHERE application_name IN ('one', 'two', 'local', 'last')}),
	'1|1|13',
	'the sums are those of one session');

# The same name as core shows, whatever a client makes of it
my @odd = ('', 'x' x 70, "na\xc3\xafve", "tab\tand\x01", '<other>', '%s%n', "it's");
my @clients = map { client($_) } @odd;
push @clients, PoolMonitor::Wire->new($node, user => 'named');
my $ours = q{
	SELECT string_agg(application_name, E'\n' ORDER BY application_name COLLATE "C")
	FROM pool_monitor_applications WHERE peak_connections > 0 AND connections > 0};
is( $observer->query($ours),
	$observer->query(q{
		SELECT string_agg(application_name, E'\n' ORDER BY application_name COLLATE "C")
		FROM pg_stat_activity WHERE backend_type = 'client backend'}),
	'groups have the names that pg_stat_activity shows');
is($observer->query("SELECT sessions FROM pool_monitor_groups WHERE usename = 'named' AND application_name = 'by its role'"),
	'1', 'a name that comes from the role counts from the login on');
$_->quit foreach @clients;

# A group is of the role that logged in, as in pg_stat_activity
$client = client('authorized');
$client->query('SET SESSION AUTHORIZATION alice');
$client->query("SET application_name = 'as alice'");
is( $observer->query(
		"SELECT usename FROM pool_monitor_groups WHERE application_name = 'as alice' AND transactions > 0"),
	$observer->query("SELECT usename FROM pg_stat_activity WHERE application_name = 'as alice'"),
	'SET SESSION AUTHORIZATION does not change the role of a group');
$client->quit;

# A setting in the configuration file reaches a session without a transaction
$client = PoolMonitor::Wire->new($node);
$node->append_conf('postgresql.conf', "application_name = 'by the file'");
$node->reload;
while ($client->query(q{SELECT current_setting('application_name')})->{rows}[0][0] eq '')
{
	# each of these is counted for the empty name
}
app_is('by the file', '0|1|1', 'a session that a reload renames moves with its next transaction');
$client->quit;

# Peaks
PoolMonitor::wait_until($node,
	'SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type = \'client backend\'',
	'nobody else is there');
my $samples = $observer->query('SELECT samples FROM pool_monitor_info');
$observer->query('SELECT pool_monitor_reset()');
my $earliest = $observer->query('SELECT clock_timestamp()');
@clients = map { client('burst', user => 'alice') } 1 .. 4;
push @clients, map { client('burst', user => 'bob') } 1 .. 3;
push @clients, client('other');
my $latest = $observer->query('SELECT clock_timestamp()');
$_->quit foreach @clients;
@clients = map { client('burst', user => 'bob') } 1 .. 2;
$_->quit foreach @clients;

my $within = "peak_connections_at BETWEEN '$earliest' AND '$latest'";
is( $observer->query(qq{
		SELECT usename, peak_connections, $within
		FROM pool_monitor_groups WHERE application_name = 'burst' ORDER BY 1}),
	"alice|4|t\nbob|3|t",
	'a group has the peak of its own sessions, and when it was');
is( $observer->query(qq{
		SELECT peak_connections, $within
		FROM pool_monitor_applications WHERE application_name = 'burst'}),
	'7|t',
	'an application that of all its sessions at once');
is( $observer->query(qq{SELECT peak_connections, $within FROM pool_monitor_status}),
	'9|t', 'the server that of all sessions');
is($observer->query('SELECT samples FROM pool_monitor_info'), $samples,
	'not one sample was taken in that time');

# A peak that is no sum: they were never there together
foreach my $user ('alice', 'bob')
{
	my $client = client('in turn', user => $user);
	$client->quit;
	$node->poll_query_until('postgres',
		"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'in turn')")
	  || die 'the session does not end';
}
app_is('in turn', '2|0|1', 'sessions that come in turn are one at once');

# Sessions that move make a peak where they go
@clients = map { client("from $_") } 1 .. 3;
$_->query("SET application_name = 'to'") foreach @clients;
app_is('to', '0|3|3', 'sessions that change their name make a peak there');
$_->quit foreach @clients;

done_testing();
