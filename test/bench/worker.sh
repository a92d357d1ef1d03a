#!/usr/bin/env bash
# worker.sh [short|standard|long]: what the worker costs while the server does
# nothing else, by the sample interval and the number of sessions.
#
# Beside it pg_wait_sampling's collector at the same intervals, where this
# server has it, and the backend of a psql that polls pg_stat_activity once a
# second.  They are in one server, and those that are not measured sleep or are
# stopped.  CPU time is the kernel's own, in nanoseconds; a wake-up is a
# voluntary context switch.  The last line of ours spans a save of the file and
# the end of a minute.  Takes about 5 minutes ("short" half a minute, "long" 12).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
start_benchmark worker "$@"

levels=$(pick "20 50" "100 1000 4000" "100 1000 2000 4000")
most=${levels##* }
libraries=pool_monitor
! have_library pg_wait_sampling || libraries+=,pg_wait_sampling

cat >"$PMON_WORK/worker.conf" <<CONF
shared_preload_libraries = '$libraries'
max_connections = $((most + 20))
max_files_per_process = $((most + 1000))
autovacuum = off
jit = off
pool_monitor.sample_interval = '1h'
CONF
start_server "$PMON_WORK/worker" "$PMON_WORK/worker.conf"
query "CREATE EXTENSION pool_monitor"
# from 16 on the figure is hidden from another library
body="LANGUAGE C AS 'pmon_bench'"
[ "$major" -le 15 ] || body="LANGUAGE sql AS 'SELECT 0::bigint'"
query "CREATE FUNCTION bench_history_bytes() RETURNS bigint $body"

csv=$results/worker.csv
echo "who,interval_ms,sessions,seconds,cpu_ns,wakeups,samples,bytes" >"$csv"

# usage PID: its CPU time in ns, and its voluntary context switches
usage()
{
	echo "$(cut -d ' ' -f 1 "/proc/$1/schedstat") $(sed -nE 's/^voluntary_ctxt_switches:[[:blank:]]*//p' "/proc/$1/status")"
}

# span WHO PID INTERVAL SECONDS: adds a line about that process
span()
{
	local who=$1 pid=$2 interval=$3 seconds=$4 before after counted="0|0" counted_after="0|0" start

	[ "$who" != pool_monitor ] || counted=$(query 'SELECT samples, bench_history_bytes() FROM pool_monitor_info')
	start=$(date +%s%N)
	read -r -a before < <(usage "$pid")
	sleep "$seconds"
	read -r -a after < <(usage "$pid")
	seconds=$(awk -v start="$start" -v end="$(date +%s%N)" 'BEGIN { printf "%.3f", (end - start) / 1e9 }')
	[ "$who" != pool_monitor ] || counted_after=$(query 'SELECT samples, bench_history_bytes() FROM pool_monitor_info')
	echo "$who,$interval,$sessions,$seconds,$((after[0] - before[0])),$((after[1] - before[1])),$((${counted_after%|*} - ${counted%|*})),$((${counted_after#*|} - ${counted#*|}))" >>"$csv"
}

worker=$(query 'SELECT worker_pid FROM pool_monitor_info')
collector=$(query "SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'pg_wait_sampling%'")

# The collector does not see a new interval before the old one is over, so it
# is stopped while something else is measured.
collector_is() { [ -z "$collector" ] || kill "-$1" "$collector"; }
trap 'collector_is CONT' EXIT
trap 'exit 143' TERM INT
collector_is STOP

start_holder
for sessions in $levels; do
	hold "$sessions"
	for interval in 10 100 1000; do
		seconds=$(pick 2 8 20)
		[ "$interval" != 1000 ] || seconds=$(pick 3 15 60)
		[ "$interval $sessions" != "1000 $most" ] || seconds=$(pick 3 62 130)

		set_and_reload "pool_monitor.sample_interval=${interval}ms"
		# the first sample after a long sleep is not like the others
		before=$(query 'SELECT samples FROM pool_monitor_info')
		until [ "$(query 'SELECT samples FROM pool_monitor_info')" -gt $((before + 1)) ]; do sleep 0.1; done
		span pool_monitor "$worker" "$interval" "$seconds"
		set_and_reload "pool_monitor.sample_interval=1h"

		if [ -n "$collector" ]; then
			set_and_reload "pg_wait_sampling.history_period=$interval" "pg_wait_sampling.profile_period=$interval"
			collector_is CONT
			sleep 2
			span pg_wait_sampling "$collector" "$interval" "$(pick 2 8 20)"
			collector_is STOP
		fi
	done

	PGAPPNAME=poller psql -Xq -c 'SELECT 1' \
		>/dev/null -c "SELECT application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2" \
		-f <(echo 'SELECT application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2 \watch 1') &
	psql=$!
	until poller=$(query "SELECT pid FROM pg_stat_activity WHERE application_name = 'poller'") && [ -n "$poller" ]; do sleep 0.1; done
	span "a polling psql" "$poller" 1000 "$(pick 3 10 20)"
	kill "$psql" 2>/dev/null || true
	wait "$psql" 2>/dev/null || true
	echo "$sessions sessions: done"
done
end_holder
collector_is CONT
trap - EXIT
stop_server "$PMON_WORK/worker"
report worker
