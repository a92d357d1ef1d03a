# shellcheck shell=bash
# installcheck.sh [NAME...]: `make installcheck` on servers with other settings
#
# Installs the extension into a copy of the server, which nobody may write to
# from then on, and runs the regression tests on servers that preload it: with
# other settings of ours and of PostgreSQL, in other locales and encodings, as a
# superuser of another name.  Each line of "variants" below is one; the arguments
# choose some by name.
#
# needs: build test / locales

failed=0
passed=0
server=$PMON_WORK/server

# The variants: name, locale and encoding of the server, and settings with & between.
# Where the server listens, the tests come through TCP.
variants=$(sed 's/^\t*//' <<-'VARIANTS'
	defaults | C.UTF-8 | UTF8 |
	pools | C.UTF-8 | UTF8 | pool_monitor.pools = 'regress: application=regress* size=5 overflow=2; all: application=* size=20'
	pool_of_one | C.UTF-8 | UTF8 | pool_monitor.pools = 'one: application=* size=1 idle_timeout=1h max_lifetime=1d min_idle=1 closes_idle=1s'
	no_tags | C.UTF-8 | UTF8 | pool_monitor.tags = '' & pool_monitor.max_holds = 0
	few_holds | C.UTF-8 | UTF8 | pool_monitor.tags = 'route' & pool_monitor.max_holds = 1 & pool_monitor.holds_size = 256
	smallest | C.UTF-8 | UTF8 | pool_monitor.max_groups = 10 & pool_monitor.history_size = 1MB & pool_monitor.holds_size = 256kB
	largest | C.UTF-8 | UTF8 | max_connections = 1000 & pool_monitor.max_groups = 10000 & pool_monitor.history_size = 128MB & pool_monitor.holds_size = 64MB
	sampled_often | C.UTF-8 | UTF8 | pool_monitor.sample_interval = 10ms & pool_monitor.save_interval = 1s
	sampled_rarely | C.UTF-8 | UTF8 | pool_monitor.sample_interval = 1h
	not_saved | C.UTF-8 | UTF8 | pool_monitor.save = off
	leaks_at_once | C.UTF-8 | UTF8 | pool_monitor.leak_threshold = 1ms
	thresholds | C.UTF-8 | UTF8 | pool_monitor.warning_threshold = 1 & pool_monitor.critical_threshold = 1
	policy | C.UTF-8 | UTF8 | pool_monitor.idle_timeout = 1h & pool_monitor.idle_in_transaction_timeout = 1h & pool_monitor.max_lifetime = 1d & pool_monitor.terminate_superusers = on
	dry_run | C.UTF-8 | UTF8 | pool_monitor.idle_timeout = 1h & pool_monitor.dry_run = on & pool_monitor.terminate_above = 100 & pool_monitor.max_terminations = 0
	metrics_file | C.UTF-8 | UTF8 | pool_monitor.metrics_file = 'metrics.prom' & pool_monitor.metrics_interval = 1s & pool_monitor.max_held_metrics = 10
	no_transactions | C.UTF-8 | UTF8 | pool_monitor.track_transactions = off
	no_activities | C.UTF-8 | UTF8 | track_activities = off
	no_counts | C.UTF-8 | UTF8 | track_counts = off & autovacuum = off
	query_ids | C.UTF-8 | UTF8 | compute_query_id = on & track_activity_query_size = 100
	tcp | C.UTF-8 | UTF8 | listen_addresses = '127.0.0.1'
	few_connections | C.UTF-8 | UTF8 | max_connections = 10 & superuser_reserved_connections = 0 & autovacuum_max_workers = 1 & max_wal_senders = 0
	serializable | C.UTF-8 | UTF8 | default_transaction_isolation = serializable & default_transaction_deferrable = on
	timeouts | C.UTF-8 | UTF8 | statement_timeout = 1min & lock_timeout = 1min & idle_in_transaction_session_timeout = 1min & idle_session_timeout = 1min
	styles | C.UTF-8 | UTF8 | DateStyle = 'German, DMY' & IntervalStyle = sql_standard & TimeZone = 'Pacific/Chatham' & extra_float_digits = -5 & bytea_output = escape
	search_path | C.UTF-8 | UTF8 | search_path = 'nowhere, public, pg_catalog'
	quoted | C.UTF-8 | UTF8 | quote_all_identifiers = on & standard_conforming_strings = off & escape_string_warning = off & backslash_quote = off
	nulls | C.UTF-8 | UTF8 | transform_null_equals = on & array_nulls = off
	peers | C.UTF-8 | UTF8 | shared_preload_libraries = 'pg_stat_statements, auto_explain, pool_monitor' & session_preload_libraries = 'pool_monitor' & auto_explain.log_min_duration = 0
	jit | C.UTF-8 | UTF8 | jit = on & jit_above_cost = 0 & enable_nestloop = off & enable_hashjoin = off & enable_sort = off & from_collapse_limit = 1
	parallel | C.UTF-8 | UTF8 | parallel_setup_cost = 0 & parallel_tuple_cost = 0 & min_parallel_table_scan_size = 0 & max_parallel_workers_per_gather = 4
	replica | C.UTF-8 | UTF8 | wal_level = logical & session_replication_role = replica & hot_standby_feedback = on
	logged | C.UTF-8 | UTF8 | log_statement = all & log_min_messages = debug1 & log_connections = on & log_disconnections = on & log_duration = on
	german_latin1 | de_DE | LATIN1 |
	turkish | tr_TR.UTF-8 | UTF8 |
	turkish_latin5 | tr_TR | LATIN5 | lc_messages = 'tr_TR'
	japanese | ja_JP.eucJP | EUC_JP |
	russian | ru_RU.KOI8-R | KOI8R | DateStyle = 'SQL, DMY'
	czech | cs_CZ.UTF-8 | UTF8 |
	turkish_icu | icu:tr-TR | UTF8 |
	ascii | C | SQL_ASCII |
	ascii_german | de_DE.UTF-8 | SQL_ASCII |
VARIANTS
)

