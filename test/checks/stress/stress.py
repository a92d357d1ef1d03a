#!/usr/bin/python3
"""Ends idle sessions while their clients are about to speak.

    stress.py [--seconds N] [--ends N] [--clients N] [--limit MS] [--with METHOD]
              [--by LIMIT]

LIMIT is what ends a session that is idle outside of a transaction: "idle", its
idle_timeout, or "lifetime": all are older than twice their max_lifetime, so
that they may go as soon as they have been idle for 100 ms, which must be the
limit then.

METHOD is who ends the sessions: "pool_monitor", or "sql", which selects the
idle sessions from pg_stat_activity and calls pg_terminate_backend() for them,
as is done by hand.  The latter is expected to cut statements; it shows that
this test would notice.

The server is the one of libpq's environment, its log is $SERVER_LOG, and its
settings are changed.  Prints TAP.
"""
import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import clients as stress_clients  # pylint: disable=wrong-import-position
import wire  # pylint: disable=wrong-import-position
from tap import finish, ok  # pylint: disable=wrong-import-position

# The shortest interval that there is, in ms
SAMPLE_INTERVAL = 10

# Clients speak so many ms before and after the limit; the worker looks at them
# up to one sample after it
JITTER = 3


class Log:
    """What the server's log has said since then."""

    def __init__(self):
        self.path = os.environ['SERVER_LOG']
        self.start = os.path.getsize(self.path)

    def count(self, pattern):
        with open(self.path, encoding='utf-8', errors='replace') as log:
            log.seek(self.start)
            return sum(1 for line in log if re.search(pattern, line))


