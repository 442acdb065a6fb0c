"""The design that everybody builds first, to be scored beside ours: the trigger computes the answer and sends it.

It gets the same triggers as ours, on every table and for every kind of statement, and a listener that is never away, so
that whatever is wrong is the design's.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, LiteralString

import psycopg

from stability.torture.clients import Screen
from stability.torture.script import Fault, Rest

CHANNEL: Final = "naive"
EVALUATE: LiteralString = "PERFORM pg_catalog.pg_notify('naive', public.is_system_stable()::text); RETURN NULL;"
_INSTALL: LiteralString = f"""
    CREATE OR REPLACE FUNCTION public.notify_system_stability_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        {EVALUATE}
    END
    $$
"""

Connection = psycopg.AsyncConnection[Any]


class Naive:
    """One client that shows what the last message said."""

    def __init__(self, conninfo: str, changed: Callable[[], None]) -> None:
        self._conninfo = conninfo
        self._screen = Screen("listener", changed)

    @property
    def screens(self) -> list[Screen]:
        """The only one."""
        return [self._screen]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """It listens until the block ends."""
        async with await psycopg.AsyncConnection[Any].connect(self._conninfo, autocommit=True) as connection:
            await connection.execute(_INSTALL)
            await connection.execute(f"LISTEN {CHANNEL}")
            self._screen.show(True)  # as it is in an empty database
            async with asyncio.TaskGroup() as group:
                listening = group.create_task(self._listen(connection))
                yield
                listening.cancel()

    async def rest(self, _kind: Rest, _lull: float, _owner: Connection) -> None:
        """It has no rest: every change is sent."""

    async def strike(self, _fault: Fault, _owner: Connection) -> None:
        """It is spared."""

    async def afresh(self, stable: bool) -> None:
        """After a wrong end it is told the truth."""
        self._screen.show(stable)

    async def _listen(self, connection: Connection) -> None:
        async for message in connection.notifies():
            self._screen.show(message.payload == "true")
