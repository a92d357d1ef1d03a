#!/usr/bin/env bash
# logins.sh [short|standard|long]: how many logins a second, and how many
# refused logins, with the library and without.
#
# Three servers, two of them without the library, as in pgbench.sh: measured in
# turns in random order, the others stopped.  The refused logins are refused
# because all connection slots are taken.  Takes about 2 minutes ("short" half
# a minute, "long" 10).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
start_benchmark logins "$@"

rounds=$(pick 2 14 60)
seconds=$(pick 1 1.5 2)
servers=(with without again)

for server in "${servers[@]}"; do
	conf=$PMON_WORK/$server.conf
	{
		echo "max_connections = 30"
		echo "autovacuum = off"
		[ "$server" != with ] || echo "shared_preload_libraries = 'pool_monitor'"
	} >"$conf"
	start_server "$PMON_WORK/$server" "$conf"
done

csv=$results/logins-$major.csv
echo "kind,round,server,per_second,cpu_us" >"$csv"

# measure KIND ROUND: each server once
measure()
{
	local kind=$1 round=$2 server figures rate

	for server in $(shuf -e "${servers[@]}"); do
		start_turn "$server"
		read -r -a figures < <(PGHOST=$PMON_WORK/$server "$library/connect" "$(nproc)" "$seconds")
		end_turn "$server"
		rate=${figures[0]}
		if [ "$kind" = "refused logins" ]; then
			rate=${figures[1]}
			[ "${figures[0]}" = 0.0 ] || { echo "a login was not refused"; exit 1; }
		fi
		[ "$round" = 0 ] || awk -v ticks="$ticks" -v hertz="$(getconf CLK_TCK)" \
			-v rate="$rate" -v seconds="$seconds" -v row="$kind,$round,$server" \
			'BEGIN { printf "%s,%s,%.2f\n", row, rate, ticks / hertz * 1e6 / (rate * seconds) }' >>"$csv"
	done
}

stop_servers
for ((round = 0; round <= rounds; round++)); do measure logins "$round"; done

# Take all slots: each server has a holder of its own.
signal_servers CONT "${servers[@]}"
for server in "${servers[@]}"; do
	mkfifo "$PMON_WORK/$server.fifo"
	PGHOST=$PMON_WORK/$server "$library/hold" 1 <"$PMON_WORK/$server.fifo" >"$PMON_WORK/$server.held" &
done
exec 7>"$PMON_WORK/with.fifo" 8>"$PMON_WORK/without.fifo" 9>"$PMON_WORK/again.fifo"
for fd in 7 8 9; do echo 30 >&"$fd"; done
for server in "${servers[@]}"; do
	until [ -s "$PMON_WORK/$server.held" ]; do sleep 0.1; done
done
signal_servers STOP "${servers[@]}"
for ((round = 0; round <= rounds; round++)); do measure "refused logins" "$round"; done

continue_servers
exec 7>&- 8>&- 9>&-
wait
for server in "${servers[@]}"; do
	stop_server "$PMON_WORK/$server"
	rm -rf "${PMON_WORK:?}/$server"
done
report logins
