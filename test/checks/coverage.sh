# shellcheck shell=bash
# coverage.sh [quick|all [MINIMUM]]: which lines of src/ do the tests run?
#
# Builds the extension with gcov's counters, runs test/run.sh with it, and
# prints the share of lines for each file and for all.  "all", which is the
# default, takes about 20 minutes; "quick" leaves out what test/run.sh quick
# does, and is no measure.  Fails if a test failed, or under MINIMUM percent.
#
# A process that is killed, or whose server is stopped at once, as the TAP tests
# stop theirs, writes no counts: the figures are lower bounds.
#
#   MINIMUM    the least share of lines, in percent (default: 90)
#   KEEP=1     keeps the temporary folder; the lines that no test ran are in
#              its file "uncovered"
#
# needs: build test clients integration fuzz / gcovr

mode=${1:-all}
minimum=${2:-90}

status=0

# A session that ends adds its counts to the file of each object, under a lock.
# They are atomic, since signal handlers count too.
PROFILE='--coverage -O0 -fprofile-update=atomic' bash test/run.sh "$mode" || status=1

# The library is made of build/src, the unit tests of source/src: the same
# files, so their counts are added by name.
for part in build source; do
	gcovr --root "$PMON_WORK/$part" --filter 'src/' --json "$PMON_WORK/$part.json" \
		"$PMON_WORK/build" "$PMON_WORK/unit"
done
gcovr --root "$PMON_WORK/source" --add-tracefile "$PMON_WORK/build.json" --add-tracefile "$PMON_WORK/source.json" \
	--json-summary "$PMON_WORK/summary.json" --json "$PMON_WORK/lines.json"
python3 - "$minimum" "$PMON_WORK/summary.json" <<'PYTHON' || status=1
import json, sys

minimum, summary = float(sys.argv[1]), json.load(open(sys.argv[2]))
row = "%-28s %7s %7s %8s"
print(row % ("file", "lines", "run", "percent"))
for f in sorted(summary["files"], key=lambda f: f["filename"]) + [dict(summary, filename="all of src/")]:
    share = 100.0 * f["line_covered"] / f["line_total"]
    print(row % (f["filename"], f["line_total"], f["line_covered"], "%.1f" % share))
if share < minimum:
    sys.exit("coverage: %.1f%% of the lines, less than %g%%" % (share, minimum))
PYTHON
python3 - "$PMON_WORK/lines.json" <<'PYTHON' >"$PMON_WORK/uncovered"
import json, sys

for f in json.load(open(sys.argv[1]))["files"]:
    for number in sorted({l["line_number"] for l in f["lines"]
                          if not l["count"] and not l.get("gcovr/noncode")}):
        print("%s:%d: %s" % (f["file"], number, open(f["file"]).read().split("\n")[number - 1]))
PYTHON
exit $status
