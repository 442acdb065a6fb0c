"""Follows the state straight on the database: the server's own listener, refresher and hub, and no server.

So the order is the server's as well: LISTEN, prove it, read, tell; a re-read as a net; unknown when nothing is proven.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import psycopg
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from stability import hints
from stability.database import Database, connect, has_begun, reason
from stability.errors import DatabaseError
from stability.frames import SYSTEM, encode, status
from stability.hub import Hub
from stability.listener import Listener
from stability.monitors import jobs
from stability.monitors.monitor import Look, Reading
from stability.refresher import Refresher
from stability.schema import revision
from stability.settings import Settings
from stability.sight import Sight, Tell
from stability.snapshot import unbegun

LOOK_AGAIN: Final = 0.1  # seconds
_OVER: Final = "SELECT pg_catalog.pg_visible_in_snapshot(%s::text::xid8, pg_catalog.pg_current_snapshot())"


async def follow(settings: Settings, conninfo: str, tell: Tell) -> None:
    """Tell every change of the state in the database at `conninfo`, for ever."""
    parts = _Parts(settings, conninfo, tell)
    try:
        with parts.hub.subscribe(parts.look):
            async with asyncio.TaskGroup() as group:
                group.create_task(parts.refresher.run())
                group.create_task(parts.listener.run())
    finally:
        await parts.database.close()


async def included(conninfo: str, xid: int) -> None:
    """Return once the transaction `xid` is over; raises DatabaseError when there is none, or nobody can be asked."""
    try:
        async with await connect(conninfo, "stability wait") as connection:
            if not await has_begun(connection, xid):
                raise DatabaseError(f"--xid: {unbegun(xid)}")
            while True:
                if await (await connection.execute(_OVER, (xid,))).fetchone() == (True,):
                    return
                await asyncio.sleep(LOOK_AGAIN)
    except psycopg.Error as error:
        raise DatabaseError(f"cannot ask for transaction {xid}: {reason(error)}") from error


class _Parts:
    """A server without the server, and what it last told."""

    def __init__(self, settings: Settings, conninfo: str, tell: Tell) -> None:
        self._tell = tell
        self._told: Sight | None = None
        self._why: str | None = None  # the last trouble
        self.hub = Hub(encode)
        self.database = Database(conninfo)
        self.refresher = Refresher(
            replace(jobs.MONITOR, read=self._read),
            self.database,
            self.hub,
            admit=self._admit,
            settings=settings,
        )
        self.listener = Listener(
            settings.listen_conninfo or conninfo,
            jobs.MONITOR.channels,
            heard=self._heard,
            probe=self._probe,
            live=self.refresher.live,
            lost=self._lost,
            deaf=self._lost,
            canary_seconds=settings.canary_seconds,
        )

    def look(self) -> None:
        """Tell the hub's newest state, if that is news."""
        change = self.hub.latest(*SYSTEM)
        if change is None:
            return
        sight = Sight.parse(status(change, self.hub.observed.get(SYSTEM[0])), "database", self._why)
        if sight.differs(self._told):
            self._told = sight
            self._tell(sight)

    def _heard(self, channel: str, payload: str) -> None:
        hint = hints.parse(channel, payload)
        if hint is not None:
            self.refresher.hint(hint.keys, hint.armed)

    async def _probe(self, payload: str) -> None:
        await self.database.notify(hints.CANARY_CHANNEL, payload)

    def _lost(self, why: str) -> None:
        self._why = why
        self.refresher.lost()
        self.look()

    async def _admit(self, connection: AsyncConnection) -> None:
        with self._noting():
            await revision.check(connection)

    async def _read(self, connection: AsyncConnection, look: Look) -> Reading:
        with self._noting():
            reading = await jobs.MONITOR.read(connection, look)
        self._why = None
        return reading

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Keep why a read failed: whoever waits wants to know."""
        try:
            yield
        except (SQLAlchemyError, DatabaseError) as error:
            self._why = reason(error)
            self.look()
            raise
