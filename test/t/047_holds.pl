# Which code holds connections: the shares of routes that are known, joined with
# pg_stat_statements; tags of sessions, leaks and incidents; what is too much for
# the memory; who may see it.  Takes until one whole minute is over.

use strict;
use warnings;

use IPC::Run ();
use PoolMonitor;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PoolMonitor::new_node('main', extension => 1, conf => <<'CONF');
shared_preload_libraries = 'pool_monitor, pg_stat_statements'
max_connections = 40
autovacuum = off
compute_query_id = on
pool_monitor.sample_interval = '50ms'
pool_monitor.leak_threshold = '100ms'
pool_monitor.pools = 'closing: application=closing size=4 closes_idle=1ms'
CONF
# no room for the load of the first one
my $small = PoolMonitor::new_node('small', extension => 1, conf => <<'CONF');
autovacuum = off
pool_monitor.sample_interval = '20ms'
pool_monitor.max_holds = 3
CONF
my $none = PoolMonitor::new_node('none', extension => 1, conf => "pool_monitor.max_holds = 0\npool_monitor.sample_interval = '20ms'\n");
my $folder = PostgreSQL::Test::Utils::tempdir();
my $observer = PoolMonitor::session($node, appname => 'observer');
$observer->query('CREATE EXTENSION pg_stat_statements');
$observer->query('CREATE ROLE joe LOGIN');
$observer->query('CREATE ROLE reader LOGIN');
# a minute may have ended while the servers started
$observer->query('SELECT pool_monitor_reset()');
is($observer->query('SELECT count(*) FROM pool_monitor_holds()'), '0', 'at first there is nothing');

sub wait_for
{
	my ($where, $sql, $label) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	foreach (1 .. 1500)
	{
		return pass($label) if $where->query($sql) eq 't';
		$where->query('SELECT pg_sleep(0.1)');
	}
	return fail($label);
}
#
# Four routes, of which each holds a connection for a known part of the time
#
my %routes = (
	'/orders' => [ 1, "SELECT pg_sleep(0.1) /*route='%2Forders',traceparent=':trace'*/;\n" ],
	'/search' => [ 0.5, "SELECT pg_sleep(0.05) /*traceparent=':trace',route='%2Fsearch'*/;\n\\sleep 50 ms\n" ],
	# held by a transaction that does nothing for most of the time
	'/pay' => [ 0.75, "BEGIN /*route='%2Fpay'*/;\nSELECT 1 /*route='%2Fpay'*/;\n\\sleep 75 ms\nCOMMIT /*route='%2Fpay'*/;\n\\sleep 25 ms\n" ],
	'mail' => [ 0.25, "/*application:shop,route:mail*/ SELECT pg_sleep(0.025);\n\\sleep 75 ms\n" ]);

# They must have begun in the minute before the one that is looked at.
sub seconds_left { return $_[0]->query('SELECT 60 - extract(second FROM clock_timestamp())::int'); }
$observer->query('SELECT pg_sleep(0.1)') while seconds_left($observer) < 5;
my $seconds = 63 + seconds_left($observer);
my @loads;
foreach my $route (sort keys %routes)
{
	my $name = $route =~ s/\W//r;

	append_to_file("$folder/$name.sql", "\\set trace random(1, 1000000000)\n$routes{$route}[1]");
	push @loads, IPC::Run::start(
		[
			$node->installed_command('pgbench'), '-n', '-h', $node->host, '-p', $node->port, '-T', $seconds,
			'-f', "$folder/$name.sql", 'dbname=postgres application_name=shop'
		],
		'>', '/dev/null', '2>', '/dev/null');
}

# Meanwhile, one server has three places and five that want one
my $few = PoolMonitor::session($small, appname => 'few');
my @many = map { PoolMonitor::session($small, appname => "many-$_") } 1 .. 5;
$many[ $_ - 1 ]->query("BEGIN; SELECT $_ /*task='task $_'*/") foreach 1 .. 5;
my $idle = PoolMonitor::session($none, appname => 'idle');
$idle->query("BEGIN; SELECT 1 /*task='t'*/");

#
# What is live
#
my $session = PoolMonitor::session($node, appname => 'one');
my $joe = PoolMonitor::session($node, appname => 'joe', user => 'joe');

sub live
{
	my ($columns) = @_;

	return $observer->query("SELECT $columns FROM pool_monitor_sessions WHERE application_name = 'one'");
}
$session->query("BEGIN; SELECT relname FROM pg_class LIMIT 1 /*controller='orders',action='show',x='y'*/");
is(live('tags'), '{"action": "show", "controller": "orders"}', 'a session shows the tags of its statement');
is(live("query_id = (SELECT queryid FROM pg_stat_statements WHERE query LIKE 'SELECT relname FROM pg_class LIMIT %')"), 't', 'and its query ID');
wait_for($observer, "SELECT count(*) = 1 FROM pool_monitor_leaks WHERE application_name = 'one' AND tags ->> 'action' = 'show'", 'so does a leak');
is($joe->query("SELECT tags, query_id, query FROM pool_monitor_sessions WHERE pid = " . $session->pid), '||', 'as its statement, not to everybody');
$session->query("SELECT 2 /*action='%22%5C%3Cb%3E%0A'*/");
is(live('tags'), '{"action": "\"\\\\<b>?"}', 'whatever is in it');
$session->query("SELECT '" . 'x' x 2000 . "' /*action='far'*/");
is(live('tags IS NULL'), 't', 'what the server has cut is lost');
$session->query("/*action='near'*/ SELECT '" . 'x' x 2000 . "'");
is(live('tags'), '{"action": "near"}', 'unless it stands before');

