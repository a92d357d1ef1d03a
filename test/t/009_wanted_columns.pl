# A query that looks at a few columns or rows of pool_monitor_sessions gets what
# one that looks at all of them gets, whatever its plan is.  The function behind the
# view leaves out what the plan does not look at, so each kind of plan that it
# could misread is here.

use strict;
use warnings;

use PoolMonitor;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PoolMonitor::new_node('main', extension => 1, conf => <<'CONF');
max_connections = 40
autovacuum = off
compute_query_id = on
pool_monitor.leak_threshold = '1ms'
pool_monitor.idle_timeout = '1h'
pool_monitor.pools = 'shop: application=shop-* size=20 closes_idle=1ms'
CONF
$node->safe_psql('postgres', 'CREATE ROLE joe LOGIN; CREATE TABLE stock (item int PRIMARY KEY, left_over int); INSERT INTO stock VALUES (1, 10)');

# What no other session's doings change: all that the view can show, but for ages
my $holder = PoolMonitor::session($node, appname => 'shop-holder');
$holder->query('BEGIN ISOLATION LEVEL REPEATABLE READ');
$holder->query("/* action='pay' */ UPDATE stock SET left_over = left_over - 1");
my $waiter = PoolMonitor::session($node, appname => 'shop-waiter');
$waiter->query_async("/* action='refund' */ UPDATE stock SET left_over = left_over + 1");
my $idle = PoolMonitor::session($node, appname => 'shop-idle');
$idle->query('SELECT 1');

my $observer = PoolMonitor::session($node, appname => 'observer');
sub value { return $observer->query($_[0]); }
PoolMonitor::wait_until($node, "SELECT blocks = 1 AND leak_suspect IS NOT NULL FROM pool_monitor_sessions WHERE application_name = 'shop-holder'",
	'a session blocks another one, and looks leaked');
PoolMonitor::wait_until($node, "SELECT count(*) = 3 FROM pool_monitor_sessions WHERE leak_suspect IS NOT NULL AND application_name LIKE 'shop-%'",
	'so do the others');

my @columns = split /,/, value(<<'SQL');
SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute
 WHERE attrelid = 'pool_monitor_sessions'::regclass AND attnum > 0
SQL
cmp_ok(scalar(@columns), '>=', 28, 'the view has its columns');
my @steady = grep { !/_age$/ } @columns;

# How a plan may ask for one column of the three sessions.  The whole is kept in a
# table, where nothing is left out.
my $shop = "application_name LIKE 'shop-%'";
value('CREATE TEMP TABLE whole AS SELECT * FROM pool_monitor_sessions');
is(value("SELECT count(*) FROM whole WHERE $shop"), '3', 'the whole has the sessions');
my %plans = (
	'with a condition' => "SELECT string_agg(format('%%s', %s), '|' ORDER BY pid) FROM SESSIONS WHERE $shop",
	'without one' => "SELECT string_agg(format('%%s', v), '|' ORDER BY pid) FROM (SELECT pid, application_name AS app, %s AS v FROM SESSIONS OFFSET 0) s WHERE app LIKE 'shop-%%'",
	'grouped' => "SELECT string_agg(format('%%s', v), '|' ORDER BY pid) FROM (SELECT pid, %s AS v, count(*) FROM SESSIONS WHERE $shop GROUP BY 1, 2) s",
	'in sets of groups' => "SELECT string_agg(format('%%s', v), '|' ORDER BY pid, v::text) FROM (SELECT pid, %s AS v, count(*) FROM SESSIONS WHERE $shop GROUP BY GROUPING SETS ((1, 2), (1))) s",
	'joined' => "SELECT string_agg(format('%%s', %s), '|' ORDER BY pid) FROM SESSIONS JOIN (SELECT pid FROM SESSIONS) other USING (pid) WHERE $shop",
	'as a row' => "SELECT string_agg(format('%%s', (row_of).%s), '|' ORDER BY (row_of).pid) FROM (SELECT s AS row_of FROM SESSIONS s) r WHERE (row_of).application_name LIKE 'shop-%%'",
	'in a window' => "SELECT string_agg(format('%%s', v), '|' ORDER BY pid) FROM (SELECT pid, first_value(%s) OVER (PARTITION BY pid) AS v FROM SESSIONS WHERE $shop) s",
	'sorted' => "SELECT string_agg(format('%%s', v), '|') FROM (SELECT %s AS v FROM SESSIONS WHERE $shop ORDER BY pid) s",
	'in a union' => "SELECT string_agg(format('%%s', v), '|' ORDER BY pid) FROM (SELECT pid, %s AS v FROM SESSIONS WHERE $shop UNION ALL SELECT 0, NULL WHERE false) s",
);
foreach my $plan (sort keys %plans)
{
	my @wrong;

	foreach my $column (@steady)
	{
		my $query = $plans{$plan} =~ s/LIKE 'shop-%'/LIKE 'shop-%%'/gr;

		$query = sprintf($query, $column);
		my ($seen, $kept) = map { value($query =~ s/SESSIONS/$_/gr) } 'pool_monitor_sessions', 'whole';
		push @wrong, "$column: '$seen', not '$kept'" if $seen ne $kept || $seen eq '';
	}
	is("@wrong", '', "each column $plan is what it is in the whole");
}

