#!/usr/bin/python3
"""What the server says is checked out, beside what the pools themselves say:
SQLAlchemy's QueuePool in autocommit, as one process and as two, under loads
that hold connections outside of transactions, in bursts, with leaks until the
pool is dead, with connections replaced by age; asyncpg's pool, which closes what
is free.  Never more than the truth, and nearly all of it when a pool raises its
"limit reached".

A reading counts where the truth was the same before and after it, and had been
for 40 ms: what the server says is of its last sample.
"""
import asyncio
import atexit
import os
import random
import subprocess
import sys
import threading
import time

import asyncpg
import psycopg2
from sqlalchemy import create_engine, exc, text

from tap import equal, finish, note, ok, wait_for, wait_until

SETTLED = 0.04
SECONDS = float(os.environ.get('CHECKED_OUT_SECONDS', 4))
POOLS = 'truth: application=truth size=5 overflow=10; pair: application=pair size=5 overflow=5 instances=2; closing: application=closing size=6 closes_idle=1s'


def connect(**options):
    connection = psycopg2.connect(dbname='postgres', **options)
    connection.autocommit = True
    return connection


def run(sql):
    observer.execute(sql)


def values(sql):
    observer.execute(sql)
    return observer.fetchone()


def undo():
    for name in ('pools', 'sample_interval', 'leak_threshold'):
        run(f'ALTER SYSTEM RESET pool_monitor.{name}')
    run('SELECT pg_reload_conf()')


def configure():
    run('CREATE EXTENSION IF NOT EXISTS pool_monitor')
    run(f"ALTER SYSTEM SET pool_monitor.pools = '{POOLS}'")
    run("ALTER SYSTEM SET pool_monitor.sample_interval = '10ms'")
    run("ALTER SYSTEM SET pool_monitor.leak_threshold = '2s'")
    run('SELECT pg_reload_conf()')
    atexit.register(undo)


class Truth:
    """How many the pool has checked out, and when that has changed last"""

    def __init__(self, checked_out):
        self.checked_out = checked_out
        self.changed = time.monotonic()

    def touch(self):
        self.changed = time.monotonic()

    def read(self):
        changed = self.changed
        return self.checked_out(), changed


def compare(label, pool, truth, running):
    """Reads both until the load is over; the share that is seen, and how often it is more"""
    seen = real = n = more = 0
    worst = None
    while running():
        before, changed = truth.read()
        ours, status, total = values(f"SELECT checked_out, status, total_connections FROM pool_monitor_pools WHERE pool = '{pool}'")
        after, changed_after = truth.read()
        if changed == changed_after and before == after and time.monotonic() - changed >= SETTLED:
            n += 1
            seen += ours
            real += before
            if ours > before:
                more += 1
                worst = max(worst or (0,), (ours - before, ours, before, total))
        time.sleep(0.01)
    note(f'{label}: {n} readings, {seen / max(real, 1):.0%} of what was checked out is seen; more than that in {more}' + (f', worst {worst}' if worst else ''))
    return n, seen / max(real, 1), more


def engine(application, size, overflow, **options):
    return create_engine('postgresql+psycopg2://', pool_size=size, max_overflow=overflow, isolation_level='AUTOCOMMIT',
                         connect_args={'dbname': 'postgres', 'application_name': application}, future=True, **options)


class Load:
    """Threads that take a connection, run a statement, hold it, and give it back"""

    def __init__(self, pool, threads, hold, pause, seconds=SECONDS, leak=0.0):
        self.truth, self.pool, self.ends = Truth(pool.pool.checkedout), pool, time.monotonic() + seconds
        self.hold, self.pause, self.leak = hold, pause, leak
        self.leaked, self.limits = [], 0
        self.threads = [threading.Thread(target=self.work, args=(seed,)) for seed in range(threads)]
        for thread in self.threads:
            thread.start()

    def work(self, seed):
        dice = random.Random(seed)
        while time.monotonic() < self.ends:
            self.request(dice)
            time.sleep(self.pause(dice))

    def request(self, dice):
        self.truth.touch()
        try:
            connection = self.pool.connect()
        except exc.TimeoutError:
            self.limits += 1
            return
        self.truth.touch()
        connection.execute(text('SELECT 1'))
        time.sleep(self.hold(dice))
        if dice.random() < self.leak:
            self.leaked.append(connection)
            return
        self.truth.touch()
        connection.close()
        self.truth.touch()

    def running(self):
        return any(thread.is_alive() for thread in self.threads)


