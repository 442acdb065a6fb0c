"""What the badge showed over time: one of several servers logs each transition, and until when it was proven.

A state that nobody vouches for is unknown: the history has no row for a time without a server. Each server remembers
what it saw lately, so that it can tell what a database that was away missed, or a server that went.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import text

from stability.database import Database
from stability.duty import Duty
from stability.frames import SYSTEM, compact, timestamp
from stability.hub import Hub
from stability.retention import retention

BEAT: Final = 30.0  # seconds between two entries that say only "still so"; as much may be lost when a server is killed
GATHER: Final = 1.0  # seconds that transitions wait for each other, to be one transaction
REST: Final = timedelta(seconds=1)  # a shorter pause between two pieces of work is none, as also the badge has it
_REMEMBERED: Final = 1000  # states that wait for a database that is away

_NOTE: Final = text("SELECT stability.note_states(CAST(:seen AS jsonb))")


@dataclass(frozen=True, slots=True)
class _Seen:
    state: str
    began: datetime
    until: datetime | None  # None: it is so now

    @property
    def told(self) -> list[str | None]:
        return [self.state, timestamp(self.began), timestamp(self.until) if self.until else None]


class History:
    """Follows the hub, and writes down what it told where that is this server's duty."""

    def __init__(self, hub: Hub, database: Database, days: float) -> None:
        self._hub, self._database, self._days = hub, database, days
        self._seen: deque[_Seen] = deque(maxlen=_REMEMBERED)
        self._changed = asyncio.Event()
        hub.call(self._look)

    @property
    def duties(self) -> Sequence[Duty]:
        """What one of several servers does."""
        kept = retention("history", self._database, "prune_transitions", self._days)
        return [Duty("history", self._keep), *kept]

    def _look(self) -> None:
        change = self._hub.latest(*SYSTEM)
        state = change.row.state if change and change.row else "unknown"
        last = self._seen[-1] if self._seen else None
        if change is None or (last and last.state == state):
            return
        if last:
            self._seen[-1] = replace(last, until=change.since)
            self._join(state)
        if not self._seen or self._seen[-1].until:
            self._seen.append(_Seen(state, change.since, None))
        self._changed.set()

    def _join(self, state: str) -> None:
        """Work that goes on after a moment without any went on."""
        *_, before, pause = (None, *self._seen)
        if before is None or (before.state, pause.state, state) != ("processing", "stable", "processing"):
            return
        if pause.until and pause.until - pause.began < REST and before.until == pause.began:
            self._seen.pop()
            self._seen[-1] = replace(before, until=None)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(GATHER)
            self._changed.clear()
            await self.note()
            try:
                async with asyncio.timeout(BEAT):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def note(self) -> None:
        """Write down what was seen since the last time."""
        seen = [*self._seen]
        if not seen:
            return
        async with self._database.writing() as connection:
            await connection.execute(_NOTE, {"seen": compact([each.told for each in seen]).decode()})
        while len(self._seen) > 1 and self._seen[0] in seen[:-1]:
            self._seen.popleft()
