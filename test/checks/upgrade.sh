# shellcheck shell=bash
# upgrade.sh [MAJOR...]: pg_upgrade to every later version of PostgreSQL
#
# test/t/095_upgrade.pl, from the server under test to each of these, by default
# 17, 18 and 19: test/run.sh upgrades from a version to the same one, and
# "versions" to 17 alone, since pg_upgrade may refuse servers that are not of the
# same round of minor versions.  If it does, this fails, and shows why.
#
# needs: build test
# needs servers

failed=0
old=$PG_CONFIG
for server in $PMON_SERVERS; do
	log=$PMON_WORK/upgrade.log
	echo "$("$old" --version) to $("$server" --version)"
	env -u PMON_WORK PG_CONFIG="$server" PMON_OLD_PG_CONFIG="$old" \
		bash test/run.sh only test/t/095_upgrade.pl >"$log" 2>&1 || { tail -n 100 "$log"; failed=1; }
	tail -n 1 "$log"
done
exit $failed
