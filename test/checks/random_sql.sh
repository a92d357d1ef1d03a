# shellcheck shell=bash
# random_sql.sh [QUERIES [SEED]]: random SQL against all views and functions.
#
# sqlsmith makes up that many queries (default: 10,000, ten minutes or more) for a
# database whose only relations are our views, and in which each function of
# ours is within its reach under several names.  A role without privileges sends
# half of them, and one that reads all statistics the other half, while other
# sessions come, go, idle, change their names and are refused.  The library is
# built with assertions.
#
# Prints the errors of our own that the queries met, and the internal ones
# (SQLSTATE XX...) of anybody.  Fails if a process crashed, if there was an
# internal error, or if our views and functions do not answer at the end.  The
# same SEED (default: 1) makes up the same queries while the figures are the same.
#
#
# What forgets figures is granted to neither role, and what ends sessions is
# asked for a dry run only.
#
# needs: build / sqlsmith

queries=${1:-10000}
seed=${2:-1}

build_extension -DUSE_ASSERT_CHECKING
"$PG_CONFIG" --version
cat >"$PMON_WORK/random.conf" <<'CONF'
shared_preload_libraries = 'pool_monitor'
max_connections = 30
autovacuum = off
jit = off
track_functions = all
log_line_prefix = '%m [%p] %u '
log_error_verbosity = verbose
log_min_error_statement = panic
pool_monitor.pools = 'busy: application=busy* size=2 overflow=3; smith: user=smith size=1'
pool_monitor.leak_threshold = 1ms
pool_monitor.sample_interval = 10ms
pool_monitor.save_interval = 1s
CONF
start_server "$PMON_WORK/random" "$PMON_WORK/random.conf"

# sqlsmith calls no functions that return sets, and picks the others from all
# there are.  So each of ours stands behind ones that return one value, of the
# types that are asked for most.
psql -Xq -v ON_ERROR_STOP=1 <<'SQL'
CREATE ROLE smith LOGIN;
CREATE ROLE reader LOGIN IN ROLE pg_monitor;
CREATE ROLE full_role LOGIN CONNECTION LIMIT 0;
ALTER ROLE smith SET statement_timeout = '2s';
ALTER ROLE reader SET statement_timeout = '2s';
CREATE DATABASE target;
\c target
CREATE EXTENSION pool_monitor;
CREATE SCHEMA aim;
GRANT USAGE ON SCHEMA aim TO PUBLIC;
DO $$
DECLARE
    f record;
    i int;
    result record;
BEGIN
    FOR f IN
        SELECT p.proname, count(a) AS n,
               coalesce(string_agg(CASE WHEN format_type(a, NULL) = 'boolean' THEN 'true' ELSE '$' || k END, ', ' ORDER BY k), '') AS passed,
               coalesce(string_agg(format_type(a, NULL), ', ' ORDER BY k), '') AS types
          FROM pg_depend d
          JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
          LEFT JOIN LATERAL unnest(p.proargtypes) WITH ORDINALITY u (a, k) ON true
         WHERE d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pool_monitor')
           AND p.proname <> 'pool_monitor_reset'
         GROUP BY p.oid
    LOOP
        FOR result IN SELECT * FROM (VALUES ('text', 'string_agg(r::text, '','')'), ('integer', 'count(*)::integer'),
                ('bigint', 'count(*)'), ('boolean', 'count(*) > 1'), ('double precision', 'avg(length(r::text))::double precision'),
                ('name', 'max(r::text)::name'), ('interval', 'count(*) * interval ''1 s'''), ('timestamptz', 'now() - count(*) * interval ''1 s''')) v (type, value)
        LOOP
            FOR i IN 1 .. 16 LOOP
                EXECUTE format('CREATE FUNCTION aim.%I(%s) RETURNS %s LANGUAGE sql VOLATILE AS %L',
                               format('%s_%s_%s', f.proname, split_part(result.type, ' ', 1), i), f.types, result.type,
                               format('SELECT %s FROM public.%I(%s) r', result.value, f.proname, f.passed));
            END LOOP;
        END LOOP;
    END LOOP;
END $$;

