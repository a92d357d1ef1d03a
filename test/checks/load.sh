# shellcheck shell=bash
# load.sh [MINUTES [IDLE [BUSY [LOGINS [NAMES]]]]]: do the figures hold under load?
#
# IDLE sessions that do nothing (default: 2,000) and BUSY ones (200) that run
# short transactions of all kinds for MINUTES (10), with a sample every 100 ms.
# After the first tenth of that time, LOGINS sessions (100,000) come and go as
# fast as they can, while a few others change their application name NAMES
# times (1,000,000), each time to a new one.  All the time somebody reads every
# view and function, as dashboards do.
#
# The clients count what they do (load/client.c).  Afterwards, while nothing
# moves, and again when all have left, each figure of the extension must be
# what the clients, pg_stat_activity and pg_stat_database say.  The worker's
# memory must be flat, and a sample must be missing only where that was
# reported.  Prints the figures; fails if one is not as it should be.
#
# Takes two to five minutes more than MINUTES, or as long as the logins take: a
# busy machine has few a second.  Its load average is printed beside the
# figures.  SIGTERM to the client "logins" says that there were enough.
#
# needs: build

minutes=${1:-10}
idle=${2:-2000}
busy=${3:-200}
logins=${4:-100000}
names=${5:-1000000}

interval=100
history=4MB
seconds=$(awk "BEGIN { print int($minutes * 60) }")
load=test/checks/load
first_names=3000
W=$PMON_WORK/load
failed=0

build_extension
client=$PMON_WORK/client
gcc -O2 -Wall -Wextra -Wno-missing-field-initializers -I"$("$PG_CONFIG" --includedir)" \
	-o "$client" $load/client.c -L"$("$PG_CONFIG" --libdir)" -lpq

cat >"$PMON_WORK/load.conf" <<CONF
shared_preload_libraries = 'pool_monitor'
max_connections = $((idle + busy + 100))
max_prepared_transactions = $busy
synchronous_commit = off
autovacuum = off
log_min_error_statement = panic
pool_monitor.sample_interval = ${interval}ms
pool_monitor.history_size = $history
pool_monitor.save_interval = 10s
pool_monitor.pools = 'idle: application="idle *" database=load_0 size=300 overflow=1000; busy: application="busy *" user=client_0 size=2 overflow=1 instances=3; shared: application="shared *" size=1000; logins: application=logins size=10 overflow=90; storm: application="storm *" size=2 overflow=2; viewers: database=dashboards idle_timeout=0'
CONF
start_server "$W" "$PMON_WORK/load.conf"
export PGAPPNAME=inspector
psql -Xq -f $load/setup.sql

ask() { psql -XAtq -v ON_ERROR_STOP=1 -c "$1"; }
info() { ask "SELECT $1 FROM pool_monitor_info"; }

# wait_until SQL WHAT: until the answer is true
wait_until()
{
	local i

	for ((i = 0; i < 600; i++)); do
		[ "$(ask "$1")" != t ] || return 0
		sleep 0.5
	done
	echo "not within five minutes: $2"
	exit 1
}

# check LABEL FIGURE CONDITION...: the condition is a command
check()
{
	local label=$1 figure=$2 result=ok

	shift 2
	"$@" || { result='not ok'; failed=1; }
	printf '%-7s %-62s %s\n' "$result" "$label" "$figure"
}

# yes SQL-CONDITION
yes() { [ "$(ask "SELECT $1")" = t ]; }

