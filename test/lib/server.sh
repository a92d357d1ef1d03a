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

# stop_server FOLDER
stop_server()
{
	pg_ctl -D "$1/data" -m fast -w -s stop
}
