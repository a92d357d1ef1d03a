"""incident.py FOLDER: an incident on the server, and reports of it in FOLDER.

A transaction of one application holds a row that others want, until nobody gets in
any more.  Some of the names are hostile.
"""

import sys
import threading
import time
from pathlib import Path

import psycopg2

folder = Path(sys.argv[1])


def connect(application, user="postgres"):
    session = psycopg2.connect(application_name=application, user=user, dbname="postgres")
    session.autocommit = True
    return session


def run(session, sql):
    with session.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def attempt(session, sql):
    """In a thread: whoever waits may be told that the server has had enough."""
    try:
        run(session, sql)
    except psycopg2.Error:
        pass


def wait_until(session, sql):
    deadline = time.monotonic() + 150
    while not run(session, sql)[0][0]:
        if time.monotonic() > deadline:
            raise SystemExit("waited in vain for: " + sql)
        time.sleep(0.1)


observer = connect("observer")
for statement in (
    "CREATE EXTENSION pool_monitor",
    "CREATE ROLE plain LOGIN",
    "CREATE ROLE shop LOGIN",
    "CREATE TABLE stock (item int PRIMARY KEY, n int)",
    "INSERT INTO stock VALUES (1, 1)",
    "GRANT ALL ON stock TO PUBLIC",
):
    run(observer, statement)

names = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</style></svg>]]>", "x" * 63] + [
    f"service-{i}" for i in range(8)
]
others = [connect(name, "shop") for name in names]
for session in others:
    run(session, "SELECT '</code><script>' /*route='%3Cscript%3Ealert(1)%3C/script%3E',controller='a \"b\"'*/")

blocker = connect("checkout-service", "shop")
run(blocker, "BEGIN /*route='/pay'*/")
run(blocker, "UPDATE stock SET n = n - 1 WHERE item = 1 /*route='/pay'*/")
waiting = [connect("storefront", "shop") for _ in range(8)]
threads = [
    threading.Thread(target=attempt, args=(session, "UPDATE stock SET n = n - 2 WHERE item = 1 /*route='/basket'*/"))
    for session in waiting
]
for thread in threads:
    thread.start()
wait_until(observer, "SELECT count(*) = 8 FROM pg_locks WHERE NOT granted")

sessions = []
for _ in range(60):
    try:
        sessions.append(connect("checkout-service", "shop"))
    except psycopg2.OperationalError:
        break
wait_until(observer, "SELECT EXISTS (SELECT FROM pool_monitor_utilization() WHERE rejected > 0)")
wait_until(observer, "SELECT EXISTS (SELECT FROM pool_monitor_holds() WHERE application_name = 'storefront')")
run(blocker, "COMMIT")
for thread in threads:
    thread.join()
run(observer, "SELECT pool_monitor_terminate_idle('1 microsecond', 'service-1', dry_run => false)")
wait_until(observer, "SELECT EXISTS (SELECT FROM pool_monitor_sizing() WHERE application_name = 'storefront')")

reports = {"incident": observer, "plain": connect("plain", "plain")}
for name, session in reports.items():
    (folder / f"{name}.html").write_text(run(session, "SELECT pool_monitor_report()")[0][0])
