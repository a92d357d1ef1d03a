# shellcheck shell=bash
# checked_out.sh [SECONDS]: what is proven to be checked out, beside the truth.
#
# The loads of test/integration/checked_out.py for SECONDS each (60).  Prints
# which share of what real pools have checked out is seen, and how often more than
# that is claimed, which must be never.
#
# needs: build clients integration

build_extension
start_server "$PMON_WORK/checked_out" test/integration.conf tcp
CHECKED_OUT_SECONDS=${1:-60} /usr/bin/python3 test/integration/checked_out.py | tee "$PMON_WORK/checked_out.tap"
stop_server "$PMON_WORK/checked_out"
! grep '^not ok' "$PMON_WORK/checked_out.tap" >/dev/null
