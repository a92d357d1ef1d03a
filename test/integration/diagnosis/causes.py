"""Causes, one after the other and two at a time, with real clients; what is
found first; and healthy traffic, in which nothing is found above a notice."""
import asyncio
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import asyncpg
import psycopg2
from sqlalchemy import create_engine, exc, text

from server import HOST, Observer, as_text, connect, connect_all, in_background, of, run, silently
from tap import finish, note, ok

POOLS = ('web: application=web size=5 overflow=5; queue: application=queue size=2 overflow=4; '
         'batch: application=batch size=4; fixed: application=fixed size=3; asyncpg: application=asyncpg size=4 closes_idle=1s')
observer = Observer()
observer.rows('CREATE EXTENSION pool_monitor')
observer.rows('CREATE ROLE app LOGIN')
observer.rows('CREATE ROLE limited LOGIN CONNECTION LIMIT 2')
observer.rows('CREATE ROLE dark LOGIN')
observer.rows('ALTER ROLE dark SET track_activities = off')
observer.rows('CREATE DATABASE narrow CONNECTION LIMIT 2')
observer.rows('CREATE TABLE stock (item int PRIMARY KEY, left_over int)')
observer.rows('INSERT INTO stock SELECT i, 10 FROM generate_series(1, 100) i')
observer.rows('GRANT ALL ON stock TO app')
logging.disable()   # SQLAlchemy tells of each session that we end
everything = []     # that a case has opened


def configure(**settings):
    for name, setting in settings.items():
        name = name.replace('__', '.')
        observer.rows(f"ALTER SYSTEM SET {name} = '{setting}'" if setting is not None else f'ALTER SYSTEM RESET {name}')
    loaded = observer.value('SELECT pg_conf_load_time()')
    observer.rows('SELECT pg_reload_conf()')
    observer.wait(f"SELECT pg_conf_load_time() > '{loaded}'", 'the settings are loaded')


def keep(opened):
    everything.extend(opened if isinstance(opened, list) else [opened])
    return opened


def engine(application, size, overflow, **options):
    pool = create_engine('postgresql+psycopg2://', pool_size=size, max_overflow=overflow, pool_timeout=0.3,
                         connect_args={'host': HOST, 'user': 'app', 'dbname': 'postgres',
                                       'application_name': application}, **options)
    return pool


def check_out(pool, number, sql='SELECT 1'):
    """Takes connections of a pool, runs a statement on each, and forgets them."""
    taken = [pool.connect() for _ in range(number)]
    for connection in taken:
        connection.execute(text(sql))
    keep(taken)
    return taken


def start(connections, sql):
    """Each runs that, whatever becomes of it."""
    in_background(*[silently(run, connection, sql) for connection in connections])


def waiting(number):
    observer.wait(f'SELECT count(DISTINCT pid) >= {number} FROM pg_locks WHERE NOT granted', f'{number} wait for a lock')


def is_refused(application, number=1, **options):
    for _ in range(number):
        try:
            keep(connect(application, **options))
            return False
        except psycopg2.OperationalError:
            pass
    return True


def clean_up():
    """As if nothing had been."""
    for stop in stops:
        stop.set()
    stops.clear()
    observer.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                  " WHERE backend_type IN ('client backend', 'walsender') AND pid <> pg_backend_pid()")
    everything.clear()
    for row in observer.rows("SELECT format('ROLLBACK PREPARED %L', gid) AS rollback FROM pg_prepared_xacts"):
        observer.rows(row['rollback'])
    observer.wait('SELECT connections = 1 FROM pool_monitor_status', 'all of them have gone')
    observer.rows('SELECT pool_monitor_reset()')


stops = []


def busy(connections, sql, pause=0.0):
    """Sessions that work until the case is over."""
    stop = threading.Event()
    stops.append(stop)

    def work(connection):
        while not stop.is_set():
            run(connection, sql)
            time.sleep(pause)

    in_background(*[silently(work, connection) for connection in connections])


#
# Causes
#

