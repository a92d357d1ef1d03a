# PoolMonitor.pm: what the TAP tests share, for any PostgreSQL from 15 on.
#
#   my $node = PoolMonitor::new_node('main', conf => "max_connections = 30\n");
#   $node->start;
#   my $s = PoolMonitor::session($node, appname => 'billing', user => 'joe');
#   $s->query('BEGIN');
#   $s->query_async('SELECT pg_sleep(60)');
#   PoolMonitor::wait_until($node, 'SELECT ...', 'the statement runs');
#   $s->kill9;
package PoolMonitor;

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# new_node(NAME, %opts): an initialised cluster, not started
#
#   preload => 0      leave the library out of shared_preload_libraries
#   conf => TEXT      more settings
#   init => [...]     arguments for $node->init
#   extension => 1    start it and create the extension in "postgres"
#   upgrade => SIDE   the server that clusters are upgraded from, 'OLD', or to,
#                     'NEW'
sub new_node
{
	my ($name, %opts) = @_;
	my @node_opts;

	if ($opts{upgrade})
	{
		my $bindir = $ENV{"PMON_$opts{upgrade}_BINDIR"};

		# The server under test is no other installation.
		@node_opts = (install_path => $bindir =~ s!/bin$!!r) if $bindir && $bindir ne $ENV{BINDIR};
	}
	my $node = PostgreSQL::Test::Cluster->new($name, @node_opts);

	$node->init(@{ $opts{init} || [] });
	$node->append_conf('postgresql.conf', settings(%opts));
	if ($opts{extension})
	{
		$node->start;
		$node->safe_psql('postgres', 'CREATE EXTENSION pool_monitor');
	}
	return $node;
}

# settings(%opts): what new_node appends to postgresql.conf, for a node that
# is made in another way.  A standby or a restored backup needs nothing: it
# has a copy of the file.
sub settings
{
	my (%opts) = @_;
	my $conf = '';
	my $extension_conf = $ENV{ $opts{upgrade} ? "PMON_$opts{upgrade}_EXTENSION_CONF" : 'PMON_EXTENSION_CONF' };

	# Where run.sh has installed the extension, else it is the server's own.
	$conf .= slurp_file($extension_conf) if $extension_conf;
	$conf .= "shared_preload_libraries = 'pool_monitor'\n"
	  unless defined $opts{preload} && !$opts{preload};
	$conf .= $opts{conf} . "\n" if defined $opts{conf};
	return $conf;
}

# wait_until(NODE, QUERY, LABEL, [DBNAME]): polls until QUERY says t, and makes
# that a test named LABEL
sub wait_until
{
	my ($node, $query, $label, $dbname) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($node->poll_query_until($dbname || 'postgres', $query), $label);
}

# set_and_reload(NODE, NAME => VALUE...)
sub set_and_reload
{
	my ($node, %settings) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET $_ = '$settings{$_}'") foreach sort keys %settings;
	$node->reload;
	return;
}

# log_lines(NODE, OFFSET, PATTERN): how often that is in the log from there on
sub log_lines
{
	my ($node, $log, $pattern) = @_;
	my @lines = slurp_file($node->logfile, $log) =~ /$pattern/g;

	return scalar @lines;
}

# session(NODE, %opts): opens a session and keeps it; see PoolMonitor::Session
sub session
{
	my ($node, %opts) = @_;

	return PoolMonitor::Session->new($node, %opts);
}

# One client with its own connection: a psql that reads what we send it.  It
# behaves the same with every version of the test framework.
package PoolMonitor::Session;

use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Utils;

