# pool_monitor.metrics_file: the metrics as a file for node_exporter, which has
# them also when nobody can connect.
use strict;
use warnings;

use File::Path qw(make_path);
use PoolMonitor;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

# What Prometheus' text format 0.0.4 says of each line, as node_exporter takes it
my $name = qr/[a-zA-Z_:][a-zA-Z0-9_:]*/;
my $escaped = qr/(?:[^\n"\\]|\\[\\"n])*/;
my $label = qr/[a-zA-Z_][a-zA-Z0-9_]*="$escaped"/;
my $number = qr/-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?/;
my %suffixes = (gauge => [''], counter => [''], histogram => [ '_bucket', '_count', '_sum' ]);

# parse(TEXT): all series with their values; dies where the text is not of the format
sub parse
{
	my ($text) = @_;
	my (%series, %type, $family);

	die 'the end of a line is missing' unless $text =~ /\n\z/;
	foreach my $line (split /\n/, $text)
	{
		if ($line =~ /^# TYPE ($name) (gauge|counter|histogram)$/)
		{
			($family, my $kind) = ($1, $2);
			die "twice: $family" if exists $type{$family};
			die "name of a counter: $family" if $kind eq 'counter' && $family !~ /_total$/;
			$type{$family} = $kind;
		}
		elsif ($line =~ /^# HELP ($name) $escaped$/)
		{
			die "help: $line" unless $1 eq $family;
		}
		elsif ($line =~ /^(($name)(?:\{$label(?:,$label)*\})?) $number$/)
		{
			my ($sample, $series) = ($2, $1);
			die "not of $family: $line" unless grep { $sample eq $family . $_ } @{ $suffixes{ $type{$family} } };
			die "twice: $series" if exists $series{$series};
			($series{$series}) = $line =~ /(\S+)$/;
		}
		else
		{
			die "not of the format: $line";
		}
	}
	return \%series;
}

# The file's series, undef while there is none
sub read_file
{
	my ($file) = @_;

	return undef unless -e $file;
	return parse(slurp_file($file));
}

# becomes(LABEL, CONDITION): waits until it is true
sub becomes
{
	my ($fact, $condition) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	foreach (1 .. 1800)
	{
		return pass($fact) if $condition->();
		usleep(100_000);
	}
	return fail($fact);
}

# The file has been written from the beginning since, and is good
sub is_rewritten
{
	my ($file, $fact) = @_;
	my $before = -e $file ? read_file($file)->{pool_monitor_last_metrics_timestamp_seconds} // 0 : 0;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return becomes($fact, sub { my $now = read_file($file); $now && ($now->{pool_monitor_last_metrics_timestamp_seconds} // 0) > $before });
}

my $folder = PostgreSQL::Test::Utils::tempdir();
my $file = "$folder/pool_monitor.prom";
my $node = PoolMonitor::new_node(
	'main',
	init => [ allows_streaming => 1, extra => [ '--encoding=UTF8', '--locale=C' ] ],
	extension => 1,
	conf => qq{
max_connections = 20
superuser_reserved_connections = 2
max_prepared_transactions = 5
autovacuum = off
restart_after_crash = on
pool_monitor.pools = 'api: application=api size=2'
pool_monitor.metrics_interval = 1s});

sub value
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

my $writers = q{FROM pg_stat_activity WHERE backend_type = 'pool_monitor metrics'};

# Not asked for
is(value("SELECT count(*) $writers"), '0', 'who asks for no file has no process for it');
is(value('SELECT metrics_written_at IS NULL AND metrics_failures = 0 FROM pool_monitor_info'), 't', 'nothing was written');
foreach my $bad ("$folder/", '/', '.', "$folder/..", 'x' x 1020)
{
	my ($status, undef, $error) = $node->psql('postgres', "ALTER SYSTEM SET pool_monitor.metrics_file = '$bad'");
	isnt($status, 0, substr($bad, 0, 20) . ' is refused');
	like($error, qr/DETAIL:  It is (the name of a folder|too long)\./, 'and it says why');
}

# The file
my @api = map { PoolMonitor::session($node, appname => 'api') } 1 .. 2;
my $odd = PoolMonitor::session($node, appname => "} 1\\n# EOF \"it's\" \\");
$_->query('BEGIN') foreach @api;
PoolMonitor::set_and_reload($node, 'pool_monitor.metrics_file' => $file);
becomes('the file appears', sub { -e $file });
my $series = read_file($file);
is(sprintf('%04o', (stat $file)[2] & 07777), '0644', 'anybody may read it');
PoolMonitor::wait_until($node, 'SELECT metrics_written_at IS NOT NULL FROM pool_monitor_info', 'that shows in pool_monitor_info');
becomes('the figures are those of now', sub {
		$series = read_file($file);
		($series->{'pool_monitor_pool_connections{pool="api",state="checked_out"}'} // 0) == 2
		  && ($series->{pool_monitor_last_metrics_timestamp_seconds} // 0) > 0;
});
my $text = value('SELECT pool_monitor_metrics()');
my @asked = grep { !/^#/ } split /\n/, $text;
s/ \S+$// foreach @asked;
my %in_file = map { $_ => 1 } keys %$series;
my $own = qr/application_name="(?!api|\})/;    # whoever asks has some of its own
is_deeply([ grep { !$in_file{$_} && !/$own/ } @asked ], [], 'it has all series of pool_monitor_metrics()');
my %is_asked = map { $_ => 1 } @asked;
is_deeply([ grep { !$is_asked{$_} && !/$own/ } sort keys %in_file ], [], 'and no other');
foreach my $stable ('pool_monitor_max_connections', 'pool_monitor_memory_bytes', 'pool_monitor_worker_up',
	'pool_monitor_preloaded', 'pool_monitor_pool_size{pool="api"}', 'pool_monitor_rejected_total{reason="role_limit"}')
{
	my ($value) = $text =~ /^\Q$stable\E (\S+)$/m;
	is($series->{$stable}, $value, "$stable is the same");
}
is( scalar(grep { /application_name="\} 1\\\\n# EOF \\"it's\\" \\\\"/ && /state="idle"/ } keys %$series),
	1, 'a hostile name is a name');
is(`promtool check metrics <$file 2>&1`, '', 'promtool has no remark') if grep { -x "$_/promtool" } split /:/, $ENV{PATH};

# The process
is(value("SELECT datname, state, query, backend_xid IS NULL AND backend_xmin IS NULL AND xact_start IS NULL $writers"),
	'postgres|idle|writing metrics|t', 'the writer shows as idle and holds nothing');
is( value(q{SELECT connections FROM pool_monitor_status}),
	value(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'}),
	'it is no connection');
is(value(q{SELECT count(*) FROM pool_monitor_applications WHERE application_name = 'pool_monitor metrics'}), '0', 'and no application');
value('CREATE DATABASE other');
value('CREATE DATABASE copy TEMPLATE template1');
value("DROP DATABASE $_") foreach ('other', 'copy');
pass('other databases can be made and dropped');

# No slot is left
my @fill;
while (@fill < 30)
{
	my $filler = eval { PoolMonitor::session($node, appname => 'filler') };
	last unless $filler;
	push @fill, $filler;
}
ok(!eval { PoolMonitor::session($node) }, 'nobody can connect');
is_rewritten($file, 'the file is written on');
becomes('it says that there is no connection', sub { read_file($file)->{pool_monitor_available_connections} == 0 });
is(read_file($file)->{'pool_monitor_status{status="exhausted"}'}, 1, 'and that the server is exhausted');
cmp_ok(read_file($file)->{'pool_monitor_rejected_total{reason="too_many_clients"}'} , '>=', 2, 'and who was refused');
is_rewritten($file, 'again and again');
$_->quit foreach @fill;
PoolMonitor::wait_until($node, 'SELECT count(*) < 6 FROM pool_monitor_sessions', 'those are gone');

# What takes a statement
$api[0]->query("PREPARE TRANSACTION 'forgotten'");
is_rewritten($file, 'a prepared transaction does no harm');
$api[0]->query("ROLLBACK PREPARED 'forgotten'");

# The writer is ended, and comes back
my $pid = value("SELECT pid $writers");
value("SELECT pg_terminate_backend($pid)");
PoolMonitor::wait_until($node, "SELECT count(*) = 1 AND min(pid) <> $pid $writers", 'another writer comes');
becomes('with a file', sub { -e $file });
my $log = -s $node->logfile;
value("SELECT pg_cancel_backend(pid) $writers");
is_rewritten($file, 'there is nothing to cancel');
is(PoolMonitor::log_lines($node, $log, qr/canceling/), 0, 'and no error');

# Waits for a lock in its transaction
my $locker = PoolMonitor::session($node, appname => 'locker');
$locker->query('BEGIN; LOCK TABLE pg_database, pg_authid IN ACCESS EXCLUSIVE MODE');
becomes('a writer that waits for a lock', sub { $locker->query("SELECT count(*) FROM pg_locks WHERE NOT granted") ne '0' });
$locker->query('ROLLBACK');
$locker->quit;
is_rewritten($file, 'goes on after that');

# Another file, or none
my $other = "$folder/other.prom";
PoolMonitor::set_and_reload($node, 'pool_monitor.metrics_file' => $other);
becomes('another name takes effect by a reload', sub { -e $other });
ok(!-e $file, 'the file before it is gone');
PoolMonitor::set_and_reload($node, 'pool_monitor.metrics_interval' => '1h');
is(value("SELECT count(*) $writers"), '1', 'the writer stays');
PoolMonitor::set_and_reload($node, 'pool_monitor.metrics_interval' => '1s');
is_rewritten($other, 'a shorter interval takes effect by a reload');
PoolMonitor::set_and_reload($node, 'pool_monitor.metrics_file' => '');
PoolMonitor::wait_until($node, "SELECT count(*) = 0 $writers", 'without a name the process ends');
becomes('and the file is gone', sub { !-e $other });
is_deeply([ map { s!.*/!!r } glob "$folder/*" ], [], 'nothing is left');

# A path from the data directory
PoolMonitor::set_and_reload($node, 'pool_monitor.metrics_file' => 'metrics.prom');
becomes('a relative path is one from the data directory', sub { -e $node->data_dir . '/metrics.prom' });
PoolMonitor::set_and_reload($node, 'pool_monitor.metrics_file' => $file);
becomes('and back', sub { -e $file && !-e $node->data_dir . '/metrics.prom' });

# A folder that is missing, one that can not be written, a full disk, something in the way
make_path("$folder/sub");
my %trouble = (
	'a folder that is missing' => [ 'No such file or directory', sub { rename "$folder/sub", "$folder/away" }, sub { rename "$folder/away", "$folder/sub" } ],
	'a folder that can not be written' => [ 'Permission denied', sub { chmod 0500, "$folder/sub" }, sub { chmod 0700, "$folder/sub" } ],
	'a folder in its place' => [ 'Is a directory', sub { unlink "$folder/sub/a.prom" until mkdir "$folder/sub/a.prom" }, sub { rmdir "$folder/sub/a.prom" } ],
	'a folder at the temporary name' => [ 'File exists', sub { mkdir "$folder/sub/a.prom.tmp" }, sub { rmdir "$folder/sub/a.prom.tmp" } ]);
PoolMonitor::set_and_reload($node, 'pool_monitor.metrics_file' => "$folder/sub/a.prom");
becomes('the file is elsewhere', sub { -e "$folder/sub/a.prom" });
foreach my $what (sort keys %trouble)
{
	my ($why, $break, $mend) = @{ $trouble{$what} };
	my $failures = value('SELECT metrics_failures FROM pool_monitor_info');

	$log = -s $node->logfile;
	$break->();
	PoolMonitor::wait_until($node, "SELECT metrics_failures >= $failures + 2 FROM pool_monitor_info", "$what: failures are counted");
	is(PoolMonitor::log_lines($node, $log, qr/WARNING:  could not write metrics to file "[^"]*a\.prom": $why/), 1, 'one WARNING says why');
	is(PoolMonitor::log_lines($node, $log, qr/WARNING/), 1, 'and no more than that');
	$mend->();
	becomes('it is written when it can be again', sub { -f "$folder/sub/a.prom" && !-e "$folder/sub/a.prom.tmp" });
	is_rewritten("$folder/sub/a.prom", 'and on');
	is(PoolMonitor::log_lines($node, $log, qr/LOG:  metrics are written to file "[^"]*a\.prom" again/), 1, 'a line says so');
}
like(slurp_file("$folder/sub/a.prom"), qr/^pool_monitor_metrics_failures_total [1-9]/m, 'the metrics count them, too');

# A link that somebody has put there
append_to_file("$folder/victim", 'precious');
PoolMonitor::set_and_reload($node, 'pool_monitor.metrics_file' => $file);
becomes('back again', sub { -e $file });
foreach (1 .. 3)
{
	symlink("$folder/victim", "$file.tmp") || diag("symlink: $!");
	is_rewritten($file, 'a link at the temporary name is no obstacle');
}
is(slurp_file("$folder/victim"), 'precious', 'and no link is followed');

# Never half
my ($reads, $texts) = (0, {});
foreach (1 .. 200_000)
{
	my $read = slurp_file($file);
	$reads++;
	$texts->{$read} = 1 unless exists $texts->{$read};
	last if keys %$texts >= 8;
	usleep(200);
}
is(scalar(grep { !eval { parse($_); 1 } || $_ !~ /^# HELP pool_monitor_held_connections [^\n]*\n\z/m } keys %$texts), 0,
	"each of the " . keys(%$texts) . " files that $reads reads have seen is whole");

$_->quit foreach (@api, $odd);

# No place for another worker: one is core's own, one takes the samples
value('ALTER SYSTEM SET max_worker_processes = 2');
$log = -s $node->logfile;
$node->restart;
PoolMonitor::wait_until($node, 'SELECT metrics_failures >= 2 FROM pool_monitor_info', 'without a place for it the failures are counted');
is(PoolMonitor::log_lines($node, $log, qr/WARNING:  no background worker could be started to write metrics/), 1, 'one WARNING says so');
ok(!-e $file, 'and there is no file');
value('ALTER SYSTEM RESET max_worker_processes');
$node->restart;

# Crashes, of another process and of its own
becomes('the file is there after a restart', sub { -e $file });
foreach my $whom ("SELECT pid FROM pg_stat_activity WHERE backend_type = 'background writer'", "SELECT pid $writers")
{
	my $victim;

	becomes('there is a writer', sub { ($victim = value($whom)) ne '' && value("SELECT count(*) $writers") eq '1' });
	my $before = value('SELECT started_at FROM pool_monitor_info');
	kill 'KILL', $victim;
	$node->poll_query_until('postgres', "SELECT started_at > '$before' FROM pool_monitor_info");
	PoolMonitor::wait_until($node, "SELECT count(*) = 1 $writers", 'after a crash there is a writer again');
	PoolMonitor::wait_until($node, 'SELECT metrics_written_at IS NOT NULL FROM pool_monitor_info', 'that writes');
}
is_rewritten($file, 'and goes on');

# The worker that starts it is ended
$pid = value("SELECT pid $writers");
value('SELECT pg_terminate_backend(worker_pid) FROM pool_monitor_info');
PoolMonitor::wait_until($node, 'SELECT worker_pid IS NOT NULL FROM pool_monitor_info', 'the other worker was ended and is back');
is(value("SELECT pid $writers"), $pid, 'the writer has stayed');

# A standby
value("ALTER SYSTEM SET pool_monitor.metrics_file = 'metrics.prom'");
value("ALTER SYSTEM SET default_transaction_isolation = 'serializable'");
$node->reload;
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
unlink $standby->data_dir . '/metrics.prom';
$standby->start;
$file = $standby->data_dir . '/metrics.prom';
becomes('a standby writes its own', sub { -e $file });
is_rewritten($file, 'again and again');
unlike(slurp_file($standby->logfile), qr/WARNING|ERROR/, 'without trouble');
$standby->promote;
is_rewritten($file, 'through a promotion');
$standby->stop;
ok(!-e $file, 'and removes it at its shutdown');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET default_transaction_isolation');

# Its own database: from 19 on it gives way
$file = $node->data_dir . '/metrics.prom';
if (value('SHOW server_version_num') >= 190000)
{
	is_rewritten($file, 'it is connected to a database');
	is($node->psql('template1', 'CREATE DATABASE copy TEMPLATE postgres'), 0, 'which can be copied');
	PoolMonitor::wait_until($node, "SELECT count(*) = 1 $writers", 'the writer comes back', 'template1');
}

# Databases that can not be connected to
PoolMonitor::set_and_reload($node, 'pool_monitor.metrics_file' => '');
PoolMonitor::wait_until($node, "SELECT count(*) = 0 $writers", 'the writer ends');
$node->safe_psql('template1', 'ALTER DATABASE postgres ALLOW_CONNECTIONS false');
$node->safe_psql('template1', q{ALTER SYSTEM SET pool_monitor.metrics_file = 'metrics.prom'});
$node->reload;
becomes('a database that allows no connections is no obstacle', sub { -e $file });
$node->safe_psql('template1', q{ALTER SYSTEM SET pool_monitor.metrics_file = ''});
$node->reload;
$node->poll_query_until('template1', "SELECT count(*) = 0 $writers");
becomes('the file goes', sub { !-e $file });
$node->safe_psql('template1', 'ALTER DATABASE postgres ALLOW_CONNECTIONS true');
$node->safe_psql('template1', 'ALTER DATABASE postgres RENAME TO renamed');
$log = -s $node->logfile;
$node->safe_psql('template1', q{ALTER SYSTEM SET pool_monitor.metrics_file = 'metrics.prom'});
$node->reload;
becomes('nor is one that is not there', sub { -e $file });
is_rewritten($file, 'the file is written without it');
ok(scalar(grep { /^pool_monitor_connections\{datname="renamed"/ } keys %{ read_file($file) }), 'with all names');
is(PoolMonitor::log_lines($node, $log, qr/LOG:  metrics are written without a connection to database "postgres"/), 1, 'and the log says so once');

# Shutdown
my $start = time;
$node->stop('fast');
cmp_ok(time - $start, '<', 30, 'a shutdown does not wait for it');
ok(!-e $file, 'and leaves no file');

done_testing();
