# The status of the server: thresholds, slots that run out, slots that are
# reserved; and the thresholds of leak suspects.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PoolMonitor;
use Test::More;

my $node = PoolMonitor::new_node('main', extension => 1, conf => <<'CONF');
max_connections = 10
superuser_reserved_connections = 3
autovacuum = off
pool_monitor.sample_interval = '50ms'
CONF
$node->safe_psql('postgres', 'CREATE ROLE joe LOGIN CONNECTION LIMIT 8');
$node->safe_psql('postgres', 'CREATE DATABASE shop CONNECTION LIMIT 5');

my $observer = PoolMonitor::session($node, appname => 'observer');
my @joe;

sub status
{
	my ($columns) = @_;
	return $observer->query('SELECT ' . ($columns || 'status, connections, available, round(utilization::numeric, 3)')
		  . ' FROM pool_monitor_status');
}

# Wait until the session that looks gets "t" for a query.  A client of its own
# would be one of those that are counted.
sub wait_here
{
	my ($query) = @_;

	foreach (1 .. 3000)
	{
		return 1 if $observer->query($query) eq 't';
		$observer->query('SELECT pg_sleep(0.01)');
	}
	die "waited in vain for: $query";
}

# As many sessions of joe's as that, and nobody else but the observer
sub have
{
	my ($wanted) = @_;

	push @joe, PoolMonitor::session($node, appname => 'shop', user => 'joe', dbname => 'shop') while @joe < $wanted;
	(pop @joe)->quit while @joe > $wanted;
	return wait_here("SELECT count(*) = $wanted + 1 FROM pg_stat_activity WHERE backend_type = 'client backend'");
}

sub set_and_reload
{
	my ($name, $value) = @_;

	$observer->query("ALTER SYSTEM SET $name = $value");
	$node->reload;
	# a session reads the file before its next command
	return wait_here("SELECT setting = '$value' FROM pg_settings WHERE name = '$name'");
}

is(status('max_connections, reserved_connections'), '10|3', 'the status knows the slots');
have(0);
is(status(), 'healthy|1|6|0.143', 'one of seven is healthy');
have(3);
is(status(), 'healthy|4|3|0.571', 'four of seven are healthy');
is( $observer->query("SELECT connections, connection_limit, available, round(utilization::numeric, 3) FROM pool_monitor_databases WHERE datname = 'shop'"),
	'3|5|2|0.600', 'a database is limited by its own limit');
is( $observer->query("SELECT connections, connection_limit, available, round(utilization::numeric, 3) FROM pool_monitor_roles WHERE usename = 'joe'"),
	'3|8|3|0.429', 'a role is limited by what the server has');
is( $observer->query("SELECT connections, connection_limit IS NULL, available IS NOT NULL FROM pool_monitor_databases WHERE datname = 'postgres'"),
	'1|t|t', 'a database without a limit has none');
have(5);
is(status(), 'warning|6|1|0.857', 'six of seven are a warning');
is( $observer->query("SELECT available, utilization FROM pool_monitor_databases WHERE datname = 'shop'"), '0|1', 'the database is full');
eval { PoolMonitor::session($node, appname => 'sixth', user => 'joe', dbname => 'shop') };
like($@, qr/too many connections for database "shop"/, 'the database takes no other');

# Thresholds
set_and_reload('pool_monitor.critical_threshold', 85);
is(status('status'), 'critical', 'a lower critical threshold makes it critical at once');
set_and_reload('pool_monitor.critical_threshold', 86);
is(status('status'), 'warning', 'a higher one takes that back');
set_and_reload('pool_monitor.warning_threshold', 90);
is(status('status'), 'healthy', 'so does the warning threshold');
have(1);
set_and_reload('pool_monitor.warning_threshold', 28);
is(status('status'), 'warning', 'from 28 percent on, two of seven are a warning');
set_and_reload('pool_monitor.warning_threshold', 29);
is(status('status'), 'healthy', 'and not from 29 percent on');
set_and_reload('pool_monitor.critical_threshold', 20);
is(status('status'), 'critical', 'critical outranks warning, whatever their order');
set_and_reload('pool_monitor.warning_threshold', 80);
set_and_reload('pool_monitor.critical_threshold', 95);

# Fill all slots for ordinary roles
$observer->query('ALTER DATABASE shop CONNECTION LIMIT -1');
my $rejected = status('rejected');
have(6);
is(status(), 'exhausted|7|0|1.000', 'without a free slot for ordinary roles the status is exhausted');
is( $node->safe_psql('postgres', 'SELECT status, connections, available, utilization > 1 FROM pool_monitor_status'),
	'exhausted|8|0|t', 'a superuser still gets in and sees it');
is($node->safe_psql('postgres', "SELECT h ->> 'status', h ->> 'available' FROM pool_monitor_health() h"), 'exhausted|0', 'so does a health check');
is( $observer->query("SELECT connections, available FROM pool_monitor_roles WHERE usename = 'joe'"), '6|0', 'the role can not open another');
eval { PoolMonitor::session($node, appname => 'late', user => 'joe', dbname => 'shop') };
like($@, qr/remaining connection slots are reserved/, 'an ordinary role is refused');
is(status('rejected') - $rejected, 1, 'which is counted');
is( $observer->query("SELECT datname, usename, reason, rejected, last_rejected_at <= now() FROM pool_monitor_rejections WHERE application_name = 'late'"),
	'shop|joe|reserved_slots|1|t', 'and shown');
