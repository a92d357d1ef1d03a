#!/usr/bin/env bash
# Prometheus' own tool on our rules: they parse, they do what they should, and
# the tests of them can fail.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit
. test/lib/tap.sh
cd dashboards || exit
broken=$(mktemp -d)
trap 'rm -rf "$broken"' EXIT

# fails_with EXPRESSION: the tests fail once sed has changed the rules so
fails_with()
{
	sed -E "$1" prometheus_rules.yml >"$broken/prometheus_rules.yml"
	cp prometheus_rules_test.yml "$broken/"
	! cmp -s prometheus_rules.yml "$broken/prometheus_rules.yml" &&
		promtool check rules "$broken/prometheus_rules.yml" >/dev/null &&
		! promtool test rules "$broken/prometheus_rules_test.yml"
}

# Every alert and every recorded series occurs in the tests.
all_tested()
{
	local name

	while read -r name; do
		grep -qF "$name" prometheus_rules_test.yml || { echo "$name is not tested"; return 1; }
	done < <(sed -nE 's/^ *- (alert|record): //p' prometheus_rules.yml)
}

# Who is called at night is told which server it is; NoSeries is about all of them.
all_name_the_server()
{
	local alert= unnamed=0 line

	while read -r line; do
		case $line in
			"- alert: "*) alert=${line#- alert: } ;;
			"summary: "*'$labels.instance'*) ;;
			"summary: "*) [ "$alert" = PoolMonitorNoSeries ] || { echo "$alert does not"; unnamed=1; } ;;
		esac
	done <"${1:-prometheus_rules.yml}"
	return $unnamed
}

check "promtool check rules accepts the rules" promtool check rules prometheus_rules.yml
check "promtool check config accepts the scrape jobs" promtool check config prometheus.yml
check "every rule is tested" all_tested
check "every alert names the server" all_name_the_server
check "and one that does not would be noticed" eval '! all_name_the_server <(sed "s/ on .*instance }} / /" prometheus_rules.yml)'
check "promtool test rules: they do what they should" promtool test rules prometheus_rules_test.yml
for change in 's/available_connections == 0/available_connections == 1/' 's/> 0\.9$/> 0.95/' \
	's/rejected_total\[5m\]\)\) > 0/rejected_total[5m])) > 2/' 's/utilization_ratio >= 1/utilization_ratio > 1/' \
	's/pool_overflow > 0/pool_overflow > 1/' 's/leak_suspects > 0/leak_suspects > 2/' \
	's/oversubscribed == 1/oversubscribed == 0/' 's/worker_up == 0 or/worker_up == 2 or/' \
	's/samples_total\[10m\]\) == 0/samples_total[10m]) < 0/' 's/preloaded == 1/preloaded == 0/' 's/> 50$/> 100/' \
	's/ > 60$/ > 90/' 's/ > 60$/ > 300/' 's/> 60\)$/> 6000)/' 's/pool_monitor\[\^/.*[^/' 's/"\(\.\*\/\)\?pool/".*pool/' \
	's/save_failures_total\[15m\]\) > 0/save_failures_total[15m]) > 1/' 's/client backend/walsender/' \
	's/pg_up == bool 0/pg_up == bool 2/' 's/(last_scrape_failed.query="pool_monitor".\)) == 1/\1 == 2/' \
	's/(last_scrape_failed)\{query="pool_monitor"\}\) == 1/\1) == 1/' '/unless on \(job, instance\) sql_exporter/d' \
	'/unless on \(job, instance\) pg_up/d' 's/connections\[6h\]/connections[7h]/' 's/connections\[6h\]/connections[3m]/' \
	'/^ *unless on \(job, instance\) pool_monitor_max/d' 's/absent\(pool_monitor_max_connections/absent(up/'; do
	check "the tests notice $change" fails_with "$change"
done
echo "1..$n"
