# Names as clients send them, and roles and databases that are gone.
use strict;
use warnings;

use Encode qw(encode);
use PostgreSQL::Test::Utils;
use PoolMonitor;
use Test::More;

my $node = PoolMonitor::new_node('main', extension => 1, conf => <<'CONF');
max_connections = 60
autovacuum = off
CONF
my $observer = PoolMonitor::session($node, appname => 'observer');

# Each name comes once in the start-up packet and once by SET.
my @names = (
	"it's", '"double"', 'back\\slash', "tab\there", "line\nbreak", "bell\x07", "del\x7f", '%s%n', '$(reboot)',
	'<script>alert(1)</script>', '{"json": "x"}', ' ', ' leading', 'trailing ', 'NULL', '<other>',
	'<insufficient privilege>', 'x' x 63, 'y' x 64, 'z' x 1000,
	map { encode('UTF-8', $_) } ("caf\x{e9}", "\x{e9}" x 40, 'a' . "\x{e9}" x 40, "\x{65e5}\x{672c}\x{8a9e}" x 20,
		"\x{1f40d}" x 16, 'ab' . "\x{1f40d}" x 20));
my (@started, @set);
foreach my $name (@names)
{
	push @started, PoolMonitor::session($node, appname => $name);
	my $session = PoolMonitor::session($node, appname => 'plain');
	(my $literal = $name) =~ s/'/''/g;
	$session->query("SET application_name = '$literal'");
	push @set, $session;
}
push @started, PoolMonitor::session($node, appname => '');

my $theirs = "FROM pg_stat_activity WHERE backend_type = 'client backend'";
sub differing
{
	my ($view, $columns, $theirs_columns) = @_;
	return $observer->query(<<"SQL");
WITH ours AS MATERIALIZED (SELECT $columns FROM $view),
     theirs AS MATERIALIZED (SELECT $theirs_columns)
SELECT (SELECT count(*) > 20 FROM ours), count(*)
  FROM ((TABLE ours EXCEPT ALL TABLE theirs) UNION ALL (TABLE theirs EXCEPT ALL TABLE ours)) d
SQL
}
is(differing('pool_monitor_sessions', 'pid, application_name', "pid, application_name $theirs"),
	't|0', 'every session has the name that pg_stat_activity shows');
is( differing('pool_monitor_applications WHERE connections > 0', 'application_name, connections',
		"application_name, count(*)::int $theirs GROUP BY 1"),
	't|0', 'every application has the sessions that pg_stat_activity shows');
is( differing('pool_monitor_connections', 'application_name, state, connections',
		"application_name, state, count(*)::int $theirs GROUP BY 1, 2"),
	't|0', 'the same by state');

# What was counted is found under the very same name
is( $observer->query('SELECT count(*) FROM pool_monitor_applications WHERE connections > 0 AND transactions = 0'),
	'0', 'all that have sessions have their transactions beside them');
is( $observer->query("SELECT count(*) FROM pool_monitor_applications WHERE connections > 0 AND connections <> peak_connections"),
	'0', 'and their peaks');
is($observer->query('SELECT max(octet_length(application_name)) FROM pool_monitor_applications'), '63', 'names end at 63 bytes');
is($observer->query("SELECT connections, sessions FROM pool_monitor_applications WHERE application_name = ''"),
	'1|0', 'the empty name is a name; it was not there at the login');
is( $observer->query("SELECT total_connections FROM pool_monitor_pool_status(5, 5, '')") . '|'
	  . $observer->query("SELECT total_connections FROM pool_monitor_pool_status(5, 5, 'it''s')"),
	'1|2', 'a pool can have such a name');
