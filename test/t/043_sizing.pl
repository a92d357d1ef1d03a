# Sizing from measured load: against what the clients themselves have logged,
# and the server's own log of durations.  Takes as long as it takes until one whole minute is over.

use strict;
use warnings;

use IPC::Run ();
use PoolMonitor;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# "grown" takes more applications later
my $pools = 'steady: application=steady size=10 instances=2; full: application=full size=1 overflow=1; outside: application=outside size=1 overflow=9;'
  . ' gone: application=nobody size=1; grown: size=5 application=';
my $node = PoolMonitor::new_node('main', extension => 1, conf => <<CONF);
max_connections = 60
autovacuum = off
log_line_prefix = '%n %a '
pool_monitor.sample_interval = '100ms'
pool_monitor.pools = '${pools}grown-a'
CONF
my $observer = PoolMonitor::session($node, appname => 'observer');
my $folder = PostgreSQL::Test::Utils::tempdir();

# Nothing is measured yet
is($observer->query("SELECT count(*) FROM pool_monitor_sizing()"), '0', 'without a whole minute there is nothing to tell');

# load(NAME, SQL, OPTIONS): a pgbench that logs each transaction, as does the
# server
my %loads;

sub load
{
	my ($name, $sql, @options) = @_;
	my $file = "$folder/$name.sql";
	my ($out, $err) = ('', '');

	local $ENV{PGOPTIONS} = '-c log_duration=on';
	append_to_file($file, $sql);
	$loads{$name} = {
		out => \$out,
		err => \$err,
		run => IPC::Run::start(
			[
				$node->installed_command('pgbench'), '-n', '-h', $node->host, '-p', $node->port,
				'-l', "--log-prefix=$folder/$name", '-f', $file, @options,
				"dbname=postgres application_name=$name"
			],
			'>', \$out, '2>', \$err)
	};
	return;
}

# 20 a second that hold a connection for 50 ms; some short and some long ones;
# and clients that never pause.  They end by themselves a little after the next
# whole minute: a pgbench that is interrupted loses a part of its log.  They must
# have begun in the minute before that one.
$observer->query('SELECT pg_sleep(0.1)') while $observer->query('SELECT extract(second FROM clock_timestamp()) > 45') eq 't';
my $seconds = $observer->query('SELECT 125 - (extract(epoch FROM clock_timestamp())::bigint % 60)');
load('steady', "SELECT pg_sleep(0.05);\n", '-c', '10', '-R', '20', '-T', $seconds);
load('mixed', "\\set r random(1, 10)\nSELECT pg_sleep(CASE WHEN :r <= 2 THEN 0.3 ELSE 0.03 END);\n", '-c', '16', '-R', '20', '-T', $seconds);
load('outside', "SELECT pg_sleep(0.05);\n", '-c', '1', '-R', '10', '-T', $seconds);
my @outside = map { PoolMonitor::session($node, appname => 'outside') } 1 .. 3;
load('full', "SELECT pg_sleep(0.05);\n", '-c', '2', '-T', $seconds);
load('leaky', "SELECT pg_sleep(0.033);\n", '-c', '8', '-R', '20', '-T', $seconds);

# An application with few transactions, and a pool whose pattern is widened
# later to take an application that has had many
$node->safe_psql('postgres', "SELECT 1", connstr => $node->connstr('postgres') . ' application_name=few');
my $grown_a = PoolMonitor::session($node, appname => 'grown-a');
my $grown_b = PoolMonitor::session($node, appname => 'grown-b');
$grown_a->query('SELECT 1') foreach 1 .. 10;
$grown_b->query('DO $$ BEGIN FOR i IN 1 .. 5000 LOOP COMMIT; END LOOP; END $$');

sub wait_for_minute
{
	my ($condition, $label) = @_;
	my $done;

	foreach (1 .. 1500)
	{
		last if ($done = $observer->query("SELECT $condition")) eq 't';
		$observer->query('SELECT pg_sleep(0.1)');
	}
	return is($done, 't', $label);
}

wait_for_minute("EXISTS (SELECT FROM pool_monitor_sizing() WHERE application_name = 'steady')", 'the minute in which it all began is over');
my $first = $observer->query("SELECT extract(epoch FROM date_trunc('minute', clock_timestamp()))::bigint");

$node->safe_psql('postgres', "ALTER SYSTEM SET pool_monitor.pools = '${pools}grown-*'");
$node->reload;
my $few = PoolMonitor::session($node, appname => 'few');
$few->query('SELECT 1') foreach 1 .. 7;
$few->quit;
$grown_a->query('SELECT 1') foreach 1 .. 3;
$grown_b->query('SELECT 1') foreach 1 .. 4;

# Twelve transactions are leaked in that minute, and ended in it
my @leaked = map { PoolMonitor::session($node, appname => 'leaky') } 1 .. 12;
$_->query('BEGIN; SELECT 1') foreach @leaked;
wait_for_minute('extract(second FROM clock_timestamp()) > 40', 'they are leaked for a while');
$_->query('COMMIT') foreach @leaked;

