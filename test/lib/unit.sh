#!/usr/bin/env bash
# unit.sh FILE.c: compiles one unit test and becomes it.
#
# Its first line names the files of src/ that it is linked with:
#   /* links: pools.c sizing.c */
set -euo pipefail
name=$(basename "$1" .c)
links=$(sed -nE '1s:^/\* links\:(.*)\*/.*:\1:p' "$1")
mkdir -p "$PMON_WORK/unit"
# shellcheck disable=SC2046,SC2086 # links is a list
gcc -g -O2 -Wall -Wno-declaration-after-statement -D_GNU_SOURCE -fwrapv -fno-strict-aliasing \
	-I src -I "$("$PG_CONFIG" --includedir-server)" -I "$("$PG_CONFIG" --includedir)" \
	-o "$PMON_WORK/unit/$name" "$1" $(printf 'src/%s ' $links) \
	-L"$("$PG_CONFIG" --pkglibdir)" -L"$("$PG_CONFIG" --libdir)" -lpgcommon -lpgport -lm >&2
exec "$PMON_WORK/unit/$name"
