#!/usr/bin/env bash
# run.sh [OPTION...]: the long form of test/integration/termination_stress.py,
# with a server of its own; the options are those of stress.py.
#
#   test/stress/run.sh --ends 10000
#   test/stress/run.sh --seconds 60 --with sql
#
#   PG_CONFIG  the server to build for and test with (default: Debian's)
#   KEEP=1     keep the temporary folder, with all logs
set -euo pipefail

if [ -z "${PMON_WORK:-}" ]; then
	cd "$(dirname "${BASH_SOURCE[0]}")/../.."
	. test/lib/packages.sh
	. test/lib/private_copy.sh
	need_packages build integration
	run_in_private_copy test/stress/run.sh "$@"
fi

. test/lib/build.sh
. test/lib/server.sh
build_extension
"$PG_CONFIG" --version
start_server "$PMON_WORK/stress" test/stress/server.conf tcp
status=0
PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 test/stress/stress.py "$@" || status=$?
stop_server "$PMON_WORK/stress"
exit $status
