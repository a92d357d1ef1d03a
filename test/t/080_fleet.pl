# One query over a primary and its two replicas: every view has the rows of
# each server under its name, and a server that is down, hangs or lacks the
# extension is one row that says so.
use strict;
use warnings;

use File::Basename;
use File::Spec;
use PoolMonitor;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $script = dirname(File::Spec->rel2abs(__FILE__)) . '/../../sql/pool_monitor_fleet.sql';
my $primary = PoolMonitor::new_node('primary', init => [ allows_streaming => 1 ],
	extension => 1, conf => "max_connections = 30\npool_monitor.sample_interval = '100ms'\n");

$primary->safe_psql('postgres', 'CREATE ROLE watcher LOGIN; GRANT pg_monitor TO watcher; CREATE DATABASE monitoring; CREATE DATABASE bare');
$primary->backup('base');
my %node = (primary => $primary);

foreach my $name (qw(replica_1 replica_2))
{
	$node{$name} = PostgreSQL::Test::Cluster->new($name);
	$node{$name}->init_from_backup($primary, 'base', has_streaming => 1);
	$node{$name}->start;
}

sub monitoring
{
	my ($sql, %opts) = @_;
	return $primary->safe_psql('monitoring', $sql, %opts);
}

# The script
my ($status, undef, $error) = $primary->psql('monitoring', "\\i $script", on_error_stop => 1);
isnt($status, 0, 'the script needs the extension');
like($error, qr/ERROR:  extension "pool_monitor" does not exist in this database/, 'and says so');
is(monitoring("SELECT count(*) FROM pg_namespace WHERE nspname = 'pool_monitor_fleet'"), '0', 'it leaves nothing half made');
monitoring('CREATE EXTENSION postgres_fdw');
monitoring('CREATE EXTENSION pool_monitor');
($status, undef, $error) = $primary->psql('monitoring', "\\i $script", on_error_stop => 1);
is("$status$error", '0', 'then it runs without a remark');
is( monitoring(
		"SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class
		  WHERE relnamespace = 'pool_monitor_fleet'::regnamespace AND relkind = 'v'"),
	monitoring("SELECT string_agg(substr(relname, 14), ' ' ORDER BY relname) FROM pg_class WHERE relkind = 'v' AND relname LIKE 'pool\\_monitor\\_%'"),
	'each view has one of the fleet');
is(monitoring('SELECT count(*) FROM pool_monitor_fleet.status'), '0', 'without servers there are no rows');

# The fleet
sub create_server
{
	my ($server, $host, $port, $dbname) = @_;

	monitoring(qq{
		CREATE SERVER "$server" FOREIGN DATA WRAPPER postgres_fdw
		    OPTIONS (host '$host', port '$port', dbname '$dbname', connect_timeout '2', keep_connections 'off',
		             options '-c statement_timeout=20000');
		CREATE USER MAPPING FOR CURRENT_USER SERVER "$server" OPTIONS (user 'watcher', password_required 'false');
		CREATE USER MAPPING FOR watcher SERVER "$server" OPTIONS (user 'watcher', password_required 'false');
		SELECT pool_monitor_fleet.add('$server')});
	return;
}

create_server($_, $node{$_}->host, $node{$_}->port, 'postgres') foreach sort keys %node;
my %held;
push @{ $held{primary} }, map { PoolMonitor::session($primary, appname => 'writer') } 1 .. 2;
push @{ $held{replica_1} }, map { PoolMonitor::session($node{replica_1}, appname => 'reader') } 1 .. 3;
push @{ $held{replica_2} }, PoolMonitor::session($node{replica_2}, appname => 'reader');
$held{replica_1}[0]->query('BEGIN');
$held{replica_1}[0]->query('SELECT 1');

my $statuses = 'SELECT server, error, status, max_connections FROM pool_monitor_fleet.status ORDER BY server';
my $applications = q{
	SELECT server, application_name, connections, checked_out, sessions FROM pool_monitor_fleet.applications
	 WHERE application_name IN ('reader', 'writer') ORDER BY 1, 2};
is(monitoring($statuses), "primary||healthy|30\nreplica_1||healthy|30\nreplica_2||healthy|30", 'one row a server');
is( monitoring($applications),
	"primary|writer|2|0|2\nreplica_1|reader|3|1|3\nreplica_2|reader|1|0|1",
	'each server has its own applications');
is( monitoring("SELECT server, sum(connections) FROM pool_monitor_fleet.connections
	             WHERE application_name IN ('reader', 'writer', 'replica_1', 'replica_2') GROUP BY 1 ORDER BY 1"),
	"primary|4\nreplica_1|3\nreplica_2|1", 'and its own connections, the primary with its walsenders');
is( monitoring('SELECT count(DISTINCT worker_pid), bool_and(loaded), count(error) FROM pool_monitor_fleet.info'),
	'3|t|0', 'each has a worker');
foreach my $view (split / /, monitoring("SELECT string_agg(name, ' ' ORDER BY name) FROM pool_monitor_fleet.views()"))
{
	is(monitoring("SELECT count(error) FROM pool_monitor_fleet.$view"), '0', "$view can be read from all of them");
}
is( monitoring("SELECT count(*) FROM pool_monitor_fleet.sessions WHERE application_name = 'postgres_fdw' AND server <> 'primary'"),
	'2', 'reading takes one connection of each server');
PoolMonitor::wait_until($node{replica_2},
	"SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'postgres_fdw'", 'which is given back');

# Roles
is( monitoring($statuses, connstr => $primary->connstr('monitoring') . ' user=watcher'),
	"primary||healthy|30\nreplica_1||healthy|30\nreplica_2||healthy|30",
	'a role with pg_monitor reads the fleet');
($status, undef, $error) = $primary->psql('monitoring', "SELECT pool_monitor_fleet.add('primary')",
	connstr => $primary->connstr('monitoring') . ' user=watcher');
like($error, qr/permission denied for function add/, 'but does not add to it');

# One is down
$_->quit foreach @{ $held{replica_2} };
$node{replica_2}->stop('fast');
like(monitoring($statuses),
	qr/\Aprimary\|\|healthy\|30\nreplica_1\|\|healthy\|30\nreplica_2\|could not connect to server "replica_2"\|\|\z/,
	'a server that is down is one row with the reason');
is( monitoring($applications), "primary|writer|2|0|2\nreplica_1|reader|3|1|3", 'the others are all there');
is( monitoring("SELECT sum(connections) FROM pool_monitor_fleet.status WHERE server = 'replica_2'"), '',
	'it has no figures, not zeroes');

# One goes down between two statements of a session that has read it, with a
# connection kept
monitoring("ALTER SERVER replica_1 OPTIONS (SET keep_connections 'on')");
my $session = PoolMonitor::session($primary, dbname => 'monitoring');
is($session->query("SELECT count(*) FROM pool_monitor_fleet.status WHERE error IS NULL"), '2', 'a session reads two servers');
$_->quit foreach @{ $held{replica_1} };
$node{replica_1}->stop('fast');
is($session->query("SELECT count(*) FROM pool_monitor_fleet.status WHERE error IS NULL"), '1',
	'one of them stops, and the session reads the other');
is($session->query("BEGIN; SELECT count(*) FROM pool_monitor_fleet.status; SELECT count(*) FROM pool_monitor_fleet.info; COMMIT"),
	"3\n3", 'a transaction survives it');
$node{$_}->start foreach qw(replica_1 replica_2);
is($session->query("SELECT count(*) FROM pool_monitor_fleet.status WHERE error IS NULL"), '3', 'both are back');
# the servers that were started meanwhile hold its standard input open
$session->kill9;
monitoring("ALTER SERVER replica_1 OPTIONS (SET keep_connections 'off')");

# One accepts connections and does not answer.  connect_timeout ends that before
# PostgreSQL 16, statement_timeout after it.
my ($postmaster) = slurp_file($node{replica_1}->data_dir . '/postmaster.pid') =~ /\A(\d+)/;
kill 'STOP', $postmaster;
my $started = time;
(undef, my $hanging, $error) = $primary->psql('monitoring', "SET statement_timeout = '6s'; $statuses");
kill 'CONT', $postmaster;
is($error, '', 'a server that hangs does not fail the whole');
like($hanging, qr/\Aprimary\|\|healthy\|30\nreplica_1\|(?:
	could\ not\ connect\ to\ server\ "replica_1"\|\|\nreplica_2\|\|healthy\|30|
	canceling\ statement\ due\ to\ statement\ timeout\|\|\nreplica_2\|not\ asked,\ since\ statement_timeout\ was\ over\|\|)\z/x,
	'it is one row too, and what was read before it is there');
cmp_ok(time - $started, '<', 30, 'after one of the timeouts');

# One has no extension, or a limit that is reached
create_server('bare', $primary->host, $primary->port, 'bare');
like(monitoring($statuses), qr/^bare\|relation "public\.pool_monitor_status" does not exist\|\|$/m,
	'a server without the extension says so');
is(monitoring("SELECT count(*) FROM pool_monitor_fleet.status WHERE error IS NULL"), '3', 'and spoils nothing');
monitoring('DROP SERVER bare CASCADE');
is(monitoring('SELECT count(*) FROM pool_monitor_fleet.status'), '3', 'DROP SERVER CASCADE takes a server out');

# A schema of its own, and a name too long
$primary->safe_psql('bare', 'CREATE SCHEMA tools; CREATE EXTENSION pool_monitor SCHEMA tools; GRANT USAGE ON SCHEMA tools TO watcher');
my $long = 's' x 41;
monitoring("CREATE SERVER $long FOREIGN DATA WRAPPER postgres_fdw");
(undef, undef, $error) = $primary->psql('monitoring', "SELECT pool_monitor_fleet.add('$long')");
like($error, qr/ERROR:  the name of server "$long" is longer than 40 characters/, 'a name that is too long is refused');
monitoring(qq{
	CREATE SERVER "It's @ \\ odd" FOREIGN DATA WRAPPER postgres_fdw
	    OPTIONS (host '@{[ $primary->host ]}', port '@{[ $primary->port ]}', dbname 'bare');
	CREATE USER MAPPING FOR CURRENT_USER SERVER "It's @ \\ odd" OPTIONS (user 'watcher', password_required 'false');
	SELECT pool_monitor_fleet.add('It''s @ \\ odd', 'tools')});
is( monitoring("SELECT error, status FROM pool_monitor_fleet.status WHERE server = 'It''s @ \\ odd'"),
	'|healthy', 'an odd name and another schema');

monitoring('DROP SCHEMA pool_monitor_fleet CASCADE');
is(monitoring('SELECT count(*) FROM pg_foreign_table'), '0', 'DROP SCHEMA CASCADE leaves nothing');

foreach my $node ($node{replica_1}, $node{replica_2}, $primary)
{
	$node->stop('fast');
	unlike(slurp_file($node->logfile), qr/TRAP|PANIC/, 'no assertion failed on the ' . $node->name);
}

done_testing();
