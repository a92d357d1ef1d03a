#!/usr/bin/env bash
# The report of an incident, as a browser shows it: it is valid HTML, accessible in
# light, dark, on a telephone and on paper, silent, and asks for nothing.  On a
# server of its own, since an incident lasts.
set -uo pipefail
. test/lib/server.sh
. test/lib/tap.sh
here=$PWD/test/integration/report
work=$(mktemp -d "$PMON_WORK/report.XXXXXX")

incident()
{
	start_server "$work/server" "$here/server.conf" &&
		/usr/bin/python3 "$here/incident.py" "$work" &&
		stop_server "$work/server"
}

look()
{
	cp "$here"/*.json "$here"/*.mjs "$work" &&
		cd "$work" &&
		npm install --no-audit --no-fund --no-package-lock --loglevel=error >&2 &&
		node check.mjs "$work" "$work"/incident.html "$work"/plain.html
}

{
	part "there was an incident" incident
	part "all reports were looked at" look
} | tee "$work/tap"
echo "1..$(grep -cE '^(not )?ok ' "$work/tap")"
