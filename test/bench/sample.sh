#!/usr/bin/env bash
# sample.sh [short|standard|long]: what one sample costs, by the number of
# sessions, and of the slots of a made-up status array.
#
# Beside it, in the same run and in turns: a plain read of the same memory,
# core's own snapshot, the grouping of pg_stat_activity by application and
# state, and postgres_exporter's own query, as the installed program has it.
# Takes about 3 minutes ("short" half a minute, "long" 10).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
start_benchmark sample "$@"

# What the sampler is timed with calls its functions from another library.
if [ "$major" -gt 15 ]; then
	echo "sample.sh needs PostgreSQL 15: later ones hide a library's functions"
	exit 0
fi

levels=$(pick "10 100" "10 100 500 1000 2000 4000" "10 100 500 1000 2000 4000")
rounds=$(pick 2 5 20)
most=${levels##* }
# so many that no incident begins: its holders can not be read from made-up entries
slots=$((most + most / 8 + 20))

cat >"$PMON_WORK/sample.conf" <<CONF
shared_preload_libraries = 'pool_monitor'
max_connections = $slots
max_files_per_process = $((slots + 1000))
autovacuum = off
jit = off
# it is us who takes the samples
pool_monitor.sample_interval = '1h'
CONF
start_server "$PMON_WORK/sample" "$PMON_WORK/sample.conf"
psql -Xq -v ON_ERROR_STOP=1 -f test/bench/sample.sql

# The query is in the program as it is in its source.
exporter=$(command -v prometheus-postgres-exporter || true)
exporter_query=
[ -z "$exporter" ] || exporter_query=$(perl -0777 -ne \
	'print $1 if /(SELECT\s+pg_database\.datname,\s+tmp\.state,(?:(?!SELECT\s+\*).){0,1500}?tmp\.state = tmp2\.state AND pg_database\.datname = tmp2\.datname)/s' "$exporter")
[ -n "$exporter_query" ] || echo "no postgres_exporter: its query is left out"

csv=$results/sample.csv
echo "array,slots,sessions,what,caches,ns" >"$csv"

# measure NAME SLOTS SESSIONS: the sampler, in this array
measure_array()
{
	psql -Xtq --csv -v ON_ERROR_STOP=1 -v array="$1" -v slots="$2" -v sessions="$3" \
		-v rounds="$rounds" -f - >>"$csv" <<'SQL'
SELECT :'array', :slots, :sessions, what, CASE WHEN cold THEN 'cold' ELSE 'warm' END,
       round(unnest(bench_time(what, CASE WHEN cold THEN 10 ELSE 20 END, cold,
                               CASE :'array' WHEN 'real' THEN 0 ELSE :slots END, :sessions))::numeric, 1)
  FROM generate_series(1, :rounds) AS round,
       (VALUES (false), (true)) AS caches(cold),
       unnest(CASE :'array' WHEN 'real' THEN '{sample,limit,core,empty}' ELSE '{sample,limit,empty}' END::text[]) AS what
 ORDER BY round;
SQL
}

start_holder
for sessions in $levels; do
	hold "$sessions"
	measure_array real "$slots" "$sessions"
	psql -Xtq --csv -v ON_ERROR_STOP=1 -v sessions="$sessions" -v slots="$slots" -v rounds="$rounds" \
		-v exporter="$exporter_query" -f - >>"$csv" <<'SQL'
CALL measure_statements(:rounds, :'exporter');
SELECT 'real', :slots, :sessions, what, 'warm', round(ns::numeric) FROM measured;
SQL
	echo "$sessions sessions: done"
done
end_holder

# slots:sessions; first without declared pools, then with two that prove
# something of each idle session
arrays="10000:1000 10000:10000 100000:10000 100000:100000 262143:26214 262143:100000 262143:262143"
arrays=$(pick "10000:1000 262143:100000" "$arrays" "$arrays")
for name in made-up "made-up, pools"; do
	for array in $arrays; do
		measure_array "$name" "${array%:*}" "${array#*:}"
		echo "$name, ${array%:*} slots, ${array#*:} sessions: done"
	done
	set_and_reload "pool_monitor.pools=first: application=first size=262143 closes_idle=10min; second: application=second size=262143 closes_idle=10min"
done
psql -XAtq -v ON_ERROR_STOP=1 -c "SELECT bench_time('empty', 1, false, 1, 1)" \
	-c "SELECT 'the worker''s own memory with 262,143 slots: ' || bench_sampler_bytes() || ' bytes'" | tail -n 1
stop_server "$PMON_WORK/sample"
report sample
