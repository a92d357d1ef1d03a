#!/usr/bin/env bash
# memory.sh [short|standard|long [SESSIONS]]: is the worker's memory flat?
#
# Takes 2,000, 100,000 or a million samples of that many sessions (30) at the
# shortest interval, with a save every second, and prints the memory that is
# the worker's alone ten times on the way: half a minute, 20 minutes or three
# hours.  Fails if it grew by 100 kB or more after the first tenth.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
start_benchmark memory "$@"

samples=$(pick 2000 100000 1000000)
sessions=${arguments[0]:-30}

cat >"$PMON_WORK/memory.conf" <<CONF
shared_preload_libraries = 'pool_monitor'
max_connections = $((sessions + 10))
pool_monitor.sample_interval = 10ms
pool_monitor.save_interval = 1s
CONF
start_server "$PMON_WORK/memory" "$PMON_WORK/memory.conf"
psql -Xq -c 'CREATE EXTENSION pool_monitor'

pids=()
for ((i = 1; i <= sessions; i++)); do
	PGAPPNAME="application $i" psql -Xq -c 'SELECT pg_sleep(1000000)' >/dev/null 2>&1 &
	pids+=($!)
done

info() { psql -XAtq -c "SELECT $1 FROM pool_monitor_info"; }
anonymous() { sed -nE 's/^RssAnon:[[:blank:]]*([0-9]+) kB$/\1/p' "/proc/$worker/status"; }

worker=$(info worker_pid)
first=
printf '%10s %8s %8s\n' samples kB growth
for step in {1..10}; do
	while [ "$(info samples)" -lt $((samples * step / 10)) ]; do sleep 1; done
	now=$(anonymous)
	: "${first:=$now}"
	printf '%10d %8d %8d\n' "$(info samples)" "$now" $((now - first))
done

[ "$(info worker_pid)" = "$worker" ] || { echo "the worker was replaced"; exit 1; }
kill "${pids[@]}" 2>/dev/null || true
stop_server "$PMON_WORK/memory"
[ $((now - first)) -lt 100 ]
