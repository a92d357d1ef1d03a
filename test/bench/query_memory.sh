#!/usr/bin/env bash
# query_memory.sh [short|standard|long]: what does a query of ours take?
#
# Fills 2,000 or (standard, long) 100,000 groups, in each of two or (standard,
# long) five minutes of history, with a sample every 10 ms, and reads each view
# and function in a session of its own: prints the rows, and the most that the
# session's own memory grew to, less that of a session that does nothing.
# Fails if one took more than 100 MB.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
start_benchmark query_memory "$@"

groups=$(pick 2000 100000 100000)
minutes=$(pick 2 5 5)

cat >"$PMON_WORK/memory.conf" <<CONF
shared_preload_libraries = 'pool_monitor'
max_connections = 40
pool_monitor.max_groups = $groups
pool_monitor.history_size = '256MB'
pool_monitor.sample_interval = 10ms
pool_monitor.pools = 'some: application="application 1*" size=20; others: application=application* size=10'
CONF
start_server "$PMON_WORK/memory" "$PMON_WORK/memory.conf"
psql -Xq -c 'CREATE EXTENSION pool_monitor'

# Every name has a transaction in every minute
names="SELECT format('SET application_name = %L; SELECT 1', 'application ' || i) FROM generate_series(1, $groups + 10) i"
end=$((SECONDS + 60 * (minutes + 1)))
while [ $SECONDS -lt $end ]; do
	echo "$names \\gexec" | psql -Xq >/dev/null
done
psql -XAtq -c "SELECT 'groups: ' || groups || ' of ' || max_groups FROM pool_monitor_info"

# The peak of what is neither shared memory nor a file's, in kB
own="SELECT (regexp_match(s, 'VmHWM:\s+(\d+)'))[1]::int - (regexp_match(s, 'RssShmem:\s+(\d+)'))[1]::int
	- (regexp_match(s, 'RssFile:\s+(\d+)'))[1]::int FROM pg_read_file('/proc/self/status') s"

# peak SOURCE: the rows, and that after reading all of them
peak() { psql -XAtq -v ON_ERROR_STOP=1 -c "SELECT count(q::text) FROM $1 q" -c "$own" | grep '^[0-9]' | paste -s -d' '; }

read -r _ idle <<<"$(peak pg_am)"
failed=0
printf '%-72s %8s %8s\n' query rows kB
for source in pool_monitor_{status,connections,applications,groups,sessions,leaks,prepared,databases,roles,pools,capacity,rejections,terminations,info} \
	'pool_monitor_pool_status(5, 5)' 'pool_monitor_health()' 'pool_monitor_metrics()' \
	pool_monitor_incidents 'pool_monitor_incident_holders()' 'pool_monitor_sizing()' 'pool_monitor_chart()' \
	'pool_monitor_history(NULL, NULL)' "pool_monitor_history(now() - interval '4 min', now(), '1 min')" \
	"pool_monitor_history(now() - interval '90 s', now(), '10 ms')" \
	'pool_monitor_utilization(NULL, NULL)' "pool_monitor_utilization(now() - interval '90 s', now(), '10 ms')"; do
	if ! read -r rows kilobytes <<<"$(peak "$source")" || [ -z "$kilobytes" ]; then
		echo "$source: failed"
		failed=1
		continue
	fi
	kilobytes=$((kilobytes - idle))
	printf '%-72s %8d %8d\n' "$source" "$rows" "$kilobytes"
	[ "$kilobytes" -le 102400 ] || failed=1
done
stop_server "$PMON_WORK/memory"
exit $failed
