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
start_server "$PMON_WORK/random" test/checks/random_sql/server.conf
psql -Xq -f test/checks/random_sql/target.sql

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
