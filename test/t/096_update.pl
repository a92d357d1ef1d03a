# ALTER EXTENSION pool_monitor UPDATE from every published version leads to
# what CREATE EXTENSION makes of the current one.  And since a comparison that
# can not fail says nothing: an invented next version shows that it notices
# whatever an update script may forget.
use strict;
use warnings;

use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PoolMonitor;
use PoolMonitor::Catalog;
use Test::More;

my $dir = $ENV{EXTENSION_DIR};
my $node = PoolMonitor::new_node('main');
$node->start;

# created(DATABASE, SQL): a new database in which SQL has been run, described
sub created
{
	my ($database, $extension, $sql) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE \"$database\"");
	$node->safe_psql($database, $sql);
	return PoolMonitor::Catalog::describe($node, $database, $extension);
}

#
# The published versions
#
my ($default) = slurp_file("$dir/pool_monitor.control") =~ /^default_version = '(.*)'$/m;
my %versions;
foreach my $file (map { m!([^/]+)$! } glob "$dir/pool_monitor--*.sql")
{
	$versions{$_} = 1 foreach $file =~ s/^pool_monitor--(.*)\.sql$/$1/r =~ /(.+?)(?:--|$)/g;
}
my $changelog = slurp_file("$FindBin::RealBin/../../CHANGELOG.md");
my @published = $changelog =~ /^## (\S+)/mg;
cmp_ok(scalar(@published), '>', 0, 'versions have been published');
is($published[0], $default, 'the first of the changelog is the current one');
ok(-e "$dir/pool_monitor--$default.sql", 'which has a script to install it, without a detour');
is(join(' ', sort keys %versions), join(' ', sort @published), 'there are scripts for each version of the changelog, and no others');

my $fresh = created('fresh', 'pool_monitor', 'CREATE EXTENSION pool_monitor');
cmp_ok(scalar(split /\n/, $fresh), '>', 300, 'the catalog says much about the extension');
foreach my $version (sort keys %versions)
{
	my $updated = created("from $version", 'pool_monitor',
		"CREATE EXTENSION pool_monitor VERSION '$version'; ALTER EXTENSION pool_monitor UPDATE");

	is($node->safe_psql("from $version", "SELECT extversion FROM pg_extension WHERE extname = 'pool_monitor'"),
		$default, "an update of version $version leads to the current version");
	is(PoolMonitor::Catalog::differences($fresh, $updated), '', 'and to what a new installation has');
	is($node->safe_psql("from $version", 'SELECT count(*) FROM pool_monitor_status'), '1', 'and works');
}

#
# A next version, under another name, so that it is in nobody's way
#
my $name = "pool_monitor_next_$$";
my $install = slurp_file("$dir/pool_monitor--$default.sql");

sub write_file
{
	my ($file, @text) = @_;

	open(my $handle, '>', "$dir/$name$file") || die "$dir/$name$file: $!";
	print $handle @text;
	close($handle);
	return;
}

