# shellcheck shell=bash
# packages.sh: builds the packages and looks at what is in them
#
# Debian's, as debian/ makes it, for every version that Debian's packages are
# for: with the regression tests on what was just built, then lintian, and the
# list of its files.  The RPM, as rpm/pool_monitor.spec makes it, as far as that
# goes without PGDG's folders: the same list.  Nothing is installed.
#
# needs: build / debhelper fakeroot libkrb5-dev lintian postgresql-all postgresql-server-dev-all rpm

failed=0
packages=$PMON_WORK/packages
documents=(README.md SECURITY.md docs/*.md docs/images/*)
version=$(sed -n "s/^default_version = '\(.*\)'/\1/p" pool_monitor.control)

# fail WHAT [FILE]: a finding, and the end of the log that shows it
fail()
{
	echo "$1"
	[ $# -lt 2 ] || tail -n 20 "$2" | cut -c 1-300
	failed=1
}

# same_version FILE VERSION WANTED
same_version()
{
	[ "$2" = "$3" ] || fail "$1 has version $2, not $3"
}

# The files of the library and its bitcode, from the folder that $libdir is, and
# those of the extension, from share: what the packages of a server have of ours
server_files()
{
	local file

	echo "lib/pool_monitor.so"
	echo "lib/bitcode/pool_monitor.index.bc"
	for file in src/*.c src/*/*.c; do echo "lib/bitcode/pool_monitor/${file%.c}.bc"; done
	for file in pool_monitor.control sql/pool_monitor--*.sql; do echo "share/extension/${file#sql/}"; done
}

# same_files WHAT: the list in WHAT.files against the one in WHAT.expected
same_files()
{
	sort -o "$packages/$1.files" "$packages/$1.files"
	sort -o "$packages/$1.expected" "$packages/$1.expected"
	diff "$packages/$1.expected" "$packages/$1.files" >"$packages/$1.diff" ||
		fail "$1: not the files that should be there" "$packages/$1.diff"
	echo "== $1: $(wc -l <"$packages/$1.files") files"
}

check_deb()
{
	local start=$SECONDS major package deb doc file

	cp -a . "$packages/pool-monitor-$version"
	if ! (cd "$packages/pool-monitor-$version" && dpkg-buildpackage -us -uc -b) >"$packages/build.log" 2>&1; then
		fail "the Debian package does not build" "$packages/build.log"
		return
	fi
	echo "== built in $((SECONDS - start)) s, $(grep -c '^test .* ok ' "$packages/build.log") regression tests passed"

	lintian --version
	lintian --fail-on error,warning "$packages"/*.changes || fail "lintian has findings"

	for major in $(pg_buildext supported-versions); do
		package=postgresql-$major-pool-monitor
		deb=$(echo "$packages/${package}_$version"-*.deb)
		doc=share/doc/$package
		if [ ! -e "$deb" ]; then
			fail "there is no $package"
			continue
		fi
		dpkg-deb -x "$deb" "$packages/$package"
		{
			server_files | sed -e "s|^lib/|lib/postgresql/$major/lib/|" -e "s|^share/|share/postgresql/$major/|"
			printf '%s\n' "${documents[@]/#/$doc/}" "$doc/"{README.Debian,changelog,changelog.Debian,copyright}
			for file in dashboards/* pool_monitor_fleet.sql; do echo "$doc/examples/$file"; done
			for file in $(cd examples && find . -type f -printf '%P\n'); do echo "$doc/examples/$file"; done
		} >"$packages/$package.expected"
		# long documents are compressed, examples are not
		(cd "$packages/$package/usr" && find . -type f -printf '%P\n' | sed '/\/examples\//!s/\.gz$//') \
			>"$packages/$package.files"
		same_files "$package"

		# It must not change what a server does: no scripts, no configuration
		dpkg-deb -e "$deb" "$packages/$package.control"
		for file in "$packages/$package.control"/*; do
			case ${file##*/} in control | md5sums) ;; *) fail "$package has ${file##*/}" ;; esac
		done
		[ "$(ls "$packages/$package")" = usr ] || fail "$package has files outside of /usr"
	done
}

# With Debian's server for PGDG's: its pg_config tells where PGDG has the files
check_rpm()
{
	local major prefix rpm

	major=$("$PG_CONFIG" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/')
	prefix=/usr/pgsql-$major
	mkdir -p "$packages/pgdg/bin" "$packages/rpm/SOURCES"
	cat >"$packages/pgdg/bin/pg_config" <<-EOF
		#!/bin/sh
		case \$1 in
			--sharedir) echo $prefix/share ;;
			--pkglibdir) echo $prefix/lib ;;
			--docdir) echo $prefix/doc ;;
			*) exec "$(command -v "$PG_CONFIG")" "\$@" ;;
		esac
	EOF
	chmod +x "$packages/pgdg/bin/pg_config"
	sed "s|PATH=%{pginstdir}/bin|PATH=$packages/pgdg/bin|" rpm/pool_monitor.spec >"$packages/pool_monitor.spec"
	tar -czf "$packages/rpm/SOURCES/pool_monitor-$version.tar.gz" --transform "s|^\.|pool_monitor-$version|" .
	if ! rpmbuild -bb --nodeps --define "_topdir $packages/rpm" --define "pgmajorversion $major" \
		"$packages/pool_monitor.spec" >"$packages/rpm.log" 2>&1; then
		fail "the RPM does not build" "$packages/rpm.log"
		return
	fi
	{
		server_files | sed "s|^|$prefix/|"
		printf '%s\n' "${documents[@]}" CHANGELOG.md dashboards/* $(find examples -type f) pool_monitor_fleet.sql |
			sed "s|^|/usr/share/doc/pool_monitor_$major-$version/|"
		echo "/usr/share/licenses/pool_monitor_$major-$version/LICENSE"
	} >"$packages/rpm.expected"
	for rpm in "$packages"/rpm/RPMS/*/*.rpm; do
		rpm -qp --queryformat '[%{FILEMODES:perms} %{FILENAMES}\n]' "$rpm"
	done | sed -n 's/^-[^ ]* //p' | grep -v '/\.build-id/' >"$packages/rpm.files"
	same_files rpm
}

mkdir "$packages"
same_version debian/changelog "$(dpkg-parsechangelog -S Version | sed 's/-[^-]*$//')" "$version"
same_version rpm/pool_monitor.spec "$(sed -n 's/^Version:[[:space:]]*//p' rpm/pool_monitor.spec)" "$version"
same_version META.json "$(sed -nE 's/^   "version": "(.*)",/\1/p' META.json)" "$version.0"
check_deb
check_rpm
[ $failed -eq 0 ] && echo "no finding"
exit $failed