# The keys are a setting
sub set_tags
{
	my ($value) = @_;

	$observer->query("ALTER SYSTEM SET pool_monitor.tags = '$value'");
	return $observer->stderr if $observer->stderr ne '';
	$node->reload;
	foreach (1 .. 3000)
	{
		return '' if $observer->query("SELECT current_setting('pool_monitor.tags') = '$value'") eq 't';
		$observer->query('SELECT pg_sleep(0.01)');
	}
	return 'not in force';
}
foreach my $wrong ([ 'a b', 3 ], [ 'a,,b', 3 ], [ 'a,a', 3 ], [ 'x' x 32, 1 ], [ "caf\xc3\xa9", 4 ], [ join(',', 'a' .. 'q'), 33 ])
{
	my ($ret, $out, $err) = $node->psql('postgres', "ALTER SYSTEM SET pool_monitor.tags = '$wrong->[0]'");

	like($err, qr/invalid value for parameter "pool_monitor.tags".*\nDETAIL:  At position $wrong->[1]: expected at most 16 different keys of at most 31/,
		"\"$wrong->[0]\" is refused");
}
$session->query("SELECT 3 /*action='a',step='b',route='c'*/");
is(set_tags('step'), '', 'other keys');
is(live('tags'), '{"step": "b"}', 'are read at once');
is(set_tags(''), '', 'no keys');
is(live('tags IS NULL'), 't', 'read nothing');
is(set_tags('application, controller, action, route, job, task'), '', 'and as before');
$session->query('COMMIT');

# A session that its pool has out, though it is idle
my $closing = PoolMonitor::session($node, appname => 'closing');
$closing->query("SELECT 1 /*route='forgotten'*/");

# The holders of an incident have them
my @fill = map { PoolMonitor::session($node, appname => 'fill', user => 'joe') } 1 .. 2;
$fill[0]->query("BEGIN; SELECT pg_advisory_xact_lock(1) /*job='nightly'*/ /* " . 'x' x 10 . " */ /*job='nightly'*/");
$fill[1]->query_async('SELECT pg_advisory_xact_lock(1)');
foreach (1 .. 40)
{
	my $filler = eval { PoolMonitor::session($node, appname => 'fill', user => 'joe') };

	last unless $filler;
	push @fill, $filler;
}
is($observer->query("SELECT DISTINCT tags ->> 'job' FROM pool_monitor_incident_holders() WHERE application_name = 'fill' AND state = 'idle in transaction'"),
	'nightly', 'the holders of an incident have their tags');
$fill[0]->query('COMMIT');
$fill[1]->wait;
$_->quit foreach @fill;

#
# The minute
#
$_->finish foreach @loads;
# the samples of the minute after it have begun
my $minute = $observer->query("SELECT date_trunc('minute', clock_timestamp()) - interval '1 min'");
wait_for($observer, "SELECT count(*) > 0 FROM pool_monitor_holds('$minute', '$minute'::timestamptz + interval '1 min')", 'a whole minute is over');

