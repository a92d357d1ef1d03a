#!/usr/bin/env bash
# use.sh MAJOR PACKAGE: installs /root/PACKAGE, does what its README.Debian says,
# runs the package's own tests, and purges it.  Lines that begin with == are for
# the check's output.
set -euo pipefail
major=$1 deb=$2
package=postgresql-$major-pool-monitor
port=54329
cluster=/etc/postgresql/$major/watched/postgresql.conf

# as_postgres COMMAND...
as_postgres() { runuser -u postgres -- "$@"; }
sql() { as_postgres psql -XAtq -v ON_ERROR_STOP=1 -p $port "$@"; }

# is WHAT FOUND WANTED
is()
{
	if [ "$2" = "$3" ]; then
		echo "ok: $1"
	else
		printf 'not ok: %s\nfound:  %s\nwanted: %s\n' "$1" "$2" "$3"
		exit 1
	fi
}

apt-get update -q
is "PostgreSQL $major is not there yet" "$(dpkg-query -W -f '${db:Status-Status}' "postgresql-$major" 2>/dev/null)" ''
apt-get install -qy --no-install-recommends "/root/$deb"
dpkg -L "$package" >/tmp/files
echo "== $(lsb_release -ds 2>/dev/null || sed -n 's/^PRETTY_NAME=//p' /etc/os-release): $package is installed"

# Without preloading nothing changes, and live views work
pg_createcluster -p $port "$major" watched
pg_ctlcluster "$major" watched start
sql -c 'CREATE EXTENSION pool_monitor'
is "it is not preloaded by itself" "$(sql -c 'SELECT loaded FROM pool_monitor_info')" f
is "live views work" "$(sql -c 'SELECT connections FROM pool_monitor_status')" 1

# What README.Debian says
sed -n '/shared_preload_libraries/p' "/usr/share/doc/$package/README.Debian" | sed 's/^ *//' | grep ' = ' >>"$cluster"
echo "pool_monitor.leak_threshold = '10ms'" >>"$cluster"
pg_ctlcluster "$major" watched restart
is "it is preloaded" "$(sql -c 'SELECT loaded FROM pool_monitor_info')" t
is "its version is the package's" "$(sql -c 'SELECT version FROM pool_monitor_info')" \
	"$(dpkg-query -W -f '${Version}' "$package" | sed 's/-[^-]*$//')"

# A session that leaks, and the verdict
mkfifo /tmp/leak
chmod 666 /tmp/leak
as_postgres env PGAPPNAME=shop psql -XAtq -p $port </tmp/leak &
exec 3>/tmp/leak
echo 'BEGIN; SELECT 42;' >&3
for _ in {1..300}; do
	verdict=$(sql -c "SELECT finding, subject FROM pool_monitor_diagnosis() WHERE subject = 'shop'")
	[ -z "$verdict" ] || break
	sleep 0.1
done
is "the verdict names the leak" "$verdict" 'leak_in_transaction|shop'
echo "== the verdict: $verdict"
exec 3>&-
wait $!

# The package's own tests, as a user without rights
apt-get install -qy --no-install-recommends postgresql-server-dev-all make
useradd --create-home builder
chown -R builder: /root/source
mv /root/source /tmp/source
(cd /tmp/source && runuser -u builder -- env HOME=/home/builder sh debian/tests/installcheck) >/tmp/installcheck 2>&1 ||
	{ cat /tmp/installcheck; exit 1; }
passed=$(grep -cE '^(test .* ok |ok [0-9]+ +[-+] )' /tmp/installcheck)
echo "== $passed of the package's own tests passed"
is "all passed" "$passed" "$(ls /tmp/source/test/sql/*.sql | wc -l)"

# And on this server, which is not that user's
sql -c 'CREATE ROLE builder SUPERUSER LOGIN'
(cd /tmp/source && runuser -u builder -- env HOME=/home/builder PGPORT=$port \
	make PG_CONFIG="/usr/lib/postgresql/$major/bin/pg_config" installcheck) >/tmp/installcheck 2>&1 ||
	{ cat /tmp/installcheck /tmp/source/regression.diffs; exit 1; }
echo "== make installcheck as a user without rights: $(grep -cE '^(test .* ok |ok [0-9]+ +[-+] )' /tmp/installcheck) passed"
sql -c 'DROP DATABASE contrib_regression' -c 'DROP ROLE builder'
rm -rf /tmp/source
userdel --remove builder

# Out of the configuration, and away
sed -i '/^shared_preload_libraries/d; /^pool_monitor\./d' "$cluster"
pg_ctlcluster "$major" watched restart
apt-get purge -qy "$package"
is "no file of it is left" "$(while read -r file; do
	[ ! -f "$file" ] && [ ! -L "$file" ] || echo "$file"
done </tmp/files)" ''
is "nor a folder" "$(while read -r file; do
	[[ $file != *pool?monitor* ]] || [ ! -d "$file" ] || echo "$file"
done </tmp/files)" ''
is "dpkg has forgotten it" "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" ''
pg_ctlcluster "$major" watched restart
is "the server works without it" "$(sql -c 'SELECT 1')" 1
is "what needs it says so" "$(sql -c 'SELECT * FROM pool_monitor_status' 2>&1 | head -n 1 | sed 's|\$libdir/||')" \
	'ERROR:  could not access file "pool_monitor": No such file or directory'
sql -c 'DROP EXTENSION pool_monitor'
is "and so do its objects go" "$(sql -c "SELECT count(*) FROM pg_class WHERE relname LIKE 'pool_monitor%'")" 0
data=$(sql -c 'SHOW data_directory')
is "its statistics stay in the data directory" "$(cd "$data" && find . -name '*pool_monitor*')" ./pg_stat/pool_monitor.stat
pg_dropcluster --stop "$major" watched
rm "/root/$deb"
is "nothing is left of it on the system" \
	"$(find / -xdev \( -name '*pool_monitor*' -o -name '*pool-monitor*' \) -not -path '/var/cache/apt/*')" ''
echo "== purged, and nothing is left"
