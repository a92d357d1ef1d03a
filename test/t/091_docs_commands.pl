# The commands in the documentation are run as they stand there: SQL, settings and
# shell commands of the documents in their order, on one server, and the statements in
# their prose. What a document shows as a
# result must have the columns of the real one, and an error its exact words.
#
# What is not run is listed with the reason.
use strict;
use warnings;

use Cwd;
use File::Basename;
use File::Spec;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use PoolMonitor;
use Test::More;

my $root = File::Spec->rel2abs(dirname(File::Spec->rel2abs(__FILE__)) . '/../..');
my $folder = PostgreSQL::Test::Utils::tempdir;

# What is not run, by how it begins
my %not_run = (
	'sqlalchemy.exc.TimeoutError' => 'what a client shows',
	"make\nsudo make install" => 'done before the tests',
	"shared_preload_libraries = 'pool_monitor'" => 'this server preloads it, and one library more',
	'bash test/demo.sh' => 'a server of its own; these tests themselves',
	'CREATE ROLE monitoring LOGIN' => 'it is what role.sql does, which is run, and is compared with it below',
	'ERROR:  pool_monitor must be loaded' => 't/003_not_preloaded.pl has the error',
	(map { $_ => 'integration/examples.py starts them' } 'DATABASE_URL=', 'echo send_mail', "npm install\n", 'J=/usr/share/java', 'pgbouncer pgbouncer.ini'),
	'topk(5, ' => 'for Prometheus',
	'LOG:  connection incident 1 ended' => 't/030_incidents.pl has the lines of the log',
	"DATA_SOURCE_NAME='postgresql://monitoring" => 'integration/prometheus.py starts both exporters so',
	'sql_exporter -config.file' => 'integration/prometheus.py starts both exporters so',
	"SELECT ... /*route='%2Forders'*/" => 'a pattern, not a statement',
	'pg_createcluster --port 5433' => 'checks/chroots.sh does that on bare systems');
my %used;

my $node = PoolMonitor::new_node('main', conf => "shared_preload_libraries = 'pool_monitor,pg_stat_statements'\nmax_connections = 100");
$node->start;
$node->safe_psql('postgres', 'CREATE ROLE web LOGIN');

# Of what is run, what the reader has to fill in, or what must not touch this machine
sub filled_in
{
	my ($text) = @_;

	$text =~ s/\(pid(, true)?\)/(0$1)/g if $text !~ /\bFROM\b/;
	$text =~ s/'\.\.\.'/'checkout'/g;
	$text =~ s{host 'replica-1'}{sprintf "host '%s', port '%s'", $node->host, $node->port}e;
	$text =~ s{^\\i sql/}{\\i $root/sql/}m;
	$text =~ s{/var/lib/prometheus/node-exporter}{$folder}g;
	return $text;
}

sub is_not_run
{
	my ($text) = @_;

	foreach my $start (grep { index($text, $_) == 0 } keys %not_run)
	{
		return $used{$start} = 1;
	}
	return 0;
}

