# shellcheck shell=bash
# faults.sh [MINUTES]: does it stand what goes wrong?
#
# Runs the tests that inject faults (test/t/06*.pl) once: sessions and the worker
# stopped, killed, without memory, room or file descriptors; a clock that is
# set; other sizes, other libraries, a promotion, a shutdown.  Then it goes on
# for MINUTES (10) to kill sessions, the worker and the postmaster under load,
# and looks after each that the server serves, that all figures are those of
# pg_stat_activity, pg_stat_database and of what was saved, and that nothing is
# left in memory of who is gone.  Prints how many it has killed; fails if
# anything is not as it should be.
#
# Takes about six minutes more than MINUTES.
#
# needs: build test

minutes=${1:-10}

build_extension -DUSE_ASSERT_CHECKING || exit

tap_environment
logs=$TAP_LOGS
"$PG_CONFIG" --version

# run FILE...: fails with the end of the log of what failed
run()
{
	prove --failures --timer "$@" || { tail -n 60 "$logs"/*"$(basename "${!#}" .pl)"*; exit 1; }
}

for file in test/t/06*.pl; do
	run "$file"
done
if [ "$minutes" -gt 0 ]; then
	rm -rf "$PMON_WORK/tap"
	mkdir -p "$logs"
	PMON_FAULT_MINUTES=$minutes run test/t/061_kills.pl
fi
grep -h '^\[.*# .* were killed$' "$logs"/regress_log_061_kills | tail -n 1 | sed 's/^[^#]*# //'
echo "no finding"
