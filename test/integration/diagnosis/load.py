"""Pools whose size is told by minutes of load: one that is too small, two that
are too large, and one that is busy and fits."""
import random
import threading
import time

from sqlalchemy import create_engine, event, text

from server import HOST, Observer, as_text, connect, of, run
from tap import finish, note, ok

stop = threading.Event()


def load(application, size, overflow, threads, think, hold):
    """Threads that take a connection of one pool, hold it, and wait think
    times as long on average as it was held in fact: a busy machine, on which
    all of it takes longer, does not make it another load."""
    engine = create_engine('postgresql+psycopg2://', pool_size=size, max_overflow=overflow, pool_timeout=60,
                           connect_args={'host': HOST, 'user': 'app', 'dbname': 'postgres',
                                         'application_name': application})

    def work():
        while not stop.is_set():
            with engine.connect() as connection:
                since = time.monotonic()
                connection.execute(text(f'SELECT pg_sleep({hold})'))
            held = time.monotonic() - since
            time.sleep(random.expovariate(1 / (think * held)) if think else 0)

    return [threading.Thread(target=work, daemon=True) for _ in range(threads)]


observer = Observer()
observer.rows('CREATE EXTENSION pool_monitor')
observer.rows('CREATE ROLE app LOGIN')
# all of it is open, one of it is used
open_but_idle = [connect('mostly-idle') for _ in range(11)]
workers = (load('small', 1, 1, 6, 0, 0.02) + load('oversized', 2, 18, 1, 0.5, 0.01) +
           load('mostly-idle', 1, 0, 1, 0.5, 0.01) + load('seventy', 10, 0, 40, 4.9, 0.1))
# All of them begin at once, so for a moment each pool is full.  That is the end of a
# minute, of which there is nothing else: no reason to call a pool too small.
time.sleep((59.5 - time.time()) % 60)
for worker in workers:
    worker.start()


def settled():
    """Is each of them found for what it is?"""
    global found
    found = observer.findings()
    return (found[0]['subject'] == 'small' and found[0]['severity'] == 'critical' and of(found, 'pool_oversized', 'oversized') and
            of(found, 'pool_mostly_idle', 'idle'))


found = []
observer.until(settled, 'the minutes of the load were told', patience=180)
small = of(found, 'pool_too_small', 'small')
ok(found[0] == small and small['severity'] == 'critical', 'load, and a pool that is too small for it: pool_too_small', as_text(found))
ok('connections with its overflow' in small['remedy'] or 'with its overflow instead of 2' in small['remedy'],
   'with a size', small['remedy'])
for finding, pool in (('pool_oversized', 'oversized'), ('pool_mostly_idle', 'idle')):
    row = of(found, finding, pool)
    ok(row and row['severity'] == 'notice' and 'connections' in row['remedy'] or 'open' in row['remedy'],
       f'a pool that is larger than it needs: {finding}', as_text(found))
    note(f"{row['evidence']} | {row['remedy']}")
note(f"{small['evidence']} | {small['remedy']}")
seventy = [row for row in found if row['subject'] == 'seventy']
ok(all(row['severity'] == 'notice' for row in seventy), 'healthy: a pool at 70%', as_text(seventy))
note(observer.rows("SELECT offered_load, peak_checked_out FROM pool_monitor_sizing() WHERE pool = 'seventy'"))
ok(not any(row['finding'].startswith('leak') for row in found), 'and nobody leaks', as_text(found))

# A leak in the pool that is too small: then no size is said any more.
engine = create_engine('postgresql+psycopg2://', connect_args={'host': HOST, 'user': 'app', 'dbname': 'postgres',
                                                               'application_name': 'small'})
leaked = [engine.connect() for _ in range(2)]
for session in leaked:
    session.execute(text('SELECT 1'))
observer.rows("ALTER SYSTEM SET pool_monitor.leak_threshold = '1s'")
observer.rows('SELECT pg_reload_conf()')
found = observer.first('a leak in it', 'leak_in_transaction', 'small')
row = of(found, 'pool_too_small', 'small')
ok(row and 'Explained by leak_in_transaction' in row['evidence'] and 'No size is recommended' in row['remedy'],
   'explains that it is full, and no size is recommended', as_text(found))
stop.set()
finish()
