# Other libraries in the same hooks, before pool_monitor and after it: each is
# called, and all figures are exact.

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

my $node = PoolMonitor::new_node('hooks',
	conf => q{
autovacuum = off
max_connections = 30
log_statement = none
pool_monitor.sample_interval = 20ms
pool_monitor.pools = 'idlers: application=idler idle_timeout=50ms'});
my $library = TestModule::build('other_hooks');
my @calls = qw(logins messages rejections statements utilities transactions exits names);

# Debian's, where they are installed
chomp(my $pkglibdir = `@{[ $ENV{PG_CONFIG} || 'pg_config' ]} --pkglibdir`);
my @known = grep { -e "$pkglibdir/$_.so" } qw(pg_stat_statements auto_explain auth_delay pg_wait_sampling);

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pool_monitor'\n");
$node->start;
$node->safe_psql('postgres', qq{
	CREATE EXTENSION pool_monitor;
	CREATE ROLE joe LOGIN;
	CREATE ROLE unwanted LOGIN;
	CREATE ROLE nobody LOGIN CONNECTION LIMIT 0;
	CREATE FUNCTION other_hooks() RETURNS text LANGUAGE c AS '$library'});
TestModule::install_check($node);

# What the hooks of both are there for.  Returns how often ours were called.
sub work
{
	my ($with) = @_;
	my $observer = PoolMonitor::session($node, appname => 'observer');
	my %before;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$observer->query('SELECT pool_monitor_reset()');
	@before{@calls} = split /\|/, $observer->query('SELECT other_hooks()') if $with;

	# logins, statements, errors, LISTEN, an end by policy, a new name
	my @clients = map { PoolMonitor::Wire->new($node, user => 'joe', appname => 'client') } 1 .. 3;
	$_->query('SELECT 1') foreach @clients, @clients;
	is($clients[0]->query('SELECT 1/0')->{sqlstate}, '22012', 'an error is an error');
	$clients[1]->query('BEGIN');
	$clients[1]->query('SAVEPOINT s');
	$clients[1]->query('ROLLBACK TO s');
	$clients[1]->query('COMMIT');
	$clients[2]->query('LISTEN news');
	$clients[2]->query("SET application_name = 'renamed'");
	my $idler = PoolMonitor::Wire->new($node, user => 'joe', appname => 'idler');
	is($idler->wait_end, '57P05', 'an idle session is ended');
	my $listener = PoolMonitor::Wire->new($node, user => 'joe', appname => 'listener');
	$listener->query('LISTEN news');
	$listener->query("SET application_name = 'idler'");
	for (1 .. 2)
	{
		my $refused = PoolMonitor::Wire->new($node, silent => 1, user => 'nobody', appname => 'refused')->log_in;
		is($refused->{sqlstate}, '53300', 'a login above the limit is refused');
	}
	if ($with)
	{
		my $unwanted = PoolMonitor::Wire->new($node, silent => 1, user => 'unwanted', appname => 'unwanted')->log_in;
		is($unwanted->{sqlstate}, '28000', 'one that the other library does not want, too');
	}
	is( $observer->query(q{
			SELECT application_name, connections, sessions, sessions_abandoned, transactions, rejected, terminated
			  FROM pool_monitor_applications WHERE application_name IN ('client', 'renamed', 'refused', 'unwanted') ORDER BY 1}),
		join("\n", 'client|2|3|0|9|0|0', 'refused|0|0|0|0|2|0', 'renamed|1|0|0|1|0|0'), 'counts are exact');
	my $spared = q{SELECT count(*) = 1 FROM pool_monitor_sessions WHERE application_name = 'idler' AND state_age > '200 ms'};
	PoolMonitor::wait_until($node, $spared, 'who listens is spared');
	is( $observer->query(q{SELECT connections, sessions, terminated FROM pool_monitor_applications WHERE application_name = 'idler'}),
		'1|1|1', 'and nobody else');
	is( $observer->query(q{SELECT exempt FROM pool_monitor_sessions WHERE application_name = 'idler'}), 'LISTEN', 'for that reason');
	is($observer->query(q{SELECT count(*) FROM pg_stat_activity WHERE application_name IN ('renamed', 'idler')}), 2, 'core knows the new names');
	$_->quit foreach @clients, $listener;
	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = 'joe'") || die 'they stay';

	if ($with)
	{
		my %now;

		@now{@calls} = split /\|/, $observer->query('SELECT other_hooks()');
		cmp_ok($now{logins} - $before{logins}, '>=', 7, 'the other library saw the logins');
		is($now{rejections} - $before{rejections}, 2, 'and those that were refused');
		cmp_ok($now{messages} - $before{messages}, '>=', 4, 'and all messages');
		cmp_ok($now{statements} - $before{statements}, '>=', 10, 'and statements');
		cmp_ok($now{utilities} - $before{utilities}, '>=', 7, 'and utility statements');
		cmp_ok($now{transactions} - $before{transactions}, '>=', 15, 'and transactions');
		cmp_ok($now{exits} - $before{exits}, '>=', 5, 'and ends');
		cmp_ok($now{names} - $before{names}, '>=', 7, 'and new names');
	}
	$observer->quit;
	TestModule::settles($node, 'with other libraries');
	return;
}

work(0);
foreach my $libraries (
	[ 1, "$library, pool_monitor" ],
	[ 1, "pool_monitor, $library" ],
	[ 0, join ', ', @known, 'pool_monitor' ],
	[ 0, join ', ', 'pool_monitor', @known ],
	[ 1, join ', ', reverse(@known), $library, 'pool_monitor' ])
{
	my ($with, $names) = @$libraries;

	$node->append_conf('postgresql.conf', "shared_preload_libraries = '$names'\n");
	$node->append_conf('postgresql.conf',
		"auto_explain.log_min_duration = 0\nauto_explain.log_nested_statements = on\npg_stat_statements.track = all\nauth_delay.milliseconds = 1\n");
	$node->restart;
	(my $shown = $names) =~ s{/\S*/}{}g;
	note "shared_preload_libraries = '$shown'";
	work($with);
}

$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC|reinitializing/, 'nothing crashed');

done_testing();
