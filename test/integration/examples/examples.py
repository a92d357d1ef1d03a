"""examples.py FOLDER CONF: runs the examples in FOLDER on the server of libpq's
environment, which includes CONF, and prints TAP.

Each serves pages that use its pool.  One of them asks another service while it
holds a connection; that service is ours, and answers when it is told to.
"""
import atexit
import concurrent.futures
import glob
import http.server
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import psycopg2
import psycopg2.extras

from tap import PATIENCE, POLL, equal, finish, note, ok, wait_until

FOLDER, CONF = sys.argv[1:]
HOST, PORT = '127.0.0.1', os.environ['PGPORT']
JARS = '/usr/share/java'


def connect(**options):
    connection = psycopg2.connect(**{'dbname': 'shop', 'application_name': 'observer', **options})
    connection.autocommit = True
    return connection


def rows(sql):
    cursor.execute(sql)
    return [dict(row) for row in cursor.fetchall()]


def free_port():
    with socket.socket() as free:
        free.bind((HOST, 0))
        return free.getsockname()[1]


def soon(get, expected, fact):
    """A figure that follows what a client did a moment ago"""
    deadline = time.monotonic() + PATIENCE
    while (got := get()) != expected and time.monotonic() < deadline:
        time.sleep(POLL)
    equal(got, expected, fact)


def show_log(name):
    with open(f'{FOLDER}/{name}.log', encoding='utf-8') as log:
        note(f'{name}: {log.read()[-2000:]}')


def start(name, *arguments, folder=None, environment=(), **options):
    """Starts a program that ends with us."""
    with open(f'{FOLDER}/{name}.log', 'w', encoding='utf-8') as log:
        process = subprocess.Popen(arguments, stderr=log, cwd=f'{FOLDER}/{folder or name}',
                                   env={**os.environ, 'SERVICE_URL': service_url, **dict(environment)},
                                   **{'stdout': log, **options})
    atexit.register(lambda: (process.terminate(), process.wait()))
    return process


class Service(http.server.BaseHTTPRequestHandler):
    """The other service"""
    answers = threading.Event()

    def do_GET(self):
        Service.answers.wait(PATIENCE)
        self.send_response(200)
        self.send_header('Content-Length', '2')
        self.end_headers()
        self.wfile.write(b'{}')

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 64
    daemon_threads = True


def page(port, path):
    """The status and the document"""
    try:
        with urllib.request.urlopen(f'http://{HOST}:{port}/{path}', timeout=PATIENCE) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        body = error.read().decode()
        return error.code, json.loads(body) if error.headers.get_content_type() == 'application/json' else body


def serves(port):
    try:
        return page(port, 'pool')[0] == 200
    except OSError:
        return False


def ours(pool):
    """The server's figures of a pool, in the words of theirs"""
    return rows(f"SELECT total_connections AS total, checked_out, capacity FROM pool_monitor_pools WHERE pool = '{pool}'")[0]


def status(pool):
    return rows(f"SELECT status FROM pool_monitor_pools WHERE pool = '{pool}'")[0]['status']


def held(pool):
    """What the sessions of a pool that are in a transaction say of their code"""
    return [row['tags'] for row in rows(f"SELECT tags FROM pool_monitor_sessions WHERE pool = '{pool}' AND state = 'idle in transaction'")]


def outside(pool, application):
    """Sessions under that name that are not in the pool, or in it under another"""
    return rows(f"SELECT pool, application_name FROM pool_monitor_sessions WHERE (application_name = '{application}') <> (pool IS NOT DISTINCT FROM '{pool}')")


#
# The declarations: each file as it is, then all of them in one line
#

admin = connect(dbname='postgres')
for sql in ('CREATE ROLE shop LOGIN', 'CREATE ROLE shop_pooled LOGIN', 'CREATE DATABASE shop'):
    admin.cursor().execute(sql)
cursor = connect().cursor(cursor_factory=psycopg2.extras.RealDictCursor)
cursor.execute('CREATE EXTENSION pool_monitor')


