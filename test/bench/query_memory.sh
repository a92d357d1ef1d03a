#!/usr/bin/env bash
# query_memory.sh [short|standard|long]: what does a query of ours take?
#
# Fills 2,000 or (standard, long) 100,000 groups, and reads each view and
# function that shows the present in a session of its own: prints the most that
# the session's own memory grew to, less that of a session that does nothing.
# Fails if one took more than 100 MB.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
start_benchmark query_memory "$@"

groups=$(pick 2000 100000 100000)

cat >"$PMON_WORK/memory.conf" <<CONF
shared_preload_libraries = 'pool_monitor'
max_connections = 40
pool_monitor.max_groups = $groups
pool_monitor.history_size = '64MB'
pool_monitor.pools = 'some: application="application 1*" size=20; others: application=application* size=10'
CONF
start_server "$PMON_WORK/memory" "$PMON_WORK/memory.conf"
psql -Xq -c 'CREATE EXTENSION pool_monitor'
psql -Xq >/dev/null <<SQL
SELECT format('SET application_name = %L', 'application ' || i) FROM generate_series(1, $groups + 10) i \gexec
SQL
psql -XAtq -c "SELECT 'groups: ' || groups || ' of ' || max_groups FROM pool_monitor_info"

# The peak of what is neither shared memory nor a file's, in kB
own="SELECT (regexp_match(s, 'VmHWM:\s+(\d+)'))[1]::int - (regexp_match(s, 'RssShmem:\s+(\d+)'))[1]::int
	- (regexp_match(s, 'RssFile:\s+(\d+)'))[1]::int FROM pg_read_file('/proc/self/status') s"

# peak SOURCE: after reading all of it
peak() { psql -XAtq -c "SELECT count(q::text) FROM $1 q" -c "$own" | tail -n 1; }

idle=$(peak 'pg_am')
failed=0
printf '%-32s %8s\n' query kB
for source in pool_monitor_{status,connections,applications,groups,sessions,leaks,prepared,databases,roles,pools,capacity,rejections,terminations,info} \
	'pool_monitor_pool_status(5, 5)' 'pool_monitor_health()' 'pool_monitor_metrics()'; do
	kilobytes=$(($(peak "$source") - idle))
	printf '%-32s %8d\n' "$source" "$kilobytes"
	[ "$kilobytes" -le 102400 ] || failed=1
done
stop_server "$PMON_WORK/memory"
exit $failed
