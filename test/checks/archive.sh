# shellcheck shell=bash
# archive.sh [quick|all|only FILE...]: what a stranger does with the archive for PGXN
#
# Makes it (`make dist`), and has PGXN's own client build it, install it into a
# copy of the server, create the extension, run its tests, and remove all of it
# again.  Then the same by hand, as README.md says: unpack, make, make install,
# make installcheck.  And last test/run.sh, by default "quick", in what was
# unpacked, where there is no git and the library has been compiled already.
#
# needs: build test / git pgxnclient unzip

failed=0
[ $# -gt 0 ] || set -- quick
folder=$PMON_WORK/stranger
mkdir "$folder"

# fail WHAT [FILE]: a finding, and the end of the log that shows it
fail()
{
	echo "$1"
	[ $# -lt 2 ] || tail -n 40 "$2" | cut -c 1-300
	failed=1
}

# step WHAT COMMAND...: its output is shown if it fails
step()
{
	local what=$1 start=$SECONDS

	shift
	if "$@" >"$folder/step.log" 2>&1; then
		echo "$what: $((SECONDS - start)) s"
	else
		fail "$what: failed" "$folder/step.log"
		return 1
	fi
}

# The extension's files in the server
installed_files() { find "$PMON_WORK/server" \( -name 'pool_monitor*' -o -path '*/pool_monitor/*' \) ! -type d | sort; }

make_archive()
{
	git init -q .
	git add --all --force
	git -c user.name=nobody -c user.email=nobody@example.invalid commit -q -m archive
	make -s PG_CONFIG="$PG_CONFIG" dist
	archives=("$PWD"/pool_monitor-*.zip)
	archive=${archives[0]}
	[ -s "$archive" ]
}

# As PGXN's client does it.  The server must preload the library before the
# client may check it, and can do so only after it has been installed.
with_pgxnclient()
{
	local pgxn=(pgxnclient)

	step "pgxn install" "${pgxn[@]}" install --pg_config "$PG_CONFIG" "$archive" || return
	installed_files >"$folder/by-pgxn"
	start_server "$folder/server" test/regress.conf || { fail "no server"; return; }
	step "pgxn load" "${pgxn[@]}" load --pg_config "$PG_CONFIG" -d postgres "$archive" || true
	[ "$(psql -XAtc 'SELECT loaded FROM pool_monitor_info')" = t ] || fail "the extension does not work"
	step "pgxn check" "${pgxn[@]}" check --pg_config "$PG_CONFIG" "$archive" || true
	step "pgxn unload" "${pgxn[@]}" unload --pg_config "$PG_CONFIG" -d postgres "$archive" || true
	[ "$(psql -XAtc "SELECT count(*) FROM pg_class WHERE relname LIKE 'pool_monitor%'")" = 0 ] || fail "objects are left"
	stop_server "$folder/server"
	step "pgxn uninstall" "${pgxn[@]}" uninstall --pg_config "$PG_CONFIG" "$archive" || true
	[ -z "$(installed_files)" ] || fail "pgxn uninstall left $(installed_files)"
}

# As README.md says
by_hand()
{
	cd "$unpacked" || return
	step "make" make -j2 PG_CONFIG="$PG_CONFIG" || return
	step "make install" make PG_CONFIG="$PG_CONFIG" install || return
	installed_files | diff "$folder/by-pgxn" - || fail "not the same files as by PGXN's client"
	pg_ctl -D "$folder/server/data" -l "$SERVER_LOG" -w -s start
	step "make installcheck" make PG_CONFIG="$PG_CONFIG" installcheck || true
	stop_server "$folder/server"
	step "make uninstall" make PG_CONFIG="$PG_CONFIG" uninstall || true
	[ -z "$(installed_files)" ] || fail "make uninstall left $(installed_files)"
}

# The tests, as somebody who has just unpacked and compiled it
test_run()
{
	local log=$folder/run.log

	echo "test/run.sh $*"
	(cd "$unpacked" && env -u PMON_WORK -u PMON_TALLY PG_CONFIG="$system_pg_config" bash test/run.sh "$@") >"$log" 2>&1 ||
		fail "the test run failed" "$log"
	grep -E '^== .* passed|^[0-9]+ passed' "$log" || fail "the test run says nothing" "$log"
}

system_pg_config=$PG_CONFIG
use_own_server "$PMON_WORK/server"
make_archive || { fail "make dist makes no archive"; exit 1; }
echo "${archive##*/}: $(stat -c %s "$archive") bytes"
unzip -q "$archive" -d "$folder/unpacked"
unpacked=$folder/unpacked/$(basename "$archive" .zip)
diff <(git ls-files | sort) <(cd "$unpacked" && find . -type f -printf '%P\n' | sort) || fail "not the files that it should have"
with_pgxnclient || true
(by_hand; exit $failed) || failed=1
test_run "$@"
[ $failed -eq 0 ] && echo "no finding"
exit $failed
