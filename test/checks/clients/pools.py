#!/usr/bin/python3
"""Pools in Python, and PgBouncer, under the commands of trials.py: see there.

    pools.py psycopg|sqlalchemy|asyncpg|pgbouncer APPLICATION [SETTING=VALUE...]
"""
import asyncio
import collections
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time

import asyncpg
import psycopg2
import psycopg_pool
import sqlalchemy

SIZE = 4
PORT = int(os.environ['PGPORT'])


class Psycopg:
    """psycopg_pool; the setting "check" is check_connection()."""

    def __init__(self, application, check=0, **settings):
        if check:
            settings['check'] = psycopg_pool.ConnectionPool.check_connection
        self.pool = psycopg_pool.ConnectionPool(
            f'host=127.0.0.1 port={PORT} user=application dbname=postgres application_name={application}',
            min_size=SIZE, max_size=SIZE, open=True, kwargs={'autocommit': True}, **settings)
        self.pool.wait()

    def take(self):
        return self.pool.getconn()

    def execute(self, connection, sql):
        connection.execute(sql)

    def give_back(self, connection):
        self.pool.putconn(connection)


class SqlAlchemy:
    """SQLAlchemy's QueuePool, with psycopg2."""

    def __init__(self, application, **settings):
        self.engine = sqlalchemy.create_engine(
            f'postgresql+psycopg2://application@127.0.0.1:{PORT}/postgres', pool_size=SIZE, max_overflow=0,
            isolation_level='AUTOCOMMIT', connect_args={'application_name': application}, **settings)

    def take(self):
        return self.engine.connect()

    def execute(self, connection, sql):
        connection.execute(sqlalchemy.text(sql))

    def give_back(self, connection):
        connection.close()


class Asyncpg:
    """asyncpg's pool; its event loop runs in a thread of its own, as in an application."""

    def __init__(self, application, **settings):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

        async def create():
            return await asyncpg.create_pool(
                host='127.0.0.1', port=PORT, user='application', database='postgres', min_size=SIZE, max_size=SIZE,
                server_settings={'application_name': application}, **settings)
        self.pool = self.wait(create())

    def wait(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def take(self):
        async def acquire():
            return await self.pool.acquire()
        return self.wait(acquire())

    def execute(self, connection, sql):
        self.wait(connection.execute(sql))

    def give_back(self, connection):
        self.wait(self.pool.release(connection))


class PgBouncer:
    """Clients that stay connected to a PgBouncer in transaction mode."""

    def __init__(self, application, **settings):
        self.folder = tempfile.TemporaryDirectory()  # pylint: disable=consider-using-with
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            port = free.getsockname()[1]
        with open(f'{self.folder.name}/ini', 'w', encoding='utf-8') as ini:
            ini.write(f'[databases]\npostgres = host=127.0.0.1 port={PORT} user=application\n'
                      f'[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n'
                      f'auth_type = any\npool_mode = transaction\ndefault_pool_size = {SIZE}\n')
            ini.writelines(f'{name} = {value}\n' for name, value in settings.items())
        with open(f'{self.folder.name}/log', 'w', encoding='utf-8') as log:
            self.process = subprocess.Popen(  # pylint: disable=consider-using-with
                ['pgbouncer', f'{self.folder.name}/ini'], stdout=log, stderr=log)
        self.parameters = {'host': '127.0.0.1', 'port': port, 'user': 'application', 'dbname': 'postgres',
                           'application_name': application}
        deadline = time.monotonic() + 60
        self.free = collections.deque()
        while len(self.free) < SIZE:
            try:
                self.free.append(self.connect())
            except psycopg2.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def connect(self):
        connection = psycopg2.connect(**self.parameters)
        connection.autocommit = True
        return connection

    def take(self):
        return self.free.popleft()

    def execute(self, connection, sql):
        connection.cursor().execute(sql)

    def give_back(self, connection):
        self.free.append(connection if not connection.closed else self.connect())


class Client:
    """Does what it is told, and counts."""

    def __init__(self, pool):
        self.pool = pool
        self.held = None
        self.requests = 0
        self.errors = collections.Counter()

    def attempt(self, work, *arguments):
        self.requests += 1
        try:
            work(*arguments)
        except Exception as error:  # pylint: disable=broad-except
            cause = getattr(error, 'orig', None) or error
            code = getattr(cause, 'sqlstate', None) or getattr(cause, 'pgcode', None) or ''
            self.errors[f'{code} {type(error).__name__}: {cause}'.strip().split('\n')[0]] += 1

    def fill_once(self):
        taken = [self.pool.take() for _ in range(SIZE)]
        threads = [threading.Thread(target=self.pool.execute, args=(one, 'SELECT pg_sleep(0.2)')) for one in taken]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for one in taken:
            self.pool.give_back(one)

    def one_request(self):
        connection = self.pool.take()
        try:
            self.pool.execute(connection, 'SELECT 1')
        finally:
            self.pool.give_back(connection)

    def take_and(self, sql):
        self.held = self.pool.take()
        self.pool.execute(self.held, sql)

    def fill(self):
        self.attempt(self.fill_once)

    def request(self, count):
        for _ in range(int(count)):
            self.attempt(self.one_request)

    def work(self, end, gap):
        while time.monotonic() < end:
            self.attempt(self.one_request)
            time.sleep(gap / 1000 * random.uniform(0.8, 1.2))

    def load(self, seconds, gap):
        end = time.monotonic() + seconds
        threads = [threading.Thread(target=self.work, args=(end, gap)) for _ in range(SIZE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def begin(self):
        self.attempt(self.take_and, 'BEGIN')

    def hold(self):
        self.attempt(self.take_and, 'SELECT 1')

    def use(self):
        self.attempt(self.pool.execute, self.held, 'SELECT 1')
        self.pool.give_back(self.held)

    def answer(self):
        print(json.dumps({'requests': self.requests, 'errors': self.errors}), flush=True)
        self.requests = 0
        self.errors.clear()


def number(text):
    return float(text) if '.' in text else int(text)


def main():
    kind, application, *words = sys.argv[1:]
    settings = {name: number(value) for name, value in (word.split('=') for word in words)}
    kinds = {'psycopg': Psycopg, 'sqlalchemy': SqlAlchemy, 'asyncpg': Asyncpg, 'pgbouncer': PgBouncer}
    client = Client(kinds[kind](application, **settings))
    for line in sys.stdin:
        command, *values = line.split()
        getattr(client, command)(*map(float, values))
        client.answer()
    if kind == 'pgbouncer':
        client.pool.process.terminate()
        client.pool.process.wait()
    os._exit(0)


main()
