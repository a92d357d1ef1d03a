#!/usr/bin/env bash
# The examples, as they are, on a server of its own: what their pools say beside
# what the server says, with the declarations that belong to them.
set -uo pipefail
. test/lib/server.sh
here=test/integration/examples
work=$(mktemp -d "$PMON_WORK/examples.XXXXXX")

if start_server "$work/server" "$here/server.conf" tcp; then
	cp -r examples "$work/examples"
	/usr/bin/python3 "$here/examples.py" "$work/examples" "$work/server/data/examples.conf" || echo "not ok - the examples came to their end"
	stop_server "$work/server"
else
	echo "not ok - the server starts"
fi
[ -n "${KEEP:-}" ] || rm -rf "$work"
