"""Looks for what keeps the badge from telling the truth, and says how to mend it.

Each part looks at one thing, within bounds, and holds up no other; what it may not see it calls unknown. None changes
anything.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final, TypeAlias

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from stability.client import server_of
from stability.database import reason
from stability.doctor import horizon, instance, sessions
from stability.doctor.delivery import delivery
from stability.doctor.entrance import entered, no_database, unreachable
from stability.doctor.finding import Finding
from stability.doctor.installation import installation
from stability.doctor.report import Report
from stability.doctor.server import server
from stability.settings import Settings

__all__ = ["Finding", "Report", "examine", "no_database"]

LONGEST: Final = 10.0  # seconds that a part may take; those of a database and of a server run all at once

_Part: TypeAlias = tuple[str, AsyncIterator[Finding]]
_ON_EVERY_INSTANCE: Final = (("clock", instance.clock),)
_ON_A_PRIMARY: Final = (
    ("replica_role", instance.replica_role),
    ("subscription", instance.subscriptions),
    ("notification_queue", sessions.queue),
    ("notify_lock", sessions.notify_lock),
    ("snapshots", horizon.snapshots),
    ("sessions", sessions.hidden),
)


async def examine(settings: Settings, conninfo: str, url: str | None, tell: Callable[[Finding], None]) -> None:
    """Tell everything that is in order and everything that is not; `url` is where browsers reach the server.

    Raises SettingError when the URL is none.
    """
    there = server_of(settings, url)
    async with asyncio.TaskGroup() as group:
        parts = [group.create_task(_bounded("server", server(there, named=bool(url or settings.url))))]
        try:
            facts = await instance.facts_of(conninfo)
        except psycopg.Error as error:
            tell(unreachable(error, settings))
        else:
            for finding in instance.of_the_server(facts):
                tell(finding)
            parts[:0] = [group.create_task(_bounded(*part)) for part in _parts(settings, conninfo, facts)]
        for part in parts:
            for finding in await part:
                tell(finding)


def _parts(settings: Settings, conninfo: str, facts: instance.Facts) -> Iterator[_Part]:
    yield "instance", _instance(conninfo, facts)
    if not facts.standby:
        yield "delivery", delivery(settings, conninfo)
    yield "installation", installation(conninfo, facts.username)


async def _instance(conninfo: str, facts: instance.Facts) -> AsyncIterator[Finding]:
    """What is looked at one after the other on one connection."""
    async with entered(conninfo) as connection:
        for check, part in _ON_EVERY_INSTANCE if facts.standby else (*_ON_EVERY_INSTANCE, *_ON_A_PRIMARY):
            for finding in await _bounded(check, part(connection)):
                yield finding
            if connection.closed:
                return


async def _bounded(check: str, part: AsyncIterator[Finding]) -> list[Finding]:
    """What a part finds; that it found no more, if it fails or takes too long, is a finding as well."""
    findings: list[Finding] = []
    try:
        async with asyncio.timeout(LONGEST):
            async for finding in part:
                findings.append(finding)  # noqa: PERF401 - what was found before it failed counts
    except (psycopg.Error, SQLAlchemyError, TimeoutError) as error:
        why = f"that took more than {LONGEST:g} s" if isinstance(error, TimeoutError) else reason(error)
        findings.append(Finding(check, "unknown", f"The check {check} came to no end: {why}."))
    return findings
