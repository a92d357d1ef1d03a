"""panels.py DASHBOARDS: runs every query of the Grafana dashboards, with
Grafana's macros expanded, on a PostgreSQL with some trouble and on a
Prometheus that scrapes it.  Prints TAP without numbers."""
import atexit
import datetime
import http.server
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import psycopg2

import tap
from tap import ok, wait_until

DATABASE = 'grafana'
INTERVALS = ('200ms', '1s', '30s', '5m', '1h', '1d')
# What Grafana reads as numbers, texts, booleans and times
BOOL, INT8, INT4, TEXT, FLOAT8, TIMESTAMPTZ, NUMERIC = 16, 20, 23, 25, 701, 1184, 1700
folder = tempfile.mkdtemp()
# grafana.sh adds tests of its own
tap.numbered = False


def connect(database=DATABASE, **options):
    connection = psycopg2.connect(dbname=database, **options)
    connection.autocommit = True
    return connection


def run(connection, sql):
    cursor = connection.cursor()
    cursor.execute(sql)
    return cursor


def refused(**options):
    try:
        connect(**options).close()
        return False
    except psycopg2.OperationalError:
        return True


def load(name):
    with open(os.path.join(sys.argv[1], name), encoding='utf-8') as file:
        return json.load(file)


def queries(dashboard):
    """Each query with the title of its panel; annotations are queries too."""
    for annotation in dashboard['annotations']['list']:
        yield f"annotation \"{annotation['name']}\"", annotation['target']
    for panel in dashboard['panels']:
        for target in panel.get('targets', []):
            yield f"panel \"{panel['title']}\"", target


#
# A Prometheus
#

class Metrics(http.server.BaseHTTPRequestHandler):
    """All it takes to serve the function."""

    def do_GET(self):
        connection = connect(user='monitoring', application_name='scraper')
        body = run(connection, 'SELECT pool_monitor_metrics()').fetchone()[0].encode()
        connection.close()
        self.send_response(200)
        self.send_header('Content-Type', 'application/openmetrics-text; version=1.0.0; charset=utf-8')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


class Prometheus:
    """A Prometheus of our own, which scrapes that."""

    def __init__(self):
        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Metrics)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.instance = f'127.0.0.1:{server.server_address[1]}'
        self.port = free_port()
        with open(f'{folder}/prometheus.yml', 'w', encoding='utf-8') as file:
            file.write('global: {scrape_interval: 1s, scrape_timeout: 1s}\n'
                       f'scrape_configs: [{{job_name: pg, static_configs: [{{targets: ["{self.instance}"]}}]}}]\n')
        with open(f'{folder}/prometheus.log', 'w', encoding='utf-8') as log:
            process = subprocess.Popen(
                ('prometheus', f'--config.file={folder}/prometheus.yml', f'--storage.tsdb.path={folder}/tsdb',
                 f'--web.listen-address=127.0.0.1:{self.port}'), stdout=log, stderr=log)
        atexit.register(lambda: (process.terminate(), process.wait()))

    def get(self, path, **arguments):
        """The data, or None and the error"""
        url = f'http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(arguments)}'
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)['data'], None
        except urllib.error.HTTPError as error:
            return None, error.read().decode()
        except OSError as error:
            return None, error

    def scraped(self):
        data, _ = self.get('query', query='count_over_time(pool_monitor_max_connections[1m])')
        return data and data['result'] and int(data['result'][0]['value'][1]) >= 4


#
# The server, and trouble on it
#

admin = connect('postgres')
run(admin, f'CREATE DATABASE {DATABASE}')
run(connect(), 'CREATE EXTENSION pool_monitor')
run(admin, 'DROP ROLE IF EXISTS monitoring')
subprocess.run(('psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', 'postgres', '-f', os.path.join(sys.argv[1], 'role.sql')), check=True)
run(admin, 'CREATE ROLE customer LOGIN CONNECTION LIMIT 12')
CHANGED = {
    'pools': "'shop_api: application=shop_api-* size=3 overflow=2; workers: application=\"celery worker\" size=4; other: user=nobody size=2; held: application=held size=4 closes_idle=1ms; full: application=full size=1'",
    'max_held_metrics': '10',
    'leak_threshold': "'3s'", 'sample_interval': "'100ms'", 'warning_threshold': '15', 'critical_threshold': '20'}
