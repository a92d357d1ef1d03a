# Clients that are not logged in: the server with the library tells them, byte
# for byte, what it tells them without it.  And whatever they call themselves,
# they can forge no line of the log and no series of the metrics.

use strict;
use warnings;

use Encode ();
use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $conf = q{
max_connections = 10
superuser_reserved_connections = 2
autovacuum_max_workers = 1
max_worker_processes = 2
max_wal_senders = 0
wal_level = minimal
log_connections = on
log_disconnections = on
};
my $with = PoolMonitor::new_node('with', extension => 1,
	conf => "$conf\npool_monitor.sample_interval = 50ms\npool_monitor.save_interval = 1s");
my $without = PoolMonitor::new_node('without', preload => 0, conf => $conf);
$without->start;
my @nodes = ($with, $without);

foreach my $node (@nodes)
{
	$node->safe_psql('postgres', q{
		CREATE ROLE joe LOGIN;
		CREATE ROLE secret LOGIN PASSWORD 'right';
		CREATE ROLE full_role LOGIN CONNECTION LIMIT 0;
		CREATE ROLE closed_role NOLOGIN;
		CREATE ROLE unwelcome LOGIN;
		CREATE DATABASE full_db CONNECTION LIMIT 0;
		CREATE DATABASE closed_db ALLOW_CONNECTIONS false;
		CREATE DATABASE private_db;
		REVOKE CONNECT ON DATABASE private_db FROM PUBLIC});
	my $hba = $node->data_dir . '/pg_hba.conf';
	my $rules = slurp_file($hba);

	open(my $file, '>', $hba) || die "$hba: $!";
	print $file "local all unwelcome reject\nlocal all secret password\n$rules";
	close($file);
	$node->reload;
}

# said(NODE, BYTES...): everything that a server answers until it hangs up.
# Each of BYTES after the first is sent after the answer to the one before.
sub said
{
	my ($node, @bytes) = @_;
	my $client = PoolMonitor::Wire->new($node, silent => 1);
	my $said = '';

	$client->send_raw(shift @bytes);
	while (my ($type, $body) = $client->read_message)
	{
		$said .= "$type$body\n";
		last if $type eq 'Z';
		$client->send_raw(shift @bytes) if $type eq 'R' && @bytes;
	}
	$said .= $client->{buffer};
	$client->drop;
	return $said;
}

# Until the answer is the wanted one: a server needs a moment after a reload,
# and for clients that have just gone
sub eventually_said
{
	my ($node, $wanted, @bytes) = @_;
	my $said;

	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		$said = said($node, @bytes);
		last if $said =~ $wanted;
		select(undef, undef, undef, 0.1);
	}
	return $said;
}

# same(LABEL, WANTED, BYTES...)
sub same
{
	my ($label, $wanted, @bytes) = @_;
	my @said = map { eventually_said($_, $wanted, @bytes) } @nodes;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like($said[0], $wanted, "$label: refused");
	is($said[0], $said[1], "$label: in the same words as without the library");
	return;
}

sub startup { return PoolMonitor::Wire::_startup(@_); }

sub packet
{
	my ($body) = @_;
	return pack('N', 4 + length $body) . $body;
}

my $v3 = pack('N', 3 << 16);

same('a role that does not exist', qr/28000/, startup(user => 'nobody'));
same('a database that does not exist', qr/3D000/, startup(user => 'joe', dbname => 'nowhere'));
same('neither exists', qr/28000/, startup(user => 'nobody', dbname => 'nowhere'));
same('a role that may not log in', qr/28000/, startup(user => 'closed_role'));
same('a role that pg_hba.conf rejects', qr/28000/, startup(user => 'unwelcome'));
same('a wrong password', qr/28P01/, startup(user => 'secret'), 'p' . packet("wrong\0"));
same('an empty password', qr/28P01/, startup(user => 'secret'), 'p' . packet("\0"));
same('no password but a query', qr/08P01|28/, startup(user => 'secret'), 'Q' . packet("SELECT 1\0"));
same('a database that takes no connections', qr/55000/, startup(user => 'joe', dbname => 'closed_db'));
same('a database without the privilege', qr/42501/, startup(user => 'joe', dbname => 'private_db'));
same('a role at its limit', qr/53300/, startup(user => 'full_role'));
same('a database at its limit', qr/53300/, startup(user => 'joe', dbname => 'full_db'));
same('no role', qr/28000/, packet($v3 . "database\0postgres\0\0"));
same('an empty role', qr/28000/, packet($v3 . "user\0\0\0"));
same('a start-up packet without its end', qr/08P01/, packet($v3 . "user\0joe"));
same('a replication that is none', qr/22023|42/, packet($v3 . "user\0joe\0replication\0perhaps\0\0"));
same('a protocol that nobody speaks', qr/0A000/, packet(pack('N', 0x12345678)));
same('protocol 2', qr/unsupported frontend protocol/, packet(pack('N', 2 << 16) . "\0" x 288));
same('an option that does not exist', qr/42704/, startup(user => 'joe', options => '-c nonsense=1'));
same('a name of 5,000 bytes', qr/28000/, startup(user => 'n' x 5000, appname => 'a' x 4000));

