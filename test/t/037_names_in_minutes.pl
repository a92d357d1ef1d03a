# Applications that come and go within a minute: no transaction of theirs is
# missing in the history.
# Takes as long as it takes until a minute is over, twice.

use strict;
use warnings;

use PoolMonitor;
use Test::More;

my $node = PoolMonitor::new_node('main', extension => 1, conf => <<'CONF');
pool_monitor.max_groups = 10
pool_monitor.sample_interval = '10ms'
autovacuum = off
CONF
$node->safe_psql('postgres', 'CREATE ROLE client LOGIN');
my $observer = PoolMonitor::session($node, appname => 'observer');

# Until the record of the minute that is now is in the history.  The observer
# asks, since the clients of the harness are transactions too.
sub finish_minute
{
	my $end = $observer->query("SELECT date_trunc('minute', clock_timestamp()) + interval '1 minute'");

	$observer->query('SELECT pg_sleep(0.1)')
	  until $observer->query("SELECT last_sample_at >= '$end' FROM pool_monitor_info") eq 't';
	my $samples = $observer->query('SELECT samples FROM pool_monitor_info');
	$observer->query('SELECT pg_sleep(0.1)')
	  until $observer->query("SELECT samples > $samples + 2 FROM pool_monitor_info") eq 't';
	return $end;
}

# In the minutes that begin at a time or later: of all names but those of the
# two sessions that keep theirs
sub in_minutes
{
	return $observer->query(qq{
		SELECT coalesce(sum(transactions), 0)
		FROM pool_monitor_sizing(since => clock_timestamp() - '$_[0]' + interval '1 second')
		WHERE application_name NOT IN ('observer', 'kept')});
}

sub counted
{
	return $observer->query(
		"SELECT sum(transactions) FROM pool_monitor_groups WHERE application_name NOT IN ('observer', 'kept')");
}

# One name keeps its place; the others last as long as a statement or two, and
# a sample sees some of them.
my $kept = PoolMonitor::session($node, appname => 'kept', user => 'client');
my $session = PoolMonitor::session($node, appname => 'first', user => 'client');
my $begin = finish_minute();
my $before = counted();
foreach my $batch (0 .. 9)
{
	$session->query(join('', map { "SET application_name = 'name $_';\nSELECT 1;\n" } $batch * 50 + 1 .. $batch * 50 + 50));
	$session->query('SELECT pg_sleep(0.05)');
	$kept->query('SELECT 1');
}
finish_minute();
cmp_ok(counted() - $before, '>=', 1000, 'there were transactions under 500 names');
is(in_minutes($begin), counted() - $before, 'all of them are in a minute');
is( $observer->query("SELECT transactions FROM pool_monitor_sizing() WHERE application_name = 'kept'"),
	$observer->query("SELECT transactions FROM pool_monitor_applications WHERE application_name = 'kept'"),
	'those of a name that has kept its place as well');
is( $observer->query(
		"SELECT count(*) FROM pool_monitor_sizing() s JOIN pool_monitor_applications a USING (application_name)
		 WHERE s.transactions > a.transactions AND application_name <> 'observer'"),
	'0', 'nothing is there twice');

# More periods than one call makes: an error that says which step would do
$observer->query('SELECT pg_sleep(0.1)')
  until $observer->query("SELECT samples > 11000 FROM pool_monitor_info") eq 't';
foreach my $function ('history', 'utilization')
{
	my ($status, $out, $err) = $node->psql('postgres',
		"SELECT count(*) FROM pool_monitor_$function(NULL, NULL, '1 microsecond')");

	like($err, qr/^psql:<stdin>:1: ERROR:  "step" makes more than 10000 periods\nHINT:  A step of (\d+) s would do, or a shorter time\.$/,
		"$function has no end of periods");
	$err =~ /A step of (\d+ s)/;
	cmp_ok($observer->query("SELECT count(*) FROM pool_monitor_$function(NULL, NULL, '$1')"), '>', 50, "the step that it names does");
	cmp_ok($observer->query("SELECT count(*) FROM pool_monitor_$function(now() - interval '1 minute', NULL, '1 microsecond')"),
		'>', 1000, 'so does a shorter time');
}

$_->quit foreach ($kept, $session, $observer);
$node->stop;

done_testing();
