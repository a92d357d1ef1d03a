#!/usr/bin/env bash
# lint.sh [version]: what can be said about the code without running it, as
# TAP; with "version", only what depends on the server.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit

warnings="-Wall -Wextra -Werror -Wno-unused-parameter -Wno-sign-compare -Wshadow=compatible-local"
n=0

# check LABEL COMMAND...: one test; the command's output is shown if it fails
check()
{
	local label=$1 output

	shift
	n=$((n + 1))
	if output=$("$@" 2>&1); then
		echo "ok $n - $label"
	else
		echo "not ok $n - $label"
		printf '%s\n' "$output" | tail -n 200 | sed 's/^/# /' >&2
	fi
}

builds()
{
	local dir=$PMON_WORK/lint

	cp -a . "$dir" &&
		make -s -k -j2 -C "$dir" PG_CONFIG="$PG_CONFIG" with_llvm=no COPT="$warnings" all
}

headers()
{
	local file bad=0

	for file in src/*.c; do
		[ -e "${file%.c}.h" ] || { echo "$file has no ${file%.c}.h"; bad=1; }
	done
	return $bad
}

shell_syntax()
{
	local file first bad=0

	while read -r file; do
		IFS= read -r first <"$file"
		case $file:$first in *.sh:* | *:'#!'*sh) bash -n "$file" || bad=1 ;; esac
	done < <(find . -type f ! -name '*.o' ! -name '*.so')
	return $bad
}

check "compiles without a warning" builds
if [ "${1:-}" != version ]; then
	check "pg_bsd_indent leaves the C files as they are" bash test/lib/indent.sh
	check "every .c file has its header" headers
	check "the shell scripts parse" shell_syntax
fi
echo "1..$n"
