#!/usr/bin/python3
"""Exact accounting behind PgBouncer in transaction mode.

The server's sessions are PgBouncer's, and each transaction counts for the
application that runs it: PgBouncer tells the server whose turn it is with a
SET application_name, which is a transaction of its own.  How many of those
there were is in the server's log.
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import psycopg2

from tap import PATIENCE, equal, finish, ok, wait_until

DATABASE = 'accounting_pgbouncer'


class Observer:
    """A direct connection to look at the figures."""

    def __init__(self):
        self.connection = psycopg2.connect(dbname='postgres', application_name='observer')
        self.connection.autocommit = True
        self.cursor = self.connection.cursor()

    def row(self, sql, *arguments):
        self.cursor.execute(sql, arguments)
        return self.cursor.fetchone()

    def run(self, sql):
        self.cursor.execute(sql)

    def figures(self, columns, application):
        return self.row(
            f'SELECT {columns} FROM pool_monitor_groups WHERE datname = %s AND application_name = %s',
            DATABASE, application)

    def sessions(self):
        return self.row('SELECT count(*) FROM pg_stat_activity WHERE datname = %s', DATABASE)[0]


class Bouncer:
    """A PgBouncer of our own, with one database."""

    def __init__(self, pool_size, settings=''):
        self.folder = tempfile.mkdtemp()
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            self.port = free.getsockname()[1]
        with open(f'{self.folder}/ini', 'w', encoding='utf-8') as ini:
            ini.write(f"""[databases]
{DATABASE} = host={os.environ['PGHOST']} port={os.environ['PGPORT']} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool_size}
server_lifetime = 3600
{settings}
""")
        self.log = open(f'{self.folder}/log', 'w+', encoding='utf-8')
        self.process = subprocess.Popen(['pgbouncer', f'{self.folder}/ini'], stderr=self.log)

    def connect(self, application):
        """A client's connection; every statement is as it is written."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                connection = psycopg2.connect(
                    host='127.0.0.1', port=self.port, dbname=DATABASE, user='postgres',
                    application_name=application)
                break
            except psycopg2.OperationalError:
                # it is still starting
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.05)
        connection.autocommit = True
        return connection

    def end(self, with_signal):
        self.process.send_signal(with_signal)
        self.process.wait(PATIENCE)
        self.log.close()
        shutil.rmtree(self.folder)


def run(connection, *statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


class Log:
    """The server's log from here on."""

    def __init__(self):
        self.start = os.path.getsize(os.environ['SERVER_LOG'])

    def sets(self, application):
        """How often a session was given that name."""
        with open(os.environ['SERVER_LOG'], encoding='utf-8') as log:
            log.seek(self.start)
            return len(re.findall(
                rf"statement: (?:.*;)?SET application_name='{application}'", log.read()))


def test_many_clients(observer):
    """Many clients of one application share few sessions."""
    log = Log()
    bouncer = Bouncer(3)

    def work():
        connection = bouncer.connect('many')
        for _ in range(10):
            run(connection, 'SELECT 1')
            run(connection, 'BEGIN', 'SELECT 1', 'SELECT 2', 'COMMIT')
            run(connection, 'BEGIN', 'SELECT 1', 'ROLLBACK')
            try:
                run(connection, 'SELECT 1/0')
            except psycopg2.errors.DivisionByZero:
                pass
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    transactions, sessions, peak = observer.figures('transactions, sessions, peak_connections', 'many')
    # the first name that a session is given is its own: that is no transaction
    equal(transactions, 20 * 10 * 4 + log.sets('many') - sessions,
          'every transaction of 20 clients is counted once')
    ok(peak <= 3, 'at most as many sessions were there as the pool has', f'{peak} sessions')
    equal(observer.row('SELECT sum(sessions) FROM pool_monitor_groups WHERE datname = %s', DATABASE)[0],
          observer.sessions(), 'the sessions are those of PgBouncer')
    ok(sessions <= 3, "a client's connection is no session", f'{sessions} sessions')

    bouncer.end(signal.SIGINT)
    wait_until(lambda: observer.sessions() == 0, 'PgBouncer ends')
    equal(observer.row(
        'SELECT sum(sessions_abandoned + sessions_fatal + sessions_killed)'
        ' FROM pool_monitor_groups WHERE datname = %s', DATABASE)[0], 0,
          'in good order: no session is invalid')
    equal(observer.figures('transactions', 'many')[0], transactions, 'no count is lost')


def test_applications_take_turns(observer):
    """Two applications share one session."""
    log = Log()
    bouncer = Bouncer(1)
    applications = {name: bouncer.connect(name) for name in ('first', 'second')}

    for _ in range(30):
        for connection in applications.values():
            run(connection, 'SELECT 1')
            run(connection, 'BEGIN', 'SELECT 1', 'COMMIT')
    for name in applications:
        sets = log.sets(name)
        ok(sets >= 29, f'the session becomes that of the {name} application again and again', f'{sets} times')
        transactions, sessions = observer.figures('transactions, sessions', name)
        equal(transactions, 60 + sets - sessions,
              'its transactions are counted for it')
        equal(observer.figures('peak_connections', name)[0], 1, 'in one session at once')
    equal(observer.row('SELECT sum(sessions) FROM pool_monitor_groups WHERE datname = %s', DATABASE)[0], 1,
          'that session is counted once')

    # held by one, while the other waits for it
    run(applications['first'], 'BEGIN', 'SELECT 1')
    started = threading.Event()

    def wait():
        started.set()
        run(applications['second'], 'SELECT 1')

    waiting = threading.Thread(target=wait)
    waiting.start()
    started.wait()
    observer.run('SELECT pg_sleep(0.3)')
    run(applications['first'], 'COMMIT')
    waiting.join()
    ok(observer.figures('hold_time_max', 'first')[0] >= 300,
       'the application that holds the session has the hold time')
    ok(observer.figures('hold_time_max', 'second')[0] < 300, 'not the one that waits for it')

    bouncer.end(signal.SIGKILL)
    wait_until(lambda: observer.sessions() == 0, 'PgBouncer is killed')
    equal(observer.row('SELECT sum(sessions_abandoned) FROM pool_monitor_groups WHERE datname = %s', DATABASE)[0],
          1, 'its session is abandoned')


def test_client_address_in_the_name(observer):
    """With application_name_add_host each client is an application."""
    bouncer = Bouncer(1, 'application_name_add_host = 1')
    connection = bouncer.connect('hosted')

    run(connection, 'SELECT 1')
    equal(observer.row(
        "SELECT count(*) FROM pool_monitor_groups WHERE datname = %s"
        " AND application_name LIKE 'hosted - 127.0.0.1:%%' AND transactions > 0", DATABASE)[0],
          1, 'a name with the client address is an application')
    connection.close()
    bouncer.end(signal.SIGINT)
    wait_until(lambda: observer.sessions() == 0, 'PgBouncer ends')


def main():
    observer = Observer()
    observer.run('CREATE EXTENSION IF NOT EXISTS pool_monitor')
    observer.run(f'CREATE DATABASE {DATABASE}')
    observer.run(f"ALTER DATABASE {DATABASE} SET log_statement = 'all'")
    for test in (test_many_clients, test_applications_take_turns, test_client_address_in_the_name):
        observer.run('SELECT pool_monitor_reset()')
        test(observer)
    observer.run(f'DROP DATABASE {DATABASE}')
    finish()


main()
