# shellcheck shell=bash
# analyzers.sh [gcc|clang|cppcheck|tidy]...: what compilers and analyzers say
#
# About 5 minutes.  Without a name it runs all of:
#
#   gcc       all warnings, and -fanalyzer
#   clang     all warnings, of the sources and of the unit tests
#   cppcheck  warnings, performance and portability; exceptions, with their
#             reasons, are in cppcheck.suppressions
#   tidy      clang-tidy: what it looks for, and what not and why, is in
#             .clang-tidy
#
# Prints the findings and how many there are for each; fails if there is one.
#
# needs: build / clang clang-tidy cppcheck

[ $# -gt 0 ] || set -- gcc clang cppcheck tidy
failed=0

# The server's headers are not ours to judge.
headers=$("$PG_CONFIG" --includedir-server)
flags=(-O2 -D_GNU_SOURCE -fno-strict-aliasing -fwrapv -isystem "$headers" -isystem "$("$PG_CONFIG" --includedir)" -Isrc -Itest)
# Those of test/lib/lint.sh, and what PGXS adds to them
warnings=(-Wall -Wextra -Wno-unused-parameter -Wno-sign-compare
	-Wmissing-prototypes -Wpointer-arith -Wvla -Wendif-labels -Wformat-security -Wundef)

# check NAME PATTERN FILES... -- COMMAND...: runs the command for each file and
# counts the lines that match
check()
{
	local name=$1 pattern=$2 start=$SECONDS files=() n

	shift 2
	while [ "$1" != -- ]; do files+=("$1"); shift; done
	shift
	printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P 2 "$@" >"$PMON_WORK/$name.log" 2>&1 || true
	n=$(grep -cE "$pattern" "$PMON_WORK/$name.log" || true)
	[ "$n" -eq 0 ] || cat "$PMON_WORK/$name.log"
	printf '== %s: %d files, %d findings, %d s\n' "$name" ${#files[@]} "$n" $((SECONDS - start))
	[ "$n" -eq 0 ] || failed=1
}

check_gcc()
{
	gcc --version | head -n 1
	check gcc '(warning|error): ' src/*.c src/*/*.c -- \
		gcc -c -o /dev/null "${flags[@]}" "${warnings[@]}" -Wshadow=compatible-local -Wimplicit-fallthrough=3 \
		-Wmissing-format-attribute -Wcast-function-type -Wdeclaration-after-statement -fanalyzer
	# without its assertions, a variable can be unused
	check gcc-assert '(warning|error): ' src/*.c src/*/*.c -- \
		gcc -c -o /dev/null "${flags[@]}" "${warnings[@]}" -DUSE_ASSERT_CHECKING
}

# It does not know the printf of gcc's format attribute in the server's headers.
check_clang()
{
	clang --version | head -n 1
	check clang '(warning|error): ' src/*.c src/*/*.c test/unit/*.c -- \
		clang -c -o /dev/null "${flags[@]}" "${warnings[@]}" -Wno-ignored-attributes
}

# It does not see what an assertion says, nor where ereport() ends.
check_cppcheck()
{
	cppcheck --version
	check cppcheck '^[^ ]+:[0-9]+: ' src/*.c src/*/*.c -- \
		cppcheck -q --std=c99 --enable=warning,performance,portability \
		-D__GNUC__=12 -D__x86_64__ -D__linux__ -I"$headers" -Isrc \
		--suppress='*:/usr/*' --suppressions-list=test/checks/cppcheck.suppressions \
		--template='{file}:{line}: {severity}: {message} [{id}]'
}

check_tidy()
{
	clang-tidy --version | sed -n 's/^ *LLVM/clang-tidy, LLVM/p'
	check tidy '(warning|error): ' src/*.c src/*/*.c -- \
		bash -c 'file=${!#}; set -- "${@:1:$#-1}"; clang-tidy --quiet "$file" -- "$@"' tidy "${flags[@]}"
}

for name; do
	"check_$name"
done
[ $failed -eq 0 ] && echo "no finding"
exit $failed
