# shellcheck shell=bash
# server_source.sh: the source of the server under test, from Debian's archive

# The server's version and its package, such as 15.4 and postgresql-15
version=$("${PG_CONFIG:-pg_config}" --version | sed -E 's/^PostgreSQL ([0-9.]+).*/\1/')
package=postgresql-${version%%.*}

# Where it is
source=$PMON_WORK/postgres-source

# source_apt COMMAND...: apt with lists of its own, of source packages only
source_apt()
{
	local command=$1 apt=$PMON_WORK/apt

	shift
	"$command" -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$apt/parts" \
		-o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt/cache" "$@"
}

# list_sources SUITES: the machine's own archives, but their source packages;
# in other suites than the machine's unless SUITES is empty
list_sources()
{
	local apt=$PMON_WORK/apt file

	rm -rf "$apt"
	mkdir -p "$apt/parts" "$apt/lists/partial" "$apt/cache/archives/partial"
	for file in /etc/apt/sources.list.d/*.sources; do
		[ -e "$file" ] || continue
		sed -E -e '/^#/d' -e 's/^Types:.*/Types: deb-src/' \
			${1:+-e "/-security/!s/^Suites:.*/Suites: $1/"} "$file" >"$apt/parts/${file##*/}"
	done
	for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -e "$file" ] || continue
		sed -nE -e "s/^deb( +\[[^]]*\])? +([^ ]+) +${1:+([^ -]+)( .*)/deb-src\1 \2 SUITES\4/p;d}" \
			-e 's/^deb /deb-src /p' "$file" |
			while read -r line; do
				case $line in
					*SUITES*) for suite in $1; do echo "${line/SUITES/$suite}"; done ;;
					*) echo "$line" ;;
				esac
			done >"$apt/parts/${file##*/}"
	done
	source_apt apt-get update
}

# The versions of the package that these lists have, the most fitting last
listed_versions()
{
	source_apt apt-cache showsrc "$package" 2>/dev/null | sed -n 's/^Version: //p' | sort -Vu |
		awk -v wanted="$version" '{ if (index($0, wanted "-") == 1) fitting = fitting $0 "\n"; else print }
			END { printf "%s", fitting }'
}

# get_source: unpacks the server's source, unless it is there.  The
# archive may have dropped the very version; then the nearest has to do.
get_source()
{
	local suites candidate

	[ ! -e "$source/configure" ] || return 0
	mkdir -p "$PMON_WORK/download" "$source"
	for suites in '' 'stable testing unstable' experimental; do
		list_sources "$suites" || true
		for candidate in $(listed_versions | tac); do
			(cd "$PMON_WORK/download" && source_apt apt-get source --download-only "$package=$candidate") \
				>"$PMON_WORK/download.log" 2>&1 || continue
			tar -xf "$PMON_WORK/download"/*.orig.tar.* -C "$source" --strip-components=1
			echo "server $version, source of $package $candidate"
			return 0
		done
	done
	cat "$PMON_WORK/download.log"
	echo "found no source of $package"
	return 1
}
