"""A process of background jobs: a job a line on standard input, its name and
the order that it is for.

    echo send_mail 7 | DATABASE_URL=postgresql://shop@db/shop python3 worker.py
"""
import json
import sys
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import text

from database import call_service, sync_engine, tags

# A pool of its own: jobs that take long can not use up the API's.
THREADS = 3
engine = sync_engine("shop-worker", pool_size=THREADS, max_overflow=0, pool_timeout=30)


def run_job(job, order):
    tags.set({"application": "shop", "job": job})
    with engine.begin() as connection:
        connection.execute(text("SELECT CAST(:order AS integer) AS id"), {"order": order})
        call_service(f"{job}/{order}")


def read_pool():
    """What the pool of this process says itself."""
    pool = engine.pool
    return {"total": pool.checkedin() + pool.checkedout(), "checked_out": pool.checkedout(), "capacity": pool.size()}


with ThreadPoolExecutor(THREADS) as threads:
    for line in sys.stdin:
        if line == "pool\n":
            print(json.dumps(read_pool()), flush=True)
        else:
            name, argument = line.split()
            threads.submit(run_job, name, int(argument))
engine.dispose()
