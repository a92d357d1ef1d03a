#!/usr/bin/env bash
# pgbench.sh [ROUNDS [SECONDS]]: what the extension costs the server's clients.
#
# Measures three servers that differ in nothing but this: one has the library,
# two do not.  The two without tell how much a difference means: what is
# between them is noise.  All three run all the time; in each round each is
# measured once, in random order, so that whatever else the machine does
# strikes all alike.  Prints the medians of the transactions per second and of
# the server's CPU time for a transaction, and the ratios of each round's
# pairs: their median, and how far they spread.
#
# The machine should do nothing else meanwhile; where it does, the CPU time
# suffers less than the transactions per second.  Takes the same environment
# as test/run.sh.
set -euo pipefail

rounds=${1:-8}
seconds=${2:-5}

if [ -z "${PMON_WORK:-}" ]; then
	cd "$(dirname "${BASH_SOURCE[0]}")/../.."
	. test/lib/packages.sh
	. test/lib/private_copy.sh
	need_packages build
	run_in_private_copy test/bench/pgbench.sh "$rounds" "$seconds"
fi

exec 2>&1
. test/lib/build.sh
. test/lib/server.sh

build_extension || exit

clients=$(nproc)
servers=(with without again)

for server in "${servers[@]}"; do
	conf=$PMON_WORK/$server.conf
	{
		# Memory only: what the disk does is not what we ask about
		echo "shared_buffers = 256MB"
		echo "synchronous_commit = off"
		echo "autovacuum = off"
		echo "max_connections = 100"
		[ "$server" != with ] || echo "shared_preload_libraries = 'pool_monitor'"
	} >"$conf"
	start_server "$PMON_WORK/$server" "$conf"
	pgbench -q -i -s 10 >"$PMON_WORK/$server.init" 2>&1
	psql -Xq -c 'VACUUM ANALYZE' -c CHECKPOINT
done

# cpu PID: what a postmaster and the children that it has reaped have used so
# far, in ticks
cpu() { awk '{ print $14 + $15 + $16 + $17 }' "/proc/$1/stat"; }

# run SERVER OPTION...: one run; prints transactions per second, and the
# server's microseconds of CPU time for each
run()
{
	local server=$1 postmaster children before after output

	shift
	postmaster=$(head -n 1 "$PMON_WORK/$server/data/postmaster.pid")
	children=$(pgrep -c -P "$postmaster")
	before=$(cpu "$postmaster")
	output=$(pgbench -h "$PMON_WORK/$server" -n -S -c "$clients" -j "$clients" -T "$seconds" "$@" 2>&1)
	# A backend's time counts when it is gone.
	while [ "$(pgrep -c -P "$postmaster")" -gt "$children" ]; do sleep 0.02; done
	after=$(cpu "$postmaster")
	awk -v ticks=$((after - before)) -v hertz="$(getconf CLK_TCK)" '
		/^number of transactions actually processed/ { n = $NF + 0 }
		/^tps = / { tps = $3 }
		END { print tps, ticks / hertz * 1e6 / n }' <<<"$output"
}

# measure NAME OPTION...
measure()
{
	local name=$1 round server results=$PMON_WORK/$1.results

	shift
	: >"$results"
	# The first run of each only warms it up.
	for server in "${servers[@]}"; do run "$server" "$@" >/dev/null; done
	for ((round = 1; round <= rounds; round++)); do
		for server in $(printf '%s\n' "${servers[@]}" | shuf); do
			echo "$round $server $(run "$server" "$@")" >>"$results"
		done
	done
	report "$name" "$results"
}

report()
{
	echo "$1, $clients clients, $rounds rounds of $seconds s"
	awk '
		function median(values, n,    i, j, swap) {
			for (i = 2; i <= n; i++)
				for (j = i; j > 1 && values[j - 1] > values[j]; j--) {
					swap = values[j]; values[j] = values[j - 1]; values[j - 1] = swap
				}
			return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
		}
		function ratios(what, figures, of, to,    i, values, middle) {
			for (i = 1; i <= rounds; i++)
				values[i] = figures[i, of] / figures[i, to]
			middle = median(values, rounds)
			printf "    %-36s %.4f  (%.4f to %.4f)\n", what, middle, values[1], values[rounds]
		}
		function middle_of(figures, server,    i, values) {
			for (i = 1; i <= rounds; i++)
				values[i] = figures[i, server]
			return median(values, rounds)
		}
		function show(unit, figures) {
			printf "  %s: %.1f with the library, %.1f without, %.1f on the other server without\n",
				unit, middle_of(figures, "with"), middle_of(figures, "without"), middle_of(figures, "again")
			ratios("with to without", figures, "with", "without")
			ratios("with to the other one without", figures, "with", "again")
			ratios("the two without, one to the other", figures, "without", "again")
		}
		{ rounds = $1; tps[$1, $2] = $3; cpu[$1, $2] = $4 }
		END {
			show("transactions per second", tps)
			show("microseconds of CPU for a transaction", cpu)
		}' "$2"
}

measure "pgbench -S -M prepared" -M prepared
measure "pgbench -S -C" -C

for server in "${servers[@]}"; do
	stop_server "$PMON_WORK/$server"
done
