# shellcheck shell=bash
# packages.sh: installs what is missing on Debian, and touches nothing else.

as_root()
{
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

apt_updated=no
apt_update()
{
	[ $apt_updated = yes ] || as_root apt-get update -qq
	apt_updated=yes
}

# The major version to build for: that of PG_CONFIG or of the server packages
# that are here, else the one that this release of Debian ships.
postgres_major()
{
	local pg_config=${PG_CONFIG:-pg_config}

	if [ -e "$($pg_config --pgxs 2>/dev/null)" ]; then
		$pg_config --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/'
	else
		apt-cache policy postgresql | sed -nE 's/^ *Candidate: ([0-9]+)\+.*/\1/p'
	fi
}

# install_missing PACKAGE...: no service is started, no cluster is created
install_missing()
{
	local package missing=() undo=() conf=/etc/postgresql-common/createcluster.d/pool_monitor_test.conf

	for package; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0

	echo "installing ${missing[*]}"
	apt_update
	as_root mkdir -p "${conf%/*}"
	echo 'create_main_cluster = false' | as_root tee "$conf" >/dev/null
	undo+=("$conf")
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
		as_root chmod 755 /usr/sbin/policy-rc.d
		undo+=(/usr/sbin/policy-rc.d)
	fi
	# shellcheck disable=SC2064 # the list is complete now
	trap "as_root rm -f ${undo[*]}" EXIT
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		"${missing[@]}" </dev/null >/dev/null
	as_root rm -f "${undo[@]}"
	trap - EXIT
}

# need_packages build|test|clients...: the packages for these purposes
need_packages()
{
	local purpose major packages=()

	if ! command -v dpkg-query >/dev/null; then
		echo "not a Debian system: assuming that what is needed is installed"
		return 0
	fi
	[ -e "$(${PG_CONFIG:-pg_config} --pgxs 2>/dev/null)" ] || apt_update
	major=$(postgres_major)
	for purpose; do
		case $purpose in
			build)
				packages+=(gcc libc6-dev make libkrb5-dev)
				[ -n "${PG_CONFIG:-}" ] || packages+=("postgresql-$major" "postgresql-server-dev-$major")
				;;
			test)
				packages+=(perl binutils libipc-run-perl libtap-parser-sourcehandler-pgtap-perl)
				# in newer releases it comes with postgresql-server-dev
				! apt-cache policy pg-bsd-indent | grep 'Candidate: [0-9]' >/dev/null || packages+=(pg-bsd-indent)
				[ -n "${PG_CONFIG:-}" ] || packages+=("postgresql-$major-pgtap")
				;;
			fuzz)
				packages+=(clang libclang-rt-dev)
				;;
			clients)
				packages+=(python3 python3-sqlalchemy python3-psycopg2)
				;;
			integration)
				packages+=(python3-asyncpg python3-psycopg pgbouncer
					prometheus prometheus-postgres-exporter prometheus-sql-exporter prometheus-node-exporter
					python3-prometheus-client python3-fastapi uvicorn chromium
					default-jdk-headless libhikaricp-java libpostgresql-jdbc-java libslf4j-java)
				# a Node.js from elsewhere has its own
				command -v npm >/dev/null || packages+=(npm)
				;;
		esac
	done
	install_missing "${packages[@]}"
}