# Conditions that not every call for a row can be asked
my $me = value('SELECT pg_backend_pid()');
is(value("SELECT string_agg((SELECT count(*) FROM pool_monitor_sessions s WHERE s.pid = v.pid)::text, ',' ORDER BY i) FROM (VALUES (1, 0), (2, $me), (3, -1), (4, $me)) v(i, pid)"),
	'0,1,0,1', 'rows are read again for another value of what another node hands over');
is(value("SET enable_hashjoin = off; SET enable_mergejoin = off; SELECT count(*) FROM (VALUES (0), ($me)) v(pid) LEFT JOIN LATERAL (SELECT pid FROM pool_monitor_sessions s WHERE s.pid = v.pid OFFSET 0) s ON true WHERE s.pid IS NOT NULL"),
	'1', 'as in a nested loop');
value('RESET ALL');
is(value("SELECT count(*) FROM pool_monitor_sessions WHERE pid IN (SELECT pid FROM pool_monitor_sessions WHERE $shop)"), '3', 'a condition that is a subquery');
value('CREATE TEMP SEQUENCE calls');
is(value("SELECT count(*) FROM pool_monitor_sessions WHERE nextval('calls') > 0 AND pid > 0") - value("SELECT currval('calls')"), 0,
	'one that is volatile, called once a row');
value(q{CREATE FUNCTION pg_temp.calls(int) RETURNS bool STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN nextval('calls') > 0; END $$; SELECT setval('calls', 1)});
is(value("SELECT count(*) FROM pool_monitor_sessions WHERE pg_temp.calls(pid)") + 1 - value("SELECT currval('calls')"), 0,
	"one that calls somebody's own function, likewise");
is(value("SELECT count(*) FROM pool_monitor_sessions s WHERE s IS NOT NULL OR $shop"), '3', 'one on the whole row');
is(value("SELECT count(*) FROM pool_monitor_sessions() WITH ORDINALITY WHERE $shop AND ordinality > 0"), '3', 'with ordinality');
is(value("SELECT max(ordinality) = (SELECT count(*) FROM pool_monitor_sessions) FROM pool_monitor_sessions() WITH ORDINALITY WHERE pid <> 0"), 't', 'which numbers all rows');
is(value("SELECT count(*) FROM ROWS FROM (pool_monitor_sessions(), generate_series(1, 100)) WHERE $shop"), '3', 'beside another function');
is(value("SELECT count(*) FROM (SELECT (pool_monitor_sessions()).*) s WHERE $shop"), '3', 'in a target list');
is(value("PREPARE p(text) AS SELECT count(*) FROM pool_monitor_sessions WHERE application_name LIKE \$1; SET plan_cache_mode = force_generic_plan; EXECUTE p('shop-%')"), '3', 'a parameter');
is(value("EXECUTE p('shop-h%')"), '1', 'which may be another one next time');
is(value("DO \$\$ DECLARE app text := 'shop-idle'; n int; BEGIN SELECT count(*) INTO n FROM pool_monitor_sessions WHERE application_name = app; CREATE TEMP TABLE found AS SELECT n; END \$\$; SELECT n FROM found"), '1', 'a variable');
is(value("SELECT count(*) > 0 AND count(*) = (SELECT count(*) FROM whole) FROM pool_monitor_sessions"), 't', 'no column at all');
is(value("SELECT count(*) FROM (SELECT count(*) FROM pool_monitor_sessions HAVING max(application_name) LIKE 'shop-%') s"), '1', 'a column that only HAVING looks at');
is(value("SELECT count(*) FILTER (WHERE $shop) FROM pool_monitor_sessions"), '3', 'or FILTER');
is(value("SELECT count(*) FROM pool_monitor_leaks WHERE leak_suspect IS NOT NULL AND $shop"), '3', 'the leaks have their reasons');
is(value("SELECT count(*) FROM pool_monitor_leaks WHERE application_name = 'shop-idle'"), '1', 'and are found by a column that is not one');

# What is private does not show in conditions either
my $joe = PoolMonitor::session($node, appname => 'joes', user => 'joe');
is($joe->query("SELECT count(*) FROM pool_monitor_sessions WHERE $shop"), '0', 'nobody finds sessions by what he may not see');
is($joe->query('SELECT count(*) FROM pool_monitor_sessions WHERE application_name IS NULL AND state IS NULL AND query IS NULL AND blocks IS NULL') > 0 ? 'yes' : 'no', 'yes', 'which is null to him');
is($joe->query('SELECT count(DISTINCT pid) = count(*) FROM pool_monitor_sessions'), 't', 'though he sees that they are there');

$holder->query('ROLLBACK');
$waiter->wait;
$_->quit foreach $holder, $waiter, $idle, $joe, $observer;
$node->stop;
done_testing();
