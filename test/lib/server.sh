# shellcheck shell=bash
# server.sh: a private server that preloads the extension.

# start_server FOLDER CONF [TCP]: initialises and starts a server, and points
# libpq's environment at it.  It listens on a socket in FOLDER; with "tcp" also
# on a free port of 127.0.0.1.
start_server()
{
	local folder=$1 conf=$2 port=5432 listen=

	if [ "${3:-}" = tcp ]; then
		listen=127.0.0.1
		port=$(perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport')
	fi
	mkdir -p "$folder"
	initdb -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync --no-instructions \
		>"$folder/initdb.log" 2>&1 || { cat "$folder/initdb.log"; return 1; }
	{
		echo "port = $port"
		echo "listen_addresses = '$listen'"
		echo "unix_socket_directories = '$folder'"
		echo "fsync = off"
		cat "$PMON_WORK/extension.conf" "$conf"
	} >>"$folder/data/postgresql.conf"
	SERVER_LOG=$folder/server.log
	if ! pg_ctl -D "$folder/data" -l "$SERVER_LOG" -w -s start; then
		tail -n 40 "$SERVER_LOG"
		return 1
	fi
	export PGHOST=$folder PGPORT=$port PGUSER=postgres PGDATABASE=postgres SERVER_LOG
}

# tap_environment: what the TAP tests need to find
tap_environment()
{
	local pgxs debian

	# A server built without --enable-tap-tests has no modules: use Debian's.
	debian=/usr/lib/postgresql/$("$PG_CONFIG" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/')/lib/pgxs/src/test/perl
	pgxs=$("$PG_CONFIG" --pgxs)
	pgxs=${pgxs%/makefiles/pgxs.mk}/test
	TAP_LOGS=$PMON_WORK/tap/tmp_check/log
	mkdir -p "$TAP_LOGS"
	export PERL5LIB=$PWD/test/lib:$pgxs/perl:$debian PG_REGRESS=$pgxs/regress/pg_regress
	export PMON_EXTENSION_CONF=$PMON_WORK/extension.conf
	export TESTDIR=$PMON_WORK/tap TESTDATADIR=$PMON_WORK/tap/tmp_check TESTLOGDIR=$TAP_LOGS
}

# stop_server FOLDER
stop_server()
{
	pg_ctl -D "$1/data" -m fast -w -s stop
}
