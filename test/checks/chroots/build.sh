#!/usr/bin/env bash
# build.sh FOLDER: builds the packages from the sources in /root/FOLDER, and
# leaves them in /tmp/build.  Lines that begin with == are for the check's output.
set -euo pipefail

mkdir /tmp/build
mv "/root/$1" /tmp/build
useradd --create-home builder
cd "/tmp/build/$1"

apt-get update -q
apt-get install -qy --no-install-recommends build-essential fakeroot lintian
apt-get build-dep -qy --no-install-recommends ./
chown -R builder: /tmp/build

# debian/control is for Debian 12's server: say that it may be another
runuser -u builder -- env HOME=/home/builder PG_UPDATECONTROL=yes dpkg-buildpackage -us -uc -b >/tmp/build/log 2>&1 ||
	{ cat /tmp/build/log; exit 1; }
cat /tmp/build/log
for deb in ../*.deb; do echo "== built ${deb##*/}"; done
passed=$(grep -cE '^(test .* ok |ok [0-9]+ +[-+] )' /tmp/build/log)
wanted=$(ls test/sql/*.sql | wc -l)
majors=$(pg_buildext supported-versions | wc -w)
echo "== $passed regression tests passed while it was built"
[ "$passed" = $((wanted * majors)) ]

runuser -u builder -- env HOME=/home/builder lintian --fail-on error,warning ../*.changes
echo "== $(lintian --version): nothing"

# the sources are as they were, but for the list of versions
runuser -u builder -- env HOME=/home/builder PG_UPDATECONTROL=yes fakeroot debian/rules clean
