#!/usr/bin/python3
"""Does the size that pool_monitor_sizing() recommends hold what it promises?

Two applications with a SQLAlchemy QueuePool each: transactions of one length,
and short and long ones mixed.  With the pool that they have, they get
"QueuePool limit ... reached".  With plenty of connections they are measured for
a minute, and sized.  With the size recommended, the same load runs without a
timeout and with waits within their target; with a third less it does not.

All the while, the pools' own status() is compared with our figures.
"""
import json
import os
import subprocess
import sys
import time

import psycopg2
from sqlalchemy import create_engine, text

from tap import PATIENCE, equal, finish, note, ok, wait_until

LOAD = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'sizing', 'pool_load.py')
WAIT_TARGET = 0.05  # seconds
PERCENTILE = 0.95
PLENTY = 26  # connections: more than either needs

# 18 connections busy on average.  The seeds are of streams whose first seconds
# are neither much busier nor much quieter than the rest.
LOADS = {
    'uniform': {'rate': 180, 'holds': [[1, 0.1]], 'seed': 4},
    'mixed': {'rate': 180, 'holds': [[0.9, 0.05], [0.1, 0.55]], 'seed': 2},
}


def near(got, expected, part, fact):
    ok(abs(got - expected) <= part * expected, fact, f'got {got}, expected {expected}')


class Observer:
    """A connection to look at the figures."""

    def __init__(self):
        self.connection = psycopg2.connect(application_name='observer')
        self.connection.autocommit = True
        self.cursor = self.connection.cursor()

    def row(self, sql, *arguments):
        self.cursor.execute(sql, arguments)
        return self.cursor.fetchone()

    def run(self, sql):
        self.cursor.execute(sql)

    def wait_until(self, sql, fact, *arguments, patience=PATIENCE):
        wait_until(lambda: self.row(sql, *arguments)[0], fact, patience)

    def declare(self, pools):
        self.cursor.execute('ALTER SYSTEM SET pool_monitor.pools = %s', (pools,))
        self.run('SELECT pg_reload_conf()')
        self.wait_until("SELECT current_setting('pool_monitor.pools') = %s", 'the pools are declared', pools)