# What is answered with a bare letter, or with nothing
foreach my $case ([ 'a request for TLS', 0x04d2162f ], [ 'a request for GSSAPI', 0x04d21630 ])
{
	my @answer;

	foreach my $node (@nodes)
	{
		my $client = PoolMonitor::Wire->new($node, silent => 1);

		$client->send_raw(packet(pack('N', $case->[1])));
		sysread($client->{socket}, my $letter, 1);
		push @answer, $letter;
		$client->drop;
	}
	is($answer[0], $answer[1], "$case->[0]: the same answer");
}
same('the cancellation of a statement that is not there', qr/\A\z/, packet(pack('NNN', 0x04d2162e, 1, 2)));
same('a length that is none', qr/\A\z/, "\0\0\0\1");

# No slots: first those for ordinary roles, then all, then no process either
my $observer = PoolMonitor::session($with, appname => 'observer');
my %held = map { $_->name => [] } @nodes;

sub hold
{
	my ($count, $node, @opts) = @_;
	my $held = $held{ $node->name };

	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		last if @$held >= $count;
		my $client = eval { PoolMonitor::Wire->new($node, @opts) };

		push @$held, $client if $client;
		select(undef, undef, undef, 0.1) unless $client;
	}
	return scalar @$held;
}
$_->append_conf('postgresql.conf', 'log_min_messages = warning') foreach @nodes;
is(hold(7, $with, user => 'joe'), 7, 'all ordinary slots are taken');
is(hold(8, $without, user => 'joe'), 8, 'on the other server too');
same('only reserved slots left', qr/53300/, startup(user => 'joe', appname => 'late'));
is(hold(9, $with), 9, 'all slots are taken');
is(hold(10, $without), 10, 'on the other server too');
same('no slot left', qr/C53300\0Msorry/, startup(user => 'joe', appname => 'late'));
same('no slot left, for a role that does not exist', qr/C53300\0Msorry/, startup(user => 'nobody'));
unlike(said($with, startup(user => 'joe')), qr/pool|monitor|\b(7|8|9|10)\b.*connections/, 'and no figure in it');

#
# Names.  With no slot left, anybody's claims are counted before they are
# looked at.
#
my @names = (
	"line\nFORGED LOG:  all is well",
	"return\rFORGED",
	"\e[31mred\e[0m \e]0;title\a",
	'%s%n%d%m %%',
	"na\xc3\xafve",
	"bro\xc3ken \xff\xfe",
	"half of one \xf0\x9f\x98",
	"'; DROP TABLE x; --",
	'<script>alert(1)</script>',
	"x\"} 1\npool_monitor_forged{a=\"b",
	"x\",reason=\"forged",
	'backslash\\',
	'\\"} 1 # {a="b"} 2',
	"# EOF",
	"\x7f\x01\x1f\t",
	'<other>',
	'<insufficient privilege>',
	'${jndi:ldap://x} $(id) `id`',
	'n' x 200,
	"\xc3\xa9" x 100);

foreach my $name (@names)
{
	like(said($with, startup(user => $name, dbname => $name, appname => $name)), qr/53300/, 'a hostile name is refused');
}
my $kept = q{SELECT count(DISTINCT usename) FROM pool_monitor_rejections};
for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
{
	last if $observer->query($kept) >= @names;
	select(undef, undef, undef, 0.1);
}
cmp_ok($observer->query($kept), '>=', scalar @names, 'and counted by the name');
is( $observer->query(q{SELECT count(*) FROM pool_monitor_rejections
		WHERE usename ~ '[\u0080-\uffff]' AND usename <> 'naïve' AND usename !~ '^é+$'}),
	'0', 'what is no text is made some') || diag($observer->query('SELECT usename, convert_to(usename::text, $$UTF8$$) FROM pool_monitor_rejections'));

