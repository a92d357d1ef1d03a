# shellcheck shell=bash
# private_copy.sh: runs one of our scripts in a temporary copy of the tree, as
# a user that PostgreSQL agrees to run as, and leaves nothing behind.

# The script finds the temporary folder in PMON_WORK; its copy of the tree is
# the current folder, PMON_WORK/source.  Where we are root, it runs as PMON_USER,
# by default postgres.
run_in_private_copy()
{
	local user status=0

	user=$(id -un)
	[ "$user" != root ] || user=${PMON_USER:-postgres}

	child=
	work=$(mktemp -d "${TMPDIR:-/tmp}/pool_monitor.XXXXXX")
	trap remove_private_copy EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP

	mkdir "$work/source" "$work/tmp"
	copy_tree "$work/source"
	chmod 755 "$work"
	[ "$(id -un)" = "$user" ] || chown -R "$user": "$work"

	# A session of its own, so that a signal reaches all of it through us.
	# Nothing of the caller's environment can change what the servers do.
	local run=(env -i --default-signal=INT --default-signal=QUIT
		HOME="$work" TMPDIR="$work/tmp" LANG=C.UTF-8 TERM="${TERM:-dumb}"
		PATH="/usr/bin:/bin:/usr/sbin:/sbin:$PATH"
		PG_CONFIG="${PG_CONFIG:-pg_config}" PMON_OLD_PG_CONFIG="${PMON_OLD_PG_CONFIG:-}"
		KEEP="${KEEP:-}" PMON_WORK="$work" PMON_SERVERS="${PMON_SERVERS:-}"
		PERL5LIB="$work/source/test/lib" PYTHONPATH="$work/source/test/lib" PYTHONDONTWRITEBYTECODE=1
		bash "$@")
	[ "$(id -un)" = "$user" ] || run=(setpriv --reuid="$user" --regid="$user" --init-groups "${run[@]}")
	cd "$work/source" || exit
	setsid "${run[@]}" </dev/null &
	child=$!
	wait $child || status=$?
	[ -z "${KEEP:-}" ] || child=
	exit $status
}

# Tracked files and new ones that are not ignored, as they are now; in an
# unpacked archive all but what make leaves
copy_tree()
{
	local git=(git -c safe.directory="$PWD") file

	if [ -e .git ] && "${git[@]}" rev-parse --git-dir >/dev/null 2>&1; then
		"${git[@]}" ls-files -z --cached --others --exclude-standard |
			while IFS= read -r -d '' file; do
				[ ! -e "$file" ] || printf '%s\0' "$file"
			done
	else
		find . \( -path ./.git -o -path ./results \) -prune -o \
			-type f ! -name '*.o' ! -name '*.so' ! -name '*.bc' ! -name 'regression.*' -print0
	fi | tar --null --no-recursion -T - -cf - | tar -xf - -C "$1"
}

remove_private_copy()
{
	trap '' INT TERM HUP
	[ -z "$child" ] || end_session "$child"
	if [ -z "${KEEP:-}" ]; then
		stop_all_servers "$work"
		cd /
		# What is mounted there is not ours to remove.
		if grep -F " $work/" /proc/self/mountinfo >&2; then
			echo "$work stays, since something is mounted in it" >&2
			return
		fi
		# A server that was just starting shows itself a moment later.
		rm -rf --one-file-system "$work" 2>/dev/null ||
			{ sleep 2; stop_all_servers "$work"; rm -rf --one-file-system "$work"; }
	fi
}

# end_session PID: ends whatever is left of the session that PID leads
end_session()
{
	local i

	kill -TERM -- "-$1" 2>/dev/null || return 0
	for i in {1..100}; do
		kill -0 -- "-$1" 2>/dev/null || return 0
		# A server in it waits for its clients, so tell it not to.
		[ "$i" != 10 ] || stop_all_servers "$work"
		sleep 0.1
	done
	kill -KILL -- "-$1" 2>/dev/null || true
}

# stop_all_servers FOLDER: ends every server whose data is somewhere in FOLDER
stop_all_servers()
{
	local file pid

	find "$1" -name postmaster.pid 2>/dev/null | while read -r file; do
		pid=$(head -n 1 "$file")
		# A crash can leave the file; only its owner works in that folder.
		[ "$(readlink "/proc/$pid/cwd")" = "${file%/*}" ] || continue
		kill -QUIT "$pid"
		timeout 20 tail --pid="$pid" -f /dev/null || true
	done
}