# new(NODE, %opts): connects, and dies if it cannot
#
#   appname   application_name; '' for the empty name (default: psql)
#   user      default: the superuser
#   dbname    default: postgres
#   host      default: the node's socket
#   options   settings for the session: '-c name=value ...'
sub new
{
	my ($class, $node, %opts) = @_;
	my $self = bless {
		in => '',
		stdout => '',
		stderr => '',
		marker => 0,
		# A whole test's patience, as the framework has it
		timer => IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default || 180)
	}, $class;
	my %connection = (
		host => $opts{host} || $node->host,
		port => $node->port,
		dbname => $opts{dbname} || 'postgres');

	$connection{user} = $opts{user} if defined $opts{user};
	$connection{application_name} = $opts{appname}
	  if defined $opts{appname} && $opts{appname} ne '';
	$connection{options} = $opts{options} if defined $opts{options};
	my $connstr = join ' ', map { "$_=" . _quote($connection{$_}) } sort keys %connection;

	$self->{run} = IPC::Run::start(
		[
			$node->installed_command('psql'), '-XAtq', '-w',
			'-v', 'ON_ERROR_STOP=0', '-d', $connstr,
			'-c', 'SELECT pg_backend_pid()', '-c', "\\echo -- done $self->{marker}", '-f', '-'
		],
		'<', \$self->{in}, '>', \$self->{stdout}, '2>', \$self->{stderr},
		$self->{timer});
	# Asked by the command: who writes to a psql that is gone does not hear why.
	$self->{pid} = $self->wait;
	if (!defined $self->{pid} || $self->{pid} !~ /^\d+$/)
	{
		$self->quit;
		die "could not open a session: $self->{stderr}";
	}
	# libpq replaces an empty name by its fallback
	$self->query("SET application_name = ''")
	  if defined $opts{appname} && $opts{appname} eq '';
	return $self;
}

# A value for a connection string
sub _quote
{
	my ($value) = @_;

	$value =~ s/([\\'])/\\$1/g;
	return "'$value'";
}

# The server process's pid
sub pid { return $_[0]->{pid}; }

# What psql wrote to stderr since the last query began
sub stderr { return $_[0]->{stderr}; }

# query(SQL): its output without the last newline; undef if the connection is
# gone.  An SQL error is no failure: see stderr().
sub query
{
	my ($self, $sql) = @_;

	$self->query_async($sql);
	return $self->wait;
}

# holds(QUERY, LABEL): asks until QUERY says t, and makes that a test named LABEL;
# unlike wait_until(), it opens no session
sub holds
{
	my ($self, $query, $label) = @_;
	my $deadline = time + 180;
	my $answer;

	while (($answer = $self->query($query) // 'nothing') ne 't' && time < $deadline)
	{
		$self->query('SELECT pg_sleep(0.01)');
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return Test::More::is($answer, 't', $label);
}

# samples(N, [LABEL]): waits for so many more
sub samples
{
	my ($self, $n, $label) = @_;
	my $until = $self->query('SELECT samples FROM pool_monitor_info') + $n;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return $self->holds("SELECT samples >= $until FROM pool_monitor_info", $label // "$n more samples are taken");
}

# query_async(SQL): sends and returns at once; wait() has the output
sub query_async
{
	my ($self, $sql) = @_;

	$self->{stdout} = $self->{stderr} = '';
	$self->{marker}++;
	$sql =~ s/[\s;]+\z//;
	$sql .= ';' unless $sql =~ /^\\/;
	$self->{in} .= "$sql\n\\echo -- done $self->{marker}\n";
	# A client that is gone shows in wait()
	local $SIG{PIPE} = 'IGNORE';
	eval { $self->{run}->pump_nb while length $self->{in}; };
	return;
}

# wait(): the output of the last query, once it has ended
sub wait
{
	my ($self) = @_;
	my $end = qr/^-- done $self->{marker}\n/m;

	local $SIG{PIPE} = 'IGNORE';
	$self->{timer}->start;
	while ($self->{stdout} !~ $end)
	{
		next if eval { $self->{run}->pump; 1 };
		die $@ if $self->{timer}->is_expired;
		last if $self->{stdout} !~ $end;
	}
	$self->{timer}->reset;
	return undef unless $self->{stdout} =~ s/$end.*//s;
	chomp(my $output = $self->{stdout});
	return $output;
}

# is_connected(): does the session still answer?
sub is_connected
{
	my ($self) = @_;
	my $answer = $self->query('SELECT 1');

	return defined $answer && $answer eq '1';
}

# quit(): ends the session as a client should
sub quit
{
	my ($self) = @_;

	return unless $self->{run};
	local $SIG{PIPE} = 'IGNORE';
	eval { $self->{run}->finish; };
	delete $self->{run};
	return;
}

# kill9(): the client dies without a word to the server
sub kill9
{
	my ($self) = @_;

	return unless $self->{run};
	eval { $self->{run}->signal('KILL'); $self->{run}->finish; };
	delete $self->{run};
	return;
}

sub DESTROY
{
	my ($self) = @_;

	local ($@, $?);
	$self->kill9;
	return;
}

1;