def leaks():
    pool = engine('web', 5, 5)
    check_out(pool, 6)
    observer.first('a leak in a pool that has some left', 'leak_in_transaction', 'web', 'warning', '6 of them for more than 2 s')
    check_out(pool, 4)
    try:
        pool.connect()
        ok(False, 'the pool is exhausted')
    except exc.TimeoutError as error:
        ok('QueuePool limit of size 5 overflow 5 reached' in str(error), 'the pool is exhausted, as its application says')
    found = observer.first('a leak until the pool is dead', 'leak_in_transaction', 'web', 'critical', '10 of them for more than 2 s')
    ok(not any('Give it' in (row['remedy'] or '') for row in found), 'nobody is sent to a size', as_text(found))
    health = observer.value('SELECT pool_monitor_health()')
    ok(health['findings'][0]['finding'] == 'leak_in_transaction', 'a health endpoint has it, too', health)


def grows():
    configure(pool_monitor__leak_threshold='60s')
    check_out(engine('web', 5, 5), 8)
    observer.first('a leak that is too young to be sure of', 'leak_in_transaction', 'web', 'warning', 'a leak that grows')
    configure(pool_monitor__leak_threshold='2s')


def leaks_aborted():
    for connection in keep(connect_all(3, 'orm')):
        run(connection, 'BEGIN')
        try:
            run(connection, 'SELECT 1 / 0')
        except psycopg2.Error:
            pass
    observer.first('transactions that failed and were not rolled back', 'leak_aborted', 'orm', 'warning')


def not_returned():
    pool = engine('queue', 2, 4, isolation_level='AUTOCOMMIT')
    check_out(pool, 6)
    observer.first('connections in autocommit that are not given back', 'leak_not_returned', 'queue', 'warning', 'at least 4')


def not_closed():
    """asyncpg closes what is free; what is acquired and forgotten stays idle."""
    async def forget():
        pool = await asyncpg.create_pool(host=HOST, port=int(os.environ['PGPORT']), user='app', database='postgres', min_size=0, max_size=4,
                                         max_inactive_connection_lifetime=1, server_settings={'application_name': 'asyncpg'})
        taken = [await pool.acquire() for _ in range(4)]
        for connection in taken:
            await connection.fetchval('SELECT 1')
        for connection in taken[:2]:
            await pool.release(connection)
        sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'asyncpg'"
        deadline = time.monotonic() + 30
        while observer.value(sessions) > 2 and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        ok(observer.value(sessions) == 2, 'asyncpg closes two that were given back')
        observer.first('two that were not', 'leak_not_returned', 'asyncpg', 'warning', 'closes what is free for 1 s, so they are checked out')
        pool.terminate()

    asyncio.run(forget())


def ended():
    check_out(engine('web', 5, 5), 6)
    observer.wait("SELECT count(*) = 6 FROM pool_monitor_leaks WHERE application_name = 'web'", 'six leak')
    rows = observer.rows("SELECT (pool_monitor_terminate(pid)).outcome FROM pool_monitor_leaks WHERE application_name = 'web'")
    ok([row['outcome'] for row in rows] == ['terminated'] * 6, 'they are ended', rows)
    observer.first('sessions that were ended, which their pool still counts', 'leak_not_returned', 'web', 'notice', 'were ended while checked out')


def silent():
    taken = keep(connect_all(3, 'fixed'))
    for connection in taken:
        run(connection, 'BEGIN')
        run(connection, 'SELECT 1')
    observer.wait("SELECT peak_checked_out = 3 FROM pool_monitor_pools WHERE pool = 'fixed'", 'a pool was full')
    for connection in taken:
        run(connection, 'COMMIT')
    observer.first('silence after a full pool', 'leak_not_returned', 'fixed', 'notice', 'can not tell these apart')


def does_not_read():
    client = subprocess.Popen(['psql', '-X', '-U', 'app', '-c', "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 1000000)) TO STDOUT"],
                              env={**os.environ, 'PGAPPNAME': 'report'}, stdout=subprocess.PIPE)
    observer.first('a client that does not read its result', 'client_not_reading', 'report', 'warning')
    client.kill()
    client.wait()


