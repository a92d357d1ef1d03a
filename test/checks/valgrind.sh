# shellcheck shell=bash
# valgrind.sh [unit|server]...: unit tests and a server, under memcheck
#
# Runs our code under valgrind's memcheck, and prints what it found.  Without a
# name it runs both, in about 10 minutes:
#
#   unit    the unit tests: what decides and what parses
#   server  a server that preloads the library, with the worker and sessions,
#           and all that they do: see valgrind/load.sh
#
# Fails on an error with one of our functions in its stack, in that of the
# memory that it is about, or in that of where an uninitialised value came from.
# What Debian's server does on its own (it was not compiled for valgrind) is
# counted, but not judged.  In a server compiled with -DUSE_VALGRIND, memcheck
# knows each chunk of a memory context, and finds more.
#
# needs: build / valgrind python3

. test/lib/wrapped_server.sh
[ $# -gt 0 ] || set -- unit server
failed=0
memcheck=(valgrind -q --leak-check=no --track-origins=yes --num-callers=30 --error-limit=no --fullpath-after=)

# A tenth or less of what they do without valgrind, which is 20 times faster
declare -A amounts=([fuzz_pools]=10000 [test_idle_policy]=2000 [test_ring]=20000 [test_sizing]=5 [test_stats_file]=9973)

check_unit()
{
	local file name start facts

	for file in test/unit/*.c; do
		name=$(basename "$file" .c) start=$SECONDS
		# compiles it, and runs it once without valgrind
		if ! PROFILE=-O1 bash test/lib/unit.sh "$file" >"$PMON_WORK/$name.log"; then
			echo "$name: failed without valgrind"
			failed=1
			continue
		fi
		# shellcheck disable=SC2086 # no argument, or one
		if "${memcheck[@]}" --error-exitcode=9 --log-file="$PMON_WORK/$name.%p.valgrind" \
			"$PMON_WORK/unit/$name" ${amounts[$name]:-} >"$PMON_WORK/$name.log"; then
			facts=$(grep -c '^ok' "$PMON_WORK/$name.log")
			printf '%-24s %4d facts, no error, %d s\n' "$name" "$facts" $((SECONDS - start))
		else
			grep '^not ok' "$PMON_WORK/$name.log" || true
			cat "$PMON_WORK/$name".*.valgrind
			echo "$name: failed"
			failed=1
		fi
	done
}

check_server()
{
	local logs=$PMON_WORK/valgrind programs=$PMON_WORK/programs

	build_extension "-O1 -g"
	mkdir -p "$logs"
	wrap_server "$programs" "$BINDIR" "${memcheck[@]}" --log-file="$logs/%p"
	export PATH=$programs:$PATH
	start_server "$PMON_WORK/server" test/checks/valgrind/server.conf
	bash test/checks/valgrind/load.sh "$PMON_WORK/server" || { tail -n 40 "$SERVER_LOG"; failed=1; }
	stop_server "$PMON_WORK/server"
	python3 test/checks/valgrind/report.py "$PMON_WORK/build/src/" "$logs" || failed=1
}

"$PG_CONFIG" --version
valgrind --version
for name; do
	"check_$name"
done
[ $failed -eq 0 ] && echo "no finding"
exit $failed
