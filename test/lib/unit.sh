#!/usr/bin/env bash
# unit.sh FILE.c: compiles one unit test and becomes it.
#
# Its first line names the files of src/ that it is linked with:
#   /* links: pools.c sizing.c */
#
#   PROFILE  more options for the compiler, as PGXS takes them
set -euo pipefail
name=$(basename "$1" .c)
links=$(sed -nE '1s:^/\* links\:(.*)\*/.*:\1:p' "$1")
mkdir -p "$PMON_WORK/unit"
# shellcheck disable=SC2046,SC2086 # links and PROFILE are lists
gcc -g -O2 -Wall -Wno-declaration-after-statement -D_GNU_SOURCE -fwrapv -fno-strict-aliasing ${PROFILE:-} \
	-I src -I test -I "$("$PG_CONFIG" --includedir-server)" -I "$("$PG_CONFIG" --includedir)" \
	-o "$PMON_WORK/unit/$name" "$1" ${links:+$(printf 'src/%s ' $links)} \
	-L"$("$PG_CONFIG" --pkglibdir)" -L"$("$PG_CONFIG" --libdir)" -lpgcommon -lpgport -lm >&2
exec "$PMON_WORK/unit/$name"
