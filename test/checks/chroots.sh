# shellcheck shell=bash
# chroots.sh [SUITE...]: the Debian packages on bare systems
#
# For each of these releases of Debian, by default bookworm and trixie: a bare
# system made by debootstrap, and a copy of it.  In the copy the package is built,
# by a user without rights, for every version of the server that the release has,
# and looked at by the release's own lintian; in the other, where nothing else was
# installed, it is used and purged.  See chroots/build.sh and chroots/use.sh.
#
# Whatever runs in a chroot has name spaces of its own for mounts and processes:
# when it ends, or we do, nothing of these is left, and this system never sees the
# mounts.  The archive is the one that this system installs from.
#
# runs as root
# needs: / debootstrap

failed=0
suites=("$@")
[ ${#suites[@]} -gt 0 ] || suites=(bookworm trixie)

# fail WHAT [FILE]: a finding, and the end of the log that shows it
fail()
{
	echo "$1"
	[ $# -lt 2 ] || tail -n 40 "$2" | cut -c 1-300
	failed=1
}

# apart COMMAND...: runs it where its mounts and processes end with it
apart()
{
	unshare --mount --propagation private --pid --ipc --fork --kill-child -- "$@"
}

# inside ROOT SCRIPT [ARGUMENT...]: runs one of chroots/ in this system
inside()
{
	local root=$1 script=$2

	shift 2
	cp "test/checks/chroots/$script.sh" "$root/root/$script.sh"
	# shellcheck disable=SC2016 # for the shell that mounts
	apart sh -euc '
		root=$1 archives=$2 script=$3; shift 3
		mount -t proc proc "$root/proc"
		mount -t tmpfs tmpfs "$root/dev/shm"
		mount --bind "$archives" "$root/var/cache/apt/archives"
		exec chroot "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
			PATH=/usr/sbin:/usr/bin:/sbin:/bin bash "/root/$script.sh" "$@"' \
		sh "$root" "$archives" "$script" "$@"
}

# mirror_of RELEASE: where this system has that from
mirror_of()
{
	apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
		sed -n "s/^$1 main //p" | head -n 1
}

# bare_system SUITE ROOT: and its copy, ROOT-build
bare_system()
{
	local suite=$1 root=$2 script=

	# a release that debootstrap has not heard of is made as the latest one is
	[ -e "/usr/share/debootstrap/scripts/$suite" ] || script=/usr/share/debootstrap/scripts/sid
	# shellcheck disable=SC2086 # the script is optional
	apart debootstrap --variant=minbase "$suite" "$root" "$mirror" $script >"$root.log" 2>&1 || return 1

	{
		echo "deb $mirror $suite main"
		[ -z "$security" ] || [ "$suite" = sid ] || echo "deb $security $suite-security main"
	} >"$root/etc/apt/sources.list"
	cp /etc/resolv.conf "$root/etc"
	# nothing starts by itself
	printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
	chmod 755 "$root/usr/sbin/policy-rc.d"
	mkdir -p "$root/etc/postgresql-common/createcluster.d"
	echo 'create_main_cluster = false' >"$root/etc/postgresql-common/createcluster.d/none.conf"
	# a mirror may stand still
	echo 'Acquire::Check-Valid-Until "false";' >"$root/etc/apt/apt.conf.d/valid"
	echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/unsafe-io"
	cp -a "$root" "$root-build"
}

# check_suite SUITE
check_suite()
{
	local suite=$1 root=$PMON_WORK/$1 archives=$PMON_WORK/$1.archives start=$SECONDS deb major debs=()

	echo "=== $suite"
	mkdir -p "$archives/partial"
	if ! bare_system "$suite" "$root"; then
		fail "debootstrap makes no $suite" "$root.log"
		return
	fi
	echo "a bare $suite, $(du -sm "$root" | cut -f 1) MB: $((SECONDS - start)) s"

	cp -a . "$root-build/root/pool-monitor-$version"
	if ! inside "$root-build" build "pool-monitor-$version" >"$root.build.log" 2>&1; then
		fail "the package does not build" "$root.build.log"
		return
	fi
	sed -n 's/^== //p' "$root.build.log"

	debs=("$root-build/tmp/build/"postgresql-*-pool-monitor_*.deb)
	[ ${#debs[@]} -gt 0 ] || fail "there is no package"
	for deb in "${debs[@]}"; do
		major=${deb##*/postgresql-}
		major=${major%%-*}
		cp "$deb" "$root/root/"
		rm -rf "$root/root/source"
		cp -a . "$root/root/source"
		inside "$root" use "$major" "${deb##*/}" >"$root.use.log" 2>&1 ||
			fail "PostgreSQL $major: the package does not work" "$root.use.log"
		sed -n 's/^== //p' "$root.use.log"
	done
	echo "$suite: $((SECONDS - start)) s"
}

. /etc/os-release
version=$(sed -n "s/^default_version = '\(.*\)'/\1/p" pool_monitor.control)
mirror=$(mirror_of "$VERSION_CODENAME")
security=$(mirror_of "$VERSION_CODENAME-security")
[ -n "$mirror" ] || { echo "this system's sources have no release of Debian"; exit 1; }
for suite in "${suites[@]}"; do
	check_suite "$suite"
done
if grep -F " $PMON_WORK/" /proc/self/mountinfo; then
	fail "there are mounts left"
fi
[ $failed -eq 0 ] && echo "no finding"
exit $failed
