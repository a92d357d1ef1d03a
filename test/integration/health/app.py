"""A health endpoint for the connection pools of a PostgreSQL server.

    DATABASE_URL=postgresql+psycopg2://health@db/shop uvicorn app:app

GET /health/db-pool answers with pool_monitor_health(): 200, or 503 when the
server or a declared pool has no connection left, so that a load balancer or an
orchestrator can act on it.  The role needs no privileges.
"""
import json
import os

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

# One connection, kept: when every slot is taken there is no other to be had,
# and asking must not be what fills the server.
engine = create_engine(
    os.environ.get("DATABASE_URL", "postgresql+psycopg2://"),
    pool_size=1,
    max_overflow=0,
    pool_timeout=5,
    pool_pre_ping=True,
    isolation_level="AUTOCOMMIT",
    connect_args={"application_name": "health", "connect_timeout": 3, "options": "-c statement_timeout=3000"},
)
app = FastAPI()


@app.get("/health/db-pool")
def db_pool():
    try:
        with engine.connect() as connection:
            health = json.loads(connection.execute(text("SELECT pool_monitor_health()::text")).scalar())
    except SQLAlchemyError as error:
        # No address, no user name: whoever asks for health may be anybody
        return JSONResponse({"status": "unreachable", "error": type(error).__name__}, status_code=503)
    full = health["status"] in ("critical", "exhausted") or any(
        pool["status"] == "exhausted" for pool in health["pools"]
    )
    return JSONResponse(health, status_code=503 if full else 200)