# same LABEL QUERY QUERY: they must have the same rows; the first one is ours
same()
{
	local rows differences

	rows=$(ask "WITH a AS ($2), b AS ($3) SELECT (SELECT count(*) FROM a) || '|' || count(*) FROM
		((TABLE a EXCEPT ALL TABLE b) UNION ALL (TABLE b EXCEPT ALL TABLE a)) d")
	differences=${rows#*|}
	check "$1" "${rows%|*} rows, $differences differ" [ "$differences" = 0 ]
	[ "$differences" = 0 ] || ask "WITH a AS ($2), b AS ($3)
		SELECT 'ours', * FROM (TABLE a EXCEPT ALL TABLE b) x UNION ALL
		SELECT 'theirs', * FROM (TABLE b EXCEPT ALL TABLE a) y LIMIT 20"
}

declare -A client_pid client_in
inspector=
give_up()
{
	[ ${#client_pid[@]} = 0 ] || kill "${client_pid[@]}" 2>/dev/null || true
	[ -z "$inspector" ] || kill "$inspector" 2>/dev/null || true
	pg_ctl -D "$W/data" -m immediate -w -s stop 2>/dev/null || true
}
trap give_up EXIT

# start_client NAME ARGUMENT...: writes NAME.out, and reads what we tell it
start_client()
{
	local name=$1 fd

	shift
	mkfifo "$W/$name.in"
	exec {fd}<>"$W/$name.in"
	: >"$W/$name.out"
	nice -n 2 "$client" "$@" <&"$fd" >"$W/$name.out" 2>&1 &
	client_pid[$name]=$!
	client_in[$name]=$fd
}

runs() { kill -0 "${client_pid[$1]}" 2>/dev/null; }

# wait_client NAME: until it has ended
wait_client()
{
	wait "${client_pid[$1]}" && return
	echo "the client \"$1\" has failed:"
	tail -n 5 "$W/$1.out"
	exit 1
}

# wait_still NAME: until it holds its sessions and does nothing
wait_still()
{
	local i

	for ((i = 0; i < 1200; i++)); do
		! grep -q '^# still' "$W/$1.out" || return 0
		runs "$1" || wait_client "$1"
		sleep 0.5
	done
	echo "the client \"$1\" does not become still"
	exit 1
}

# load_counts NAME [still]: what it has done, in all or until it was still
load_counts()
{
	ask "DELETE FROM done WHERE client = '$1'"
	if [ "${2:-}" = still ]; then
		sed -n '/^# still/q;p' "$W/$1.out"
	elif grep -q '^# still' "$W/$1.out"; then
		sed '1,/^# still/d' "$W/$1.out"
	else
		cat "$W/$1.out"
	fi | sed "/^#/d; s/^/$1\t/" | psql -Xq -c 'COPY done FROM STDIN'
}

memory_of_worker() { sed -nE 's/^RssAnon:[[:blank:]]*([0-9]+) kB$/\1/p' "/proc/$worker/status"; }
load_average() { cut -d' ' -f1-3 /proc/loadavg; }

# What the history has got since the last time we looked; the newest sample may
# not be there yet
noted=$(ask "SELECT clock_timestamp()")
note_samples()
{
	local until

	until=$(ask "SELECT last_sample_at - interval '100 us' FROM pool_monitor_info")
	ask "INSERT INTO sample_times SELECT period_start, samples
		FROM pool_monitor_utilization('$noted', '$until', '1 ms')"
	noted=$until
}

# note LABEL: a line of figures
note()
{
	printf '%-8s %4s s %s %s kB, load %s\n' "$1" $SECONDS "$(info "format('%s samples, %s missed, last %s ms, longest %s ms, %s groups, %s folded,',
		samples, missed_samples, round(last_sample_duration::numeric, 3), round(sample_duration_max::numeric, 3), groups, groups_evicted)")" \
		"$(memory_of_worker)" "$(load_average)"
}

shared_memory() { ask "SELECT string_agg(coalesce(name, 'free') || '=' || allocated_size, ' ' ORDER BY name)
	FROM pg_shmem_allocations WHERE name ILIKE '%pool%monitor%' OR name ILIKE 'pmon%'"; }
anonymous_memory() { ask "SELECT allocated_size FROM pg_shmem_allocations WHERE name = '<anonymous>'"; }

worker=$(info worker_pid)
"$PG_CONFIG" --version
echo "$idle idle and $busy busy sessions for $seconds s, $logins logins, $names names; $(nproc) cores, load $(load_average)"

# Our own group keeps its place, and is left out of what is compared.
psql -Xq -c 'SELECT pg_sleep(1000000)' >/dev/null 2>&1 &
inspector=$!
wait_until "SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type = 'client backend'" 'the inspector is there'
forgotten=$(info samples)
ask 'SELECT pool_monitor_reset()' >/dev/null
ask 'TRUNCATE core_before; INSERT INTO core_before TABLE core'
read -r samples_before missed_before <<<"$(info "samples || ' ' || missed_samples")"
noted=$(ask "SELECT clock_timestamp()")

SECONDS=0
start_client hold hold "$idle"
wait_still hold
note 'idle'
start_client busy busy "$busy" "$seconds"
cp $load/questions.txt "$W"
start_client read read "$seconds" 5 "$W/questions.txt"
begun=$SECONDS
# As many groups as there can be: a save needs memory for all of them.
start_client first_names names 1 $first_names 2
while [ $((SECONDS - begun)) -lt $((seconds / 10)) ]; do sleep 1; done
wait_client first_names
# and a whole minute, which the worker wants some memory for
wait_until "SELECT last_sample_at >= date_trunc('minute', '$(ask "SELECT clock_timestamp()")'::timestamptz) + interval '1 minute'
	FROM pool_monitor_info" 'a minute is over'
saved=$(info saved_at)
wait_until "SELECT saved_at > '$saved' FROM pool_monitor_info" 'statistics are saved'
note_samples
note 'busy'
memory_before=$(memory_of_worker)
shared_before=$(shared_memory)
anonymous_before=$(anonymous_memory)
bytes_before=$(info memory_bytes)

# A worker that is held up: a sample now and then comes too late for the next
note_samples
for i in {1..20}; do
	kill -STOP "$worker"
	sleep 0.25
	kill -CONT "$worker"
	sleep 0.4
done
note 'held up'

start_client logins logins "$logins" 16
start_client names names $((first_names + 1)) $((first_names + names)) 2
next=$SECONDS
while runs logins || runs names || ! grep -q '^# still' "$W/busy.out"; do
	runs busy || wait_client busy
	if [ $SECONDS -ge $next ]; then
		note_samples
		note "$(runs logins && printf logins; runs names && printf +names || true)"
		next=$((next + 20))
	fi
	sleep 1
done
for name in logins names; do wait_client $name; done
wait_still busy
wait_still read
grep -h '^#' "$W/logins.out" "$W/names.out" "$W/read.out" | sed 's/^#/ /'

# Still: every session is as its client left it
echo "nothing moves: ${idle} + ${busy} sessions"
wait_until "SELECT count(*) = $((idle + busy + 3)) FROM pg_stat_activity WHERE backend_type = 'client backend'" 'only the clients are there'
for name in hold busy read; do load_counts $name still; done
for name in first_names logins names; do load_counts $name; done

# The worker must have seen it.  What is compared is what those have in common.
still=$(ask "SELECT clock_timestamp()")
samples=$(info samples)
wait_until "SELECT samples > $samples + 25 FROM pool_monitor_info" 'there are samples'
note_samples
note 'still'
memory_after=$(memory_of_worker)

for what in connections applications groups databases roles status sessions pools; do
	same "$what, as they are" "TABLE ours.$what" "TABLE theirs.$what"
done
# (the worker goes by the name that was in force when the last transaction
# ended; only a session with SET LOCAL has a shared name in a transaction)
same 'applications in the last samples, on average and at most' \
	"SELECT application_name, round(connections_avg::numeric, 6), connections_max, round(active_avg::numeric, 6), round(idle_avg::numeric, 6),
		round(idle_in_transaction_avg::numeric, 6), round(checked_out_avg::numeric, 6), checked_out_max
	 FROM pool_monitor_history('$still', now(), '1 day') WHERE application_name <> 'inspector'" \
	"SELECT CASE WHEN is_out AND application_name LIKE 'shared%' THEN 'busy local names' ELSE application_name END,
		count(*)::numeric, count(*), count(*) FILTER (WHERE state = 'active'), count(*) FILTER (WHERE state = 'idle'),
		count(*) FILTER (WHERE state LIKE 'idle in transaction%'), count(*) FILTER (WHERE is_out), count(*) FILTER (WHERE is_out)
	 FROM activity WHERE application_name <> 'inspector' GROUP BY 1"
same 'sessions, their ends, transactions and rejections, as clients know' 'TABLE counted' 'TABLE known'
check 'nothing is where only what has no other place goes' "$(ask "SELECT coalesce(sum(transactions), 0) FROM pool_monitor_groups WHERE datname IS NULL") transactions" \
	yes "(SELECT coalesce(sum(transactions), 0) FROM pool_monitor_groups WHERE datname IS NULL) = 0"

# The server does not count the last period of a session that ends in a
# transaction; we do.
uncounted=$(ask "SELECT coalesce(sum(extract(epoch FROM clock_timestamp() - state_change)), 0) * 1000 FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'")
# All leave
for name in hold busy; do
	echo >&"${client_in[$name]}"
	wait_client $name
	load_counts $name
done
echo >&"${client_in[read]}"
wait_client read
wait_until "SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type = 'client backend'" 'all have left'
echo 'all have left'
same 'no connection is left but our own two' \
	'SELECT datname, application_name, connections FROM pool_monitor_connections' "SELECT 'postgres', 'inspector', 2"
check 'no group has a session left' "$(ask 'SELECT sum(connections) FROM pool_monitor_groups')" \
	yes "sum(connections) = 2 FROM pool_monitor_groups"
same 'sessions, their ends, transactions and rejections, as clients know' 'TABLE counted' 'TABLE known'
same 'the same by application, and <other>' 'TABLE ours.done' 'TABLE theirs.done'
prepared=$(ask 'SELECT count(*) FROM pg_prepared_xacts')
same "the same as pg_stat_database says, but for $prepared that are prepared" \
	'SELECT datname, sum(sessions), sum(abandoned), sum(fatal), sum(killed), sum(transactions) FROM counted GROUP BY 1' \
	"SELECT a.datname, a.sessions - b.sessions, a.sessions_abandoned - b.sessions_abandoned, a.sessions_fatal - b.sessions_fatal,
		a.sessions_killed - b.sessions_killed,
		a.transactions - b.transactions + (SELECT count(*) FROM pg_prepared_xacts p WHERE p.database = a.datname)
	 FROM core a JOIN core_before b USING (datname)"
ask "CREATE TABLE times AS SELECT *, core_transaction_time_until_now + $uncounted AS core_transaction_time FROM timed"
check 'session time within 2% of pg_stat_database' "$(ask "SELECT format('%s s, %s s', round(session_time / 1000), round(core_session_time / 1000)) FROM times")" \
	yes 'abs(session_time / core_session_time - 1) < 0.02 FROM times'
check 'hold times within 10% of active and idle in transaction there' "$(ask "SELECT format('%s s, %s s', round(transaction_time / 1000), round(core_transaction_time / 1000)) FROM times")" \
	yes 'abs(transaction_time / core_transaction_time - 1) < 0.1 FROM times'
check 'invalid of the pool of those who come and go' "$(ask "SELECT invalid FROM pool_monitor_pools WHERE pool = 'logins'")" \
	yes "(SELECT invalid FROM pool_monitor_pools WHERE pool = 'logins') =
		(SELECT sum(abandoned + fatal + killed) FROM done WHERE application_name = 'logins')"
check 'rejections' "$(ask 'SELECT sum(rejected) FROM pool_monitor_rejections')" \
	yes "(SELECT coalesce(sum(rejected), 0) FROM pool_monitor_rejections) = (SELECT sum(rejected) FROM done)"
check 'groups folded: all names but those that are kept' "$(info groups_evicted)" \
	yes "(SELECT groups_evicted FROM pool_monitor_info)
		+ (SELECT count(*) FROM pool_monitor_groups WHERE application_name LIKE 'storm %') BETWEEN $names + $first_names AND $names + $first_names + 100"

# Samples
echo 'samples'
note_samples
read -r samples missed <<<"$(info "samples - $samples_before || ' ' || missed_samples - $missed_before")"
ask "CREATE TABLE gaps AS SELECT at, samples, extract(epoch FROM at - lag(at) OVER (ORDER BY at)) * 1000 AS ms FROM sample_times"
read -r seen late missing <<<"$(ask "SELECT sum(samples) || ' ' || count(*) FILTER (WHERE ms > 1.5 * $interval) || ' ' ||
	round(extract(epoch FROM max(at) - min(at)) * 1000 / $interval - sum(samples) + 1) FROM gaps")"
check 'each sample is in the history, as far as we looked' "$seen seen" \
	yes "$seen BETWEEN $samples * 0.95 AND $samples"
check 'no sample is missing that was not reported' "$samples taken, $missed reported missing, $missing are missing" \
	[ "$missing" -le $((missed + 2)) ]
check 'no sample is reported that is not missing' "$late came late, the latest after $(ask 'SELECT round(max(ms)) FROM gaps') ms" \
	[ "$missed" -le $((missing + missed / 20 + 5)) ]
check 'the longest sample' "$(info "round(sample_duration_max::numeric, 3)") ms" yes "sample_duration_max < 1000 FROM pool_monitor_info"
check "the worker's own memory is flat" "$memory_before kB, $memory_after kB" [ $((memory_after - memory_before)) -lt 200 ]
check 'shared memory has not grown' "$bytes_before bytes" \
	[ "$bytes_before $shared_before" = "$(info memory_bytes) $(shared_memory)" ]
check "nor has anybody taken from what the server keeps free" "$(($(anonymous_memory) - anonymous_before)) bytes" \
	[ "$(anonymous_memory)" = "$anonymous_before" ]
check 'the worker was not replaced' "$worker" [ "$(info worker_pid)" = "$worker" ]
check 'every save succeeded' "$(info save_failures) failed" [ "$(info save_failures)" = 0 ]

# The history: what is kept of it fills the ring, which is half of the size; a
# minute of which not all samples are there any more is shown by the minute's
# own record.
ask 'INSERT INTO kept SELECT period_start, min(samples), count(*)
	FROM pool_monitor_history(NULL, now(), $$1 ms$$) GROUP BY 1'
ask "CREATE TABLE reach AS SELECT *, pg_size_bytes('$history') / 2 AS ring FROM reached"
check 'the history has all that was sampled' "$(ask 'SELECT sum(samples) FROM pool_monitor_utilization(NULL, NULL)') samples" \
	yes "sum(samples) BETWEEN $samples - 1 AND (SELECT samples FROM pool_monitor_info) - $forgotten + 1 FROM pool_monitor_utilization(NULL, NULL)"
check 'samples reach as far back as documented' "$(ask "SELECT format('%s samples, %s bytes of %s, %s, %s whole minutes', samples, bytes, ring, date_trunc('second', period), minutes) FROM reach")" \
	yes "bytes <= ring * 1.01 AND (minutes = 0 OR bytes >= ring - 600 * largest) FROM reach"
wait_until "SELECT date_trunc('minute', clock_timestamp()) > '$(ask 'SELECT clock_timestamp()')'::timestamptz" 'the minute is over'
samples=$(info samples)
wait_until "SELECT samples > $samples + 2 FROM pool_monitor_info" 'its record is there'
same 'transactions in the minutes of each application that kept its place' \
	"SELECT application_name, sum(transactions) FROM pool_monitor_sizing()
	 WHERE pool IS NULL AND application_name NOT IN ('inspector', '<other>') AND application_name NOT LIKE 'storm%' GROUP BY 1" \
	"SELECT application_name, sum(transactions) FROM done
	 WHERE application_name NOT LIKE 'storm%' GROUP BY 1 HAVING sum(transactions) > 0"
# A name that had its place at the end of a minute, and lost it since, is shown
# no more: those can be as many as there are groups, in each minute.
check 'transactions in the minutes of all other names' \
	"$(ask "SELECT sum(transactions) FROM pool_monitor_sizing() WHERE pool IS NULL AND (application_name LIKE 'storm%' OR application_name = '<other>')") of $((first_names + names))" \
	yes "sum(transactions) BETWEEN $((first_names + names)) - 2000 * ($SECONDS / 60 + 2) AND $((first_names + names))
		FROM pool_monitor_sizing() WHERE pool IS NULL AND (application_name LIKE 'storm%' OR application_name = '<other>')"

# Nothing is lost by a restart.
kill $inspector 2>/dev/null || true
ask "CREATE TABLE counted_before AS TABLE counted"
pg_ctl -D "$W/data" -m fast -w -s restart -l "$SERVER_LOG"
same 'after a restart' 'TABLE counted' 'TABLE counted_before'
trap - EXIT
stop_server "$W"

# The log: what the clients provoke, and what the extension has to tell
expected='division by zero|invalid frontend message type|terminating connection due to administrator command|too many connections for role'
unexpected=$(grep -E ' (WARNING|ERROR|FATAL|PANIC):|TRAP|was terminated by signal' "$SERVER_LOG" | grep -cvE "$expected" || true)
check 'no warning in the log, and no error that was not asked for' "$unexpected lines" [ "$unexpected" = 0 ]
grep -E ' (WARNING|ERROR|FATAL|PANIC):|TRAP|was terminated by signal' "$SERVER_LOG" | grep -vE "$expected" | head -n 10 || true

[ $failed = 0 ] && echo 'all as it should be' || echo 'NOT all as it should be'
exit $failed
