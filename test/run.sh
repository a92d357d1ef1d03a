#!/usr/bin/env bash
# run.sh [quick|all|version|versions [MAJOR...]|only FILE...|check NAME...]: builds the extension and runs
# its tests.
#
# Works on a fresh Debian (as root or with sudo) and leaves nothing behind but
# the packages that were missing.  Everything happens in a temporary copy of
# the tree, with servers of its own.
#
#   all        everything, with one server; the default; a quarter of an hour
#   quick      without the TAP tests and the real clients; two minutes
#   version    all without what is the same with every server: the looks of the
#              sources, the unit tests, which need no server, the alert rules,
#              how a report looks in a browser, how well recommended sizes
#              serve a client, and what a diagnosis finds in minutes of load
#   versions   "version" with each of these major versions, by default 17, 18
#              and 19; each three quarters of what "all" takes.  The servers
#              are unpacked and kept, see test/lib/versions.sh.
#   only       the named files of test/unit, sql, pgtap, t and integration
#   check      one of test/checks, with its arguments; without a name, lists
#              them.  They take longer, or need more; see test/checks/README.md
#
#   PG_CONFIG  the server to build for and test with (default: Debian's); for
#              "versions", the one whose clusters are upgraded
#   PMON_OLD_PG_CONFIG
#              the server whose clusters are upgraded (default: the same)
#   PMON_CACHE where "versions" keeps its servers
#   KEEP=1     keep the temporary folder, with all logs
#
# The last line is "N passed, N failed"; a skipped test counts as failed.
# shellcheck disable=SC2046 # names() prints words
set -euo pipefail
shopt -s nullglob

