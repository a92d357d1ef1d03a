#!/usr/bin/env bash
# The Grafana dashboards: their JSON against the types that Grafana publishes,
# and every query of every panel on real servers.  There is no Grafana in
# Debian, so its macros are expanded here as it does.
set -uo pipefail
. test/lib/tap.sh
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/grafana" && pwd)
dashboards=$(cd "$here/../../../dashboards" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

validate()
{
	cp "$here"/*.json "$here"/validate.mjs "$work" &&
		cd "$work" &&
		npm install --no-audit --no-fund --no-package-lock --loglevel=error >npm.log 2>&1 || { sed 's/^/# /' npm.log; return 1; }
	node validate.mjs "$dashboards"/grafana-*.json
}

# Sizing needs a minute to pass, so the two go on side by side.
part "all panels were queried" /usr/bin/python3 "$here/panels.py" "$dashboards" >"$work/panels.tap" &
part "all dashboards were validated" validate | tee "$work/validate.tap"
wait
cat "$work/panels.tap"
echo "1..$(cat "$work"/*.tap | grep -cE '^(not )?ok ')"
