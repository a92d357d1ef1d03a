# What a role's sessions say is for that role and for those who read all
# statistics: query text, application name, client address and port.  Sessions
# of every kind leave marks in all of these; then other roles read every view
# and function in every way that they can, and nothing that the server sends
# them may bear a mark.

use strict;
use warnings;

use IO::Socket::INET;
use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# What is marked starts so, and comes from here
my $mark = 'zq-';
my $address = '127.0.0.77';

my $node = PoolMonitor::new_node('visibility',
	extension => 1,
	conf => q{
listen_addresses = '127.0.0.1'
max_connections = 24
superuser_reserved_connections = 3
autovacuum = off
track_activity_query_size = 1024
pool_monitor.pools = 'marked: application=zq* size=2'
pool_monitor.leak_threshold = 1ms
pool_monitor.sample_interval = 50ms
pool_monitor.save_interval = 1s});
append_to_file($node->data_dir . '/pg_hba.conf', "host all all 127.0.0.0/8 trust\n");
$node->reload;
$node->safe_psql('postgres', q{
	CREATE ROLE alice LOGIN;
	CREATE ROLE bob LOGIN;
	CREATE ROLE guest LOGIN NOINHERIT IN ROLE alice;
	CREATE ROLE signaller LOGIN IN ROLE pg_signal_backend;
	CREATE ROLE reader LOGIN IN ROLE pg_read_all_stats;
	CREATE ROLE chief LOGIN SUPERUSER;
	CREATE TABLE locked (i int);
	GRANT ALL ON locked TO alice;
	-- costs nothing, so the planner calls it before anything else
	CREATE FUNCTION tell(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS
	    'BEGIN RAISE NOTICE ''%'', $1; RETURN true; END'});

# client(APPNAME, %opts): a session of alice's from the marked address
sub client
{
	my ($appname, %opts) = @_;
	my $self = bless {
		socket => IO::Socket::INET->new(LocalAddr => $address, PeerAddr => '127.0.0.1', PeerPort => $node->port)
		  || die("could not connect: $!"),
		buffer => '',
		opts => { user => 'alice', appname => $mark . $appname, %opts }
	}, 'PoolMonitor::Wire';
	my $result = $self->log_in;

	$self->{refused} = $result->{sqlstate} unless $result->{ready};
	return $self;
}

# answer(CLIENT, SQL): all that the server sends, as it is
sub answer
{
	my ($client, $sql) = @_;
	my $answer = '';

	$client->send_query($sql);
	while (my ($type, $body) = $client->read_message)
	{
		last if $type eq 'Z';
		$answer .= "$type$body\n";
	}
	return $answer;
}

my $chief = PoolMonitor::Wire->new($node, user => 'chief', appname => 'chief');

# becomes_true(QUERY, LABEL): without a connection more
sub becomes_true
{
	my ($query, $label) = @_;
	my $answer = '';

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		$answer = $chief->query($query)->{rows}[0][0];
		last if $answer eq 't';
		select(undef, undef, undef, 0.1);
	}
	return is($answer, 't', $label);
}

# Sessions of every kind.  The ended one is ended, with a record; one goes away
# without a word; some are refused, under names that they made up.
my $ended = client('app-ended');
$ended->query("SELECT '${mark}query-ended'");
becomes_true("SELECT state = 'idle' AND clock_timestamp() - state_change > '10 ms' FROM pg_stat_activity WHERE application_name = '${mark}app-ended'",
	'a session is idle');
is($chief->query("SELECT outcome FROM pool_monitor_terminate_idle('5 ms', '${mark}app-ended', dry_run => false)")->{rows}[0][0],
	'terminated', 'and is ended');
client('app-dropped')->drop;