mode=${1:-all}
case $mode in
	quick | all | version | versions | only | check) shift $(($# > 0)) ;;
	*) echo "usage: $0 [quick|all|version|versions [MAJOR...]|only FILE...|check NAME...]" >&2; exit 2 ;;
esac

# run_check [NAME [ARGUMENT...]]: its file says on which packages it depends,
# by purpose and, after a slash, by name, whether it must be root, and whether it
# needs other servers: PMON_SERVERS names their pg_config
run_check()
{
	local file=test/checks/${1:-}.sh needs major

	if [ ! -e "$file" ]; then
		sed -nsE '2s/^# ([a-z_]+)\.sh/\1/p' test/checks/*.sh
		exit $(($# > 0 ? 2 : 0))
	fi
	if grep -x '# runs as root' "$file" >/dev/null; then
		[ "$(id -u)" = 0 ] || { echo "check $1 must be root"; exit 1; }
		PMON_USER=root
	fi
	needs=$(sed -n 's/^# needs: //p' "$file")
	need_packages ${needs%%/*}
	[[ $needs != */* ]] || install_missing ${needs#*/}
	PMON_SERVERS=
	if grep -x '# needs servers' "$file" >/dev/null; then
		. test/lib/versions.sh
		for major in $([ $# -gt 1 ] && echo "${*:2}" || echo 17 18 19); do
			need_server "$major" || exit
			PMON_SERVERS+="$SERVER "
		done
	fi
	run_in_private_copy test/lib/check.sh "$@"
}

if [ -z "${PMON_WORK:-}" ]; then
	cd "$(dirname "${BASH_SOURCE[0]}")/.."
	. test/lib/packages.sh
	. test/lib/private_copy.sh
	[ "$mode" != check ] || run_check "$@"
	purposes=(build test)
	[ "$mode" = quick ] || purposes+=(clients integration)
	[ "$mode" != all ] || purposes+=(fuzz)
	need_packages "${purposes[@]}"
	if [ "$mode" = versions ]; then
		. test/lib/versions.sh
		[ $# -gt 0 ] || set -- 17 18 19
		test_versions "$@"
		exit
	fi
	run_in_private_copy test/run.sh "$mode" "$@"
fi

exec 2>&1
. test/lib/build.sh
. test/lib/server.sh
export PMON_TALLY=$PMON_WORK/tally
passed=0 failed=0

# suite NAME FOLDER COMMAND...: runs a suite and adds up what it counted;
# without a folder of that name there is no such suite
suite()
{
	local name=$1 folder=$2 start=$SECONDS ok=0 bad=0

	shift 2
	[ -d "$folder" ] || return 0
	[ "$mode" != only ] || [[ $* = *"$folder/"* || $* = *"regress.sh :: "?* ]] || return 0
	echo "== $name"
	: >"$PMON_TALLY"
	"$@" || true
	ok=$(awk '$1 == "passed" { n += $2 } END { print n + 0 }' "$PMON_TALLY")
	bad=$(awk '$1 == "failed" { n += $2 } END { print n + 0 }' "$PMON_TALLY")
	if [ $((ok + bad)) -eq 0 ]; then
		echo "$folder: no test ran"
		bad=1
	fi
	echo "== $name: $ok passed, $bad failed, $((SECONDS - start)) s"
	passed=$((passed + ok))
	failed=$((failed + bad))
}

# tally ARGUMENT...: prove; where it stops before its end, that is a failure
tally()
{
	prove --failures --formatter PoolMonitor::Tally "$@" && return
	grep -q '^failed [1-9]' "$PMON_TALLY" || echo 'failed 1' >>"$PMON_TALLY"
	return 1
}

# The tests' names: their files without folder and extension
names() { local file; for file; do file=${file##*/}; echo "${file%.*}"; done; }

# The end of the logs of the files that failed, or of the one given
show_logs()
{
	local log

	for log; do
		printf '%s\n' "-- the end of ${log#"$PMON_WORK"/}"
		tail -n 40 "$log" | cut -c 1-1000
	done
}

run_pgtap()
{
	local file database ok=0

	start_server "$PMON_WORK/pgtap" test/pgtap.conf || return 1
	# pgTAP is plain SQL: any version's files do where this server has none.
	[ -e "$("$PG_CONFIG" --sharedir)/extension/pgtap.control" ] ||
		cp /usr/share/postgresql/*/extension/pgtap* "$EXTENSION_DIR"
	for file; do
		database=$(names "$file")
		createdb "$database"
		psql -Xq -d "$database" -c 'CREATE EXTENSION pgtap' -c 'CREATE EXTENSION pool_monitor'
		pg_prove --failures --nocolor --formatter PoolMonitor::Tally -d "$database" "$file" || ok=1
	done
	stop_server "$PMON_WORK/pgtap"
	[ $ok = 0 ] || show_logs "$SERVER_LOG"
}

run_tap()
{
	local name

	(
		tap_environment
		tally --nocount -j $(($(nproc) + 1)) "$@" # most of their time they wait
	) || true
	for name in $(names $(sed -n 's/^bad //p' "$PMON_TALLY")); do
		show_logs "$PMON_WORK/tap/tmp_check/log/"*"$name"*
	done
}

run_integration()
{
	start_server "$PMON_WORK/integration" test/integration.conf tcp || return 1
	chmod +x test/integration/*
	tally "$@" || show_logs "$SERVER_LOG"
	stop_server "$PMON_WORK/integration"
}

# The arguments that are in one of our folders and end in one of these ways
among() { local file; for file in "${files[@]}"; do [[ $file != $1 ]] || echo "$file"; done; }

run_only()
{
	local files=("$@")

	suite unit test/unit tally --exec "bash test/lib/unit.sh" $(among 'test/unit/*.c')
	suite pg_regress test/sql tally --exec bash test/lib/regress.sh :: $(names $(among 'test/sql/*'))
	suite pgTAP test/pgtap run_pgtap $(among 'test/pgtap/*')
	suite TAP test/t run_tap $(among 'test/t/*')
	suite integration test/integration run_integration $(among 'test/integration/*')
}

run_all()
{
	suite lint src tally --exec bash test/lib/lint.sh :: "$mode"
	[ "$mode" = version ] || suite unit test/unit tally --exec "bash test/lib/unit.sh" test/unit/*.c
	[ "$mode" != all ] || suite fuzz test/fuzz tally --exec bash test/lib/check.sh :: fuzz tap 10000
	suite pg_regress test/sql tally --exec bash test/lib/regress.sh :: $(names test/sql/*.sql)
	suite pgTAP test/pgtap run_pgtap test/pgtap/*.sql
	if [ "$mode" != quick ]; then
		suite TAP test/t run_tap test/t/*.pl
		[ "$mode" != version ] || rm -f test/integration/{promtool.sh,report.sh,sizing_sqlalchemy.py,checked_out.py,diagnosis/load.py}
		suite integration test/integration run_integration test/integration/*.sh test/integration/*.py
	fi
}

if build_extension -DUSE_ASSERT_CHECKING && build_for_upgrades; then
	"$PG_CONFIG" --version
	if [ "$mode" = only ]; then run_only "$@"; else run_all; fi
else
	failed=1
fi

[ -z "${KEEP:-}" ] || echo "kept in $PMON_WORK"
echo "$passed passed, $failed failed"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
