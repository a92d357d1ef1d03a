# The setting pool_monitor.pools: what is refused, and where; and that hundreds
# of values at random are refused or mean what they say.

use strict;
use warnings;

use PoolMonitor;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $node = PoolMonitor::new_node('main', extension => 1, conf => <<'CONF');
autovacuum = off
pool_monitor.sample_interval = '50ms'
CONF
my $session = PoolMonitor::session($node, appname => 'administrator');
my $worker = $session->query('SELECT worker_pid FROM pool_monitor_info');

sub literal { my ($text) = @_; $text =~ s/'/''/g; return "'$text'"; }

# set_pools(VALUE): what the server says to it, in one line without the value;
# '' if it is accepted
sub set_pools
{
	my ($value) = @_;

	$session->query('ALTER SYSTEM SET pool_monitor.pools = ' . literal($value));
	my $message = $session->stderr;
	return '' if $message eq '';
	$message =~ s/^psql:.*?: (?=ERROR)//;
	$message =~ s/\A(ERROR:  invalid value for parameter "pool_monitor.pools")[^\n]*\n/$1\n/ unless $value =~ /\n/;
	$message =~ s/\n(?=.)/ | /g;
	chomp $message;
	return $message;
}

# Wait until the session has this value; one has to talk to it for that
sub in_force
{
	my ($value) = @_;

	$session->query('SELECT pg_reload_conf()');
	foreach (1 .. 6000)
	{
		return 1 if $session->query('SELECT current_setting(\'pool_monitor.pools\') = ' . literal($value)) eq 't';
		Time::HiRes::sleep(0.002);
	}
	return 0;
}

#
# Errors that a person would make: each names the pool, the key and the position
#
my @mistakes = (
	[ 'api', 'At position 4: expected ":" after the pool\'s name "api".' ],
	[ ': size=5', 'At position 1: expected a pool\'s name before ":".' ],
	[ '"": size=5', 'At position 1: the pool\'s name is empty.' ],
	[ 'api: sise=5', 'Pool "api", key "sise", at position 6: unknown key "sise".' ],
	[ 'api: size=5 size=6', 'Pool "api", key "size", at position 13: key "size" is given twice.' ],
	[ 'api: size=five', 'Pool "api", key "size", at position 11: "five" is not a whole number.' ],
	[ 'api: size=-1', 'Pool "api", key "size", at position 11: -1 is outside the valid range (0 to 262143).' ],
	[ 'api: size=262144', 'Pool "api", key "size", at position 11: 262144 is outside the valid range (0 to 262143).' ],
	[ 'api: size=99999999999999999999', 'Pool "api", key "size", at position 11: 99999999999999999999 is outside the valid range (0 to 262143).' ],
	[ 'api: size=0', 'Pool "api", key "size", at position 6: size and overflow are both 0.' ],
	[ 'api: size=5 instances=0', 'Pool "api", key "instances", at position 23: 0 is outside the valid range (1 to 262143).' ],
	[ 'api: overflow=5', 'Pool "api", key "overflow", at position 6: "overflow" needs "size".' ],
	[ 'api: instances=5', 'Pool "api", key "instances", at position 6: "instances" needs "size".' ],
	[ 'api: size= 5', 'Pool "api", key "size", at position 11: no value after "size=".' ],
	[ 'api: size =5', 'Pool "api", at position 10: expected "=" directly after "size".' ],
	[ 'api: size', 'Pool "api", at position 10: expected "=" directly after "size".' ],
	[ 'a: size=1; b: size=2; a: size=3', 'Pool "a", at position 23: pool "a" is declared twice.' ],
	[ 'a: size=1; b: size=2, c: size=3', 'Pool "b", key "size", at position 20: "2," is not a whole number.' ],
	[ 'a: application=x:y size=1', 'Pool "a", key "application", at position 17: unexpected ":" after "x".' ],
	[ 'a: application="x size=1', 'Pool "a", key "application", at position 16: unterminated double quote.' ],
	[ 'a: application="x"y size=1', 'Pool "a", key "application", at position 19: unexpected character after the closing double quote of "x".' ],
	[ 'a: client=localhost', 'Pool "a", key "client", at position 11: "localhost" is not a client address.' ],
	[ 'a: client=127.0.0.1/8', 'Pool "a", key "client", at position 11: network "127.0.0.1/8" has bits set to the right of its prefix.' ],
	[ 'a: client=10.0.0.0/33', 'Pool "a", key "client", at position 11: invalid prefix length in network "10.0.0.0/33".' ],
	[ 'a: idle_timeout=5 min', 'Pool "a", at position 22: expected "=" directly after "min".' ],
	[ 'a: idle_timeout=5minutes', 'Pool "a", key "idle_timeout", at position 17: "5minutes" is not a duration.' ],
	[ 'a: max_lifetime=-1', qr/\APool "a", key "max_lifetime", at position 17: -1 is outside the valid range \(0 to \S+\)\.\z/ ],
	[ 'a: closes_idle=soon', 'Pool "a", key "closes_idle", at position 16: "soon" is not a duration.' ],
	[ 'a: min_idle=-1', 'Pool "a", key "min_idle", at position 13: -1 is outside the valid range (0 to 262143).' ],
	[ 'a: keep_idle=2.5', 'Pool "a", key "keep_idle", at position 14: "2.5" is not a whole number.' ],
	[ "caf\x{c3}\x{a9}: application=\x{e2}\x{82}\x{ac}* sise=1", "Pool \"caf\x{c3}\x{a9}\", key \"sise\", at position 22: unknown key \"sise\"." ],
	[ ('x' x 64) . ': size=1', 'At position 1: the pool\'s name "' . ('x' x 40) . '..." is too long: 64 bytes, the limit is 63.' ],
	[ 'a: user=' . ('x' x 128), 'Pool "a", key "user", at position 9: value "' . ('x' x 40) . '..." is too long: 128 bytes, the limit is 127.' ],
	[ join(';', map { "p$_: size=1" } 1 .. 101), 'At position 1193: too many pools: the limit is 100.' ]);

foreach my $mistake (@mistakes)
{
	my ($value, $detail) = @$mistake;
	my $message = set_pools($value);
	my ($got) = $message =~ /\AERROR:  invalid value for parameter "pool_monitor.pools" \| DETAIL:  (.*?)(?: \| HINT:  .*)?\z/;
	my $label = 'refused: ' . substr($value, 0, 60);

	$got = $message unless defined $got;
	ref $detail ? like($got, $detail, $label) : is($got, $detail, $label);
}
like(set_pools('api: sise=5'), qr/HINT:  The keys are application, user, /, 'a hint tells of the keys');
is($session->query("SELECT current_setting('pool_monitor.pools')"), '', 'nothing of that is in force');

# SET is not for it, nor for a role or a database
foreach my $statement ("SET pool_monitor.pools = 'a: size=1'", "ALTER ROLE CURRENT_USER SET pool_monitor.pools = 'a: size=1'",
	"ALTER DATABASE postgres SET pool_monitor.pools = 'a: size=1'")
{
	$session->query($statement);
	like($session->stderr, qr/parameter "pool_monitor.pools" cannot be changed now/, "refused: $statement");
}
$session->query("SET pool_monitor.pools = 'a: sise=1'");
like($session->stderr, qr/ERROR: .*(?:cannot be changed now|invalid value)/, 'refused: SET with a mistake');

#
# At random
#
my $seed = $ENV{PMON_SEED} || 20261122;
note("PMON_SEED=$seed");
srand($seed);

sub draw { return int(rand($_[0])); }
sub pick { return $_[ draw(scalar @_) ]; }

# A word as it may be spelled: in quotes where it must be, or by chance
sub spell
{
	my ($word, $need_quotes) = @_;

	return $word if $word ne '' && $word !~ $need_quotes && draw(4);
	$word =~ s/"/""/g;
	return "\"$word\"";
}

sub draw_word { return join '', map { pick('a', 'api', '-', '*', '?', ' ', ';', ':', '=', '"', "'", '\\', '#', ',', '1', "\x{c3}\x{a9}", "\t") } 1 .. draw(9); }
sub blanks { return join '', map { pick(' ', '  ', "\t") } 1 .. $_[0] + !draw(4); }

# One pool: how it is spelled, and the row that is to be seen
sub draw_pool
{
	my ($number) = @_;
	my $name = join('', map { pick('p', ' ', ':', ';', '"', '=', "'", "\x{c3}\x{a9}") } 1 .. draw(4)) . $number;
	my %row = (pool => $name, keep_idle => '0', min_idle => '0');
	my @pairs;

	foreach my $key ([ application => 'application_name' ], [ user => 'usename' ], [ database => 'datname' ])
	{
		next if draw(3);
		my $word = draw_word();

		$row{ $key->[1] } = $word;
		push @pairs, "$key->[0]=" . spell($word, qr/[\s;:"]/);
	}
	if (!draw(3))
	{
		$row{client_addr} = pick('local', '10.0.0.0/8', '192.168.1.7', '::1', 'fd00::/8', '::ffff:10.0.0.0/104', '0.0.0.0/0');
		push @pairs, 'client=' . spell($row{client_addr}, qr/[\s;"]/);
	}
	if (draw(4))
	{
		$row{pool_size} = 1 + pick(draw(5), draw(100), 262142);
		$row{max_overflow} = $row{instances} = '0';
		$row{instances} = 1;
		push @pairs, 'size=' . pick('', '+', '0') . $row{pool_size};
		push @pairs, 'overflow=' . ($row{max_overflow} = draw(100)) if draw(2);
		push @pairs, 'instances=' . ($row{instances} = 1 + draw(9)) if !draw(3);
		$row{capacity} = ($row{pool_size} + $row{max_overflow}) * $row{instances};
	}
	foreach my $key (qw(idle_timeout idle_in_transaction_timeout max_lifetime closes_idle))
	{
		next if draw(4);
		my $unit = pick([ '', 1 ], [ 'ms', 1 ], [ 's', 1000 ], [ 'min', 60_000 ], [ 'h', 3_600_000 ], [ 'd', 86_400_000 ]);
		my $number = draw(20);

		$row{$key} = $number * $unit->[1];
		push @pairs, "$key=$number$unit->[0]";
	}
	push @pairs, 'keep_idle=' . ($row{keep_idle} = draw(9)) if !draw(3);
	push @pairs, 'min_idle=' . ($row{min_idle} = draw(9)) if !draw(3);
	@pairs = sort { rand() <=> 0.5 } @pairs;
	return (spell($name, qr/[\s;:="]/) . blanks(0) . ':' . join('', map { blanks(1) . $_ } @pairs) . blanks(0), \%row);
}

my @columns = qw(pool application_name usename datname client_addr pool_size max_overflow instances capacity
  idle_timeout idle_in_transaction_timeout max_lifetime keep_idle closes_idle min_idle);

# What is in force, a line a pool
sub shown
{
	return $session->query(
		'SELECT ' . join(" || '|' || ", map {
				my $column = /timeout|lifetime|closes/ ? "(extract(epoch FROM $_) * 1000)::bigint::text" : "$_\::text";
				"coalesce($column, '<none>')" } @columns)
		  . ' FROM pool_monitor_pools');
}
sub expected { return join "\n", map { my $row = $_; join '|', map { defined $row->{$_} ? $row->{$_} : '<none>' } @columns } @_; }

my (@spellings, @wrong);
my $accepted = 0;
foreach (1 .. 150)
{
	my (@texts, @rows);

	foreach my $number (1 .. 1 + draw(4))
	{
		my ($text, $row) = draw_pool($number);

		push @texts, $text;
		push @rows, $row;
	}
	my $value = blanks(0) . join(';', map { $_ . blanks(0) } @texts) . pick('', ';');
	my $message = set_pools($value);

	push @spellings, $value;
	if ($message ne '') { push @wrong, "$value\n  refused: $message"; next; }
	if (!in_force($value)) { push @wrong, "$value\n  is not in force"; next; }
	my ($shown, $expected) = (shown(), expected(@rows));
	push @wrong, "$value\n  shown: $shown\n  meant: $expected" if $shown ne $expected;
	$accepted++;
}
is(join("\n", @wrong), '', 'what the grammar allows is accepted, and shown as it is meant');
is($accepted, 150, '150 values at random have been in force');

# Damaged in one to three places: refused with a position inside the value, or
# accepted, and then it is in force
my ($refused, $still_good) = (0, 0);
@wrong = ();
foreach (1 .. 300)
{
	my $value = pick(@spellings);

	foreach (1 .. 1 + draw(3))
	{
		my $at = draw(length $value);
		my $how = draw(4);

		if ($how == 0) { substr($value, $at, 1 + draw(3)) = ''; }
		elsif ($how == 1) { substr($value, $at, 0) = pick(split(//, '";:= *?-/.9x'), 'size=', ' size=3', ';;', 'application=', "\x{e2}\x{82}\x{ac}"); }
		elsif ($how == 2) { substr($value, $at, 1) = pick(split //, '";:= 0ax'); }
		else { $value = substr($value, 0, $at); }
		last if $value eq '';
	}
	# not what a client may send at all: half a character
	next unless utf8::decode(my $characters = $value);
	my $message = set_pools($value);

	if ($message eq '')
	{
		$still_good++;
		push @wrong, "$value\n  is not in force" unless in_force($value);
		my $pools = $session->query('SELECT count(*) FROM pool_monitor_pools');
		push @wrong, "$value\n  shows $pools pools" unless defined $pools && $pools =~ /^\d+$/;
	}
	elsif ($message =~ /\AERROR:  invalid value for parameter "pool_monitor.pools" \| DETAIL:  (?:(?!at position ).)*[Aa]t position (\d+): .+\./s
		&& $1 >= 1 && $1 <= length($characters) + 1)
	{
		$refused++;
	}
	else { push @wrong, "$value\n  $message"; }
}
is(join("\n", @wrong), '', 'a damaged value is refused with a position inside it, or is in force');
cmp_ok($refused, '>=', 100, 'many are refused');
note("refused: $refused, accepted: $still_good");

# Bytes that make no sense in any other way
foreach my $value ('"' x 1001, ';' x 5000, ':' x 1000, 'a:' x 1000, 'x' x 5000, 'a: application=' . ('*' x 127) . ' size=1', '=' x 1000)
{
	like(set_pools($value), qr/\A(?:\z|ERROR:  invalid value .* at position \d+: )/i, 'a long value gets an answer: ' . substr($value, 0, 20));
}

#
# In the file: what was in force stays
#
is(set_pools(''), '', 'the setting is emptied');
$session->query('ALTER SYSTEM RESET pool_monitor.pools');
$node->append_conf('postgresql.conf', "pool_monitor.pools = 'good: application=administrator size=3'");
ok(in_force('good: application=administrator size=3'), 'a good value in the file is in force');
my $start = -s $node->logfile;
$node->append_conf('postgresql.conf', "pool_monitor.pools = 'good: size=3; bad: size=3 sise=4'");
$node->reload;
$node->wait_for_log(qr/contains errors; unaffected changes were applied/, $start);
my $log = slurp_file($node->logfile, $start);
like($log, qr/LOG:  invalid value for parameter "pool_monitor.pools": "good: size=3; bad: size=3 sise=4"/, 'a bad value in the file is in the log');
like($log, qr/DETAIL:  Pool "bad", key "sise", at position 27: unknown key "sise"\./, 'with the pool, the key and the position');
like($log, qr/HINT:  The keys are /, 'and a hint');
is(() = $log =~ /invalid value/g, 1, 'once, and not by each session');
is($session->query('SELECT pool, pool_size, total_connections FROM pool_monitor_pools'), 'good|3|1', 'what was in force stays');
is($session->query("SELECT applied, error FROM pg_file_settings WHERE name = 'pool_monitor.pools' ORDER BY seqno DESC LIMIT 1"),
	'f|setting could not be applied', 'pg_file_settings tells of it');
is($session->query('SELECT worker_pid FROM pool_monitor_info'), $worker, 'the worker is the one it was');
is($session->query('SELECT samples > 0, pg_postmaster_start_time() < now() FROM pool_monitor_info'), 't|t', 'and works');
is(() = slurp_file($node->logfile) =~ /terminated by signal|TRAP|PANIC/g, 0, 'after all that, no process has failed');
$session->quit;
$node->stop;

# At server start it is as with any setting of a library: core warns, and takes
# the default
$start = -s $node->logfile;
$node->start;
$log = slurp_file($node->logfile, $start);
like($log, qr/WARNING:  invalid value for parameter "pool_monitor.pools": "good: size=3; bad: size=3 sise=4"/, 'a server that starts with a bad value warns of it');
like($log, qr/DETAIL:  Pool "bad", key "sise", at position 27: unknown key "sise"\./, 'and says where it is wrong');
is($node->safe_psql('postgres', "SELECT count(*), current_setting('pool_monitor.pools') = '' FROM pool_monitor_pools"), '0|t', 'no pool is declared then');
$node->stop;
$node->append_conf('postgresql.conf', "pool_monitor.pools = 'mended: size=3'");
$node->start;
is($node->safe_psql('postgres', 'SELECT pool FROM pool_monitor_pools'), 'mended', 'and starts when it is mended');
$node->stop;
done_testing();
