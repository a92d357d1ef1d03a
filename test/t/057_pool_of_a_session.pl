# Which pool a session belongs to: the views, the worker and whoever ends a
# session agree, also where the session's group says something else.

use strict;
use warnings;

use PoolMonitor;
use PoolMonitor::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PoolMonitor::new_node(
	'pool_of_a_session',
	extension => 1,
	conf => "max_connections = 60\nmax_prepared_transactions = 2\npool_monitor.max_groups = 10\n"
	  . "pool_monitor.sample_interval = '20ms'\n");
$node->safe_psql('postgres', 'CREATE ROLE app LOGIN; CREATE ROLE app2 LOGIN; CREATE ROLE app3 LOGIN; CREATE ROLE old_name LOGIN');

sub client
{
	my ($appname, @opts) = @_;
	return PoolMonitor::Wire->new($node, user => 'app', appname => $appname, @opts);
}

# configure(LINES): all settings that this test changes, anew
sub configure
{
	my ($lines) = @_;

	$node->append_conf('postgresql.conf',
		"pool_monitor.idle_timeout = 0\npool_monitor.idle_in_transaction_timeout = 0\npool_monitor.pools = ''\n$lines\n");
	$node->reload;
	return;
}

# In the row of pool_monitor_sessions
sub shown
{
	my ($client, $columns) = @_;
	return $node->safe_psql('postgres', "SELECT $columns FROM pool_monitor_sessions WHERE pid = " . $client->pid);
}

# survives(CLIENT, LABEL): when the others of its kind have been ended, and some
# samples later, it is still there
sub survives
{
	my ($client, $label) = @_;
	my $samples = $node->safe_psql('postgres', 'SELECT samples FROM pool_monitor_info');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	PoolMonitor::wait_until($node,
		"SELECT samples >= $samples + 10 FROM pool_monitor_info", "some samples later");
	return ok($client->query('SELECT 1')->{ready}, $label);
}

# A name that PREPARE TRANSACTION brings back
my $kept = client('tx0');
$kept->query("BEGIN; SET LOCAL application_name = 'step-7'; SELECT 1");
is(shown($kept, 'application_name'), 'step-7', 'a transaction has a name of its own');
$kept->query("PREPARE TRANSACTION 'p'");
is( $node->safe_psql('postgres',
		"SELECT string_agg(application_name || ' ' || connections, ' ') FROM pool_monitor_groups WHERE usename = 'app' AND connections > 0"),
	'tx0 1',
	'and its session the one that it had, as soon as it is prepared');
is( $node->safe_psql('postgres',
		"SELECT transactions FROM pool_monitor_groups WHERE application_name = 'step-7'"),
	'1', 'the transaction counted for its own name');
my $plain = client('plain');
configure(q{
pool_monitor.idle_timeout = '200ms'
pool_monitor.pools = 'keep: application=tx0 idle_timeout=0'});
is($plain->wait_end, '57P05', 'the limit ends another session');
is(shown($kept, 'pool, exempt'), 'keep|timeout 0', 'the one of the pool is shown as exempt');
survives($kept, 'and is');
$node->safe_psql('postgres', "ROLLBACK PREPARED 'p'");

# A name for the rest of a transaction
$plain = client('plain');
$_->query('BEGIN') foreach $kept, $plain;
$kept->query("SET LOCAL application_name = 'step-7'");
configure(q{
pool_monitor.idle_in_transaction_timeout = '200ms'
pool_monitor.pools = 'keep: application=step-* idle_in_transaction_timeout=0'});
is($plain->wait_end, '25P03', 'the limit ends another session in a transaction');
is(shown($kept, 'pool, exempt'), 'keep|timeout 0', 'one whose transaction has a name of the pool is shown as exempt');
survives($kept, 'and is, though it counts for another name yet');
$kept->send_query('ROLLBACK; BEGIN');
is($kept->wait_end, '25P03', 'but not after that transaction');

# A role that is renamed
configure(q{
pool_monitor.pools = 'keep: user=new_name idle_timeout=0; rest: idle_timeout=1h'});
$kept = client('renamed', user => 'old_name');
is(shown($kept, 'usename, pool'), 'old_name|rest', 'a session is in the pool of its role');
$node->safe_psql('postgres', 'ALTER ROLE old_name RENAME TO new_name');
is(shown($kept, 'usename, pool'), 'new_name|keep', 'and follows when that is renamed');
$node->append_conf('postgresql.conf',
	"pool_monitor.pools = 'keep: user=new_name idle_timeout=0; rest: idle_timeout=200ms'\n");