# What it brings, in the order in which one depends on another
my @steps = (
	[ 'function', "CREATE FUNCTION pool_monitor_next() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE AS 'SELECT 1::bigint';" ],
	[ 'comment of the function', "COMMENT ON FUNCTION pool_monitor_next() IS 'the next one';" ],
	[ 'privileges of the function', 'REVOKE ALL ON FUNCTION pool_monitor_next() FROM PUBLIC;' ],
	[ 'view', 'CREATE VIEW pool_monitor_nexts AS SELECT pool_monitor_status.status FROM pool_monitor_status;' ],
	[ 'comment of the view', "COMMENT ON VIEW pool_monitor_nexts IS 'the next ones';" ],
	[ 'comment of a column of the view', "COMMENT ON COLUMN pool_monitor_nexts.status IS 'of the next one';" ],
	[ 'privileges of the view', 'GRANT SELECT ON pool_monitor_nexts TO PUBLIC;' ],
	[ 'column of a view', 'CREATE OR REPLACE VIEW pool_monitor_capacity AS SELECT *, 1 AS next FROM pool_monitor_capacity();' ],
	[ 'definition of a view', 'CREATE OR REPLACE VIEW pool_monitor_leaks AS SELECT * FROM pool_monitor_sessions WHERE false;' ],
	[ 'option of a view', 'ALTER VIEW pool_monitor_info SET (security_barrier = true);' ],
	[ 'changed comment', "COMMENT ON VIEW pool_monitor_status IS 'something else';" ],
	[ 'default of an argument', <<'END' ],
CREATE OR REPLACE FUNCTION pool_monitor_chart(metric text DEFAULT 'active', since interval DEFAULT '1 hour',
	OUT application_name text, OUT minimum integer, OUT average double precision, OUT maximum integer, OUT chart text)
RETURNS SETOF record AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
END
	[ 'volatility', 'ALTER FUNCTION pool_monitor_pool_status(integer, integer, text, name, name) IMMUTABLE;' ],
	[ 'estimate', 'ALTER FUNCTION pool_monitor_metrics() COST 1000;' ],
	[ 'setting of a function', 'ALTER FUNCTION pool_monitor_metrics() SET work_mem = 65;' ],
	[ 'end of a function', 'DROP FUNCTION pool_monitor_health();' ]);
my $all_steps = join '', map { "$_->[1]\n" } @steps;

write_file('.control', slurp_file("$dir/pool_monitor.control"));
write_file("--$default.sql", $install);
write_file('--next.sql', $install, $all_steps);
write_file("--$default--next.sql", $all_steps);
write_file("--$default--updated.sql", $all_steps);
my $next = created('next', $name, "CREATE EXTENSION $name VERSION 'next'");
my $current = created('current', $name, "CREATE EXTENSION $name");
is(PoolMonitor::Catalog::differences($fresh, $current), '', 'the same under another name looks the same');
$node->safe_psql('current', "ALTER EXTENSION $name UPDATE TO 'updated'");
is(PoolMonitor::Catalog::differences($next, PoolMonitor::Catalog::describe($node, 'current', $name)),
	'', 'an update script that does everything is seen to');

foreach my $step (@steps)
{
	my $label = $step->[0];
	my $version = $label =~ tr/ /_/r;

	# without this step and what needs it
	write_file("--$default--$version.sql",
		map { $_->[0] eq $label || $_->[0] =~ / of the \Q$label\E$/ ? () : "$_->[1]\n" } @steps);
	$node->safe_psql('current', "DROP EXTENSION $name; CREATE EXTENSION $name; ALTER EXTENSION $name UPDATE TO '$version'");
	my $differences = PoolMonitor::Catalog::differences($next, PoolMonitor::Catalog::describe($node, 'current', $name));
	isnt($differences, '', "an update script that forgets the $label is noticed");
	note($differences);
}

#
# A library that is newer than the objects, or older
#
$node->safe_psql('postgres', 'CREATE EXTENSION IF NOT EXISTS pool_monitor');
my $library = $node->safe_psql('postgres', "SELECT probin FROM pg_proc WHERE prosrc = 'pool_monitor_status'");
foreach my $case (['pool_monitor_status', ''], ['pool_monitor_connections', 'SETOF '], ['pool_monitor_applications', 'SETOF '])
{
	my ($function, $set) = @$case;

	foreach my $n (2, 60)
	{
		my $columns = join(', ', map { "OUT c$_ int" } 1 .. $n);
		my ($result, $stdout, $stderr) = $node->psql('postgres',
			"CREATE FUNCTION other_columns($columns) RETURNS ${set}record LANGUAGE c AS '$library', '$function';\n"
			  . "\\set VERBOSITY verbose\nSELECT * FROM other_columns()");
		like($stderr, qr/ERROR: +42804: .*is declared with \d+ columns.*HINT: .*ALTER EXTENSION pool_monitor UPDATE/s,
			"$function with $n columns is an error that says what to do");
		$node->safe_psql('postgres', 'DROP FUNCTION other_columns');
	}
}

$node->stop;
unlink glob "$dir/$name*";

done_testing();