class Running:
    """A load in a process of its own."""

    def __init__(self, name, application, pool_size, max_overflow=0, **more):
        self.name = name
        arguments = dict(LOADS[name], application=application, pool_size=pool_size,
                         max_overflow=max_overflow, pool_timeout=1, **more)
        self.process = subprocess.Popen([sys.executable, LOAD, json.dumps(arguments)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def wait_started(self):
        line = self.process.stdout.readline()
        if line != 'started\n':
            raise RuntimeError(f'the load did not start: {line}')

    def stop(self):
        self.process.stdin.close()

    def result(self):
        """Waits until it is over."""
        result = json.loads(self.process.stdout.readline())
        self.process.wait()
        if result['errors']:
            raise RuntimeError(result['errors'])
        return result


def run_both(sizes, suffix, **more):
    """Both loads at once, to their own ends; what came of them."""
    loads = [Running(name, name + suffix, *sizes[name], **more) for name in LOADS]
    for load in loads:
        load.wait_started()
    return {load.name: load.result() for load in loads}


def tell_comparison(what, result):
    comparison = result['comparison']
    samples = max(comparison['samples'], 1)
    note(f"{what}: {samples} times 100 ms apart, status() beside pool_monitor_pool_status():")
    for figure in ('checked_out', 'checked_in', 'overflow'):
        sums = comparison['sums']
        differ = comparison['differ'].get(figure, 0)
        note(f"    {figure}: {sums['own ' + figure] / samples:.2f} and {sums[figure] / samples:.2f} on average,"
             f" different {differ} times ({100 * differ / samples:.0f}%)")
        for reason, count in sorted(comparison['reasons'].items()):
            if reason.startswith(figure + ': '):
                note(f"        {count} times: {reason[len(figure) + 2:]}")


def test_comparison(what, result, capacity):
    """The server sees what the pool has, less what is outside of transactions."""
    tell_comparison(what, result)
    comparison = result['comparison']
    samples = comparison['samples']
    sums = comparison['sums']
    own, ours = sums['own checked_out'] / samples, sums['checked_out'] / samples
    ok(samples >= 20, f'{what}: there was enough to compare', f'{samples} samples')
    ok(own * 0.75 <= ours <= own * 1.02 + 0.5,
       f'{what}: as many are checked out as the pool says, less those outside of a transaction',
       f'{ours} checked out, the pool says {own}')
    total_own = own + sums['own checked_in'] / samples
    total = ours + sums['checked_in'] / samples
    ok(abs(total - total_own) <= 0.05 * capacity + 0.5, f'{what}: together they are the pool\'s connections',
       f'{total}, the pool says {total_own}')


def test_still_pool(observer):
    """Figures that do not move: what agrees, and what the server can not know."""
    engine = create_engine('postgresql+psycopg2://', connect_args={'application_name': 'still'},
                           pool_size=5, max_overflow=10, future=True)
    figures = "SELECT checked_out, checked_in, overflow, total_connections, status FROM pool_monitor_pools WHERE pool = 'still'"

    def settled(expected, fact):
        deadline = time.monotonic() + PATIENCE
        while (got := observer.row(figures)) != expected and time.monotonic() < deadline:
            time.sleep(0.02)
        equal(got, expected, fact)

    connections = [engine.connect() for _ in range(7)]
    for connection in connections:
        connection.execute(text('SELECT 1'))
    note(engine.pool.status())
    equal((engine.pool.checkedout(), engine.pool.overflow()), (7, 2), 'seven connections are checked out of the pool')
    settled((7, 0, 2, 7, 'overflow'), 'each in a transaction: the server sees the same')
    for connection in connections[:3]:
        connection.commit()
    note(engine.pool.status())
    equal(engine.pool.checkedout(), 7, 'after a commit they are still checked out of the pool')
    settled((4, 3, 2, 7, 'overflow'), 'but look checked in to the server')
    for connection in connections[3:]:
        connection.close()
    note(engine.pool.status())
    equal((engine.pool.checkedout(), engine.pool.checkedin(), engine.pool.overflow()), (3, 4, 2),
          'four are given back')
    settled((2, 5, 2, 7, 'overflow'), 'the server sees two of those that are not: they are beyond the size')
    for connection in connections[:3]:
        connection.close()
    note(engine.pool.status())
    equal((engine.pool.checkedout(), engine.pool.checkedin()), (0, 5), 'beyond its size the pool closes what it gets back')
    settled((0, 5, 0, 5, 'healthy'), 'and the server has five sessions left')
    engine.dispose()
    settled((0, 0, 0, 0, 'healthy'), 'and none when the pool is disposed of')


def test_too_small(observer):
    """5 and 10 more, as in so many applications."""
    loads = [Running(name, name + '-small', 5, 10, enough_timeouts=10) for name in LOADS]
    for load in loads:
        load.wait_started()
        observer.wait_until("SELECT status = 'exhausted' FROM pool_monitor_pools WHERE pool = %s",
                            f'{load.name}: pool_monitor sees the pool exhausted', load.name + '-small')
    for load in loads:
        result = load.result()
        ok(any('QueuePool limit of size 5 overflow 10 reached' in message for message in result['messages']),
           f'{load.name}: the application gets "QueuePool limit of size 5 overflow 10 reached"', result['messages'])
        test_comparison(f'{load.name}, 5 + 10', result, 15)


def in_minute(result, minute):
    """What the client had in that minute: transactions, and their load."""
    held = [held for done, held in result['transactions'] if minute <= done < minute + 60]
    return len(held), sum(held) / 60


def test_measure(observer):
    """With plenty of connections, for a whole minute; the sizes recommended."""
    loads = [Running(name, name, PLENTY) for name in LOADS]
    for load in loads:
        load.wait_started()
    minute = observer.row("SELECT extract(epoch FROM date_trunc('minute', clock_timestamp()))::bigint + 60")[0]
    # a minute counts if it began within the time asked about
    since = f"since => greatest(clock_timestamp() - to_timestamp({minute} - 1), '1 s')"
    observer.wait_until(
        f'SELECT count(*) = 2 FROM pool_monitor_sizing({since}) WHERE pool IS NULL AND application_name = ANY (%s)',
        'a whole minute is measured', list(LOADS), patience=150)

    for load in loads:
        load.stop()
    sizes = {}
    for load in loads:
        name = load.name
        result = load.result()
        equal(result['timeouts'], 0, f'{name}: with {PLENTY} connections there is no timeout')
        transactions, erlangs = in_minute(result, minute)
        row = observer.row(
            'SELECT arrival_rate, hold_time_mean, hold_time_cv, offered_load, recommended_pool_size,'
            ' expected_wait, saturated, note, peak_checked_out'
            f' FROM pool_monitor_sizing(%s, %s, {since}) WHERE pool IS NULL AND application_name = %s',
            f'{WAIT_TARGET} s', PERCENTILE, name)
        rate, hold, variation, offered, size, wait, saturated, remark, peak = row
        note(f'{name}: {rate:.1f}/s, {hold:.1f} ms, cv {variation:.2f}, {offered:.2f} erlangs'
             f' (the client has {transactions / 60:.1f}/s, {erlangs:.2f} erlangs), peak {peak};'
             f' size {size}, wait {wait:.1f} ms at {PERCENTILE}; {remark}')
        near(rate, transactions / 60, 0.03, f'{name}: the arrival rate is that of the client')
        # the client holds a connection a little longer than its transaction
        ok(erlangs * 0.8 <= offered <= erlangs * 1.03, f'{name}: so is the offered load',
           f'got {offered}, the client has {erlangs}')
        ok(not saturated, f'{name}: nothing was hidden')
        equal(observer.row(f'SELECT recommended_pool_size FROM pool_monitor_sizing(%s, %s, {since}) WHERE pool = %s',
                           f'{WAIT_TARGET} s', PERCENTILE, name)[0], size,
              f'{name}: the declared pool has the same recommendation')
        test_comparison(f'{name}, {PLENTY}', result, PLENTY)
        sizes[name] = size
    return sizes


def share_too_late(result):
    return sum(wait > WAIT_TARGET for wait in result['waits']) / max(len(result['waits']), 1)


def percentile_of(values, percentile):
    values = sorted(values)
    return values[min(int(len(values) * percentile), len(values) - 1)] if values else 0


def tell_waits(what, result):
    note(f"{what}: {result['arrivals']} arrivals, {result['timeouts']} timeouts,"
         f" {100 * share_too_late(result):.1f}% waited longer than {1000 * WAIT_TARGET:.0f} ms,"
         f" the wait at {PERCENTILE} was {1000 * percentile_of(result['waits'], PERCENTILE):.1f} ms,"
         f" arrivals were late by {1000 * percentile_of(result['late'], PERCENTILE):.1f} ms at {PERCENTILE}")


def test_recommended(sizes):
    for name, result in run_both({name: (size, 0) for name, size in sizes.items()}, '-right', seconds=25).items():
        what = f'{name}, {sizes[name]} as recommended'
        tell_waits(what, result)
        ok(result['arrivals'] > 25 * LOADS[name]['rate'] * 0.9, f'{what}: it is the same load', result['arrivals'])
        equal(result['timeouts'], 0, f'{what}: there is not a single timeout')
        ok(share_too_late(result) <= 1 - PERCENTILE, f'{what}: waits are within their target')
        test_comparison(what, result, sizes[name])


def test_third_less(sizes):
    less = {name: size * 2 // 3 for name, size in sizes.items()}
    for name, result in run_both({name: (size, 0) for name, size in less.items()}, '-less', seconds=12).items():
        what = f'{name}, {less[name]}: a third less'
        tell_waits(what, result)
        ok(share_too_late(result) > 1 - PERCENTILE, f'{what}: waits are not within their target')
        ok(result['timeouts'] > 0, f'{what}: there are timeouts')
        test_comparison(what, result, less[name])


def main():
    observer = Observer()
    observer.run('CREATE EXTENSION IF NOT EXISTS pool_monitor')
    pools = ['still: application=still size=5 overflow=10']
    for name in LOADS:
        pools += [f'{name}-small: application={name}-small size=5 overflow=10', f'{name}: application={name} size={PLENTY}']
    observer.declare('; '.join(pools))
    test_still_pool(observer)
    test_too_small(observer)
    sizes = test_measure(observer)
    test_recommended(sizes)
    test_third_less(sizes)
    observer.run('ALTER SYSTEM RESET pool_monitor.pools')
    observer.run('SELECT pg_reload_conf()')
    finish()


main()