-- sqlsmith knows nothing of the polymorphic types: half of its queries would
-- end in the parser, on operators that only they have
SET allow_system_table_mods = on;
DELETE FROM pg_operator WHERE EXISTS (SELECT FROM pg_type WHERE oid IN (oprleft, oprright) AND typname LIKE 'any%');
DELETE FROM pg_proc WHERE EXISTS (SELECT FROM pg_type WHERE (oid = prorettype OR oid = ANY (proargtypes::oid[])) AND typname LIKE 'any%range');
SQL

# Sessions that give the views something to show, until the server stops
company()
{
	local i

	for ((i = 0; ; i++)); do
		PGAPPNAME="busy $((i % 7))" psql -Xq -d postgres -U smith -c 'BEGIN' -c "SET application_name = 'busy too $((i % 5))'" \
			-c 'SELECT pg_sleep(0.3)' -c 'SELECT 1 / 0' -c 'SELECT pg_sleep(0.1)' -c 'COMMIT' >/dev/null 2>&1 || true
		psql -Xq -d postgres -U full_role -c 'SELECT 1' >/dev/null 2>&1 || true
		[ -e "$PMON_WORK/random/data/postmaster.pid" ] || break
	done
}
company &

start=$SECONDS
status=0
pids=()
for role in smith reader; do
	sqlsmith --target="host=$PGHOST port=$PGPORT dbname=target user=$role application_name=random" --exclude-catalog \
		--seed="$seed" --max-queries=$(((queries + 1) / 2)) >"$PMON_WORK/$role.out" 2>&1 &
	pids+=($!)
done
for pid in "${pids[@]}"; do
	wait "$pid" || status=1
done
[ $status = 0 ] || { echo "sqlsmith gave up:"; tail -n 5 "$PMON_WORK"/{smith,reader}.out; }
seconds=$((SECONDS - start))

# All that is ours answers, and the worker lives
psql -XAtq -d target -v ON_ERROR_STOP=1 >/dev/null <<'SQL' || { echo "the views do not answer any more"; status=1; }
SELECT format('SELECT count(*) FROM %s', c.oid::regclass) FROM pg_class c
 WHERE c.relkind = 'v' AND c.relname LIKE 'pool\_monitor\_%' \gexec
SELECT 1 / (samples > 0 AND worker_pid IS NOT NULL)::int FROM pool_monitor_info;
SQL
calls=$(psql -XAtq -d target -c "SELECT sum(calls) FROM pg_stat_user_functions WHERE schemaname = 'aim'")
stop_server "$PMON_WORK/random"
wait

# Each error of the log on one line: SQLSTATE, message and where it is from
sed -nE -e 's/^[^[]*\[[0-9]+\] [^ ]* *(ERROR|FATAL|PANIC):  ([0-9A-Z]{5}): (.*)/\1 \2 \3/p' \
	-e 's/^[^[]*\[[0-9]+\] [^ ]* *LOCATION:  (.*), (.*):[0-9]+$/LOCATION \2 \1/p' "$SERVER_LOG" |
	awk '$1 == "LOCATION" { if (error != "") print $2 " " error; error = ""; next } { error = $0 }' >"$PMON_WORK/errors"
ls src/*.c src/*/*.c | sed 's:.*/::' >"$PMON_WORK/ours"

# What is quoted differs from call to call
distinct() { sed -E 's/"[^"]*"/"..."/g; s/-?[0-9]+(\.[0-9]+)?/N/3g' | sort | uniq -c | sort -rn; }

echo "$queries queries in $seconds s, with ${calls:-0} calls of our functions beside the views; $(wc -l <"$PMON_WORK/errors") errors"
echo "errors of our own:"
awk 'NR == FNR { ours[$1]; next } $1 in ours' "$PMON_WORK/ours" "$PMON_WORK/errors" | distinct
# The server has two of its own for what sqlsmith writes: its parser, and
# format_type() of an interval with a modifier that none can have
echo "internal errors:"
grep -E '^[^ ]+ [A-Z]+ XX' "$PMON_WORK/errors" >"$PMON_WORK/internal" || true
distinct <"$PMON_WORK/internal"
core='^(parse_coerce\.c ERROR XX000 failed to find conversion function from unknown to |timestamp\.c ERROR XX000 invalid INTERVAL typmod: )'
! grep -vE "$core" "$PMON_WORK/internal" >/dev/null || status=1
if grep -aE 'TRAP|PANIC|was terminated by signal|server process .* exited with exit code' "$SERVER_LOG"; then
	echo "a process crashed"
	status=1
fi
[ $status != 0 ] || echo "nothing found"
exit $status
