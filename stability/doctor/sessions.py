"""Sessions that hold up others: the notification queue, the lock of commits that notify, and what is hidden of them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.rows import class_row

from stability.doctor.finding import Finding

QUEUE_FULL: Final = 0.5  # share of the notification queue from which on somebody must look
LOOKS: Final = 10  # at the lock of commits that notify: each waits for it for a moment only
PAUSE: Final = 0.1  # seconds between two looks
CROWDED: Final = 2  # looks that show somebody waiting, from which on it is no chance
NAMED: Final = 3  # sessions that one finding names

_USAGE: Final = "SELECT pg_catalog.pg_notification_queue_usage()"
_SESSION: Final = """
    a.pid, coalesce(a.application_name, '') AS application, coalesce(a.usename, '') AS username,
    coalesce(a.datname, '') AS database, coalesce(a.state, '') AS state,
    coalesce(pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - a.xact_start), 0) AS seconds
"""
# Postgres does not tell who listens. Whoever does reads the queue between transactions, while his client takes it.
_IN_THE_QUEUES_WAY: Final = f"""
    SELECT {_SESSION} FROM pg_catalog.pg_stat_activity a
     WHERE a.backend_type = 'client backend' AND a.pid <> pg_catalog.pg_backend_pid()
       AND (a.state LIKE 'idle in transaction%' OR pg_catalog.clock_timestamp() - a.xact_start >= '1 s'
           OR a.wait_event = 'ClientWrite')
     ORDER BY a.xact_start NULLS LAST LIMIT {NAMED}
"""  # noqa: S608 - constants
# What PreCommit_Notify() locks, whatever the database: "database 0".
_BEFORE_THE_LOCK: Final = f"""
    SELECT {_SESSION} FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
     WHERE l.locktype = 'object' AND l.database = 0 AND l.classid = 'pg_catalog.pg_database'::pg_catalog.regclass
       AND l.objid = 0 AND NOT l.granted AND a.application_name <> 'stability doctor'
"""  # noqa: S608 - constants
_HIDDEN: Final = """
    SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity
     WHERE query = '<insufficient privilege>' AND datid IS NOT NULL AND usesysid IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class Session:
    """One connection to Postgres, `seconds` in its transaction."""

    pid: int
    application: str
    username: str
    database: str
    state: str
    seconds: float

    def __str__(self) -> str:
        doing = f"{self.state} for {self.seconds:,.0f} s" if self.seconds else self.state
        return f"pid {self.pid} ({', '.join(filter(None, (self.application, f'user {self.username}', doing)))})"


async def queue(connection: psycopg.AsyncConnection[Any]) -> AsyncIterator[Finding]:
    """How full the notification queue is, and who may be in its way."""
    cursor = await connection.execute(_USAGE)
    ((usage,),) = await cursor.fetchall()
    yield of_the_queue(usage, await _sessions(connection, _IN_THE_QUEUES_WAY) if usage >= QUEUE_FULL else [])


def of_the_queue(usage: float, in_the_way: Sequence[Session]) -> Finding:
    """A full one makes every NOTIFY fail."""
    if usage < QUEUE_FULL:
        return Finding("notification_queue", "ok", f"The notification queue is {usage:.0%} full.")
    suspects = f"; those in a transaction or not reading: {_listed(in_the_way)}" if in_the_way else ""
    return Finding(
        "notification_queue",
        "warning",
        f"The notification queue is {usage:.0%} full, and when it is full every NOTIFY fails at commit: somebody who"
        f" listens sits in a transaction, or does not read what he is sent{suspects}.",
        "end him with `SELECT pg_terminate_backend(PID)`; among several, Postgres's own log names the one",
    )


async def notify_lock(connection: psycopg.AsyncConnection[Any]) -> AsyncIterator[Finding]:
    """Whether commits queue up behind each other because they notify."""
    looks = [await _sessions(connection, _BEFORE_THE_LOCK)]
    while len(looks) < LOOKS:
        await asyncio.sleep(PAUSE)
        looks.append(await _sessions(connection, _BEFORE_THE_LOCK))
    yield of_the_lock(looks)


def of_the_lock(looks: Sequence[Sequence[Session]]) -> Finding:
    """Sessions that wait for it are about to commit a NOTIFY, and wait for another that does."""
    crowded = [waiting for waiting in looks if waiting]
    if len(crowded) < CROWDED:
        return Finding("notify_lock", "ok", "No commit waits for another because both notify.")
    most = max(map(len, crowded))
    whose = sorted({f"{s.application or s.username} in database {s.database}" for seen in crowded for s in seen})
    return Finding(
        "notify_lock",
        "warning",
        f"Up to {most} {'commits wait' if most > 1 else 'commit waits'} for another because all of them notify (seen in"
        f" {len(crowded)} of {len(looks)} looks; {', '.join(whose[:NAMED])}): Postgres commits these one after another,"
        " over all databases.",
        "have that program notify less often than it commits; Stability's own triggers are silent while work goes on",
    )


async def hidden(connection: psycopg.AsyncConnection[Any]) -> AsyncIterator[Finding]:
    """Other users' sessions, of which this one sees no more than that they exist."""
    cursor = await connection.execute(_HIDDEN)
    ((number,),) = await cursor.fetchall()
    if number:
        yield Finding(
            "sessions",
            "unknown",
            f"The user {connection.info.user} may not look into {number} {'session' if number == 1 else 'sessions'} of"
            " others: whether they hold an old snapshot, or are in the way of the notification queue, stays unknown.",
            f'run `stability doctor` as a superuser, or "GRANT pg_read_all_stats TO {connection.info.user}"',
        )


async def _sessions(connection: psycopg.AsyncConnection[Any], query: str) -> list[Session]:
    async with connection.cursor(row_factory=class_row(Session)) as cursor:
        await cursor.execute(query.encode())
        return await cursor.fetchall()


def _listed(sessions: Sequence[Session]) -> str:
    return "; ".join(map(str, sessions))
