#!/usr/bin/python3
"""An application under load: a SQLAlchemy QueuePool, many threads, and
transactions that arrive at random at a known rate and hold a connection for a
known time.

Arrivals do not wait for each other (an open loop): each has a thread of its
own, and asks the pool at its time, however many others are waiting.

The argument is a JSON object, see Load.  Prints "started" when the pool has
its connections and the load begins, and the result as JSON when it is over:
after "seconds", after "enough_timeouts", or when standard input ends.
"""
import json
import random
import re
import sys
import threading
import time
from collections import Counter

import psycopg2
from sqlalchemy import create_engine, exc, text

STATUS = re.compile(
    r'Pool size: (?P<size>\d+) +Connections in pool: (?P<checked_in>\d+) +'
    r'Current Overflow: (?P<overflow>-?\d+) +Current Checked out connections: (?P<checked_out>-?\d+)')
FIGURES = ('checked_out', 'checked_in', 'overflow')


class Load:
    def __init__(self, application, pool_size, max_overflow, pool_timeout, rate, holds, seed,
                 seconds=None, enough_timeouts=None, threads=280):
        self.application = application
        self.pool_size = pool_size
        self.max_overflow = max_overflow
        self.engine = create_engine(
            'postgresql+psycopg2://', connect_args={'application_name': application},
            pool_size=pool_size, max_overflow=max_overflow, pool_timeout=pool_timeout, future=True)
        self.rate = rate  # a second
        self.holds = holds  # pairs of probability and seconds
        self.random = random.Random(seed)
        self.seconds = seconds
        self.enough_timeouts = enough_timeouts
        self.threads = threads

        self.lock = threading.Lock()
        self.over = threading.Event()
        self.next_at = 0.0
        self.started = None
        self.transactions = []  # when each ended, by the wall clock; how long it held its connection
        self.waits = []
        self.late = []
        self.timeouts = 0
        self.messages = set()
        self.errors = set()
        self.comparison = Comparison(self)

    def next_arrival(self):
        """The next one's time, in seconds after the start, and its hold time."""
        with self.lock:
            self.next_at += self.random.expovariate(self.rate)
            hold = self.random.choices([h for _, h in self.holds], [p for p, _ in self.holds])[0]
            return self.next_at, hold

    def serve(self):
        """A thread: takes one arrival after the other."""
        while True:
            at, hold = self.next_arrival()
            if self.seconds is not None and at > self.seconds:
                return
            if self.over.wait(max(self.started + at - time.monotonic(), 0)):
                return
            try:
                self.one_transaction(self.started + at, hold)
            except exc.DBAPIError as error:
                self.errors.add(str(error))
                self.over.set()

    def one_transaction(self, at, hold):
        asked = time.monotonic()
        try:
            connection = self.engine.connect()
        except exc.TimeoutError as error:
            with self.lock:
                self.timeouts += 1
                self.messages.add(error.args[0])
                self.waits.append(time.monotonic() - asked)
                if self.enough_timeouts is not None and self.timeouts >= self.enough_timeouts:
                    self.over.set()
            return
        got = time.monotonic()
        with connection:
            connection.execute(text('SELECT pg_sleep(:hold)'), {'hold': hold})
            connection.commit()
            done = time.time()
            held = time.monotonic() - got
        with self.lock:
            self.late.append(asked - at)
            self.waits.append(got - asked)
            self.transactions.append((done, held))

    def open_connections(self):
        """Fill the pool, so that nobody has to wait for a login."""
        for connection in [self.engine.connect() for _ in range(self.pool_size)]:
            connection.close()

    def run(self):
        self.open_connections()
        self.started = time.monotonic() + 0.2
        threads = [threading.Thread(target=self.serve) for _ in range(self.threads)]
        threading.Thread(target=self.stop_at_end_of_input, daemon=True).start()
        for thread in threads:
            thread.start()
        compare = threading.Thread(target=self.comparison.run)
        compare.start()
        print('started', flush=True)
        for thread in threads:
            thread.join()
        self.over.set()
        compare.join()
        self.engine.dispose()

    def stop_at_end_of_input(self):
        sys.stdin.read()
        self.over.set()

    def result(self):
        return {
            'arrivals': len(self.waits), 'timeouts': self.timeouts, 'messages': sorted(self.messages), 'errors': sorted(self.errors),
            'waits': self.waits, 'late': self.late, 'transactions': self.transactions,
            'comparison': self.comparison.result(),
        }


class Comparison:
    """Every 100 ms, what the pool says of itself and what pool_monitor says."""

    def __init__(self, load):
        self.load = load
        self.samples = 0
        self.differ = Counter()
        self.reasons = Counter()
        self.sums = Counter()

    def own_status(self):
        found = STATUS.match(self.load.engine.pool.status())
        return {name: int(value) for name, value in found.groupdict().items()}

    def run(self):
        connection = psycopg2.connect(application_name='comparison')
        connection.autocommit = True
        with connection.cursor() as cursor:
            while not self.load.over.wait(0.1):
                before = self.own_status()
                cursor.execute(
                    'SELECT checked_out, checked_in, overflow FROM pool_monitor_pool_status(%s, %s, %s)',
                    (self.load.pool_size, self.load.max_overflow, self.load.application))
                ours = dict(zip(FIGURES, cursor.fetchone()))
                self.compare(before, ours, self.own_status())
        connection.close()

    def compare(self, before, ours, after):
        self.samples += 1
        for figure in FIGURES:
            # SQLAlchemy counts its overflow from minus pool_size up
            low, high = sorted(max(side[figure], 0) for side in (before, after))
            self.sums[figure] += ours[figure]
            self.sums['own ' + figure] += (low + high) / 2
            if low <= ours[figure] <= high:
                continue
            self.differ[figure] += 1
            self.reasons[figure + ': ' + self.reason(figure, ours[figure] < low, ours, before, after)] += 1

    @staticmethod
    def reason(figure, ours_is_less, ours, before, after):
        totals = sorted(side['checked_out'] + side['checked_in'] for side in (before, after))
        if figure == 'overflow' or not totals[0] <= ours['checked_out'] + ours['checked_in'] <= totals[1]:
            return 'a connection is being opened or closed'
        if ours_is_less == (figure == 'checked_out'):
            return 'checked out, but not in a transaction yet or any more'
        return 'changed while it was read'

    def result(self):
        return {'samples': self.samples, 'differ': self.differ, 'reasons': self.reasons, 'sums': self.sums}


def main():
    threading.stack_size(512 * 1024)
    load = Load(**json.loads(sys.argv[1]))
    load.run()
    print(json.dumps(load.result()), flush=True)


if __name__ == '__main__':
    main()
