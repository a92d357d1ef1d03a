"""What both parts of the catalogue share: connections, and what is found."""
import os
import sys
import threading
import time

import psycopg2
import psycopg2.extras

sys.path.insert(0, 'test/lib')

from tap import note, ok  # noqa: E402 pylint: disable=wrong-import-position

PATIENCE = 60


def connect(application, user='app', **options):
    """A session that commits each statement by itself."""
    connection = psycopg2.connect(dbname=options.pop('dbname', 'postgres'), user=user,
                                  application_name=application, **options)
    connection.autocommit = True
    return connection


def connect_all(number, application, **options):
    return [connect(application, **options) for _ in range(number)]


def run(connection, sql):
    cursor = connection.cursor()
    cursor.execute(sql)
    return cursor.fetchall() if cursor.description else []


class Observer:
    """Looks at the server without being one of its sessions that matter."""

    def __init__(self):
        self.connection = connect('observer', user='postgres')
        self.cursor = self.connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor)

    def rows(self, sql):
        self.cursor.execute(sql)
        return [dict(row) for row in self.cursor.fetchall()] if self.cursor.description else []

    def value(self, sql):
        return next(iter(self.rows(sql)[0].values()))

    def findings(self, since='1 hour'):
        return self.rows(f"SELECT * FROM pool_monitor_diagnosis('{since}')")

    def wait(self, sql, fact):
        return self.until(lambda: self.value(sql), fact)

    @staticmethod
    def until(holds, fact, patience=PATIENCE):
        """Waits for a condition; says only if it does not come."""
        deadline = time.monotonic() + patience
        while not holds():
            if time.monotonic() > deadline:
                ok(False, fact, 'this did not happen in time')
                return False
            time.sleep(0.05)
        return True

    def first(self, case, finding, subject=None, severity=None, evidence=''):
        """The first finding becomes that one; returns all of them."""
        found = []

        def holds():
            found[:] = self.findings()
            row = found[0]
            return (row['finding'] == finding and (subject is None or row['subject'] == subject) and
                    (severity is None or row['severity'] == severity) and evidence in row['evidence'])

        deadline = time.monotonic() + PATIENCE
        while not holds() and time.monotonic() < deadline:
            time.sleep(0.05)
        ok(holds(), f'{case}: {finding}', as_text(found))
        note(f"{found[0]['severity']}: {found[0]['evidence']}")
        return found


def as_text(found):
    return '\n'.join(f"{row['rank']} {row['severity']} {row['finding']} ({row['subject']}): {row['evidence']}"
                     for row in found)


def of(found, finding, subject=None):
    """The row of that finding, or None"""
    return next((row for row in found if row['finding'] == finding and
                 (subject is None or row['subject'] == subject)), None)


def in_background(*functions):
    threads = [threading.Thread(target=function, daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    return threads


def silently(function, *arguments):
    """For a thread whose session is ended under it"""
    def call():
        try:
            function(*arguments)
        except psycopg2.Error:
            pass
    return call


HOST = os.environ['PGHOST']
