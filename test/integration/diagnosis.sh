#!/usr/bin/env bash
# The diagnosis: causes that are planted with real clients, each of which must
# be named first, and healthy traffic, in which nothing must be found.
#
# Two servers of its own, side by side: one on which the causes follow each
# other, and one for what needs minutes of load to be told.
set -uo pipefail
. test/lib/server.sh
here=test/integration/diagnosis
work=$(mktemp -d "$PMON_WORK/diagnosis.XXXXXX")

# part NAME: its server, and its tests, without their plan
part()
{
	(
		start_server "$work/$1" "$here/$1.conf" || exit 1
		/usr/bin/python3 "$here/$1.py" >"$work/$1.tap" 2>"$work/$1.err" ||
			echo "not ok - $1 came to its end" >>"$work/$1.tap"
		cat "$work/$1.err" >&2
		stop_server "$work/$1"
		! grep -nE 'TRAP|PANIC|crash of another server process' "$SERVER_LOG" >"$work/$1.log" ||
			echo "not ok - the server of $1 is sound" >>"$work/$1.tap"
	) || echo "not ok - the server of $1 starts" >>"$work/$1.tap"
}

# a run for another version of the server leaves out the load
[ ! -e "$here/load.py" ] || part load &
part causes
wait
# two lists of numbers would be out of sequence
cat "$work"/*.tap | grep -v '^1\.\.' | sed -E 's/^((not )?ok) [0-9]+ /\1 /'
echo "1..$(cat "$work"/*.tap | grep -cE '^(not )?ok ')"
rm -rf "$work"
