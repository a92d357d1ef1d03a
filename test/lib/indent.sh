#!/usr/bin/env bash
# indent.sh [--write] [FILE...]
#
# Compares the C sources with what pg_bsd_indent makes of them, with the
# options and the little pre- and post-processing of PostgreSQL's own pgindent.
# Prints a diff and fails where they differ; --write rewrites the files instead.
#
# The typedef list decides where the blanks go, so it must not depend on
# whether our own code compiles today: it is every typedef in the debug
# information of one file that includes all headers we include, plus the
# typedefs we define, plus the few that only newer servers have.
# shellcheck disable=SC2086 # the options and the names are lists
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

write=no
if [ "${1:-}" = --write ]; then
	write=yes
	shift
fi
shopt -s nullglob
files=("$@")
[ ${#files[@]} -gt 0 ] || files=(src/*.[ch] src/*/*.[ch] test/{unit,fuzz,modules,checks,checks/load,bench/library}/*.[ch])
[ ${#files[@]} -gt 0 ] || { echo "no C files to look at" >&2; exit 1; }

options="-bad -bap -bbb -bc -bl -cli1 -cp33 -cdb -nce -d0 -di12 -nfc1 -i4 -l79
	-lp -lpl -nip -npro -sac -tpg -ts4"
# Names that pgindent never takes for types, whatever the headers say.
never="ANY|FD_SET|U|abs|allocfunc|boolean|date|digit|ilist|interval|iterator|other|pointer|printfunc|reference|string|timestamp|type|wrap"
# What compat.h may name under a version test that is false here.
newer="bool ProcNumber pqsigfunc pg_siginfo ShmemCallbacks regex_t"

# Debian's pg-bsd-indent or that of a server: 2.1.3 and later format otherwise.
indent=
for file in /usr/bin/pg_bsd_indent /usr/lib/postgresql/*/bin/pg_bsd_indent "$(${PG_CONFIG:-pg_config} --bindir)/pg_bsd_indent"; do
	[ -x "$file" ] || continue
	case $($file --version) in *" 2.1.1 "* | *" 2.1.2 "*) indent=$file; break ;; esac
done
[ -n "$indent" ] || { echo "no pg_bsd_indent 2.1.1 or 2.1.2 found" >&2; exit 1; }

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

typedefs()
{
	local header pg_config=${PG_CONFIG:-pg_config}

	printf '#include "postgres.h"\n' >"$tmp/all.c"
	sed -n 's/^#[[:blank:]]*include[[:blank:]]*\([<"][^>"]*[>"]\).*/\1/p' src/*.[ch] src/*/*.[ch] "${files[@]}" | sort -u |
		while read -r header; do
			# Our own headers are read below: they may not compile yet.
			[ -e "src/${header//[<>\"]/}" ] && continue
			printf '#if __has_include(%s)\n#include %s\n#endif\n' "$header" "$header"
		done >>"$tmp/all.c"
	gcc -g -w -fno-eliminate-unused-debug-types -D_GNU_SOURCE -c "$tmp/all.c" -o "$tmp/all.o" \
		-I"$($pg_config --includedir-server)" -I"$($pg_config --includedir)"
	objdump --dwarf=info "$tmp/all.o" |
		awk '/DW_TAG_typedef/ { want = 1 } want && /DW_AT_name/ { print $NF; want = 0 }'

	# "typedef ... Name;" and "} Name;", also of a function pointer
	cat src/*.[ch] src/*/*.[ch] "${files[@]}" | sed -nE \
		-e 's/^typedef[^(]*[ *]([A-Za-z_0-9]+)(\[[^]]*\])?;.*/\1/p' \
		-e 's/^typedef.*\(\*?([A-Za-z_0-9]+)\) *\(.*/\1/p' \
		-e 's/^\} *([A-Za-z_0-9]+);.*/\1/p'
	printf '%s\n' $newer
}

# pg_bsd_indent keeps a mark of its own in lines of code, the byte 0x80
indented()
{
	perl -0pe '$_ .= "\n" unless /\n\z/;
		s!^([ \t]*)//(.*)$!$1/* $2 */!gm;
		s!/\* +---!/*---X_X!g; tr/\x80/\x01/;' "$1" |
		"$indent" $options -U"$tmp/typedefs" 2>"$tmp/errors" |
		perl -0pe 'tr/\x01/\x80/; s!/\*---X_X!/* ---!g;
			s!\*/(/\*.*\*/)$!*/\t$1!gm;
			s!^([A-Za-z_]\S*)[ \t]+\*$!$1 *!gm;'
}

typedefs | grep -vxE "$never" | sort -u >"$tmp/typedefs"

failed=0
for file in "${files[@]}"; do
	indented "$file" >"$tmp/out.c"
	if [ -s "$tmp/errors" ]; then
		sed "s|^|$file: pg_bsd_indent: |" "$tmp/errors"
		failed=1
	elif ! cmp -s "$file" "$tmp/out.c"; then
		if [ $write = yes ]; then
			# pg_bsd_indent sometimes needs a second look at its own output
			cp "$tmp/out.c" "$tmp/again.c"
			indented "$tmp/again.c" >"$tmp/out.c"
			cat "$tmp/out.c" >"$file"
			echo "rewrote $file"
		else
			diff -u --label "$file" --label "$file (indented)" "$file" "$tmp/out.c" || true
			failed=1
		fi
	fi
done
exit $failed
