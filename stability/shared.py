"""One answer for everybody who asks at about the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

_Told = TypeVar("_Told")


class Shared(Generic[_Told]):
    """One answer for everybody who asked before it was begun, and one at a time: a crowd costs what one asker costs.

    Who asks while an answer is under way waits for the next: this one may be older than what made them ask.
    """

    def __init__(self, ask: Callable[[], Awaitable[_Told]]) -> None:
        self._ask = ask
        self._running: asyncio.Task[_Told] | None = None
        self._next: asyncio.Task[_Told] | None = None

    async def __call__(self) -> _Told:
        """The answer, or the error that it ended with."""
        if self._next is None:
            self._next = asyncio.create_task(self._after(self._running))
        return await asyncio.shield(self._next)

    async def _after(self, before: asyncio.Task[_Told] | None) -> _Told:
        if before and not before.done():
            await asyncio.wait([before])
        self._running, self._next = self._next, None
        return await self._ask()
