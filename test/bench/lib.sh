# shellcheck shell=bash
# lib.sh: what the benchmarks share.
#
# A benchmark starts with
#
#	. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
#	start_benchmark PARTS [short|standard|long]
#
# which runs it again in a private copy of the tree, with the extension built
# there.  What it writes into $results is kept: in RESULTS, by default
# pool_monitor_bench where temporary files are; the summaries that are worth
# keeping are in test/bench/results.

# pick SHORT STANDARD LONG: the one for the length of this run
pick()
{
	case $length in short) echo "$1" ;; standard) echo "$2" ;; long) echo "$3" ;; esac
}

# start_benchmark NAME [LENGTH [ARGUMENT...]]: NAME is the script without .sh.
# Afterwards $length, $results and the array $arguments are set.
start_benchmark()
{
	local name=$1 status=0

	shift
	length=${1:-standard}
	case $length in short | standard | long) ;; *) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;; esac
	arguments=("${@:2}")

	if [ -z "${PMON_WORK:-}" ]; then
		cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit
		. test/lib/packages.sh
		. test/lib/private_copy.sh
		need_bench_packages
		# The copy is another user's, and is removed at the end.
		results=$(mktemp -d "${TMPDIR:-/tmp}/pool_monitor_results.XXXXXX")
		chmod 755 "$results"
		[ "$(id -u)" != 0 ] || chown postgres: "$results"
		(run_in_private_copy "test/bench/$name.sh" "$length" "$results" "${arguments[@]}") &
		# shellcheck disable=SC2064 # the process is known now
		trap "kill -TERM $!" INT TERM HUP
		wait $! || status=$?
		# a signal ends the first wait, not what it waits for
		wait
		trap - INT TERM HUP
		mkdir -p "${RESULTS:=${TMPDIR:-/tmp}/pool_monitor_bench}"
		cp "$results"/* "$RESULTS"/ 2>/dev/null || true
		rm -rf "$results"
		echo "results are in $RESULTS"
		exit $status
	fi

	exec 2>&1
	results=${arguments[0]}
	arguments=("${arguments[@]:1}")
	. test/lib/build.sh
	. test/lib/server.sh
	major=$("$PG_CONFIG" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/')
	# run.sh has built it for all of its parts
	[ -n "${EXTENSION_DIR:-}" ] || build_for_benchmarks || exit
	library=$PMON_WORK/build/test/bench/library
	# thousands of sessions are as many files
	ulimit -n "$(ulimit -Hn)"
}

need_bench_packages()
{
	local packages=(libpq-dev python3 procps valgrind)

	need_packages build
	command -v dpkg-query >/dev/null || return 0
	if [ -z "${PG_CONFIG:-}" ]; then
		packages+=("postgresql-$(postgres_major)-pg-wait-sampling" prometheus-postgres-exporter)
	fi
	install_missing "${packages[@]}"
}

build_for_benchmarks()
{
	local libdir log=$PMON_WORK/library.log

	build_extension || return
	libdir=${EXTENSION_DIR%"$("$PG_CONFIG" --sharedir)"/extension}$("$PG_CONFIG" --pkglibdir)
	if ! make -s -C "$PMON_WORK/build/test/bench/library" PG_CONFIG="$PG_CONFIG" with_llvm=no >"$log" 2>&1; then
		cat "$log"
		return 1
	fi
	cp "$PMON_WORK"/build/test/bench/library/*.so "$libdir/"
}

# have_library NAME: can this server load it?
have_library()
{
	[ -e "$("$PG_CONFIG" --pkglibdir)/$1.so" ]
}

# start_holder [APPLICATIONS]; hold SESSIONS opens until there are that many;
# end_holder closes them all
start_holder() { coproc HOLDER { exec "$library/hold" "${1:-20}"; }; holder=$HOLDER_PID; }

hold()
{
	local answer

	echo "$1" >&"${HOLDER[1]}"
	read -r answer <&"${HOLDER[0]}"
	[ "$answer" = "$1" ]
}

end_holder()
{
	eval "exec ${HOLDER[1]}>&-"
	wait "$holder"
	# those that run a statement do not notice
	query "SET client_min_messages = error;
		SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'application %'" >/dev/null
	until [ "$(psql -XAtc 'SELECT connections FROM pool_monitor_status')" -le 1 ]; do sleep 0.1; done
}

# query STATEMENT: its result, unadorned
query() { psql -XAtq -v ON_ERROR_STOP=1 -c "$1"; }

# set_and_reload NAME=VALUE...
set_and_reload()
{
	local setting

	for setting; do psql -Xq -c "ALTER SYSTEM SET ${setting%%=*} = '${setting#*=}'"; done
	psql -XAtq -c 'SELECT pg_reload_conf()' >/dev/null
}

# Servers that are measured in turns, those in the array $servers: the others
# are stopped meanwhile.

# The process of a server
postmaster() { head -n 1 "$PMON_WORK/$1/data/postmaster.pid"; }

# signal_servers SIGNAL SERVER...: all of their processes
signal_servers()
{
	local name=$1 server pid

	shift
	for server; do
		pid=$(postmaster "$server")
		# shellcheck disable=SC2046 # they are several
		kill "-$name" "$pid" $(pgrep -P "$pid") 2>/dev/null || true
	done
}

# A server that is stopped could not end, so they go on when this script ends.
stop_servers()
{
	trap 'signal_servers CONT "${servers[@]}"' EXIT
	trap 'exit 143' TERM INT
	signal_servers STOP "${servers[@]}"
}

continue_servers()
{
	signal_servers CONT "${servers[@]}"
	trap - EXIT
}

# start_turn SERVER; end_turn SERVER, when its sessions are gone, sets $ticks to
# the CPU time that the server has used, in clock ticks: a child's time counts
# when it is gone
start_turn()
{
	signal_servers CONT "$1"
	turn=$(postmaster "$1")
	children=$(pgrep -c -P "$turn")
	ticks=$(cpu_ticks "$turn")
}

end_turn()
{
	while [ "$(pgrep -c -P "$turn")" -gt "$children" ]; do sleep 0.02; done
	ticks=$(($(cpu_ticks "$turn") - ticks))
	signal_servers STOP "$1"
}

# cpu_ticks PID: what it and the children that it has reaped have used so far
cpu_ticks() { awk '{ print $14 + $15 + $16 + $17 }' "/proc/$1/stat"; }

# report PART: the summary of what is in $results
report() { /usr/bin/env python3 test/bench/report.py "$results" "$1"; }
