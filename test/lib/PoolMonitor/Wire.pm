# Wire.pm: a client that speaks the protocol itself, for what psql cannot do:
# send garbage, pipelines, single protocol messages, and storms of logins.
#
#   my $c = PoolMonitor::Wire->new($node, appname => 'billing', user => 'joe');
#   $c->query('SELECT 1');
#   $c->parse('', 'SELECT 1')->bind->execute->sync->wait_ready;
#   $c->drop;
#
# The server must trust its clients.
package PoolMonitor::Wire;

use strict;
use warnings;

use Errno;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use PostgreSQL::Test::Utils;
use Socket qw(SOCK_STREAM);
use Time::HiRes qw(time);

# Longer than anything takes that is not stuck
my $patience = $PostgreSQL::Test::Utils::timeout_default || 180;

sub _connect
{
	my ($node, $blocking, $host) = @_;

	return IO::Socket::INET->new(
		Proto => 'tcp',
		Blocking => $blocking,
		PeerHost => $host,
		PeerPort => $node->port) if defined $host;
	return IO::Socket::UNIX->new(
		Type => SOCK_STREAM,
		Blocking => $blocking,
		Peer => $node->host . '/.s.PGSQL.' . $node->port);
}

# The first message; %opts as for new()
sub _startup
{
	my (%opts) = @_;
	my %parameters = (
		user => defined $opts{user} ? $opts{user} : scalar getpwuid($<),
		database => defined $opts{dbname} ? $opts{dbname} : 'postgres');

	$parameters{application_name} = $opts{appname} if defined $opts{appname};
	foreach my $name ('options', 'replication')
	{
		$parameters{$name} = $opts{$name} if defined $opts{$name};
	}
	my $body = pack('N', 3 << 16);
	$body .= pack('Z*Z*', $_, $parameters{$_}) foreach sort keys %parameters;
	$body .= "\0";
	return pack('N', 4 + length $body) . $body;
}

# new(NODE, %opts): logs in, or dies
#
#   appname, user, dbname, options   as the session is to declare them
#   replication                      'database' for a walsender
#   host                             an address to connect to over TCP
#   silent => 1                      connect, but send nothing yet: see log_in()
sub new
{
	my ($class, $node, %opts) = @_;
	my $socket = _connect($node, 1, $opts{host}) || die "could not connect: $!";
	my $self = bless { socket => $socket, buffer => '', opts => \%opts }, $class;

	return $self if $opts{silent};
	my $result = $self->log_in;
	die "could not log in: $result->{message}" unless $result->{ready};
	return $self;
}

# fill(NODE, %opts): logs in until the server is full and refuses one; then all of
# them leave.  Returns the SQLSTATE of the refusal.
sub fill
{
	my ($node, %opts) = @_;
	my @all;
	my $result;

	while (@all < 1000)
	{
		my $client = __PACKAGE__->new($node, silent => 1, %opts);

		$result = $client->log_in;
		last unless $result->{ready};
		push @all, $client;
	}
	$_->quit foreach @all;
	return $result->{sqlstate};
}

# log_in(): sends the start-up message; the result as of wait_ready()
sub log_in
{
	my ($self) = @_;

	$self->send_raw(_startup(%{ $self->{opts} }));
	return $self->wait_ready;
}

# skim(BYTES): reads so many bytes of what the server sends, and forgets them
sub skim
{
	my ($self, $bytes) = @_;

	while ($bytes > 0)
	{
		my $n = sysread($self->{socket}, my $forgotten, $bytes < 65536 ? $bytes : 65536);
		next if !defined $n && $!{EINTR};
		die 'the server sends no more' unless $n;
		$bytes -= $n;
	}
	return $self;
}

# The server process's pid
sub pid { return $_[0]->{pid}; }

# send_raw(BYTES)
sub send_raw
{
	my ($self, $bytes) = @_;

	local $SIG{PIPE} = 'IGNORE';
	while (length $bytes)
	{
		my $n = syswrite($self->{socket}, $bytes);
		next if !defined $n && $!{EINTR};
		last unless defined $n;
		substr($bytes, 0, $n, '');
	}
	return $self;
}

# send(TYPE, BODY): one message
sub send
{
	my ($self, $type, $body) = @_;

	return $self->send_raw($type . pack('N', 4 + length $body) . $body);
}

# The messages of the extended protocol, for the unnamed portal.  Each returns
# the client, so that they can be strung together.
sub parse
{
	my ($self, $name, $sql) = @_;
	return $self->send('P', pack('Z*Z*n', $name, $sql, 0));
}

sub bind
{
	my ($self, $name) = @_;
	return $self->send('B', pack('Z*Z*nnn', '', defined $name ? $name : '', 0, 0, 0));
}

sub describe
{
	my ($self, $name) = @_;
	return $self->send('D', pack('aZ*', 'S', $name));
}

sub execute { return $_[0]->send('E', pack('Z*N', '', 0)); }
sub sync { return $_[0]->send('S', ''); }

# extended(SQL): all of them in one go
sub extended
{
	my ($self, $sql) = @_;
	return $self->parse('', $sql)->bind->execute;
}

# query(SQL): a simple query; the result as of wait_ready()
sub query
{
	my ($self, $sql) = @_;
	return $self->send_query($sql)->wait_ready;
}

sub send_query
{
	my ($self, $sql) = @_;
	return $self->send('Q', pack('Z*', $sql));
}

