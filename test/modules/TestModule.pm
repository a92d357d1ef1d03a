# TestModule.pm: compiles the libraries of this folder, and knows how to ask a
# server whether pool_monitor's figures and its memory are as they should be.
#
#   my $library = TestModule::build('stopped');
#   TestModule::install_check($node);
#   TestModule::settles($node, 'after that');
package TestModule;

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use PoolMonitor;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = dirname(abs_path(__FILE__));
my $built;

# build(NAME): the path of the shared library made of NAME.c
sub build
{
	my ($name) = @_;
	my $pg_config = $ENV{PG_CONFIG} || 'pg_config';

	$built = PostgreSQL::Test::Utils::tempdir() unless defined $built;
	chomp(my $include = `$pg_config --includedir-server`);
	system_or_bail('gcc', '-shared', '-fPIC', '-Wl,-Bsymbolic', '-g', '-O1', '-Wall', '-fno-strict-aliasing', '-fwrapv',
		'-D_GNU_SOURCE', "-I$folder/../../src", "-I$include", '-o', "$built/$name.so", "$folder/$name.c");
	return "$built/$name.so";
}

# install_check(NODE): creates pool_monitor_check(), which settles() needs
sub install_check
{
	my ($node) = @_;
	my $library = build('shared_check');

	$node->safe_psql('postgres', qq{
		CREATE FUNCTION pool_monitor_check(bigint) RETURNS text STRICT LANGUAGE c AS '$library';
		CREATE FUNCTION pool_monitor_check() RETURNS text LANGUAGE sql AS
		\$\$ SELECT pool_monitor_check(size) FROM pg_shmem_allocations WHERE name = 'pool_monitor' \$\$});
	return;
}

# The live figures, as pool_monitor and as the server has them; the one that
# asks is among both
my $figures_agree = q{
	WITH ours AS (
		SELECT datname, usename, application_name, state, connections
		  FROM pool_monitor_connections WHERE backend_type = 'client backend'
	), theirs AS (
		SELECT datname, usename, application_name, coalesce(state, 'starting') AS state, count(*)::int AS connections
		  FROM pg_stat_activity WHERE backend_type = 'client backend'
		 GROUP BY 1, 2, 3, 4
	)
	SELECT NOT EXISTS (SELECT FROM (TABLE ours EXCEPT TABLE theirs) AS more)
	   AND NOT EXISTS (SELECT FROM (TABLE theirs EXCEPT TABLE ours) AS less)};

# settles(NODE, LABEL): the load has ended.  The server serves; its live
# figures are those of pg_stat_activity; in shared memory nothing is left of who
# is gone; and the second sample from now is right, too.
sub settles
{
	my ($node, $label) = @_;
	my ($observer, $problems);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($node->poll_query_until('postgres', $figures_agree), "the live figures are right $label");
	$observer = PoolMonitor::session($node, appname => 'settles');

	# Logins and logouts that are on their way show for a moment.
	for (1 .. 500)
	{
		$problems = $observer->query('SELECT pool_monitor_check()');
		last if !defined $problems || $problems eq '';
		$observer->query('SELECT pg_sleep(0.02)');
	}
	is($problems, '', "nothing of who is gone is in memory $label");

	my $samples = $observer->query('SELECT samples FROM pool_monitor_info');
	$observer->query('SELECT pg_sleep(0.02)')
	  until $observer->query('SELECT samples FROM pool_monitor_info') >= $samples + 2;
	# A sample is in the history a moment after it was taken, and who asked before
	# may be on the way out still
	my ($sampled, $reality) = ('', 'a number');
	for (1 .. 500)
	{
		($sampled, $reality) = split /\|/, $observer->query(q{
			SELECT (SELECT u.connections_max
			          FROM pool_monitor_utilization(i.last_sample_at, i.last_sample_at + interval '1 us', '1 us') u),
			       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
			  FROM pool_monitor_info i});
		last if $sampled eq $reality;
		$observer->query('SELECT pg_sleep(0.02)');
	}
	is($sampled, $reality, "after two samples, so is the history $label");
	$observer->quit;
	return;
}

1;
