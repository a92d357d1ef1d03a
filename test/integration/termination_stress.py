#!/usr/bin/python3
"""The short form of "test/run.sh check stress": for some seconds, sessions are ended while
their clients are about to speak; then the same by hand, from SQL, which shows
that this would notice.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'checks', 'stress'))

import stress  # pylint: disable=wrong-import-position

facts = []
for method, seconds in (('pool_monitor', 16), ('sql', 6)):
    verdict = stress.run(seconds, method=method)
    print(f'# {method}')
    stress.describe(verdict)
    facts += stress.facts_of(verdict, method, 100 if method == 'pool_monitor' else None)
sys.exit(stress.report(facts))
