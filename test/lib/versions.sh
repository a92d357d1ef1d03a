# shellcheck shell=bash
# versions.sh: the servers of other major versions, and the tests on them.
#
# The servers are unpacked once, into PMON_CACHE: by default
# /var/cache/pool_monitor for root and ~/.cache/pool_monitor for others; the
# user that the tests run as must be able to read it.  What is there and works
# is used again, anything else is made anew; to get a newer minor version,
# remove the folder.

# Where a version may be, in the order of trying; a line is a set of suites.
# A stable release's current minor version is among its security updates, and
# pg_upgrade wants servers of the same round of these.
suites_of()
{
	case $1 in
		17) printf '%s\n' 'trixie trixie-security' sid ;;
		18) printf '%s\n' forky sid ;;
		*) printf '%s\n' forky sid 'sid experimental' ;;
	esac
}

cache_folder()
{
	if [ -n "${PMON_CACHE:-}" ]; then
		readlink -m "$PMON_CACHE"
	elif [ "$(id -u)" = 0 ]; then
		echo /var/cache/pool_monitor
	else
		echo "${XDG_CACHE_HOME:-$HOME/.cache}/pool_monitor"
	fi
}

# How a server was unpacked: what was made in another way does not count
recipe() { cksum <test/lib/unpack.sh; }

# server_works MAJOR FOLDER: is all of it there, and does it run?
server_works()
{
	local bin=$2/usr/lib/postgresql/$1/bin

	[ "$(cat "$2/complete" 2>/dev/null)" = "$(recipe)" ] &&
		"$bin/postgres" --version 2>/dev/null | grep "^postgres (PostgreSQL) $1" >/dev/null &&
		"$bin/psql" --version >/dev/null 2>&1 &&
		[ -e "$("$bin/pg_config" --pgxs 2>/dev/null)" ]
}

# need_server MAJOR: sets SERVER to the pg_config of one that works
need_server()
{
	local major=$1 cache folder suites made=

	cache=$(cache_folder)
	folder=$cache/postgresql-$major
	SERVER=$folder/usr/lib/postgresql/$major/bin/pg_config
	mkdir -p "$cache"

	# One of us at a time
	exec 9>"$cache/lock"
	flock 9
	if ! server_works "$major" "$folder"; then
		install_missing patchelf
		while [ -z "$made" ] && read -r suites; do
			echo "unpacking PostgreSQL $major from ${suites// / and } into $folder"
			rm -rf "$folder"
			mkdir -p "$folder"
			# shellcheck disable=SC2086 # a list
			! bash test/lib/unpack.sh "$major" "$folder" $suites </dev/null 9>&- || made=yes
		done < <(suites_of "$major")
		chmod -R u+rwX,go+rX "$folder"
		[ -z "$made" ] || recipe >"$folder/complete"
	fi
	exec 9>&-
	server_works "$major" "$folder" || { echo "no PostgreSQL $major that works"; return 1; }
}

# test_versions MAJOR...: runs everything that depends on the server with each
# of these, one after the other; prints a line for each, and the sum
test_versions()
{
	local major log old ok bad start passed=0 failed=0 summary=()

	log=$(mktemp)
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	for major; do
		echo "=== PostgreSQL $major"
		start=$SECONDS
		: >"$log"
		# pg_upgrade from the system's version to the oldest; the others upgrade
		# from themselves: testing and experimental may be a round of minor
		# versions behind, and then do not take the system's clusters.
		old=
		[ "$major" != 17 ] || old=${PG_CONFIG:-pg_config}
		if need_server "$major"; then
			PG_CONFIG=$SERVER PMON_OLD_PG_CONFIG=$old bash test/run.sh version 2>&1 | tee "$log" || true
		fi
		# What comes to no end has failed.
		ok=0 bad=1
		if [[ $(tail -n 1 "$log") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
			ok=${BASH_REMATCH[1]} bad=${BASH_REMATCH[2]}
		fi
		summary+=("$("$SERVER" --version 2>/dev/null || echo "PostgreSQL $major"): $ok passed, $bad failed, $((SECONDS - start)) s")
		passed=$((passed + ok))
		failed=$((failed + bad))
	done
	rm -f "$log"
	printf '%s\n' "${summary[@]}" "$passed passed, $failed failed"
	[ $failed -eq 0 ] && [ $passed -gt 0 ]
}
