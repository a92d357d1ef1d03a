# shellcheck shell=bash
# memory.sh [SAMPLES]: does anybody's memory grow over a day?
#
# Takes SAMPLES samples (86,400: a day's, at one a second) at the shortest interval,
# 10 ms, with a save every second and the metrics written every second.  Meanwhile
# sessions of declared pools run transactions with tags, others take a new
# application name all the time or come and go, the server runs out of
# connections every ten seconds, which opens incidents, and one session reads every
# view and function.
#
# After the first tenth, and then at each further one, it reads what is theirs
# alone, RssAnon of /proc, of the worker, of the writer of metrics, and of sessions
# that live all the time: one that does nothing, one with transactions, one with
# names, and the reader.  At both ends it also has them log their memory contexts.
# Fails if one has 100 kB more at the end, or where incidents, new names, tags or
# pools were not seen.  Takes 15 minutes, more where samples are missed.
#
# needs: build

samples=${1:-86400}
W=$PMON_WORK/memory
failed=0
slots=60

build_extension
cat >"$PMON_WORK/memory.conf" <<CONF
shared_preload_libraries = 'pool_monitor'
max_connections = $slots
autovacuum = off
fsync = off
compute_query_id = on
log_min_messages = warning
pool_monitor.sample_interval = 10ms
pool_monitor.save_interval = 1s
pool_monitor.max_groups = 200
pool_monitor.max_holds = 200
pool_monitor.history_size = 4MB
pool_monitor.holds_size = 1MB
pool_monitor.metrics_file = '$W/pool_monitor.prom'
pool_monitor.metrics_interval = 1s
pool_monitor.idle_timeout = '10min'
pool_monitor.pools = 'busy: application="busy*" size=4 overflow=2 closes_idle=1s; idle: application="idle*" size=10 closes_idle=1min; names: application="name *" size=2'
CONF
start_server "$W" "$PMON_WORK/memory.conf"
psql -Xq <<SQL
CREATE EXTENSION pool_monitor;
CREATE TABLE stock (item int PRIMARY KEY, left_over int);
INSERT INTO stock SELECT i, 0 FROM generate_series(1, 100) i;
SQL

info() { psql -XAtq -c "SELECT $1 FROM pool_monitor_info"; }
pid_of() { psql -XAtq -c "SELECT min(pid) FROM pg_stat_activity WHERE $1"; }

# anonymous PID: what is its alone, in kB: the least in two seconds, since a save
# holds a copy of all groups for a moment
anonymous()
{
	local i

	for i in {1..20}; do
		sed -nE 's/^RssAnon:[[:blank:]]*([0-9]+) kB$/\1/p' "/proc/$1/status"
		sleep 0.1
	done | sort -n | head -n 1
}

# contexts PID: what its memory contexts have in use, in bytes: the least of ten
# looks, since one may fall into a statement
contexts()
{
	local before i

	for i in {1..10}; do
		before=$(wc -c <"$SERVER_LOG")
		psql -XAtq -c "SELECT pg_log_backend_memory_contexts($1)" >/dev/null
		until tail -c "+$((before + 1))" "$SERVER_LOG" | grep -q "\[$1\].*Grand total"; do sleep 0.1; done
		tail -c "+$((before + 1))" "$SERVER_LOG" | sed -nE "s/.*\[$1\].*Grand total: .*; ([0-9]+) used\$/\1/p"
		sleep 0.1
	done | sort -n | head -n 1
}

# Clients, each a session that lives all the time but for those with -C
cat >"$W/busy.sql" <<'SQL'
\set item random(1, 100)
\set action random(1, 1000)
BEGIN;
UPDATE stock SET left_over = left_over + 1 WHERE item = :item /*controller='stock',action='take :action'*/;
SELECT pg_sleep(0.01) /*controller='stock',action='wait :action'*/;
COMMIT;
SQL
cat >"$W/names.sql" <<'SQL'
\set name random(1, 1000000000)
SET application_name = 'name :name';
SELECT 1;
SQL
cat >"$W/idle.sql" <<'SQL'
SELECT 1;
\sleep 100000 s
SQL
sed -nE 's/^\?[^\t]*\t(.*)/\1;/p' test/checks/load/questions.txt >"$W/reader.sql"
cat >>"$W/reader.sql" <<'SQL'
SELECT count(v::text) FROM pool_monitor_holds() v;
SELECT count(v::text) FROM pool_monitor_diagnosis() v;
SELECT count(v::text) FROM pool_monitor_prepared v;
SELECT length(pool_monitor_report());
SELECT state, count(*) FROM pool_monitor_sessions GROUP BY 1;
SELECT * FROM pool_monitor_sessions WHERE application_name LIKE 'busy%';
SQL