is($observer->query("SELECT rejected, connections, sessions FROM pool_monitor_applications WHERE application_name = 'late'"),
	'1|0|0', 'also with the application');
is( $observer->query("SELECT connections, checked_out, active, longest_session > '0' FROM pool_monitor_applications WHERE application_name = 'shop'"),
	'6|0|0|t', 'it is plain who holds the slots');

# And the reserved ones
have(6);
my @rest = map { PoolMonitor::session($node, appname => "reserved $_") } 1 .. 3;
is(status(), 'exhausted|10|0|1.429', 'all slots are taken');
eval { PoolMonitor::session($node) };
like($@, qr/sorry, too many clients already/, 'now a superuser is refused, too');
is($observer->query("SELECT sum(rejected) FROM pool_monitor_rejections WHERE reason = 'too_many_clients'"), '1', 'which shows as too_many_clients');
is(status('peak_connections, status'), '10|exhausted', 'whoever is in still sees everything');
my $samples = $observer->query('SELECT samples FROM pool_monitor_info');
ok(wait_here("SELECT samples > $samples + 3 FROM pool_monitor_info"), 'the worker samples without a free slot');
$_->quit foreach @rest;
have(5);
is(status('status, available'), 'warning|1', 'with a slot free it is exhausted no more');
have(0);
is(status(), 'healthy|1|6|0.143', 'without them it is healthy');
is(status('peak_connections, peak_connections_at < now()'), '10|t', 'the peak stays');

# Leak suspects
my $suspects = "SELECT string_agg(application_name || ': ' || leak_suspect, ', ' ORDER BY application_name)
	FROM pool_monitor_sessions WHERE pid <> pg_backend_pid()";
$observer->query('CREATE TABLE t (x text)');
$observer->query("GRANT ALL ON t TO joe");
my %held = map { $_ => PoolMonitor::session($node, appname => $_, user => 'joe') } qw(aborted busy copying idle open);
$held{open}->query('BEGIN');
$held{aborted}->query('BEGIN; SELECT 1 / 0');
$held{busy}->query_async('SELECT pg_sleep(3600)');
$held{copying}->query_async('COPY t FROM STDIN');
PoolMonitor::wait_until($node, "SELECT count(*) = 5 FROM pg_stat_activity WHERE usename = 'joe'
	AND (application_name, state, wait_event) IN (('aborted', 'idle in transaction (aborted)', 'ClientRead'),
		('open', 'idle in transaction', 'ClientRead'), ('idle', 'idle', 'ClientRead'),
		('busy', 'active', 'PgSleep'), ('copying', 'active', 'ClientRead'))", 'five sessions are in their states');
is($observer->query($suspects), '', 'with a threshold of five minutes nobody is suspect');
set_and_reload('pool_monitor.leak_threshold', 1);
is( $observer->query($suspects),
	'aborted: idle in transaction (aborted), busy: long transaction, copying: active, waiting for the client, open: idle in transaction',
	'with one of a millisecond all that are checked out are suspects, each for its reason');
$held{open}->query('SELECT 1');
set_and_reload('pool_monitor.leak_threshold', 3600000);
is($observer->query($suspects), '', 'with one of an hour nobody is');
$_->kill9 foreach values %held;
$observer->query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'busy'");
PoolMonitor::wait_until($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = 'joe'", 'they are gone');

# Slots reserved for a role, from version 16 on
if ($observer->query('SHOW server_version_num') >= 160000)
{
	$observer->query('ALTER SYSTEM SET reserved_connections = 2');
	$observer->query('CREATE ROLE operator LOGIN');
	$observer->query('GRANT pg_use_reserved_connections TO operator');
	$observer->quit;
	$node->restart;
	$observer = PoolMonitor::session($node, appname => 'observer');
	have(0);
	is(status('reserved_connections, available, round(utilization::numeric, 3)'), '5|4|0.200', 'reserved_connections are not for ordinary roles');
	have(4);
	is(status(), 'exhausted|5|0|1.000', 'they do not count as free');
	eval { PoolMonitor::session($node, appname => 'late', user => 'joe', dbname => 'shop') };
	like($@, qr/remaining connection slots are reserved/, 'an ordinary role is refused');
	have(4);
	my $operator = PoolMonitor::session($node, appname => 'operator', user => 'operator');
	is($operator->query('SELECT status, connections, available FROM pool_monitor_status'),
		'exhausted|6|0', 'an operator gets in, and sees it');
	my $second = PoolMonitor::session($node, appname => 'operator', user => 'operator');
	eval { PoolMonitor::session($node, appname => 'third', user => 'operator') };
	like($@, qr/remaining connection slots are reserved/, 'when these are used up, an operator is refused, too');
	is( $observer->query("SELECT sum(rejected) FROM pool_monitor_rejections WHERE application_name = 'third' AND reason = 'reserved_slots'"),
		'1', 'both for the reserved slots');
	$_->quit foreach ($operator, $second);
	have(0);
	is(status('status'), 'healthy', 'without them it is healthy');
}

$observer->quit;
$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC/, 'no assertion failed');

done_testing();
