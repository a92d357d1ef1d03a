# shellcheck shell=bash
# fuzz.sh [RUNS [HARNESS...]]: libFuzzer on all that parses or escapes
#
# What reads what others wrote, or writes what others read.
#
# Each harness, fuzz_NAME.c, gets that many inputs (default: a million), under
# AddressSanitizer and UndefinedBehaviorSanitizer, with our assertions on.  It
# starts from seeds/NAME, or from what it writes itself with --write-seeds, and
# uses the words of NAME.dict.  Its first line names the files of src/ that it is
# linked with.  Prints for each: runs, executions a second, the features that
# were covered (what libFuzzer counts: branches, with how often and with which
# comparisons), and what was found.  Fails if anything was; the input is kept,
# and its path printed.  A million of each takes about twenty minutes on an idle
# machine; stats_file is more than half of that.
#
#   fuzz tap RUNS      the same as TAP, for a test run: one test a harness, the
#                      same inputs each time, a tenth of them for stats_file, with the packages and PMON_WORK
#                      that test/run.sh has
#
#   seed=N             as the second argument: libFuzzer's random seed (default:
#                      another one each time)
#
# needs: build fuzz

tap=no
if [ "${1:-}" = tap ]; then
	tap=yes
	shift
fi
runs=${1:-1000000}
shift || true

seed=
[ $tap = no ] || seed=1
case ${1:-} in seed=*) seed=${1#seed=}; shift ;; esac
harnesses=("$@")
if [ ${#harnesses[@]} -eq 0 ]; then
	for file in test/fuzz/fuzz_*.c; do
		file=${file##*/fuzz_}
		harnesses+=("${file%.c}")
	done
fi
work=$PMON_WORK/fuzz
mkdir -p "$work"

# build NAME
build()
{
	local links

	links=$(sed -nE '1s:^/\* links\:(.*)\*/.*:\1:p' "test/fuzz/fuzz_$1.c")
	# shellcheck disable=SC2046,SC2086 # links is a list
	clang -g -O2 -fno-omit-frame-pointer -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
		-Wall -Wno-unused-function -Wno-ignored-attributes -D_GNU_SOURCE -DUSE_ASSERT_CHECKING \
		-fno-strict-aliasing -fwrapv -I src -I test -I test/fuzz \
		-isystem "$("$PG_CONFIG" --includedir-server)" -isystem "$("$PG_CONFIG" --includedir)" \
		-o "$work/$1" "test/fuzz/fuzz_$1.c" $(printf 'src/%s ' $links) \
		-L"$("$PG_CONFIG" --pkglibdir)" -L"$("$PG_CONFIG" --libdir)" -lpgcommon -lpgport -lm
}

# fuzz NAME: with its report in NAME.log; fails if it found something
fuzz()
{
	local corpus=$work/$1.corpus seeds=$PWD/test/fuzz/seeds/$1 options=() inputs=$runs

	mkdir -p "$corpus" "$work/$1.found"
	if [ ! -d "$seeds" ]; then
		seeds=$work/$1.seeds
		mkdir -p "$seeds"
		"$work/$1" --write-seeds "$seeds" >"$work/$1.log" 2>&1 || return 1
	fi
	[ ! -e "test/fuzz/$1.dict" ] || options+=("-dict=test/fuzz/$1.dict")
	[ -z "$seed" ] || options+=("-seed=$seed")

	# a file has megabytes of incidents; in a test run that is most of the time
	[ $tap = no ] || [ "$1" != stats_file ] || inputs=$((runs / 10))

	# few freed blocks are kept apart, or large inputs spend their time on pages
	ASAN_OPTIONS=quarantine_size_mb=16:malloc_context_size=8 UBSAN_OPTIONS=print_stacktrace=1 \
		"$work/$1" -runs="$inputs" -timeout=60 -rss_limit_mb=4096 -max_len=65536 -print_final_stats=1 \
		-artifact_prefix="$work/$1.found/" "${options[@]}" "$corpus" "$seeds" >"$work/$1.log" 2>&1
}

# figure NAME FIELD: out of the report
figure()
{
	case $2 in
		features) sed -nE 's/.* ft: ([0-9]+) .*/\1/p' "$work/$1.log" | tail -n 1 ;;
		*) sed -nE "s/^stat::$2: +([0-9]+)/\1/p" "$work/$1.log" ;;
	esac
}

# keep NAME: where it is still there when we have gone; prints the path
keep()
{
	local folder file

	folder=$(TMPDIR=/tmp mktemp -d -t "pool_monitor_fuzz_$1.XXXXXX")
	chmod 755 "$folder"
	cp "$work/$1.log" "$folder"
	for file in "$work/$1.found"/*; do
		cp "$file" "$folder"
		echo "$folder/${file##*/}"
	done
}

bad=0 n=0
[ $tap = yes ] || printf '%-12s %9s %9s %9s  %s\n' harness runs per_s features found
for name in "${harnesses[@]}"; do
	n=$((n + 1)) found=nothing
	if ! build "$name" >"$work/$name.log" 2>&1; then
		found="does not compile"
	elif ! fuzz "$name"; then
		found=$(keep "$name")
		: "${found:=no input: see below}"
	fi
	[ "$found" = nothing ] || bad=1
	if [ $tap = yes ]; then
		[ "$found" = nothing ] || printf 'not '
		echo "ok $n - $name: $(figure "$name" number_of_executed_units) inputs, found: $found"
	else
		printf '%-12s %9s %9s %9s  %s\n' "$name" "$(figure "$name" number_of_executed_units)" \
			"$(figure "$name" average_exec_per_sec)" "$(figure "$name" features)" "$found"
	fi
	[ "$found" = nothing ] || tail -n 40 "$work/$name.log" | cut -c1-200 | sed 's/^/# /' >&2
done
[ $tap = no ] || echo "1..$n"
exit $bad
