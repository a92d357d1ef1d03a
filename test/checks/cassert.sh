# shellcheck shell=bash
# cassert.sh [quick|version|core]...: all tests, on a server with assertions
#
# Builds the server that is installed, or the nearest version that Debian's
# archive has, from its source package with --enable-cassert, which takes four
# minutes, and runs there:
#
#   quick    what test/run.sh quick does
#   version  what test/run.sh version does: the default, together with core
#   core     PostgreSQL's own suites, with the library inside: core_suites.sh
#
# A failed assertion ends the server, and thereby the test.  Takes about 45
# minutes.
#
# needs: build test clients integration / bzip2 bison flex libssl-dev zlib1g-dev

. test/lib/server_source.sh
[ $# -gt 0 ] || set -- version core
top=$PMON_WORK failed=0

# The server, and the parts of contrib that our tests use
build_server()
{
	(
		cd "$source"
		./configure -q --prefix="$top/server" --enable-cassert --enable-debug --enable-tap-tests \
			--with-openssl --without-icu --without-readline CFLAGS='-O1 -g'
		make -s -j2
		make -s install
		for module in auth_delay auto_explain dblink hstore pg_stat_statements postgres_fdw test_decoding; do
			make -s -C "contrib/$module" install
		done
	) >"$top/server.log" 2>&1 || { tail -n 40 "$top/server.log"; return 1; }
	PG_CONFIG=$top/server/bin/pg_config
	export PG_CONFIG
	"$PG_CONFIG" --configure
}

# run_tests MODE: those of test/run.sh, in a folder of their own
run_tests()
{
	mkdir "$top/$1"
	cp -a "$top/source" "$top/$1/source"
	(
		cd "$top/$1/source"
		PMON_WORK=$top/$1 KEEP='' bash test/run.sh "$1"
	) || failed=1
}

run_core()
{
	mkdir "$top/core"
	cp -a "$top/source" "$top/core/source"
	ln -s "$source" "$top/core/postgres-source"
	(
		cd "$top/core/source"
		PMON_WORK=$top/core bash test/lib/check.sh core_suites
	) || failed=1
}

get_source
build_server
for part; do
	case $part in
		core) run_core ;;
		*) run_tests "$part" ;;
	esac
done
[ $failed -eq 0 ] && echo "no finding"
exit $failed
