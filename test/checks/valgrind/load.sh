#!/usr/bin/env bash
# load.sh FOLDER: everything once, on the server of valgrind.sh, whose
# data is in FOLDER: sessions that come and go, transactions of all kinds,
# refused logins, ended sessions, all views and functions, settings that are
# changed, a save, a restart and a crash.  Fails if something did not happen.
set -euo pipefail
folder=$1
export PGCONNECT_TIMEOUT=300

sql() { psql -XAtq -v ON_ERROR_STOP=1 -c "$1"; }

# until_true LABEL QUERY: waits until it says t
until_true()
{
	local end=$((SECONDS + 600))

	until [ "$(sql "$2" 2>/dev/null)" = t ]; do
		[ $SECONDS -lt $end ] || { echo "never came true: $1"; exit 1; }
		sleep 0.2
	done
	echo "$1"
}

# idlers COUNT NAME [SQL]: sessions that run that and wait for their clients,
# which are this script
idlers()
{
	local i=0 pipe

	for ((; i < $1; i++)); do
		# shellcheck disable=SC2094 # psql reads what nobody writes
		exec {pipe}> >(PGAPPNAME="$2" psql -XAtq -U "${4:-joe}" -d postgres >/dev/null 2>&1)
		[ -z "${3:-}" ] || echo "$3" >&"$pipe"
		pipes+=("$pipe")
	done
}

# close_idlers [N]: closes all but the first N
close_idlers()
{
	local pipe

	for pipe in "${pipes[@]:${1:-0}}"; do exec {pipe}>&-; done
	pipes=("${pipes[@]:0:${1:-0}}")
}

# fill USER MESSAGE: opens sessions until five logins were refused for that
fill()
{
	local refused=0 end=$((SECONDS + 600)) error

	while [ $refused -lt 5 ]; do
		[ $SECONDS -lt $end ] || { echo "never refused: $2"; exit 1; }
		if error=$(PGAPPNAME="refused $refused" psql -XAtq -U "$1" -d postgres -c '' 2>&1); then
			idlers 1 "api idle" 'SELECT 1;' "$1"
		elif [[ $error == *"$2"* ]]; then
			refused=$((refused + 1))
		fi
	done
	echo "logins were refused: $2"
}

# Everything that can be read, by who may read all and by who may not
read_all()
{
	local role

	for role in postgres joe; do
		# a full server has a place for a superuser alone
		psql -XAtq -U $role -d postgres >"$folder/read.$role" 2>"$folder/read.$role.errors" <<-'SQL' || [ $role = joe ]
			SELECT format('SELECT count(v::text) FROM %I v', relname) FROM pg_class WHERE relkind = 'v' AND relname ~ '^pool_monitor_' ORDER BY 1 \gexec
			SELECT pool_monitor_metrics();
			SELECT pool_monitor_health();
			SELECT * FROM pool_monitor_history(step => '1 s');
			SELECT * FROM pool_monitor_history(now() - interval '1 day', now() + interval '1 day', '1 min');
			SELECT * FROM pool_monitor_utilization();
			SELECT * FROM pool_monitor_chart();
			SELECT * FROM pool_monitor_chart('idle', '10 min');
			SELECT * FROM pool_monitor_chart('nonsense');
			SELECT * FROM pool_monitor_sizing();
			SELECT * FROM pool_monitor_sizing('1 ms', 0.5, '1 hour');
			SELECT * FROM pool_monitor_sizing(percentile => 2);
			SELECT * FROM pool_monitor_incident_holders();
			SELECT * FROM pool_monitor_pool_status(5, 2, 'api 1');
			SELECT * FROM pool_monitor_pool_status(-5, 2);
			SELECT * FROM pool_monitor_terminate_idle('1 ms');
			SELECT * FROM pool_monitor_terminate_idle('-1 ms');
		SQL
	done
	[ "$(wc -l <"$folder/read.postgres")" -gt 100 ] || { cat "$folder/read.postgres.errors"; exit 1; }
	echo "views and functions were read: $(cat "$folder"/read.postgres "$folder"/read.joe | wc -l) lines"
}

sql 'CREATE EXTENSION pool_monitor; CREATE ROLE joe LOGIN; CREATE ROLE few LOGIN CONNECTION LIMIT 0; CREATE TABLE t (i int); GRANT ALL ON t TO joe'
sql 'CREATE DATABASE closed CONNECTION LIMIT 0'
pipes=()

# More applications than groups, so that some are folded
for i in {1..30}; do
	PGAPPNAME="a $i" psql -XAtq -U joe -d postgres -c "SELECT $i" >/dev/null
