# Who was to blame for an incident, when all of them have gone: the holders tell
# what the session did that the others waited for.

use strict;
use warnings;

use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

# 34 connections for ordinary roles; no sample but the first
my $node = PoolMonitor::new_node('culprits', extension => 1, conf => <<'CONF');
max_connections = 37
superuser_reserved_connections = 3
autovacuum = off
compute_query_id = on
pool_monitor.sample_interval = 1h
CONF
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE stock (item int PRIMARY KEY, left_over int);
INSERT INTO stock VALUES (1, 10);
CREATE ROLE joe LOGIN;
CREATE ROLE exporter;
GRANT EXECUTE ON FUNCTION pool_monitor_incident_holders(bigint) TO exporter;
GRANT ALL ON stock TO joe;
SQL
my $observer = PoolMonitor::session($node, appname => 'observer');
my $superuser = $observer->query('SELECT current_user');

sub wait_here
{
	my ($sql, $label) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	foreach (1 .. 3000)
	{
		return pass($label) if $observer->query($sql) eq 't';
		usleep(10_000);
	}
	return fail("$label: " . $observer->query($sql));
}

sub clients
{
	my ($count, %opts) = @_;
	return map { PoolMonitor::Wire->new($node, user => 'joe', %opts) } 1 .. $count;
}

sub is_refused
{
	my ($label) = @_;
	my $result = PoolMonitor::Wire->new($node, silent => 1, user => 'joe', appname => 'refused')->log_in;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($result->{sqlstate}, '53300', $label);
}

# All sessions but the observer's go, whatever they do.
sub end_all
{
	$observer->query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()");
	$_->drop foreach @_;
	return wait_here('SELECT connections = 1 FROM pool_monitor_status', 'all of them have gone');
}

