"""Looks for what keeps the badge from telling the truth, and says how to mend it."""

import re
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import psycopg
from psycopg.rows import class_row, dict_row
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from stability import revision
from stability.database import SERVER_ROLE, Database, connect, reason
from stability.errors import DatabaseError
from stability.settings import Settings

OLDEST: Final = 130_000  # server_version_num of the oldest Postgres that we know to work
DELIVERY: Final = 3.0  # seconds that a notification may take between two connections
QUEUE_FULL: Final = 0.5  # share of the notification queue from which on somebody must look
_CHANNEL: Final = "stability_doctor"

_FACTS: Final = """
    SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number,
           pg_catalog.pg_is_in_recovery() AS standby, current_user AS username,
           pg_catalog.pg_notification_queue_usage() AS queue
"""
_STATE: Final = text("SELECT source, count, more, error FROM stability.read_activity()")

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

Level: TypeAlias = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `remedy` says what to do when it is not in order."""

    level: Level
    fact: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the database says of itself."""

    version: str
    number: int
    standby: bool
    username: str
    queue: float


async def examine(settings: Settings, conninfo: str) -> AsyncIterator[Finding]:
    """Everything that is in order and everything that is not, one by one."""
    where = "DATABASE_URL" if settings.database_url else "the PG* variables" if conninfo == "" else "STABILITY_DATA_DIR"
    try:
        connection = await connect(conninfo, "stability doctor")
    except psycopg.OperationalError as error:
        yield unreachable(error, where)
        return
    async with connection:
        facts = await _facts(connection)
        for finding in of_the_server(facts):
            yield finding
        if not facts.standby:
            yield await _delivery(settings, conninfo)
        async for finding in _of_the_schema(connection, conninfo, facts.username):
            yield finding


def unreachable(error: psycopg.OperationalError, where: str) -> Finding:
    """Why nobody gets in, from what libpq says."""
    said = reason(error).removeprefix("connection failed: ")
    cure = next((cure for pattern, cure in _CURES if re.search(pattern, said)), _NO_ANSWER)
    return Finding("problem", f"Cannot connect: {said}", cure.format(where=where))


def of_the_server(facts: Facts) -> Iterator[Finding]:
    """The server itself: its age, its role in replication, and how full its notification queue is."""
    if facts.number < OLDEST:
        yield Finding("problem", f"PostgreSQL {facts.version} is too old.", "upgrade to PostgreSQL 13 or later")
    else:
        yield Finding("ok", f"PostgreSQL {facts.version} answers as user {facts.username}.")
    if facts.standby:
        yield Finding(
            "problem",
            "This is a standby: it cannot LISTEN, and it shows the past.",
            "name the primary in DATABASE_URL; with several hosts add target_session_attrs=read-write",
        )
    if facts.queue >= QUEUE_FULL:
        yield Finding(
            "warning",
            f"The notification queue is {facts.queue:.0%} full; when it is full every NOTIFY fails at commit.",
            "a session that listens sits in a long transaction: end it, its pid is in the server's log",
        )
    else:
        yield Finding("ok", f"The notification queue is {facts.queue:.0%} full.")


async def _facts(connection: psycopg.AsyncConnection[Any]) -> Facts:
    async with connection.cursor(row_factory=class_row(Facts)) as cursor:
        await cursor.execute(_FACTS)
        (facts,) = await cursor.fetchall()
        return facts


async def _delivery(settings: Settings, conninfo: str) -> Finding:
    """Whether a notification travels from the connection that writes to the one that listens."""
    direct = settings.listen_conninfo
    over = "STABILITY_LISTEN_URL" if direct else "this connection"
    try:
        arrived = await _delivers(direct or conninfo, conninfo)
    except psycopg.Error as error:
        return Finding("problem", f"Cannot LISTEN over {over}: {reason(error)}", f"correct {over}")
    if arrived:
        return Finding("ok", f"A notification arrives over {over}.")
    if direct:
        return Finding(
            "problem",
            f"Nothing arrives over STABILITY_LISTEN_URL within {DELIVERY:g} s: it leads elsewhere or through a pooler.",
            "name the same database there, past the pooler",
        )
    return Finding(
        "problem",
        f"No notification arrives within {DELIVERY:g} s: a pooler swallows LISTEN, as PgBouncer does per transaction.",
        "set STABILITY_LISTEN_URL to a connection that leads past the pooler, straight to Postgres",
    )


async def _delivers(ear: str, mouth: str) -> bool:
    token = secrets.token_hex(8)
    async with await connect(ear, "stability doctor") as listening, await connect(mouth, "stability doctor") as telling:
        await listening.execute(f"LISTEN {_CHANNEL}".encode())
        await telling.execute("SELECT pg_catalog.pg_notify(%s, %s)", (_CHANNEL, token))
        async for heard in listening.notifies(timeout=DELIVERY):
            if heard.payload == token:
                return True
    return False


async def _of_the_schema(
    connection: psycopg.AsyncConnection[Any], conninfo: str, username: str
) -> AsyncIterator[Finding]:
    """Our part of the database: its revision, the server's rights, and each watched source."""
    database = Database(conninfo)
    try:
        async with database.reading() as reading:
            await revision.check(reading)
            yield Finding("ok", f"The schema is at the newest revision, {revision.revisions()[0]}.")
            for row in (await reading.execute(_STATE)).mappings():
                if row["error"] is None:  # problems() tells those that cannot be read, with the remedy
                    more = "+" if row["more"] else ""
                    yield Finding("ok", f"The source {row['source']} can be read: {row['count']}{more} active.")
    except DatabaseError as error:
        fact, _, remedy = str(error).partition(": ")  # revision's sentences are all of this form
        yield Finding("problem", f"{fact[0].upper()}{fact[1:]}.", remedy)
        return
    except SQLAlchemyError as error:
        yield Finding(
            "problem",
            f"The user {username} cannot read the state: {reason(error)}",
            f'let it: GRANT {SERVER_ROLE} TO "{username}"',
        )
    finally:
        await database.close()
    async for finding in _problems(connection):
        yield finding


async def _problems(connection: psycopg.AsyncConnection[Any]) -> AsyncIterator[Finding]:
    """What the database itself finds missing: triggers, indexes, grants."""
    found = 0
    try:
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute("SELECT object, problem, remedy FROM stability.problems()")
            async for row in cursor:
                found += 1
                yield Finding("problem", f"{row['object']}: {row['problem']}", row["remedy"])
    except psycopg.Error as error:
        yield Finding(
            "warning",
            f"Triggers, indexes and grants could not be looked at: {reason(error)}",
            "run `stability doctor` as the user that ran `stability migrate`",
        )
        return
    if not found:
        yield Finding("ok", "Triggers, indexes and grants are in place.")
