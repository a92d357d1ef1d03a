# pool_monitor_report(): its HTML, to the letter; the figures, beside those of the
# views; and that nothing a client has written is more than text in it.  Takes until
# one whole minute is over.
use strict;
use warnings;

use Encode qw(decode encode FB_CROAK);
use PostgreSQL::Test::Utils;
use PoolMonitor;
use Test::More;
use Time::HiRes qw(usleep);

# Every element that a report may have, with its attributes
my %allowed = (
	html => ['lang'], head => [], meta => [qw(charset http-equiv content name)], title => ['id'], style => [], body => [],
	main => [], h1 => [], h2 => ['id'], h3 => [], section => ['aria-labelledby'], p => ['class'], span => ['class'],
	strong => [], b => [], ol => ['class'], li => ['class'], dl => ['class'], dt => [], dd => [],
	div => [qw(class role tabindex aria-label aria-labelledby)], figure => [], figcaption => [],
	table => [], caption => ['id'], thead => [], tbody => [], tr => [], th => [qw(scope class)], td => ['class'], code => [],
	svg => [qw(class viewBox role aria-labelledby aria-hidden)], desc => ['id'], path => [qw(class d)],
	rect => [qw(class x y width height)], text => [qw(class x y)]);
my %references = (amp => '&', lt => '<', gt => '>');