# The metrics: every line is what it should be, and no series is there twice
my $metrics = $observer->query('SELECT pool_monitor_metrics()');
my $label = qr/[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"/;
my (%series, @bad, %names);

ok(eval { Encode::decode('UTF-8', "$metrics", Encode::FB_CROAK); 1 }, 'the metrics are UTF-8');
foreach my $line (split /\n/, $metrics)
{
	next if $line =~ /^# (?:(?:TYPE|UNIT|HELP) pool_monitor_[a-z_]+ .+|EOF)$/;
	if ($line =~ /^(pool_monitor_[a-z_]+(?:\{(?:$label(?:,$label)*)?\})?) (?:-?[0-9.]+(?:e[-+]?[0-9]+)?)$/)
	{
		push @bad, "twice: $line" if $series{$1}++;
		$names{$1}++ while $line =~ /usename="((?:[^"\\\n]|\\["\\n])*)"/g;
	}
	else
	{
		push @bad, $line;
	}
}
is(join("\n", @bad), '', 'each line of the metrics is well-formed, and none is there twice');
is(scalar(grep { /^pool_monitor_forged/ } keys %series), 0, 'no series is forged');
my %shown = map { $_ => 1 } split /\0/, join("\0", map { my $n = $_; $n =~ s/\\n/\n/g; $n =~ s/\\(["\\])/$1/g; $n } keys %names);
is($metrics =~ /^# EOF$/m && $' eq '', 1, 'the end is where the end is');
is( scalar(grep { $shown{$_} } "x\"} 1\npool_monitor_forged{a=\"b", '\\"} 1 # {a="b"} 2', 'backslash\\', "x\",reason=\"forged"),
	4, 'a name comes back out as it went in');

# Sessions with such names: core makes printable ASCII of application_name
$_->quit foreach map { @$_ } values %held;
%held = ();
PoolMonitor::wait_until($with, "SELECT count(*) < 4 FROM pg_stat_activity WHERE backend_type = 'client backend'", 'they are gone');
foreach my $name (@names)
{
	my $client = PoolMonitor::Wire->new($with, user => 'joe', appname => $name);
	my $pid = $client->pid;

	$client->query("SET application_name = E'" . join('', map { sprintf('\\x%02x', ord) } split //, $name) . "'")
	  if eval { Encode::decode('UTF-8', my $copy = $name, Encode::FB_CROAK); 1 };
	PoolMonitor::wait_until($with, qq{
			SELECT count(*) = 1 FROM pool_monitor_terminate_idle('1 microsecond', usename => 'joe', dry_run => false)
			WHERE pid = $pid AND outcome = 'terminated'},
		'a session of such a name is ended');
	$client->drop;
}
is( $observer->query(q{
		SELECT count(*) FROM (SELECT application_name FROM pool_monitor_applications
		                      UNION SELECT application_name FROM pool_monitor_terminations
		                      UNION SELECT application_name FROM pool_monitor_sessions
		                      UNION SELECT application_name FROM pool_monitor_history()
		                      UNION SELECT top_application FROM pool_monitor_incidents
		                      UNION SELECT application_name FROM pool_monitor_incident_holders()) a
		WHERE application_name !~ '^[ -~]*$'}),
	'0', 'an application is printable wherever it shows');

PoolMonitor::Wire::fill($with, user => 'joe', appname => $names[0]);
PoolMonitor::wait_until($with, 'SELECT count(*) > 0 FROM pool_monitor_incidents', 'there is an incident');

# The log: a line starts with the prefix or, where it goes on, with a tab
my $log = slurp_file($with->logfile);
ok($log =~ /LOG:  terminated session with PID/ && $log =~ /LOG:  connection incident/, 'the log tells of our deeds');
ok($log !~ /^(?:FORGED|pool_monitor_forged)/m, 'no line of it is forged');
my @ours = grep { /(?:LOG|DETAIL):  .*(?:incident|terminated session|spared session|Application "|A login was refused)/ } split /\n/, $log;
is(scalar(grep { /[^ -~\t]/ } @ours), 0, 'no line of ours has a byte that is not printable');
is(scalar(grep { !/^\d{4}-\d\d-\d\d / } @ours), 0, 'each has the prefix');

# The file keeps the names as they are
my $shown = q{SELECT md5(string_agg(concat_ws('|', datname, usename, application_name, rejected), '|' ORDER BY datname, usename, application_name, reason)) FROM pool_monitor_rejections};
my $hash = $observer->query($shown);
$observer->quit;
$with->restart;
is($with->safe_psql('postgres', $shown), $hash, 'hostile names survive a restart');

# And a database of another encoding shows them too
$with->safe_psql('postgres', "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0; CREATE DATABASE bytes ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0");
foreach my $database ('latin', 'bytes')
{
	my ($status, undef, $error) = $with->psql($database,
		'CREATE EXTENSION pool_monitor; SELECT count(*) FROM pool_monitor_rejections; SELECT length(pool_monitor_metrics())');
	is("$status$error", '0', "the database $database shows them");
}
ok(slurp_file($with->logfile) !~ /TRAP|PANIC|XX000/, 'nothing went wrong');
done_testing();
