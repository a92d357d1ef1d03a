#!/usr/bin/python3
"""What applications see when sessions in their pools are ended.

    trials.py [NAME...]

Each trial is one client, with some settings, in one of four situations:

    idle         its four connections are in the pool, idle past idle_timeout;
                 then it makes eight requests
    held         one connection is checked out, idle past idle_timeout; then the
                 application uses it, gives it back, and makes eight requests
    transaction  the same, in a transaction, past idle_in_transaction_timeout
    lifetime     four workers, each with a request about every GAP ms, while
                 max_lifetime ends sessions

A client is a program that takes commands on its standard input ("fill",
"request COUNT", "hold", "begin", "use", "load SECONDS GAP") and answers each
with a line of JSON: how many requests it made, and which errors it saw.  The
limits are in server.conf, by application name.  Trials run side by side.
Prints TAP.
"""
import collections
import concurrent.futures
import inspect
import json
import os
import queue
import subprocess
import sys
import threading
import time

import psycopg2
import psycopg_pool

from tap import finish, note, ok

HERE = os.environ['CLIENTS']
PROGRAMS = {
    'hikari': ['java', '-Xmx64m', '-XX:TieredStopAtLevel=1', 'Hikari'],
    'node-postgres': ['node', f'{HERE}/node.mjs', 'pg'],
    'postgres.js': ['node', f'{HERE}/node.mjs', 'postgres'],
    'psycopg_pool': ['/usr/bin/python3', f'{HERE}/pools.py', 'psycopg'],
    'sqlalchemy': ['/usr/bin/python3', f'{HERE}/pools.py', 'sqlalchemy'],
    'asyncpg': ['/usr/bin/python3', f'{HERE}/pools.py', 'asyncpg'],
    'pgbouncer': ['/usr/bin/python3', f'{HERE}/pools.py', 'pgbouncer'],
}

PATIENCE = 120  # for what is certain to come, in seconds
SILENCE = 15    # of a client that hangs

# How long a load lasts: several lifetimes.  HikariCP accepts none below 30 s.
LOAD = {'hikari': 100}
SHORT_LOAD = 25

# What the application sees
NOTHING, ERRORS, DEATH, HANG = 'nothing', 'errors', 'the process dies', 'no answer'

# A pool that notices a closed connection by itself: nothing, but for a request
# that is made in the very moment in which its session is ended
RARELY = 'nothing, or one request in twenty at most'

Trial = collections.namedtuple('Trial', 'client situation settings expected gap')


def trial(client, situation, settings, expected, gap=250):
    return Trial(client, situation, settings.split(), expected, gap)


