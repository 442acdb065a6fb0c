"""Tells programs that LISTEN directly: one `{"stable":…}` on `system_stability` per transition that is published.

Every server sees each transition, and the one whose duty it is announces it. Whoever takes that over says once more how
it is, if that has changed since the one before may have ended: programs may hear the same twice, and miss no last one.
"""

import asyncio
import random
from collections import deque
from math import inf
from time import monotonic
from typing import Final

import psycopg
import structlog

from stability.database import connect_to_stay, reason
from stability.duty import TAKEN_OVER
from stability.frames import SYSTEM, compact
from stability.hints import STABILITY_CHANNEL
from stability.hub import Hub

RETRY: Final = 3.0  # seconds, at most, after an announcement that failed
_KEPT: Final = 100  # announcements that wait for a database that is away
_ANNOUNCE: Final = "SELECT pg_catalog.pg_notify(%s, %s)"

_log = structlog.get_logger(__name__)


class Announcer:
    """Follows the hub from the first; `run` is a duty and announces each change between stable and processing."""

    def __init__(self, hub: Hub, conninfo: str) -> None:
        self._hub, self._conninfo = hub, conninfo
        self._told: bool | None = None
        self._changed = -inf  # when that was so first, in monotonic seconds
        self._on_duty = self._failing = False
        self._waiting: deque[bool] = deque(maxlen=_KEPT)
        self._wake = asyncio.Event()
        hub.call(self._look)

    def _look(self) -> None:
        change = self._hub.latest(*SYSTEM)
        stable = change.row.fields["stable"] if change and change.row else None
        if isinstance(stable, bool) and stable is not self._told:
            if self._told is not None:  # the first truth after a start is no transition
                self._changed = monotonic()
                if self._on_duty:
                    self._waiting.append(stable)
                    self._wake.set()
            self._told = stable

    async def run(self) -> None:
        """Announce for ever; returns only by cancellation."""
        if self._told is not None and (self._waiting or monotonic() - self._changed < TAKEN_OVER):
            self._waiting = deque([self._told], _KEPT)
        self._on_duty = True
        try:
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
        finally:
            self._on_duty = False

    async def _announce(self, connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
        while True:
            self._wake.clear()
            while self._waiting:
                payload = compact({"stable": self._waiting[0]}).decode()
                await connection.execute(_ANNOUNCE, (STABILITY_CHANNEL, payload))
                self._waiting.popleft()
                self._failing = False
            await self._wake.wait()
