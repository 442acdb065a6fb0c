"""Our part of the database: its revision, the server's rights, each watched source, and what it needs."""

from collections.abc import AsyncIterator
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from stability.database import SERVER_ROLE, STATEMENT_TIMEOUT, Database, reason
from stability.doctor.entrance import entered
from stability.doctor.finding import Finding
from stability.errors import DatabaseError
from stability.schema import revision

_STATE: Final = text("SELECT source, count, more, error FROM stability.read_activity()")
_LOCKED: Final = """
    SELECT DISTINCT a.pid, a.application_name, 'user ' || a.usename, a.state
      FROM stability.source s, unnest(s.relation || s.also) r
      JOIN pg_catalog.pg_locks l ON l.relation = pg_catalog.to_regclass(r)
      JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid AND a.datname = pg_catalog.current_database()
     WHERE l.granted AND l.mode = 'AccessExclusiveLock'
"""
_FINDINGS: Final = """
    SELECT 'problem' AS level, object, problem, remedy FROM stability.problems()
    UNION ALL SELECT 'warning', object, problem, remedy FROM stability.warnings()
"""
# what an object of either begins with, where that is not the name of the check
_CHECKS: Final = {
    "setting": "two_phase_commit",
    "schema": "privilege",
    "sequence": "privilege",
    "function": "privilege",
}


async def installation(conninfo: str, username: str) -> AsyncIterator[Finding]:
    """Read the state as a server would, then ask the database what it misses."""
    database = Database(conninfo)
    try:
        async with database.reading() as reading:
            await revision.check(reading)
            yield Finding("revision", "ok", f"The schema is at the newest revision, {revision.revisions()[0]}.")
            for row in (await reading.execute(_STATE)).mappings():
                if row["error"] is None:  # problems() tells those that cannot be read, with the remedy
                    more = "+" if row["more"] else ""
                    fact = f"The source {row['source']} can be read: {row['count']}{more} active."
                    yield Finding("source", "ok", fact)
    except DatabaseError as error:
        fact, _, remedy = str(error).partition(": ")  # revision's sentences are all of this form
        yield Finding("revision", "problem", f"{fact[0].upper()}{fact[1:]}.", remedy)
        return
    except SQLAlchemyError as error:
        if _timed_out(error):
            async for finding in _locks(conninfo):
                yield finding
            return
        yield Finding(
            "reading",
            "problem",
            f"The user {username} cannot read the state: {reason(error)}",
            f'let it: GRANT {SERVER_ROLE} TO "{username}"',
        )
    finally:
        await database.close()
    async with entered(conninfo) as connection:
        async for finding in _problems(connection):
            yield finding


def _timed_out(error: SQLAlchemyError) -> bool:
    cut_off = (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable)
    return isinstance(error, DBAPIError) and isinstance(error.orig, cut_off)


async def _locks(conninfo: str) -> AsyncIterator[Finding]:
    """Who does not even let us read, else what makes it slow; problems() would wait for the same."""
    async with entered(conninfo) as connection:
        cursor = await connection.execute(_LOCKED)
        holders = [f"pid {pid} ({', '.join(filter(None, whose))})" for pid, *whose in await cursor.fetchall()]
    slow = f"The state cannot be read within {STATEMENT_TIMEOUT / 1000:g} s"
    if holders:
        fact = f"{slow}: a watched table is locked by {', '.join(holders)}."
        yield Finding("reading", "problem", fact, "let that end, or end it with `SELECT pg_terminate_backend(PID)`")
    else:
        remedy = "look at the old snapshots and the missing indexes that are named here, then VACUUM the watched tables"
        yield Finding("reading", "problem", f"{slow}.", remedy)


async def _problems(connection: psycopg.AsyncConnection[Any]) -> AsyncIterator[Finding]:
    """What the database itself finds missing: triggers, columns, indexes, grants; and what it warns of."""
    problems = 0
    try:
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(_FINDINGS)
            async for row in cursor:
                problems += row["level"] == "problem"
                kind = row["object"].partition(" ")[0]
                fact = f"{row['object']}: {row['problem']}"
                yield Finding(_CHECKS.get(kind, kind), row["level"], fact, row["remedy"])
    except psycopg.Error as error:
        yield Finding(
            "objects",
            "unknown",
            f"Triggers, indexes and grants could not be looked at: {reason(error)}",
            "run `stability doctor` as the user that ran `stability migrate`",
        )
        return
    if not problems:
        yield Finding("objects", "ok", "Triggers, indexes and grants are in place.")