def convoy():
    migration = keep(connect('migration'))
    victims = keep(connect_all(7, 'shop'))
    observer.rows('ALTER TABLE stock OWNER TO app')
    start([migration], 'BEGIN; LOCK TABLE stock; SELECT pg_sleep(1000)')
    observer.wait("SELECT count(*) > 0 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'stock'::regclass", 'a migration has the lock')
    start(victims, 'SELECT * FROM stock')
    waiting(7)
    found = observer.first('statements that wait for a migration', 'lock_convoy', severity='warning', evidence='7 sessions wait')
    ok(found[0]['subject'] == str(migration.get_backend_pid()), 'the migration is named, not its victims', as_text(found))
    ok(not any(row['subject'] == 'shop' for row in found), 'the victims are nobody\'s cause', as_text(found))


def convoy_of_leak():
    (writer,) = keep(connect_all(1, 'billing'))
    run(writer, 'BEGIN')
    run(writer, 'UPDATE stock SET left_over = 0 WHERE item = 1')
    start(keep(connect_all(10, 'shop')), 'UPDATE stock SET left_over = 1 WHERE item = 1')
    waiting(10)
    found = observer.first('a leak that others wait for', 'leak_in_transaction', 'billing')
    row = of(found, 'lock_convoy')
    ok(row and 'Explained by leak_in_transaction of billing' in row['evidence'], 'the convoy is explained by it', as_text(found))


def advisory():
    holder = keep(connect('worker'))
    run(holder, 'SELECT pg_advisory_lock(1)')
    start(keep(connect_all(4, 'jobs')), 'SELECT pg_advisory_lock(1)')
    waiting(4)
    found = observer.first('an advisory lock of an idle session', 'lock_convoy', str(holder.get_backend_pid()), evidence='with an advisory lock')
    ok(', true)' in found[0]['remedy'], 'ending it takes force', found[0]['remedy'])


def prepared():
    connection = connect('transaction manager')
    for sql in ('BEGIN', 'UPDATE stock SET left_over = 0 WHERE item = 1', "PREPARE TRANSACTION 'it''s x'"):
        run(connection, sql)
    connection.close()
    start(keep(connect_all(12, 'shop')), 'UPDATE stock SET left_over = 1 WHERE item = 1')
    waiting(12)
    observer.first('a prepared transaction that nobody ends', 'orphaned_prepared_transaction', "it's x", 'warning', '12 sessions wait')


def long_statements():
    start(keep(connect_all(4, 'batch')), 'SELECT pg_sleep(1000)')
    found = observer.first('a batch that uses up its pool', 'long_statements', 'batch', 'critical', '4 of the 4')
    row = of(found, 'pool_too_small', 'batch')
    ok(row and 'Explained by long_statements' in row['evidence'], 'it explains that the pool is full', as_text(found))


def two_causes():
    check_out(engine('web', 5, 5), 7)
    start(keep(connect_all(4, 'batch')), 'SELECT pg_sleep(1000)')
    observer.first('a leak beside a batch', 'long_statements', 'batch', 'critical')
    found = observer.findings()
    ok(of(found, 'leak_in_transaction', 'web'), 'both are found', as_text(found))


def leak_and_convoy_elsewhere():
    check_out(engine('web', 5, 5), 3)
    migration = keep(connect('migration'))
    start([migration], 'BEGIN; LOCK TABLE stock; SELECT pg_sleep(1000)')
    observer.wait("SELECT count(*) > 0 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'stock'::regclass", 'a migration has the lock')
    start(keep(connect_all(5, 'shop')), 'SELECT * FROM stock')
    waiting(5)
    observer.until(lambda: of(observer.findings(), 'lock_convoy') and of(observer.findings(), 'leak_in_transaction', 'web'), 'both are found')
    found = observer.findings()
    ok('Explained' not in of(found, 'lock_convoy')['evidence'], 'a leak and a convoy that have nothing to do with each other', as_text(found))