is($observer->query("SELECT pool_monitor_reset('it''s') IS NOT NULL, pool_monitor_reset('') IS NOT NULL"), 't|t', 'and can be reset');
is( $observer->query("SELECT count(*), sum(connections) FROM pool_monitor_applications
		WHERE application_name IN ('<other>', '<insufficient privilege>')"),
	'2|4', 'who takes a name of ours sees nothing else');
ok( $observer->query("SELECT count(*) FROM pool_monitor_sessions s, to_json(s) j WHERE (j::text)::jsonb ->> 'pid' = s.pid::text") > 50,
	'all of it can be made JSON');
$_->quit foreach (@started, @set);

# Databases and roles with names of that kind
my $odd = encode('UTF-8', "\x{1f40d} it's \"odd\"\\");
(my $quoted = $odd) =~ s/"/""/g;
(my $literal = $odd) =~ s/'/''/g;
$observer->query("CREATE DATABASE \"$quoted\"");
$observer->query("CREATE ROLE \"$quoted\" LOGIN");
my $session = PoolMonitor::session($node, appname => 'odd', dbname => $odd, user => $odd);
is( $observer->query("SELECT datname = '$literal', usename = '$literal', connections FROM pool_monitor_groups WHERE application_name = 'odd'"),
	't|t|1', 'a database and a role with an odd name show as they are');
is($observer->query("SELECT connections FROM pool_monitor_databases WHERE datname = '$literal'"), '1', 'so does the database');
is($observer->query("SELECT connections FROM pool_monitor_roles WHERE usename = '$literal'"), '1', 'so does the role');
is($observer->query("SELECT total_connections FROM pool_monitor_pool_status(1, 1, NULL, '$literal', '$literal')"), '1', 'and a pool');
$session->quit;

# Long names of databases and roles
my $long = 'l' x 63;
$observer->query("CREATE DATABASE $long");
$observer->query("CREATE ROLE $long LOGIN CONNECTION LIMIT 0");
eval { PoolMonitor::session($node, appname => 'n' x 80, dbname => $long, user => $long) };
like($@, qr/too many connections for role/, 'a login is refused');
is( $observer->query("SELECT datname = '$long', usename = '$long', length(application_name), reason, rejected FROM pool_monitor_rejections"),
	't|t|63|role_limit|1', 'the rejection shows under the longest names');
$observer->query("SELECT pool_monitor_reset(repeat('n', 80))");
is($observer->query('SELECT count(*) FROM pool_monitor_rejections'), '0', 'a reset finds it under the name that the client sent');

# A name of ours makes no second row
$observer->query('CREATE ROLE forger LOGIN');
my $forger = PoolMonitor::session($node, appname => '<insufficient privilege>', user => 'forger');
is($forger->query("SELECT count(*), sum(connections) > 1 FROM pool_monitor_applications WHERE application_name = '<insufficient privilege>'"),
	'1|t', 'who takes the name of the hidden ones is in their row');
my $others = PoolMonitor::session($node, appname => '<other>', user => 'forger');
foreach my $case (
	[ 'pool_monitor_applications', 'application_name' ],
	[ 'pool_monitor_groups', 'datname, usename, application_name' ],
	[ 'pool_monitor_connections', 'datname, usename, application_name, client_addr, state, backend_type' ],
	[ 'pool_monitor_rejections', 'datname, usename, application_name, reason' ],
	[ 'pool_monitor_sessions', 'pid' ])
{
	my ($view, $key) = @$case;

	is($forger->query("SELECT count(*) FROM (SELECT FROM $view GROUP BY $key HAVING count(*) > 1) twice"),
		'0', "$view has no two rows of one $key for whoever takes our names");
}
$_->quit foreach $forger, $others;

# A pool whose name the database's encoding can not hold
my $pool = encode('UTF-8', "\x{df}\x{cd}");
$observer->query("ALTER SYSTEM SET pool_monitor.pools = '$pool: application=$pool size=5'");
$node->reload;
PoolMonitor::wait_until($node, 'SELECT count(*) = 1 FROM pool_monitor_pools', 'a pool is declared');
is($observer->query('SELECT pool, application_name FROM pool_monitor_pools'), "$pool|$pool", 'in UTF-8 it shows as it is');
foreach my $encoding (qw(EUC_JP WIN1252))
{
	$node->safe_psql('postgres', "CREATE DATABASE $encoding ENCODING $encoding LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
	$node->safe_psql(lc $encoding, 'CREATE EXTENSION pool_monitor');
	is($node->safe_psql(lc $encoding, "SET client_encoding = 'UTF8'; SELECT pool, application_name FROM pool_monitor_pools"),
		'????|????', "in $encoding it has question marks");
	is($node->safe_psql(lc $encoding, "SET client_encoding = 'UTF8'; SELECT pool_monitor_health() -> 'pools' -> 0 ->> 'pool'"),
		'????', 'so has the health endpoint');
}
$observer->query('ALTER SYSTEM RESET pool_monitor.pools');
$node->reload;
PoolMonitor::wait_until($node, 'SELECT count(*) = 0 FROM pool_monitor_pools', 'it is not declared any more');

# A role that is dropped while it is connected shows as its OID
$observer->query('CREATE ROLE leaver LOGIN');
my $oid = $observer->query("SELECT oid FROM pg_roles WHERE rolname = 'leaver'");
$session = PoolMonitor::session($node, appname => 'orphan', user => 'leaver');
$session->query('BEGIN');
$observer->query('DROP ROLE leaver');
is($observer->stderr, '', 'a role can be dropped while it is connected');
is($observer->query("SELECT usename, connections FROM pool_monitor_connections WHERE application_name = 'orphan'"),
	"$oid|1", 'pool_monitor_connections shows a dropped role as its OID');
is($observer->query("SELECT usename, connections, sessions FROM pool_monitor_groups WHERE application_name = 'orphan'"),
	"$oid|1|1", 'so does pool_monitor_groups');
is($observer->query("SELECT usename, state FROM pool_monitor_sessions WHERE application_name = 'orphan'"),
	"$oid|idle in transaction", 'so does pool_monitor_sessions');
is($observer->query("SELECT connections, checked_out, connection_limit IS NULL, utilization > 0 FROM pool_monitor_roles WHERE usename = '$oid'"),
	'1|1|t|t', 'so does pool_monitor_roles');
is($observer->query("SELECT connections FROM pool_monitor_applications WHERE application_name = 'orphan'"), '1', 'its application is what it was');
like($observer->query('SELECT pool_monitor_health()'), qr/"status": "healthy"/, 'health works');

# Somebody without privileges looks
$observer->query('CREATE ROLE nobody');
$observer->query('SET ROLE nobody');
is($observer->query("SELECT application_name, connections FROM pool_monitor_connections"), '<insufficient privilege>|2',
	'who may not see it counts it');
is( $observer->query("SELECT count(*), count(query) FROM pool_monitor_sessions WHERE usename = '$oid'"), '1|0',
	'and sees the OID only');
$observer->query('RESET ROLE');

# The orphan itself
is($session->query('SELECT count(*) > 0 FROM pool_monitor_sessions'), 't', 'the session of a dropped role can look, too');
$session->quit;
PoolMonitor::wait_until($node, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'orphan')", 'it has ended');
is($observer->query("SELECT usename, connections, sessions FROM pool_monitor_groups WHERE application_name = 'orphan'"),
	"$oid|0|1", 'what it did stays counted');

# A database that is dropped after its sessions have ended
$observer->query('CREATE DATABASE gone');
$oid = $observer->query("SELECT oid FROM pg_database WHERE datname = 'gone'");
PoolMonitor::session($node, appname => 'tenant', dbname => 'gone')->quit;
$session = PoolMonitor::session($node, appname => 'tenant', dbname => 'gone');
$observer->query('DROP DATABASE gone WITH (FORCE)');
is($observer->stderr, '', 'a database can be dropped with force');
ok(!$session->is_connected, 'which ends its sessions');
is( $observer->query("SELECT datname, connections, sessions, sessions_killed FROM pool_monitor_groups WHERE application_name = 'tenant'"),
	"$oid|0|2|1", 'its figures stand under its OID');
is($observer->query("SELECT count(*) FROM pool_monitor_databases WHERE datname IN ('gone', '$oid')"), '0', 'it is no database any more');

# What is renamed shows under its new name
$observer->query('CREATE ROLE before LOGIN');
$session = PoolMonitor::session($node, appname => 'renamed', user => 'before');
$observer->query('ALTER ROLE before RENAME TO after');
is($observer->query("SELECT usename, connections, sessions FROM pool_monitor_groups WHERE application_name = 'renamed'"),
	'after|1|1', 'a role shows under its new name');

# SET ROLE and SET SESSION AUTHORIZATION do not move a session
my $actor = PoolMonitor::session($node, appname => 'actor');
$actor->query('SET ROLE after');
$actor->query('SELECT 1');
is( $observer->query("SELECT count(*), bool_and(usename = current_user), sum(connections) FROM pool_monitor_groups WHERE application_name = 'actor'"),
	'1|t|1', 'a session stays with the role that logged in');

$_->quit foreach ($session, $actor, $observer);
$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC/, 'no assertion failed');

done_testing();
