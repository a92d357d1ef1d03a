# History: what was sampled is what is shown, by periods of any length; and
# minutes take over where the samples no longer reach.

use strict;
use warnings;

use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

# Two servers, since one of them has to wait for the end of a minute: "minutes"
# has room for the samples of some seconds only
my $minutes = PoolMonitor::new_node('minutes',
	extension => 1,
	conf => q{
max_connections = 60
autovacuum = off
pool_monitor.history_size = 1MB
pool_monitor.sample_interval = 10ms});
my $node = PoolMonitor::new_node('history',
	extension => 1,
	conf => q{
autovacuum = off
pool_monitor.sample_interval = 50ms});
$node->safe_psql('postgres', 'CREATE ROLE nobody LOGIN CONNECTION LIMIT 0');

my $observer = PoolMonitor::session($node, appname => 'observer');
my $watcher = PoolMonitor::session($minutes, appname => 'watcher');

sub clients
{
	my ($node, $count, $appname) = @_;
	return map { PoolMonitor::Wire->new($node, appname => $appname) } 1 .. $count;
}

sub becomes_true
{
	my ($session, $query, $label) = @_;
	my $deadline = time + 100;
	my $answer = '';

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	while (time < $deadline)
	{
		$answer = $session->query($query);
		last if $answer eq 't';
		usleep(50_000);
	}
	return is($answer, 't', $label);
}

sub sampled
{
	my ($session, $count, $label) = @_;
	my $samples = $session->query('SELECT samples FROM pool_monitor_info');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return becomes_true($session, "SELECT samples >= $samples + $count FROM pool_monitor_info", $label);
}

# settled(SESSION, QUERY): the answer together with the number of samples so
# far, which did not change meanwhile
sub settled
{
	my ($session, $query) = @_;

	for (1 .. 1000)
	{
		my $before = $session->query('SELECT samples FROM pool_monitor_info');
		my $answer = $session->query($query);

		return ($answer, $before) if $session->query('SELECT samples FROM pool_monitor_info') == $before;
	}
	die 'samples come too fast';
}

# A reset in the middle of a minute must hold when that minute is over
becomes_true($observer, 'SELECT extract(second FROM clock_timestamp()) < 55', 'the minute is not about to end');
my @secret = clients($node, 3, 'secret');
sampled($observer, 3, 'an application is sampled');
$_->quit foreach @secret;
becomes_true($observer, "SELECT connections = 0 FROM pool_monitor_applications WHERE application_name = 'secret'", 'and gone');
sampled($observer, 2, 'and sampled as gone');
my $samples_at_reset = $observer->query('SELECT samples FROM pool_monitor_info');
my $reset_at = $observer->query('SELECT pool_monitor_reset()');
is($observer->query("SELECT count(*) FROM pool_monitor_history(NULL, '$reset_at')"), '0', 'a reset empties the history');
is($observer->query("SELECT count(*) FROM pool_monitor_utilization(NULL, '$reset_at')"), '0', "the server's too");

# The other server: a known number of sessions until the minute is over
my ($nothing, $samples_before) = settled($watcher, 'SELECT 1');
my @steady = clients($minutes, 4, 'steady');
$_->query('BEGIN') foreach @steady;
my @crowd = map { clients($minutes, 1, "crowd $_") } 1 .. 30;
my $samples_open = $watcher->query('SELECT samples FROM pool_monitor_info');
my $boundary = $watcher->query(q{SELECT date_trunc('minute', clock_timestamp()) + interval '1 minute'});

# A known number of sessions by application and state
my @alpha = clients($node, 3, 'alpha');
my @beta = clients($node, 2, 'beta');
my @gamma = clients($node, 2, 'gamma');
$_->query('BEGIN') foreach @beta;
$gamma[0]->query('BEGIN');
$gamma[0]->query('SELECT 1 / 0');
$gamma[1]->send_query('SELECT pg_sleep(600)');
becomes_true($observer, "SELECT active = 1 FROM pool_monitor_applications WHERE application_name = 'gamma'", 'they are as they should be');
sampled($observer, 2, 'they are sampled');
my $from = $observer->query("SELECT samples || ' ' || last_sample_at FROM pool_monitor_info");
sampled($observer, 25, 'for a while');
my $to = $observer->query("SELECT samples || ' ' || last_sample_at FROM pool_monitor_info");
my ($first, $since) = split / /, $from, 2;
my ($last, $until) = split / /, $to, 2;
my $window = "'$since'::timestamptz + interval '1 us', '$until'::timestamptz + interval '1 us'";
my $n = $last - $first;

is($observer->query("SELECT sum(samples) FROM pool_monitor_utilization($window, '1 s')"), $n,
	'each sample of the time is there');
