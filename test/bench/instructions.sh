#!/usr/bin/env bash
# instructions.sh: how many instructions a transaction, a login and a refused
# login take, with the library and without.
#
# Instructions do not depend on what else the machine does.  Each server runs under
# callgrind.  What is repeated is counted as the difference of 3,000 and of 1,000
# times, so that the rest of a session takes no part; a login is all that its
# process does until it has answered SELECT 1, and a refused one until it ends.
# The first columns are the server's own count without the library, and what it
# takes more with it, and with a declared pool; the server's own work varies by
# some in ten thousand.  Takes about 4 minutes.  PG_CONFIG chooses the server.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. test/lib/wrapped_server.sh
start_benchmark instructions "$@"

callgrind=(valgrind --tool=callgrind --trace-children=yes --zero-before=InitPostmasterChild)
few=1000 many=3000

# start_counting NAME SETTING...: a server whose processes leave their counts
start_counting()
{
	local name=$1 setting
	counts=$PMON_WORK/$1.counts

	shift
	mkdir -p "$counts"
	printf '%s\n' "max_connections = 8" "superuser_reserved_connections = 3" "autovacuum = off" "$@" >"$PMON_WORK/$name.conf"
	wrap_server "$PMON_WORK/$name.programs" "$BINDIR" "${callgrind[@]}" --callgrind-out-file="$counts/%p" --log-file=/dev/null
	saved=$PATH
	export PATH=$PMON_WORK/$name.programs:$PATH
	start_server "$PMON_WORK/$name" "$PMON_WORK/$name.conf"
	psql -Xq -c 'CREATE ROLE joe LOGIN'
}

stop_counting()
{
	stop_server "$1"
	export PATH=$saved
}

# count COMMAND...: the instructions of the largest session that it had
count()
{
	local before after

	before=$(ls "$counts")
	"$@" >/dev/null 2>&1 || true
	# a session leaves its counts when it ends, which its client does not wait for
	until after=$(ls "$counts") && [ "$after" != "$before" ] && sleep 0.5 && [ "$after" = "$(ls "$counts")" ]; do sleep 0.1; done
	for file in $(comm -13 <(echo "$before") <(echo "$after")); do
		sed -n 's/^\(totals\|summary\): //p' "$counts/$file" | tail -n 1
	done | sort -n | tail -n 1
}

# repeat NAME MODE STATEMENTS: what it takes each time
repeat()
{
	local name=$1 mode=$2 script=$PMON_WORK/script.sql low high

	printf '%s\n' "$3" >"$script"
	low=$(count pgbench -n -c 1 -t $few -M "$mode" -f "$script")
	high=$(count pgbench -n -c 1 -t $many -M "$mode" -f "$script")
	echo "$name|$(((high - low) / (many - few)))"
}

measure()
{
	local login refused i

	repeat 'SELECT 1, simple protocol' simple 'SELECT 1;'
	repeat 'SELECT 1, extended protocol' extended 'SELECT 1;'
	repeat 'SELECT 1, prepared' prepared 'SELECT 1;'
	repeat 'BEGIN, SELECT 1, COMMIT' simple "BEGIN;
SELECT 1;
COMMIT;"
	repeat 'the same with a subtransaction' simple "BEGIN;
SAVEPOINT s;
SELECT 1;
RELEASE s;
COMMIT;"
	repeat 'a transaction that is rolled back' simple "BEGIN;
SELECT 1;
ROLLBACK;"
	repeat 'SET application_name, to another' simple "SET application_name = 'a';
SET application_name = 'b';"
	login=$(count psql -XAtc 'SELECT 1')
	echo "a login, to its first answer|$login"
	# whoever counts them takes a slot, so the last one comes alone
	for i in 4 1; do
		until [ $((i--)) = 0 ]; do psql -Xq -U joe -d postgres -c 'SELECT pg_sleep(3600)' >/dev/null 2>&1 & done
		sleep 1
		until [ "$(psql -XAtc "SELECT count(*) >= 4 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(3600)'")" = t ]; do sleep 0.1; done
	done
	sleep 1
	refused=$(count psql -X -U joe -d postgres -c 'SELECT 1')
	echo "a refused login, the first of an incident|$refused"
	refused=$(count psql -X -U joe -d postgres -c 'SELECT 1')
	echo "a refused login, another one|$refused"
}

for server in without with with-a-pool; do
	case $server in
		without) start_counting $server ;;
		with) start_counting $server "shared_preload_libraries = 'pool_monitor'" "pool_monitor.sample_interval = '1h'" ;;
		with-a-pool) start_counting $server "shared_preload_libraries = 'pool_monitor'" "pool_monitor.sample_interval = '1h'" \
			"pool_monitor.pools = 'p: application=* user=* size=5 overflow=5'" ;;
	esac
	measure >"$results/instructions-$major-$server.txt"
	stop_counting "$PMON_WORK/$server"
done


paste -d '|' "$results/instructions-$major-"{without,with,with-a-pool}.txt |
	awk -F '|' 'BEGIN { print "| instructions of | without | with | and a declared pool |"; print "| --- | --- | --- | --- |" }
		{ printf "| %s | %d | %+d | %+d |\n", $1, $2, $4 - $2, $6 - $2 }' | tee "$results/instructions-$major.md"
