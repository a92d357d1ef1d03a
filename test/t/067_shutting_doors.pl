# Logins that the server refuses since it is shutting down, starting or
# recovering (57P03) are no rejections, and confuse no count; and a shutdown
# goes through whatever the file does.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../modules";

use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TestModule;
use Time::HiRes qw(time usleep);

my $node = PoolMonitor::new_node('doors',
	extension => 1,
	conf => q{
restart_after_crash = on
autovacuum = off
max_connections = 10
pool_monitor.sample_interval = 20ms
pool_monitor.save_interval = 1h});
$node->safe_psql('postgres', 'CREATE ROLE joe LOGIN; CREATE ROLE nobody LOGIN CONNECTION LIMIT 0');
TestModule::install_check($node);

# try_to_log_in(): the SQLSTATE that the server answers with, or ''
sub try_to_log_in
{
	my $client = eval { PoolMonitor::Wire->new($node, silent => 1, user => 'joe', appname => 'late') };
	my $result = $client ? eval { $client->log_in } : undef;

	$client->quit if $result && $result->{ready};
	return $result && $result->{sqlstate} ? $result->{sqlstate} : '';
}

PoolMonitor::Wire->new($node, silent => 1, user => 'nobody', appname => 'refused')->log_in foreach 1 .. 2;
my $session = PoolMonitor::Wire->new($node, appname => 'stays');
$session->query('SELECT 1') foreach 1 .. 3;
my $rejections = 'SELECT s.rejected, r.* FROM pool_monitor_status s, pool_monitor_rejections r';
my $expected = $node->safe_psql('postgres', $rejections);
like($expected, qr/^2\|postgres\|nobody\|refused\|role_limit\|2\|/, 'two logins were rejected');

# A smart shutdown, while a session stays.  It asks from within.
sub asks
{
	my ($query) = @_;
	my $result = $session->query($query);
	return join '|', map { defined $_ ? $_ : '' } @{ $result->{rows}[0] || [] };
}

kill 'TERM', slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
ok($node->wait_for_log(qr/received smart shutdown request/, 0) > 0, 'the server shuts down when the session leaves');
my @answers = map { try_to_log_in() } 1 .. 30;
is_deeply([ grep { $_ ne '57P03' } @answers ], [], 'it refuses logins meanwhile');
my ($samples) = asks('SELECT samples FROM pool_monitor_info');
my $deadline = time + 180;
usleep(20_000) until asks("SELECT samples >= $samples + 5 FROM pool_monitor_info") eq 't' || time > $deadline;
is(asks("SELECT samples >= $samples + 5 FROM pool_monitor_info"), 't', 'samples go on');
is(asks('SELECT rejected, connections, current_incident FROM pool_monitor_status'), '2|1|', 'those logins count as nothing');
is(asks('SELECT count(*) FROM pool_monitor_rejections'), '1', 'under no name either');
$session->quit;
for (1 .. 3600)
{
	last unless -e $node->data_dir . '/postmaster.pid';
	usleep(50_000);
}
ok(!-e $node->data_dir . '/postmaster.pid', 'the server is down when it has left');
$node->_update_pid(0);

$node->start;
is($node->safe_psql('postgres', $rejections), $expected, 'the rejections are kept as they were');
is( $node->safe_psql('postgres', q{SELECT sessions, connections, sessions_abandoned FROM pool_monitor_applications WHERE application_name = 'stays'}),
	'1|0|0', 'so is the session that was the last to leave');
TestModule::settles($node, 'after a smart shutdown');

# A crash, with logins all the time
$node->safe_psql('postgres', q{ALTER SYSTEM SET pool_monitor.save_interval = '1s'});
$node->reload;
PoolMonitor::wait_until($node, 'SELECT saved_at > restored_from FROM pool_monitor_info', 'it saves');
my $victim = PoolMonitor::Wire->new($node, appname => 'victim');
my %answers;
kill 'KILL', $victim->pid;
$deadline = time + 180;
my $log = -s $node->logfile;
# until some were refused, and the server is back
$answers{ try_to_log_in() }++
  until ($answers{'57P03'} && slurp_file($node->logfile, $log) =~ /ready to accept connections/) || time > $deadline;
cmp_ok($answers{'57P03'}, '>', 0, "logins during a crash recovery are refused ($answers{'57P03'})");
is($answers{'53300'}, undef, 'none for want of a connection');
PoolMonitor::wait_until($node, 'SELECT samples > 3 FROM pool_monitor_info', 'the server is back');
is($node->safe_psql('postgres', $rejections), $expected, 'the rejections are as they were');
TestModule::settles($node, 'after a crash');

# A shutdown that can not save keeps what was saved last
my $file = $node->data_dir . '/pg_stat/pool_monitor.stat';
$node->safe_psql('postgres', q{ALTER SYSTEM SET pool_monitor.save_interval = '1h'});
$node->reload;
my $saved = $node->safe_psql('postgres', 'SELECT saved_at FROM pool_monitor_info');
symlink('/dev/full', "$file.tmp") || die "symlink: $!";
$log = -s $node->logfile;
ok($node->stop('fast'), 'a shutdown goes through without room for the file');
like(slurp_file($node->logfile, $log), qr/could not save statistics.*No space left on device.*database system is shut down/s, 'the log says that it was not saved');
ok(-s $file, 'the last good file is there');
$node->start;
is($node->safe_psql('postgres', $rejections), $expected, 'and is used');
is($node->safe_psql('postgres', "SELECT restored_from >= '$saved' FROM pool_monitor_info"), 't', 'it is the last one');

$node->stop;
my $messages = slurp_file($node->logfile);
unlike($messages, qr/TRAP|PANIC/, 'no assertion failed');
is(() = $messages =~ /reinitializing/g, 1, 'nothing crashed but what was killed');

done_testing();
