"""The Postgres itself: its age, its part in replication, its clock, and who writes past ordinary triggers."""

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.rows import class_row

from stability.doctor.entrance import entered
from stability.doctor.finding import Finding

OLDEST: Final = 130_000  # server_version_num of the oldest Postgres that we know to work
SKEW: Final = 1.0  # seconds that two clocks may be apart

_FACTS: Final = """
    SELECT pg_catalog.current_setting('server_version') AS version,
           pg_catalog.current_setting('server_version_num')::int AS number,
           pg_catalog.pg_is_in_recovery() AS standby, current_user AS username
"""
_CLOCK: Final = "SELECT pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())"
# Who has the replica role by default. A session that sets it for itself is not seen from outside.
_REPLICA_ROLES: Final = """
    SELECT pg_catalog.concat_ws(' in ',
               CASE WHEN s.setrole <> 0 THEN 'role ' || r.rolname WHEN s.setdatabase = 0 THEN 'every role' END,
               CASE WHEN s.setdatabase <> 0 THEN 'database ' || d.datname END)
      FROM pg_catalog.pg_db_role_setting s
      LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
      LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
     WHERE 'session_replication_role=replica' = ANY (s.setconfig)
       AND (s.setdatabase = 0 OR d.datname = pg_catalog.current_database())
    UNION ALL
    SELECT 'the whole server' FROM pg_catalog.pg_settings
     WHERE name = 'session_replication_role' AND setting = 'replica'
       AND source IN ('configuration file', 'command line')
    ORDER BY 1
"""
_ORDINARY_TRIGGERS: Final = """
    SELECT t.tgname || ' on ' || t.tgrelid::pg_catalog.regclass
      FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
     WHERE p.proname = 'notify_system_stability_change' AND t.tgenabled = 'O' ORDER BY 1
"""
_SUBSCRIBED: Final = """
    SELECT DISTINCT r.srrelid::pg_catalog.regclass::text
      FROM pg_catalog.pg_subscription_rel r
      JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.srrelid
      JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
     WHERE p.proname = 'notify_system_stability_change' ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the database says of itself."""

    version: str
    number: int
    standby: bool
    username: str


async def facts_of(conninfo: str) -> Facts:
    """Ask it; raises psycopg.Error when it does not answer."""
    async with entered(conninfo) as connection, connection.cursor(row_factory=class_row(Facts)) as cursor:
        await cursor.execute(_FACTS)
        (facts,) = await cursor.fetchall()
        return facts


def of_the_server(facts: Facts) -> Iterator[Finding]:
    """Its age, and its part in replication."""
    if facts.number < OLDEST:
        yield Finding(
            "postgres", "problem", f"PostgreSQL {facts.version} is too old.", "upgrade to PostgreSQL 13 or later"
        )
    else:
        yield Finding("postgres", "ok", f"PostgreSQL {facts.version} answers as user {facts.username}.")
    if facts.standby:
        yield Finding(
            "standby",
            "problem",
            "This is a standby: it cannot LISTEN, and it shows the past.",
            "name the primary in DATABASE_URL, or all hosts separated by commas: the primary among them is found",
        )


async def clock(connection: psycopg.AsyncConnection[Any]) -> AsyncIterator[Finding]:
    """The database's clock beside ours."""
    sent = time.time()
    cursor = await connection.execute(_CLOCK)
    ((theirs,),) = await cursor.fetchall()
    yield of_the_clock("clock", "The database's clock", apart(theirs, sent, time.time()))


def apart(theirs: float, sent: float, received: float, grain: float = 0.0) -> float:
    """Seconds that another clock is at least ahead of ours, or behind if negative.

    It was read at some moment between `sent` and `received`, and shows times that are up to `grain` seconds old.
    """
    ahead = theirs + grain / 2 - (sent + received) / 2
    unsure = (received - sent + grain) / 2
    return max(ahead - unsure, 0.0) + min(ahead + unsure, 0.0)


def of_the_clock(check: str, whose: str, seconds: float) -> Finding:
    """Whether a clock that is so far ahead of ours matters, and for what."""
    if abs(seconds) <= SKEW:
        return Finding(check, "ok", f"{whose} and this machine's agree.")
    return Finding(
        check,
        "warning",
        f"{whose} is {abs(seconds):,.1f} s {'ahead of' if seconds > 0 else 'behind'} this machine's: the state stays"
        " true, for that goes by the database's clock alone, but the times and ages that are shown differ so much.",
        "have NTP set both clocks (chrony, systemd-timesyncd)",
    )


async def replica_role(connection: psycopg.AsyncConnection[Any]) -> AsyncIterator[Finding]:
    """Whether somebody writes in the replica role, and whether our triggers fire for him."""
    whose = await _names(connection, _REPLICA_ROLES)
    deaf = await _names(connection, _ORDINARY_TRIGGERS) if whose else []
    yield of_the_replica_role(whose, deaf)


def of_the_replica_role(whose: Sequence[str], deaf: Sequence[str]) -> Finding:
    """The role itself is no harm: only triggers that are not enabled ALWAYS skip what is written in it."""
    if not whose:
        return Finding("replica_role", "ok", "No role or database has session_replication_role = replica by default.")
    who = f"session_replication_role is replica for {', '.join(whose)}"
    if not deaf:
        return Finding("replica_role", "ok", f"{who}: Stability's triggers are enabled ALWAYS and fire all the same.")
    return Finding(
        "replica_role",
        "problem",
        f"{who}: what is written there does not fire {', '.join(deaf)}, and is seen only at the next periodic read.",
        "run `stability migrate`, which enables these triggers ALWAYS",
    )


async def subscriptions(connection: psycopg.AsyncConnection[Any]) -> AsyncIterator[Finding]:
    """Watched tables that logical replication fills: it fires no statement-level trigger, not even an ALWAYS one."""
    if tables := await _names(connection, _SUBSCRIBED):
        yield Finding(
            "subscription",
            "warning",
            f"A subscription writes {', '.join(tables)}: logical replication fires no statement-level triggers, so this"
            " is seen only at the next periodic read.",
            "lower STABILITY_REREAD_SECONDS if that is too late, or serve the publisher's database instead",
        )


async def _names(connection: psycopg.AsyncConnection[Any], query: str) -> list[str]:
    cursor = await connection.execute(query.encode())
    return [name for (name,) in await cursor.fetchall()]