done
PGAPPNAME=$'\xff%s\\"\n' psql -XAtq -U joe -d postgres -c 'SELECT 1' >/dev/null
PGAPPNAME='api 1' psql -XAtq -d postgres >/dev/null 2>&1 <<'SQL'
BEGIN; INSERT INTO t VALUES (1); SAVEPOINT s; LISTEN a; ROLLBACK TO s; LISTEN b; RELEASE s; COMMIT;
BEGIN; SELECT 1 / 0; SELECT 1; ROLLBACK;
BEGIN; SET LOCAL application_name = 'local'; COMMIT;
SET application_name = 'api 2'; SELECT pg_notify('b', 'x');
BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p';
SELECT pg_advisory_lock(1); UNLISTEN *; DISCARD ALL;
DO 'BEGIN PERFORM 1 / 0; EXCEPTION WHEN OTHERS THEN NULL; END';
COPY t TO STDOUT;
SET pool_monitor.track_transactions = off; SELECT 1; RESET ALL;
SET track_activities = off; SELECT 1;
SQL
until_true "sessions came and went, and were counted" \
	"SELECT sum(sessions) >= 31 AND sum(transactions) >= 31 FROM pool_monitor_applications"

# Settings that are refused, and ones that are taken
for value in 'x' 'p: size=1 size=2' 'p: size=-1' 'p: client=1.2.3/99' 'p: idle_timeout=1parsec' 'p: size=1; p: size=2' '"p: size=1'; do
	! sql "ALTER SYSTEM SET pool_monitor.pools = '$value'" 2>/dev/null || { echo "accepted: $value"; exit 1; }
done

# Logins refused for each reason, by a full server at last
! psql -XAtq -U few -d postgres -c 'SELECT 1' 2>/dev/null || exit 1
! psql -XAtq -U joe -d closed -c 'SELECT 1' 2>/dev/null || exit 1
idlers 2 "api transaction" 'BEGIN; SELECT 1;'
fill joe "are reserved"
ordinary=${#pipes[@]}
fill postgres "too many clients"
close_idlers "$ordinary"
until_true "refused logins were counted, and opened an incident" \
	"SELECT rejected >= 12 AND current_incident IS NOT NULL FROM pool_monitor_status"
read_all

# Sessions that are ended: none in a dry run, then by the policy and on request
sql "ALTER SYSTEM SET pool_monitor.dry_run = on"
sql "ALTER SYSTEM SET pool_monitor.idle_timeout = '500ms'"
sql "SELECT pg_reload_conf()" >/dev/null
until_true "a dry run was recorded" "SELECT count(*) > 0 FROM pool_monitor_terminations WHERE outcome = 'dry run'"
sql "ALTER SYSTEM SET pool_monitor.dry_run = off"
sql "ALTER SYSTEM SET pool_monitor.idle_in_transaction_timeout = '500ms'"
sql "SELECT pg_reload_conf()" >/dev/null
until_true "idle sessions were ended" "SELECT terminated >= 8 FROM pool_monitor_status"
sql "ALTER SYSTEM RESET pool_monitor.idle_timeout"
sql "ALTER SYSTEM RESET pool_monitor.idle_in_transaction_timeout"
sql "SELECT pg_reload_conf()" >/dev/null
close_idlers
idlers 3 "api requested" 'SELECT 1;'
until_true "more are idle" "SELECT count(*) = 3 FROM pool_monitor_sessions WHERE application_name = 'api requested' AND state = 'idle' AND state_age > '1 s'"
sql "SELECT outcome, count(*) FROM pool_monitor_terminate_idle('500 ms', 'api requested', dry_run => false) GROUP BY 1"
until_true "they were ended on request" "SELECT count(*) >= 3 FROM pool_monitor_terminations WHERE reason = 'requested' AND outcome = 'terminated'"
close_idlers
read_all

# Other settings, a reset of one application, a save, a restart
sql "ALTER SYSTEM SET pool_monitor.pools = 'other: user=j?e database=* size=3; api: application=api*'"
sql "SELECT pg_reload_conf()" >/dev/null
sql "SELECT pool_monitor_reset('a 3')" >/dev/null
now=$(sql 'SELECT now()')
until_true "all is saved" "SELECT saved_at > '$now' FROM pool_monitor_info"
# not "restart", which starts the real program
pg_ctl -D "$folder/data" -m fast -w -t 300 -s stop
pg_ctl -D "$folder/data" -l "$folder/server.log" -w -t 300 -s start
until_true "statistics survived the restart" \
	"SELECT restored_from IS NOT NULL AND (SELECT count(*) > 10 FROM pool_monitor_terminations) FROM pool_monitor_info"
read_all

# A crash: the memory is made anew, in the same process
sql "SELECT pg_sleep(100)" >/dev/null 2>&1 &
until_true "a session works" "SELECT count(*) > 0 FROM pool_monitor_sessions WHERE wait_event = 'PgSleep'"
kill -9 "$(sql "SELECT pid FROM pool_monitor_sessions WHERE wait_event = 'PgSleep'")"
wait $! || true
until_true "the worker is there after a crash" \
	"SELECT worker_pid IS NOT NULL AND samples > 1 AND started_at > now() - interval '5 min' FROM pool_monitor_info"
sql "SELECT pool_monitor_reset()" >/dev/null
read_all
