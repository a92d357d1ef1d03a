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

# screen EXPLANATION SQL: one screen, as psql prints it
screen()
{
	title "$1"
	printf '\n%s\n' "$2" | psql -X -e -q -P pager=off -P null=- -v ON_ERROR_STOP=1
}

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

screen "One question: what is it?  The most likely cause comes first" \
"\\pset format wrapped
\\pset columns 110
SELECT rank, severity, finding, subject, evidence, remedy, reference FROM pool_monitor_diagnosis() \\gx"

screen "The server as a whole: slots are left, so max_connections is not the problem" \
"SELECT status, max_connections AS max, connections, available,
       round(utilization::numeric, 2) AS utilization, active, idle,
       idle_in_transaction AS in_tx, checked_out, peak_connections AS peak
  FROM pool_monitor_status;"

screen "Every application: one has most of the connections, and the most open transactions" \
"SELECT application_name, connections AS conns, active, idle, idle_in_transaction AS in_tx,
       checked_out, date_trunc('milliseconds', longest_idle) AS longest_idle,
       date_trunc('milliseconds', longest_transaction) AS longest_tx
  FROM pool_monitor_applications
 ORDER BY connections DESC, application_name;"

screen "The same by database, role and state, under the labels that postgres_exporter uses" \
"SELECT datname, usename, application_name, state, connections AS conns,
       date_trunc('milliseconds', longest_in_state) AS longest
  FROM pool_monitor_connections
 ORDER BY connections DESC, application_name, state;"

screen "Its sessions: these hold a transaction open, and this is the last that they did in it" \
"SELECT pid, state, date_trunc('milliseconds', transaction_age) AS tx_age, leak_suspect,
       left(query, 29) AS query
  FROM pool_monitor_sessions
 WHERE application_name = 'checkout-service'
 ORDER BY transaction_age DESC NULLS LAST
 LIMIT 7;"

screen "Databases: shop has a limit of its own; elsewhere the server's slots are the limit" \
"SELECT datname, connections, checked_out, connection_limit, available,
       round(utilization::numeric, 2) AS utilization
  FROM pool_monitor_databases
 WHERE datname NOT LIKE 'template%'
 ORDER BY connections DESC, datname;"

screen "Roles: a second instance of checkout-service would not fit into the limit of its role" \
"SELECT usename, connections, checked_out, connection_limit, available,
       round(utilization::numeric, 2) AS utilization
  FROM pool_monitor_roles
 ORDER BY connections DESC, usename;"

screen "The connections that nobody gives back, of all applications: the worst first" \
"SELECT application_name, leak_suspect, date_trunc('milliseconds', transaction_age) AS tx_age,
       blocks, pool, left(query, 12) AS query
  FROM pool_monitor_leaks
 LIMIT 9;"

screen "Each pool that the setting pool_monitor.pools declares, now and at its peak" \
"SELECT pool, pool_size AS size, max_overflow AS more, capacity, total_connections AS conns,
       checked_in, checked_out, checked_out_proven AS proven, overflow, status
  FROM pool_monitor_pools;"

title "The same beside SQLAlchemy: what it holds idle is proven by how its pool, as declared, opens connections"
echo
psql -X -P pager=off -v checkedout="$(figure checkedout)" -v overflow="$(figure overflow)" <<-'SQL'
	SELECT figure, sqlalchemy, pool_monitor
	  FROM pool_monitor_pools AS p,
	       LATERAL (VALUES ('connections', 5 + :overflow, p.total_connections),
	                       ('overflow', :overflow, p.overflow),
	                       ('checked out', :checkedout, p.checked_out),
	                       ('checked in', 5 + :overflow - :checkedout, p.checked_in))
	         AS f (figure, sqlalchemy, pool_monitor)
	 WHERE pool = 'checkout';
SQL

screen "A pool that is declared nowhere: what is beyond its size is checked out, at least" \
"SELECT * FROM pool_monitor_pool_status(5, 10, 'checkout-service');"

screen "All of it as one document, for a /health endpoint" \
"\\pset format unaligned
\\pset tuples_only
SELECT jsonb_pretty(pool_monitor_health());"

screen "And how the monitor itself is doing" \
"SELECT * FROM pool_monitor_info \\gx"

if [ -n "${KEEP:-}" ]; then
	title "The server and its applications go on.  Look around, and stop them when you are done:"
	echo
	echo "psql -h $demo -U postgres shop"
	echo "kill -INT $postmaster; sleep 2; rm -rf $PMON_WORK"
else
	stop_server "$demo"
	title "Done: the server is gone.  Run this with --keep to look around yourself."
fi
