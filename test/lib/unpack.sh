#!/usr/bin/env bash
# unpack.sh MAJOR FOLDER SUITE...
#
# Unpacks PostgreSQL MAJOR of another release of Debian into FOLDER, to run and
# to build for, and installs nothing: the server and the libraries that it
# needs.  The programs are pointed at these libraries and at their own loader,
# so FOLDER can not be moved; all else PostgreSQL, pg_config and PGXS find
# relative to themselves.
#
# Takes half a minute.  Fails if the suites have no such version.
set -euo pipefail
shopt -s nullglob
major=$1 folder=$2
shift 2
suites=("$@")

# apt with nothing of this system's but its mirror, and with a state of its own
apt=$folder/apt
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
: >"$apt/status"
options=(-qq -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
	-o "Dir::Etc::Preferences=$apt/preferences" -o Dir::Etc::PreferencesParts=/dev/null
	-o "Dir::State::Lists=$apt/lists" -o "Dir::State::Status=$apt/status" -o "Dir::Cache=$apt/cache"
	-o APT::Sandbox::User=root -o APT::Install-Recommends=0
	-o Acquire::Languages=none -o Acquire::Retries=3 -o Acquire::Check-Valid-Until=false)

# mirror_of RELEASE: where this system has that from, in whichever style its
# sources are written
mirror_of()
{
	apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
		sed -n "s/^$1 main //p" | head -n 1
}

. /etc/os-release
mirror=$(mirror_of "$VERSION_CODENAME")
security=$(mirror_of "$VERSION_CODENAME-security")
[ -n "$mirror" ] || { echo "this system's sources have no release of Debian"; exit 1; }
key=/usr/share/keyrings/debian-archive-keyring.gpg
[ ! -e "$key" ] || key="[signed-by=$key]"
for suite in "${suites[@]}"; do
	case $suite in
		*-security) [ -z "$security" ] || echo "deb $key $security $suite main" ;;
		*) echo "deb $key $mirror $suite main" ;;
	esac
done >"$apt/sources.list"
# experimental is never preferred by itself
printf '%s\n' 'Package: postgresql-* libpq*' 'Pin: release a=experimental' 'Pin-Priority: 990' >"$apt/preferences"

apt-get "${options[@]}" update
if ! apt-cache "${options[@]}" policy "postgresql-server-dev-$major" | grep 'Candidate: [0-9]' >/dev/null; then
	echo "no postgresql-server-dev-$major in ${suites[*]}"
	exit 1
fi

# Of all that a bare system would install, the libraries
mapfile -t libraries < <(apt-get "${options[@]}" --print-uris -y install "postgresql-$major" |
	sed -nE "s/^'[^']*' ([^_]+)_.*/\1/p" |
	grep -E '^(lib|zlib)' | grep -vE '^lib(llvm|perl|z3-)|-perl$|-(common|bin|modules|data)$')
[ ${#libraries[@]} -gt 0 ] || { echo "postgresql-$major can not be installed from ${suites[*]}"; exit 1; }
mapfile -t packages < <(printf '%s\n' "${libraries[@]}" libpq5 libpq-dev \
	"postgresql-$major" "postgresql-client-$major" "postgresql-server-dev-$major" | sort -u)
(cd "$apt" && apt-get "${options[@]}" download "${packages[@]}")
for package in "$apt"/*.deb; do
	dpkg-deb -x "$package" "$folder"
done

# The libraries find each other through the RPATH of the program.
triplet=$(gcc -print-multiarch)
path=
for dir in "usr/lib/$triplet" "lib/$triplet" usr/lib lib; do
	[ ! -d "$folder/$dir" ] || path=${path:+$path:}$folder/$dir
done
interpreter=$(patchelf --print-interpreter /bin/true)
for loader in "$folder"{,/usr}"$interpreter" "$folder/"{usr/,}"lib/$triplet/${interpreter##*/}"; do
	[ ! -e "$loader" ] || break
done
lib=$folder/usr/lib/postgresql/$major
for program in "$lib"/bin/* "$lib"/lib/pgxs/src/test/*/*; do
	# no more than programs: not scripts, and not links to those of another package
	if [ -f "$program" ] && [ -x "$program" ] && [ "$(head -c 4 "$program" | tr -d '\0')" = $'\x7fELF' ]; then
		patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$path" "$program"
	fi
done

# The server's JIT would need all of LLVM; without its library it does without.
rm -f "$lib"/lib/llvmjit*
# The server was built by another gcc, which may know more warnings.
makefile=$lib/lib/pgxs/src/Makefile.global
for option in $(grep -oE -- ' -W[A-Za-z=0-9-]+' "$makefile" | sort -u); do
	[[ $(gcc "$option" -E -xc /dev/null 2>&1) != *unrecognized* ]] || sed -Ei "s/ $option( |\$)/\1/g" "$makefile"
done
rm -rf "$apt" "$folder"/usr/share/{doc,man,locale} "$folder/usr/share/postgresql/$major/man"
