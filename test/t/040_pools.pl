# Declared pools: who belongs to which, what each view says of them, and when
# the log tells that one has become exhausted.

use strict;
use warnings;

use PoolMonitor;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PoolMonitor::new_node('main', extension => 1, conf => <<'CONF');
max_connections = 30
superuser_reserved_connections = 3
autovacuum = off
listen_addresses = '127.0.0.1,::1'
pool_monitor.sample_interval = '50ms'
CONF
$node->safe_psql('postgres', 'CREATE ROLE joe LOGIN');
$node->safe_psql('postgres', 'CREATE DATABASE shop');

my $observer = PoolMonitor::session($node, appname => 'observer');
# Waits in the server, where it costs nothing
$observer->query(<<'SQL');
CREATE FUNCTION samples_taken() RETURNS bigint LANGUAGE sql AS 'SELECT samples FROM pool_monitor_info';
CREATE FUNCTION wait_samples(n int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    start bigint := samples_taken();
BEGIN
    WHILE samples_taken() < start + n LOOP
        PERFORM pg_sleep(0.005);
    END LOOP;
    RETURN samples_taken();
END $$;
SQL

sub value
{
	my ($sql) = @_;
	my $result = $observer->query($sql);

	diag($observer->stderr) if $observer->stderr ne '';
	return $result;
}

sub reload_and_see
{
	my ($name, $setting) = @_;

	value("ALTER SYSTEM SET $name = '$setting'");
	$node->reload;
	return $observer->holds("SELECT current_setting('$name') = '$setting'", "$name = $setting is in force");
}

sub declare
{
	my ($pools) = @_;

	reload_and_see('pool_monitor.pools', $pools);
	# the worker has seen it once it has finished a sample that began later
	value('SELECT wait_samples(2)');
	return;
}

sub pool { return value("SELECT $_[1] FROM pool_monitor_pools WHERE pool = '$_[0]'"); }

# Every view counts the same sessions in the same pools
sub views_agree
{
	my ($when) = @_;
	my $sessions = <<'SQL';
SELECT pool, count(*), count(*) FILTER (WHERE state = 'idle'), count(*) FILTER (WHERE checked_out)
  FROM pool_monitor_sessions WHERE pool IS NOT NULL GROUP BY 1
SQL
	my $pools = <<'SQL';
SELECT pool, total_connections, checked_in, checked_out FROM pool_monitor_pools WHERE total_connections > 0
SQL
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is(value("($sessions EXCEPT $pools) UNION ALL ($pools EXCEPT $sessions)"),
		'', "pool_monitor_sessions has the sessions that pool_monitor_pools counts: $when");
	is(value(<<'SQL'), 't', "pool_monitor_health() has the figures of pool_monitor_pools: $when");
SELECT (SELECT jsonb_agg(to_jsonb(p)) FROM (SELECT pool, pool_size, checked_in, checked_out, overflow, invalid,
               total_connections, status FROM pool_monitor_pools) p) = pool_monitor_health() -> 'pools'
SQL
	return;
}

# A session of its own for each application named
my %sessions;

sub open_sessions
{
	my ($appname, $count, %opts) = @_;

	push @{ $sessions{$appname} }, PoolMonitor::session($node, appname => $appname, %opts) foreach 1 .. $count;
	return;
}

sub close_sessions
{
	my ($appname) = @_;

	my $closing = delete $sessions{$appname};
	my $pids = join ', ', map { $_->pid } @$closing;

	$_->quit foreach @$closing;
	$observer->holds("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid IN ($pids)", "the sessions of \"$appname\" have left");
	return;
}

#
# A reload
#
is(value('SELECT count(*) FROM pool_monitor_pools'), '0', 'no pool is declared');
is(value("SELECT pool_monitor_health() -> 'pools'"), '[]', 'and health has none');
open_sessions('api-orders', 2);
open_sessions('web', 3, user => 'joe', dbname => 'shop');
$sessions{'api-orders'}[0]->query('BEGIN');

reload_and_see('pool_monitor.sample_interval', '1h');
# the worker may have been about to take one
$observer->holds("SELECT clock_timestamp() - last_sample_at > '3 s' FROM pool_monitor_info", 'no more samples are taken');
reload_and_see('pool_monitor.pools', 'api: application=api-* size=1 overflow=4; web: user=joe database=sh?p size=2 instances=2');
is(pool('api', 'total_connections, checked_in, checked_out, overflow, status'), '2|1|1|1|overflow',
	'sessions that run are matched: by application');
is(pool('web', 'total_connections, checked_in, checked_out, overflow, status'), '3|3|0|0|healthy', 'and by role and database');
is(pool('web', 'capacity, utilization'), '4|0', 'instances multiply the capacity');
is(value("SELECT count(*) FROM pool_monitor_pools WHERE peak_checked_out IS NULL"), '2', 'no sample was taken since');
my $samples = value('SELECT samples_taken()');
value("ALTER SYSTEM SET pool_monitor.sample_interval = '50ms'");
$node->reload;
$observer->holds("SELECT samples_taken() >= $samples + 1", 'a sample is taken');
# the pools follow the sample's count within that sample
$observer->holds("SELECT count(*) = 2 FROM pool_monitor_pools WHERE peak_checked_out IS NOT NULL", 'it is by the pools of the reload');
is(pool('api', 'peak_checked_out'), '1', 'sampled with their sessions');
views_agree('after the first declaration');

is(value("SELECT pool, count(*) FROM pool_monitor_sessions GROUP BY 1 ORDER BY 1"), "api|2\nweb|3\n|1", 'each session has the name of its pool');

# The first pool that fits takes a session
declare('everything: size=9; api: application=api-* size=5');
is(value('SELECT pool, total_connections FROM pool_monitor_pools'), "everything|6\napi|0", 'the first pool that fits takes a session');
views_agree('with a pool that takes all');
declare('api: application=api-* size=5; rest: size=9');
is(value('SELECT pool, total_connections FROM pool_monitor_pools'), "api|2\nrest|4", 'sessions are matched again when pools are declared anew');
is(value("SELECT string_agg(DISTINCT coalesce(pool, '?'), ' ') FROM pool_monitor_sessions WHERE application_name = 'web'"), 'rest',
	'also in pool_monitor_sessions');
cmp_ok(pool('rest', 'peak_checked_out'), '>=', 1, 'the worker has matched them again too');

# A session that changes its name changes its pool
$sessions{web}[0]->query("SET application_name = 'api-late'");
$sessions{web}[0]->query('SELECT 1');
is(value('SELECT pool, total_connections FROM pool_monitor_pools'), "api|3\nrest|3", 'a session that changes its name changes its pool');
$sessions{web}[0]->query('BEGIN');
$sessions{'api-orders'}[1]->query('BEGIN');
$observer->holds("SELECT peak_checked_out = 3 FROM pool_monitor_pools WHERE pool = 'api'", 'for the worker too: the peak has it');
$_->query('ROLLBACK') foreach (@{ $sessions{web} }, @{ $sessions{'api-orders'} });
is(pool('api', 'checked_out, peak_checked_out'), '0|3', 'a peak stays');
declare('other: application=other size=1; api: application=api-* size=5');
is(pool('api', 'peak_checked_out'), '3', 'also when the pool is declared at another place');
value('SELECT pool_monitor_reset()');
$observer->holds("SELECT peak_checked_out = 0 FROM pool_monitor_pools WHERE pool = 'api'", 'until a reset');

# Words in quotes, and the empty application name
open_sessions('celery worker; "x":1', 1);
open_sessions('', 1);
declare('workers: application="celery worker; ""x"":?" size=1; nameless: application="" size=1; nobody: application=X* size=1');
is(value('SELECT pool, application_name, total_connections FROM pool_monitor_pools'),
	"workers|celery worker; \"x\":?|1\nnameless||1\nnobody|X*|0", 'patterns in quotes hold blanks, ";", ":" and quotes');
is(value("SELECT application_name IS NULL FROM pool_monitor_pools WHERE pool = 'nameless'"), 'f', 'an empty pattern is not a missing one');
views_agree('with quoted patterns');
close_sessions($_) foreach ('celery worker; "x":1', '', 'web', 'api-orders');

#
# Where clients come from
#
my $has_ipv6 = slurp_file($node->logfile) =~ /listening on IPv6 address "::1"/;
open_sessions('socket', 1);
open_sessions('tcp4', 2, host => '127.0.0.1');
open_sessions('tcp6', 1, host => $has_ipv6 ? '::1' : '127.0.0.1');
note('no IPv6 here: its client comes by IPv4') unless $has_ipv6;
declare('near: client=local application=socket size=5; v6: client=::1 size=5; ten: client=10.0.0.0/8 size=5;'
	  . ' mapped: client=::ffff:127.0.0.0/104 application=tcp4 size=5; loop: client=127.0.0.0/8 size=5; rest: size=5');
is(value("SELECT pool, client_addr, total_connections FROM pool_monitor_pools"),
	"near|local|1\nv6|::1|" . ($has_ipv6 ? 1 : 0) . "\nten|10.0.0.0/8|0\nmapped|::ffff:127.0.0.0/104|2\nloop|127.0.0.0/8|"
	  . ($has_ipv6 ? 0 : 1) . "\nrest||1",
	'sessions belong to a pool by where they come from');
views_agree('by client');
$_->query('BEGIN') foreach map { @{ $sessions{$_} } } qw(socket tcp4 tcp6);
$observer->holds("SELECT bool_and(peak_checked_out = CASE pool WHEN 'rest' THEN peak_checked_out ELSE total_connections END) FROM pool_monitor_pools",
	'the worker finds the same');
declare('loop: client=127.0.0.1/32 size=5; far: client=127.0.0.2 size=5');
is(value("SELECT pool, total_connections FROM pool_monitor_pools"), 'loop|' . ($has_ipv6 ? 2 : 3) . "\nfar|0", 'an address is one client');
close_sessions($_) foreach qw(socket tcp4 tcp6);

#
# A rolling deploy: two generations of a pool of 5 + 5, declared as one instance
#
open_sessions('deploy', 10, host => '127.0.0.1');
declare('deploy: application=deploy size=5 overflow=5');
is(pool('deploy', 'status, capacity, total_connections, instances_seen'), 'overflow|10|10|1', 'one generation is all within its capacity');
my $headroom = value('SELECT headroom FROM pool_monitor_capacity');
open_sessions('deploy new', 10, host => '127.0.0.1');
declare('deploy: application=deploy* size=5 overflow=5');
is(pool('deploy', 'status, capacity, total_connections, instances_seen'), 'oversized|10|20|1', 'two of them are oversized');
is(value("SELECT declared_capacity, $headroom - headroom FROM pool_monitor_capacity"), '20|10', 'and have what they have from the headroom');
open_sessions('deploy local', 1);
is(pool('deploy', 'status, total_connections, instances_seen'), 'oversized|21|2', 'another address is another instance');
is(value("SELECT min(p ->> 'status') FROM jsonb_array_elements(pool_monitor_health() -> 'pools') p"), 'oversized', 'health has it');
like(value('SELECT pool_monitor_metrics()'), qr/^pool_monitor_pool_status\{pool="deploy",status="oversized"\} 1$/m, 'so have the metrics');
$_->query('BEGIN') foreach @{ $sessions{deploy} };
is(pool('deploy', 'status, checked_out'), 'exhausted|10', 'as many as the capacity checked out are exhausted all the same');
close_sessions($_) foreach 'deploy', 'deploy new', 'deploy local';

#
# Pools without a size, and all of them against the server
#
open_sessions('api', 3);
open_sessions('backup', 2);
declare('policy: application=backup idle_timeout=0 max_lifetime=90min keep_idle=2;'
	  . ' api: application=api size=2 overflow=1 instances=4 idle_timeout=10min idle_in_transaction_timeout=1500ms');
is(value('SELECT pool, pool_size, max_overflow, instances, capacity, overflow, utilization, status FROM pool_monitor_pools'),
	"policy|||||||\napi|2|1|4|12|0|0|healthy", 'a pool without a size is only a policy: it has no capacity and no status');
is(value('SELECT pool, total_connections, checked_in, checked_out, invalid, idle_timeout, idle_in_transaction_timeout,'
		  . ' max_lifetime, keep_idle FROM pool_monitor_pools'),
	"policy|2|2|0|0|00:00:00||01:30:00|2\napi|3|3|0|0|00:10:00|00:00:01.5||0", 'but it has sessions, and all have their limits');
views_agree('with a mere policy');
is(value("SELECT string_agg(k, ' ' ORDER BY k) FROM jsonb_array_elements(pool_monitor_health() -> 'pools') p, jsonb_object_keys(p) k"
		  . " WHERE p ->> 'pool' = 'policy'"),
	'checked_in checked_out invalid overflow pool pool_size status total_connections', 'a policy has all keys in health too');
is(value('SELECT * FROM pool_monitor_capacity'), '30|3|12|3|12|f', 'the capacity of the declared pools fits: 27 slots - 12 - 3 undeclared');
declare('api: application=api size=20 overflow=7');
is(value('SELECT * FROM pool_monitor_capacity'), '30|3|27|3|-3|f', 'pools that need every slot are not oversubscribed, though there is no headroom');
declare('api: application=api size=20 overflow=7; one: size=1');
is(value('SELECT * FROM pool_monitor_capacity'), '30|3|30|0|-3|t', 'one more is too many, of which one pool has three');
declare('api: application=api size=7 instances=4');
is(value('SELECT declared_capacity, oversubscribed FROM pool_monitor_capacity'), '28|t', 'counting instances');
declare('huge: size=262143 overflow=262143 instances=262143; second: size=262143 overflow=262143 instances=262143');
is(value('SELECT declared_capacity, oversubscribed FROM pool_monitor_capacity'), '274875809796|t', 'the largest figures do not overflow');
is(pool('huge', 'capacity, status'), '137437904898|healthy', 'nor does a capacity');
declare('');
is(value('SELECT declared_capacity, undeclared_connections, oversubscribed FROM pool_monitor_capacity'), '0|6|f', 'without pools no capacity is declared');
close_sessions('backup');

#
# Sessions that ended badly
#
declare('api: application=api size=5; others: application=other size=5');
is(pool('api', 'invalid'), '0', 'no session has ended badly');
open_sessions('api', 1);
pop(@{ $sessions{api} })->quit;
(pop @{ $sessions{api} })->kill9;
$observer->holds("SELECT invalid = 1 FROM pool_monitor_pools WHERE pool = 'api'", 'a client that vanished makes one invalid');
value('SELECT pg_terminate_backend(' . $sessions{api}[-1]->pid . ')');
$observer->holds("SELECT invalid = 2 FROM pool_monitor_pools WHERE pool = 'api'", 'and a session that was killed');
pop(@{ $sessions{api} })->quit;
$sessions{api}[-1]->query("SET idle_session_timeout = '1ms'");
$observer->holds("SELECT invalid = 3 FROM pool_monitor_pools WHERE pool = 'api'", 'and a timeout');
is(pool('others', 'invalid'), '0', 'not in another pool');
is(value("SELECT invalid FROM pool_monitor_pool_status(5, 0, 'api')"), '3', 'pool_monitor_pool_status() knows the same');
is(value("SELECT p -> 'invalid' FROM jsonb_array_elements(pool_monitor_health() -> 'pools') p WHERE p ->> 'pool' = 'api'"), '3', 'and health');
close_sessions('api');

#
# Exhausted, and healthy again
#
sub log_since { return slurp_file($node->logfile, $_[0]); }
sub told { my @lines = log_since($_[0]) =~ /LOG:  (connection pool "$_[1]" is .*)\n/g; return join '; ', @lines; }

reload_and_see('pool_monitor.sample_interval', '200ms');
declare('api: application=api size=1 overflow=1; other: application=other size=1');
open_sessions('api', 2);
my ($one, $two) = @{ $sessions{api} };
my $start = -s $node->logfile;
$one->query('BEGIN');
value('SELECT wait_samples(2)');
is(pool('api', 'status, utilization'), 'overflow|0.5', 'one of two is checked out');
is(told($start, '.*'), '', 'which is not worth a word');
$two->query('BEGIN');
is(pool('api', 'status, utilization'), 'exhausted|1', 'a pool is exhausted at once');
$node->wait_for_log(qr/connection pool "api" is exhausted/, $start);
like(log_since($start), qr/LOG:  connection pool "api" is exhausted\n.*DETAIL:  Checked out: 2; capacity: 2\.\n/,
	'the log says so, with the figures');
value('SELECT wait_samples(2)');
is(told($start, 'api'), 'connection pool "api" is exhausted', 'once');

# Below its capacity for a few samples: nothing to tell
my $flaps = 0;
for (my $attempt = 0; $attempt < 20 && $flaps < 3; $attempt++)
{
	my $before = value('SELECT samples_taken()');
	my $since = -s $node->logfile;

	$two->query('COMMIT');
	value('SELECT wait_samples(3)');
	$two->query('BEGIN');
	my $after = value('SELECT wait_samples(2)');

	# a machine that stands still for long enough makes it healthy
	if ($after - $before < 9)
	{
		$flaps++;
		is(told($since, 'api'), '', "a pool that has room for a moment is not healthy again ($flaps)");
	}
}
is($flaps, 3, 'the pool had room for some moments');

# Declared at another place, it is the pool it was
my $moved = -s $node->logfile;
declare('first: application=first size=1; api: application=api size=1 overflow=1');
is(pool('api', 'status, peak_checked_out'), 'exhausted|2', 'a pool that moves in the setting stays exhausted');
is(told($moved, 'api'), '', 'without another line');

my $from = -s $node->logfile;
$two->query('COMMIT');
is(pool('api', 'status'), 'overflow', 'the view says what is now');
$node->wait_for_log(qr/connection pool "api" is healthy again/, $from);
like(log_since($from), qr/LOG:  connection pool "api" is healthy again\n.*DETAIL:  Checked out: 1; capacity: 2\.\n/,
	'the log says that it is healthy again');
value('SELECT wait_samples(2)');
is(told($from, 'api'), 'connection pool "api" is healthy again', 'once');
$two->query('BEGIN');
$node->wait_for_log(qr/connection pool "api" is exhausted/, $from);
pass('and when it is exhausted for another time');

# Without a size it cannot be exhausted any more
$from = -s $node->logfile;
declare('api: application=api');
value('SELECT wait_samples(12)');
unlike(log_since($from), qr/capacity is -/, 'a pool that has become a mere policy has no capacity to tell of');
declare('api: application=api size=2');
$node->wait_for_log(qr/connection pool "api" is exhausted/, $from);
pass('with a size it is exhausted again');

# Taken away while it is exhausted
$from = -s $node->logfile;
declare('');
value('SELECT wait_samples(12)');
is(told($from, 'api'), '', 'a pool that is not declared any more is not talked about');

#
# Renamed while its sessions go on
#
reload_and_see('pool_monitor.sample_interval', '50ms');
open_sessions('renamed', 1, user => 'joe');
declare('joe: user=joe size=5');
value('ALTER ROLE joe RENAME TO jim');
declare('jim: user=jim size=5');
$sessions{renamed}[0]->query('BEGIN');
is(pool('jim', 'total_connections, checked_out'), '1|1', 'a role that was renamed is known by its new name');
open_sessions('renamed', 1, user => 'jim');
$sessions{renamed}[1]->query('BEGIN');
$observer->holds("SELECT peak_checked_out >= 1 FROM pool_monitor_pools WHERE pool = 'jim'", 'the worker knows it too, once it logs in');

unlike(slurp_file($node->logfile), qr/TRAP|PANIC/, 'no assertion failed');
$_->quit foreach map { @$_ } values %sessions;
$observer->quit;
$node->stop;
done_testing();