is( $observer->query(qq{
		SELECT application_name, sum(samples), min(connections_avg), max(connections_avg), max(connections_max),
		       max(active_avg), max(active_max), min(idle_avg), max(idle_max),
		       min(idle_in_transaction_avg), max(idle_in_transaction_max), min(checked_out_avg), max(checked_out_max)
		  FROM pool_monitor_history($window, '1 s')
		 WHERE application_name IN ('alpha', 'beta', 'gamma') GROUP BY 1 ORDER BY 1}),
	"alpha|$n|3|3|3|0|0|3|3|0|0|0|0\nbeta|$n|2|2|2|0|0|0|0|2|2|2|2\ngamma|$n|2|2|2|1|1|0|0|1|1|2|2",
	'sessions by application and state are as they were, in each period');
is( $observer->query(qq{
		SELECT min(connections_avg), max(connections_max), min(max_connections), max(max_connections),
		       min(idle_in_transaction_avg), max(idle_in_transaction_max),
		       bool_and(abs(utilization_max - connections_max / 97.0) < 1e-5), sum(rejected), sum(terminated)
		  FROM pool_monitor_utilization($window, '1 s')}),
	'8|8|100|100|3|3|t|0|0', 'so is the server');

# Steps
foreach my $step ("'1 s'", "'10 s'", "'1 min'", "'1 day'", "'0.05 s'", 'NULL')
{
	is( $observer->query(qq{
			SELECT sum(samples), round(sum(connections_avg * samples)::numeric, 3)
			  FROM pool_monitor_history($window, $step) WHERE application_name = 'beta'}),
		"$n|" . sprintf('%.3f', 2 * $n),
		"a step of $step adds up to the same");
	is( $observer->query("SELECT sum(samples) FROM pool_monitor_utilization($window, $step)"),
		$n, "for the server too");
}
is( $observer->query(qq{
		SELECT bool_and(extract(epoch FROM period_start)::numeric % 10 = 0), count(*) = count(DISTINCT period_start)
		  FROM pool_monitor_utilization($window, '10 s')}),
	't|t', 'periods start at multiples of the step');
is( $observer->query("SELECT count(*) FROM pool_monitor_utilization($window, '100000 days')"),
	'1', 'a step longer than the history makes one period');
is( $observer->query(q{
		SELECT count(*) FROM (
			(SELECT period_start FROM pool_monitor_utilization(NULL, NULL)
			 EXCEPT SELECT period_start FROM pool_monitor_utilization(NULL, NULL, '1 s'))) s}),
	'0', 'without a step, a short history comes in seconds');

# Bounds
is( $observer->query("SELECT sum(samples) FROM pool_monitor_utilization('$until', '$until'::timestamptz + interval '1 us')"),
	'1', 'since is included');
is($observer->query("SELECT count(*) FROM pool_monitor_utilization('$until', '$until')"), '0', 'until is excluded');
is($observer->query("SELECT count(*) FROM pool_monitor_history('$until', '$since')"), '0', 'an empty time has no rows');
is( $observer->query(q{
		SELECT (SELECT sum(samples) FROM pool_monitor_utilization('-infinity', 'infinity'))
		     - (SELECT sum(samples) FROM pool_monitor_utilization(NULL, NULL)) BETWEEN -1 AND 1}),
	't', 'infinite bounds are none, like null');
is($observer->query("SELECT count(*) FROM pool_monitor_history('infinity', '-infinity')"), '0', 'the wrong way round there is nothing');
is( $observer->query(q{
		SELECT (SELECT sum(samples) FROM pool_monitor_utilization())
		     - (SELECT sum(samples) FROM pool_monitor_utilization(now() - interval '1 hour', now())) }),
	'0', 'the default is the last hour');

# Averages are over all samples of the period, whoever was there
my @half = clients($node, 1, 'half');
sampled($observer, 5, 'an application is there for a part of the time');
$_->quit foreach @half;
sampled($observer, 5, 'and not for another');
is( $observer->query(q{
		WITH bounds AS (SELECT last_sample_at AS until FROM pool_monitor_info),
		one AS (SELECT s.* FROM bounds, pool_monitor_history(NULL, until, '1 us') s),
		total AS (SELECT sum(samples) AS n FROM bounds, pool_monitor_utilization(NULL, until, '1 us'))
		SELECT count(*) > 4, count(*) FILTER (WHERE
		         abs(h.connections_avg - o.connections) > 1e-5 OR abs(h.active_avg - o.active) > 1e-5
		      OR abs(h.idle_avg - o.idle) > 1e-5 OR abs(h.checked_out_avg - o.checked_out) > 1e-5
		      OR abs(h.idle_in_transaction_avg - o.idle_in_transaction) > 1e-5
		      OR h.connections_max <> o.connections_max OR h.checked_out_max <> o.checked_out_max
		      OR h.samples <> total.n)
		  FROM total, bounds, pool_monitor_history(NULL, until, '100000 days') h
		  JOIN (SELECT application_name, sum(connections_avg) / max(n) AS connections, sum(active_avg) / max(n) AS active,
		               sum(idle_avg) / max(n) AS idle, sum(checked_out_avg) / max(n) AS checked_out,
		               sum(idle_in_transaction_avg) / max(n) AS idle_in_transaction,
		               max(connections_max) AS connections_max, max(checked_out_max) AS checked_out_max
		          FROM one, total GROUP BY 1) o USING (application_name)}),
	't|0', 'a long period is the average and the maximum of its samples');

