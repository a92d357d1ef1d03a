#!/usr/bin/python3
"""The health endpoint of health/app.py, run as users run it (FastAPI in
uvicorn) and asked by many clients at once: it answers 200 or 503 as the pools
are, and still does when no connection is left."""
import atexit
import concurrent.futures
import json
import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import psycopg2

from tap import PATIENCE, equal, finish, ok, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
DATABASE = 'health_fastapi'
CLIENTS, REQUESTS = 16, 320
KEYS = ['checked_in', 'checked_out', 'invalid', 'overflow', 'pool', 'pool_size', 'status', 'total_connections']


def connect(**options):
    connection = psycopg2.connect(**{'dbname': DATABASE, **options})
    connection.autocommit = True
    return connection


def run(connection, sql):
    cursor = connection.cursor()
    cursor.execute(sql)
    return cursor


def free_port():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


def configure(**settings):
    for setting, value in settings.items():
        run(admin, f'ALTER SYSTEM SET pool_monitor.{setting} = {value}')
    run(admin, 'SELECT pg_reload_conf()')


admin = connect(dbname='postgres')
run(admin, f'CREATE DATABASE {DATABASE}')
run(admin, 'CREATE ROLE health LOGIN')
run(admin, 'CREATE ROLE shop LOGIN')
database = connect()
run(database, 'CREATE EXTENSION pool_monitor')
configure(pools="'shop: application=shop-* size=3 overflow=2; idle: application=nobody size=1'")


@atexit.register
def undo():
    run(admin, 'ALTER SYSTEM RESET pool_monitor.pools')
    run(admin, 'ALTER SYSTEM RESET pool_monitor.critical_threshold')
    run(admin, 'SELECT pg_reload_conf()')


port = free_port()
folder = tempfile.mkdtemp()
with open(f'{folder}/log', 'w', encoding='utf-8') as log:
    uvicorn = subprocess.Popen(
        ('/usr/bin/python3', '-m', 'uvicorn', '--app-dir', f'{HERE}/health', '--host', '127.0.0.1', '--port', str(port), 'app:app'),
        stdout=log, stderr=log, cwd=folder,
        env={**os.environ, 'PYTHONDONTWRITEBYTECODE': '1',
             'DATABASE_URL': f'postgresql+psycopg2://health@/{DATABASE}?host={os.environ["PGHOST"]}&port={os.environ["PGPORT"]}'})
atexit.register(lambda: (uvicorn.terminate(), uvicorn.wait()))


def get():
    """The status and the document"""
    try:
        with urllib.request.urlopen(f'http://127.0.0.1:{port}/health/db-pool', timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def answers():
    try:
        get()
        return True
    except OSError:
        return False


def drive(requests=REQUESTS):
    """Many requests at once: the answers, and how long the slowest took"""
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
        started = time.monotonic()
        results = [future.result() for future in [clients.submit(get) for _ in range(requests)]]
    return results, time.monotonic() - started


def pool(document, name='shop'):
    return next(pool for pool in document['pools'] if pool['pool'] == name)


wait_until(answers, 'uvicorn serves the endpoint')
status, document = get()
equal((status, document['status']), (200, 'healthy'), 'a healthy server is 200')
equal([pool['pool'] for pool in document['pools']], ['shop', 'idle'], 'each declared pool is in the answer')
equal(sorted(pool(document)), KEYS, 'with the words of a pool')
equal(run(database, "SELECT count(*) FROM pool_monitor_sessions WHERE application_name = 'health'").fetchone()[0], 1,
      'the endpoint holds one connection')

# A pool that fills up while many ask
held = [connect(application_name=f'shop-{i}', user='shop') for i in range(5)]
for connection in held[:4]:
    run(connection, 'BEGIN')
results, seconds = drive()
equal({status for status, _ in results}, {200}, f'{REQUESTS} requests of {CLIENTS} clients at once are all answered')
ok(seconds < PATIENCE, 'in reasonable time', seconds)
wanted = {'pool': 'shop', 'pool_size': 3, 'checked_in': 1, 'checked_out': 4, 'overflow': 2, 'invalid': 0, 'total_connections': 5,
          'status': 'overflow'}
equal([pool(document) for _, document in results if pool(document) != wanted], [], 'each with the same, right figures')
equal(run(database, "SELECT peak_connections FROM pool_monitor_applications WHERE application_name = 'health'").fetchone()[0], 1,
      'and the endpoint never held more than its one connection')

run(held[4], 'BEGIN')
results, _ = drive(40)
equal({(status, pool(document)['status'], document['status']) for status, document in results}, {(503, 'exhausted', 'healthy')},
      'an exhausted pool is 503, on a server that is healthy')
run(held[4], 'COMMIT')
equal(get()[0], 200, 'and 200 again as soon as one is given back')

# A pool that changes while it is asked: every answer is right in itself
results = []
with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
    futures = [clients.submit(get) for _ in range(REQUESTS)]
    while not all(future.done() for future in futures):
        run(held[4], 'BEGIN')
        time.sleep(0.02)
        run(held[4], 'COMMIT')
        time.sleep(0.02)
    results = [future.result() for future in futures]
wrong = [(status, pool(document)) for status, document in results
         if status != (503 if pool(document)['checked_out'] >= 5 else 200)
         or (pool(document)['status'] == 'exhausted') != (pool(document)['checked_out'] >= 5)
         or pool(document)['checked_in'] + pool(document)['checked_out'] != 5]
equal(wrong, [], 'while the pool changes, the status always fits the figures beside it')
equal({status for status, _ in results}, {200, 503}, 'and both were seen')

# The server
for connection in held:
    connection.close()
configure(critical_threshold=1)
wait_until(lambda: get()[0] == 503, 'a critical server is 503')
equal(get()[1]['status'], 'critical', 'and says so')
configure(critical_threshold=95)
wait_until(lambda: get()[0] == 200, 'then it is healthy again')
fillers = []
try:
    while len(fillers) < 200:
        fillers.append(connect(user='shop', application_name='filler'))
    ok(False, 'the server becomes full')
except psycopg2.OperationalError as error:
    ok('remaining connection slots' in str(error) or 'too many clients' in str(error), 'the server becomes full', error)
results, _ = drive(40)
equal({(status, document['status']) for status, document in results}, {(503, 'exhausted')},
      'with no connection left, every request is still answered: 503, exhausted')
ok(results[0][1]['rejected'] >= 1 and results[0][1]['available'] == 0, 'with the refused login counted', results[0])

# The endpoint's own connection is lost while the server is full, and comes
# back by itself
run(admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'health'")
fillers.append(None)
for _ in range(50):
    try:
        fillers[-1] = connect(user='shop', application_name='filler')
        break
    except psycopg2.OperationalError:
        time.sleep(0.1)
ok(fillers[-1] is not None, 'another takes the place of its connection')
equal(get(), (503, {'status': 'unreachable', 'error': 'OperationalError'}), 'an endpoint that can not connect is 503 too')
for connection in filter(None, fillers):
    connection.close()
wait_until(lambda: get()[0] == 200, 'it comes back by itself')
with open(f'{folder}/log', encoding='utf-8') as log:
    log = log.read()
ok('Traceback' not in log, 'nothing went wrong in the application', log[-2000:])

finish()