def gone(application):
    wait_until(lambda: values(f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{application}'")[0] == 0, f'{application} is gone')
    # what comes later must not be taken for a replacement
    samples = values('SELECT samples FROM pool_monitor_info')[0]
    wait_for(lambda: values('SELECT samples FROM pool_monitor_info')[0] >= samples + 2)


def loads():
    cases = (
        ('steady', 8, lambda dice: dice.uniform(0.05, 0.3), lambda dice: dice.uniform(0.05, 0.3), {}),
        ('held for long, seldom', 14, lambda dice: dice.uniform(0.3, 0.8), lambda dice: dice.uniform(0.3, 2), {}),
        ('bursts', 15, lambda dice: 0.3, lambda dice: 1 - time.time() % 1, {}),
        ('more than the pool', 24, lambda dice: dice.uniform(0.1, 0.4), lambda dice: 0.01, {'pool_timeout': 0.2}),
        ('replaced by age', 8, lambda dice: dice.uniform(0.1, 0.3), lambda dice: dice.uniform(0.1, 0.3), {'pool_recycle': 1}),
    )
    for label, threads, hold, pause, options in cases:
        pool = engine('truth', 5, 10, **options)
        load = Load(pool, threads, hold, pause)
        n, share, more = compare(label, 'truth', load.truth, load.running)
        ok(n > 0 and more == 0, f'{label}: never more than the truth')
        leaks_found = values("""SELECT (SELECT count(*) FROM pool_monitor_leaks WHERE pool = 'truth'),
                                       (SELECT count(*) FROM pool_monitor_diagnosis() WHERE finding LIKE 'leak%' AND subject = 'truth')""")
        equal(leaks_found, (0, 0), f'{label}: no leak is named')
        pool.dispose()
        gone('truth')


def dies_at_once():
    """Each request forgets its connection: the worst of leaks, and the pool's limit."""
    pool, taken = engine('truth', 5, 10, pool_timeout=0.5), []
    try:
        while True:
            taken.append(pool.connect())
            taken[-1].execute(text('SELECT 1'))
    except exc.TimeoutError as error:
        ours = values("SELECT checked_out, checked_out_proven FROM pool_monitor_pools WHERE pool = 'truth'")
        ok('limit of size 5 overflow 10 reached' in str(error), 'QueuePool reaches its limit')
    ok(14 <= ours[0] <= 15, 'of which at least fourteen are seen', ours)
    for connection in taken:
        connection.close()
    pool.dispose()
    gone('truth')


def leaks():
    """One request in some forgets its connection, until there are none left."""
    pool = engine('truth', 5, 10, pool_timeout=1)
    load = Load(pool, 4, lambda dice: 0.02, lambda dice: 0.02, leak=0.05, seconds=60)
    reached = []

    def at_the_limit():
        if load.limits and not reached:
            reached.append(values("SELECT checked_out, status FROM pool_monitor_pools WHERE pool = 'truth'"))
            load.ends = 0
        return load.running()

    _, _, more = compare('leaks', 'truth', load.truth, at_the_limit)
    ok(more == 0, 'leaks: never more than the truth')
    note(f'at "limit reached": {reached}')
    # those that were used again after the last one was opened are not proven
    ok(reached and 10 <= reached[0][0] <= 15, 'when the pool says that its limit is reached, its overflow at least is seen', reached)
    equal(pool.pool.checkedout(), 15, 'all of it is checked out')
    wait_until(lambda: values("SELECT count(*) FROM pool_monitor_diagnosis() WHERE finding = 'leak_not_returned' AND subject = 'truth'")[0] == 1,
               'the diagnosis says that they are not given back')
    ok(values("SELECT last_exhausted_at > now() - interval '1 min' FROM pool_monitor_pools WHERE pool = 'truth'")[0], 'and when the pool was full')
    for connection in load.leaked:
        connection.close()
    pool.dispose()
    gone('truth')


def worker():
    """A process of its own with a pool of its own: holds as many as each line says"""
    pool, held = engine('pair', 5, 5), []
    for line in sys.stdin:
        while len(held) < int(line):
            held.append(pool.connect())
            held[-1].execute(text('SELECT 1'))
        while len(held) > int(line):
            held.pop().close()
        print(pool.pool.checkedout(), flush=True)
    pool.dispose()


def processes():
    """Two processes, each with a pool: what is beyond the sizes of both is out."""
    workers = [subprocess.Popen([sys.executable, __file__, 'worker'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for wanted in ((1, 1), (5, 5), (10, 2), (10, 10), (3, 10), (0, 10), (0, 0)):
        truth = 0
        for process, n in zip(workers, wanted):
            print(n, file=process.stdin, flush=True)
            truth += int(process.stdout.readline())
        time.sleep(SETTLED)
        ours, total, status = values("SELECT checked_out, total_connections, status FROM pool_monitor_pools WHERE pool = 'pair'")
        note(f'two processes hold {wanted}: {ours} of {total} are seen, {status}')
        ok(max(0, total - 10) <= ours <= truth, f'two processes that hold {wanted}: never more, and what is beyond the sizes', (ours, truth, total))
    for process in workers:
        process.communicate()
    gone('pair')


async def closing():
    """asyncpg closes what is free; what is not returned is proven by its age."""
    pool = await asyncpg.create_pool(host=os.environ['PGHOST'], port=int(os.environ['PGPORT']), user=os.environ.get('PGUSER'), database='postgres', min_size=0, max_size=6,
                                     max_inactive_connection_lifetime=1, server_settings={'application_name': 'closing'})
    held = [await pool.acquire() for _ in range(6)]
    for connection in held:
        await connection.fetchval('SELECT 1')
    for connection in held[:2]:
        await pool.release(connection)
    more, deadline = 0, time.monotonic() + 60
    while time.monotonic() < deadline:
        ours, proven, leaks, total = values("""SELECT checked_out, checked_out_proven, (SELECT count(*) FROM pool_monitor_leaks WHERE pool = 'closing'), total_connections
                                                 FROM pool_monitor_pools WHERE pool = 'closing'""")
        more += ours > 4
        if leaks == 4:
            break
        await asyncio.sleep(0.02)
    equal((ours, proven, leaks, total, more), (4, 4, 4, 4, 0), 'asyncpg: what is not returned is checked out, and no more than that')
    for connection in held[2:]:
        await pool.release(connection)
    equal(values("SELECT checked_out, checked_out_proven FROM pool_monitor_pools WHERE pool = 'closing'"), (0, 0), 'when it is returned, it is not')
    await pool.close()


if sys.argv[1:] == ['worker']:
    worker()
elif __name__ == '__main__':
    observer = connect(application_name='observer').cursor()
    configure()
    loads()
    dies_at_once()
    leaks()
    processes()
    asyncio.run(closing())
    finish()
