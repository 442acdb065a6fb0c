"""Writes every change to all connections that were handed off, and is all that they cost.

Such a connection is its socket and the version that it has seen: no task, no queue, no request. What several of them
have to be told is encoded once. A pass is cut into slices, so that ten thousand clients delay nobody else; one whose
buffer is full is left out, gets the newest state once it drained, and is cut off if it never does.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

from stability.contained import Contained
from stability.fanout.admission import Admission
from stability.fanout.connection import Connection, chunk_of
from stability.fanout.feed import Feed
from stability.hub import Hub, Place

HANDOFF: Final = "stability.handoff"  # the extension of the ASGI scope by which a server offers it
SLICE: Final = 256  # writes until others have their turn

# What follows a place: one chunk, the place after it, and whether there is more to tell then.
_Next: TypeAlias = tuple[bytes, Place, bool]
_NOBODY: Final = Place(frozenset())  # where nobody is


class Fanout:
    """All connections that were handed off, of one hub."""

    def __init__(self, hub: Hub, admission: Admission, sent: Callable[[int], None]) -> None:
        self._hub, self._admission, self._sent = hub, admission, sent
        self._connections: dict[Connection, None] = {}  # as they came, which is how memory and caches like it
        self._behind: deque[Connection] = deque()  # who has yet to be visited in this pass
        self._visits: deque[Connection] = deque()  # who can take more, beside it
        self._again = self._running = False
        self._shared: dict[Place, _Next] = {}  # by place, for one slice
        self._common = _NOBODY, b"", _NOBODY  # where most are: that place, what follows it, the place after
        self._contained = Contained("streams")
        hub.call(self._wake)

    @property
    def closed(self) -> bool:
        """Whether everybody has to be told goodbye."""
        return self._hub.closed

    def join(self, connection: Connection) -> None:
        """From now on it is told everything; what changed since its opening was made it is told at once."""
        self._connections[connection] = None
        self._admission.enter(connection.feed.address)
        if self.closed or self.is_behind(connection.feed):
            self.visit(connection)

    def leave(self, connection: Connection) -> None:
        """It is gone."""
        if connection in self._connections:
            del self._connections[connection]
            self._admission.leave(connection.feed.address)

    def visit(self, connection: Connection) -> None:
        """It can take more."""
        self._visits.append(connection)
        self._run()

    def is_behind(self, feed: Feed) -> bool:
        """Whether there is more to tell."""
        return not feed.live or feed.place.cursor < self._hub.version

    def next(self, feed: Feed) -> tuple[bytes, bool]:
        """What `feed` has to tell next, as a chunk, and whether there is more then. Nothing is no news. Moves on."""
        if not feed.live:
            return chunk_of(feed.read()), self.is_behind(feed)
        before = feed.place
        known = self._shared.get(before)
        if known is None:
            known = self._shared[before] = chunk_of(feed.read()), feed.place, self.is_behind(feed)
        chunk, feed.place, behind = known
        if chunk and not behind:
            self._common = before, chunk, feed.place
        return chunk, behind

    def _wake(self) -> None:
        self._again = True
        self._run()

    def _run(self) -> None:
        if not self._running:
            self._running = True
            asyncio.get_running_loop().call_soon(self._slice)

    def _slice(self) -> None:
        """Visit some; a change amid a pass is told to those that come, and afterwards to those who were before.

        Whoever walks through a large snapshot has its turns beside the pass, and holds up nobody.
        """
        if self._again and not self._behind:
            self._again = False
            self._behind.extend(self._connections)
        self._shared.clear()
        self._common = _NOBODY, b"", _NOBODY
        with self._contained:  # whoever it was met with is told at the next pass, and all others now
            self._sent(self._tell(self._behind) + self._tell(self._visits))
        if self._behind or self._visits or self._again:
            asyncio.get_running_loop().call_soon(self._slice)
        else:
            self._running = False

    def _tell(self, waiting: deque[Connection]) -> int:
        """Tell some; returns how many chunks. What most of them hear is written here, where each call less counts."""
        next_one, write, told = waiting.popleft, os.write, 0
        place, chunk, after = self._common
        for _ in range(min(SLICE, len(waiting))):
            connection = next_one()
            feed, descriptor = connection.feed, connection.descriptor
            if feed.place is not place or descriptor is None:
                told += connection.tell()
                place, chunk, after = self._common
                continue
            told += 1
            feed.place = after
            try:
                written = write(descriptor, chunk)
            except OSError:  # the buffers are full, or it is gone, which is noticed then
                written = 0
            if written < len(chunk):
                connection.keep(chunk[written:])
        return told