def more_instances():
    keep(connect_all(14, 'web'))
    found = observer.first('two generations of an application', 'more_instances_than_declared', 'web', 'notice', '14 connections and can have 10')
    ok(of(found, 'leak_in_transaction') is None, 'which is no leak', as_text(found))
    keep(connect_all(16, 'other'))
    observer.first('the same where the server has no room', 'more_instances_than_declared', 'web', 'warning')


def idle_pile_up():
    for number in range(6):
        keep(connect_all(5, f'tool {number}'))
    observer.first('idle sessions of many applications', 'idle_pile_up', severity='warning')
    keep(connect_all(6, 'tool 6'))
    observer.first('until there is no slot left', 'idle_pile_up', severity='critical')


def hogs():
    busy(keep(connect_all(34, 'hog')), 'SELECT 1', 0.2)
    keep(connect_all(2, 'other'))
    ok(is_refused('victim'), 'another application is refused')
    observer.first('one application has all the slots', 'application_hogs_server', 'hog', 'critical')


def leaks_while_another_suffers():
    for connection in keep(connect_all(31, 'leaky')):
        run(connection, 'BEGIN')
    keep(connect_all(5, 'victim'))
    ok(is_refused('victim'), 'an application is refused')
    found = observer.first('one leaks and another one suffers', 'leak_in_transaction', 'leaky', 'critical')
    ok(all('Explained' in row['evidence'] for row in found if row['finding'] in ('max_connections_too_low', 'application_hogs_server')),
       'that explains the full server', as_text(found))


def oversubscribed():
    configure(pool_monitor__pools='one: application=one size=20; two: application=two size=20')
    observer.first('pools that may ask for more than there is', 'pools_oversubscribed', severity='notice')
    busy(keep(connect_all(18, 'one')) + keep(connect_all(12, 'two')), 'SELECT 1', 0.2)
    observer.first('and come near to it', 'pools_oversubscribed', severity='warning')
    configure(pool_monitor__pools=POOLS)


def too_low():
    for number in range(9):
        busy(keep(connect_all(4, f'service {number}')), 'SELECT pg_sleep(0.5)')
    ok(is_refused('service 10'), 'an application is refused')
    found = observer.first('a server that is too small for what works', 'max_connections_too_low', severity='critical')
    ok(not any(row['finding'].startswith('leak') for row in found), 'nobody leaks', as_text(found))


def logins_stuck():
    (culprit,) = keep(connect_all(1, 'admin', user='postgres'))
    start([culprit], 'BEGIN; LOCK TABLE pg_db_role_setting; SELECT pg_sleep(1000)')
    observer.wait("SELECT count(*) > 0 FROM pg_locks WHERE relation = 'pg_db_role_setting'::regclass AND mode = 'AccessExclusiveLock' AND granted", 'a catalog is locked')
    in_background(*[silently(connect, 'login') for _ in range(12)])
    waiting(12)
    observer.first('logins that wait for a lock', 'lock_convoy', str(culprit.get_backend_pid()), evidence='12 sessions wait')
    observer.until(lambda: '12 logins' in (of(observer.findings(), 'logins_stuck') or {'evidence': ''})['evidence'], 'all twelve are stuck')
    found = observer.findings()
    row = of(found, 'logins_stuck')
    ok(row and 'Explained by lock_convoy' in row['evidence'], 'the logins are explained by it: logins_stuck', as_text(found))


def churn():
    for _ in range(150):
        connection = connect('php')
        run(connection, 'SELECT 1')
        connection.close()
    observer.first('a connection for each request', 'connection_churn', 'php')
    found = observer.findings()
    ok(of(found, 'retry_storm') is None, 'which is no storm of retries', as_text(found))


def role_limit():
    keep(connect_all(2, 'limited', user='limited'))
    ok(is_refused('limited', user='limited'), 'a role has its limit')
    observer.first('the limit of a role', 'role_limit', 'limited', 'warning')
    found = observer.findings()
    ok(of(found, 'max_connections_too_low') is None, 'which is not the server\'s', as_text(found))
    is_refused('limited', number=150, user='limited')
    observer.until(lambda: of(observer.findings(), 'retry_storm'), 'a client retries without end')
    found = observer.first('the limit of a role, and retries', 'role_limit', 'limited', 'warning')
    row = of(found, 'retry_storm')
    ok(row and 'Explained by role_limit' in row['evidence'], 'the storm is explained by the limit: retry_storm', as_text(found))


