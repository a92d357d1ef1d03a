#!/usr/bin/env bash
# memory.sh [SAMPLES [SESSIONS]]: is the worker's memory flat?
#
# Takes that many samples (default: a million, which is about three hours) of
# that many sessions (default: 30) at the shortest interval, with a save every
# second, and prints the memory that is the worker's alone ten times on the way.
# Fails if it grew by 100 kB or more after the first tenth.
#
#   PG_CONFIG  the server to measure (default: Debian's)
set -euo pipefail

samples=${1:-1000000}
sessions=${2:-30}

if [ -z "${PMON_WORK:-}" ]; then
	cd "$(dirname "${BASH_SOURCE[0]}")/../.."
	. test/lib/packages.sh
	. test/lib/private_copy.sh
	need_packages build
	run_in_private_copy test/bench/memory.sh "$samples" "$sessions"
fi

exec 2>&1
. test/lib/build.sh
. test/lib/server.sh

build_extension
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
