# Minutes that are longer than a minute, since no samples were taken: their
# figures are those of the time that they cover.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../modules";

use PoolMonitor;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TestModule;
use Time::HiRes qw(time);

# AddressSanitizer needs LD_PRELOAD for itself
if (($ENV{PROFILE} || '') =~ /sanitize=address/)
{
	pass('AddressSanitizer allows no other clock');
	done_testing();
	exit;
}

my $node = PoolMonitor::new_node('minutes', conf => q{
autovacuum = off
pool_monitor.sample_interval = '1min'});

# Time passes for the server as we say; a sample that is due by then is taken
# when it reloads
my $offset_file = PostgreSQL::Test::Utils::tempdir() . '/offset';
my $clock = TestModule::build('clock');
open(my $offset, '>', $offset_file) || die "open: $!";
binmode $offset;

my $passed = 0;

sub pass_time
{
	$passed += $_[0];
	sysseek($offset, 0, 0);
	syswrite($offset, pack('qq', ($passed * 1e6) x 2)) == 16 || die "write: $!";
	return;
}

pass_time(0);
{
	local $ENV{LD_PRELOAD} = join ':', grep { $_ } $ENV{LD_PRELOAD}, $clock;
	local $ENV{CLOCK_OFFSET} = $offset_file;
	$node->start;
}
$node->append_conf('postgresql.conf', "timing_clock_source = 'system'\n")
  if $node->safe_psql('postgres', "SELECT count(*) FROM pg_settings WHERE name = 'timing_clock_source'");
$node->reload;
$node->safe_psql('postgres', 'CREATE EXTENSION pool_monitor');
my $observer = PoolMonitor::session($node, appname => 'observer');
my $client = PoolMonitor::session($node, appname => 'client');

# The server's time, in seconds
sub now { return time + $passed; }

my $last_sample = 0;

# sample_after(SECONDS): takes the next sample so long after the last one.
# Returns the most that really passed between them.
sub sample_after
{
	my ($seconds) = @_;
	my $samples = $observer->query('SELECT samples FROM pool_monitor_info');
	my $deadline = time + 180;
	my $since = $last_sample;

	pass_time($seconds - (now() - $last_sample)) if now() < $last_sample + $seconds;
	$last_sample = now();
	$node->reload;
	until ($observer->query("SELECT samples > $samples FROM pool_monitor_info") eq 't')
	{
		die 'no sample' if time > $deadline;
		$observer->query('SELECT pg_sleep(0.01)');
	}
	return now() - $since;
}

sub sized
{
	my $row = $observer->query(
		"SELECT transactions, arrival_rate, offered_load, coalesce(note, '') FROM pool_monitor_sizing() WHERE application_name = 'client'");

	return split /\|/, $row, -1;
}

# transactions(N): as short as can be, but for a moment of sleep
sub transactions
{
	my ($n) = @_;

	$client->query("DO \$\$ BEGIN FOR i IN 1 .. $n LOOP PERFORM pg_sleep(0.0001); COMMIT; END LOOP; END \$\$");
	return;
}

# What was counted begins with a sample, and ends with that after a minute.  On a
# busy machine that may take more of them.
my ($transactions, $rate, $load, $note, $length);

$last_sample = now();
sample_after(61);
do
{
	transactions(1200);
	$length = sample_after(61);
	($transactions, $rate, $load, $note) = sized();
} while ($length > 66);
cmp_ok($transactions, '>=', 1200, 'the transactions of a minute are there');
cmp_ok($rate, '<=', 1210 / 60, 'divided by no less than that');
cmp_ok($rate, '>=', 1200 / 66, 'nor by much more');
is($note, '', 'nothing is to be said of that');
my $whole = $rate;

# Five minutes without a sample, with more transactions in all, but fewer a minute
transactions(3000);
sample_after(300);
sample_after(61);
($transactions, $rate, $load, $note) = sized();
cmp_ok($transactions, '>=', 4200, 'those of five minutes without a sample are there');
is("$rate $note", "$whole ", 'but the whole minute was busier');
cmp_ok($load, '<', 1, 'one connection alone is below one erlang');

# Ten minutes with more of them a minute: busier, and noted
transactions(24000);
$length = sample_after(600);
sample_after(61);
($transactions, $rate, $load, $note) = sized();
cmp_ok($rate, '>', $whole, 'a longer time can be the busiest');
cmp_ok($rate, '>=', 24000 / $length, 'with its average');
cmp_ok($rate, '<=', 24010 / 600, 'and no more');
like($note, qr/average of a longer time/, 'of which the note tells');

done_testing();
