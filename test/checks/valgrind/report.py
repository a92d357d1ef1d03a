"""valgrind_report.py SOURCES LOGS: counts memcheck's errors in the folder LOGS.

Prints those in whose stacks there is a file of the folder SOURCES, each once,
and fails if there are any; of all others it prints how many there are.  What
a hook passes on to standard_ProcessUtility() and the like is the server's own.
"""
import os
import re
import sys

sources, logs = sys.argv[1:]
ours, others, processes = {}, {}, 0
for name in sorted(os.listdir(logs)):
    with open(os.path.join(logs, name), errors="replace") as file:
        text = re.sub(r"^==\d+== ?", "", file.read(), flags=re.M)
    processes += 1
    # An error ends with an empty line; what it says of an address or an origin
    # is a part of it.
    for block in re.split(r"\n\s*\n", text):
        first = block.strip().split("\n")[0]
        if not re.search(r"^\s+(at|by) 0x", block, re.M):
            continue
        inner = re.sub(r"^\s+(?:at|by) 0x\w+: standard_\w+ .*(?:\n\s+by 0x.*)*", "", block, flags=re.M)
        where = ours if sources in inner else others
        stack = re.sub(r"0x[0-9A-F]+", "0x", block)
        where.setdefault((first, stack), []).append((name, block))

for (first, _), found in ours.items():
    print("-- %d times, first in process %s:\n%s\n" % (len(found), *found[0]))
print("%d processes; different errors in our code: %d, in what the server does by itself: %d"
      % (processes, len(ours), len(others)))
sys.exit(1 if ours else 0)
