# Files that can not be used, saving that does not work, and other sizes.  The
# server always starts, and shows nothing that is wrong.  (test_stats_file.c
# goes through every length and byte.)

use strict;
use warnings;

use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PoolMonitor::new_node('damaged',
	extension => 1,
	conf => q{
autovacuum = off
pool_monitor.sample_interval = 20ms
pool_monitor.save_interval = 1h});
my $folder = $node->data_dir . '/pg_stat';
my $file = "$folder/pool_monitor.stat";
$node->safe_psql('postgres', 'CREATE ROLE joe LOGIN; CREATE ROLE filler LOGIN');

sub value
{
	my ($query) = @_;
	return $node->safe_psql('postgres', $query);
}

sub work
{
	my (@names) = @_;
	my @clients = map { PoolMonitor::Wire->new($node, user => 'joe', appname => $_) } @names;
	my $samples = value('SELECT samples FROM pool_monitor_info');

	PoolMonitor::wait_until($node, "SELECT samples > $samples + 3 FROM pool_monitor_info", 'they are sampled');
	$_->quit foreach @clients;
	return;
}

my $known = q{
	SELECT (SELECT count(*) FROM pool_monitor_applications WHERE application_name = 'work'),
		(SELECT count(DISTINCT application_name) FROM pool_monitor_history(NULL, NULL) WHERE application_name = 'work'),
		(SELECT count(*) FROM pool_monitor_incidents), rejected FROM pool_monitor_status};

work('work');
PoolMonitor::Wire::fill($node, user => 'filler', appname => 'refused');
PoolMonitor::wait_until($node, 'SELECT count(*) = 1 FROM pool_monitor_incidents', 'there is an incident');
is(value($known), '1|1|1|1', 'there is something to lose');
$node->stop;
my $good = slurp_file($file);

# comes_up(EXPECTED, REASON, LABEL): starts, shows what is expected, and says
# why nothing else; then stops again with the good file in place
sub comes_up
{
	my ($reason, $label) = @_;
	my $log = -s $node->logfile;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($node->start(fail_ok => 1), "the server starts: $label");
	is(value($known), '0|0|0|0', 'and shows nothing of the file');
	is(value('SELECT restored_from IS NULL FROM pool_monitor_info'), 't', 'nor claims to');
	like(slurp_file($node->logfile, $log), qr/WARNING:  statistics file "pg_stat\/pool_monitor.stat" $reason/,
		'a WARNING says why');
	ok(-e "$file.bad" && !-e $file, 'the file is kept under another name');
	$node->stop;
	if (-d "$file.bad") { rmdir "$file.bad"; } else { unlink "$file.bad"; }
	unlink $file;
	return;
}

sub write_file
{
	my ($contents) = @_;

	open(my $handle, '>:raw', $file) || die "$file: $!";
	print $handle $contents;
	close($handle) || die "$file: $!";
	return;
}

write_file(substr($good, 0, length($good) / 2));
comes_up('has an incorrect checksum', 'a file that was cut in half');
write_file('');
comes_up('is too short', 'an empty file');
substr(my $flipped = $good, length($good) - 1000, 1) ^= "\x10";
write_file($flipped);
comes_up('has an incorrect checksum', 'a file with one bit changed');
srand 1;
write_file(join '', map { chr int rand 256 } 1 .. 100_000);
comes_up('is not a file of pool_monitor', 'a random file');
substr(my $older = $good, 8, 4) = pack('L', 0);
write_file($older);
comes_up('has another format version', 'a file of an older format');
mkdir $file;
comes_up('is not a regular file', 'a folder in its place');
write_file($good);
chmod 0000, $file;
comes_up('could not be opened: Permission denied', 'a file that can not be read');

write_file($good);
$node->start;
is(value($known), '1|1|1|1', 'the good file is still good');
ok(!-e "$file.bad", 'and is not put aside');

PoolMonitor::set_and_reload($node, 'pool_monitor.save_interval' => '1s');
PoolMonitor::wait_until($node, 'SELECT saved_at > started_at FROM pool_monitor_info', 'the worker saves');
my $log = -s $node->logfile;
mkdir "$file.tmp";
PoolMonitor::wait_until($node, 'SELECT save_failures >= 3 FROM pool_monitor_info', 'failures to save are counted');
my $saved_at = value('SELECT saved_at FROM pool_monitor_info');
is(PoolMonitor::log_lines($node, $log, qr/WARNING:  could not save statistics to file .*: Is a directory/), 1, 'one WARNING says why');
my $samples = value('SELECT samples FROM pool_monitor_info');
PoolMonitor::wait_until($node, "SELECT samples > $samples FROM pool_monitor_info", 'it samples on');
is(value($known), '1|1|1|1', 'the figures in memory are there');
rmdir "$file.tmp";
PoolMonitor::wait_until($node, "SELECT saved_at > '$saved_at' FROM pool_monitor_info", 'it saves when it can again');
is(PoolMonitor::log_lines($node, $log, qr/LOG:  statistics are saved to file .* again/), 1, 'the log says so');
is(PoolMonitor::log_lines($node, $log, qr/WARNING/), 1, 'there was no other WARNING');

