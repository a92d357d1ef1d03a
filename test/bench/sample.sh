#!/usr/bin/env bash
# sample.sh [SESSIONS]: what one sample of so many real sessions costs, and
# beside it, in the same run, what the SQL costs that exporters poll with.
#
# Builds the extension and starts a server of its own, as test/run.sh does.
# Durations of samples are the worker's own figures, from pool_monitor_info.
set -euo pipefail

if [ -z "${PMON_WORK:-}" ]; then
	case ${1:-500} in *[!0-9]*) echo "usage: $0 [SESSIONS]" >&2; exit 2 ;; esac
	cd "$(dirname "${BASH_SOURCE[0]}")/../.."
	. test/lib/packages.sh
	. test/lib/private_copy.sh
	need_packages build
	run_in_private_copy test/bench/sample.sh "${1:-500}"
fi

. test/lib/build.sh
. test/lib/server.sh
sessions=$1

# dblink holds the sessions, and may use a third of its process' files.
ulimit -n "$(ulimit -Hn)"

build_extension
cat >"$PMON_WORK/bench.conf" <<CONF
shared_preload_libraries = 'pool_monitor'
max_connections = $((sessions + 20))
max_files_per_process = $((sessions * 4 + 1000))
pool_monitor.sample_interval = '10ms'
autovacuum = off
jit = off
CONF
start_server "$PMON_WORK/bench" "$PMON_WORK/bench.conf"
"$PG_CONFIG" --version
psql -Xq -v ON_ERROR_STOP=1 -v sessions="$sessions" -f test/bench/sample.sql
stop_server "$PMON_WORK/bench"