for setting, value in CHANGED.items():
    run(admin, f'ALTER SYSTEM SET pool_monitor.{setting} = {value}')
run(admin, 'SELECT pg_reload_conf()')


@atexit.register
def undo():
    for setting in CHANGED:
        run(admin, f'ALTER SYSTEM RESET pool_monitor.{setting}')
    run(admin, 'SELECT pg_reload_conf()')


run(connect(), 'SELECT pool_monitor_reset()')
started = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=5)
pool = [connect(application_name=f'shop_api-{i % 2}', user='customer') for i in range(5)]
for connection in pool[:3]:
    run(connection, 'BEGIN')
    run(connection, 'SELECT 1')
lookalike = connect(application_name='shopXapi-9', user='customer')
run(lookalike, 'BEGIN')
# idle outside of a transaction, which their pool would have closed
held = [connect(application_name='held') for _ in range(2)]
for connection in held:
    run(connection, "SELECT 1 /*route='/held'*/")
full = connect(application_name='full')
run(full, 'BEGIN')
wait_until(lambda: run(connect(), "SELECT last_exhausted_at IS NOT NULL FROM pool_monitor_pools WHERE pool = 'full'").fetchone()[0], 'a pool was full')
run(full, 'ROLLBACK')
worker = connect(application_name='celery worker', user='customer')
for _ in range(50):
    run(worker, 'SELECT 1')
victims = [connect(application_name='victim', user='customer') for _ in range(2)]
many = [connect(application_name=f'one of many {i}', user='customer') for i in range(3)]
ok(refused(application_name='late', user='customer'), 'a login is refused')
monitor = connect(user='monitoring')
run(monitor, 'SET default_transaction_read_only = on')
prometheus = Prometheus()
database = connect()
wait_until(lambda: run(database, "SELECT count(*) FROM pool_monitor_terminate_idle('100 ms', 'victim', dry_run => false)").fetchone()[0] == 0
           and run(database, "SELECT count(*) = 2 FROM pool_monitor_terminations WHERE outcome = 'terminated' AND application_name = 'victim'").fetchone()[0],
           'idle sessions are ended')
wait_until(lambda: run(database, "SELECT count(*) = 4 FROM pool_monitor_leaks WHERE leak_suspect = 'idle in transaction'").fetchone()[0], 'sessions look leaked')
wait_until(lambda: run(database, "SELECT count(*) > 10 FROM pool_monitor_history(now() - interval '1 min', now(), '100 ms') WHERE application_name = 'shop_api-0'").fetchone()[0],
           'there is a history')
wait_until(lambda: run(database, 'SELECT count(*) > 0 FROM pool_monitor_incidents').fetchone()[0], 'there is an incident')
for setting in 'warning_threshold', 'critical_threshold':
    run(admin, f'ALTER SYSTEM RESET pool_monitor.{setting}')
run(admin, 'SELECT pg_reload_conf()')
wait_until(lambda: run(database, "SELECT status = 'healthy' FROM pool_monitor_status").fetchone()[0], 'by the usual thresholds all is well')


def sized():
    """Sizing is made of whole minutes, so go on until one has passed."""
    run(worker, 'SELECT 1')
    return run(database, "SELECT count(*) > 0 FROM pool_monitor_sizing() WHERE application_name = 'celery worker'").fetchone()[0]


wait_until(sized, 'a minute has passed', 75)
wait_until(lambda: run(database, "SELECT count(*) > 0 FROM pool_monitor_holds() WHERE state = 'idle' AND application_name = 'held'").fetchone()[0],
           'and in a whole minute code held connections outside of transactions', 75)


#
# The dashboard on PostgreSQL
#

