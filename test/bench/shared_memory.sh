#!/usr/bin/env bash
# shared_memory.sh [short|standard|long]: the extension's memory by part, each
# session's share of it, and what it adds to the memory of a session.  Takes
# half a minute.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
start_benchmark shared_memory "$@"

csv=$results/shared_memory.csv
echo "what,bytes" >"$csv"

# start_for CONNECTIONS [SETTING...]
start_for()
{
	printf '%s\n' "max_connections = $1" "${@:2}" >"$PMON_WORK/memory$1.conf"
	start_server "$PMON_WORK/memory$1" "$PMON_WORK/memory$1.conf"
}

# private PID: memory that is this process' alone
private() { echo $(($(sed -nE 's/^RssAnon:[[:blank:]]*([0-9]+) kB$/\1/p' "/proc/$1/status") * 1024)); }

# session_memory: the private memory of a session that has run something
session_memory()
{
	local sum=0 i pid

	for i in {1..5}; do
		coproc SESSION { exec psql -XAtq; }
		echo "SELECT count(*) FROM pg_class; SELECT pg_backend_pid();" >&"${SESSION[1]}"
		read -r pid <&"${SESSION[0]}"
		read -r pid <&"${SESSION[0]}"
		sum=$((sum + $(private "$pid")))
		i=$SESSION_PID
		eval "exec ${SESSION[1]}>&-"
		wait "$i"
	done
	echo $((sum / 5))
}

start_for 100 "shared_preload_libraries = 'pool_monitor'"
query 'CREATE EXTENSION pool_monitor'
query "SELECT 'shared, ' || name || ', max_connections = 100', size FROM pg_shmem_allocations WHERE name LIKE 'pool_monitor%' ORDER BY size DESC" |
	sed 's/, max_connections/ (max_connections/; s/= 100|/= 100)|/; s/, /: /; s/|/,/' >>"$csv"
small=$(query 'SELECT memory_bytes FROM pool_monitor_info')
echo "pool_monitor_info.memory_bytes (max_connections = 100),$small" >>"$csv"
echo "private: the worker,$(private "$(query 'SELECT worker_pid FROM pool_monitor_info')")" >>"$csv"
with=$(session_memory)
stop_server "$PMON_WORK/memory100"

start_for 1100 "shared_preload_libraries = 'pool_monitor'"
query 'CREATE EXTENSION pool_monitor'
echo "shared: each further connection,$((($(query 'SELECT memory_bytes FROM pool_monitor_info') - small) / 1000))" >>"$csv"
stop_server "$PMON_WORK/memory1100"

start_for 101
without=$(session_memory)
stop_server "$PMON_WORK/memory101"
echo "private: a session with the library,$with" >>"$csv"
echo "private: a session without,$without" >>"$csv"
report memory