# Takes one complete message off a buffer; an empty list if there is none
sub _next_message
{
	my ($buffer) = @_;

	return () if length $$buffer < 5;
	my ($type, $length) = unpack('aN', $$buffer);
	return () if length $$buffer < 1 + $length;
	my $body = substr($$buffer, 5, $length - 4);
	substr($$buffer, 0, 1 + $length, '');
	return ($type, $body);
}

# An ErrorResponse's or NoticeResponse's fields
sub _fields
{
	my ($body) = @_;
	my %fields;

	foreach my $field (split /\0/, $body)
	{
		$fields{ substr($field, 0, 1) } = substr($field, 1) if length $field;
	}
	return \%fields;
}

# read_message(): (type, body), or an empty list at the end of the connection
sub read_message
{
	my ($self) = @_;
	my $deadline = time + $patience;

	while (1)
	{
		my @message = _next_message(\$self->{buffer});

		return @message if @message;
		# A signal, of a child that has ended, may cut either call short.
		unless (IO::Select->new($self->{socket})->can_read($deadline - time))
		{
			die "the server did not answer" if time >= $deadline;
			next;
		}
		my $n = sysread($self->{socket}, $self->{buffer}, 8192, length $self->{buffer});
		return () unless $n || (!defined $n && $!{EINTR});
	}
}

# wait_for(TYPE): the body of the next message of that type
sub wait_for
{
	my ($self, $wanted) = @_;

	while (my ($type, $body) = $self->read_message)
	{
		return $body if $type eq $wanted;
	}
	return undef;
}

# wait_ready(): reads until the server waits for a query, or is gone.  Returns
#
#   ready      1, or 0 where the connection has ended
#   status     I, T or E
#   tags       the commands that were completed
#   rows       what they returned, each an array
#   sqlstate   of the last error or undef; and its message
sub wait_ready
{
	my ($self) = @_;
	my %result = (ready => 0, tags => [], rows => []);

	while (my ($type, $body) = $self->read_message)
	{
		if ($type eq 'E')
		{
			my $fields = _fields($body);

			$result{sqlstate} = $fields->{C};
			$result{message} = $fields->{M};
		}
		elsif ($type eq 'C')
		{
			push @{ $result{tags} }, unpack('Z*', $body);
		}
		elsif ($type eq 'D')
		{
			my ($n, @row) = unpack('n', $body);
			my $at = 2;

			while ($n-- > 0)
			{
				my $length = unpack('l>', substr($body, $at, 4));

				push @row, $length < 0 ? undef : substr($body, $at + 4, $length);
				$at += 4 + ($length < 0 ? 0 : $length);
			}
			push @{ $result{rows} }, \@row;
		}
		elsif ($type eq 'K')
		{
			$self->{pid} = unpack('N', $body);
		}
		elsif ($type eq 'Z')
		{
			$result{ready} = 1;
			$result{status} = $body;
			last;
		}
	}
	return \%result;
}

# wait_end(): reads until the server closes the connection; the sqlstate that
# it gave as the reason
sub wait_end
{
	my ($self) = @_;
	my $result = $self->wait_ready;
	my $sqlstate = $result->{sqlstate};

	while ($result->{ready})
	{
		$result = $self->wait_ready;
		$sqlstate = $result->{sqlstate} if defined $result->{sqlstate};
	}
	return $sqlstate;
}

# quit(): says goodbye, as a client should, and waits until the server is gone
sub quit
{
	my ($self) = @_;

	$self->send('X', '');
	$self->wait_end;
	$self->drop;
	return;
}

# drop(): closes the socket without a word: what the server sees of a client
# that was killed
sub drop
{
	my ($self) = @_;

	close(delete $self->{socket}) if $self->{socket};
	return;
}

# storm(NODE, COUNT, PARALLEL, SUB): COUNT logins, PARALLEL at a time.  SUB is
# given the number of the login, from 0 on, and returns its options, a list as
# for new().  Who is let in leaves at once.  Returns how many got which answer:
# "connected", "SQLSTATE message", or "nothing" where the server hung up.
sub storm
{
	my ($node, $count, $parallel, $options) = @_;
	my $select = IO::Select->new;
	my (%clients, %answers);
	my $started = 0;
	my $deadline = time + $patience;

	local $SIG{PIPE} = 'IGNORE';
	while ($started < $count || %clients)
	{
		while ($started < $count && keys %clients < $parallel)
		{
			my $socket = _connect($node, 1) || die "could not connect: $!";

			syswrite($socket, _startup($options->($started++)));
			$clients{ fileno $socket } = '';
			$select->add($socket);
		}
		die "the storm does not end" if time > $deadline;
		foreach my $socket ($select->can_read(1))
		{
			my $buffer = \$clients{ fileno $socket };
			my $answer;

			$answer = 'nothing' unless sysread($socket, $$buffer, 8192, length $$buffer);
			while (my ($type, $body) = _next_message($buffer))
			{
				if ($type eq 'E')
				{
					my $fields = _fields($body);

					$answer = "$fields->{C} $fields->{M}";
				}
				elsif ($type eq 'Z')
				{
					$answer = 'connected';
					syswrite($socket, 'X' . pack('N', 4));
				}
			}
			next unless defined $answer;
			$answers{$answer}++;
			delete $clients{ fileno $socket };
			$select->remove($socket);
			close($socket);
		}
	}
	return \%answers;
}

1;
