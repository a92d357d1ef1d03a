#!/usr/bin/python3
"""Real pools beside what the server says of them: SQLAlchemy's QueuePool with
its events, asyncpg's pool, and PgBouncer in transaction and in session mode
with its SHOW POOLS and the application names that the server sees.

A connection that is checked out but idle outside of a transaction looks
checked in to the server, so that is compared too.
"""
import asyncio
import atexit
import os
import socket
import subprocess
import tempfile
import time
from collections import Counter

import asyncpg
import psycopg2
import psycopg2.extras
from sqlalchemy import create_engine, event, exc, text

from tap import PATIENCE, equal, finish, ok, wait_until

DATABASE = 'client_pools'


def connect(**options):
    connection = psycopg2.connect(**{'dbname': DATABASE, **options})
    connection.autocommit = True
    return connection


def run(sql):
    cursor.execute(sql)


def row(sql):
    """One row, by the names of its columns"""
    cursor.execute(sql)
    return dict(cursor.fetchone() or {})


def ours(pool):
    """The server's figures of a pool, in the order of theirs"""
    figures = row(f"SELECT total_connections, checked_in, checked_out, overflow, status FROM pool_monitor_pools WHERE pool = '{pool}'")
    return tuple(figures.values())


def soon(get, expected, fact):
    """A figure that follows what the client did a moment ago"""
    deadline = time.monotonic() + 10
    while (got := get()) != expected and time.monotonic() < deadline:
        time.sleep(0.02)
    equal(got, expected, fact)


def counters(application):
    return row(f"""SELECT sessions, sessions_abandoned, sessions_fatal, sessions_killed, terminated, transactions, connections
                     FROM pool_monitor_applications WHERE application_name = '{application}'""")


def all_idle(application):
    wait_until(lambda: row(f"""SELECT bool_and(state = 'idle' AND state_age > '20 ms') AS all_idle FROM pool_monitor_sessions
                                WHERE application_name = '{application}'""")['all_idle'], f'all connections of {application} are idle')


POOLS = ('queue: application=queuepool size=5 overflow=10; asyncpg: application=asyncpool size=8; '
         'transaction: user=bouncer database=by_transaction size=3; session: user=bouncer database=by_session size=3')
connect(dbname='postgres').cursor().execute(f'CREATE DATABASE {DATABASE}')
observer = connect(application_name='observer')
cursor = observer.cursor(cursor_factory=psycopg2.extras.RealDictCursor)
run('CREATE EXTENSION pool_monitor')
run('SELECT pool_monitor_reset()')
run('CREATE ROLE pooled LOGIN')
run('CREATE ROLE bouncer LOGIN')
for database in ('by_transaction', 'by_session'):
    run(f'CREATE DATABASE {database}')
run(f"ALTER SYSTEM SET pool_monitor.pools = '{POOLS}'")
run("ALTER SYSTEM SET pool_monitor.sample_interval = '50ms'")
run('SELECT pg_reload_conf()')


@atexit.register
def undo():
    run('ALTER SYSTEM RESET pool_monitor.pools')
    run('ALTER SYSTEM RESET pool_monitor.sample_interval')
    run('SELECT pg_reload_conf()')


wait_until(lambda: row("SELECT count(*) AS n FROM pool_monitor_pools")['n'] == 4, 'the pools are declared')


#
# SQLAlchemy
#

