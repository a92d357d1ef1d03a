#!/usr/bin/env bash
# check.sh NAME [ARGUMENT...]: runs test/checks/NAME.sh with what all of them
# share, in the private copy that test/run.sh has made.
set -euo pipefail
shopt -s nullglob
name=$1
shift
# a test run reads our standard output as TAP
[ "${1:-}" = tap ] || exec 2>&1
. test/lib/build.sh
. test/lib/server.sh
. "test/checks/$name.sh"
