#!/usr/bin/env bash
# regress.sh NAME...
#
# Runs pg_regress with a server of its own, and turns what it prints into TAP: one test a name, whatever the version of PostgreSQL.
set -uo pipefail
pgxs=$("$PG_CONFIG" --pgxs)
program=${pgxs%/makefiles/pgxs.mk}/test/regress/pg_regress
cat "$PMON_WORK/extension.conf" test/regress.conf >"$PMON_WORK/regress.conf"
log=$PMON_WORK/regress.log
rm -rf results regression.diffs

# pg_regress finds the expected outputs in outputdir or, from 16 on, here
"$program" --temp-instance="$PMON_WORK/regress" --temp-config="$PMON_WORK/regress.conf" --bindir="$BINDIR" \
	--inputdir=test --outputdir=. --encoding=UTF8 --no-locale "$@" >"$log" 2>&1

echo "1..$#"
n=0
while read -r result name; do
	n=$((n + 1))
	[ "$result" = ok ] && echo "ok $n - $name" || echo "not ok $n - $name"
done < <(sed -nE \
	-e 's/^test ([^ ]+) +\.\.\. (ok|FAILED).*/\2 \1/p' \
	-e 's/^ok [0-9]+ +[-+] ([^ ]+).*/ok \1/p' \
	-e 's/^not ok [0-9]+ +[-+] ([^ ]+).*/FAILED \1/p' "$log")

if [ -s regression.diffs ]; then
	head -n 300 regression.diffs >&2
elif [ $n -lt $# ]; then
	tail -n 20 "$log" log/*.log >&2
fi
