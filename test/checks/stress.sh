# shellcheck shell=bash
# stress.sh [OPTION...]: sessions ended in the very moment in which they go on
#
# The long form of test/integration/termination_stress.py, with a server of its
# own; the options are those of stress.py.
#
#   bash test/run.sh check stress --ends 10000
#   bash test/run.sh check stress --seconds 60 --with sql
#
# needs: build integration

build_extension
"$PG_CONFIG" --version
start_server "$PMON_WORK/stress" test/checks/stress/server.conf tcp
status=0
/usr/bin/python3 test/checks/stress/stress.py "$@" || status=$?
stop_server "$PMON_WORK/stress"
exit $status
