#!/usr/bin/python3
"""A real node_exporter reads pool_monitor.metrics_file, and a real Prometheus
scrapes it: what they have is there also while nobody can connect."""
import atexit
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import urllib.parse
import urllib.request

import psycopg2

from tap import equal, finish, ok, wait_until

DASHBOARDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../dashboards')
ODD = 'write "hi" \\ {to}=it'
folder = tempfile.mkdtemp()
atexit.register(shutil.rmtree, folder, ignore_errors=True)
os.mkdir(f'{folder}/textfile')
METRICS = f'{folder}/textfile/pool_monitor.prom'
for path in (folder, f'{folder}/textfile'):
    os.chmod(path, 0o755)


def connect(**options):
    connection = psycopg2.connect(dbname='postgres', **options)
    connection.autocommit = True
    return connection


def free_port():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


def start(name, *arguments):
    """Starts a program that ends with us."""
    with open(f'{folder}/{name}.log', 'w') as log:
        process = subprocess.Popen((name, *arguments), stdout=log, stderr=log)
    atexit.register(lambda: (process.terminate(), process.wait()))


def get(port, path):
    try:
        with urllib.request.urlopen(f'http://127.0.0.1:{port}/{path}', timeout=10) as answer:
            return answer.read().decode()
    except OSError:
        return ''


cursor = connect().cursor()
cursor.execute('CREATE ROLE textfile LOGIN')


@atexit.register
def undo():
    for setting in ('metrics_file', 'metrics_interval'):
        cursor.execute(f'ALTER SYSTEM RESET pool_monitor.{setting}')
    cursor.execute('SELECT pg_reload_conf()')


cursor.execute(f"ALTER SYSTEM SET pool_monitor.metrics_file = '{METRICS}'")
cursor.execute("ALTER SYSTEM SET pool_monitor.metrics_interval = '1s'")
cursor.execute('SELECT pg_reload_conf()')

exporter, prometheus = free_port(), free_port()
start('prometheus-node-exporter', '--collector.disable-defaults', '--collector.textfile',
      f'--collector.textfile.directory={folder}/textfile', f'--web.listen-address=127.0.0.1:{exporter}')
with open(f'{DASHBOARDS}/prometheus.yml', encoding='utf-8') as file:
    job = re.search(r'^  - job_name: node\n(?:    .*\n)*', file.read(), re.M).group()
equal(job.count('localhost:9100'), 1, 'prometheus.yml has a job for node_exporter')
with open(f'{folder}/prometheus.yml', 'w', encoding='utf-8') as file:
    file.write('global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n'
               f'rule_files: [{json.dumps(DASHBOARDS + "/prometheus_rules.yml")}]\n'
               'scrape_configs:\n' + job.replace('localhost:9100', f'127.0.0.1:{exporter}'))
start('prometheus', f'--config.file={folder}/prometheus.yml', f'--storage.tsdb.path={folder}/tsdb',
      f'--web.listen-address=127.0.0.1:{prometheus}')


def query(expression):
    answer = get(prometheus, 'api/v1/query?' + urllib.parse.urlencode({'query': expression}))
    return [(series['metric'], float(series['value'][1])) for series in json.loads(answer)['data']['result']] if answer else []


def value(expression):
    series = query(expression)
    return series[0][1] if len(series) == 1 else None


odd = connect(user='textfile', application_name=ODD)
wait_until(lambda: 'pool_monitor_max_connections 60' in get(exporter, 'metrics'), 'node_exporter reads the file')
scraped = get(exporter, 'metrics')
ok(re.search(r'^node_textfile_scrape_error 0$', scraped, re.M), 'without an error', scraped[:2000])
ok(re.search(r'^# TYPE pool_monitor_hold_time_seconds histogram$', scraped, re.M), 'it sees a histogram')
ok(re.search(r'^# TYPE pool_monitor_samples_total counter$', scraped, re.M), 'and a counter')
ok('node_textfile_mtime_seconds{' in scraped, 'and how old the file is')
wait_until(lambda: value(f'sum(pool_monitor_connections{{application_name={json.dumps(ODD)}}})') == 1,
           'Prometheus has an odd name as it is')

# All slots are taken
held = []
try:
    while len(held) < 100:
        held.append(connect(user='textfile', application_name='holder'))
except psycopg2.OperationalError as error:
    ok('connection' in str(error), 'the server is full', error)
wait_until(lambda: value('pool_monitor_available_connections') == 0, 'Prometheus knows that nobody can connect')
for _ in range(2):
    try:
        connect(user='textfile', application_name='late')
    except psycopg2.OperationalError:
        pass
before = value('pool_monitor_samples_total')
wait_until(lambda: (value('pool_monitor_samples_total') or 0) > before, 'the figures go on')
wait_until(lambda: value('pool_monitor_connections{application_name="holder",state="idle",backend_type="client backend"}') == len(held),
           'and say who has the connections')
wait_until(lambda: query('ALERTS{alertname="PoolMonitorLoginsRejected",alertstate="firing"}'),
           'the alert of refused logins fires')
wait_until(lambda: query('ALERTS{alertname="PoolMonitorServerExhausted"}'), 'that of a full server is pending')
equal(value('min_over_time(up[10m])'), 1, 'no scrape failed')
equal(value('max_over_time(node_textfile_scrape_error[10m])'), 0, 'nor did a reading of the file')
for connection in held:
    connection.close()
wait_until(lambda: (value('pool_monitor_available_connections') or 0) > 10, 'it sees the end of it')

# A file that nobody writes any more
STALE = 'ALERTS{alertname="PoolMonitorMetricsFileStale"}'
equal(query(STALE), [], 'no alert says that the file is old')
cursor.execute("ALTER SYSTEM SET pool_monitor.metrics_interval = '1d'")
cursor.execute('SELECT pg_reload_conf()')
wait_until(lambda: os.utime(METRICS, (0, 0)) is None and [labels['instance'] for labels, _ in query(STALE)] == ['db1:5432'],
           'one does when it is, and names the server')
cursor.execute("ALTER SYSTEM SET pool_monitor.metrics_interval = '1s'")
cursor.execute('SELECT pg_reload_conf()')
wait_until(lambda: not query(STALE), 'until it is written again')

# Two servers' files in one folder: node_exporter has each series once
shutil.copy(METRICS, f'{folder}/textfile/pool_monitor_2.prom')
wait_until(lambda: get(exporter, 'metrics').count('node_textfile_mtime_seconds{') == 2, 'node_exporter reads a second file')
equal(get(exporter, 'metrics').count('\npool_monitor_max_connections '), 1, 'but has the figures of one, which is why the docs want a folder for each')
os.remove(f'{folder}/textfile/pool_monitor_2.prom')

# No file, no figures
cursor.execute("ALTER SYSTEM SET pool_monitor.metrics_file = ''")
cursor.execute('SELECT pg_reload_conf()')
wait_until(lambda: not query('pool_monitor_max_connections'), 'without the file there are no figures')
equal(os.listdir(f'{folder}/textfile'), [], 'and nothing is left of it')

finish()