# Who held the slots at the start of an incident.  A login on its way out may
# show too.
sub holders
{
	my ($number, $columns, $more) = @_;
	return $observer->query("SELECT $columns FROM pool_monitor_incident_holders($number)
		 WHERE moment = 'start' AND application_name <> 'refused' " . ($more // ''));
}

#
# A convoy behind a transaction that nobody ended
#
my ($writer) = clients(1, appname => 'billing');
my @harmless = clients(2, appname => 'billing');
$_->query('BEGIN') foreach @harmless;
$writer->query("BEGIN; UPDATE stock SET left_over = left_over - 1 WHERE item = 1 /* " . ("\xc3\xa4" x 200) . ' */');
my @web = clients(30, appname => 'web');
$_->send_query('UPDATE stock SET left_over = 0 WHERE item = 1') foreach @web;
wait_here("SELECT count(DISTINCT pid) = 30 FROM pg_locks WHERE NOT granted", 'thirty sessions wait for a writer');
my $writer_pid = $writer->pid;
is_refused('the server is full');
wait_here('SELECT count(*) = 1 FROM pool_monitor_incidents', 'that is an incident');
end_all($writer, @harmless, @web);

is(holders(1, 'application_name, state, connections, pid, blocks, blocked_by'),
	"web|active|30|" . holders(1, 'pid', "AND application_name = 'web'") . "|" . holders(1, 'blocks', "AND application_name = 'web'") . "|$writer_pid\n" .
	"billing|idle in transaction|3|$writer_pid|30|\n" .
	"observer|idle|1|" . $observer->pid . "|0|",
	'the writer is named, among others of its kind, and the thirty that waited for it');
is(holders(1, 'wait_event_type, wait_event', "AND application_name = 'billing'"), 'Client|ClientRead', 'it waited for its client');
is(holders(1, 'wait_event_type', "AND application_name = 'web'"), 'Lock', 'the others for a lock');
is(holders(1, "query LIKE 'BEGIN; UPDATE stock SET left\\_over = left\\_over - 1 WHERE item = 1 /* ä%ä' AND octet_length(query) IN (254, 255), query_id <> 0", "AND application_name = 'billing'"),
	't|t', 'the writer has its statement, cut at a character');
is(holders(1, 'query', "AND application_name = 'web'"), 'UPDATE stock SET left_over = 0 WHERE item = 1', 'and so have the others');
is($observer->query("SET ROLE exporter; SELECT count(*), count(pid), count(query), count(query_id) FROM pool_monitor_incident_holders(1) WHERE application_name = 'web'; RESET ROLE"),
	'2|2|0|0', 'a role that may not read them does not see the statements');
is($observer->query("GRANT joe TO exporter; SET ROLE exporter; SELECT count(query) FROM pool_monitor_incident_holders(1) WHERE application_name = 'web'; RESET ROLE; REVOKE joe FROM exporter"),
	'2', 'unless they are of a role whose privileges it has');

# They are kept.
my $all = $observer->query('SELECT * FROM pool_monitor_incident_holders(1)');
$observer->quit;
$node->restart;
$observer = PoolMonitor::session($node, appname => 'observer');
is($observer->query('SELECT * FROM pool_monitor_incident_holders(1)'), $all, 'all of that survives a restart');

#
# Logins that do not become ready
#
my ($culprit) = clients(1, appname => 'admin', user => $superuser);
$culprit->query('BEGIN; LOCK TABLE pg_db_role_setting');
my @logins = map { PoolMonitor::Wire->new($node, silent => 1, user => 'joe', appname => 'login') } 1 .. 32;
$_->send_raw(PoolMonitor::Wire::_startup(%{ $_->{opts} })) foreach @logins;
wait_here('SELECT count(DISTINCT pid) = 32 FROM pg_locks WHERE NOT granted', 'logins wait');
is_refused('the server is full');
wait_here('SELECT count(*) = 2 FROM pool_monitor_incidents', 'that is an incident');
end_all($culprit, @logins);
is(holders(2, 'application_name, datname, usename, state, connections', "AND application_name <> 'observer'"),
	"login|postgres|joe|starting|32\nadmin|postgres|$superuser|idle in transaction|1",
	'logins that hang stand in it under their names');
is(holders(2, 'blocks, query', "AND application_name = 'admin'"), '32|BEGIN; LOCK TABLE pg_db_role_setting', 'and the culprit with them');

#
# A burst that is over before the worker runs again
#
$observer->query("ALTER SYSTEM SET pool_monitor.sample_interval = '50ms'");
$observer->query('SELECT pg_reload_conf()');
wait_here('SELECT samples > 100 FROM pool_monitor_info', 'the worker samples often');
wait_here('SELECT current_incident IS NULL FROM pool_monitor_status', 'the incident is over');
my $worker = $observer->query('SELECT worker_pid FROM pool_monitor_info');
my $samples = $observer->query('SELECT samples FROM pool_monitor_info');
wait_here("SELECT samples > $samples + 1 FROM pool_monitor_info", 'and another sample was taken');

kill 'STOP', $worker or die "could not stop $worker: $!";
my @burst = clients(33, appname => 'burst');
$burst[0]->query('BEGIN; SELECT 1 /* the first of the burst */');
is_refused('a burst fills the server') foreach 1 .. 3;
$_->drop foreach @burst;
wait_here('SELECT connections = 1 FROM pool_monitor_status', 'and is gone');
my $gone_at = $observer->query('SELECT clock_timestamp()');
is($observer->query('SELECT max(incident) FROM pool_monitor_incidents'), '2', 'when the worker, which is stopped, knows nothing of it');
wait_here("SELECT clock_timestamp() > '$gone_at'::timestamptz + '1 s'", 'the worker sleeps for longer than locks last');
kill 'CONT', $worker;
wait_here('SELECT count(*) = 3 FROM pool_monitor_incidents', 'that is an incident all the same');
is(holders(3, 'application_name, sum(connections)', "AND state <> 'starting' GROUP BY 1 ORDER BY 1"), "burst|33\nobserver|1", 'with all who were there at the first refusal');
is(holders(3, 'connections, query', "AND state = 'idle in transaction'"), '1|BEGIN; SELECT 1 /* the first of the burst */', 'and what they did');
is(holders(3, 'count(blocks)'), '0', 'how many waited for whom is not known by then');
is($observer->query("SELECT started_at < '$gone_at', peak_connections >= 34, rejected FROM pool_monitor_incidents WHERE incident = 3"),
	't|t|3', 'it began at the refusal, and had them at its peak');

# The next one has its own.
wait_here('SELECT current_incident IS NULL FROM pool_monitor_status', 'it is over');
$samples = $observer->query('SELECT samples FROM pool_monitor_info');
wait_here("SELECT samples > $samples + 1 FROM pool_monitor_info", 'and another sample was taken');
kill 'STOP', $worker or die "could not stop $worker: $!";
@burst = clients(33, appname => 'another');
# refused at the same instant, by processes that do not wait for each other
my @refused = map { PoolMonitor::Wire->new($node, silent => 1, user => 'joe', appname => 'refused') } 1 .. 8;
$_->send_raw(PoolMonitor::Wire::_startup(%{ $_->{opts} })) foreach @refused;
is(scalar(grep { my $client = $_; (eval { $client->wait_for('E') } // '') =~ /C53300/ } @refused), 8, 'eight are refused at once');
$_->drop foreach @burst;
kill 'CONT', $worker;
wait_here('SELECT count(*) = 4 FROM pool_monitor_incidents', 'that is one incident');
is(holders(4, 'application_name, sum(connections)', "AND state <> 'starting' GROUP BY 1 ORDER BY 1"), "another|33\nobserver|1", 'with all who were there');
wait_here('SELECT rejected = 8 FROM pool_monitor_incidents WHERE incident = 4', 'and eight refusals');

$observer->quit;
$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC/, 'no assertion failed');

done_testing();
