# The documentation against the catalog: docs/reference.md describes every
# setting, view, column and function as it is, and nothing else; all documents
# name only what exists; and their links lead somewhere.
#
# docs/internals.md tells of the locks, the folders, the files and the format that
# there are; test/unit/test_internals.c has its sizes.
#
# Where a row of a table is wrong, the failure shows what should stand there.
use strict;
use warnings;

use File::Basename;
use File::Spec;
use PostgreSQL::Test::Utils;
use PoolMonitor;
use Test::More;

my $root = dirname(File::Spec->rel2abs(__FILE__)) . '/../..';
my @documents = ('README.md', 'CHANGELOG.md', 'SECURITY.md', 'dashboards/README.md', 'examples/README.md',
	map { "docs/$_.md" } qw(reference operations internals fleet pictures));
my %text = map { $_ => slurp_file("$root/$_") } @documents;

# as many backends as the sizes in docs/internals.md are for
my $node = PoolMonitor::new_node('main', extension => 1,
	conf => "max_connections = 100\nmax_wal_senders = 10\nwal_level = replica");

sub sql
{
	my ($sql) = @_;
	return split /\n/, $node->safe_psql('postgres', $sql);
}

# The document, by the titles of its parts (##) and of their sections (###);
# what stands before the first section is under ''.
sub parse
{
	my ($document) = @_;
	my (%parts, $part, $section);

	foreach my $line (split /\n/, $document)
	{
		if ($line =~ /^## (.*)/)
		{
			($part, $section) = ($1, '');
		}
		elsif ($line =~ /^### (.*)/)
		{
			$section = $1;
		}
		$parts{$part}{$section} .= "$line\n" if defined $part;
	}
	return \%parts;
}

# The rows of the table whose head starts with a word, each a list of cells
sub table
{
	my ($section, $first) = @_;
	my ($body) = ($section // '') =~ /^\| \Q$first\E \|.*\n\| ---.*\n((?:\|.*\n)*)/m;

	return map { [ map { s/^\s+|\s+$//gr } split /(?<!\\)\|/, s/^\|//r ] } split /\n/, $body // '';
}

# Rows as lines, of some of their cells
sub lines
{
	my ($cells, @rows) = @_;

	return join "\n", map { my $row = $_; join ' | ', map { $_ // '' } @$row[@$cells] } @rows;
}

# A number of a unit as the server shows it
sub with_unit
{
	my ($number, $unit) = @_;
	my %units = (
		ms => [ [ 'd', 86400000 ], [ 'h', 3600000 ], [ 'min', 60000 ], [ 's', 1000 ], [ 'ms', 1 ] ],
		s => [ [ 'd', 86400 ], [ 'h', 3600 ], [ 'min', 60 ], [ 's', 1 ] ],
		kB => [ [ 'TB', 1073741824 ], [ 'GB', 1048576 ], [ 'MB', 1024 ], [ 'kB', 1 ] ]);

	return $number if $unit eq '' || $number == 0;
	foreach my $larger (@{ $units{$unit} })
	{
		return $number / $larger->[1] . $larger->[0] if $number % $larger->[1] == 0;
	}
}

my $reference = parse($text{'docs/reference.md'});

# Settings
my @settings;
foreach my $row (sql(q{SELECT name, boot_val, coalesce(unit, ''), context, vartype, min_val, max_val
                         FROM pg_settings WHERE name LIKE 'pool\_monitor.%'}))
{
	my ($name, $default, $unit, $context, $type, $min, $max) = split /\|/, $row;
	my $range = { bool => '`on`, `off`', string => 'text' }->{$type};

	$range //= sprintf '`%s` to `%s`', with_unit($min, $unit), with_unit($max, $unit);
	$default = with_unit($default, $unit) if $type eq 'integer';
	push @settings, [ "`$name`", $default eq '' ? 'empty' : "`$default`", $range, $unit, $context ];
}
my @documented = sort { $a->[0] cmp $b->[0] } table($reference->{Settings}{''}, 'setting');

@settings = sort { $a->[0] cmp $b->[0] } @settings;
is( lines([ 0 .. 4 ], @documented),
	lines([ 0 .. 4 ], @settings),
	'every setting is documented with its default, range, unit and context');
is(scalar(grep { ($_->[5] // '') eq '' } @documented), 0, 'and with its meaning');

# Views: the table is made of the comments
my %views;
foreach my $row (sql(q{
	SELECT c.relname || '|' || format('`%s` | %s | %s', a.attname,
	                                  replace(format_type(a.atttypid, a.atttypmod), 'timestamp with time zone', 'timestamptz'),
	                                  replace(col_description(c.oid, a.attnum), '<', '\<'))
	  FROM pg_extension e
	  JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
	  JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid AND c.relkind = 'v'
	  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
	 WHERE e.extname = 'pool_monitor'
	 ORDER BY c.relname, a.attnum}))
{
	my ($view, $column) = split /\|/, $row, 2;
	push @{ $views{$view} }, $column;
}
is(join(' ', sort grep { $_ ne '' } keys %{ $reference->{Views} }),
	join(' ', sort keys %views), 'every view is documented, and no other');
foreach my $view (sort keys %views)
{
	my $section = $reference->{Views}{$view} // '';
	my @columns = map { lines([ 0 .. 2 ], $_) } table($section, 'column');

	push @columns, @{ $views{$1} // [] } if $section =~ /^(?:Then the|The) columns of \[`(\w+)`\]\(#\1\)\.$/m;
	is(join("\n", @columns), join("\n", @{ $views{$view} }), "the columns of $view are documented as their comments say");
}

# Functions
my %functions = map { /^(.*?)\|(\d+)\|(.*)$/ ? ($1 => { oid => $2, result => $3 }) : () } sql(q{
	SELECT format('%s(%s)', p.proname,
	              (SELECT string_agg(replace(format_type(t, NULL), 'timestamp with time zone', 'timestamptz'), ', ' ORDER BY i)
	                 FROM unnest(p.proargtypes) WITH ORDINALITY AS u (t, i))),
	       p.oid, replace(pg_get_function_result(p.oid), 'timestamp with time zone', 'timestamptz')
	  FROM pg_extension e
	  JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
	  JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
	 WHERE e.extname = 'pool_monitor'});
my %behind = map { s/`//gr } map { @$_[ 0, 1 ] } table($reference->{'Functions behind the views'}{''}, 'function');
my @functions = sort grep { $_ ne '' } keys %{ $reference->{Functions} };

is(join("\n", sort(@functions, keys %behind)), join("\n", sort keys %functions),
	'every function is documented, and no other');
foreach my $function (sort grep { $functions{$_} } keys %behind)
{
	my $used = join '', sql("SELECT pg_get_viewdef('$behind{$function}'::regclass)");

	like($used, qr/\Q$function\E/, "the view $behind{$function} uses $function");
}

foreach my $function (grep { $functions{$_} } @functions)
{
	my $oid = $functions{$function}{oid};
	my $section = $reference->{Functions}{$function};
	my @arguments = table($section, 'argument');
	my (@expected, @columns);

	# as (name, type, default or '', whether it goes in)
	foreach my $row (sql(qq{
		SELECT a.name, replace(format_type(a.type, NULL), 'timestamp with time zone', 'timestamptz'),
		       coalesce(pg_get_function_arg_default(p.oid, a.i::integer), ''), coalesce(a.mode, 'i') = 'i'
		  FROM pg_proc p,
		       ROWS FROM (unnest(p.proargnames), unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])),
		                  unnest(p.proargmodes)) WITH ORDINALITY AS a (name, type, mode, i)
		 WHERE p.oid = $oid ORDER BY a.i}))
	{
		my ($name, $type, $default, $in) = split /\|/, $row;

		push @{ $in eq 't' ? \@expected : \@columns }, [ "`$name`", $type, $default ];
	}

	is(lines([ 0, 1 ], @arguments), lines([ 0, 1 ], @expected), "the arguments of $function are documented")
	  or next;
	foreach my $i (0 .. $#expected)
	{
		my ($name, $type, $default) = @{ $expected[$i] };
		my ($told) = $arguments[$i][2] =~ /^`(.*)`$/;
		my $right =
		    $default eq '' ? $arguments[$i][2] eq ''
		  : defined $told && join('', sql("SELECT ($told)::$type IS NOT DISTINCT FROM ($default)::$type")) eq 't';

		ok($right, "the default of " . $name =~ s/`//gr . " of $function is documented") or diag("it is $default");
	}
	if (@columns)
	{
		is(lines([ 0, 1 ], table($section, 'column')), lines([ 0, 1 ], @columns), "the columns of $function are documented");
	}
	else
	{
		like($section, qr/^Returns `\Q$functions{$function}{result}\E`/m, "what $function returns is documented");
	}
}

# Privileges
my %who = map { s/[`\\]//gr } map { @$_[ 0, 1 ] } table($reference->{Privileges}{''}, 'view or function');
my @objects = ((map { [ $_, "has_table_privilege(%s, '$_', 'SELECT')" ] } sort keys %views),
	(map { [ $_, "has_function_privilege(%s, $functions{$_}{oid}, 'EXECUTE')" ] } grep { $functions{$_} } @functions));
my $privileges = join ' UNION ALL ', map {
	my ($object, $test) = @$_;
	sprintf "SELECT '$object: ' || CASE WHEN $test THEN 'everyone' WHEN $test THEN 'pg_read_all_stats' ELSE 'superuser' END",
	  "'public'", "'pg_read_all_stats'";
} @objects;

is(join("\n", map { "$_: $who{$_}" } sort keys %who),
	join("\n", sort { $a cmp $b } sql($privileges)),
	'who may use each view and function is documented');

# All documents: names and links
my %known = map { $_ => 1 } keys %views, (map { s/\(.*//r } keys %functions),
  join("\n", sql('SELECT pool_monitor_metrics()')) =~ /^# TYPE (\w+)/mg;
my %setting = map { $_->[0] =~ s/`//gr => 1 } @settings;
my $files = qr/pool_monitor\.(?:stat|so|control|c|prom|conf|spec)\b|pool_monitor_fleet\b/;

foreach my $document (@documents)
{
	# the comments in the reference's tables are the catalog's own
	my $prose = $document eq 'docs/reference.md' ? $text{$document} =~ s/^\|.*\n//gmr : $text{$document};
	my %unknown = map { $_ => 1 }
	  grep { !/_$/ && !$known{$_} && !$known{ s/_total$//r } && !$setting{$_} && !/^$files/ } $prose =~ /\b(pool_monitor[_.][a-z]\w*)/g;

	is(join(' ', sort keys %unknown), '', "$document names only what exists");
}

# Alerts
my %alert = map { $_ => 1 } slurp_file("$root/dashboards/prometheus_rules.yml") =~ /^ *- alert: (\w+)$/mg;
my %told = map { $_ => 1 } map { $text{$_} =~ /`(PoolMonitor\w+)`/g } 'docs/operations.md', 'dashboards/README.md', 'docs/pictures.md';
cmp_ok(scalar(keys %told), '>', 4, 'the documents name alerts');
is(join(' ', sort grep { !$alert{$_} } keys %told), '', 'and each of them is one');

# A title as GitHub makes an anchor of it
sub anchor
{
	my ($title) = @_;

	return lc($title) =~ s/[^\w\s-]//gr =~ s/\s/-/gr;
}

foreach my $document (@documents)
{
	my @broken;

	foreach my $link ($text{$document} =~ /\]\(([^)\s]+)\)/g)
	{
		my ($path, $fragment) = $link =~ /^([^#]*)(?:#(.*))?$/;
		my $file = $path eq '' ? $document : (dirname($document) . "/$path") =~ s{^\./}{}r;

		next if $path =~ /^https?:/;
		1 while $file =~ s{[^/]+/\.\./}{};
		if (!-e "$root/$file")
		{
			push @broken, $link;
		}
		elsif (defined $fragment)
		{
			push @broken, $link
			  unless grep { anchor($_) eq $fragment } slurp_file("$root/$file") =~ /^#+ (.*)/mg;
		}
	}
	is(join(' ', @broken), '', "the links in $document lead somewhere");
}

# Findings: each is described, and the section that it refers to is there
my ($codes) = slurp_file("$root/src/pure/findings.c") =~ /codes\[PMON_FINDING_CODES\] = \{\n(.*?)\n\};/s;
my %section = $codes =~ /\{"(\w+)", "([\w-]+)"\}/g;
my %described = map { $_ => 1 } map { $_->[0] =~ /`(\w+)`/g }
  table($reference->{Functions}{'pool_monitor_diagnosis(interval)'}, 'finding');

is(join(' ', sort keys %described), join(' ', sort keys %section), 'every finding is described, and no other');
my %anchors = map { anchor($_) => 1 } $text{'docs/operations.md'} =~ /^#+ (.*)/mg;
is(join(' ', grep { !$anchors{$_} } sort values %section), '', 'and the section that it refers to is there');

# Internals against the source
my %source = map { s{^\Q$root/src/\E}{}r => slurp_file($_) } glob "$root/src/*.[ch] $root/src/*/*.[ch]";
my $internals = $text{'docs/internals.md'};
my @words = qw(no one two three four five six seven eight);
my ($locks) = $internals =~ /^## Locks\n(.*?)^## /ms;

is(scalar(() = join('', @source{ grep { /\.c$/ } keys %source }) =~ /^\tpmon_request_lock\(&/mg),
	scalar(() = $locks =~ /^- \*\*The .*lock\b/mg),
	'every lock is documented');
like($locks, qr/^There are $words[scalar(() = $locks =~ m{^- }mg)] LWLocks\./m, 'and counted');
is(join(' ', sort map { $_->[0] } table(parse($internals)->{'The sources'}{''}, 'folder')),
	join(' ', sort keys %{ { map { m{^(.*/)} ? ("`$1`" => 1) : () } keys %source } }),
	'every folder of src/ is documented');
is(join(' ', grep { my $name = $_; $name !~ m{^test/} && !grep { m{(?:^|/)\Q$name\E$} } keys %source } $internals =~ m{`(?:src/)?([a-z_/]+\.[ch])`}g),
	'', 'every file of src/ that is named is there');
my ($format) = $source{'worker/stats_file.c'} =~ /^#define FORMAT\s+(\d+)$/m;
is(join(' ', $internals =~ /format version \((\d+)\)/), $format, 'the version of the file format is documented');
my ($versions) = $source{'compat.h'} =~ /^ \*\t\s+Differences between the supported PostgreSQL versions, (\d+ to \d+)\.$/m;
is(join(' ', $text{$_} =~ /\b(?:PostgreSQL|One source for) (\d+ to \d+)\b/), $versions, "$_ has the server's versions") foreach qw(README.md CHANGELOG.md docs/internals.md);
is(join(' ', grep { $_ ne 'compat.h' && $source{$_} =~ /PG_VERSION_NUM/ } sort keys %source),
	'', 'no version is tested outside of compat.h');
# whose figure is for one of them
if ($node->pg_version->major == 15 && join('', sql('SELECT version()')) =~ /x86_64/)
{
	my $bytes = join '', sql('SELECT memory_bytes FROM pool_monitor_info');

	1 while $bytes =~ s/^(\d+)(\d{3})/$1,$2/;
	is(join(' ', $internals =~ /that is ([\d,]+) bytes;/), $bytes, 'and the memory of a server');
}

done_testing();
