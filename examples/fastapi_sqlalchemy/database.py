"""Engines whose connections say which process they belong to, and whose
statements say which code they come from."""
import os
from contextvars import ContextVar
from urllib.parse import quote
from urllib.request import urlopen

from sqlalchemy import create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

# user, password, host, port and database; the driver is chosen below
URL = make_url(os.environ.get("DATABASE_URL", "postgresql://shop@localhost/shop"))

# What runs in this request or job: keys of the setting pool_monitor.tags
tags: ContextVar[dict] = ContextVar("tags", default={})


def add_tags(conn, cursor, statement, parameters, context, executemany):
    """A comment in the form of sqlcommenter.  It stands in front: the server
    cuts what is longer than track_activity_query_size from the end."""
    comment = ",".join(f"{key}='{quote(value, safe='')}'" for key, value in sorted(tags.get().items()))
    if comment:
        if conn.dialect.paramstyle in ("format", "pyformat"):
            comment = comment.replace("%", "%%")
        statement = f"/*{comment}*/ {statement}"
    return statement, parameters


def sync_engine(application_name, **options):
    engine = create_engine(
        URL.set(drivername="postgresql+psycopg2"),
        connect_args={"application_name": application_name, "connect_timeout": 3},
        pool_pre_ping=True,
        **options,
    )
    event.listen(engine, "before_cursor_execute", add_tags, retval=True)
    return engine


def async_engine(application_name, **options):
    engine = create_async_engine(
        URL.set(drivername="postgresql+asyncpg"),
        connect_args={"server_settings": {"application_name": application_name}},
        **options,
    )
    event.listen(engine.sync_engine, "before_cursor_execute", add_tags, retval=True)
    return engine


def call_service(path):
    """Another service, which takes its time"""
    with urlopen(f"{os.environ.get('SERVICE_URL', 'http://localhost:9000')}/{path}") as answer:
        return answer.read()
