#!/usr/bin/python3
"""Real pools, whose idle sessions are ended: what their applications see.

SQLAlchemy with and without pool_pre_ping, asyncpg's pool, and PgBouncer.
"""
import asyncio
import os
import signal
import socket
import subprocess
import tempfile
import time

import asyncpg
import psycopg2
from sqlalchemy import create_engine, exc, text

from tap import PATIENCE, equal, finish, ok, wait_for

ROLE = 'terminated_pools'


observer = psycopg2.connect(dbname='postgres', application_name='observer')
observer.autocommit = True
cursor = observer.cursor()


def value(sql, *arguments):
    cursor.execute(sql, arguments)
    return cursor.fetchone()[0]


def configure(**settings):
    for name, setting in settings.items():
        cursor.execute(f'ALTER SYSTEM RESET pool_monitor.{name}' if setting is None
                       else f"ALTER SYSTEM SET pool_monitor.{name} = '{setting}'")
    loaded = value('SELECT pg_conf_load_time()')
    cursor.execute('SELECT pg_reload_conf()')
    # the postmaster tells all in one go
    if not wait_for(lambda: value('SELECT pg_conf_load_time()') > loaded):
        raise RuntimeError('the settings were not loaded again')


def sessions(application):
    return value('SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND application_name = %s',
                 ROLE, application)


def terminated(application):
    return value('SELECT coalesce(sum(terminated), 0) FROM pool_monitor_applications WHERE application_name = %s',
                 application)


def until_gone(application, fact):
    """Ends all of an application's sessions by the policy."""
    configure(idle_timeout='50ms', idle_in_transaction_timeout='50ms')
    deadline = time.monotonic() + PATIENCE
    while sessions(application) and time.monotonic() < deadline:
        time.sleep(0.02)
    configure(idle_timeout=None, idle_in_transaction_timeout=None)
    wait_for_reload()
    equal(sessions(application), 0, fact)


def wait_for_reload():
    """Until the worker knows that nothing is to be ended any more."""
    samples = value('SELECT samples FROM pool_monitor_info')
    while value('SELECT samples FROM pool_monitor_info') < samples + 5:
        time.sleep(0.02)


def engine(application, **options):
    return create_engine(
        'postgresql+psycopg2://', pool_size=4, max_overflow=0,
        connect_args={'user': ROLE, 'dbname': 'postgres', 'application_name': application}, **options)


def fill(pool):
    """All of a pool's connections are opened and given back."""
    connections = [pool.connect() for _ in range(4)]
    for connection in connections:
        connection.execute(text('SELECT 1'))
    for connection in connections:
        connection.close()


def test_sqlalchemy_with_pre_ping():
    pool = engine('with ping', pool_pre_ping=True)
    for round_number in range(3):
        fill(pool)
        until_gone('with ping', f'SQLAlchemy with pool_pre_ping: its sessions are ended, round {round_number}')
        errors = 0
        for _ in range(8):
            try:
                with pool.connect() as connection:
                    connection.execute(text('SELECT 1'))
            except exc.DBAPIError:
                errors += 1
        equal(errors, 0, 'the application sees no error')
    equal(terminated('with ping'), 12, 'the ends are counted')
    pool.dispose()


def test_sqlalchemy_without_pre_ping():
    pool = engine('without ping')
    fill(pool)
    until_gone('without ping', 'SQLAlchemy without it: its sessions are ended')
    errors = []
    for _ in range(8):
        try:
            with pool.connect() as connection:
                connection.execute(text('SELECT 1'))
        except exc.DBAPIError as error:
            errors.append(error)
    equal(len(errors), 1, 'the application sees one error, then the pool is opened anew')
    ok(isinstance(errors[0], exc.OperationalError) and errors[0].connection_invalidated,
       'an OperationalError that says that the connection is invalid', repr(errors[0]))
    pool.dispose()


def test_sqlalchemy_in_transaction():
    pool = engine('in transaction', pool_pre_ping=True)
    connection = pool.connect()
    connection.execute(text('SELECT 1'))
    until_gone('in transaction', 'SQLAlchemy in a transaction: its session is ended')
    try:
        connection.execute(text('SELECT 1'))
        ok(False, 'the application sees it, pool_pre_ping or not')
    except exc.OperationalError as error:
        ok(error.connection_invalidated, 'the application sees it, pool_pre_ping or not', repr(error))
    connection.close()
    with pool.connect() as connection:
        equal(connection.execute(text('SELECT 1')).scalar(), 1, 'its next transaction runs')
    pool.dispose()


async def test_asyncpg():
    pool = await asyncpg.create_pool(
        host=os.environ['PGHOST'], port=int(os.environ['PGPORT']), user=ROLE, database='postgres',
        min_size=4, max_size=4, server_settings={'application_name': 'asyncpg'})
    for round_number in range(3):
        acquired = [await pool.acquire() for _ in range(4)]
        for connection in acquired:
            await connection.fetchval('SELECT 1')
        for connection in acquired:
            await pool.release(connection)
        until_gone('asyncpg', f"asyncpg's pool: its sessions are ended, round {round_number}")
        # what has arrived meanwhile is read by the event loop
        await asyncio.sleep(0.1)
        errors = []
        for _ in range(8):
            try:
                await pool.fetchval('SELECT 1')
            except Exception as error:  # pylint: disable=broad-except
                errors.append(error)
        equal(errors, [], 'the application sees no error')
    await pool.close()


def test_pgbouncer():
    with tempfile.TemporaryDirectory() as folder:
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            port = free.getsockname()[1]
        with open(f'{folder}/ini', 'w', encoding='utf-8') as ini:
            ini.write(f"""[databases]
postgres = host={os.environ['PGHOST']} port={os.environ['PGPORT']} user={ROLE}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
""")
        with open(f'{folder}/log', 'w', encoding='utf-8') as log, \
                subprocess.Popen(['pgbouncer', f'{folder}/ini'], stderr=log) as bouncer:
            clients = []
            deadline = time.monotonic() + PATIENCE
            while len(clients) < 8:
                try:
                    clients.append(psycopg2.connect(host='127.0.0.1', port=port, dbname='postgres', user=ROLE,
                                                    application_name='bounced'))
                    clients[-1].autocommit = True
                except psycopg2.OperationalError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)
            for round_number in range(3):
                errors = []
                for client in clients:
                    try:
                        client.cursor().execute('SELECT 1')
                    except psycopg2.Error as error:
                        errors.append(error)
                equal(errors, [], 'PgBouncer: its clients see no error')
                until_gone('bounced', f'its sessions are ended, round {round_number}')
            for client in clients:
                client.close()
            bouncer.send_signal(signal.SIGINT)


def main():
    cursor.execute('SET client_min_messages = warning')
    cursor.execute('CREATE EXTENSION IF NOT EXISTS pool_monitor')
    cursor.execute(f'CREATE ROLE {ROLE} LOGIN')
    cursor.execute('SELECT pool_monitor_reset()')
    configure(sample_interval='20ms')
    try:
        test_sqlalchemy_with_pre_ping()
        test_sqlalchemy_without_pre_ping()
        test_sqlalchemy_in_transaction()
        asyncio.run(asyncio.wait_for(test_asyncpg(), PATIENCE))
        test_pgbouncer()
    finally:
        configure(sample_interval=None, idle_timeout=None, idle_in_transaction_timeout=None)
    cursor.execute(f'DROP ROLE {ROLE}')
    finish()


main()