def expand(sql, interval, since, until):
    """Grafana's macros: the frontend replaces $__interval, the data source the
    rest."""
    seconds = {'ms': 0.001, 's': 1, 'm': 60, 'h': 3600, 'd': 86400}
    number, unit = re.fullmatch(r'(\d+)([a-z]+)', interval).groups()
    since, until = (f"'{moment.strftime('%Y-%m-%dT%H:%M:%S.%f')[:-3]}Z'" for moment in (since, until))
    sql = re.sub(r'\$__interval\b', interval, sql)
    sql = re.sub(r'\$__timeFrom\(\)', since, sql)
    sql = re.sub(r'\$__timeTo\(\)', until, sql)
    sql = re.sub(r'\$__timeFilter\(([^)]+)\)', rf'\1 BETWEEN {since} AND {until}', sql)
    length = int(number) * seconds[unit]
    return re.sub(r'\$__timeGroup\(([^,]+),[^)]+\)', rf'floor(extract(epoch from \1)/{length:g})*{length:g}', sql)


def check_columns(cursor, rows, time_series):
    """What Grafana would stumble over"""
    wrong = [f'column "{column.name}" has a type that Grafana does not know ({column.type_code})' for column in cursor.description
             if column.type_code not in (BOOL, INT8, INT4, TEXT, FLOAT8, TIMESTAMPTZ, NUMERIC)]
    names = [column.name for column in cursor.description]
    if len(set(names)) < len(names):
        wrong.append('two columns have the same name')
    if time_series:
        if names[0] != 'time' or cursor.description[0].type_code not in (TIMESTAMPTZ, FLOAT8, NUMERIC):
            wrong.append('the first column is not the time')
        if [row[0] for row in rows] != sorted(row[0] for row in rows):
            wrong.append('the times are not in order')
        wrong += [f'column "{column.name}" is no value' for column in cursor.description[1:]
                  if column.type_code not in (INT8, INT4, FLOAT8, NUMERIC) and column.name != 'metric']
    return wrong


def check_postgresql():
    results = {}
    now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=1)
    day = datetime.timedelta(days=1)
    dashboard = load('grafana-postgresql.json')
    for title, target in queries(dashboard):
        wrong = []
        for interval in INTERVALS:
            # a day has too many periods of less than a second or so
            since = started if interval in ('200ms', '1s') else now - day
            sql = expand(target['rawSql'], interval, since, now)
            try:
                if '$__' in sql:
                    raise ValueError('there is a macro that is not known')
                cursor = run(monitor, sql)
                rows = cursor.fetchall()
                wrong += check_columns(cursor, rows, target['format'] == 'time_series')
                if not rows:
                    wrong.append(f'no rows with an interval of {interval}')
                if interval == '1s':
                    results[title] = [dict(zip((column.name for column in cursor.description), row)) for row in rows]
                # last week nothing was there, which is no error either
                run(monitor, expand(target['rawSql'], interval, now - 8 * day, now - 7 * day))
            except (psycopg2.Error, ValueError) as error:
                wrong.append(f'{interval}: {error}')
        ok(not wrong, f'PostgreSQL: {title} returns what Grafana reads', '\n'.join(dict.fromkeys(wrong)))
    return results


def panel(title):
    return shown.get(f'panel "{title}"', [])


shown = check_postgresql()
ok(panel('Status') == [{'status': 'healthy'}], 'the status is shown', panel('Status'))
leaks = [row['application_name'] for row in panel('Sessions that look leaked') if row['leak_suspect'] == 'idle in transaction']
ok(sorted(leaks) == ['shopXapi-9', 'shop_api-0', 'shop_api-0', 'shop_api-1'], 'and the leaks', panel('Sessions that look leaked'))
ok(panel('Refused logins')[:1] and panel('Refused logins')[0]['rejected'] >= 1, 'and the refused logins', panel('Refused logins'))
applications = {row['metric'] for row in panel('Connections by application')}
ok({'shop_api-0', 'shop_api-1', 'celery worker'} <= applications, 'the history has each application', applications)
ok(len(applications) <= 11, 'but no more than ten and the rest', applications)
times = [row['time'] for row in panel('Connections by application') if row['metric'] == 'celery worker']
ok(times == sorted({row['time'] for row in panel('Connections by application')}), 'each application has a value in each period')
pools = {row['metric']: row['value'] for row in panel('Declared pools: checked out, and capacity')}
ok(pools == {'shop_api': 3, 'shop_api capacity': 5, 'workers': 0, 'workers capacity': 4, 'held': 0, 'held capacity': 4, 'full': 0, 'full capacity': 1},
   'a pool is drawn with its capacity, by its pattern alone', pools)
