#!/usr/bin/env bash
# run.sh [short|standard|long [PART...]]: all benchmarks, or those named:
# sample, pgbench, worker, logins, readers, shared_memory, instructions.
#
# Builds the extension and starts servers of its own in a temporary folder, as
# test/run.sh does.  Prints summaries; the raw results, and the machine that
# they are of, go to the folder RESULTS (default: pool_monitor_bench where temporary files are).  The machine
# should do nothing else meanwhile.  Takes about 25 minutes ("short", to see
# that all works, 4; "long" 80).  PG_CONFIG chooses the server.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
start_benchmark run "$@"

parts=("${arguments[@]}")
[ ${#parts[@]} -gt 0 ] || parts=(sample pgbench worker readers logins shared_memory instructions)

{
	date -u '+%Y-%m-%d %H:%M UTC'
	"$PG_CONFIG" --version
	uname -srm
	lscpu | grep -E '^(Model name|CPU\(s\)|Hypervisor|L[123])' | sed 's/  */ /'
	free -m | awk '/^Mem/ { print "memory " $2 " MB" }'
	dpkg-query -W -f '${Package} ${Version}\n' 'postgresql-*-pg-wait-sampling' prometheus-postgres-exporter 2>/dev/null || true
	cat /proc/loadavg
} >"$results/machine-$major.txt"
cat "$results/machine-$major.txt"

run_parts()
{
	local part start status=0

	for part in "${parts[@]}"; do
		start=$SECONDS
		printf '\n## %s\n' "$part"
		bash "test/bench/$part.sh" "$length" "$results" || { echo "$part failed"; status=1; }
		printf '\n(%s: %d s)\n' "$part" $((SECONDS - start))
	done
	return $status
}

run_parts | tee "$results/summary-$major.md"