clients=()
# client APPLICATION FILE [ARGUMENT...]: pgbench in the background, until we end it
client()
{
	local application=$1 file=$2

	shift 2
	PGAPPNAME=$application pgbench -n -f "$W/$file.sql" -T 1000000 "$@" >"$W/$application.out" 2>&1 &
	clients+=($!)
}
client busy busy -c 8 -R 100
client names names -R 100
client logins names -C -R 10
client idle idle -c 3
client reader reader -R 1

# Once in ten seconds more sessions than there are slots: some are refused
(
	trap 'exit 0' TERM
	while sleep 10; do
		# refusals are what it is for
		PGAPPNAME=storm pgbench -n -f "$W/idle.sql" -c "$slots" -T 1 >/dev/null 2>&1 || true
	done
) &
clients+=($!)

end_clients() { kill "${clients[@]}" 2>/dev/null || true; }
trap end_clients EXIT

until [ "$(info 'samples > 100')" = t ] && [ -n "$(pid_of "query LIKE '%pool_monitor_report%' AND pid <> pg_backend_pid()")" ]; do sleep 0.2; done
declare -A pids=(
	[worker]=$(info worker_pid)
	[metrics]=$(pid_of "backend_type LIKE 'pool_monitor metrics%'")
	[busy]=$(pid_of "application_name = 'busy'")
	[idle]=$(pid_of "application_name = 'idle'")
	[names]=$(pid_of "application_name LIKE 'name%' AND query = 'SELECT 1;' AND backend_start < now() - interval '1 s'")
	[reader]=$(pid_of "application_name = 'reader'")
)
who=(worker metrics busy idle names reader)
for name in "${who[@]}"; do
	[ -n "${pids[$name]}" ] || { echo "no process of $name"; exit 1; }
done

declare -A first last used
printf '%10s' samples
printf ' %9s' "${who[@]}"
printf '   kB of their own\n'
for step in {1..10}; do
	while [ "$(info samples)" -lt $((samples * step / 10)) ]; do sleep 1; done
	printf '%10d' "$(info samples)"
	for name in "${who[@]}"; do
		last[$name]=$(anonymous "${pids[$name]}")
		: "${first[$name]:=${last[$name]}}"
		[ "$step" != 1 ] || used[$name]=$(contexts "${pids[$name]}")
		printf ' %9d' "${last[$name]}"
	done
	printf '\n'
done

# check LABEL COMMAND...
check()
{
	local label=$1 result=ok

	shift
	"$@" || { result='not ok'; failed=1; }
	echo "$result - $label"
}

for name in "${who[@]}"; do
	growth=$((last[$name] - first[$name]))
	check "$name: $growth kB more of its own" [ $growth -lt 100 ]
	growth=$(($(contexts "${pids[$name]}") - used[$name]))
	check "$name: $growth bytes more in use in its memory contexts" [ $growth -lt 102400 ]
done
ask() { psql -XAtq -c "SELECT $1"; }
check "$(ask 'max(incident) FROM pool_monitor_incidents') incidents" [ "$(ask 'max(incident) > 1 FROM pool_monitor_incidents')" = t ]
check "$(info groups_evicted) groups gave way to others" [ "$(info 'groups_evicted > 1000')" = t ]
check "tags are counted" [ "$(ask "count(*) > 0 FROM pool_monitor_holds() WHERE tags->>'controller' = 'stock'")" = t ]
check "the pool has had connections" [ "$(ask "peak_checked_out > 0 FROM pool_monitor_pools WHERE pool = 'busy'")" = t ]
check "the worker is still the same" [ "$(info worker_pid)" = "${pids[worker]}" ]
check "$(info missed_samples) samples were missed, and every save worked" [ "$(info save_failures)" = 0 ]

end_clients
trap - EXIT
wait "${clients[@]}" 2>/dev/null || true
stop_server "$W"
exit $failed
