# shellcheck shell=bash
# wrapped_server.sh: a server whose processes run under a tool.

# wrap_server FOLDER BINDIR [NAME=VALUE]... [COMMAND...]: puts the programs of
# BINDIR into FOLDER, with a "postgres" that starts the real one by COMMAND, and
# with these variables.  pg_ctl and initdb run the one that is beside them.
# What initdb does, and what asks for nothing but a version or a setting, needs
# no tool, and is started as it is.
#
# FOLDER must not have the name of BINDIR's last part, so that the programs
# look for the server's other files where they were installed.  "pg_ctl restart"
# starts what the server thinks that it is: with a COMMAND, the real one.
wrap_server()
{
	local folder=$1 bindir=$2

	shift 2
	cp -a "$bindir" "$folder"
	rm "$folder/postgres"
	{
		echo '#!/usr/bin/env bash'
		echo 'case " $* " in'
		echo "*' -V '* | *' --version '* | *' -C '* | *' --describe-config '* | *' --check '* | *' --boot '* | *' exit_on_error=true '*)"
		printf '\texec %q "$@" ;;\nesac\n' "$bindir/postgres"
		while [[ ${1:-} == *=* ]]; do
			printf 'export %q\n' "$1"
			shift
		done
		if [ $# -gt 0 ]; then
			printf 'exec'
			printf ' %q' "$@"
		else
			printf 'exec -a "$0"'
		fi
		printf ' %q "$@"\n' "$bindir/postgres"
	} >"$folder/postgres"
	chmod 755 "$folder/postgres"
}
