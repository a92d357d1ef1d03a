"""The API.

    DATABASE_URL=postgresql://shop@db/shop uvicorn api:app
"""
import asyncio
import json

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from database import async_engine, call_service, sync_engine, tags

# In each worker process; pool_monitor.conf says the same to the server.
SIZE, OVERFLOW = 5, 5
engine = async_engine("shop-api", pool_size=SIZE, max_overflow=OVERFLOW, pool_timeout=5)

# One connection, kept: when every slot is taken there is no other to be had,
# and asking must not be what fills the server.
health_engine = sync_engine(
    "shop-health", pool_size=1, max_overflow=0, pool_timeout=5, isolation_level="AUTOCOMMIT"
)


async def tag_route(request: Request):
    """The route as it is declared: a tag with few values."""
    tags.set({"application": "shop", "route": request.scope["route"].path})


app = FastAPI(dependencies=[Depends(tag_route)])


@app.get("/orders/{order}")
async def read_order(order: int):
    async with engine.begin() as connection:
        result = await connection.execute(text("SELECT CAST(:order AS integer) AS id"), {"order": order})
        return dict(result.mappings().one())


@app.get("/payments/{order}")
async def pay(order: int):
    """What fills pools in practice: it asks another service while it holds a
    connection, in a transaction."""
    async with engine.begin() as connection:
        await connection.execute(text("SELECT CAST(:order AS integer) AS id"), {"order": order})
        await asyncio.to_thread(call_service, f"payments/{order}")
        return {"paid": order}


@app.get("/health/db-pool")
def read_health():
    """pool_monitor_health(): 200, or 503 when the server or a declared pool
    has no connection left.  Its role needs no privileges."""
    try:
        with health_engine.connect() as connection:
            health = json.loads(connection.execute(text("SELECT pool_monitor_health()::text")).scalar_one())
    except SQLAlchemyError as error:
        return JSONResponse({"status": "unreachable", "error": type(error).__name__}, status_code=503)
    full = health["status"] in ("critical", "exhausted") or any(
        pool["status"] == "exhausted" for pool in health["pools"]
    )
    return JSONResponse(health, status_code=503 if full else 200)


@app.get("/pool")
async def read_pool():
    """What the pool of this process says itself."""
    pool = engine.pool
    total = pool.checkedin() + pool.checkedout()
    return {"total": total, "checked_out": pool.checkedout(), "capacity": SIZE + OVERFLOW}


@app.on_event("shutdown")
async def close_pools():
    await engine.dispose()
    health_engine.dispose()