TRIALS = (
    trial('hikari', 'idle', '', NOTHING),
    trial('hikari', 'held', '', ERRORS),
    trial('hikari', 'transaction', '', ERRORS),
    trial('hikari', 'lifetime', '', ERRORS),
    trial('hikari', 'lifetime', '', NOTHING, gap=1500),
    trial('hikari', 'lifetime', 'maxLifetime=30000', NOTHING),

    trial('node-postgres', 'idle', '', DEATH),
    trial('node-postgres', 'idle', 'listener=1', NOTHING),
    trial('node-postgres', 'idle', 'idleTimeoutMillis=500', NOTHING),
    trial('node-postgres', 'held', 'listener=1', DEATH),
    trial('node-postgres', 'held', 'listener=1 client_listener=1', ERRORS),
    trial('node-postgres', 'transaction', 'listener=1', DEATH),
    trial('node-postgres', 'transaction', 'listener=1 client_listener=1', ERRORS),
    trial('node-postgres', 'lifetime', '', DEATH),
    trial('node-postgres', 'lifetime', 'listener=1', RARELY),
    trial('node-postgres', 'lifetime', 'maxLifetimeSeconds=2', NOTHING),

    trial('postgres.js', 'idle', '', NOTHING),
    trial('postgres.js', 'idle', 'idle_timeout=0.5', NOTHING),
    trial('postgres.js', 'held', '', DEATH),
    trial('postgres.js', 'transaction', '', DEATH),
    trial('postgres.js', 'lifetime', '', RARELY),
    trial('postgres.js', 'lifetime', 'max_lifetime=2', NOTHING),

    trial('psycopg_pool', 'idle', '', ERRORS),
    trial('psycopg_pool', 'idle', 'check=1', NOTHING),
    trial('psycopg_pool', 'held', '', ERRORS),
    trial('psycopg_pool', 'transaction', '', ERRORS),
    trial('psycopg_pool', 'lifetime', '', ERRORS),
    trial('psycopg_pool', 'lifetime', 'check=1', NOTHING),
    trial('psycopg_pool', 'lifetime', 'max_lifetime=2', NOTHING),

    trial('sqlalchemy', 'idle', '', ERRORS),
    trial('sqlalchemy', 'idle', 'pool_pre_ping=1', NOTHING),
    trial('sqlalchemy', 'idle', 'pool_recycle=1', NOTHING),
    trial('sqlalchemy', 'held', 'pool_pre_ping=1', ERRORS),
    trial('sqlalchemy', 'transaction', 'pool_pre_ping=1', ERRORS),
    trial('sqlalchemy', 'lifetime', '', ERRORS),
    trial('sqlalchemy', 'lifetime', 'pool_pre_ping=1', NOTHING),
    trial('sqlalchemy', 'lifetime', 'pool_recycle=2', NOTHING),

    trial('asyncpg', 'idle', '', NOTHING),
    trial('asyncpg', 'idle', 'max_inactive_connection_lifetime=0.5', NOTHING),
    trial('asyncpg', 'held', '', ERRORS),
    trial('asyncpg', 'transaction', '', ERRORS),
    trial('asyncpg', 'lifetime', '', RARELY),

    trial('pgbouncer', 'idle', '', NOTHING),
    trial('pgbouncer', 'held', '', NOTHING),
    trial('pgbouncer', 'transaction', '', ERRORS),
    trial('pgbouncer', 'lifetime', '', RARELY),
    trial('pgbouncer', 'lifetime', 'server_lifetime=2', NOTHING),
)


class Died(Exception):
    """The client's process has ended."""


class Program:
    """A client."""

    def __init__(self, client, application, settings):
        self.errors = open(f'{HERE}/{application}.err', 'w+', encoding='utf-8')
        self.process = subprocess.Popen(PROGRAMS[client] + [application] + settings, text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)
        self.answers = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.answers.put(json.loads(line))
        self.answers.put(None)

    def tell(self, command, patience=PATIENCE):
        """Its answer; TimeoutError when there is none."""
        try:
            self.process.stdin.write(command + '\n')
            answer = self.answers.get(timeout=patience)
        except BrokenPipeError:
            answer = None
        except queue.Empty:
            raise TimeoutError from None
        if answer is None:
            self.process.wait(PATIENCE)
            self.errors.seek(0)
            lines = [line.strip() for line in self.errors]
            raise Died(next((line for line in lines if 'rror' in line), '' if not lines else lines[-1]))
        return answer

    def end(self):
        try:
            self.process.stdin.close()
            self.process.wait(5)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        self.errors.close()


def connect():
    observer = psycopg2.connect(dbname='postgres', application_name='observer')
    observer.autocommit = True
    return observer.cursor()


def value(cursor, sql, *arguments):
    cursor.execute(sql, arguments)
    return cursor.fetchone()[0]


def ended(cursor, application):
    return value(cursor, 'SELECT coalesce(sum(terminated), 0)::int FROM pool_monitor_applications'
                 ' WHERE application_name = %s', application)


def wait_for(what, condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f'timed out waiting for {what}')
        time.sleep(0.05)