# make_locale NAME: where LOCPATH is, unless it is there
make_locale()
{
	local name=$1 charmap

	case $name in
		C | C.UTF-8) return ;;
		*.UTF-8) charmap=UTF-8 ;;
		*.eucJP) charmap=EUC-JP ;;
		*.KOI8-R) charmap=KOI8-R ;;
		tr_TR) charmap=ISO-8859-9 ;;
		*) charmap=ISO-8859-1 ;;
	esac
	[ -d "$LOCPATH/$name" ] || localedef -i "${name%%.*}" -f "$charmap" "$LOCPATH/$name" 2>"$PMON_WORK/localedef.log" ||
		{ cat "$PMON_WORK/localedef.log"; return 1; }
}

# try NAME LOCALE ENCODING SETTINGS: the tests on a server of that kind
try()
{
	local name=$1 locale=$2 encoding=$3 folder=$PMON_WORK/try log=$PMON_WORK/$1.log host port ok provider=()

	if [[ $locale = icu:* ]]; then
		provider=(--locale-provider=icu --icu-locale="${locale#icu:}")
		locale=C.UTF-8
	fi
	host=$folder
	[[ $4 != *listen_addresses* ]] || host=127.0.0.1
	port=$(perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport')
	make_locale "$locale" || return
	rm -rf "$folder"
	mkdir "$folder"
	initdb -D "$folder/data" -U chef -A trust -E "$encoding" --locale="$locale" "${provider[@]}" \
		--no-sync --no-instructions >"$log" 2>&1 || return
	{
		echo "shared_preload_libraries = 'pool_monitor'"
		echo "port = $port"
		echo "listen_addresses = ''"
		echo "unix_socket_directories = '$folder'"
		echo "fsync = off"
		sed 's/ & /\n/g' <<<"$4"
	} >>"$folder/data/postgresql.conf"
	pg_ctl -D "$folder/data" -l "$folder/server.log" -w -s start || { cat "$folder/server.log" >>"$log"; return 1; }

	# The server is all that tells the client how to write
	(
		cd "$PMON_WORK/tree" &&
			env PGHOST="$host" PGPORT="$port" PGUSER=chef LC_ALL="$locale" make PG_CONFIG="$PG_CONFIG" installcheck
	) >>"$log" 2>&1
	ok=$?
	if [ $ok != 0 ]; then
		head -n 100 "$PMON_WORK/tree/regression.diffs" 2>/dev/null
	fi
	pg_ctl -D "$folder/data" -m fast -w -s stop
	if grep -E 'TRAP|PANIC|terminated by signal' "$folder/server.log"; then
		ok=1
	fi
	return $ok
}

use_own_server "$server"
cp -a . "$PMON_WORK/tree"
make -s -j2 -C "$PMON_WORK/tree" PG_CONFIG="$PG_CONFIG" with_llvm=no COPT=-DUSE_ASSERT_CHECKING all install >"$PMON_WORK/make.log" 2>&1 ||
	{ cat "$PMON_WORK/make.log"; exit 1; }
chmod -R a-w "$server"
export LOCPATH=$PMON_WORK/locales
mkdir "$LOCPATH"
while IFS='|' read -r name locale encoding settings; do
	name=${name// /} locale=${locale// /} encoding=${encoding// /}
	[ $# = 0 ] || [[ " $* " = *" $name "* ]] || continue
	start=$SECONDS
	if try "$name" "$locale" "$encoding" "$settings" </dev/null; then
		echo "ok: $name ($locale, $encoding$settings), $((SECONDS - start)) s"
		passed=$((passed + 1))
	else
		echo "not ok: $name ($locale, $encoding$settings)"
		tail -n 20 "$PMON_WORK/$name.log"
		failed=$((failed + 1))
	fi
done <<<"$variants"
chmod -R u+w "$server"
echo "make installcheck: $passed variants passed, $failed failed"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