# the minute's record has its start, which is still within a little more than
# the time since
wait_for_minute("EXISTS (SELECT FROM pool_monitor_sizing(since => clock_timestamp() - to_timestamp($first - 1)) WHERE application_name = 'steady')",
	'another minute is over, a whole one');
my $since = "since => clock_timestamp() - to_timestamp($first - 1)";
$observer->query("CREATE TABLE sized AS SELECT * FROM pool_monitor_sizing(wait_target => '10 ms', percentile => 0.99, $since)");
$observer->query("CREATE TABLE sized_all AS SELECT * FROM pool_monitor_sizing()");

foreach my $name (sort keys %loads)
{
	ok($loads{$name}{run}->finish, "the clients of $name have ended") || diag(${ $loads{$name}{err} });
}

# client(NAME): what its clients logged of the minute: transactions that ended
# in it, and the mean of their duration in ms.  Each line: client, number,
# duration in us, script, end in seconds and us, and with -R how late it started,
# which is part of the duration.
sub client
{
	my ($name) = @_;
	my ($n, $sum) = (0, 0);

	foreach my $line (map { split /\n/, slurp_file($_) } glob "$folder/$name.*[0-9]")
	{
		my (undef, undef, $duration, undef, $end, undef, $late) = split / /, $line;

		# a line that was cut short
		next unless defined $end && $end =~ /^\d{10}$/;
		next unless $end >= $first && $end < $first + 60;
		$n++;
		$sum += ($duration - (defined $late ? $late : 0)) / 1000;
	}
	return ($n, $sum / $n);
}

# server(NAME): what the server logged of the minute's statements, each of which
# is a transaction: the mean of their duration in ms, and its coefficient of
# variation.  On a busy machine a client gets to read its answer later, now and
# then much later, which is no part of the time that the server was held.
my $server_log = slurp_file($node->logfile);

sub server
{
	my ($name) = @_;
	my ($n, $sum, $squares) = (0, 0, 0);

	while ($server_log =~ /^([\d.]+) \Q$name\E LOG:  duration: ([\d.]+) ms$/mg)
	{
		my ($end, $duration) = ($1, $2);

		next unless $end >= $first && $end < $first + 60;
		$n++;
		$sum += $duration;
		$squares += $duration * $duration;
	}
	my $mean = $sum / $n;
	return ($mean, sqrt($squares / $n - $mean * $mean) / $mean);
}

sub sized { return $observer->query("SELECT $_[2] FROM sized WHERE application_name = '$_[0]' AND pool " . ($_[1] ? "= '$_[1]'" : 'IS NULL')); }

sub within
{
	my ($got, $wanted, $part, $label) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(abs($got - $wanted) <= $part * $wanted, $label) || diag("got $got, it was $wanted");
}

foreach my $row ([ 'steady', undef ], [ 'steady', 'steady' ], [ 'mixed', undef ], [ 'full', undef ], [ 'full', 'full' ], [ 'leaky', undef ])
{
	my ($name, $pool) = @$row;
	my ($n, $client_mean) = client($name);
	my ($mean, $cv) = server($name);
	my $label = defined $pool ? "the pool $pool" : "the application $name";
	my ($transactions, $rate, $hold, $got_cv, $load) = split /\|/, sized($name, $pool, 'transactions, arrival_rate, hold_time_mean, hold_time_cv, offered_load');

	note("$label: clients $n, $client_mean ms; server $mean ms, cv $cv; sized $transactions, $rate/s, $hold ms, cv $got_cv, $load erlangs");
	# what ends in the instant in which the minute ends may be in either
	within($transactions, $n, 0.03, "the transactions of $label");
	within($rate, $n / 60, 0.03, "the arrival rate of $label");
	within($hold, $mean, 0.05, "the hold time of $label");
	within($load, $n * $mean / 60_000, 0.05, "the offered load of $label");
	# one transaction of a thousand that is kept waiting for 100 ms at its end makes 0.1
	ok(abs($got_cv - $cv) < 0.25, "the variation of hold times of $label") || diag("got $got_cv, it was $cv");
	# a client also waits for its answer to come
	cmp_ok($hold, '<', 1.05 * $client_mean, "a connection of $label was held for no longer than its client thinks");
}
cmp_ok(sized('mixed', undef, 'hold_time_cv'), '>', 1, 'short and long ones together vary more than exponential ones');