# Rejections are exact
PoolMonitor::Wire->new($node, silent => 1, user => 'nobody', appname => 'refused')->log_in foreach 1 .. 7;
sampled($observer, 2, 'logins were refused');
is( $observer->query('SELECT sum(u.rejected), (SELECT rejected FROM pool_monitor_status) FROM pool_monitor_utilization(NULL, NULL) u'),
	'7|7', 'the history has each of them');
is( $observer->query("SELECT sum(rejected) FROM pool_monitor_utilization($window)"), '0', 'at its time');
$observer->query("SELECT pool_monitor_reset('refused')");
PoolMonitor::Wire->new($node, silent => 1, user => 'nobody', appname => 'refused')->log_in foreach 1 .. 2;
sampled($observer, 2, 'their application was reset, and two more refused');
is( $observer->query('SELECT sum(rejected) FROM pool_monitor_utilization(NULL, NULL)'), '9', 'the history has those as well');
is( $observer->query("SELECT sum(samples) > 0 FROM pool_monitor_history(NULL, NULL) WHERE application_name = 'alpha'"),
	't', "a reset of one application leaves the history alone");

# A time without samples has no row
$observer->query("ALTER SYSTEM SET pool_monitor.sample_interval = '1h'");
$observer->query('SELECT pg_reload_conf()');
becomes_true($observer, "SELECT last_sample_at < clock_timestamp() - interval '2.1 s' FROM pool_monitor_info", 'no samples come for two seconds');
my $stopped = $observer->query('SELECT last_sample_at FROM pool_monitor_info');
$observer->query("ALTER SYSTEM SET pool_monitor.sample_interval = '50ms'");
$observer->query('SELECT pg_reload_conf()');
becomes_true($observer, "SELECT last_sample_at > '$stopped' FROM pool_monitor_info", 'they come again');
is( $observer->query(qq{
		SELECT min(period_start) >= '$stopped'::timestamptz + interval '2 s'
		  FROM pool_monitor_utilization('$stopped'::timestamptz + interval '1 us', NULL, '10 ms')}),
	't', 'the time between has no row');
is( $observer->query(qq{
		SELECT min(period_start) >= '$stopped'::timestamptz + interval '2 s'
		  FROM pool_monitor_history('$stopped'::timestamptz + interval '1 us', NULL, '10 ms')}),
	't', 'nor have the applications');

# The chart
my $metrics = "unnest(ARRAY['connections', 'active', 'idle', 'idle_in_transaction', 'checked_out']) m";
is( $observer->query(qq{
		SELECT m, average > 0, maximum, trim(chart) ~ '^[▁-█ ]+\$'
		  FROM $metrics, pool_monitor_chart(m, '2 minutes') WHERE application_name = 'gamma' AND m <> 'idle' ORDER BY 1}),
	"active|t|1|t\nchecked_out|t|2|t\nconnections|t|2|t\nidle_in_transaction|t|1|t",
	'the chart has a line of blocks for every metric');
is( $observer->query(q{SELECT count(DISTINCT length(chart)) || '|' || min(length(chart))
		FROM pool_monitor_chart('connections', '1 minute')}),
	'1|61', 'all of the same width');
is( $observer->query(q{SELECT max(length(chart)) <= 120 FROM unnest(ARRAY['1 s', '90 s', '37 min', '1 day', '3 weeks', '5000 days',
		'2000000 days']::interval[]) i, pool_monitor_chart('connections', i)}),
	't', 'and never too wide');
is( $observer->query(q{SELECT bool_and(c.average BETWEEN 0 AND c.maximum AND c.minimum <= c.maximum) FROM pool_monitor_chart('checked_out', '1 hour') c}),
	't', 'no average and no minimum is above the maximum');
