#!/usr/bin/env bash
# instructions.sh: how many instructions a transaction, a login and a refused
# login take, with the library and without.
#
# Instructions do not depend on what else the machine does.  Each server runs under
# callgrind.  What is repeated is counted as the difference of 3,000 and of 1,000
# times, so that the rest of a session takes no part; a login is all that its
# process does until it has answered SELECT 1, and a refused one until it ends.
# The first columns are the server's own count without the library, and what it
# takes more with it, with a declared pool, and with each peer instead that this server
# has; the server's own work varies by some in a hundred from one server to the next.
# The last column is what is executed within the library's callbacks, with what these
# call: that does not vary.  Takes about 9 minutes.  PG_CONFIG chooses the server.
#
# The last column is compared with the recorded one, where there is any for this
# version: more than a twentieth above it is a failure.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. test/lib/wrapped_server.sh
start_benchmark instructions "$@"

callgrind=(valgrind --tool=callgrind --trace-children=yes --zero-before=InitPostmasterChild)
inside=(--toggle-collect=pmon_xact_callback --toggle-collect=transaction_cleaned_up --toggle-collect=pmon_authentication_hook --toggle-collect=pmon_emit_log_hook)
few=1000 many=3000

# start_counting NAME SETTING...: a server whose processes leave their counts
start_counting()
{
	local name=$1 options=()
	counts=$PMON_WORK/$1.counts

	shift
	[ "$name" != inside ] || options=("${inside[@]}")
	mkdir -p "$counts"
	printf '%s\n' "max_connections = 8" "superuser_reserved_connections = 3" "autovacuum = off" "$@" >"$PMON_WORK/$name.conf"
	wrap_server "$PMON_WORK/$name.programs" "$BINDIR" "${callgrind[@]}" "${options[@]}" --callgrind-out-file="$counts/%p" --log-file=/dev/null
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

# compare RECORDED NEW: fails where the library takes more than it did
compare()
{
	awk -F '|' '
		{ gsub(/^ +| +$/, "", $2); count = $(NF - 1) + 0 }
		FNR == NR { if (count > 0) recorded[$2] = count; next }
		$2 in recorded {
			if (count > recorded[$2] * 1.05) { printf "%s: %d, recorded %d\n", $2, count, recorded[$2]; failed = 1 }
			compared++
		}
		END { if (!failed) printf "%d counts are no more than recorded\n", compared; exit failed || !compared }' "$1" "$2"
}

servers=(without with with-a-pool)
for peer in pg_stat_statements pg_wait_sampling; do
	! have_library $peer || servers+=($peer)
done
servers+=(inside)
for server in "${servers[@]}"; do
	case $server in
		inside) start_counting $server "shared_preload_libraries = 'pool_monitor'" "pool_monitor.sample_interval = '1h'" ;;
		pg_*) start_counting $server "shared_preload_libraries = '$server'" ;;
		without) start_counting $server ;;
		with) start_counting $server "shared_preload_libraries = 'pool_monitor'" "pool_monitor.sample_interval = '1h'" ;;
		with-a-pool) start_counting $server "shared_preload_libraries = 'pool_monitor'" "pool_monitor.sample_interval = '1h'" \
			"pool_monitor.pools = 'p: application=* user=* size=5 overflow=5'" ;;
	esac
	measure >"$results/instructions-$major-$server"
	stop_counting "$PMON_WORK/$server"
done

paste -d '|' "${servers[@]/#/$results/instructions-$major-}" |
	awk -F '|' -v servers="${servers[*]}" '
		BEGIN {
			n = split(servers, name, " ")
			name[3] = "and a declared pool"
			name[n] = "in its callbacks"
			head = "| instructions of |"
			line = "| --- |"
			for (i = 1; i <= n; i++) { head = head " " name[i] " |"; line = line " --- |" }
			print head; print line
		}
		{
			row = "| " $1 " | " $2 " |"
			for (i = 2; i < n; i++) row = row sprintf(" %+d |", $(2 * i) - $2)
			print row " " $(2 * n) " |"
		}' | tee "$results/instructions-$major.md"

recorded=test/bench/results/instructions-$major.md
[ ! -e "$recorded" ] || compare "$recorded" "$results/instructions-$major.md"
