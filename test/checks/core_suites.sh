# shellcheck shell=bash
# core_suites.sh [regress|isolation]...: PostgreSQL's own tests, with us inside.
#
# Runs the server's regression and isolation suites (or one of them) twice: on
# a server without the library, and on one that preloads it, samples every
# 10 ms and has a policy for idle sessions that concerns none of theirs.  What
# passes without us has to pass with us.  Afterwards the server's log must have
# no crash and nothing to say of us, no session may have been ended, and the
# sessions that we counted must be those that the server counted.
#
# The tests come from the source package of the server that is installed, or of
# the nearest version that Debian's archive has.  Takes about ten minutes, and
# fails if anything fails that does not fail without us.
#
# needs: build / bzip2

. test/lib/server_source.sh
suites=("$@")
[ ${#suites[@]} -gt 0 ] || suites=(regress isolation)

# The functions in C that the regression suite calls
build_test_libraries()
{
	mkdir "$PMON_WORK/libraries"
	cp "$source/src/test/regress/regress.c" "$source/contrib/spi/"{refint,autoinc}.c "$PMON_WORK/libraries"
	# the tests expect what refint says when it is told to
	printf '%s\n' 'MODULES = regress refint autoinc' 'PG_CPPFLAGS = -DREFINT_VERBOSE' 'include $(PGXS)' >"$PMON_WORK/libraries/Makefile"
	make -s -C "$PMON_WORK/libraries" PG_CONFIG="$PG_CONFIG" PGXS="$("$PG_CONFIG" --pgxs)" with_llvm=no \
		>"$PMON_WORK/libraries.log" 2>&1 || { cat "$PMON_WORK/libraries.log"; return 1; }
}

# run_suite with|without regress|isolation: leaves "ok NAME" and "FAILED NAME"
# for each test in PMON_WORK/SUITE.WITH
run_suite()
{
	local program=$pgxs/test/$2/pg_regress output=$PMON_WORK/$2.$1.output schedule=parallel_schedule

	[ "$2" = regress ] || program=${program%/*}/pg_isolation_regress schedule=isolation_schedule
	mkdir -p "$output"
	(
		cd "$output"
		"$program" --inputdir="$source/src/test/$2" --outputdir="$output" --bindir="$BINDIR" \
			--dlpath="$PMON_WORK/libraries" --host="$PGHOST" --port="$PGPORT" --user=postgres \
			--max-concurrent-tests=20 --schedule="$source/src/test/$2/$schedule"
	) >"$output.log" 2>&1 || true
	sed -nE \
		-e 's/^(test)? +([^ ]+) +\.\.\. (ok|FAILED).*/\3 \2/p' \
		-e 's/^ok [0-9]+ +[-+] ([^ ]+).*/ok \1/p' \
		-e 's/^not ok [0-9]+ +[-+] ([^ ]+).*/FAILED \1/p' "$output.log" >"$PMON_WORK/$2.$1"
	printf '%-10s %-8s the library: %d passed of %d\n' "$2" "$1" \
		"$(grep -c '^ok' "$PMON_WORK/$2.$1")" "$(wc -l <"$PMON_WORK/$2.$1")"
}

# run_suites with|without
run_suites()
{
	local suite

	start_server "$PMON_WORK/$1" "$PMON_WORK/$1.conf"
	for suite in "${suites[@]}"; do
		run_suite "$1" "$suite"
	done
}

# What fails with us only, with its differences
compare_suites()
{
	local suite name known bad=0

	for suite in "${suites[@]}"; do
		if [ "$(cut -d' ' -f2 "$PMON_WORK/$suite.with" | sort)" != "$(cut -d' ' -f2 "$PMON_WORK/$suite.without" | sort)" ] ||
			[ ! -s "$PMON_WORK/$suite.with" ]; then
			echo "$suite: not the same tests ran"
			tail -n 20 "$PMON_WORK/$suite".with*.output.log
			bad=1
		fi
		for name in $(sed -n 's/^FAILED //p' "$PMON_WORK/$suite.with"); do
			if ! grep -qx "FAILED $name" "$PMON_WORK/$suite.without"; then
				echo "$suite: $name fails only with the library"
				bad=1
			elif diff "$PMON_WORK/$suite".with{out,}".output/results/$name.out"; then
				echo "$suite: $name fails without the library too, with the same output"
			else
				echo "$suite: $name fails without the library too, with another output"
				bad=1
			fi
		done
		if [ $bad = 1 ] && [ -s "$PMON_WORK/$suite.with.output/regression.diffs" ]; then
			head -n 300 "$PMON_WORK/$suite.with.output/regression.diffs"
		fi
	done
	return $bad
}

# expect LABEL WANTED QUERY: fails and says so if the query answers otherwise
expect()
{
	local got

	got=$(psql -XAtq -c "$3")
	if [ "$got" = "$2" ]; then
		echo "ok: $1"
	else
		echo "not ok: $1: expected \"$2\", got \"$got\""
		return 1
	fi
}

# What the server and we say after all that
check_server()
{
	local bad=0 found database

	expect "no session was ended" 0 "SELECT count(*) FROM pool_monitor_terminations" || bad=1
	expect "one worker did it all" "t|t" \
		"SELECT started_at < (SELECT max(backend_start) FROM pg_stat_activity),
			backend_start - pg_postmaster_start_time() < '1 min'
		FROM pool_monitor_info JOIN pg_stat_activity ON pid = worker_pid" || bad=1
	expect "the live figures are the server's" t \
		"SELECT connections = (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
		FROM pool_monitor_status" || bad=1

	# A test may reset the server's own counter, but not the log.
	for database in regression isolation_regression; do
		found=$(grep -cE "connection authorized: .* database=$database( |\$)" "$SERVER_LOG" || true)
		[ "$found" != 0 ] || continue
		expect "$database: $found sessions, by our count and the log" "$found" \
			"SELECT sum(sessions) FROM pool_monitor_groups WHERE datname = '$database'" || bad=1
		expect "$database: as many by the server's count, unless that was reset" t \
			"SELECT sessions = $found OR stats_reset IS NOT NULL FROM pg_stat_database
			WHERE datname = '$database'" || bad=1
	done
	psql -Xq -c "SELECT samples, missed_samples, groups, groups_evicted, sample_duration_max, memory_bytes FROM pool_monitor_info"

	if grep -nE 'PANIC|TRAP|was terminated by signal|pool_monitor[^|]*\|(WARNING|ERROR|FATAL)' "$SERVER_LOG"; then
		echo "not ok: the server's log"
		bad=1
	else
		echo "ok: the server's log has no crash and no warning of ours"
	fi
	return $bad
}

build_extension
pgxs=$("$PG_CONFIG" --pgxs)
pgxs=${pgxs%/makefiles/pgxs.mk}
get_source
build_test_libraries

# what pg_regress sets up for a server of its own, and without LLVM, which may
# not be installed
cat >"$PMON_WORK/without.conf" <<'CONF'
max_prepared_transactions = 2
jit = off
log_connections = on
log_line_prefix = '%m [%p] %b|%q%a|'
CONF
cat "$PMON_WORK/without.conf" - >"$PMON_WORK/with.conf" <<'CONF'
shared_preload_libraries = 'pool_monitor'
pool_monitor.sample_interval = 10ms
pool_monitor.save_interval = 1s
pool_monitor.idle_timeout = 1h
pool_monitor.idle_in_transaction_timeout = 1h
pool_monitor.max_lifetime = 2h
pool_monitor.pools = 'tests: application=pg_regress* size=20 idle_timeout=30min; isolation: application=isolation* size=5 overflow=5 keep_idle=1'
CONF

run_suites without
stop_server "$PMON_WORK/without"
run_suites with
psql -Xq -c 'CREATE EXTENSION pool_monitor'
status=0
compare_suites || status=1
check_server || status=1
stop_server "$PMON_WORK/with"
exit $status