# A full disk: a device that is
my $failures = value('SELECT save_failures FROM pool_monitor_info');
$log = -s $node->logfile;
symlink('/dev/full', "$file.tmp") || die "symlink: $!";
PoolMonitor::wait_until($node, "SELECT save_failures > $failures FROM pool_monitor_info", 'saving fails on a full disk');
$saved_at = value('SELECT saved_at FROM pool_monitor_info');
PoolMonitor::wait_until($node, "SELECT saved_at > '$saved_at' FROM pool_monitor_info",
	'and works when there is space again');
is(PoolMonitor::log_lines($node, $log, qr/WARNING:  could not save statistics to file .*: No space left on device/), 1,
	'one WARNING says why');
is(PoolMonitor::log_lines($node, $log, qr/LOG:  statistics are saved to file .* again/), 1, 'one line says that it works again');

# A folder that can not be written
$failures = value('SELECT save_failures FROM pool_monitor_info');
$log = -s $node->logfile;
my $size = -s $file;
chmod 0500, $folder;
PoolMonitor::wait_until($node, "SELECT save_failures >= $failures + 2 FROM pool_monitor_info", 'saving fails in a folder that can not be written');
is(PoolMonitor::log_lines($node, $log, qr/WARNING:  could not save statistics to file .*: Permission denied/), 1, 'one WARNING says why');
ok(-s $file, 'the last good file is still there');
$node->stop('immediate');
chmod 0700, $folder;
$node->start;
is(value($known), '1|1|1|1', 'and good');

# Other sizes
PoolMonitor::set_and_reload($node, 'pool_monitor.save_interval' => '1h');
work(map { "app $_" } 1 .. 30);
my $all = value('SELECT sum(samples) FROM pool_monitor_utilization(NULL, NULL)');
sub restart_with
{
	my ($name, $value) = @_;

	value("ALTER SYSTEM SET pool_monitor.$name = '$value'");
	$log = -s $node->logfile;
	$node->restart;
	is(PoolMonitor::log_lines($node, $log, qr/WARNING/), 0, "restarted with $name = $value, without a WARNING");
	return;
}

my $now = value('SELECT clock_timestamp()');
my $history = "SELECT sum(samples) FROM pool_monitor_utilization(NULL, '$now')";
my $apps = "SELECT count(DISTINCT application_name) FROM pool_monitor_history(NULL, '$now') WHERE application_name LIKE 'app %'";
$all = value($history);
restart_with(history_size => '32MB');
is(value($history), $all, 'a larger history keeps all');
is(value($apps), '30', 'of each application');
restart_with(max_groups => 5000);
is(value($history), $all, 'so do more groups');
is(value($apps), '30', 'of each application');
is(value("SELECT count(*) FROM pool_monitor_applications WHERE application_name LIKE 'app %' AND sessions = 1"), '30',
	'with their counters');
restart_with(history_size => '1MB');
cmp_ok(value($history), '>', 0, 'a smaller history keeps what fits');
my $sums = 'SELECT sum(sessions) FROM pool_monitor_groups WHERE usename = $$joe$$';
is(value($sums), '31', 'all sessions are counted');

# The groups used last are kept, in counters and in history
my $last = PoolMonitor::Wire->new($node, user => 'joe', appname => 'app 30');
my $seen = value('SELECT samples FROM pool_monitor_info');
PoolMonitor::wait_until($node, "SELECT samples > $seen + 3 FROM pool_monitor_info", 'an application is used last');
$last->quit;
restart_with(max_groups => 10);
is(value('SELECT groups <= 10 AND max_groups = 10 FROM pool_monitor_info'), 't', 'fewer groups are kept');
is(value($sums), '32', 'no session is lost: the rest is in <other>');
is(value("SELECT sessions FROM pool_monitor_applications WHERE application_name = 'app 30'"), '2',
	'the group used last is kept');
is(value("SELECT count(*) > 0 FROM pool_monitor_history(NULL, NULL) WHERE application_name = 'app 30'"), 't',
	'and its history');
is( value(q{
		SELECT bool_and(u.connections_max >= h.connections) FROM pool_monitor_utilization(NULL, NULL, '1 us') u
		  JOIN (SELECT period_start, sum(connections_max) AS connections
		          FROM pool_monitor_history(NULL, NULL, '1 us') GROUP BY 1) h USING (period_start)}),
	't', 'what is left of the others adds up');

$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC/, 'no assertion failed');

done_testing();