def go_through(one, program, cursor, application):
    """All that the application saw: answers."""
    if one.situation == 'lifetime':
        seconds = LOAD.get(one.client, SHORT_LOAD)
        return [program.tell(f'load {seconds} {one.gap}', seconds + PATIENCE)]
    if one.situation == 'idle':
        answer = program.tell('fill')
        if answer['errors']:
            raise RuntimeError(answer)
        wait_for('the end of idle sessions', lambda: value(
            cursor, 'SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = %s', application))
        # the client's process may be behind the server
        time.sleep(0.2)
        return [program.tell('request 8', SILENCE)]
    answer = program.tell('begin' if one.situation == 'transaction' else 'hold')
    if answer['errors']:
        raise RuntimeError(answer)
    wait_for('the end of the session', lambda: ended(cursor, application) > 0)
    time.sleep(0.2)
    return [program.tell('use', SILENCE), program.tell('request 8', SILENCE)]


def run(number, one):
    """(what was seen, requests, errors, sessions ended)"""
    application = f'{one.client}-{number}-{one.situation}'
    cursor = connect()
    program = Program(one.client, application, one.settings)
    seen, requests, errors = None, 0, collections.Counter()
    try:
        for answer in go_through(one, program, cursor, application):
            requests += answer['requests']
            errors.update(answer['errors'])
        seen = ERRORS if errors else NOTHING
    except Died as death:
        seen = DEATH
        errors[str(death)] += 1
    except TimeoutError:
        seen = HANG
    finally:
        program.end()
    # the worker counts an end a moment after the client has seen it
    if seen != NOTHING:
        wait_for('the count of ends', lambda: ended(cursor, application) > 0)
    return seen, requests, errors, ended(cursor, application)


def main():
    cursor = connect()
    cursor.execute('CREATE EXTENSION pool_monitor; CREATE ROLE application LOGIN')
    chosen = [one for one in TRIALS if not sys.argv[1:] or one.client.startswith(tuple(sys.argv[1:]))]
    if 'check' not in inspect.signature(psycopg_pool.ConnectionPool).parameters:
        # from 3.2 on
        print('# no check before use in this psycopg_pool')
        chosen = [one for one in chosen if 'check=1' not in one.settings]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(8) as executor:
        # the longest first
        order = sorted(range(len(chosen)), key=lambda n: (chosen[n].situation != 'lifetime', chosen[n].client != 'hikari'))
        futures = {n: executor.submit(run, n, chosen[n]) for n in order}
        for n, one in enumerate(chosen):
            name = f"{one.client} {one.situation}{''.join(' ' + word for word in one.settings)}"
            if one.situation == 'lifetime':
                name += f', gaps of {one.gap} ms'
            try:
                seen, requests, errors, ends = futures[n].result()
            except Exception as error:  # pylint: disable=broad-except
                seen, requests, errors, ends = f'{type(error).__name__}: {error}', 0, {}, 0
            expected = one.expected
            if expected == RARELY:
                expected = ERRORS if errors and sum(errors.values()) <= requests / 20 else NOTHING
            holds = seen == expected and (ends > 0 or seen == NOTHING)
            failed += not holds
            ok(holds, f'{name}: {seen}')
            note(f'{requests} requests, {sum(errors.values())} errors, {ends} sessions ended')
            for error, count in errors.items():
                note(f'{count} x {error}')
    # Also of drivers that set their name when they are logged in, as pgjdbc does.
    # A client that ends may leave one that had not come to that.
    nameless = value(cursor, "SELECT coalesce(sum(sessions), 0)::int FROM pool_monitor_groups"
                     " WHERE usename = 'application' AND application_name = ''")
    named = value(cursor, "SELECT coalesce(sum(sessions), 0)::int FROM pool_monitor_groups"
                  " WHERE usename = 'application' AND application_name <> ''")
    ok(nameless * 10 <= named and named > 0, 'sessions count under the name of their application')
    note(f'{named} sessions with a name, {nameless} without')
    failed += nameless * 10 > named
    finish()
    sys.exit(failed > 0)


main()
