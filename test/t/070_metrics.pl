# pool_monitor_metrics(): the format, to the letter, and the figures, beside
# those of the views.
use strict;
use warnings;

use Encode qw(encode decode FB_CROAK);
use PostgreSQL::Test::Utils;
use PoolMonitor;
use Test::More;
use Time::HiRes qw(usleep);

# What OpenMetrics 1.0 says of each line; the text is UTF-8
my $name = qr/[a-zA-Z_:][a-zA-Z0-9_:]*/;
my $escaped = qr/(?:[^\n"\\]|\\[\\"n])*/;
my $label = qr/[a-zA-Z_][a-zA-Z0-9_]*="$escaped"/;
my $number = qr/[+-]?(?:[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|[Ii][Nn][Ff]|[Nn]a[Nn])/;
my %suffixes = (gauge => [''], counter => ['_total'], histogram => [ '_bucket', '_count', '_sum' ]);

# parse(TEXT): all series with their values and the families' types; dies
# where the text is not OpenMetrics
sub parse
{
	my ($text) = @_;
	my (%series, %type, $family);

	decode('UTF-8', "$text", FB_CROAK);
	$text =~ s/^# EOF\z//m or die 'no # EOF at the end';
	foreach my $line (split /(?<=\n)/, $text)
	{
		$line =~ s/\n\z// or die "unfinished line: $line";
		if ($line =~ /^# TYPE ($name) (gauge|counter|histogram)$/)
		{
			die "twice: $1" if exists $type{$1};
			$family = $1;
			$type{$family} = $2;
		}
		elsif ($line =~ /^# UNIT ($name) ([a-z]+)$/)
		{
			die "unit: $line" unless $1 eq $family && $family =~ /_$2$/;
		}
		elsif ($line =~ /^# HELP ($name) $escaped$/)
		{
			die "help: $line" unless $1 eq $family;
		}
		elsif ($line =~ /^(($name)(?:\{$label(?:,$label)*\})?) ($number)$/)
		{
			my ($series, $sample, $value) = ($1, $2, $3);
			die "not of $family: $line" unless grep { $sample eq $family . $_ } @{ $suffixes{ $type{$family} } };
			die "twice: $series" if exists $series{$series};
			die "negative: $line" if $type{$family} ne 'gauge' && $value < 0;
			$series{$series} = $value;
		}
		else
		{
			die "not OpenMetrics: $line";
		}
	}
	return (\%series, \%type);
}

sub sum
{
	my $sum = 0;
	$sum += $_ foreach @_;
	return $sum;
}

# The values of all series whose name matches
sub matching
{
	my ($series, $pattern) = @_;
	return map { $series->{$_} } grep { $_ =~ $pattern } sort keys %$series;
}

# read_metrics(SESSION, LABEL): what parse() returns, and the text
sub read_metrics
{
	my ($session, $fact) = @_;
	my $text = $session->query('SELECT pool_monitor_metrics()');
	my ($series, $type) = eval { parse($text) };

	is($@, '', $fact);
	return ($series || {}, $type || {}, $text);
}

# read_when(SESSION, LABEL, CONDITION): the same, once the series meet it.  A
# client that has gone may still have a session, and on a busy machine whoever
# asks has itself been active for long.
sub read_when
{
	my ($session, $fact, $condition) = @_;

	foreach (1 .. 3000)
	{
		my $text = $session->query('SELECT pool_monitor_metrics()');
		my ($series, $type) = eval { parse($text) };

		if ($series && $condition->($series))
		{
			pass($fact);
			return ($series, $type, $text);
		}
		usleep(10_000);
	}
	return read_metrics($session, $fact);
}

# Is there no session but these?
sub only_sessions
{
	my ($series, $n) = @_;
	return sum(matching($series, qr/^pool_monitor_server_connections/)) == $n;
}

my $node = PoolMonitor::new_node('main', init => [ extra => [ '--encoding=UTF8', '--locale=C' ] ], extension => 1, conf => <<'CONF');
max_connections = 20
superuser_reserved_connections = 2
autovacuum = off
pool_monitor.leak_threshold = 500ms
pool_monitor.pools = 'api: application=api size=2 overflow=1 instances=3; "a ""b""": application=b size=1; held: application=held size=1 overflow=2; policy: application=c idle_timeout=1h'
CONF
my $observer = PoolMonitor::session($node, appname => 'observer');
my ($series, $type) = read_metrics($observer, 'the text of a server at rest is OpenMetrics');
cmp_ok(scalar(keys %$type), '>', 40, 'it has many families');
is($series->{pool_monitor_preloaded}, 1, 'the library is preloaded');

# Who may read it
$observer->query('CREATE ROLE nobody LOGIN');
$observer->query('CREATE ROLE reader LOGIN IN ROLE pg_read_all_stats');
my $session = PoolMonitor::session($node, user => 'nobody');
is($session->query('SELECT pool_monitor_metrics()'), '', 'an ordinary role gets nothing');
like($session->stderr, qr/permission denied for function pool_monitor_metrics/, 'but an error');
$session->quit;
$session = PoolMonitor::session($node, user => 'reader', appname => 'reader');
read_metrics($session, 'pg_read_all_stats may read it');
$session->quit;

# Sessions in known states
my @api = map { PoolMonitor::session($node, appname => 'api') } 1 .. 4;
$_->query('BEGIN') foreach (@api[ 0, 1 ]);
$api[1]->query('SELECT 1/0');
$api[2]->query_async('SELECT pg_sleep(1000)');
my $b = PoolMonitor::session($node, appname => 'b');
my $killed = PoolMonitor::session($node, appname => 'api');
$observer->query('SELECT pg_terminate_backend(' . $killed->pid . ')');
PoolMonitor::wait_until($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE state = 'active' AND application_name = 'api'",
	'a statement runs');
PoolMonitor::wait_until($node, "SELECT sessions_killed = 1 FROM pool_monitor_applications WHERE application_name = 'api'",
	'a session was killed');
$observer->query('ALTER ROLE nobody CONNECTION LIMIT 0');
eval { PoolMonitor::session($node, user => 'nobody', appname => 'unwanted') } foreach 1 .. 3;

($series, $type, my $text) = read_when(
	$observer,
	'so is that of a busy one',
	sub {
		my ($seen) = @_;
		return only_sessions($seen, 6)
		  && !grep { $seen->{"pool_monitor_leak_suspects{reason=\"$_\"}"} != 1 } ('idle in transaction', 'long transaction');
	});

# The sum of an application's series, with what follows its name
my $group = sub {
	my ($metric, $more, $application) = @_;
	my $names = 'datname="postgres",usename="[^"]+",application_name="' . ($application || 'api') . '"';

	return sum(matching($series, qr/^pool_monitor_$metric\{$names$more\}$/));
};
is($group->('connections', ',state="idle",backend_type="client backend"'), 1, 'one of an application is idle');
is($group->('connections', ',state="active",backend_type="client backend"'), 1, 'one is active');
is($group->('connections', ',state="idle in transaction",backend_type="client backend"'), 1, 'one idle in a transaction');
is($group->('connections', ',state="idle in transaction \(aborted\)",backend_type="client backend"'), 1, 'one in an aborted one');
is(join(',', matching($series, qr/^pool_monitor_connections\{.*"api",state="(?:disabled|starting)"/)), '0,0', 'a state without sessions is 0');
is($group->('sessions_total', ''), 5, 'its sessions');
is($group->('sessions_killed_total', ''), 1, 'the one that was killed');
is($group->('application_rejected_total', ',reason="role_limit"', 'unwanted'), 3, 'refused logins by name');
is($series->{'pool_monitor_rejected_total{reason="role_limit"}'}, 3, 'and in all');
is($series->{'pool_monitor_rejected_total{reason="too_many_clients"}'}, 0, 'a reason that did not occur is there');
is($series->{'pool_monitor_leak_suspects{reason="idle in transaction"}'}, 1, 'a leak suspect');
is($series->{'pool_monitor_leak_suspects{reason="long transaction"}'}, 1, 'one for another reason');
is($series->{'pool_monitor_server_connections{state="idle"}'}, 2, 'sessions of the server that are idle');
is(sum(matching($series, qr/^pool_monitor_server_connections/)), 6, 'and all of them');
is(join(',', matching($series, qr/^pool_monitor_status/)), join(',', (0, 0, 1, 0)), 'the server is healthy');
is( join('|', map { $series->{"pool_monitor_pool_$_\{pool=\"api\"}"} } qw(size max_overflow instances capacity overflow invalid_total)),
	'2|1|3|9|0|1', 'a pool as it was declared, and the session that ended badly');
is( join('|', map { $series->{"pool_monitor_pool_connections{pool=\"api\",state=\"$_\"}"} } qw(checked_in checked_out unknown)),
	'1|3|0', 'its connections');
is($series->{'pool_monitor_pool_size{pool="a \"b\""}'}, 1, "a pool's name is escaped");
is(scalar(matching($series, qr/^pool_monitor_pool_.*policy/)), 0, 'a mere policy is no pool');
is($series->{'pool_monitor_max_connections'}, 20, 'max_connections');

# The same as the views', as of one statement where they move
is( $observer->query('SELECT format(\'%s|%s|%s|%s|%s\', max_connections, reserved_connections, available, peak_connections, coalesce(current_incident, 0)) FROM pool_monitor_status'),
	join('|', map { $series->{"pool_monitor_$_"} } qw(max_connections reserved_connections available_connections peak_connections current_incident)),
	'what pool_monitor_status has');
is($observer->query('SELECT terminated FROM pool_monitor_status'), $series->{pool_monitor_terminated_total}, 'sessions that we ended');
is( $observer->query('SELECT format(\'%s|%s|%s|%s\', declared_capacity, undeclared_connections, headroom, oversubscribed::int) FROM pool_monitor_capacity'),
	join('|', map { $series->{"pool_monitor_$_"} } qw(declared_capacity undeclared_connections headroom_connections oversubscribed)),
	'what pool_monitor_capacity has');
is( $observer->query('SELECT format(\'%s|%s|%s|%s\', groups, max_groups, groups_evicted, memory_bytes) FROM pool_monitor_info'),
	join('|', map { $series->{"pool_monitor_$_"} } qw(groups max_groups groups_evicted_total memory_bytes)),
	'what pool_monitor_info has');
cmp_ok($series->{pool_monitor_samples_total}, '>', 0, 'samples were taken');
is($series->{pool_monitor_worker_up}, 1, 'the worker runs');
cmp_ok(abs($series->{pool_monitor_last_sample_timestamp_seconds} - time), '<', 60, 'its last sample is of now');
ok($series->{pool_monitor_last_sample_duration_seconds} < 1, 'and took less than a second');
my $short = qr/^pool_monitor_hold_time_seconds_bucket.*"b",le="0\.065535"/;
my ($hold_sum, $hold_count) = (qr/^pool_monitor_hold_time_seconds_sum.*"b"/, qr/^pool_monitor_hold_time_seconds_count.*"b"/);
my $long_before = sum(matching($series, $hold_count)) - sum(matching($series, $short));
$b->query('SELECT pg_sleep(0.1)') foreach 1 .. 2;
($series) = read_metrics($observer, 'and after some transactions');
is( join('|', matching($series, $hold_count), map { sprintf('%.3f', $_) } matching($series, $hold_sum)),
	$observer->query("SELECT format('%s|%s', transactions, round((transaction_time / 1000)::numeric, 3)) FROM pool_monitor_applications WHERE application_name = 'b'"),
	'hold times are those of the view');
is(sum(matching($series, $hold_count)) - sum(matching($series, $short)) - $long_before,
	2, 'two of them were longer than 65 ms');
is( scalar(grep {
			(my $count = $_) =~ s/_bucket(.*),le="\+Inf"/_count$1/;
			$series->{$_} != $series->{$count} } grep { /le="\+Inf"/ } keys %$series),
	0, 'every histogram counts as many as its last bucket');

# Beyond the bound
$b->query("SET application_name = 'many $_'") foreach 1 .. 250;
$b->query("SET application_name = 'b'");
my ($totals, $metrics) = split /\n/, $observer->query(
	"SELECT (SELECT sum(transactions) || '|' || sum(sessions) || '|' || sum(connections) FROM pool_monitor_groups) || E'\\n' || pool_monitor_metrics()"), 2;
($series) = parse($metrics);
is(scalar(matching($series, qr/^pool_monitor_transactions_total/)), 101, '100 groups have series of their own');
cmp_ok(sum(matching($series, qr/^pool_monitor_transactions_total.*"<other>"/)), '>', 100, 'the others are one');
is( join('|', sum(matching($series, qr/^pool_monitor_transactions_total/)), sum(matching($series, qr/^pool_monitor_sessions_total/)),
		sum(matching($series, qr/^pool_monitor_connections/))),
	$totals, 'the sums are those of all groups');
is($group->('connections', ',.*'), 4, 'who has sessions is not folded');
is(sum(matching($series, qr/^pool_monitor_hold_time_seconds_count/)), (split /\|/, $totals)[0], 'neither is a hold time lost');

# A pool that opens one connection after the other has all of them out
is(join('|', matching($series, qr/^pool_monitor_pool_(?:checked_out_proven|last_exhausted_timestamp_seconds)\{pool="held"/)), '0',
	'of a pool without sessions nothing is proven, and it was never exhausted');
my @held = map { my $held = PoolMonitor::session($node, appname => 'held'); $held->query('SELECT 1'); $held } 1 .. 3;
($series) = read_when(
	$observer,
	'a pool that was exhausted says when',
	sub { defined $_[0]->{'pool_monitor_pool_last_exhausted_timestamp_seconds{pool="held"}'} });
cmp_ok($series->{'pool_monitor_pool_checked_out_proven{pool="held"}'}, '>=', 2, 'and how many connections it holds outside of transactions');
$_->quit foreach @held;
read_when(
	$observer,
	'as the view has it',
	sub {
		my ($seen) = @_;
		my $at = $observer->query("SELECT round(extract(epoch FROM last_exhausted_at), 6) FROM pool_monitor_pools WHERE pool = 'held'");

		return sprintf('%.6f', $seen->{'pool_monitor_pool_last_exhausted_timestamp_seconds{pool="held"}'}) eq $at;
	});

# Names of every kind
my $snake = encode('UTF-8', "\x{1f40d}");
my @odd = ("$snake \"odd\" \\", "line\nbreak", "} 1\n# EOF\n", 'a",usename="root', 'x' x 63, '%s%n', '<other>');
foreach my $odd (@odd)
{
	(my $quoted = $odd) =~ s/"/""/g;
	$observer->query("CREATE ROLE \"$quoted\" LOGIN");
	# PostgreSQL 19 has no line feeds in names
	next if $odd =~ /\n/ && $observer->stderr =~ /newline|line feed/;
	my $odd_session = PoolMonitor::session($node, user => $odd, appname => 'odd "a" \\ \n');
	($series) = read_metrics($observer, 'a role of any name can be connected');
	(my $escaped = $odd) =~ s/(["\\])/\\$1/g;
	$escaped =~ s/\n/\\n/g;
	is(sum(matching($series, qr/^pool_monitor_connections\{datname="postgres",usename="\Q$escaped\E",application_name="odd \\"a\\" \\\\ \\\\n"/)),
		1, 'under the name that it has');
	$odd_session->quit;
}

# Bytes that are no UTF-8: a role made in another encoding
$node->safe_psql('postgres', 'CREATE DATABASE bytes ENCODING SQL_ASCII TEMPLATE template0');
$node->safe_psql('bytes', "SET client_encoding = SQL_ASCII; CREATE ROLE \"caf\xe9\" LOGIN; CREATE EXTENSION pool_monitor");
my $latin = PoolMonitor::session($node, user => "caf\xe9", appname => 'latin');
($series) = read_metrics($observer, 'a name that is not UTF-8 does no harm');
is(sum(matching($series, qr/^pool_monitor_connections\{datname="postgres",usename="caf\?",application_name="latin"/)), 1, 'it shows with question marks');
my $other = PoolMonitor::session($node, dbname => 'bytes', appname => 'bytes');
read_metrics($other, 'neither does it in a database without encoding');
$other->quit;
$node->safe_psql('postgres', 'CREATE DATABASE latin ENCODING LATIN1 TEMPLATE template0');
$node->safe_psql('latin', 'CREATE EXTENSION pool_monitor');
$other = PoolMonitor::session($node, dbname => 'latin', appname => 'bytes');
$other->query('SET client_encoding = UTF8');
read_metrics($other, 'nor in one in LATIN1');
$_->quit foreach ($other, $latin);

# A role that was dropped, and one named like its OID
$observer->query('CREATE ROLE leaver LOGIN');
my $oid = $observer->query("SELECT oid FROM pg_roles WHERE rolname = 'leaver'");
my @leavers = (PoolMonitor::session($node, user => 'leaver', appname => 'leaver'));
$observer->query('DROP ROLE leaver');
$observer->query("CREATE ROLE \"$oid\" LOGIN");
push @leavers, PoolMonitor::session($node, user => $oid, appname => 'leaver');
($series) = read_metrics($observer, 'two roles can show under one name');
is($series->{"pool_monitor_connections{datname=\"postgres\",usename=\"$oid\",application_name=\"leaver\",state=\"idle\",backend_type=\"client backend\"}"},
	2, 'their figures are added up');
$_->quit foreach @leavers;

# A full server, and names that exist nowhere
read_when($observer, 'those who quit are gone', sub { only_sessions($_[0], 6) });
my @fill;
while (@fill < 30)
{
	my $filler = eval { PoolMonitor::session($node, appname => 'filler') };
	last unless $filler;
	push @fill, $filler;
}
eval { PoolMonitor::session($node, user => "\xff\xfe\"\n", appname => 'nowhere', dbname => "x\\\xc3") };
($series) = read_metrics($observer, 'names that a refused client sent do no harm');
is($series->{'pool_monitor_status{status="exhausted"}'}, 1, 'a full server is exhausted');
is($series->{'pool_monitor_available_connections'}, 0, 'nothing is available');
cmp_ok($series->{'pool_monitor_utilization_ratio'}, '>', 1, 'reserved slots are in use, too');
cmp_ok($series->{'pool_monitor_rejected_total{reason="too_many_clients"}'}, '>=', 2, 'refused logins are counted');
is(sum(matching($series, qr/^pool_monitor_application_rejected_total\{datname="x\\\\\?",usename="\?\?\\"\\n"/)), 1, 'under what can be shown of their names');
# There is no connection left to poll with
foreach (1 .. 1000)
{
	last if $observer->query('SELECT current_incident FROM pool_monitor_status') ne '';
	usleep(10_000);
}
($series) = read_metrics($observer, 'so does an incident');
ok($series->{pool_monitor_current_incident} > 0 && $series->{pool_monitor_current_incident} == $series->{pool_monitor_incidents_total},
	'it is the last one counted');
$_->quit foreach @fill;

# After a reset
$observer->query('SELECT pool_monitor_reset()');
($series) = read_metrics($observer, 'a reset changes nothing in the format');
is(sum(matching($series, qr/^pool_monitor_(?:application_)?rejected_total/)), 0, 'counters start over');
$_->quit foreach ($b, @api[ 0, 1, 3 ], $observer);
$api[2]->kill9;
$node->stop('immediate');
unlike(slurp_file($node->logfile), qr/TRAP|PANIC/, 'no assertion failed');

# Without preloading: live figures
my $bare = PoolMonitor::new_node('bare', preload => 0, extension => 1);
$observer = PoolMonitor::session($bare, appname => 'observer');
($series, $type) = read_metrics($observer, 'the text of a server that does not preload the library is OpenMetrics');
is($series->{pool_monitor_preloaded}, 0, 'it says so');
is($series->{'pool_monitor_connections{datname="postgres",usename="' . $observer->query('SELECT current_user') . '",application_name="observer",state="active",backend_type="client backend"}'},
	1, 'it has live figures');
is($series->{'pool_monitor_status{status="healthy"}'}, 1, 'and a status');
is(join(' ', grep { $type->{$_} ne 'gauge' } keys %$type), '', 'it counts nothing');
ok(!exists $type->{pool_monitor_worker_up}, 'and knows of no worker');
$observer->quit;
$bare->stop;

done_testing();
