# shellcheck shell=bash
# build.sh: builds the extension and installs it where only our servers look.

# has_setting NAME: does this server know it?
has_setting()
{
	"$("$PG_CONFIG" --bindir)/postgres" --describe-config | grep "^$1	" >/dev/null
}

# build_extension [COPT]: into PMON_WORK/dest; PMON_WORK/extension.conf tells
# a server where that is
build_extension()
{
	local dest=$PMON_WORK/dest

	# A server that reads extensions from its own folders only: use a copy of it.
	if ! has_setting extension_control_path && ! has_setting extension_destdir; then
		cp -a "$(dirname "$("$PG_CONFIG" --bindir)")" "$PMON_WORK/postgres"
		PG_CONFIG=$PMON_WORK/postgres/bin/pg_config
		dest=
	fi
	cp -a "$PMON_WORK/source" "$PMON_WORK/build"
	if ! make -s -j2 -C "$PMON_WORK/build" PG_CONFIG="$PG_CONFIG" with_llvm=no COPT="${1:-}" DESTDIR="$dest" \
		all install >"$PMON_WORK/build.log" 2>&1; then
		cat "$PMON_WORK/build.log"
		return 1
	fi
	BINDIR=$("$PG_CONFIG" --bindir)
	EXTENSION_DIR=$dest$("$PG_CONFIG" --sharedir)/extension
	export PG_CONFIG BINDIR EXTENSION_DIR PATH="$BINDIR:$PATH"

	{
		echo "dynamic_library_path = '$dest$("$PG_CONFIG" --pkglibdir):\$libdir'"
		if has_setting extension_control_path; then
			echo "extension_control_path = '${EXTENSION_DIR%/*}:\$system'"
		elif [ -n "$dest" ]; then
			echo "extension_destdir = '$dest'"
		fi
	} >"$PMON_WORK/extension.conf"
}
