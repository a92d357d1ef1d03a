#!/usr/bin/env bash
# demo.sh [--keep]: shows the main job on a server of its own.
#
# Several applications share one server; one of them leaks its connections
# until its pool is exhausted.  Then the views say who it was.  Works on a
# fresh Debian (as root or with sudo) and leaves nothing behind; with --keep
# the server and its applications go on until you stop them.
set -euo pipefail

case ${1:-} in
	"") ;;
	--keep) export KEEP=1 ;;
	*) echo "usage: $0 [--keep]" >&2; exit 2 ;;
esac

if [ -z "${PMON_WORK:-}" ]; then
	cd "$(dirname "${BASH_SOURCE[0]}")/.."
	. test/lib/packages.sh
	. test/lib/private_copy.sh
	need_packages build clients
	run_in_private_copy test/demo.sh
fi

. test/lib/build.sh
. test/lib/server.sh
demo=$PMON_WORK/demo

title() { printf '\n==== %s\n' "$1"; }

# client ROLE DATABASE APPLICATION SQL: an application with one connection,
# which it keeps as the SQL leaves it until the server stops
client()
{
	{ echo "$4"; tail -f --pid="$postmaster" /dev/null; } |
		PGUSER=$1 PGDATABASE=$2 PGAPPNAME=$3 psql -Xq >>"$demo/clients.log" 2>&1 &
}

# wait_until COMMAND...: until it succeeds
wait_until()
{
	for _ in {1..200}; do
		! "$@" >/dev/null 2>&1 || return 0
		sleep 0.1
	done
	echo "waited in vain for: $*" >&2
	tail -n 20 "$demo"/*.log
	return 1
}

# holds SQL: does it say t?
holds() { [ "$(psql -XAtqc "$1")" = t ]; }

echo "Building pool_monitor for $("$PG_CONFIG" --version) and starting a server of its own ..."
build_extension
cat >"$PMON_WORK/demo.conf" <<-'CONF'
	shared_preload_libraries = 'pool_monitor'
	max_connections = 40
	pool_monitor.leak_threshold = '1s'
	pool_monitor.pools = 'checkout: application=checkout-service size=5 overflow=10'
CONF
start_server "$demo" "$PMON_WORK/demo.conf"
postmaster=$(head -n 1 "$demo/data/postmaster.pid")
psql -Xq -v ON_ERROR_STOP=1 <<-'SQL'
	CREATE ROLE checkout LOGIN CONNECTION LIMIT 20;
	CREATE ROLE billing LOGIN;
	CREATE ROLE dashboards LOGIN;
	CREATE DATABASE shop CONNECTION LIMIT 30;
	CREATE DATABASE analytics;
	\connect shop
	CREATE EXTENSION pool_monitor;
	CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY, item text);
	GRANT ALL ON orders TO public;
SQL
export PGDATABASE=shop

client billing shop billing-api "SELECT count(*) FROM orders;"
client billing shop billing-api "BEGIN; SELECT count(*) FROM orders;"
client billing shop "celery worker" "SELECT pg_sleep(3600);"
client dashboards analytics grafana "SELECT 1;"
client dashboards analytics grafana "BEGIN; SELECT 1 / 0;"
tail -f --pid="$postmaster" /dev/null |
	PGUSER=checkout /usr/bin/python3 test/demo_pool.py >"$demo/checkout.log" 2>&1 &
wait_until holds "SELECT count(*) = 5 FROM pg_stat_activity
	WHERE application_name IN ('billing-api', 'celery worker', 'grafana') AND query <> ''"
wait_until grep 'pool.overflow' "$demo/checkout.log"
wait_until holds "SELECT count(*) = 8 FROM pool_monitor_leaks"
wait_until holds "SELECT peak_checked_out >= 5 FROM pool_monitor_pools"
wait_until holds "SELECT count(*) = 2 FROM pool_monitor_diagnosis()
	WHERE (finding, subject) IN (('leak_in_transaction', 'checkout-service'), ('leak_not_returned', 'checkout'))"

title "What checkout-service sees: its pool is exhausted, and nothing says why"
echo
cat "$demo/checkout.log"
figure() { sed -nE "/^pool.$1/ { n; s/ +//p }" "$demo/checkout.log"; }

psql -X -e -q -v checkedout="$(figure checkedout)" -v overflow="$(figure overflow)" -f test/demo.sql

if [ -n "${KEEP:-}" ]; then
	title "The server and its applications go on.  Look around, and stop them when you are done:"
	echo
	echo "psql -h $demo -U postgres shop"
	echo "kill -INT $postmaster; sleep 2; rm -rf $PMON_WORK"
else
	stop_server "$demo"
	title "Done: the server is gone.  Run this with --keep to look around yourself."
fi