my %session = map { $_ => client("app-$_") } qw(idle active transaction aborted waiting);
$session{idle}->query("SELECT '${mark}query-idle'");
$session{active}->send_query("SELECT pg_sleep(100000) /* ${mark}query-active */");
$session{transaction}->query("BEGIN; LOCK locked; SELECT '${mark}query-transaction'");
$session{aborted}->query("BEGIN; SELECT '${mark}query-aborted' / 0");
$session{waiting}->send_query("INSERT INTO locked SELECT 1 /* ${mark}query-waiting */");
becomes_true("SELECT count(*) = 5 FROM pg_stat_activity WHERE query LIKE '%query-%' AND usename = 'alice'
	AND (application_name NOT IN ('${mark}app-waiting') OR wait_event_type = 'Lock')", 'every session is in its state');

# Those who look are there before the server is full
my %reader = map { $_ => PoolMonitor::Wire->new($node, user => $_, appname => $_) }
  qw(bob guest signaller reader alice);
# All that the server has to say reaches them
answer($_, 'SET client_min_messages = debug1') foreach values %reader;
my @held;
while (@held < 24)
{
	push @held, client('app-held');
	last if $held[-1]{refused};
}
pop @held;
ok(client('app-refused')->{refused}, 'a login is refused');
# Only a server without any slot refuses those that do not exist
my @reserved;
while (my $last = eval { PoolMonitor::Wire->new($node, user => 'chief', appname => 'reserved') })
{
	push @reserved, $last;
}
cmp_ok(scalar @reserved, '>', 0, 'superusers take what is left');
ok(client('app-refused', user => "${mark}user", dbname => "${mark}database")->{refused}, 'so is one with names that do not exist');
becomes_true("SELECT count(*) >= 1 FROM pool_monitor_rejections WHERE datname = '${mark}database'", 'that is known');
becomes_true("SELECT count(*) > 0 FROM pool_monitor_incident_holders() WHERE application_name = '${mark}app-held'", 'so is the incident');
becomes_true("SELECT count(*) > 0 FROM pool_monitor_history() WHERE application_name = '${mark}app-held'", 'and the history');

# Every way to read every view and every function, from the catalog
my @objects = map { $_->[0] } @{ $chief->query(q{
	SELECT CASE WHEN c.oid IS NOT NULL THEN c.relname::text
	       ELSE format('%s(%s)', p.proname, (SELECT string_agg(CASE format_type(a, NULL) WHEN 'integer' THEN '1'
	              WHEN 'interval' THEN '''1 microsecond''' ELSE '''nobody''' END, ', ' ORDER BY i)
	         FROM unnest(p.proargtypes) WITH ORDINALITY u (a, i) WHERE i <= p.pronargs - p.pronargdefaults)) END
	  FROM pg_depend d
	  LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
	  LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
	 WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
	   AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pool_monitor')
	   AND coalesce(p.proname, '') <> 'pool_monitor_reset' AND coalesce(c.oid, p.oid) IS NOT NULL
	 ORDER BY 1})->{rows} };
cmp_ok(scalar @objects, '>', 30, 'there are views and functions to read');

my @ways = (
	[ 'rows', 'SELECT * FROM %s' ],
	[ 'text', 'SELECT q::text FROM %s q' ],
	[ 'COPY', 'COPY (SELECT * FROM %s) TO STDOUT' ],
	[ 'a cheap function in WHERE', 'SELECT 1 FROM %s q WHERE tell(q::text)' ],
	[ 'an error that quotes a row', 'SELECT (q::text)::int FROM %s q' ],
	[ 'the plan and what it meets', 'EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM %s q WHERE tell(q::text)' ],
	[ 'a table and its statistics', 'CREATE TEMP TABLE stolen AS SELECT * FROM %s' ]);

# marks(ROLE, OBJECT): the ways in which a role got to see a mark
sub marks
{
	my ($role, $object) = @_;
	my $client = $role eq 'chief' ? $chief : $reader{$role};
	my @found;

	foreach my $way (@ways)
	{
		my $answer = answer($client, sprintf($way->[1], $object));

		if ($way->[0] eq 'a table and its statistics')
		{
			$answer .= answer($client, $_)
			  foreach ('ANALYZE stolen', "SELECT s FROM pg_stats s WHERE tablename = 'stolen'", 'DROP TABLE stolen');
		}
		# its own session has run our queries, but they bear no mark
		push @found, $way->[0] if $answer =~ /\Q$mark\E|\Q$address\E/;
	}
	push @found, 'a function in the target list'
	  if $object =~ /\(/ && answer($client, "SELECT $object") =~ /\Q$mark\E|\Q$address\E/;
	return join(', ', @found);
}

foreach my $role (qw(bob guest signaller))
{
	is(marks($role, $_), '', "$_ shows $role nothing of alice's sessions") foreach @objects;
}

# That means something only if the marks are there to be seen
my %shown;
foreach my $object (@objects)
{
	my $answer = answer($reader{reader}, "SELECT q::text FROM $object q");

	$shown{$1} = 1 while $answer =~ /(\Q$mark\E[a-z]+-?[a-z]*|\Q$address\E)/g;
}
is( join(' ', sort keys %shown),
	join(' ', sort $address, "${mark}database", "${mark}user", map({ "${mark}app-$_" } qw(idle active transaction aborted waiting ended dropped held refused)),
		map { "${mark}query-$_" } qw(idle active transaction aborted waiting)),
	'who reads all statistics finds every mark');
my @marked = map { "pool_monitor_$_" } (qw(applications connections groups incidents incident_holders() leaks
	metrics() history() chart() rejections sessions terminations), "terminate_idle('1 microsecond')");
isnt(marks('chief', $_), '', "$_ does show a superuser marks") foreach @marked;
like(marks('alice', 'pool_monitor_sessions'), qr/^rows, text, COPY, a cheap function/, 'alice sees her own sessions');

# Whoever had privileges has none after giving them up
answer($chief, 'PREPARE before AS SELECT s::text FROM pool_monitor_sessions s');
answer($chief, 'CREATE TEMP VIEW mine AS SELECT s::text FROM pool_monitor_sessions() s; GRANT SELECT ON mine TO bob');
like(answer($chief, 'EXECUTE before'), qr/\Q$mark\E/, 'a superuser sees marks');
answer($chief, 'SET ROLE bob');
unlike(answer($chief, $_), qr/\Q$mark\E|\Q$address\E/, "none as bob: $_")
  foreach ('EXECUTE before', 'SELECT * FROM mine', 'SELECT * FROM pool_monitor_sessions', 'SELECT * FROM pool_monitor_terminations');
answer($chief, 'RESET ROLE');

# The file, the settings and our own errors
becomes_true("SELECT saved_at IS NOT NULL FROM pool_monitor_info", 'the statistics are saved');
my ($saved) = grep { -f && slurp_file($_) =~ /\Q$mark\E/ } glob($node->data_dir . '/pg_stat/*');
ok($saved, 'in a file that has the marks');
is((stat $saved)[2] & 0777, 0600, 'which only the server\'s account can read');
$saved =~ s{.*/}{pg_stat/};
like(answer($reader{bob}, $_), qr/permission denied/, "bob may not: $_")
  foreach ("SELECT pg_read_file('$saved')", "SELECT pg_stat_file('$saved')", "SELECT pg_ls_dir('pg_stat')");
unlike(answer($reader{bob}, $_), qr/\Q$mark\E|\Q$address\E/, "no mark: $_")
  foreach ("SELECT * FROM pg_settings WHERE name LIKE 'pool_monitor%'", 'SELECT * FROM pool_monitor_health()',
	"SELECT pool_monitor_pool_status(1, 1, datname => 'nothing')", "SELECT * FROM pool_monitor_chart('x')");

done_testing();
