"""The Test Anything Protocol for the tests in Python.  Each test prints its
line at once; finish() prints how many there were, without which prove takes
them for cut short."""
import sys
import time

PATIENCE = 60  # seconds
POLL = 0.05
# Where several programs print one list, numbers would repeat.
numbered = True
_tests = 0


def ok(holds, fact, why=None):
    """One test; WHY is told if it fails."""
    global _tests
    _tests += 1
    number = f' {_tests}' if numbered else ''
    print(f"{'ok' if holds else 'not ok'}{number} - {fact}", flush=True)
    if not holds and why is not None:
        diag(why)


def equal(got, expected, fact):
    ok(got == expected, fact, f'got {got}\nexpected {expected}')


def _as_comment(text):
    return '\n'.join(f'# {line}' for line in str(text).splitlines())


def note(text):
    print(_as_comment(text), flush=True)


def diag(text):
    """What prove shows, too"""
    print(_as_comment(text), file=sys.stderr, flush=True)


def wait_for(holds, patience=PATIENCE):
    """Polls; returns whether that came to hold in time."""
    deadline = time.monotonic() + patience
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
    return True


def wait_until(holds, fact, patience=PATIENCE):
    """Polls, and makes that a test."""
    ok(wait_for(holds, patience), fact, 'this did not happen in time')


def finish():
    print(f'1..{_tests}')
