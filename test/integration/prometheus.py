#!/usr/bin/python3
"""A real Prometheus scrapes the server in three ways: pool_monitor_metrics() as
OpenMetrics over HTTP, postgres_exporter and sql_exporter with our queries.

What it stores must be what clients of known names and states hold, and our
rules must load and mean something to it.
"""
import atexit
import http.server
import json
import math
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request

import psycopg2
import psycopg2.extensions
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tap import equal, finish, ok, wait_until

DATABASE = 'prometheus "it\'s" \\ 🐍'
HOLDER = 'holder "of" \\ connections'
ODD_APPLICATION = 'say "hi" \\ {to}=it'
OPENMETRICS = 'application/openmetrics-text; version=1.0.0; charset=utf-8'
DASHBOARDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../dashboards')
folder = tempfile.mkdtemp()


def connect(database=DATABASE, **options):
    connection = psycopg2.connect(dbname=database, **options)
    connection.autocommit = True
    return connection


def free_port():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


def start(name, *arguments, **environment):
    """Starts a program that ends with us."""
    with open(os.path.join(folder, f'{name}.log'), 'w') as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=log, env={**os.environ, **environment})
    atexit.register(lambda: (process.terminate(), process.wait()))


def promtool(*arguments, **options):
    done = subprocess.run(('promtool', *arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          encoding='utf-8', **options)
    return done.returncode, done.stdout


class Metrics(http.server.BaseHTTPRequestHandler):
    """All it takes to serve the function."""

    def do_GET(self):
        try:
            connection = connect(user='monitoring', application_name='scraper')
            cursor = connection.cursor()
            cursor.execute('SELECT pool_monitor_metrics()')
            body = cursor.fetchone()[0].encode()
            connection.close()
        except psycopg2.OperationalError:
            body = None
        try:
            self.answer(body)
        except ConnectionError:
            pass    # the reader has ended

    def answer(self, body):
        if body is None:
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header('Content-Type', OPENMETRICS)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def classic(text):
    """The same in Prometheus' older format, as client libraries write it: a
    counter is called by the name of its samples."""
    counters = re.findall(r'^# TYPE (\S+) counter$', text, re.M)
    lines = []
    for line in text.splitlines():
        if line.startswith('# UNIT ') or line == '# EOF':
            continue
        if line.startswith('# ') and line.split(' ')[2] in counters:
            line = re.sub(r'^(# \S+ \S+)', r'\1_total', line)
        lines.append(line)
    return '\n'.join(lines) + '\n'


class Prometheus:
    """A Prometheus of our own."""

    def __init__(self, targets):
        self.port = free_port()
        with open(os.path.join(DASHBOARDS, 'prometheus.yml'), encoding='utf-8') as file:
            config = file.read().replace('- prometheus_rules.yml', f'- {json.dumps(os.path.join(DASHBOARDS, "prometheus_rules.yml"))}')
        for job, port in targets.items():
            config, changes = re.subn(rf'(job_name: {job}\n(?: .*\n)*?.*)localhost:\d+', rf'\g<1>127.0.0.1:{port}', config)
            equal(changes, 1, f'prometheus.yml has the job {job}')
        # which answers after a second, when it can not connect
        config = config.replace('job_name: postgres_exporter\n', 'job_name: postgres_exporter\n    scrape_interval: 3s\n    scrape_timeout: 3s\n')
        config = 'global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n' + config
        self.config = os.path.join(folder, 'prometheus.yml')
        with open(self.config, 'w', encoding='utf-8') as file:
            file.write(config)
        start('prometheus', 'prometheus', f'--config.file={self.config}',
              f'--storage.tsdb.path={folder}/tsdb', f'--web.listen-address=127.0.0.1:{self.port}')

    def get(self, path, **arguments):
        url = f'http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(arguments)}'
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)['data']
        except urllib.error.HTTPError as error:
            return {'result': [], 'error': error.read().decode()}
        except OSError:
            return {'result': []}

    def query(self, expression):
        """The series: their labels and values."""
        return [(series['metric'], float(series['value'][1])) for series in self.get('query', query=expression)['result']]

    def value(self, expression):
        series = self.query(expression)
        return series[0][1] if len(series) == 1 else math.nan


