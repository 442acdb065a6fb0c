"""An alert where work does not move: an active row of a watched table that nobody has written for too long."""

import asyncio
from typing import Final

from sqlalchemy import text

from stability.database import Database
from stability.frames import SYSTEM
from stability.hub import Hub

LOOK: Final = 60.0  # seconds, at most, between two looks at what is active
LEAST: Final = 1.0  # and at least
PART: Final = 10  # looks in the time after which a row is stuck

_LOOK: Final = text("SELECT stability.look_for_stuck(make_interval(secs => :seconds))")


class Stuck:
    """Looks while anything is active; the database remembers since when each row is as it is."""

    def __init__(self, database: Database, hub: Hub, seconds: float) -> None:
        self._database, self._hub, self._seconds = database, hub, seconds
        self._active = asyncio.Event()

    async def run(self) -> None:
        """Look for ever; returns only by cancellation."""
        if not self._seconds:
            await asyncio.Event().wait()
        with self._hub.subscribe(self._note):
            while True:
                self._active.clear()
                async with self._database.writing() as connection:
                    await connection.execute(_LOOK, {"seconds": self._seconds})
                self._note()
                await self._active.wait()
                await asyncio.sleep(max(LEAST, min(LOOK, self._seconds / PART)))

    def _note(self) -> None:
        change = self._hub.latest(*SYSTEM)
        if change and change.row and change.row.state != "stable":
            self._active.set()