def sqlalchemy_pool():
    engine = create_engine(f'postgresql+psycopg2://pooled@/{DATABASE}', pool_size=5, max_overflow=10, pool_timeout=0.2,
                           connect_args={'host': os.environ['PGHOST'], 'port': os.environ['PGPORT'], 'application_name': 'queuepool'})
    events = Counter()
    for name in ('connect', 'close', 'checkout', 'checkin', 'invalidate'):
        event.listen(engine.pool, name, lambda *_, name=name: events.update([name]))
    pool = engine.pool

    def theirs():
        """As ours: connections, checked in, checked out, overflow"""
        return pool.checkedin() + pool.checkedout(), pool.checkedin(), pool.checkedout(), max(pool.overflow(), 0)

    with engine.connect() as connection:
        connection.execute(text('SELECT 1'))
    soon(lambda: ours('queue')[:4], theirs(), 'QueuePool: one connection, checked in')

    # Each of them runs a statement and keeps its transaction
    held = [engine.connect() for _ in range(12)]
    for connection in held:
        connection.execute(text('SELECT 1'))
    equal(theirs(), (12, 0, 12, 7), 'QueuePool: 12 are checked out, 7 of them overflow')
    soon(lambda: ours('queue'), (*theirs(), 'overflow'), 'the server says the same')
    equal(counters('queuepool')['sessions'], events['connect'], 'each connect event is a session')
    equal(events['checkout'] - events['checkin'], 12, 'checkout events less checkin events are those checked out')

    # Eight of them end their transaction and stay checked out
    for connection in held[:8]:
        connection.connection.commit()
    equal(pool.checkedout(), 12, 'QueuePool: checked out without a transaction is checked out')
    soon(lambda: ours('queue')[:3], (12, 5, 7), 'to the server it looks checked in, but for what is beyond its size')

    more = [engine.connect() for _ in range(3)]
    for connection in held + more:
        connection.execute(text('SELECT 1'))
    try:
        engine.connect()
        ok(False, 'the 16th checkout fails')
    except exc.TimeoutError as error:
        ok('QueuePool limit of size 5 overflow 10 reached' in str(error), 'QueuePool: the 16th checkout fails', error)
    soon(lambda: ours('queue'), (15, 0, 15, 10, 'exhausted'), 'the server says that the pool is exhausted')

    for connection in held + more:
        connection.close()
    equal(theirs(), (5, 5, 0, 0), 'QueuePool: all are given back, the overflow is closed')
    soon(lambda: ours('queue'), (*theirs(), 'healthy'), 'the server says the same')
    equal(events['checkout'], events['checkin'], 'as many checkins as checkouts')
    figures = counters('queuepool')
    equal((figures['sessions'], figures['sessions'] - figures['connections']), (events['connect'], events['close']),
          'sessions that began and ended are the connect and close events')

    # Each checkout with a statement is one transaction
    before, checkouts = figures['transactions'], events['checkout']
    for _ in range(40):
        with engine.connect() as connection:
            connection.execute(text('SELECT 1'))
    soon(lambda: counters('queuepool')['transactions'] - before, events['checkout'] - checkouts, 'one transaction for each checkout event')

    # A connection that the server ended is invalidated when it is used
    def use_all():
        """Uses each connection of the pool, and counts those that were broken"""
        connections, broken = [], 0
        for _ in range(5):
            connection = engine.connect()
            connections.append(connection)
            try:
                connection.execute(text('SELECT 1'))
            except exc.DBAPIError as error:
                broken += error.connection_invalidated
        for connection in connections:
            connection.close()
        return broken

    run("SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pool_monitor_sessions WHERE application_name = 'queuepool' LIMIT 2) s")
    soon(lambda: counters('queuepool')['sessions_killed'], 2, 'two sessions are killed')
    equal(row("SELECT invalid FROM pool_monitor_pools WHERE pool = 'queue'")['invalid'], 2, 'which the pool has as invalid')
    broken = use_all()
    # the first one that is found broken makes the pool drop all that are older
    ok(broken >= 1 and events['invalidate'] >= 1, 'QueuePool: an invalidate event tells the client of it', (broken, events))

    # The same, ended by policy for being idle
    use_all()
    invalidated, idle = events['invalidate'], counters('queuepool')['connections']
    all_idle('queuepool')
    equal(row("""SELECT count(*) AS n FROM pool_monitor_terminate_idle('1 ms', 'queuepool', dry_run => false)
                  WHERE outcome = 'terminated'""")['n'], idle, 'all idle connections of the pool are ended')
    soon(lambda: (counters('queuepool')['terminated'], counters('queuepool')['sessions_killed']), (idle, 2), 'and counted as that, not as killed')
    broken = use_all()
    ok(events['invalidate'] > invalidated and broken >= 1, 'QueuePool: an invalidate event again', (broken, events))
    equal(use_all(), 0, 'QueuePool: then all connections are whole')
    soon(lambda: ours('queue')[0], pool.checkedin(), 'as many as the server has')
    engine.dispose()
    soon(lambda: ours('queue')[0], 0, 'QueuePool: dispose() closes them all')
    figures = counters('queuepool')
    equal((figures['sessions'], figures['sessions_abandoned'], figures['sessions_fatal']), (events['connect'], 0, 0),
          'to the end each connect event is one session, none of them abandoned')


#
# asyncpg
#