def quoted(value):
    """A string of PromQL."""
    return json.dumps(value, ensure_ascii=False)


def identifier(name):
    return '"' + name.replace('"', '""') + '"'


admin = connect('postgres')
cursor = admin.cursor()
cursor.execute(f'CREATE DATABASE {identifier(DATABASE)}')
cursor.execute(f'CREATE ROLE {identifier(HOLDER)} LOGIN')
cursor.execute('DROP ROLE IF EXISTS monitoring')
subprocess.run(('psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', 'postgres', '-f', f'{DASHBOARDS}/role.sql'), check=True)
cursor.execute('CREATE ROLE plain LOGIN')
cursor.execute("ALTER SYSTEM SET pool_monitor.pools = 'api: application=api-* size=3 overflow=2 instances=2; \"no size\": user=monitoring; big: application=big size=1000; full: application=full size=1'")
cursor.execute("ALTER SYSTEM SET pool_monitor.leak_threshold = 1")
cursor.execute("ALTER SYSTEM SET pool_monitor.max_held_metrics = 20")
cursor.execute(f"ALTER SYSTEM SET pool_monitor.metrics_file = '{folder}/pool_monitor.prom'")
cursor.execute('SELECT pg_reload_conf()')


@atexit.register
def undo():
    for setting in ('pools', 'leak_threshold', 'max_held_metrics', 'metrics_file'):
        cursor.execute(f'ALTER SYSTEM RESET pool_monitor.{setting}')
    cursor.execute('SELECT pg_reload_conf()')


connect().cursor().execute('CREATE EXTENSION pool_monitor')

# Code that holds a connection, and with it all of its pool
holder = connect(application_name='full')
holder.cursor().execute("BEGIN /*route='%2Fpay%22%5C',controller='orders'*/")

# Seven sessions of the pool, four of them in a transaction, and an odd one
held = [connect(application_name=f'api-{i % 2}', user=HOLDER) for i in range(7)]
for i, connection in enumerate(held):
    connection.cursor().execute('SELECT 1')
    if i < 4:
        connection.cursor().execute('BEGIN')
odd = connect(application_name=ODD_APPLICATION, user=HOLDER)
odd.cursor().execute('SELECT pg_sleep(0.05)')
for _ in range(2):
    try:
        cursor.execute(f'ALTER ROLE {identifier(HOLDER)} CONNECTION LIMIT 8')
        connect(application_name=ODD_APPLICATION, user=HOLDER)
        ok(False, 'a login is refused')
    except psycopg2.OperationalError as error:
        ok('too many connections for role' in str(error), 'a login is refused', error)

server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Metrics)
threading.Thread(target=server.serve_forever, daemon=True).start()
ports = {'pool_monitor': server.server_address[1], 'postgres_exporter': free_port(), 'sql_exporter': free_port()}

# What the tools say of the text itself
with urllib.request.urlopen(f'http://127.0.0.1:{ports["pool_monitor"]}/metrics') as answer:
    text = answer.read().decode()
families = {family.name: family for family in text_string_to_metric_families(text)}
ok(len(families) > 40, "the parser of Prometheus' Python client accepts the text", len(families))
equal(families['pool_monitor_hold_time_seconds'].unit, 'seconds', 'and sees units')
names = {tuple(sample.labels.get(label) for label in ('datname', 'usename', 'application_name'))
         for sample in families['pool_monitor_connections'].samples}
ok((DATABASE, HOLDER, ODD_APPLICATION) in names, 'names with quotes and backslashes survive', names)
equal(promtool('check', 'metrics', input=classic(text)), (0, ''), 'promtool check metrics has no remark')
status, remarks = promtool('check', 'metrics', input=text + '\n')
equal([line for line in remarks.splitlines() if not re.search(r'_total no help text$', line)], [],
      'of OpenMetrics, which it reads as the older format, it understands all but the names of counters')

# The exporters' own view of a name with a single quote would be their bug, so
# they connect to a database without one
cursor.execute('CREATE DATABASE exporters')
connect('exporters').cursor().execute('CREATE EXTENSION pool_monitor')
host, port = os.environ['PGHOST'], os.environ['PGPORT']
with open(os.path.join(DASHBOARDS, 'sql_exporter.yml'), encoding='utf-8') as file:
    all_jobs = file.read()