# The blocks of a document as [line, text], and the code in its prose likewise
sub blocks_of
{
	my ($document) = @_;
	my $text = slurp_file("$root/$document");
	my (@blocks, @inline, $block, $start, $indent);
	my ($number, $prose) = (0, '');

	foreach my $line (split /\n/, $text)
	{
		$number++;
		if ($line =~ /^( *)```/)
		{
			push @blocks, [ $start, $block ] if defined $block;
			$prose .= "\n";
			($block, $start, $indent) = defined $block ? () : ('', $number + 1, $1);
			next;
		}
		if (defined $block)
		{
			$block .= ($line =~ s/^$indent//r) . "\n";
			$prose .= "\n";
		}
		else
		{
			$prose .= "$line\n";
		}
	}
	while ($prose =~ /`([^`]+)`/g)
	{
		my ($code, $at) = ($1, $-[0]);
		my $line = 1 + (substr($prose, 0, $at) =~ tr/\n//);

		$code =~ s/\s*\n\s*/ /g;
		push @inline, [ $line, $code ] if $code =~ /^(?:SELECT .|ALTER ROLE .|SET \w+ = |LOAD '|DROP S)/;
	}
	return (\@blocks, \@inline);
}

# psql, as somebody types it: what it prints, its complaints, and whether it came to
# the end
sub psql
{
	my ($sql, @options) = @_;
	my ($out, $err);

	my $whole = IPC::Run::run([ $node->installed_command('psql'), '-X', '-P', 'pager=off', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), @options ],
		'<', \$sql, '>', \$out, '2>', \$err);
	return ($out, $err, $whole);
}

# The columns of a result as psql prints it
sub columns
{
	my ($printed) = @_;

	if ($printed =~ /^-\[ RECORD 1 \]/m)
	{
		my ($record) = $printed =~ /^-\[ RECORD 1 \].*\n((?:(?!-\[).+\n)+)/m;
		return join ' ', grep { $_ ne '' } map { /^(\w*) *\|/ ? $1 : () } split /\n/, $record;
	}
	my ($head) = $printed =~ /^(.*)\n-[-+]*\n/m or return '';
	return join ' ', map { s/^\s+|\s+$//gr } split /\|/, $head;
}

# The statements of a block, each with the result that is shown for it
sub statements
{
	my ($block) = @_;
	my (@statements, $open);

	foreach my $line (split /\n/, $block)
	{
		if (!$open && $line =~ /^(?:SELECT|CREATE|ALTER|GRANT|SET|LOAD|\\i) /)
		{
			push @statements, [ '', '' ];
			$open = 1;
		}
		return () if !@statements;
		$statements[-1][ $open ? 0 : 1 ] .= "$line\n";
		$open = 0 if $open && $line =~ /^\\i |(?:;|\\gx)\s*(?:--.*)?$/;
	}
	return @statements;
}

sub run_statement
{
	my ($where, $statement, $shown) = @_;
	my @expanded = $shown =~ /^-\[ RECORD/m && $statement !~ /\\gx/ ? ('-x') : ();
	my ($out, $err, $whole) = psql(filled_in($statement), @expanded);

	ok($whole, "$where runs") or diag($err);
	is(columns($out), columns($shown), "$where has the columns that are shown") if $shown =~ /\S/;
}

# Settings: the server takes all of them
sub run_settings
{
	my ($where, $settings) = @_;

	$node->append_conf('postgresql.conf', filled_in($settings));
	is($node->safe_psql('postgres', 'SELECT sourceline, name, error FROM pg_file_settings WHERE error IS NOT NULL'), '', "$where can be set");
	$node->reload;
	foreach my $line (split /\n/, filled_in($settings))
	{
		my ($name, $value) = $line =~ /^([\w.]+) = (?:'(.*?)'|(\S+))/ or next;
		PoolMonitor::wait_until($node, sprintf("SELECT source = 'configuration file' FROM pg_settings WHERE name = '%s'", $name), "$where: $name is in force");
	}
}

# A refused setting: the error in the very words
sub run_error
{
	my ($where, $shown) = @_;
	my ($name, $value) = $shown =~ /^ERROR:  invalid value for parameter "(.*?)": "(.*)"$/m;
	my (undef, $err) = psql("ALTER SYSTEM SET $name = '$value'");

	is($err =~ s/^psql:.*?: //gmr, $shown, "$where is what the server says");
}

# A command of a shell, whose questions are answered, without a terminal to ask on
sub run_shell
{
	my ($where, $command) = @_;
	my ($out, $err);
	my $answers = "secret\nsecret\n";
	local %ENV = (
		%ENV,
		PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres',
		PATH => dirname($node->installed_command('psql')) . ":$ENV{PATH}");

	my $status = IPC::Run::run([ 'setsid', '-w', 'sh', '-ec', $command ], '<', \$answers, '>', \$out, '2>', \$err);
	ok($status, "$where runs") or diag("$out$err");
	unlike($err, qr/ERROR/, 'without an error');
}

sub run_block
{
	my ($where, $block) = @_;

	return if is_not_run($block);
	my @statements = statements($block);
	if ($block =~ /^\\connect /m)
	{
		run_statement($where, $block, '');
	}
	elsif (@statements)
	{
		run_statement("$where, statement " . ($_ + 1), @{ $statements[$_] }) foreach 0 .. $#statements;
	}
	elsif ($block =~ /^pool_monitor\.\w+ = /)
	{
		run_settings($where, $block);
	}
	elsif ($block =~ /^ERROR:/)
	{
		run_error($where, $block);
	}
	elsif ($block =~ /^(?:psql|bash) /)
	{
		run_shell($where, $block);
	}
	else
	{
		fail("$where is run, or listed with a reason");
		diag($block);
	}
}

my $before = getcwd;
foreach my $document ('README.md', 'docs/operations.md', 'docs/reference.md', 'examples/README.md',
	(map { "examples/$_/README.md" } qw(fastapi_sqlalchemy node_postgres hikaricp pgbouncer)), 'dashboards/README.md', 'docs/fleet.md')
{
	my ($blocks, $inline) = blocks_of($document);

	cmp_ok(@$blocks + @$inline, '>', 0, "$document has commands");
	if ($document eq 'docs/operations.md')
	{
		$node->safe_psql('postgres', 'CREATE EXTENSION pg_stat_statements');
	}
	elsif ($document =~ /^dashboards|fleet/)
	{
		$node->safe_psql('postgres', 'DROP EXTENSION pool_monitor');
	}
	chdir($document eq 'dashboards/README.md' ? "$root/dashboards" : $folder) or die $!;
	run_block("$document:$_->[0]", $_->[1]) foreach @$blocks;
	foreach my $code (grep { !is_not_run($_->[1]) } @$inline)
	{
		run_statement("$document:$code->[0], in its prose", filled_in($code->[1]) . ';', '');
	}
	chdir $before or die $!;
}
my ($shown) = map { $_->[1] } grep { $_->[1] =~ /^CREATE ROLE monitoring/ } @{ (blocks_of('dashboards/README.md'))[0] };
my $role = slurp_file("$root/dashboards/role.sql");
is(join("\n", grep { index($role, $_) < 0 } map { s/\s*--.*//r } split /\n/, $shown), '', 'the role in the documentation is that of role.sql');
is(join("\n", grep { !$used{$_} } sort keys %not_run), '', 'what is listed as not run is there');
cmp_ok(-s "$folder/report.html", '>', 1000, 'the report was written');
is($node->safe_psql('postgres', "SELECT rolcanlogin AND rolpassword IS NOT NULL AND pg_has_role('monitoring', 'pg_monitor', 'MEMBER') FROM pg_authid WHERE rolname = 'monitoring'"),
	't', 'and the role that monitors is there, with its password');

done_testing();