now = {row['pool']: (row['checked_out'], row['capacity'], row['status']) for row in panel('Declared pools now')}
ok(now.get('shop_api') == (3, 5, 'overflow'), 'the table of pools says the same', now)
ok([(row['pool'], row['checked_out_evidence'], row['last_statement']) for row in panel('Held outside of transactions')]
   == 2 * [('held', 'closes_idle', "SELECT 1 /*route='/held'*/")], 'so are sessions that are held outside of a transaction', panel('Held outside of transactions'))
ok({row['metric'] for row in panel('Connections held, by state')} >= {'idle', 'idle in transaction'}, 'in the states that they are held in',
   panel('Connections held, by state'))
ok('route /held' in [row['metric'] for row in panel('Connections held, by code')], 'and by the code that does', panel('Connections held, by code'))
ok(sum(row['value'] for row in panel('Decisions by outcome') if row['metric'] == 'terminated') == 2, 'both ended sessions are counted',
   panel('Decisions by outcome'))


#
# The dashboard on Prometheus
#

def expand_promql(expression):
    for macro, value in {'$__rate_interval': '10s', '$__range': '1m', '$job': 'pg', '$instance': prometheus.instance}.items():
        expression = expression.replace(macro, value)
    return expression


def check_prometheus():
    results = {}
    dashboard = load('grafana-prometheus.json')
    for variable in dashboard['templating']['list'][1:]:
        metric, label = re.fullmatch(r'label_values\((.*), (\w+)\)', variable['query']['query']).groups()
        data, error = prometheus.get('series', **{'match[]': expand_promql(metric)})
        ok(data and all(label in series for series in data), f"Prometheus: variable {variable['name']} has values", error)
    for title, target in queries(dashboard):
        expression = expand_promql(target['expr'])
        data, error = prometheus.get('query', query=expression)
        why = error or ('there is a macro that is not known' if '$' in expression else None)
        # only the mark of an incident that goes on may have nothing to show
        if not why and not data['result'] and not title.startswith('annotation'):
            why = f'no series: {expression}'
        if not why:
            labels = re.findall(r'\{\{(\w+)\}\}', target.get('legendFormat', ''))
            why = '\n'.join(f'label "{label}" is not there' for label in labels if all(label not in s['metric'] for s in data['result']))
            results[title] = results.get(title, []) + [(s['metric'], float(s['value'][1])) for s in data['result']]
        ok(not why, f"Prometheus: {title}, query {target['refId']}, has series", why)
        yield expression
    shown.clear()
    shown.update(results)


def promtool_accepts(expressions):
    with open(f'{folder}/rules.yml', 'w', encoding='utf-8') as file:
        json.dump({'groups': [{'name': 'panels', 'rules': [
            {'record': f'panel:{number}', 'expr': expression} for number, expression in enumerate(expressions)]}]}, file)
    done = subprocess.run(('promtool', 'check', 'rules', f'{folder}/rules.yml'), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          encoding='utf-8')
    ok(done.returncode == 0, f'promtool accepts all {len(expressions)} expressions', done.stdout)


wait_until(prometheus.scraped, 'Prometheus has scraped the server')
wait_until(lambda: (prometheus.get('query', query='pool_monitor_held_connections{application_name="held"}')[0] or {}).get('result'),
           'and has the code that held connections')
promtool_accepts(list(check_prometheus()))
ok([labels.get('status') for labels, _ in panel('Status')] == ['healthy'], 'the status is shown', panel('Status'))
ok([value for labels, value in panel('Leak suspects by reason') if labels['reason'] == 'idle in transaction'] == [4], 'and the leaks',
   panel('Leak suspects by reason'))
ok({labels['pool']: value for labels, value in panel('Held outside of transactions')}.get('held') == 2, 'so are connections that are held outside of one',
   panel('Held outside of transactions'))
ok('/held' in [labels.get('tag_route') for labels, _ in panel('Which code holds connections')], 'and by which code', panel('Which code holds connections'))
pools = {(labels['pool'], labels.get('state')): value for labels, value in panel('Declared pools: checked out, and capacity')}
ok(pools.get(('shop_api', 'checked_out')) == 3 and pools.get(('shop_api', None)) == 5, 'a pool is drawn with its capacity', pools)