def configure(line, names, fact):
    with open(CONF, 'w', encoding='utf-8') as conf:
        conf.write(line + '\n')
    rows('SELECT pg_reload_conf()')
    soon(lambda: [row['pool'] for row in rows('SELECT pool FROM pool_monitor_pools')], names, fact)


declarations = []
for file in sorted(glob.glob(f'{FOLDER}/*/pool_monitor.conf')):
    with open(file, encoding='utf-8') as conf:
        declaration = re.search(r"^pool_monitor\.pools = '(.*)'$", conf.read(), re.M).group(1)
    names = re.findall(r'(?:^|; )(\w+):', declaration)
    configure(f"include '{file}'", names, f'{file[len(FOLDER) + 1:]} can be included')
    declarations.append(declaration)
equal(len(declarations), 4, 'each example has its declaration')
NAMES = ['api', 'worker', 'billing', 'web', 'pgbouncer']
joined = '; '.join(declarations)
configure(f"pool_monitor.pools = '{joined}'", NAMES, 'together they are one line')
capacity = rows('SELECT * FROM pool_monitor_capacity')[0]
equal((capacity['declared_capacity'], capacity['oversubscribed']), (10 + 3 + 4 + 4 + 5, False), 'which fits the server')


def setting(file, pattern):
    with open(f'{FOLDER}/{file}', encoding='utf-8') as text:
        return int(re.search(pattern, text.read(), re.M).group(1))


# The pages below have the capacities; these are in no client's statistics
equal(rows('SELECT pool, extract(epoch FROM closes_idle)::integer AS closes_idle, min_idle FROM pool_monitor_pools WHERE closes_idle IS NOT NULL'),
      [{'pool': 'billing', 'closes_idle': setting('hikaricp/application.properties', r'\.idle-timeout=(\d+)000$'),
        'min_idle': setting('hikaricp/application.properties', r'\.minimum-idle=(\d+)$')},
       {'pool': 'web', 'closes_idle': setting('node_postgres/pool.mjs', r'idleTimeoutMillis: (\d+)000,$'), 'min_idle': 0},
       {'pool': 'pgbouncer', 'closes_idle': setting('pgbouncer/pgbouncer.ini', r'^server_idle_timeout = (\d+)$'),
        'min_idle': setting('pgbouncer/pgbouncer.ini', r'^min_pool_size = (\d+)$')}],
      'a pool is declared to close its idle connections when its client does')


#
# The examples
#

service = Server((HOST, 0), Service)
threading.Thread(target=service.serve_forever, daemon=True).start()
service_url = f'http://{HOST}:{service.server_address[1]}'
URL = f'postgresql://shop@{HOST}:{PORT}/shop'
PORTS = {'api': free_port(), 'web': free_port(), 'billing': free_port(), 'pgbouncer': free_port()}
executor = concurrent.futures.ThreadPoolExecutor(40)


def start_node():
    done = subprocess.run(('npm', 'install', '--no-audit', '--no-fund', '--no-package-lock', '--no-update-notifier', '--loglevel=error'),
                          cwd=f'{FOLDER}/node_postgres', stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding='utf-8')
    ok(done.returncode == 0, 'npm installs what package.json names', done.stdout)
    start('node_postgres', 'node', 'server.mjs',
          environment={'PORT': str(PORTS['web']), 'PGHOST': HOST, 'PGUSER': 'shop', 'PGDATABASE': 'shop'}.items())


def start_pgbouncer():
    with open(f'{FOLDER}/pgbouncer/pgbouncer.ini', encoding='utf-8') as file:
        ini = file.read()
    for old, new in (('host=localhost port=5432', f'host={HOST} port={PORT}'), ('listen_port = 6432', f"listen_port = {PORTS['pgbouncer']}")):
        equal(ini.count(old), 1, f'pgbouncer.ini has {old}')
        ini = ini.replace(old, new)
    with open(f'{FOLDER}/pgbouncer/pgbouncer.ini', 'w', encoding='utf-8') as file:
        file.write(ini)
    with open(f'{FOLDER}/pgbouncer/userlist.txt', 'w', encoding='utf-8') as file:
        file.write('"shop" "secret"\n"shop_pooled" ""\n"pgbouncer" "console"\n')
    start('pgbouncer', 'pgbouncer', 'pgbouncer.ini')


