#!/usr/bin/env bash
# pgbench.sh [short|standard|long]: what the extension costs the server's
# clients.
#
# Measures servers that differ in nothing but the library that they preload:
# one has ours, two have none, and one each has pg_wait_sampling and pgsentinel
# where this server has them.  The two without tell how much a difference
# means: what is between them is noise (A/A).  In each round each is measured
# once with each workload, in random order, so that whatever else the machine
# does strikes all alike; those that are not measured are stopped.
#
# Gives the transactions per second and the server's CPU time for a
# transaction, and the median of each round's ratios with a 95% confidence
# interval.  The machine should do nothing else meanwhile.  Takes about 8
# minutes ("short" 1, "long" 30).  PG_CONFIG chooses the server.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
start_benchmark pgbench "$@"

rounds=$(pick 2 12 40)
seconds=$(pick 1 2 3)
clients=$(nproc)
servers=(with without again)
! have_library pg_wait_sampling || servers+=(pg_wait_sampling)
! have_library pgsentinel || servers+=(pgsentinel)
echo 'SELECT 1' >"$PMON_WORK/select_1.sql"

for server in "${servers[@]}"; do
	conf=$PMON_WORK/$server.conf
	{
		# Memory only: what the disk does is not what we ask about
		echo "shared_buffers = 256MB"
		echo "synchronous_commit = off"
		echo "autovacuum = off"
		echo "max_connections = 100"
		echo "max_wal_size = 8GB"
		case $server in
			with) echo "shared_preload_libraries = 'pool_monitor'" ;;
			pg_wait_sampling) echo "shared_preload_libraries = 'pg_wait_sampling'" ;;
			pgsentinel)
				echo "shared_preload_libraries = 'pg_stat_statements,pgsentinel'"
				;;
		esac
	} >"$conf"
	start_server "$PMON_WORK/$server" "$conf"
	pgbench -q -i -s 10 >"$PMON_WORK/$server.init" 2>&1
	psql -Xq -c 'VACUUM ANALYZE' -c CHECKPOINT
	[ "$server" != pg_wait_sampling ] || psql -Xq -c "CREATE EXTENSION pg_wait_sampling"
	[ "$server" != pgsentinel ] || psql -Xq -c "CREATE EXTENSION pg_stat_statements" -c "CREATE EXTENSION pgsentinel"
done

# run SERVER OPTION...: one run; prints transactions per second, and the
# server's microseconds of CPU time for each
run()
{
	local server=$1 output

	shift
	start_turn "$server"
	output=$(pgbench -h "$PMON_WORK/$server" -n -c "$clients" -j "$clients" -T "$seconds" "$@" 2>&1)
	end_turn "$server"
	awk -v ticks="$ticks" -v hertz="$(getconf CLK_TCK)" '
		/^number of transactions actually processed/ { n = $NF + 0 }
		/^tps = / { tps = $3 }
		END { printf "%s,%.4f\n", tps, ticks / hertz * 1e6 / n }' <<<"$output"
}

workloads=("pgbench -S prepared" "SELECT 1 simple" "pgbench TPC-B" "pgbench -S -C")
# options WORKLOAD
options()
{
	case $1 in
		"pgbench -S prepared") options=(-S -M prepared) ;;
		"SELECT 1 simple") options=(-f "$PMON_WORK/select_1.sql") ;;
		"pgbench TPC-B") options=(-M prepared) ;;
		"pgbench -S -C") options=(-S -C) ;;
	esac
}

csv=$results/pgbench-$major.csv
echo "workload,round,server,tps,cpu_us" >"$csv"
stop_servers
for ((round = 0; round <= rounds; round++)); do
	for workload in "${workloads[@]}"; do
		options "$workload"
		for server in $(shuf -e "${servers[@]}"); do
			figures=$(run "$server" "${options[@]}")
			# The first round only warms up.
			[ $round = 0 ] || echo "$workload,$round,$server,$figures" >>"$csv"
		done
	done
done

continue_servers
for server in "${servers[@]}"; do
	stop_server "$PMON_WORK/$server"
	rm -rf "${PMON_WORK:?}/$server"
done
report pgbench
