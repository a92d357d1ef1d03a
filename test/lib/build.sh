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
	cp -a "$PMON_WORK/source/." "$PMON_WORK/build"
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

# build_for_upgrades: the servers that clusters are upgraded from, which is
# PMON_OLD_PG_CONFIG or the one under test, and to.  The tests find them through
# PMON_OLD_BINDIR and PMON_OLD_EXTENSION_CONF, PMON_NEW_BINDIR and
# PMON_NEW_EXTENSION_CONF.
build_for_upgrades()
{
	export PMON_OLD_BINDIR=$BINDIR PMON_OLD_EXTENSION_CONF=$PMON_WORK/extension.conf
	export PMON_NEW_BINDIR=$BINDIR PMON_NEW_EXTENSION_CONF=$PMON_WORK/extension.conf
	if [ -n "${PMON_OLD_PG_CONFIG:-}" ]; then
		mkdir "$PMON_WORK/old"
		ln -s ../source "$PMON_WORK/old/source"
		(
			PMON_WORK=$PMON_WORK/old PG_CONFIG=$PMON_OLD_PG_CONFIG
			build_extension -DUSE_ASSERT_CHECKING && echo "$BINDIR" >"$PMON_WORK/bindir"
		) || return 1
		PMON_OLD_BINDIR=$(cat "$PMON_WORK/old/bindir")
		PMON_OLD_EXTENSION_CONF=$PMON_WORK/old/extension.conf
	fi

	# pg_upgrade looks for libraries nowhere but in $libdir, which only Debian's
	# extension_destdir changes: install into a copy of the server.
	if has_setting extension_control_path; then
		install_into_copy "$PMON_WORK/new"
		PMON_NEW_EXTENSION_CONF=$PMON_WORK/new.conf
		: >"$PMON_NEW_EXTENSION_CONF"
	fi
}

# copy_server FOLDER: the server under test, with its headers, in FOLDER: it
# finds all of it relative to its programs
copy_server()
{
	local folder=$1 part

	for part in --bindir --sharedir --pkglibdir --includedir-server; do
		part=$("$PG_CONFIG" $part)
		mkdir -p "$folder$part"
		cp -a "$part/." "$folder$part"
	done
}

# install_into_copy FOLDER: what build_extension has built; sets PMON_NEW_BINDIR
install_into_copy()
{
	local folder=$1 pkglibdir

	copy_server "$folder"
	pkglibdir=$("$PG_CONFIG" --pkglibdir)
	cp "$PMON_WORK/dest$pkglibdir/pool_monitor.so" "$folder$pkglibdir"
	cp -r "$EXTENSION_DIR/." "$folder$("$PG_CONFIG" --sharedir)/extension"
	PMON_NEW_BINDIR=$folder$BINDIR
}

# use_own_server FOLDER: a copy of the server under test, into which `make
# install` can install; sets PG_CONFIG and BINDIR to it
use_own_server()
{
	local clang

	copy_server "$1"
	mkdir -p "$1$("$PG_CONFIG" --libdir)" # PGXN's client asks whether it may write there
	clang=$(sed -n 's/^CLANG *= *//p' "$(dirname "$("$PG_CONFIG" --pgxs)")/../Makefile.global")
	# without the compiler that it was made with, there is no bitcode
	[ -x "$(command -v "${clang:-none}")" ] || export MAKEFLAGS=' -- with_llvm=no'
	BINDIR=$1$("$PG_CONFIG" --bindir)
	PG_CONFIG=$BINDIR/pg_config
	export PG_CONFIG BINDIR PATH="$BINDIR:$PATH"
	: >"$PMON_WORK/extension.conf"
}