class Bouncer:
    """A PgBouncer of our own."""

    def __init__(self, connections):
        self.folder = tempfile.mkdtemp()
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            self.port = free.getsockname()[1]
        with open(f'{self.folder}/ini', 'w', encoding='utf-8') as ini:
            ini.write(f"""[databases]
postgres = host={os.environ['PGHOST']} port={os.environ['PGPORT']} user={stress_clients.USER}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {connections}
server_round_robin = 1
server_login_retry = 1
""")
        self.log = open(f'{self.folder}/log', 'w', encoding='utf-8')
        self.process = subprocess.Popen(['pgbouncer', f'{self.folder}/ini'],
                                        stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + wire.PATIENCE
        while True:
            try:
                socket.create_connection(('127.0.0.1', self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.05)

    def end(self):
        self.process.terminate()
        self.process.wait(wire.PATIENCE)
        self.log.close()
        shutil.rmtree(self.folder)


def reload_with(connection, settings):
    for name, value in settings.items():
        if value is None:
            connection.query(f'ALTER SYSTEM RESET {name}')
        else:
            connection.query(f"ALTER SYSTEM SET {name} = '{value}'")
    connection.query('SELECT pg_reload_conf()')


def make_certificate(connection):
    """Without one the server can not turn on TLS."""
    folder = connection.query('SHOW data_directory')[0][0]
    if not os.path.exists(f'{folder}/server.key'):
        subprocess.run(
            ['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30', '-subj', '/CN=localhost',
             '-keyout', f'{folder}/server.key', '-out', f'{folder}/server.crt'],
            check=True, capture_output=True)
        os.chmod(f'{folder}/server.key', 0o600)


def wait_for_tls():
    deadline = time.monotonic() + wire.PATIENCE
    while True:
        try:
            wire.Connection('postgres', tls=True).close()
            return
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


class ByHand(threading.Thread):
    """Select the idle sessions, then terminate them: from SQL."""

    def __init__(self, limit):
        super().__init__(daemon=True)
        self.limit = limit
        self.ends = 0
        self.stopped = threading.Event()

    def run(self):
        connection = wire.Connection('postgres')
        while not self.stopped.wait(SAMPLE_INTERVAL / 1000):
            idle = connection.query(
                "SELECT pid FROM pg_stat_activity WHERE state LIKE 'idle%'"
                f" AND usename = '{stress_clients.USER}' AND now() - state_change > '{self.limit} ms'")
            for (pid,) in idle:
                self.ends += connection.query(f'SELECT pg_terminate_backend({pid})')[0][0] == 't'
        connection.close()


def run(seconds, ends=None, clients=44, limit=100, method='pool_monitor', by='idle'):
    """One run; returns the verdict, with figures."""
    connection = wire.Connection('postgres')
    connection.query('SET client_min_messages = error; CREATE EXTENSION IF NOT EXISTS pool_monitor')
    stress_clients.create_tables(connection, clients)
    make_certificate(connection)
    settings = {'ssl': 'on'}
    if method == 'pool_monitor':
        settings |= {
            'pool_monitor.sample_interval': f'{SAMPLE_INTERVAL}ms',
            'pool_monitor.max_terminations': '0',
            **({'pool_monitor.idle_timeout': f'{limit}ms'} if by == 'idle' else
               {'pool_monitor.max_lifetime': '10ms'}),
            'pool_monitor.idle_in_transaction_timeout': f'{limit}ms',
        }
    reload_with(connection, settings)
    wait_for_tls()
    log = Log()
    before = int(connection.query('SELECT terminated FROM pool_monitor_status')[0][0])

    kinds = stress_clients.KINDS
    bouncer = Bouncer(sum(1 for n in range(clients) if kinds[n % len(kinds)].through_bouncer))
    by_hand = ByHand(limit) if method == 'sql' else None
    plan = stress_clients.Plan(limit / 1000, JITTER / 1000, (JITTER + SAMPLE_INTERVAL) / 1000,
                               time.monotonic() + seconds, ends, bouncer.port)
    crowd = [kinds[number % len(kinds)](number, plan) for number in range(clients)]
    try:
        if by_hand:
            by_hand.start()
        for client in crowd:
            client.start()
        for client in crowd:
            client.join(seconds + wire.PATIENCE)
            if client.is_alive():
                client.failure = f'{client.name} is stuck'
    finally:
        if by_hand:
            by_hand.stopped.set()
            by_hand.join(wire.PATIENCE)
        bouncer.end()
        reload_with(connection, dict.fromkeys(settings))

    wait_for_quiet(connection)
    verdict = stress_clients.Verdict(connection, crowd)
    verdict.by_kind = {}
    for client in crowd:
        name = type(client).__name__
        verdict.by_kind[name] = verdict.by_kind.get(name, 0) + sum(client.ends.values())
    if by_hand:
        verdict.terminated = by_hand.ends
        verdict.spared = verdict.failed = 0
    else:
        verdict.terminated = int(connection.query('SELECT terminated FROM pool_monitor_status')[0][0]) - before
        verdict.recorded = log.count('LOG:  terminated session with PID')
        verdict.spared = log.count('LOG:  spared session with PID')
        verdict.failed = log.count('LOG:  could not terminate session with PID')
        verdict.reasons = {
            reason: log.count(f'; {reason}') for reason in (
                'the session is busy, or has been', 'the client has sent its next message',
                'the session is ending, or has ended', 'the session could not be interrupted',
                'the session did not answer')}
    stress_clients.drop_tables(connection, clients)
    connection.close()
    return verdict


def wait_for_quiet(connection):
    """Until no session of the clients is left."""
    deadline = time.monotonic() + wire.PATIENCE
    while time.monotonic() < deadline and connection.query(
            f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{stress_clients.USER}'")[0][0] != '0':
        time.sleep(0.05)


def describe(verdict):
    """The figures, as comments."""
    asked = verdict.terminated + verdict.spared
    print(f'# {verdict.terminated} sessions ended; {verdict.statements} statements answered, {verdict.cut} cut;'
          f' clients saw {dict(verdict.ends)}')
    print(f'# ends seen by kind of client: {verdict.by_kind}')
    if asked:
        print(f'# {verdict.spared} of {asked} requests were turned down by the session'
              f' ({100 * verdict.spared / asked:.2f}%), {verdict.failed} failed')
    if hasattr(verdict, 'reasons'):
        print(f'# {verdict.reasons}')


def facts_of(verdict, method='pool_monitor', ends=None):
    """(holds, fact, figures) for each thing that must be so."""
    if method == 'sql':
        return [(not verdict.failures, 'no client failed', verdict.failures[:5]),
                (verdict.cut > 0, 'terminating by hand cuts statements', verdict.ends)]
    return list(verdict.facts()) + [
        (verdict.terminated >= (ends or 1), f'at least {ends or 1} sessions were ended', verdict.terminated),
        (verdict.spared > 0, 'some were spared, since their clients had just spoken', verdict.reasons),
        (verdict.recorded == verdict.terminated, 'every end was recorded once, as one',
         f'{verdict.recorded} of {verdict.terminated}'),
        (verdict.failed == 0, 'every session answered', f'{verdict.failed} did not')]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--seconds', type=float, default=600)
    parser.add_argument('--ends', type=int)
    parser.add_argument('--clients', type=int, default=44)
    parser.add_argument('--limit', type=int, default=100)
    parser.add_argument('--with', dest='method', choices=('pool_monitor', 'sql'), default='pool_monitor')
    parser.add_argument('--by', choices=('idle', 'lifetime'), default='idle')
    options = parser.parse_args()

    verdict = run(**vars(options))
    describe(verdict)
    return report(facts_of(verdict, options.method, options.ends))


def report(facts):
    """TAP; returns the exit status."""
    for holds, fact, figures in facts:
        ok(holds, fact, figures)
    finish()
    return 0 if all(holds for holds, _, _ in facts) else 1


if __name__ == '__main__':
    sys.exit(main())
