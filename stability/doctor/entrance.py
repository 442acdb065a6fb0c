"""The way into the database: a connection that cannot keep us, or why nobody gets in."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg

from stability.database import connect, reason
from stability.doctor.finding import Finding
from stability.errors import DatabaseError
from stability.settings import Settings

ENTRY: Final = 5.0  # seconds until one of several hosts has to answer
STAY: Final = 8.0  # seconds after which a connection is cut off, whatever it waits for

# what Postgres says when it lets nobody in, and what helps; anything else is a server that does not answer
_CURES: Final = (
    (r"password|authentication", "check the user and the password in {where}"),
    (r"database .* does not exist", "create it with `createdb`, or correct its name in {where}"),
    (r"role .* does not exist", "create the role, or correct the user in {where}"),
    (r"pg_hba", "let this user and address in with a line in pg_hba.conf; many servers ask for sslmode=require"),
    (r"too many|connection slots", "raise max_connections, or end connections that nobody uses"),
    (r"starting up|shutting down|not yet accepting", "it is on its way: try again in a moment"),
)
_NO_ANSWER: Final = "check that Postgres runs there, and the host and the port in {where}"


@asynccontextmanager
async def entered(conninfo: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """A connection for at most `STAY` seconds; raises psycopg.OperationalError when nobody answers, or no more."""
    try:
        async with asyncio.timeout(ENTRY):
            connection = await connect(conninfo, "stability doctor")
    except TimeoutError:
        raise psycopg.OperationalError(f"no answer within {ENTRY:g} s") from None
    # a query that is cancelled would be waited for as long again, where nobody answers
    end = asyncio.get_running_loop().call_later(STAY, connection.pgconn.finish)
    try:
        async with connection:
            yield connection
    except psycopg.OperationalError as error:
        if asyncio.get_running_loop().time() < end.when():
            raise
        raise psycopg.OperationalError(f"no answer within {STAY:g} s") from error
    finally:
        end.cancel()


def no_database(error: DatabaseError) -> Finding:
    """There is none to look at, and the sentence says how to come to one."""
    fact, _, remedy = str(error).partition(": ")
    return Finding("connection", "problem", f"{fact}.", remedy)


def unreachable(error: psycopg.Error, settings: Settings) -> Finding:
    """Why nobody gets in, from what libpq says."""
    where = (
        "DATABASE_URL"
        if settings.database_url
        else "STABILITY_DATA_DIR"
        if settings.conninfo is None
        else "the PG* variables"
    )
    said = reason(error).removeprefix("connection failed: ")
    cure = next((cure for pattern, cure in _CURES if re.search(pattern, said)), _NO_ANSWER)
    return Finding("connection", "problem", f"Cannot connect: {said}", cure.format(where=where))