is( $observer->query(q{SELECT chart ~ '█' AND chart ~ '^ ' FROM pool_monitor_chart('connections', '1 day') WHERE application_name = 'alpha'}),
	't', 'what was not sampled is blank, and the highest value a full block');
is( $observer->query(q{SELECT count(*) > 2 FROM pool_monitor_chart('connections', NULL)}), 't', 'a null time is all that is kept');
foreach my $encoding ('SQL_ASCII', 'LATIN1', 'UTF8')
{
	my $database = lc $encoding;

	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE template0 ENCODING '$encoding' LC_COLLATE 'C' LC_CTYPE 'C'");
	$node->safe_psql($database, 'CREATE EXTENSION pool_monitor');
	like($node->safe_psql($database, "SELECT chart FROM pool_monitor_chart('connections') WHERE application_name = 'alpha'"),
		$encoding eq 'UTF8' ? qr/^[\x80-\xFF ]+$/ : qr/^[_.:=+*# -]+$/, "the chart suits a database in $encoding");
}
my ($status, $stdout, $stderr) = $node->psql('postgres',
	"SET client_encoding = 'LATIN1'; SELECT chart FROM pool_monitor_chart('connections') WHERE application_name = 'alpha'");
is($stderr, '', 'a client in another encoding gets no error');
like($stdout, qr/^[_.:=+*# -]+$/, 'but what it can show');

# The end of the minute
becomes_true($watcher, "SELECT last_sample_at >= '$boundary' FROM pool_monitor_info", 'the minute is over');
my ($after_boundary, $samples_now) = settled($watcher, "SELECT coalesce(sum(samples), 0) FROM pool_monitor_utilization('$boundary', NULL)");
my $samples_until_boundary = $samples_now - $after_boundary;
becomes_true($observer, "SELECT last_sample_at >= '$boundary' FROM pool_monitor_info", 'on the other server too');
my ($shown, $taken) = settled($observer, 'SELECT sum(samples) FROM pool_monitor_utilization(NULL, NULL)');
is($shown, $taken - $samples_at_reset, 'no sample from before the reset has come back with its minute');
is($observer->query("SELECT count(*) FROM pool_monitor_history(NULL, NULL) WHERE application_name IN ('secret', '<other>')"),
	'0', 'nor an application');

becomes_true($watcher, qq{
	SELECT count(*) = 1 AND min(period_start) = '$boundary'::timestamptz - interval '1 minute'
	  FROM pool_monitor_utilization('$boundary'::timestamptz - interval '1 minute', '$boundary', '1 s')},
	'the samples of that minute have given way to it');
is($watcher->query("SELECT sum(samples) FROM pool_monitor_utilization(NULL, '$boundary')"), $samples_until_boundary,
	'it stands for every sample');
my $at_least = $samples_until_boundary - $samples_open;
my $at_most = $samples_until_boundary - $samples_before;
foreach my $figure ('connections', 'idle_in_transaction', 'checked_out')
{
	my ($of_steady, $max) = split /\|/, $watcher->query(qq{
		SELECT round(sum(${figure}_avg * samples)::numeric), max(${figure}_max)
		  FROM pool_monitor_history(NULL, '$boundary') WHERE application_name = 'steady'});

	ok($of_steady >= 4 * $at_least && $of_steady <= 4 * $at_most, "the average of $figure is that of its samples")
	  || diag("$of_steady is not between " . 4 * $at_least . ' and ' . 4 * $at_most);
	is($max, 4, 'and so is the maximum');
}
is( $watcher->query("SELECT count(DISTINCT application_name) FROM pool_monitor_history(NULL, '$boundary') WHERE application_name LIKE 'crowd %'"),
	'30', 'each application is in it');
is( $watcher->query(qq{
		SELECT bool_and(connections_max >= 35 AND max_connections = 60 AND abs(utilization_max - connections_max / 57.0) < 1e-6)
		  FROM pool_monitor_utilization('$boundary'::timestamptz - interval '1 minute', '$boundary')}),
	't', 'and the server');
is( $watcher->query(qq{SELECT count(*) = count(DISTINCT (period_start, application_name)) FROM pool_monitor_history(NULL, NULL, '1 s')}),
	't', 'no period shows twice where both are used');
is( $watcher->query('SELECT sum(samples) <= (SELECT samples FROM pool_monitor_info) FROM pool_monitor_utilization(NULL, NULL)'),
	't', 'no sample counts twice');

$_->drop foreach @steady, @crowd, @alpha, @beta, @gamma;
$_->quit foreach $observer, $watcher;
$_->stop foreach $node, $minutes;
unlike(slurp_file($_->logfile), qr/TRAP|PANIC/, 'no assertion failed') foreach $node, $minutes;

done_testing();