# The size is the formula's: once more here, for one instance and for two
sub formula
{
	my ($load, $hold, $cv, $instances) = @_;
	my $a = $load / $instances;
	my $k = $cv > 1 ? (1 + $cv * $cv) / 2 : 1;
	my ($b, $c) = (1, 0);

	while (1)
	{
		$c++;
		$b = $a * $b / ($c + $a * $b);
		next if $c <= $a;
		my $wait = $c * $b / ($c - $a * (1 - $b));
		return $c if $wait * exp(-($c - $a) * 10 / ($hold * $k)) <= 0.01;
	}
}
foreach my $row ([ 'steady', undef, 1 ], [ 'steady', 'steady', 2 ], [ 'mixed', undef, 1 ], [ 'leaky', undef, 1 ])
{
	my ($name, $pool, $instances) = @$row;
	my ($load, $hold, $cv, $size, $wait) = split /\|/, sized($name, $pool, 'offered_load, hold_time_mean, hold_time_cv, recommended_pool_size, expected_wait');

	is($size, formula($load, $hold, $cv, $instances), "the size of $name for $instances is what the formula says");
	cmp_ok($wait, '<=', 10, 'with which the wait is within its target');
}
is(sized('steady', 'steady', 'saturated, note'), 'f|', 'nothing is to be said against it');
my ($p99, $peak) = split /\|/, sized('steady', undef, 'observed_p99_checked_out, peak_checked_out');
cmp_ok($p99, '>=', 2, 'the samples saw several of them at once');
cmp_ok($p99, '<=', $peak, 'and the peak is no less than the 99th percentile');
cmp_ok($peak, '<=', 10, 'nor more than the clients there were');

# A leak does not make the pool larger, ended or not
like(sized('leaky', undef, 'note'), qr/^12 transactions of over 10 s make \d\d% of the load, and the size is that of the others: /, 'the few are named');
cmp_ok(sized('leaky', undef, 'total_load'), '>', 6, 'what they make of the load is shown');
is(sized('steady', undef, 'total_load = offered_load'), 't', 'where there is none, both are the same');
is(sized('mixed', undef, 'total_load = offered_load'), 't', 'also where transactions are of two kinds');

# Honest about too much and too little
is(sized('full', 'full', 'saturated, peak_checked_out'), 't|2', 'a pool that is always full is saturated');
like(sized('full', 'full', 'note'), qr/^saturated: demand that waited for a connection was not measured/, 'and the note says what that means');
# Half a connection is busy and three are held, all the time
is(sized('outside', 'outside', 'offered_load BETWEEN 2.9 AND 3.1, peak_checked_out, saturated'), 't|3|f', 'what is held outside of transactions is load');
like(sized('outside', 'outside', 'note'), qr/^connections are held [56]\.\d times as long as their transactions/, 'and the note says how much');
is(sized('outside', undef, 'offered_load < 1'), 't', 'for an application nothing proves it');
is(sized('full', undef, 'saturated'), 'f', 'an application has no capacity to be saturated');
like(sized('few', undef, 'transactions, note'), qr/^\d+\|few transactions: the estimate is rough$/, 'few transactions are noted');
cmp_ok(sized('few', undef, 'transactions'), '<=', 12, 'as few as they are');
is($observer->query("SELECT count(*) FROM sized WHERE pool = 'gone'"), '0', 'a pool without transactions has no row');

# A pool that takes more applications than before did not do their work
cmp_ok(sized('grown-*', 'grown', 'transactions'), '<=', 20,
	'transactions from before an application was in the pool are not those of the pool');

# since
is($observer->query("SELECT count(*) FROM pool_monitor_sizing(since => '1 second')"), '0', 'no whole minute began a second ago');
is($observer->query(<<'SQL'), 't', 'the longer one looks back, the more there is');
SELECT bool_and(a.transactions >= s.transactions)
  FROM sized_all a JOIN sized s ON a.application_name = s.application_name AND a.pool IS NOT DISTINCT FROM s.pool
SQL
cmp_ok($observer->query("SELECT transactions FROM sized_all WHERE application_name = 'grown-b' AND pool IS NULL"), '>=', 5000,
	'also what was before the whole minute');
is($observer->query("SELECT count(*) FROM pool_monitor_sizing(since => '100000 years')"),
	$observer->query('SELECT count(*) FROM pool_monitor_sizing()'),
	'one may look back as far as one likes');

# Other wishes
my $size = 'SELECT recommended_pool_size FROM pool_monitor_sizing';
my $of = "WHERE application_name = 'mixed' AND pool IS NULL";
my $default = $observer->query("$size() $of");
cmp_ok($observer->query("$size(wait_target => '0') $of"), '>=', $default, 'who will not wait at all needs no less');
cmp_ok($observer->query("$size(percentile => 0.5, wait_target => '1 s') $of"), '<', $default, 'who does not mind waiting needs less');
cmp_ok($observer->query("$size(percentile => 0.999999) $of"), '>', $default, 'nearly nobody is more than most');

# One application can start anew
$observer->query("SELECT pool_monitor_reset('leaky')");
is($observer->query("SELECT count(*) FROM pool_monitor_sizing() WHERE application_name = 'leaky'"), '0', 'a reset of one application forgets its load');
cmp_ok($observer->query('SELECT count(*) FROM pool_monitor_sizing()'), '>', 3, 'and that alone');

# It is forgotten with the rest
$observer->query('SELECT pool_monitor_reset()');
is($observer->query('SELECT count(*) FROM pool_monitor_sizing()'), '0', 'a reset forgets it');
unlike(slurp_file($node->logfile), qr/TRAP|PANIC/, 'no assertion failed');
$_->quit foreach ($grown_a, $grown_b, @leaked, $observer);
$node->stop;
done_testing();