sub held
{
	my ($what, $from) = @_;

	return $observer->query("SELECT $what FROM pool_monitor_holds('$minute', '$minute'::timestamptz + interval '1 min') h " . ($from // ''));
}
my $total = 0;
$total += $_->[0] foreach values %routes;
foreach my $route (sort keys %routes)
{
	my ($average, $share) = split /\|/, held('sum(connections_avg), sum(connections_avg) / (SELECT sum(connections_avg) FROM pool_monitor_holds('
		. "'$minute', '$minute'::timestamptz + interval '1 min') WHERE application_name = 'shop')", "WHERE tags ->> 'route' = '$route'");

	note("$route: $average connections, share $share; known: $routes{$route}[0], " . $routes{$route}[0] / $total);
	ok(abs($share - $routes{$route}[0] / $total) < 0.03, "the share of $route is that of its time") || diag("$share");
}
is(held('count(DISTINCT tags)', "WHERE application_name = 'shop'"), '4', 'what is not asked for makes no difference');
is(held("sum(connections_avg) > 0.6 AND max(longest) BETWEEN '30 ms' AND '10 s'", "WHERE tags ->> 'route' = '/pay' AND state = 'idle in transaction' AND wait_event = 'ClientRead'"), 't',
	'a transaction that waits for its client says so, and for how long');
is(held("DISTINCT tags", "WHERE tags ->> 'route' = 'mail'"), '{"route": "mail", "application": "shop"}', 'marginalia is read as well');
is(held("sum(share) BETWEEN 0.9999 AND 1.0001"), 't', 'the shares are parts of the whole');
like(held('s.query', "JOIN pg_stat_statements s ON s.queryid = h.query_id WHERE tags ->> 'route' = '/orders' GROUP BY 1"), qr/SELECT pg_sleep\(\$1\)/,
	'each is joined with pg_stat_statements') || diag(held('DISTINCT query_id, h.query'));
is(held("bool_and(state = 'idle' AND tags ->> 'route' = 'forgotten')", "WHERE application_name = 'closing' AND state = 'idle'"), 't',
	'what is idle and yet checked out is among them');
is($observer->query(<<"SQL"), 't', 'the applications have what pool_monitor_history() has');
SELECT bool_and(abs(h.held - p.checked_out_avg) < 0.001) AND count(*) > 0
  FROM (SELECT application_name, sum(connections_avg) AS held
          FROM pool_monitor_holds('$minute', '$minute'::timestamptz + interval '1 min') WHERE state <> 'idle' GROUP BY 1) h
  JOIN pool_monitor_history('$minute', '$minute'::timestamptz + interval '1 min', '1 min') p USING (application_name)
 WHERE application_name = 'shop'
SQL

# The same as metrics, if they are asked for
unlike($observer->query('SELECT pool_monitor_metrics()'), qr/^pool_monitor_held_connections/m, 'there are no metrics of it');
$observer->query("ALTER SYSTEM SET pool_monitor.max_held_metrics = 3");
$node->reload;
wait_for($observer, "SELECT current_setting('pool_monitor.max_held_metrics') = '3'", 'three series are asked for');
my @series = grep { /^pool_monitor_held_connections/ } split /\n/, $observer->query('SELECT pool_monitor_metrics()');
is(scalar @series, 4, 'there are three, and the rest') || diag(join "\n", @series);
ok((grep { /^pool_monitor_held_connections\{application_name="shop",tag_route="\/orders"\} (?:0\.9\d*|1(?:\.0\d*)?)$/ } @series), 'the route that holds most is one of them')
  || diag(join "\n", @series);
like($series[3], qr/^pool_monitor_held_connections\{application_name="<other>"\} 0\.\d+$/, 'and the rest has the others');

#
# Who may see it
#
$joe->query('SELECT count(*) FROM pool_monitor_holds()');
like($joe->stderr, qr/permission denied for function pool_monitor_holds/, 'it is not for everybody');
$observer->query('GRANT EXECUTE ON FUNCTION pool_monitor_holds TO joe');
is($joe->query("SELECT count(*) > 0, count(query) FROM pool_monitor_holds(NULL, NULL) WHERE usename <> 'joe'"), 't|0', 'and no statement is for who may not read it');
$observer->query('GRANT pg_read_all_stats TO reader');
is($node->safe_psql('postgres', "SELECT count(query) > 0 FROM pool_monitor_holds(NULL, NULL)", extra_params => [ '-U', 'reader' ]), 't', 'it is for pg_read_all_stats');

#
# Too much
#
my $watcher = PoolMonitor::session($small, appname => 'watcher');
wait_for($watcher, 'SELECT count(*) > 0 FROM pool_monitor_holds(NULL, NULL)', 'a minute is over where there is little room');
my $last_minute = "pool_monitor_holds(date_trunc('minute', clock_timestamp()) - interval '1 min', date_trunc('minute', clock_timestamp()))";
is($watcher->query("SELECT count(*) BETWEEN 1 AND 4 FROM $last_minute"), 't', 'there are no more than there is room for')
  || diag($watcher->query('SELECT * FROM pool_monitor_holds(NULL, NULL)'));
is($watcher->query("SELECT application_name, tags, query_id, state, query, connections_avg >= 2 FROM $last_minute WHERE tags = '\"<other>\"' AND state IS NULL"),
	'<other>|"<other>"||||t', 'and the rest is there, as others');
my $other = PoolMonitor::session($none, appname => 'watcher');
$other->query('SELECT pg_sleep(0.1)') while seconds_left($other) > 59;
is($other->query('SELECT count(*) FROM pool_monitor_holds(NULL, NULL)'), '0', 'without places there is nothing');
is($other->query("SELECT tags FROM pool_monitor_sessions WHERE application_name = 'idle'"), '{"task": "t"}', 'but what is live');

# Kept over a restart, until a reset
my $before = $observer->query("SELECT count(*), sum(connections_avg * 1000)::int FROM pool_monitor_holds('$minute', '$minute'::timestamptz + interval '1 min')");
$_->quit foreach $observer, $session, $joe, $closing;
$node->restart;
$observer = PoolMonitor::session($node, appname => 'observer');
is($observer->query("SELECT count(*), sum(connections_avg * 1000)::int FROM pool_monitor_holds('$minute', '$minute'::timestamptz + interval '1 min')"), $before,
	'a restart keeps it');
$observer->query('SELECT pool_monitor_reset()');
is($observer->query('SELECT count(*) FROM pool_monitor_holds(NULL, NULL)'), '0', 'a reset does not');

$_->stop foreach $node, $small, $none;
done_testing();
