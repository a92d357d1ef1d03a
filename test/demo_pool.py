#!/usr/bin/env python3
"""The application of the demo that goes wrong: a real SQLAlchemy QueuePool with
psycopg2, and request handlers that never give their connection back.

Connects as libpq's environment says.  Prints what the application sees, and
then keeps its connections until its standard input ends.
"""
import sys
from collections import Counter

from sqlalchemy import create_engine, exc, text

engine = create_engine(
    "postgresql+psycopg2://",
    connect_args={"application_name": "checkout-service"},
    pool_size=5,
    max_overflow=10,
    pool_timeout=1,
    future=True,
)
# A request's context that outlives it is what keeps a leaked connection alive.
contexts = []


def checkout(order):
    connection = engine.connect()
    contexts.append(connection)
    connection.execute(text("INSERT INTO orders (item) VALUES (:item)"), {"item": f"book {order}"})
    if order % 3 == 0:
        return "out of stock"  # neither commit() nor close()
    connection.commit()
    return "ordered"  # no close()


answers = Counter()
for order in range(1, 17):
    try:
        answers[checkout(order)] += 1
    except exc.TimeoutError as error:
        print(f"{order - 1} requests answered: {dict(answers)}")
        print(f"request {order}: sqlalchemy.exc.TimeoutError:\n    {error.args[0]}")

print(f"\npool.status()\n    {engine.pool.status()}")
print(f"pool.checkedout()\n    {engine.pool.checkedout()}")
print(f"pool.overflow()\n    {engine.pool.overflow()}", flush=True)
sys.stdin.read()