def database_limit():
    keep(connect_all(2, 'narrow', dbname='narrow'))
    ok(is_refused('narrow', dbname='narrow'), 'a database has its limit')
    observer.first('the limit of a database', 'database_limit', 'narrow', 'warning')


def storm():
    for number in range(9):
        busy(keep(connect_all(4, f'service {number}')), 'SELECT pg_sleep(0.5)')
    is_refused('retry', number=150)
    observer.until(lambda: of(observer.findings(), 'retry_storm', 'retry'), 'who is refused tries again: retry_storm')
    found = observer.first('a full server, and retries', 'max_connections_too_low', severity='critical')
    ok(of(found, 'retry_storm', 'retry') and of(found, 'connection_churn') is None, 'a storm is no churn', as_text(found))


def blind():
    keep(connect_all(3, 'dark', user='dark'))
    observer.first('sessions without a state', 'sampling_blind', 'track_activities', 'warning', '3 sessions show no state')


def blind_to_refusals():
    configure(log_min_messages='panic')
    observer.first('refusals that nobody sees', 'sampling_blind', 'log_min_messages', 'warning')
    configure(log_min_messages=None)


def last_night():
    (writer,) = keep(connect_all(1, 'billing'))
    run(writer, 'BEGIN')
    run(writer, 'UPDATE stock SET left_over = 0 WHERE item = 1')
    start(keep(connect_all(35, 'shop')), 'UPDATE stock SET left_over = 1 WHERE item = 1')
    waiting(35)
    ok(is_refused('shop'), 'an application is refused')
    observer.wait('SELECT count(*) = 1 FROM pool_monitor_incidents', 'that is an incident')
    pid = str(writer.get_backend_pid())
    observer.until(lambda: is_refused('shop') and observer.value("SELECT max(blocks) >= 35 FROM pool_monitor_incident_holders() WHERE moment = 'peak'"),
                   'its peak has all that wait')
    observer.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
    everything.clear()
    observer.wait('SELECT connections = 1 FROM pool_monitor_status', 'all of them have gone')
    found = observer.first('a convoy of last night, when all have gone', 'lock_convoy', pid, evidence=' sessions wait')
    ok('At the peak of incident' in found[0]['evidence'] and 'billing' in found[0]['evidence'], 'with its culprit', as_text(found))


#
# Healthy traffic
#

def is_healthy(case, seconds):
    """Looks for that long: nothing is found above a notice."""
    worst = []
    deadline = time.monotonic() + seconds
    looks = 0
    while time.monotonic() < deadline and not worst:
        worst = [row for row in observer.findings() if row['severity'] != 'notice']
        looks += 1
        time.sleep(0.1)
    ok(looks > 0 and not worst, f'healthy: {case}', as_text(worst))
    return observer.findings()