def start_exporters(role, postgres_exporter, sql_exporter):
    """Both, as that role, on these ports."""
    start(f'postgres_exporter_{role}', 'prometheus-postgres-exporter', '--disable-default-metrics',
          '--disable-settings-metrics', f'--extend.query-path={DASHBOARDS}/postgres_exporter.yaml',
          f'--web.listen-address=127.0.0.1:{postgres_exporter}',
          DATA_SOURCE_NAME=f'postgresql://{role}@127.0.0.1:{port}/exporters?sslmode=disable&application_name=postgres_exporter')
    jobs, changes = re.subn(r'postgres://monitoring:SECRET@db1:5432/postgres\?sslmode=require',
                            f'postgres://{role}@127.0.0.1:{port}/exporters?sslmode=disable', all_jobs)
    equal(changes, 1, 'sql_exporter.yml names its connection once')
    config = os.path.join(folder, f'sql_exporter_{role}.yml')
    with open(config, 'w', encoding='utf-8') as file:
        file.write(re.sub(r'interval: 15s', 'interval: 1s', jobs))
    start(f'sql_exporter_{role}', 'prometheus-sql-exporter', f'-config.file={config}',
          f'-web.listen-address=127.0.0.1:{sql_exporter}')


start_exporters('monitoring', ports['postgres_exporter'], ports['sql_exporter'])

# A role that may not see others, and has sessions named like what it is shown
# of them: two rows of one name would fail the whole scrape
forged = [connect(application_name=name, user='plain') for name in ('<insufficient privilege>', '<other>', '<walsender>')]
plain_ports = {'postgres_exporter': free_port(), 'sql_exporter': free_port()}
start_exporters('plain', **plain_ports)
for job, plain_port in plain_ports.items():
    def scrape():
        try:
            with urllib.request.urlopen(f'http://127.0.0.1:{plain_port}/metrics') as scraped:
                return scraped.status, scraped.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    wait_until(lambda: re.search(r'^(?:sql_pool|pool_monitor_connections){.*<insufficient privilege>', scrape()[1], re.M),
               f'{job} as a plain role with forged names has the connections')
    status, plain_text = scrape()
    equal((status, re.findall(r'.*collected before.*', plain_text)), (200, []), f'{job}: the whole scrape is good')
    with open(os.path.join(folder, f'{job}_plain.log'), encoding='utf-8') as log:
        failed = re.findall(r'running query on database \W*[^ ]* (\w+)', log.read()) if job == 'postgres_exporter' else re.findall(
            r'^sql_exporter_last_scrape_failed{.*query="(\w+)".* 1$', plain_text, re.M)
    equal(sorted(set(failed)), ['pool_monitor_held', 'pool_monitor_hold_time_seconds', 'pool_monitor_incidents'], f'{job}: only the queries that need pg_monitor fail')

prometheus = Prometheus(ports)
status, remarks = promtool('check', 'config', prometheus.config)
ok(status == 0, 'promtool accepts the configuration', remarks)
for job in ports:
    wait_until(lambda: prometheus.value(f'up{{job="{job}"}} and on (job) pool_monitor_max_connections') == 1,
               f'Prometheus has scraped {job}')