async def asyncpg_pool():
    pool = await asyncpg.create_pool(
        host=os.environ['PGHOST'], port=os.environ['PGPORT'], user='pooled', database=DATABASE, min_size=2, max_size=8,
        server_settings={'application_name': 'asyncpool'})

    def theirs():
        """As ours: connections, checked in, checked out"""
        return pool.get_size(), pool.get_idle_size(), pool.get_size() - pool.get_idle_size()

    equal(theirs(), (2, 2, 0), 'asyncpg: min_size connections are open')
    soon(lambda: ours('asyncpg')[:3], theirs(), 'the server says the same')
    held, transactions = [], []
    for _ in range(6):
        connection = await pool.acquire()
        transaction = connection.transaction()
        await transaction.start()
        held.append(connection)
        transactions.append(transaction)
    equal(theirs(), (6, 0, 6), 'asyncpg: six are acquired')
    soon(lambda: ours('asyncpg'), (*theirs(), 0, 'healthy'), 'the server says the same')
    held += [await pool.acquire() for _ in range(2)]
    equal(theirs(), (8, 0, 8), 'asyncpg: two more, without a transaction')
    soon(lambda: ours('asyncpg')[:3], (8, 2, 6), 'look checked in to the server')
    for connection in held[6:]:
        transactions.append(connection.transaction())
        await transactions[-1].start()
    soon(lambda: ours('asyncpg'), (8, 0, 8, 0, 'exhausted'), 'with a transaction each, the pool is exhausted')
    try:
        await pool.acquire(timeout=0.2)
        ok(False, 'the ninth acquire() fails')
    except asyncio.TimeoutError:
        ok(True, 'asyncpg: the ninth acquire() fails')
    for transaction in transactions:
        await transaction.rollback()
    for connection in held:
        await pool.release(connection)
    equal(theirs(), (8, 8, 0), 'asyncpg: all are released')
    soon(lambda: ours('asyncpg'), (8, 8, 0, 0, 'healthy'), 'the server says the same')

    # asyncpg notices by itself that the server has closed a connection
    all_idle('asyncpool')
    equal(row("""SELECT count(*) AS n FROM pool_monitor_terminate_idle('1 ms', 'asyncpool', max_sessions => 3, dry_run => false)
                  WHERE outcome = 'terminated'""")['n'], 3, 'three of them are ended for being idle')
    deadline = time.monotonic() + 10
    while pool.get_size() != 5 and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    equal(theirs(), (5, 5, 0), 'asyncpg: the pool drops them')
    soon(lambda: ours('asyncpg')[:3], theirs(), 'the server says the same')
    equal(await asyncio.gather(*(pool.fetchval('SELECT 1') for _ in range(100))), [1] * 100, 'asyncpg: not one of 100 queries fails after that')
    size = pool.get_size()
    soon(lambda: ours('asyncpg')[0], size, 'as many connections as it says')
    await pool.close()
    soon(lambda: ours('asyncpg')[0], 0, 'asyncpg: close() closes them all')
    figures = counters('asyncpool')
    equal((figures['terminated'], figures['sessions_abandoned'], figures['sessions_killed']), (3, 0, 0), 'none of them abandoned')


#
# PgBouncer
#

class Bouncer:
    """A PgBouncer of our own with a pool of three connections."""

    def __init__(self, mode):
        self.database = f'by_{mode}'
        folder = tempfile.mkdtemp()
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            self.port = free.getsockname()[1]
        with open(f'{folder}/ini', 'w', encoding='utf-8') as ini:
            ini.write(f"""[databases]
{self.database} = host={os.environ['PGHOST']} port={os.environ['PGPORT']} user=bouncer
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = 3
admin_users = console
server_check_delay = 3600
""")
        with open(f'{folder}/log', 'w', encoding='utf-8') as log:
            process = subprocess.Popen(['pgbouncer', f'{folder}/ini'], stdout=log, stderr=log)
        atexit.register(lambda: (process.terminate(), process.wait()))
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.console = connect(host='127.0.0.1', port=self.port, dbname='pgbouncer', user='console')
                break
            except psycopg2.OperationalError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise
                time.sleep(0.05)

    def client(self, application):
        return connect(host='127.0.0.1', port=self.port, dbname=self.database, user='bouncer', application_name=application)

    def pool(self):
        """SHOW POOLS, by the names of its columns"""
        console = self.console.cursor(cursor_factory=psycopg2.extras.RealDictCursor)
        console.execute('SHOW POOLS')
        return next(dict(pool) for pool in console.fetchall() if pool['database'] == self.database)

    def figures(self):
        """Server connections, those given away, clients served and waiting"""
        pool = self.pool()
        return (pool['sv_active'] + pool['sv_idle'] + pool['sv_used'] + pool['sv_tested'], pool['sv_active'],
                pool['cl_active'], pool['cl_waiting'])

    def names(self):
        """The application names that the server sees, with their states"""
        cursor.execute(f"""SELECT application_name, state FROM pool_monitor_sessions
                            WHERE datname = '{self.database}' ORDER BY 1, 2""")
        return [tuple(session.values()) for session in cursor.fetchall()]