def pgbench():
    configure(pool_monitor__pools=None)
    environment = {**os.environ, 'PGAPPNAME': 'pgbench'}
    subprocess.run(['pgbench', '-q', '-i', '-s', '5', '-U', 'postgres', 'postgres'], env=environment, check=True, stderr=subprocess.DEVNULL)
    load = subprocess.Popen(['pgbench', '-c', '30', '-j', '2', '-T', '60', '-U', 'postgres', 'postgres'], env=environment,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    observer.wait("SELECT count(*) >= 25 FROM pg_stat_activity WHERE application_name = 'pgbench'", 'pgbench runs')
    is_healthy('pgbench with 30 sessions', 4)
    load.send_signal(signal.SIGINT)
    load.wait()
    configure(pool_monitor__pools=POOLS)


def nightly_batch():
    start(keep(connect_all(1, 'nightly')), 'SELECT pg_sleep(1000)')
    dumped = subprocess.run(['pg_dump', '-U', 'postgres', '-f', '/dev/null', 'postgres'], env=os.environ, check=False)
    ok(dumped.returncode == 0, 'a dump is made')
    found = is_healthy('a nightly batch', 3)
    ok(of(found, 'long_statements', 'nightly'), 'its statement is a notice', as_text(found))


def idle_night():
    keep(connect_all(5, 'web') + connect_all(3, 'fixed'))
    found = is_healthy('an idle night', 3)
    ok([row['finding'] for row in found] == ['healthy'], 'in one row', as_text(found))
    cheap = observer.findings('10 minutes')
    ok('refused' in found[0]['evidence'] and 'refused' not in cheap[0]['evidence'], 'which claims what was looked at', as_text(found + cheap))


def pgbouncer():
    folder = tempfile.mkdtemp(dir=HOST)
    with open(f'{folder}/ini', 'w', encoding='utf-8') as ini:
        ini.write(f'[databases]\n* = host={HOST} user=app\n[pgbouncer]\nlisten_addr =\nunix_socket_dir = {folder}\nlisten_port = 6432\n'
                  f'auth_type = any\npool_mode = transaction\ndefault_pool_size = 5\n'
                  'ignore_startup_parameters = extra_float_digits\n')
    os.chmod(folder, 0o755)
    bouncer = subprocess.Popen(['pgbouncer', f'{folder}/ini'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    observer.until(lambda: os.path.exists(f'{folder}/.s.PGSQL.6432'), 'PgBouncer starts')
    busy([psycopg2.connect(host=folder, port=6432, dbname='postgres', user='app', application_name=f'client {i % 3}') for i in range(15)],
         'SELECT pg_sleep(0.01)')
    is_healthy('PgBouncer', 3)
    bouncer.terminate()
    bouncer.wait()
    shutil.rmtree(folder)


def replica():
    folder = tempfile.mkdtemp(dir=HOST)
    os.chmod(folder, 0o700)
    subprocess.run(['pg_basebackup', '-U', 'postgres', '-D', f'{folder}/data', '-R', '-c', 'fast', '-X', 'stream'], check=True)
    with open(f'{folder}/data/postgresql.conf', 'a', encoding='utf-8') as conf:
        conf.write(f"unix_socket_directories = '{folder}'\n")
    subprocess.run(['pg_ctl', '-D', f'{folder}/data', '-l', f'{folder}/log', '-w', '-s', 'start'], check=True)
    observer.wait('SELECT count(*) = 1 FROM pg_stat_replication', 'a standby follows')
    is_healthy('a server with a replica', 2)
    standby = connect('reader', host=folder, user='postgres')
    observer.until(lambda: run(standby, "SELECT count(*) FROM pg_extension WHERE extname = 'pool_monitor'")[0][0] == 1, 'the extension is there')
    rows = run(standby, 'SELECT severity, finding FROM pool_monitor_diagnosis()')
    ok(rows == [('notice', 'healthy')], 'healthy: the replica itself', rows)
    standby.close()
    subprocess.run(['pg_ctl', '-D', f'{folder}/data', '-m', 'immediate', '-s', 'stop'], check=True)
    shutil.rmtree(folder)


configure(pool_monitor__pools=POOLS)
for cause in (leaks, grows, leaks_aborted, not_returned, not_closed, ended, silent, does_not_read, convoy, convoy_of_leak, advisory,
              prepared, long_statements, two_causes, leak_and_convoy_elsewhere, more_instances, idle_pile_up, hogs,
              leaks_while_another_suffers, oversubscribed, too_low, logins_stuck, churn, role_limit, database_limit,
              storm, blind, blind_to_refusals, last_night,
              pgbench, nightly_batch, idle_night, pgbouncer, replica):
    if sys.argv[1:] and cause.__name__ not in sys.argv[1:]:
        continue
    began = time.monotonic()
    cause()
    clean_up()
    note(f'{cause.__name__}: {time.monotonic() - began:.1f} s')
note(f"{observer.value('SELECT count(*) FROM pool_monitor_incidents')} incidents")
finish()