cursor.execute("SELECT setting::int FROM pg_settings WHERE name = 'max_connections'")
max_connections = cursor.fetchone()[0]
for job in ports:
    def value(expression):
        return prometheus.value(expression.replace('@', f'job="{job}"'))

    equal(value('pool_monitor_max_connections{@}'), max_connections, f'{job}: max_connections')
    equal(value(f'sum by (usename) (pool_monitor_connections{{@,datname={quoted(DATABASE)},application_name=~"api-.*"}})'),
          7, f'{job}: seven sessions of a pool')
    equal(value(f'sum(pool_monitor_connections{{@,usename={quoted(HOLDER)},application_name="api-1",state="idle in transaction",backend_type="client backend"}})'),
          2, f'{job}: two of one application are in a transaction')
    equal(value(f'sum(pool_monitor_connections{{@,usename={quoted(HOLDER)},application_name={quoted(ODD_APPLICATION)}}})'),
          1, f'{job}: odd names are as they were')
    # an exporter reads the two at two instants, between which a session may come or go
    wait_until(lambda: value('sum(pool_monitor_server_connections{@})'
                             ' - sum(pool_monitor_connections{@,backend_type="client backend"})') == 0,
               f'{job}: the sum of all groups is the sum of all states')
    ok(value('pool_monitor_rejected_total{@,reason="role_limit"}') >= 2, f'{job}: refused logins')
    equal(value('pool_monitor_leak_suspects{@,reason="idle in transaction"}'), 5, f'{job}: leak suspects')
    equal((value('pool_monitor_pool_capacity{@,pool="api"}'), value('pool_monitor_pool_overflow{@,pool="api"}')),
          (10, 1), f'{job}: a pool with its capacity and its overflow')
    equal(value('pool_monitor_pool_utilization_ratio{@,pool="api"}'), 0.4, f'{job}: its utilization')
    equal(value('count(pool_monitor_pool_size{@})'), 3, f'{job}: a policy without size is no pool')
    equal(value('pool_monitor_oversubscribed{@}'), 1, f'{job}: more declared than there is')
    equal(value('pool_monitor_worker_up{@}'), 1, f'{job}: the worker runs')
    equal(value('time() - pool_monitor_last_sample_timestamp_seconds{@} < bool 30'), 1, f'{job}: it took a sample just now')
    equal(value(f'pool_monitor_sessions_total{{@,application_name={quoted(ODD_APPLICATION)}}}'), 1, f'{job}: its sessions')
    equal(value('pool_monitor_sessions_abandoned_total{@,application_name="api-1"}'), 0, f'{job}: how they ended')
    ok(value(f'pool_monitor_transactions_total{{@,application_name={quoted(ODD_APPLICATION)}}}') >= 1, f'{job}: transactions')

# Words, names and hold times
for job in ports:
    equal([labels['status'] for labels, _ in prometheus.query(f'pool_monitor_pool_status{{job="{job}",pool="api"}} == 1')],
          ['overflow'], f'{job}: the pool has the status that it should have')
    equal({labels['state']: value for labels, value in prometheus.query(f'pool_monitor_pool_connections{{job="{job}",pool="api"}}')},
          {'checked_in': 3, 'checked_out': 4, 'unknown': 0}, f'{job}: and all of its connections in their states')
    equal(prometheus.value(f'sum(pool_monitor_status{{job="{job}"}})'), 1, f'{job}: the server has one status')
    ok(prometheus.value(f'pool_monitor_application_rejected_total{{job="{job}",usename={quoted(HOLDER)},'
                        f'application_name={quoted(ODD_APPLICATION)},reason="role_limit"}}') >= 2, f'{job}: refused logins by name')
    p99 = prometheus.value(f'histogram_quantile(0.99, pool_monitor_hold_time_seconds_bucket{{job="{job}",application_name={quoted(ODD_APPLICATION)}}})')
    ok(0.05 <= p99 < 0.27, f'{job}: a quantile of hold times is in the bucket of the longest', p99)
    equal(prometheus.value(f'sum(pool_monitor_hold_time_seconds_count{{job="{job}"}}) > bool 0'), 1, f'{job}: and there is a mean')


# Every panel of the dashboard has something to show
with open(os.path.join(DASHBOARDS, 'grafana-prometheus.json'), encoding='utf-8') as file:
    panels = [(panel['title'], target['expr']) for panel in json.load(file)['panels'] for target in panel.get('targets', [])]
ok(len(panels) > 40, 'the dashboard has its panels', len(panels))
for job in ports:
    instances = [labels['instance'] for labels, _ in prometheus.query(f'pool_monitor_max_connections{{job="{job}"}}')]
    equal(instances, [f'127.0.0.1:{port}' if job == 'sql_exporter' else 'db1:5432'], f'{job}: instance is the server')

    def empty():
        macros = {'$__rate_interval': '10s', '$__range': '1m', '$job': job, '$instance': instances[0]}
        missing = []
        for title, expression in panels:
            for macro, text in macros.items():
                expression = expression.replace(macro, text)
            if not prometheus.query(expression):
                missing.append(f'{title}: {expression}')
        return missing

    wait_until(lambda: not empty(), f'{job}: every panel of the dashboard has data', 150)
    for line in empty():
        ok(False, f'{job}: {line}')