def transaction_mode():
    bouncer = Bouncer('transaction')
    clients = {name: bouncer.client(name) for name in ('web', 'jobs', 'report', 'late')}
    for name in ('web', 'jobs'):
        clients[name].cursor().execute('BEGIN')
    soon(bouncer.figures, (2, 2, 4, 0), 'PgBouncer, transaction mode: four clients, two of them in a transaction on two connections')
    soon(lambda: ours('transaction')[:3], (2, 0, 2), 'the server has two connections, both checked out: sv_active')
    equal(bouncer.names(), [('jobs', 'idle in transaction'), ('web', 'idle in transaction')], 'under the names of the clients that they serve')
    clients['web'].cursor().execute('COMMIT')
    soon(bouncer.figures, (2, 1, 4, 0), 'PgBouncer: at the end of its transaction a client gives its connection back')
    soon(lambda: ours('transaction')[:3], (2, 1, 1), 'the server says the same: sv_idle is checked in')
    equal(bouncer.names(), [('jobs', 'idle in transaction'), ('web', 'idle')], 'the idle connection keeps the name of its last client')
    clients['report'].cursor().execute('BEGIN')
    soon(bouncer.names, [('jobs', 'idle in transaction'), ('report', 'idle in transaction')], 'until another is served on it')

    # The pool is full and one waits
    clients['web'].cursor().execute('BEGIN')
    soon(lambda: ours('transaction'), (3, 0, 3, 0, 'exhausted'), 'three transactions exhaust the pool')
    waiting = psycopg2.connect(host='127.0.0.1', port=bouncer.port, dbname=bouncer.database, user='bouncer',
                               application_name='waiting', async_=True)
    wait_for(waiting)
    query = waiting.cursor()
    query.execute('SELECT 1')
    soon(bouncer.figures, (3, 3, 4, 1), 'PgBouncer: a client waits')
    equal(ours('transaction'), (3, 0, 3, 0, 'exhausted'), 'of whom the server knows nothing')
    ok(not any(name == 'waiting' for name, _ in bouncer.names()), 'nor of its name')
    clients['jobs'].cursor().execute('COMMIT')
    wait_for(waiting)
    soon(lambda: (bouncer.figures()[1], bouncer.figures()[3]), (2, 0), 'PgBouncer: then it is served')
    soon(lambda: ours('transaction')[:3], (3, 1, 2), 'on a connection that the server has checked in again')
    equal([name for name, _ in bouncer.names()], ['report', 'waiting', 'web'], 'and under its name')
    ok(counters('waiting')['transactions'] >= 1, 'to which its transaction counts')


def session_mode():
    bouncer = Bouncer('session')
    clients = {name: bouncer.client(name) for name in ('web', 'jobs', 'report')}
    for connection in clients.values():
        connection.cursor().execute('SELECT 1')
    clients['jobs'].cursor().execute('BEGIN')
    soon(bouncer.figures, (3, 3, 3, 0), 'PgBouncer, session mode: three clients have a connection each')
    soon(lambda: ours('session'), (3, 2, 1, 0, 'healthy'), 'to the server only the one in a transaction is checked out')
    equal(bouncer.names(), [('jobs', 'idle in transaction'), ('report', 'idle'), ('web', 'idle')], 'each under the name of its client')
    late = psycopg2.connect(host='127.0.0.1', port=bouncer.port, dbname=bouncer.database, user='bouncer', application_name='late', async_=True)
    wait_for(late)
    query = late.cursor()
    query.execute('SELECT 1')
    soon(lambda: bouncer.figures()[3], 1, 'PgBouncer: a fourth client waits, though the server has the pool as healthy')
    clients['web'].close()
    wait_for(late)
    soon(bouncer.figures, (3, 3, 3, 0), 'PgBouncer: it is served when another leaves')
    soon(lambda: sorted(name for name, _ in bouncer.names()), ['jobs', 'late', 'report'], 'the server sees its name in place of the other')


def wait_for(connection):
    """What an asynchronous connection is at"""
    deadline = time.monotonic() + PATIENCE
    while connection.poll() != psycopg2.extensions.POLL_OK:
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)


sqlalchemy_pool()
asyncio.run(asyncpg_pool())
transaction_mode()
session_mode()
finish()
