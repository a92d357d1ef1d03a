#!/usr/bin/env bash
# readers.sh [short|standard|long]: how long a reader of each view takes, by
# the number of sessions, beside the same from pg_stat_activity; and whether
# many readers at once slow the sampler or the sessions.
#
# First there are as many groups as pg_stat_activity tells apart, then 2,000,
# most of them without sessions: what our views show then, it does not know.
# The many readers read at a fixed rate, so that what they do to others is
# compared, and not how fast they are.  Takes about 5 minutes ("short" half a
# minute, "long" 15).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
start_benchmark readers "$@"

levels=$(pick "20 50" "1000 2000 4000" "1000 2000 4000")
groups=$(pick 200 2000 2000)
rounds=$(pick 1 4 15)
most=${levels##* }

cat >"$PMON_WORK/readers.conf" <<CONF
shared_preload_libraries = 'pool_monitor'
shared_buffers = 256MB
max_connections = $((most + 60))
max_files_per_process = $((most + 1000))
autovacuum = off
jit = off
pool_monitor.pools = 'odd: application="application ?" size=1000 overflow=500; even: application="application 1*" size=1000 overflow=500'
CONF
start_server "$PMON_WORK/readers" "$PMON_WORK/readers.conf"
psql -Xq -v ON_ERROR_STOP=1 -f test/bench/readers.sql
pgbench -q -i -s 10 >"$PMON_WORK/init" 2>&1

csv=$results/readers.csv
echo "groups,sessions,what,equivalent,us,cpu_us" >"$csv"

# measure GROUPS: each view at each number of sessions
measure()
{
	local sessions

	for sessions in $levels; do
		hold "$sessions"
		psql -Xtq --csv -v ON_ERROR_STOP=1 -v rounds="$rounds" -v sessions="$sessions" -v groups="$1" >>"$csv" <<'SQL'
CALL measure_readers(:rounds);
SELECT :'groups', :sessions, what, equivalent, round(us::numeric, 1), round(cpu_us::numeric, 1) FROM measured;
SQL
		echo "$sessions sessions, $(query 'SELECT groups FROM pool_monitor_info') groups: done"
	done
}

start_holder
measure few
end_holder

# All groups but those of the sessions to come, each with a transaction
seq -f "SET application_name = 'group %.0f';" 1 $((groups - 40)) | psql -Xq
start_holder
measure many
end_holder

# Readers at a fixed rate; the sampler at its fastest; pgbench beside them
start_holder
hold "${levels%% *}"
load=$results/readers_load.csv
echo "readers,round,tps,sample_us_median,sample_us_p90,missed,reads" >"$load"
set_and_reload "pool_monitor.sample_interval=10ms"
echo "SELECT * FROM pool_monitor_applications" >"$PMON_WORK/ours.sql"
echo "SELECT application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2" >"$PMON_WORK/theirs.sql"
for ((round = 1; round <= $(pick 1 5 12); round++)); do
	for readers in $(shuf -e none ours theirs); do
		seconds=$(pick 2 4 8)
		missed=$(query 'SELECT missed_samples FROM pool_monitor_info')
		[ "$readers" = none ] ||
			pgbench -n -c 40 -j 2 -R 40 -T "$seconds" -f "$PMON_WORK/$readers.sql" >"$PMON_WORK/readers.out" 2>&1 &
		query "CALL watch_samples($seconds - 1)" >/dev/null &
		tps=$(pgbench -n -S -M prepared -c 1 -j 1 -T "$seconds" 2>&1 | awk '/^tps = / { print $3 }')
		wait %% 2>/dev/null || true
		reads=0
		if [ "$readers" != none ]; then
			while jobs -r | grep -q pgbench; do sleep 0.1; done
			reads=$(awk '/^tps = / { print $3 }' "$PMON_WORK/readers.out")
		fi
		figures=$(psql -Xtq --csv -c 'SELECT round(p[1]::numeric, 1), round(p[2]::numeric, 1)
			FROM (SELECT percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY us) AS p FROM samples) s')
		missed=$(($(query 'SELECT missed_samples FROM pool_monitor_info') - missed))
		case $readers in
			ours) name="40 of pool_monitor_applications" ;;
			theirs) name="40 of pg_stat_activity grouped" ;;
			*) name=none ;;
		esac
		echo "$name,$round,$tps,$figures,$missed,$reads" >>"$load"
	done
done
end_holder
stop_server "$PMON_WORK/readers"
report readers