for job in ports:
    equal([(labels.get('application_name'), labels.get('tag_controller'), labels.get('tag_route')) for labels, _ in
           prometheus.query(f'pool_monitor_held_connections{{job="{job}",application_name="full"}}')],
          [('full', 'orders', '/pay"\\')], f'{job}: a tag has the name and the value that it should have')
    ok(prometheus.value(f'time() - pool_monitor_pool_last_exhausted_timestamp_seconds{{job="{job}",pool="full"}}') < 600,
       f'{job}: and a pool that is full says since when')

# Labels that are no part of our names
def labels_of(job):
    found = {}
    for series in prometheus.get('series', **{'match[]': f'{{__name__=~"pool_monitor_.*",job="{job}"}}'}):
        found.setdefault(series.pop('__name__'), set()).update(set(series) - {'job', 'instance'})
    return found


theirs = labels_of('pool_monitor')
for job in 'postgres_exporter', 'sql_exporter':
    of_job = labels_of(job)
    equal(sorted(name for name in theirs if name not in of_job), [], f'{job}: it has all that pool_monitor_metrics() has')
    equal(sorted(name for name in of_job if name not in theirs), [], f'{job}: all names are those of pool_monitor_metrics()')
    equal({name: labels - theirs.get(name, set()) for name, labels in of_job.items() if labels - theirs.get(name, set())}, {}, f'{job}: and no label is one more')

# What only OpenMetrics has
metadata = prometheus.get('targets/metadata', metric='pool_monitor_hold_time_seconds')
equal([(entry['type'], entry['unit']) for entry in metadata], [('histogram', 'seconds')],
      'Prometheus read type and unit: it took the text for OpenMetrics')

# The rules at work
wait_until(lambda: prometheus.value('pool_monitor:application_connections:sum{job="pool_monitor",application_name="api-0"}') == 4,
           'the recording rules record')
held[4].cursor().execute('SELECT pg_sleep(0.01)')
for _ in range(2):
    try:
        connect(application_name='late', user=HOLDER)
    except psycopg2.OperationalError:
        pass
wait_until(lambda: {labels['job'] for labels, _ in
                    prometheus.query('ALERTS{alertname="PoolMonitorLoginsRejected",alertstate="firing"}')} == set(ports),
           'an alert fires when a login is refused, with each of the three')
rules = [rule for group in prometheus.get('rules')['groups'] for rule in group['rules']]
equal([rule['name'] for rule in rules if rule['health'] == 'err'], [], 'no rule fails')
ok(len(rules) >= 16, 'all of them are there', len(rules))
ok(all(not math.isnan(value) for _, value in prometheus.query('{__name__=~"pool_monitor_.*",job="pool_monitor"}')),
   'nothing in the text is not a number')
equal(prometheus.value('min_over_time(up{job="pool_monitor"}[10m])'), 1, 'not one scrape of it failed')

# A monitor that is not let in any more, which an exporter may hide by telling what it saw last
cursor.execute('ALTER ROLE monitoring NOLOGIN')
cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'monitoring'")
wait_until(lambda: sorted((labels['job'], labels['instance']) for labels, _ in prometheus.query('ALERTS{alertname="PoolMonitorBlind"}'))
           == [('postgres_exporter', 'db1:5432'), ('sql_exporter', f'127.0.0.1:{port}')], 'an exporter that is blind is told of, by its server')
equal(prometheus.query('pool_monitor_max_connections{job="postgres_exporter"}'), [], 'postgres_exporter has no figures then')
equal(prometheus.value('pool_monitor_max_connections{job="sql_exporter"}'), max_connections, 'and sql_exporter has the old ones')
cursor.execute('ALTER ROLE monitoring LOGIN')
wait_until(lambda: prometheus.query('ALERTS{alertname="PoolMonitorBlind"}') == [], 'when they are let in again, they see')

finish()
