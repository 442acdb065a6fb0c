"""Clients of a real server, of both kinds there are, that keep all they ever showed."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from time import monotonic
from typing import Final

import httpx
from httpx_sse import EventSource, SSEError

from stability import client
from stability.sight import Sight
from stability.torture.truth import Piece, Shown, Span

RECONNECT: Final = 0.1  # seconds that the page stays away; a browser does so for the 2 to 5 s that the server asks for
_STABLE: Final[dict[str, Shown]] = {"stable": True, "processing": False, "unknown": None}


class Screen:
    """What one client shows, and showed since when; `changed` is called at each change."""

    def __init__(self, name: str, changed: Callable[[], None]) -> None:
        self.name = name
        self.frozen: list[Span] = []  # when the server it depends on did not run
        self._changed = changed
        self._shown: list[tuple[float, Shown]] = [(monotonic(), None)]

    @property
    def shows(self) -> Shown:
        """What it shows now."""
        return self._shown[-1][1]

    def show(self, stable: Shown) -> None:
        """From now on it shows this."""
        if stable != self.shows:
            self._shown.append((monotonic(), stable))
            self._changed()

    def see(self, sight: Sight) -> None:
        """The same, as our own client tells it."""
        self.show(_STABLE[sight.state])

    def pieces(self, begin: float, end: float) -> Iterator[Piece]:
        """What it showed between two moments."""
        for (since, shown), (until, _) in pairwise([*self._shown, (end, None)]):
            if max(since, begin) < min(until, end):
                yield Piece(shown, Span(max(since, begin), min(until, end)))

    def forget(self, before: float) -> None:
        """Keep what it showed since then."""
        latest = max((at for at, _ in self._shown if at <= before), default=before)
        self._shown = [(at, shown) for at, shown in self._shown if at >= latest]
        self.frozen = [span for span in self.frozen if span.end >= before]


async def terminal(server: client.Server, screen: Screen) -> None:
    """Our own client, as `stability watch` runs it, for ever; it reads the `status` events."""
    await client.follow(server, screen.see)


async def page(server: client.Server, screen: Screen) -> None:
    """The five lines of a foreign page, for ever: unnamed messages, and unknown while the stream is away."""
    async with server.client() as http:
        while True:
            with suppress(httpx.HTTPError, SSEError):  # away: it comes again
                await _messages(http, screen)
            screen.show(None)
            await asyncio.sleep(RECONNECT)


async def _messages(http: httpx.AsyncClient, screen: Screen) -> None:
    timeout = httpx.Timeout(client.SILENCE, connect=client.CONNECT)
    async with http.stream("GET", "api/system-status/live", timeout=timeout) as response:
        async for event in EventSource(response).aiter_sse():
            if event.event == "message":
                screen.show(json.loads(event.data)["stable"])
