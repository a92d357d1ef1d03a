# Every function with arguments that nobody means well with: null, the ends of
# each type, NaN, infinity, nothing, very long, names that are code.  Each call
# either answers or says what is wrong with it, in bounded time; nothing fails
# with an internal error, and no call that is cut short leaves a lock behind.
# Calls that do end sessions or forget figures are left out.

use strict;
use warnings;

use PoolMonitor;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# So many calls of one function, drawn if there are more combinations
my $most = 1000;

# What may be wrong with a call: values, names, privileges, limits, the time
my $allowed = qr/^(?:00000|0A000|22...|23...|3D000|42...|54...|57014)$/;

my $node = PoolMonitor::new_node('arguments',
	extension => 1,
	conf => q{
max_connections = 30
pool_monitor.pools = 'a: application=psql* size=2 overflow=3; b: user=plain size=1'
pool_monitor.sample_interval = 10ms});
$node->safe_psql('postgres', q{
	CREATE ROLE plain LOGIN;
	CREATE TABLE candidates (type text, value text);
	INSERT INTO candidates SELECT 'interval', v FROM unnest(ARRAY[NULL, '0', '1 microsecond', '-1 microsecond', '1 hour', '1 month',
		'-1 year', '178000000 years', '-178000000 years', '2147483647 days', '-2147483648 days',
		'2147483647 days 2562047788 hours', '106751991 days 4 hours', 'infinity', '-infinity']) v;
	INSERT INTO candidates SELECT 'double precision', v FROM unnest('{NULL, NaN, Infinity, -Infinity, 0, -0, 1, -1, 0.5, 0.99,
		0.9999999999999999, 1.0000000000000002, 1e308, -1e308, 5e-324}'::text[]) v;
	INSERT INTO candidates SELECT 'timestamp with time zone', v FROM unnest(ARRAY[NULL, 'infinity', '-infinity', '4714-11-24 00:00:00+00 BC',
		'294276-12-31 23:59:59.999999+00', '2000-01-01 00:00:00+00', 'epoch', now()::text, (now() - interval '1 second')::text]) v;
	INSERT INTO candidates SELECT 'integer', v FROM unnest('{NULL, 0, 1, -1, 2, 2147483647, -2147483648}'::text[]) v;
	INSERT INTO candidates SELECT 'bigint', v FROM unnest('{NULL, 0, 1, -1, 9223372036854775807, -9223372036854775808}'::text[]) v;
	INSERT INTO candidates SELECT 'boolean', v FROM unnest('{NULL, true}'::text[]) v;
	INSERT INTO candidates SELECT t, v FROM unnest('{text, name}'::text[]) t,
		unnest(ARRAY[NULL, '', 'postgres', 'checked_out', 'psql', '%s%n%d', '''; DROP TABLE x; --', '<other>',
			'<insufficient privilege>', E'\n\t\x01\x7f', 'é\"{}\\', repeat('é', 200), repeat('x', 20000)]) v;
	CREATE TABLE outcomes (function text, state text, calls bigint, slowest float8, message text, PRIMARY KEY (function, state));
	GRANT ALL ON candidates, outcomes TO PUBLIC;

	-- A value as it stands in a call
	CREATE FUNCTION literal(type text, value text) RETURNS text LANGUAGE sql AS
	    $$ SELECT coalesce(format('%L::%s', value, type), 'NULL::' || type) $$;

	-- All combinations of the arguments of a function, or some of them
	CREATE FUNCTION calls(p regprocedure, most int) RETURNS SETOF text LANGUAGE plpgsql AS $$
	DECLARE
	    types text[] := (SELECT coalesce(array_agg(format_type(a, NULL) ORDER BY i), '{}') FROM pg_proc,
	                     unnest(proargtypes) WITH ORDINALITY u (a, i) WHERE oid = p);
	    total numeric := 1;
	    call text;
	BEGIN
	    FOR i IN 1 .. cardinality(types) LOOP
	        total := total * (SELECT count(*) FROM candidates WHERE type = types[i]);
	    END LOOP;
	    IF total <= most THEN
	        RETURN QUERY EXECUTE format('SELECT %s FROM (SELECT) z',
	                    coalesce((SELECT string_agg(format('literal(%L, a%s.value)', t, i), ' || '', '' || ' ORDER BY i)
	                                FROM unnest(types) WITH ORDINALITY u (t, i)), ''''''))
	               || coalesce((SELECT string_agg(format(', (SELECT value FROM candidates WHERE type = %L) a%s', t, i), ' ' ORDER BY i)
	                              FROM unnest(types) WITH ORDINALITY u (t, i)), '');
	    ELSE
	        FOR n IN 1 .. most LOOP
	            call := '';
	            FOR i IN 1 .. cardinality(types) LOOP
	                call := call || CASE WHEN i > 1 THEN ', ' ELSE '' END
	                    || (SELECT literal(type, value) FROM (SELECT * FROM candidates WHERE type = types[i]
	                                                          ORDER BY random() LIMIT 1) c);
	            END LOOP;
	            RETURN NEXT call;
	        END LOOP;
	    END IF;
	END $$;

	CREATE FUNCTION try(p regprocedure, most int) RETURNS void LANGUAGE plpgsql AS $$
	#variable_conflict use_column
	DECLARE
	    name text := (SELECT proname FROM pg_proc WHERE oid = p);
	    call text;
	    before timestamptz;
	    state text;
	    said text;
	BEGIN
	    FOR call IN SELECT * FROM calls(p, most) LOOP
	        before := clock_timestamp();
	        state := '00000';
	        said := NULL;
	        BEGIN
	            EXECUTE format('SELECT count(*) FROM %I(%s) r WHERE r::text IS NULL', name, call);
	        EXCEPTION WHEN OTHERS THEN
	            state := SQLSTATE;
	            said := format('%s(%s): %s', name, left(call, 400), left(SQLERRM, 400));
	        END;
	        INSERT INTO outcomes VALUES (p, state, 1, extract(epoch FROM clock_timestamp() - before), said)
	            ON CONFLICT (function, state) DO UPDATE
	            SET calls = outcomes.calls + 1, slowest = greatest(outcomes.slowest, excluded.slowest);
	    END LOOP;
	END $$;});

PoolMonitor::wait_until($node, 'SELECT samples > 100 FROM pool_monitor_info', 'there is a history to ask for');
my @functions = split /\n/, $node->safe_psql('postgres', q{
	SELECT d.objid::regprocedure FROM pg_depend d
	 WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
	   AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pool_monitor') ORDER BY 1});
cmp_ok(scalar @functions, '>=', 20, 'the extension has functions');

my $seed = $$ / 100000;
foreach my $role ('plain', scalar getpwuid($<))
{
	my $session = PoolMonitor::session($node, user => $role);

	$session->query("SELECT setseed($seed)");
	foreach my $function (@functions)
	{
		next if $function =~ /pool_monitor_reset/ && $role ne 'plain';
		$session->query('DELETE FROM outcomes');
		$session->query("SELECT try('$function', $most)");
		is($session->stderr, '', "$role calls $function to the end, with the seed $seed");

		my @outcomes = map { [ split /\|/, $_, 3 ] } split /\n/,
		  $session->query("SELECT state, slowest, calls || ' calls: ' || coalesce(translate(message, E'\\n', ' '), '') FROM outcomes ORDER BY state DESC");
		is( join("\n", map { "$_->[0] $_->[2]" } grep { $_->[0] !~ $allowed } @outcomes),
			'', "$role gets an answer, or is told what is wrong, from $function");
		is(join("\n", map { "$_->[1] s: $_->[2]" } grep { $_->[1] > 10 } @outcomes), '', 'within 10 seconds');
		cmp_ok(scalar @outcomes, '>', 0, 'some call was made');
		# a strict function of a null is none at all to the planner
		like(join(' ', map { $_->[0] } @outcomes), $function =~ /text/ ? qr/^42501( 00000)?$/ : qr/^42501$/, "$role may not reset")
		  if $function =~ /pool_monitor_reset/;
	}
}

# Cut short at any moment: by a timeout, or by another session
my $session = PoolMonitor::session($node, appname => 'cut');
my $pid = $session->pid;
my $canceler = PoolMonitor::session($node, appname => 'canceler');
my $cuts = 0;
foreach my $function (grep { !/reset/ } @functions)
{
	(my $name = $function) =~ s/\(.*//;
	my $arguments = { pool_monitor_pool_status => '1, 1', pool_monitor_terminate_idle => "'1 day'", pool_monitor_terminate => $pid }->{$name} || '';

	# without g's value in it, the call would be made once
	my $statement = "SELECT count(*) FROM generate_series(1, 100000) g, LATERAL (SELECT g, f FROM $name($arguments) f) q";
	foreach my $i (1 .. 6)
	{
		$session->query("SET statement_timeout = @{[ $i % 2 ? 3 * $i : 0 ]}");
		$session->query_async($statement);
		$canceler->query("SELECT pg_sleep(0.00$i); SELECT pg_cancel_backend($pid)") if $i % 2 == 0;
		$session->wait;
		my $error = $session->stderr;
		$cuts++ if $error =~ /canceling statement/;
		# the context: where a function in SQL, or that runs some, was cut
		$error =~ s/^.*ERROR:  canceling statement due to (?:statement timeout|user request)\n(?:CONTEXT:  SQL (?:function "$name"|statement) (?s:.*))?//m;
		is($error, '', "$name is cut short, or not") if $error ne '';
	}
	is($session->query("SET statement_timeout = 0; SELECT count(*) > 0 FROM pool_monitor_groups"), 't', "after $name no lock is left");
}
cmp_ok($cuts, '>', scalar(@functions), 'many calls were cut short');
my $now = $session->query('SELECT clock_timestamp()');
PoolMonitor::wait_until($node, "SELECT last_sample_at > '$now' FROM pool_monitor_info", 'the worker goes on');

# In odd places
foreach my $statement (
	'SELECT pool_monitor_sessions(), pool_monitor_groups()',
	'SELECT (pool_monitor_status()).*',
	'SELECT * FROM ROWS FROM (pool_monitor_groups(), pool_monitor_connections()) WITH ORDINALITY',
	'SELECT * FROM pool_monitor_sessions() s, LATERAL pool_monitor_pool_status(1, 1, s.application_name)',
	'SELECT * FROM pool_monitor_history() TABLESAMPLE bernoulli (1)',
	'SELECT CASE WHEN true THEN pool_monitor_groups() END',
	'SELECT coalesce(pool_monitor_connections())',
	'SELECT count(pool_monitor_sessions())',
	'SELECT 1 WHERE pool_monitor_sessions() IS NULL',
	'SELECT pool_monitor_groups() LIMIT 1',
	'BEGIN; DECLARE c SCROLL CURSOR FOR SELECT * FROM pool_monitor_sessions(); FETCH ALL c; FETCH BACKWARD ALL c; COMMIT',
	'CREATE INDEX ON candidates ((pool_monitor_health()))',
	'SELECT * FROM pool_monitor_status FOR UPDATE',
	'DELETE FROM pool_monitor_sessions',
	'UPDATE pool_monitor_status SET status = NULL',
	'SELECT * FROM pool_monitor_chart(metric => NULL)',
	'SELECT pool_monitor_reset(VARIADIC ARRAY[1])',
	'SELECT * FROM pool_monitor_sessions() AS t (a int)',
	'WITH RECURSIVE r AS (SELECT 1 UNION SELECT connections FROM pool_monitor_groups(), r) SELECT * FROM r',
	'SET debug_parallel_query = on',
	'SET force_parallel_mode = on',
	'SELECT count(*) FROM pool_monitor_status, pool_monitor_connections, pool_monitor_databases, pool_monitor_roles')
{
	my ($status, undef, $error) = $node->psql('postgres', "\\set VERBOSITY sqlstate\n$statement");
	my ($state) = $error =~ /(?:ERROR|FATAL):  (\w+)/;

	like($state || '00000', qr/^(?:00000|0A000|22...|25...|42...|55000)$/, "well-formed: $statement");
}

my $log = slurp_file($node->logfile);
ok($log !~ /TRAP|PANIC|was terminated by signal/, 'no process has crashed');
ok($log !~ /XX0/, 'no internal error');
done_testing();
