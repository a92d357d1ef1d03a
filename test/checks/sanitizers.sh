# shellcheck shell=bash
# sanitizers.sh [quick|all] [address|undefined]...: all tests, under sanitizers
#
# Runs the tests with the compiler's sanitizers in our library, and prints what
# they found.  Without a name of one it runs both:
#
#   address    AddressSanitizer, in a server that preloads its run-time library
#   undefined  UndefinedBehaviorSanitizer, and casts from doubles out of range
#
# There is nothing for ThreadSanitizer: the server and the tests of what is
# shared are processes, of which it sees one thread each.
#
# "quick" runs what test/run.sh quick does, about 3 minutes each; "all", which is
# the default, also the TAP tests and the real clients, about 20 minutes each.
# Fails on a report of a sanitizer and on a failed test.
#
# needs: build test clients integration fuzz

. test/lib/wrapped_server.sh
mode=all
case ${1:-} in quick | all) mode=$1; shift ;; esac
[ $# -gt 0 ] || set -- address undefined
top=$PMON_WORK failed=0

# run_suites NAME OPTION...: runs the tests on a library built with the options
run_suites()
{
	local name=$1

	mkdir -p "$top/$name/reports"
	cp -a "$top/source" "$top/$name/source"
	(
		cd "$top/$name/source"
		PROFILE="-g -O1 -fno-omit-frame-pointer ${*:2}" PMON_WORK=$top/$name KEEP='' bash test/run.sh "$mode"
	) || failed=1
}

# count_reports NAME: prints what the sanitizer wrote, the first lines of each
count_reports()
{
	local reports=("$top/$1/reports/"*) report

	for report in "${reports[@]:0:20}"; do
		printf '%s\n' "-- ${report##*/}"
		head -n 40 "$report"
	done
	printf '== %s: reports: %d\n' "$1" ${#reports[@]}
	[ ${#reports[@]} -eq 0 ] || failed=1
}

check_address()
{
	local preload

	gcc -O2 -shared -fPIC -o "$top/bindtextdomain_shim.so" test/checks/bindtextdomain_shim.c
	preload=$(realpath "$(gcc -print-file-name=libasan.so)"):$top/bindtextdomain_shim.so
	wrap_server "$top/programs" "$("$PG_CONFIG" --bindir)" "LD_PRELOAD=$preload"
	# The server frees nothing at exit.  A core file of all shadow memory would
	# fill the disk.  Freed memory is kept apart, but so little of it that a
	# test can still tell whether a process grows.
	export ASAN_OPTIONS=detect_odr_violation=0:detect_leaks=0:quarantine_size_mb=1:thread_local_quarantine_size_kb=64:abort_on_error=1:disable_coredump=1:log_path=$top/address/reports/asan
	PG_CONFIG=$top/programs/pg_config run_suites address -fsanitize=address
	count_reports address
}

# The run-time library must abort: to exit with status 1 is how a session ends.
check_undefined()
{
	export UBSAN_OPTIONS=print_stacktrace=1:abort_on_error=1:disable_coredump=1
	run_suites undefined -fsanitize=undefined,float-cast-overflow -fno-sanitize-recover=all
	# without AddressSanitizer, gcc's library knows no log_path
	grep -rhaE --include='*.log' '^[^ ]+:[0-9]+:[0-9]+: runtime error: ' "$top/undefined" >"$top/reports" &&
		sort "$top/reports" | uniq -c >"$top/undefined/reports/undefined" || true
	count_reports undefined
}

for name; do
	"check_$name"
done
[ $failed -eq 0 ] && echo "no finding"
exit $failed
