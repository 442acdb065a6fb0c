"""Keeps the table as the engine has it: its events, and all containers after each reconnect and every few minutes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

import structlog

from stability.applications import rows
from stability.applications.engine import Engine, EngineError
from stability.applications.refresh import Applications
from stability.backoff import Backoff
from stability.contained import alone, first

GAP: Final = 0.5  # seconds between two lists that events ask for
SETTLED: Final = (
    1.0  # seconds after an event at which its container is looked at once more, since an engine's list may lag
)

_log = structlog.get_logger(__name__)


class Watcher:
    """What one of several servers does for applications; `run` is its duty."""

    def __init__(self, applications: Applications, engine: Engine) -> None:
        self._applications, self._engine = applications, engine
        self._every = applications.settings.application_list_seconds
        self._changed: set[str] = set()
        self._all = self._new = False
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """There may be an application that was never checked."""
        self._new = True
        self._wake.set()

    async def run(self) -> None:
        """Watch for ever; returns only by cancellation. While the engine is away the table keeps what was seen last."""
        backoff = Backoff(0.25, 10.0)
        while True:
            try:
                await alone(self._watch(backoff))
            except* EngineError as failed:
                self._applications.lose(first(failed))
                await asyncio.sleep(backoff.draw())

    async def _watch(self, backoff: Backoff) -> None:
        # subscribed first, then looked: what changes in between is told
        async with self._engine.events() as events:
            await self._applications.refresh()
            backoff.reset()
            await self._follow(events)

    async def _follow(self, events: AsyncIterator[str | None]) -> None:
        """Until all are to be listed again, over a new subscription: one that has fallen silent may be dead."""
        async with asyncio.TaskGroup() as group:
            hearing = group.create_task(self._hear(events))
            await self._keep()
            hearing.cancel()

    async def _hear(self, events: AsyncIterator[str | None]) -> None:
        async for project in events:
            if project is None:
                continue  # of no compose project, and so of no application
            self._changed.add(project)
            self._wake.set()

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        over, settling = loop.time() + self._every, set[str]()
        while loop.time() < over:
            due = loop.time() + SETTLED if settling else over
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._wake.wait()
            self._wake.clear()
            changed = await self._ours()
            new, self._new = self._new and await rows.has_new(self._applications.database), False
            if changed or settling or new:
                await self._applications.refresh(changed | settling)
                settling = changed
                await asyncio.sleep(GAP)

    async def _ours(self) -> set[str]:
        """The projects that changed and are an application's."""
        changed, self._changed = self._changed, set()
        if not changed:
            return changed
        found = await rows.everything(self._applications.database)
        return changed & {self._applications.project(one) for one in found.applications}