# The text that HTML stands for
sub plain
{
	my ($html) = @_;

	die "not escaped: $html" if $html =~ /[<>]|&(?!(?:amp|lt|gt|#\d+);)/;
	return $html =~ s/&(?:#(\d+)|(\w+));/defined $1 ? chr $1 : $references{$2}/ger;
}

# parse(HTML): its tables, by their captions, each a list of rows; its texts by
# element; all attributes' values.  Dies where it is not as it should be.
sub parse
{
	my ($html) = @_;
	my %report = (tables => {}, texts => {}, ids => {}, wanted => {}, table => undef);
	my @open;

	die 'not plain ASCII' if $html =~ /[^\x20-\x7e\n]/;
	$html =~ s/\A<!DOCTYPE html>\n// or die 'no document type';
	$html =~ s{<style>\n([^<>&]*|[^<&]*)</style>}{<style></style>} or die 'no style sheet';
	$report{style} = $1;
	foreach my $token ($html =~ /<[^<>]*>|[^<>]+|[<>]/g)
	{
		if ($token =~ m{^</(\w+)>$})
		{
			my $last = pop @open;

			die "$1 ends in $last->[0]" if $1 ne $last->[0];
			push @{ $report{texts}{$1} }, $last->[1];
			$report{table} = $report{tables}{ $last->[1] } //= [] if $1 eq 'caption';
			push @{ $report{table} }, [] if $1 eq 'tr';
			push @{ $report{row} }, $last->[1] if $1 eq 'td' || $1 eq 'th';
			push @{ $report{table} }, [ @{ $report{row} } ] if $1 eq 'tr' && pop @{ $report{table} };
			$open[-1][1] .= $last->[1] if @open;
		}
		elsif ($token =~ m{^<(\w+)((?: [a-zA-Z-]+="[^"]*")*)(/?)>$})
		{
			my ($element, $attributes, $empty) = ($1, $2, $3);

			die "unexpected element $element" unless $allowed{$element};
			while ($attributes =~ /([a-zA-Z-]+)="([^"]*)"/g)
			{
				my ($name, $value) = ($1, plain($2));

				die "unexpected attribute $name of $element" unless grep { $_ eq $name } @{ $allowed{$element} };
				die "twice: $value" if $name eq 'id' && $report{ids}{$value}++;
				$report{wanted}{$_} = 1 foreach $name eq 'aria-labelledby' ? split(/ /, $value) : ();
			}
			$report{row} = [] if $element eq 'tr';
			push @open, [ $element, '' ] unless $empty || $element eq 'meta';
		}
		else
		{
			$open[-1][1] .= plain($token) if @open;
			die "text outside: $token" unless @open || $token =~ /^\s*$/;
		}
	}
	die 'not closed' if @open;
	die "no $_" foreach grep { !$report{ids}{$_} } keys %{ $report{wanted} };
	return \%report;
}

# read_report(SESSION, LABEL, [ARGUMENTS]): as parsed
sub read_report
{
	my ($session, $fact, $arguments) = @_;
	my $html = $session->query('SELECT pool_monitor_report(' . ($arguments // '') . ')');
	my $report = eval { parse("$html\n") };

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($@ . $session->stderr, '', $fact);
	return ($report || {}, $html);
}

# The rows of the table whose caption matches, without its head, as text
sub rows
{
	my ($report, $caption, @columns) = @_;
	my ($name) = grep { $_ =~ $caption } sort keys %{ $report->{tables} };
	my @rows = $name ? @{ $report->{tables}{$name} } : ();

	shift @rows;
	return join "\n", map { my $row = $_; join '|', @columns ? @$row[@columns] : @$row } @rows;
}

sub wait_for
{
	my ($session, $sql, $label) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	foreach (1 .. 9000)
	{
		return pass($label) if $session->query($sql) eq 't';
		usleep(20_000);
	}
	return fail($label);
}

my $node = PoolMonitor::new_node('main', init => [ extra => [ '--encoding=UTF8', '--locale=C' ] ], extension => 1, conf => <<'CONF');
max_connections = 24
superuser_reserved_connections = 3
autovacuum = off
pool_monitor.sample_interval = 100ms
pool_monitor.leak_threshold = 500ms
pool_monitor.pools = 'api: application=api size=4 overflow=2 instances=2; "<i>""&''": application=<script>* size=1; policy: application=c idle_timeout=1h'
CONF
my $observer = PoolMonitor::session($node, appname => 'observer');
$observer->query('CREATE ROLE joe LOGIN; CREATE ROLE reader LOGIN IN ROLE pg_read_all_stats; CREATE ROLE nobody LOGIN;
	CREATE TABLE stock (item int PRIMARY KEY, n int); INSERT INTO stock VALUES (1, 1); GRANT ALL ON stock TO PUBLIC');
my ($report) = read_report($observer, 'the report of a server at rest is HTML');
is(join('|', @{ $report->{texts}{h2} }),
	'Verdicts|Connections over time|Declared pools|Incidents|What code holds connections|Sizes for pools|Sessions that were ended|Versions and settings',
	'it has its sections');
is(scalar(@{ $report->{texts}{h1} }), 1, 'under one title');
like($report->{texts}{p}[0], qr/^main \d+.* for role \S+\. Times are of /, 'which tells of which server it is');

#
# What clients write
#
my $cut = encode('UTF-8', 'x' . "\x{20ac}" x 30);	# before PostgreSQL 16, a name has question marks
my @hostile = (
	'<script>alert(1)</script>', '"><img src=x onerror=a>', q{' onmouseover='x}, '</style><h1>', '</svg></title>]]>',
	'<!-- ', '&amp;&#60;b&#62;', "a\tb\x01\x7f", '<other>', 'javascript:x', $cut);
my $euro = encode('UTF-8', "\x{20ac}");
my @clients = map { PoolMonitor::session($node, appname => $_, user => 'joe') } @hostile;
foreach my $client (@clients)
{
	$client->query('BEGIN');
	$client->query(qq{SELECT '</code><script>x</script>$euro', }
	  . q{'&lt;', E'\\x07' /*route='%3Cscript%3Ealert(1)%3C/script%3E',controller='a"b%27%0A%E2%80%AE'*/});
}
my @shown = map { decode('UTF-8', $_) } split /\n/, $observer->query("SELECT DISTINCT application_name FROM pool_monitor_sessions WHERE usename = 'joe'");
is(scalar(@shown), scalar(@hostile), 'names of every kind are connected');

# One blocks others, and in the end nobody gets in
$clients[0]->query('UPDATE stock SET n = 2 /* </td> */');
my @api = map { PoolMonitor::session($node, appname => 'api') } 1 .. 6;
$_->query_async('UPDATE stock SET n = 3') foreach @api[ 0 .. 3 ];
PoolMonitor::wait_until($node, "SELECT count(*) = 4 FROM pg_locks WHERE NOT granted", 'four wait for it');
my @fill;
while (@fill < 30)
{
	my $filler = eval { PoolMonitor::session($node, appname => 'filler', user => 'joe') };
	last unless $filler;
	push @fill, $filler;
}
eval { PoolMonitor::session($node, appname => '<u>refused</u>', user => "\xff\xfe<s>") } foreach 1 .. 2;
is($observer->query('SELECT count(*) FROM pool_monitor_incidents WHERE rejected > 0'), '1', 'logins were refused');
wait_for($observer, 'SELECT EXISTS (SELECT FROM pool_monitor_utilization() WHERE rejected > 0 AND connections_max > 20)', 'and sampled');
wait_for($observer, "SELECT EXISTS (SELECT FROM pool_monitor_holds() WHERE application_name = 'api')", 'what held them is counted by the minute');
$_->quit foreach @fill;
$clients[0]->query('COMMIT');
$_->wait foreach @api[ 0 .. 3 ];
wait_for($observer, "SELECT EXISTS (SELECT FROM pool_monitor_sizing() WHERE application_name = 'api')", 'and what they did');
$observer->query("SELECT count(t.outcome) FROM pool_monitor_sessions s, pool_monitor_terminate(s.pid) t WHERE s.application_name = 'api' AND s.state = 'idle'");
PoolMonitor::wait_until($node, 'SELECT count(*) >= 6 FROM pool_monitor_terminations', 'sessions were ended');

($report, my $html) = read_report($observer, 'the report of all that is HTML, without an element or an attribute of anybody else');
my $tags = join "\n", $html =~ /<[^<>]*>/g;
ok($html !~ /<script|<img|<iframe|<object|<embed|<link|<base|<form|<a /i, 'nothing in it runs, loads or leads away');
ok($tags !~ /https?:|src=|href=|srcset=|style="|\bon[a-z]+=/i, 'not even by an attribute');
ok($report->{style} !~ /url|import|[\\]|https?:/i, 'nor by the style sheet');
like($tags, qr/default-src 'none'/, 'nor might it');
my $everything = join "\n", @{ $report->{texts}{html} };
my @missing = grep { index($everything, $_) < 0 } map { s/[\x01\x7f]/\x{fffd}/gr =~ s/[\n\t]/ /gr } @shown;
is(join(' ', @missing), '', 'every name is there to the letter');
ok($everything =~ /route=<script>alert\(1\)<\/script>/, 'so is a tag');
ok($everything !~ /\x{202e}/, 'which can not turn the text around');
ok($everything =~ /<\/code><script>x<\/script>/, 'and a statement');

#
# The figures, beside those of the views
#
my $dash = "\x{2013}";
sub view
{
	my ($sql) = @_;
	return decode('UTF-8', $observer->query($sql)) =~ s/\t/ /gr =~ s/[\x01\x7f]/\x{fffd}/gr;
}
is(rows($report, qr/^Incidents, the latest/, 0, 3 .. 6),
	view("SELECT incident, reason, peak_connections, rejected, top_application FROM pool_monitor_incidents ORDER BY 1 DESC"),
	'incidents are those of the view');
is(rows($report, qr/^Who held the connections in incident 1/, 0 .. 6),
	view("SELECT moment, coalesce(nullif(application_name, ''), '(empty)'), coalesce(usename, '$dash'), coalesce(datname, '$dash'), '$dash',
		         coalesce(state, '$dash'), connections
		    FROM (SELECT *, row_number() OVER (PARTITION BY moment ORDER BY connections DESC, longest_transaction DESC NULLS LAST) n FROM pool_monitor_incident_holders(1)) h
		   WHERE n <= 8 ORDER BY moment DESC, n"),
	'so are the largest holders');
like(rows($report, qr/^Who blocked whom in incident 1/, 0, 2, 4, 6), qr{^peak\|<script>alert\(1\)</script>\|4\|UPDATE stock SET n = 2 /\* </td> \*/;$}m,
	'it tells who blocked how many, and with what');
is(rows($report, qr/^Declared pools/, 0 .. 10),
	view("SELECT pool, coalesce(status, '$dash'), checked_out, checked_in, total_connections, capacity, coalesce(pool_size::text, '$dash'), coalesce(max_overflow::text, '$dash'),
		         coalesce(instances::text, '$dash'), coalesce(peak_checked_out::text, '$dash'), coalesce(invalid::text, '$dash') FROM pool_monitor_pools"
		   =~ s/(?<= )capacity,/coalesce(capacity::text, '$dash'),/r),
	'declared pools are those of the view');
my $bounds = join ', ', map { "'$_'" } split /\|/, $observer->query("SELECT date_trunc('minute', now()) - interval '1 hour', date_trunc('minute', now())");
($report) = read_report($observer, 'a time that is over', $bounds);
is(rows($report, qr/^What held connections/, 1, 3, 4),
	view("SELECT application_name, round(sum(connections_avg)::numeric, 2), round((100 * sum(share))::numeric, 1) || '%'
		    FROM pool_monitor_holds($bounds) GROUP BY tags, application_name, query_id, CASE WHEN query_id IS NULL THEN query END
		   ORDER BY sum(connections_avg) DESC, application_name, query_id LIMIT 20"),
	'what holds connections is that of the function');
is(rows($report, qr/^Sizes/, 0, 2, 7),
	view("SELECT coalesce(nullif(application_name, ''), '(empty)'), transactions, coalesce(recommended_pool_size::text, '$dash') FROM pool_monitor_sizing()
		   ORDER BY pool IS NULL, offered_load DESC NULLS LAST, application_name"),
	'sizes are those of the function');
my %averages = map { (split /\|/)[ 0, 1 ] } split /\n/, rows($report, qr/^Connections by application/);
my ($named) = grep { /^api\|/ } split /\n/, rows($report, qr/^Connections by application/);
is((split /\|/, $named)[2], view("SELECT max(connections_max) FROM pool_monitor_history($bounds) WHERE application_name = 'api'"),
	'the chart tells the most that an application had');
is(scalar(keys %averages), 9, 'eight applications and all others');
($report) = read_report($observer, 'and now');
is(rows($report, qr/^Idle sessions that were to be ended/, 1, 2, 7, 8),
	view("SELECT pid, application_name, reason, outcome FROM (SELECT *, row_number() OVER () n FROM pool_monitor_terminations) t ORDER BY n DESC LIMIT 40"),
	'ended sessions are those of the view');
is( rows($report, qr/^Settings/, 0) =~ s/^(?!pool_monitor).*\n?//gmr,
	view("SELECT string_agg(name, E'\\n' ORDER BY name) FROM pg_settings WHERE starts_with(name, 'pool_monitor.')"),
	'all settings are there');
is( join('|', map { /^(?:version|loaded|max_groups|memory_bytes)\|(.*)/ ? $1 : () } split /\n/, rows($report, qr/^The extension/)),
	view("SELECT format('%s|true|%s|%s', version, max_groups, memory_bytes) FROM pool_monitor_info"),
	'and the extension itself');
my $verdicts = [ split /\n/, $observer->query("SELECT string_agg(finding, E'\\n' ORDER BY rank) FROM pool_monitor_diagnosis('1 day')") ];
foreach my $finding ('leak_in_transaction', 'pools_oversubscribed')
{
	is(scalar(grep { $_ eq $finding } @{ $report->{texts}{strong} }), scalar(grep { $_ eq $finding } @$verdicts), "as many verdicts of $finding as in the diagnosis");
}

#
# Times
#
foreach my $arguments ('NULL', 'NULL, NULL', q{'-infinity', 'infinity'}, q{'infinity', '-infinity'}, q{now() + '1 year', NULL},
	q{'4713-01-01 BC', '294276-12-31'}, q{now(), now() - interval '1 day'})
{
	($report) = read_report($observer, "a report ($arguments) is one", $arguments);
}
($report) = read_report($observer, 'one of long ago', q{'1999-01-01', '1999-01-02'});
like(join("\n", @{ $report->{texts}{p} }), qr/^Nothing is kept of that time\.$/m, 'says that nothing is kept');
$observer->query("SET DateStyle = 'German'; SET IntervalStyle = 'iso_8601'; SET TimeZone = 'Asia/Kolkata'; SET lc_numeric = 'C'; SET search_path = ''");
my $foreign = $observer->query('SELECT public.pool_monitor_report()');
$report = eval { parse("$foreign\n") };
is($@, '', 'settings of the caller make no difference');
like($report->{texts}{p}[0], qr/ from \d{4}-\d\d-\d\d \d\d:\d\d:\d\d to \d{4}-.* Times are of Asia\/Kolkata/, 'but for the time zone');
is($observer->query('SHOW search_path') . $observer->query('SHOW DateStyle'), '""German, DMY', 'and are as before');
$observer->query('RESET ALL');

#
# Who may see what
#
my $session = PoolMonitor::session($node, user => 'nobody', appname => 'plain');
($report, $html) = read_report($session, 'an ordinary role gets a report');
is(scalar(grep { /^This takes the right to call pool_monitor_\w+\([\w, ]*\), which members of pg_read_all_stats have/ } @{ $report->{texts}{p} }), 3, 'of which three sections are for others');
like(join("\n", @{ $report->{texts}{p} }), qr/^Which application had them is for members of pg_read_all_stats\.$/m, 'and the chart has no applications');
is(rows($report, qr/^Connections by application/, 0), 'all connections', 'but all connections');
ok($html !~ /onerror|filler|refused<|stock/, 'none of it names what others do');
$session->quit;
$session = PoolMonitor::session($node, user => 'reader', appname => 'reader');
($report) = read_report($session, 'pg_read_all_stats gets all');
unlike(join("\n", @{ $report->{texts}{p} }), qr/This takes the right/, 'sections');
$session->quit;
$observer->query('GRANT EXECUTE ON FUNCTION pool_monitor_incidents() TO nobody');
$session = PoolMonitor::session($node, user => 'nobody');
($report) = read_report($session, 'a role that may see incidents');
like(rows($report, qr/^Incidents, the latest/), qr/^1\|/, 'sees them');
is(rows($report, qr/^Who held/), '', 'but not who held the connections');
$session->quit;

# What nobody may call any more is left out, and the rest is there
$node->safe_psql('postgres', q{SELECT format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', p.oid::regprocedure) FROM pg_proc p
	WHERE proname LIKE 'pool\_monitor\_%' AND proname <> 'pool_monitor_report' \gexec});
$session = PoolMonitor::session($node, user => 'nobody');
($report) = read_report($session, 'a role that may call nothing else');
is(scalar(grep { /^This takes the right to call/ } @{ $report->{texts}{p} }), 7, 'gets the titles of sections, and what it was granted');
$session->quit;
$node->safe_psql('postgres', q{SELECT format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', p.oid::regprocedure) FROM pg_proc p
	WHERE proname LIKE 'pool\_monitor\_%' \gexec});

#
# Encodings
#
$node->safe_psql('postgres', 'CREATE DATABASE latin ENCODING LATIN1 TEMPLATE template0; CREATE DATABASE bytes ENCODING SQL_ASCII TEMPLATE template0');
$node->safe_psql($_, 'CREATE EXTENSION pool_monitor') foreach qw(latin bytes);
$session = PoolMonitor::session($node, dbname => 'latin');
$session->query("SET client_encoding = LATIN1; SET application_name = 'caf\xe9 <u>'; CREATE ROLE \"caf\xe9\"; SET ROLE \"caf\xe9\"");
($report) = read_report($session, 'a database in LATIN1');
like($report->{texts}{p}[0], qr/for role caf\x{e9}\./, 'has its characters as numbers');
$session->quit;
$session = PoolMonitor::session($node, dbname => 'bytes', user => 'reader');
($report) = read_report($session, 'a database of bytes');
ok(join("\n", @{ $report->{texts}{html} }) =~ /<\/script>\x{20ac}/, 'has those that are UTF-8');
$session->quit;
$session = PoolMonitor::session($node, user => 'reader', options => '-c client_encoding=LATIN1');
($report) = read_report($session, 'a client whose encoding has not all characters gets them');
ok(join("\n", @{ $report->{texts}{html} }) =~ /<\/script>\x{20ac}/, 'as numbers, too');
$session->quit;

#
# Size
#
$_->quit foreach @clients;
$clients[0] = PoolMonitor::session($node, user => 'joe');
foreach my $i (1 .. 200)
{
	$clients[0]->query("SET application_name = 'service $i of a company with long names of services <&>'");
	$clients[0]->query("SELECT $i /*route='/a/long/route/$i',controller='of $i'*/");
}
wait_for($observer, "SELECT count(*) > 150 FROM pool_monitor_applications WHERE application_name LIKE 'service%'", '200 applications were connected');
wait_for($observer, "SELECT count(*) >= 150 FROM pool_monitor_sizing() WHERE application_name LIKE 'service%'", 'and have had transactions');
($report, $html) = read_report($observer, 'their report is HTML');
cmp_ok(length($html), '<', 500_000, 'of less than 500 kB');
note('it has ' . length($html) . ' bytes');

# It can be canceled
$session = PoolMonitor::session($node);
$session->query('SET statement_timeout = 1; SELECT count(pool_monitor_report()) FROM generate_series(1, 10000)');
like($session->stderr, qr/canceling statement due to statement timeout/, 'it can be canceled');
is($session->query('SHOW search_path'), '"$user", public', 'which leaves the settings as they were');
$session->quit;
$_->quit foreach (@clients, @api, $observer);
$node->stop;

#
# Not preloaded
#
my $bare = PoolMonitor::new_node('bare', preload => 0, extension => 1);
$session = PoolMonitor::session($bare);
($report) = read_report($session, 'where the library is not preloaded, there is a report');
is(scalar(grep { /^Nothing is known of this: pool_monitor is not in shared_preload_libraries/ } @{ $report->{texts}{p} }), 5, 'of which five sections say so');
like(rows($report, qr/^The extension/), qr/^loaded\|false$/m, 'with what there is');
$session->quit;
$bare->stop;

done_testing();