$plain = client('plain');
$node->reload;
is($plain->wait_end, '57P05', 'the limit ends one of the others');
survives($kept, 'not that one');
$kept->quit;

# A role that becomes a superuser's, and ceases to be one, while it has sessions
# that are idle
sub superuser_shown { return shown($_[0], "coalesce(exempt, '-')"); }
configure("pool_monitor.idle_timeout = '1h'\npool_monitor.idle_in_transaction_timeout = '1h'");
my @same = map { client('same', user => 'new_name') } 1 .. 2;
$same[1]->query('BEGIN');
is(superuser_shown($_), '-', 'a session of a plain role') foreach @same;
$node->safe_psql('postgres', 'ALTER ROLE new_name SUPERUSER');
is(superuser_shown($_), 'superuser', 'is exempt as soon as the role is a superuser') foreach @same;
$node->safe_psql('postgres', 'BEGIN; ALTER ROLE new_name NOSUPERUSER; ROLLBACK');
is(superuser_shown($_), 'superuser', 'what is rolled back changes nothing') foreach @same;
$node->safe_psql('postgres', "BEGIN; ALTER ROLE new_name NOSUPERUSER; PREPARE TRANSACTION 'r'");
is(superuser_shown($_), 'superuser', 'nor does what is only prepared') foreach @same;
$node->safe_psql('postgres', "COMMIT PREPARED 'r'");
is(superuser_shown($_), '-', 'until it is committed') foreach @same;
$node->safe_psql('postgres', "DO 'BEGIN EXECUTE ''ALTER ROLE new_name SUPERUSER''; END'");
is(superuser_shown($_), 'superuser', 'a statement in a function counts') foreach @same;
$node->safe_psql('postgres', "UPDATE pg_authid SET rolsuper = false WHERE rolname = 'new_name'");
$same[0]->query('SELECT 1');
is(superuser_shown($same[0]), '-', 'who writes into the catalog by hand is heard with the next statement');
$node->safe_psql('postgres', 'ALTER ROLE new_name SUPERUSER');
$node->safe_psql('postgres', 'ALTER ROLE new_name NOSUPERUSER');
configure("pool_monitor.idle_timeout = '200ms'\npool_monitor.idle_in_transaction_timeout = '200ms'");
is($same[0]->wait_end, '57P05', 'who is none any more is ended');
is($same[1]->wait_end, '25P03', 'also in a transaction');

# All groups have sessions: the next ones are in the group that takes all
configure('');
my @full = map { client("full $_") } 1 .. 12;
my %late = map { $_ => client('late', user => $_) } ('app3', 'app2');
$kept = client('kept');
is( $node->safe_psql('postgres',
		"SELECT count(*), sum(sessions) FROM pool_monitor_groups WHERE application_name IN ('late', 'kept')"),
	'3|0', 'there are sessions without a group of their own');
configure(q{
pool_monitor.idle_timeout = '200ms'
pool_monitor.pools = 'full: application="full *" terminate=never; keep: application=kept terminate=never; late: application=late idle_timeout=1h'});
$plain = client('plain');
is($plain->wait_end, '57P05', 'the limit ends one of them');
is(shown($kept, 'pool, exempt'), 'keep|timeout 0', 'a session of an exempt pool is shown as exempt');
survives($kept, 'and is');
$kept->query("SET application_name = 'plain'");
is($kept->wait_end, '57P05', 'until it takes another name');
$late{$_}->query('SELECT 1') foreach 'app3', 'app2';
configure("pool_monitor.pools = 'short: user=app2 idle_timeout=200ms'");
is($late{app2}->wait_end, '57P05', 'a limit for one role ends its session');
is(shown($late{app3}, 'coalesce(pool, idle_limit::text)'), '', 'that of another role has no limit');
survives($late{app3}, 'and is left alone');
is( $node->safe_psql('postgres',
		"SELECT string_agg(DISTINCT usename || ' ' || coalesce(pool, '-'), ',' ORDER BY usename || ' ' || coalesce(pool, '-')) FROM pool_monitor_terminations"),
	'app -,app rest,app2 short,new_name -',
	'everybody was ended by the pool that was theirs');

done_testing();
