"""Tells programs that LISTEN directly: one `{"stable":…}` on `system_stability` per transition that is published.

A subscriber of the hub like any browser. Of several servers one announces: the one whose session holds the lock.
"""

import asyncio
import random
from collections import deque
from typing import Final

import psycopg
import structlog

from stability.database import connect_to_stay, reason
from stability.frames import SYSTEM, compact
from stability.hints import STABILITY_CHANNEL
from stability.hub import Hub

_LOCK: Final = 0x5AB1_E000  # advisory lock key, any number that is ours
RETRY: Final = 3.0  # seconds, at most, after an announcement that failed
_KEPT: Final = 100  # announcements that wait for a database that is away
# A session may take its own lock again, so whoever announced first goes on until its connection ends.
_ANNOUNCE: Final = "SELECT pg_catalog.pg_notify(%s, %s) WHERE pg_catalog.pg_try_advisory_lock(%s)"

_log = structlog.get_logger(__name__)


class Announcer:
    """Follows the hub and announces each change between stable and processing."""

    def __init__(self, hub: Hub, conninfo: str) -> None:
        self._hub, self._conninfo = hub, conninfo
        self._told: bool | None = None
        self._waiting: deque[bool] = deque(maxlen=_KEPT)
        self._wake = asyncio.Event()
        self._failing = False

    def _look(self) -> None:
        change = self._hub.latest(*SYSTEM)
        stable = change.row.fields["stable"] if change and change.row else None
        if isinstance(stable, bool) and stable is not self._told:
            if self._told is not None:  # the first truth after a start is no transition
                self._waiting.append(stable)
                self._wake.set()
            self._told = stable

    async def run(self) -> None:
        """Announce for ever; returns only by cancellation."""
        with self._hub.subscribe(self._look):
            while True:
                if not self._waiting:
                    await self._wake.wait()
                try:
                    async with await connect_to_stay(self._conninfo, "stability announcer") as connection:
                        await self._announce(connection)
                except (psycopg.Error, OSError) as error:
                    if not self._failing:
                        _log.warning("announcements wait for the database", reason=reason(error))
                    self._failing = True
                    await asyncio.sleep(random.uniform(0, RETRY))  # noqa: S311 -- jitter

    async def _announce(self, connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
        while True:
            self._wake.clear()
            while self._waiting:
                payload = compact({"stable": self._waiting[0]}).decode()
                await connection.execute(_ANNOUNCE, (STABILITY_CHANNEL, payload, _LOCK))
                self._waiting.popleft()
                self._failing = False
            await self._wake.wait()