start('fastapi_sqlalchemy', '/usr/bin/python3', '-m', 'uvicorn', '--host', HOST, '--port', str(PORTS['api']), 'api:app',
      environment={'DATABASE_URL': URL}.items())
start('hikaricp', 'java', '-XX:TieredStopAtLevel=1', '-cp',
      ':'.join(f'{JARS}/{jar}.jar' for jar in ('HikariCP', 'postgresql', 'slf4j-api', 'slf4j-nop')),
      'Main.java', 'application.properties',
      environment={'PORT': str(PORTS['billing']), 'SPRING_DATASOURCE_URL': f'jdbc:postgresql://{HOST}:{PORT}/shop'}.items())
worker = start('worker', '/usr/bin/python3', 'worker.py', folder='fastapi_sqlalchemy', environment={'DATABASE_URL': URL}.items(),
               stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding='utf-8')
start_pgbouncer()
start_node()


def tell_worker(line):
    worker.stdin.write(line + '\n')
    worker.stdin.flush()


def worker_pool():
    tell_worker('pool')
    return json.loads(worker.stdout.readline())


def health():
    return page(PORTS['api'], 'health/db-pool')


def pool_of(document, name):
    return next(pool for pool in document['pools'] if pool['pool'] == name)


def drive(name, folder, application, route, least):
    """A service with pages; LEAST are the connections that it has before it was
    asked for anything."""
    port = PORTS[name]

    def theirs():
        return page(port, 'pool')[1]

    wait_until(lambda: serves(port), f'{folder} serves its pages')
    if not serves(port):
        show_log(folder)
        return
    soon(lambda: (ours(name), theirs()['total']), (theirs(), least), f'{name}: at first the pool has {least} connections')
    Service.answers.set()
    answers = list(executor.map(lambda order: page(port, f'orders/{order}'), range(60)))
    equal(answers, [(200, {'id': order}) for order in range(60)], f'{name}: 60 requests of many clients are answered')
    if {code for code, _ in answers} != {200}:
        show_log(folder)
        return
    soon(lambda: ours(name), theirs(), f'{name}: then the server says what the pool says')
    if serves(PORTS['api']):
        equal(health()[0], 200, f'{name}: the health endpoint says 200')
    Service.answers.clear()
    size = theirs()['capacity']
    for number, word in ((2, 'healthy'), (size, 'exhausted')):
        requests = [executor.submit(page, port, f'payments/{order}') for order in range(number)]
        soon(lambda: theirs()['checked_out'], number, f'{name}: {number} requests wait for another service')
        soon(lambda: ours(name), theirs(), f'{name}: the server says what the pool says')
        soon(lambda: status(name), word, f'{name}: the pool is {word}')
        equal(theirs()['capacity'], ours(name)['capacity'], f'{name}: with the capacity that it has')
        soon(lambda: held(name), [{'application': 'shop', 'route': route}] * number, f'{name}: each session tells its route')
        equal(outside(name, application), [], f'{name}: all sessions of {application} are in the pool, and no other')
        if word == 'exhausted' and serves(PORTS['api']):
            code, document = health()
            equal((code, document['status'], pool_of(document, name)['status']), (503, 'healthy', 'exhausted'),
                  f'{name}: the health endpoint says it with a 503')
        Service.answers.set()
        equal([request.result() for request in requests], [(200, {'paid': order}) for order in range(number)], f'{name}: they are answered')
        Service.answers.clear()
        soon(lambda: (ours(name), theirs()['checked_out']), (theirs(), 0), f'{name}: all connections are given back')
    soon(lambda: status(name), 'healthy', f'{name}: the pool is healthy')


