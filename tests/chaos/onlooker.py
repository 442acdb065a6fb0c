"""A person at a page: follows a server by the rules of our clients, and keeps what was shown and when."""

import asyncio
import threading
import time
from types import TracebackType
from typing import Final, Self

import httpx

from stability.client import Server, follow
from stability.sight import Sight

_STABLE: Final = {"stable": True, "processing": False, "unknown": None}


class Onlooker:
    """Follows `url` until the block ends."""

    def __init__(self, url: str) -> None:
        self.shown: list[tuple[float, bool | None]] = []  # monotonic seconds, and what is shown from then on
        self._url = url
        self._news = threading.Condition()
        self._loop: asyncio.AbstractEventLoop
        self._task: asyncio.Task[None]
        self._thread = threading.Thread(target=lambda: asyncio.run(self._follow()), daemon=True)

    @property
    def stable(self) -> bool | None:
        """What is shown now."""
        return self.shown[-1][1]

    def wait_for(self, stable: bool | None, within: float) -> float:
        """Seconds until `stable` is shown; fails when it is not within so many."""
        began = time.monotonic()
        with self._news:
            held = self._news.wait_for(lambda: bool(self.shown) and self.stable is stable, within)
        assert held, f"{stable} not within {within:g} s; shown: {self.shown[-5:]}"
        return time.monotonic() - began

    def __enter__(self) -> Self:
        self._thread.start()
        with self._news:
            assert self._news.wait_for(lambda: self.shown, 20)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)

    async def _follow(self) -> None:
        self._loop, self._task = (
            asyncio.get_running_loop(),
            asyncio.ensure_future(follow(Server(httpx.URL(self._url)), self._see)),
        )
        await asyncio.wait({self._task})

    def _see(self, sight: Sight) -> None:
        with self._news:
            if not self.shown or self.stable is not _STABLE[sight.state]:
                self.shown.append((time.monotonic(), _STABLE[sight.state]))
                self._news.notify_all()
