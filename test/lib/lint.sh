#!/usr/bin/env bash
# lint.sh [version]: what can be said about the code without running it, as
# TAP; with "version", only what depends on the server.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit

warnings="-Wall -Wextra -Werror -Wno-unused-parameter -Wno-sign-compare -Wshadow=compatible-local"
. test/lib/tap.sh

builds()
{
	local dir=$PMON_WORK/lint

	cp -a . "$dir" &&
		make -s -k -j2 -C "$dir" PG_CONFIG="$PG_CONFIG" with_llvm=no COPT="$warnings" all
}

# Only what nobody calls but the server has no header.  Several files may have one
# together, which then says what is in which.
headers()
{
	local file bad=0

	for file in src/*/*.c; do
		case $file in src/query/sql_* | src/query/metrics_writer.c) continue ;; esac
		[ -e "${file%.c}.h" ] || grep -qF " in ${file##*/}" "${file%/*}"/*.h ||
			{ echo "$file has no header"; bad=1; }
	done
	return $bad
}

# Includes go down the list of folders only; session, worker and query do not
# know each other; and what is not ours to layer comes by its own name.
layers()
{
	awk '
		BEGIN {
			floor["pure"] = 1; floor["shared"] = 2
			floor["session"] = floor["worker"] = floor["query"] = 3
		}
		FNR == 1 { split(FILENAME, path, "/"); folder = (path[3] != "") ? path[2] : "" }
		match($0, /^#include "[a-z]+\//) {
			other = substr($0, RSTART + 10, RLENGTH - 11)
			if (!(other in floor) || folder == "" || other == folder)
				next
			if (floor[other] >= floor[folder]) {
				print FILENAME ": " folder "/ must not include " other "/"
				bad = 1
			}
		}
		/^#include "[a-z_]+\.h"/ && !/"(postgres|compat|fmgr|funcapi|miscadmin|pgstat)\.h"/ {
			print FILENAME ": " $0 " does not name its folder"
			bad = 1
		}
		END { exit bad }' src/*.c src/*/*.[ch]
}

# The map in pool_monitor.c has every file, and no file that there is not.
map()
{
	diff <(sed -n '/A map of the sources/,/^ \*---/p' src/pool_monitor.c |
			awk 'match($0, /^ \* [a-z]+\/, /) { folder = substr($2, 1, length($2) - 2); next }
				/^ \*\t\t[a-z]/ { sub(/^ \*\t\t/, ""); sub(/(\t| {2,}).*/, ""); n = split($0, names, /, */)
					for (i = 1; i <= n; i++) if (names[i] != "") print folder "/" names[i] }' | sort) \
		<(for file in src/*/*.c; do
			file=${file#src/}
			case $file in query/sql_*) echo 'query/sql_*' ;; *) echo "${file%.c}" ;; esac
		done | sort -u)
}

# Each .c file opens with its design, or says which header has it: there is more
# than its name and its purpose, and if that more is only "See x.h.", then x.h
# has it.
openings()
{
	local file header bad=0

	for file in src/*/*.c; do
		header=$(opening "$file" | sed -nE '2s/^ \* See ([a-z_]+\.h)\.$/\1/p')
		case $(opening "$file" | wc -l) in
			0 | 1) echo "$file does not open with its design" ;;
			2) [ -z "$header" ] || [ "$(opening "${file%/*}/$header" | wc -l)" -gt 1 ] ||
				echo "$file: $header does not have the design either" ;;
			*) continue ;;
		esac
	done | grep . && bad=1
	return $bad
}

# the opening of a file: its name, and the lines after its purpose
opening()
{
	sed -n '2,/^ \*--*$/p' "$1" | grep '^ \* '
}

# These are in some C libraries only, and in the server's own only for some
# versions: a library that calls them may not load.
portable()
{
	! grep -nwE 'strlcpy|strlcat|strchrnul|explicit_bzero' src/*.[ch] src/*/*.[ch]
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
	check "no function that only some C libraries have" portable
	check "every .c file opens with its design" openings
	check "includes go down the list of folders" layers
	check "the map in pool_monitor.c names every file" map
	check "the shell scripts parse" shell_syntax
fi
echo "1..$n"