def jobs():
    for order in range(3):
        tell_worker(f'send_mail {order}')
    soon(lambda: held('worker'), [{'application': 'shop', 'job': 'send_mail'}] * 3, 'worker: each session tells its job')
    equal(ours('worker'), worker_pool(), 'worker: the server says what the pool says')
    equal((status('worker'), status('api')), ('exhausted', 'healthy'), 'worker: its pool is full, and that of the API is not')
    equal(outside('worker', 'shop-worker'), [], 'worker: all sessions are in the pool, and no other')
    Service.answers.set()
    soon(lambda: ours('worker')['checked_out'], 0, 'worker: its jobs end')
    equal(ours('worker'), worker_pool(), 'worker: with the connections that it keeps')
    Service.answers.clear()


def pgbouncer():
    def client(**options):
        return connect(host=HOST, port=PORTS['pgbouncer'], **options)

    def up():
        try:
            client(dbname='pgbouncer', user='pgbouncer', password='console').close()
            return True
        except psycopg2.OperationalError:
            return False

    wait_until(up, 'pgbouncer takes connections')
    if not up():
        show_log('pgbouncer')
        return
    console = client(dbname='pgbouncer', user='pgbouncer', password='console').cursor(cursor_factory=psycopg2.extras.RealDictCursor)

    def theirs():
        console.execute('SHOW POOLS')
        pool = next(dict(pool) for pool in console.fetchall() if pool['database'] == 'shop')
        console.execute('SHOW DATABASES')
        database = next(dict(database) for database in console.fetchall() if database['name'] == 'shop')
        return {'total': sum(pool[f'sv_{state}'] for state in ('active', 'idle', 'used', 'tested', 'login')),
                'checked_out': pool['sv_active'], 'capacity': database['pool_size'] + database['reserve_pool']}

    names = ['shop-report', 'shop-report', 'shop-import', '', '']
    clients = [client(user='shop', password='secret', application_name=name or None) for name in names]
    for connection in clients[:2]:
        connection.cursor().execute("BEGIN; SELECT 1 /*route='%2Freport'*/")
    soon(lambda: ours('pgbouncer'), theirs(), 'pgbouncer: the server says what SHOW POOLS says')
    equal(held('pgbouncer'), [{'route': '/report'}] * 2, 'pgbouncer: tags go through it')
    for connection in clients[2:]:
        connection.cursor().execute("BEGIN; SELECT 1 /*route='%2Freport'*/")
    soon(lambda: (ours('pgbouncer'), status('pgbouncer')), (theirs(), 'exhausted'), 'pgbouncer: with the reserve it is exhausted')
    equal([(row['application_name'], row['usename'], row['pool']) for row in rows(
        "SELECT application_name, usename, pool FROM pool_monitor_sessions WHERE usename = 'shop_pooled' ORDER BY 1")],
          sorted((name or 'shop-pgbouncer', 'shop_pooled', 'pgbouncer') for name in names),
          "pgbouncer: all its sessions are in the pool, under their clients' names or its own")
    equal(rows("SELECT pool FROM pool_monitor_sessions WHERE pool = 'pgbouncer' AND usename <> 'shop_pooled'"), [],
          'pgbouncer: and no other')
    for connection in clients:
        connection.cursor().execute('COMMIT')
    soon(lambda: (ours('pgbouncer'), ours('pgbouncer')['checked_out']), (theirs(), 0), 'pgbouncer: then all are given back')


drive('api', 'fastapi_sqlalchemy', 'shop-api', '/payments/{order}', 0)
drive('web', 'node_postgres', 'shop-web', '/payments/:order', 0)
drive('billing', 'hikaricp', 'shop-billing', '/payments/{order}', 1)
jobs()
pgbouncer()
code, document = health()
equal((code, document['status'], [pool['pool'] for pool in document['pools']]), (200, 'healthy', NAMES),
      'the health endpoint has every pool')
equal(rows("SELECT count(*) AS connections, count(pool) AS declared FROM pool_monitor_sessions WHERE application_name = 'shop-health'"),
      [{'connections': 1, 'declared': 0}], 'and one connection, which is in none')
finish()
