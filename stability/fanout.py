"""Writes every change to all connections that were handed off, and is all that they cost.

Such a connection is its socket and the version that it has seen: no task, no queue, no request. What several of them
have to be told is encoded once. A pass is cut into slices, so that ten thousand clients delay nobody else; one whose
buffer is full is left out, gets the newest state once it drained, and is cut off if it never does.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from stability.admission import Admission
from stability.frames import bye
from stability.hub import Hub, Place

HANDOFF: Final = "stability.handoff"  # the extension of the ASGI scope by which a server offers it
SLICE: Final = 256  # writes until others have their turn
READ_DEADLINE: Final = 30.0  # seconds that a client may leave its buffers full
LONGEST_REMARK: Final = 64 * 1024  # bytes that a client may send after its request; nobody reads them
LAST: Final = b"0\r\n\r\n"


class Feed(Protocol):
    """What one client has yet to be told."""

    place: Place
    address: str
    """Where the client is."""

    @property
    def live(self) -> bool:
        """Whether its place says all: two at the same place have the same to hear, and are at the same one after it."""

    def read(self) -> bytes:
        """The next frames, or nothing when there is no news; moves on."""


class Fanout:
    """All connections that were handed off, of one hub."""

    def __init__(self, hub: Hub, admission: Admission, sent: Callable[[int], None]) -> None:
        self._hub, self._admission, self._sent = hub, admission, sent
        self._connections: set[Connection] = set()
        self._behind: deque[Connection] = deque()  # who has yet to be visited in this pass
        self._again = self._running = False
        self._shared: dict[Place, tuple[bytes, Place]] = {}  # by place: the frames as a chunk, and the place after them
        hub.call(self._wake)

    @property
    def closed(self) -> bool:
        """Whether everybody has to be told goodbye."""
        return self._hub.closed

    def join(self, connection: "Connection") -> None:
        """From now on it is told everything; what changed since its opening was made it is told at once."""
        self._connections.add(connection)
        self._admission.enter(connection.feed.address)
        if self.closed or self.is_behind(connection.feed):
            self.visit(connection)

    def leave(self, connection: "Connection") -> None:
        """It is gone."""
        if connection in self._connections:
            self._connections.discard(connection)
            self._admission.leave(connection.feed.address)

    def visit(self, connection: "Connection") -> None:
        """It can take more."""
        self._behind.append(connection)
        self._run()

    def is_behind(self, feed: Feed) -> bool:
        """Whether there is more to tell."""
        return not feed.live or feed.place.cursor < self._hub.version

    def chunk(self, feed: Feed) -> bytes:
        """What `feed` has to tell next, as a chunk; nothing when there is no news. Moves on."""
        if not feed.live:
            return chunk_of(feed.read())
        before = feed.place
        known = self._shared.get(before)
        if known is None:
            known = self._shared[before] = chunk_of(feed.read()), feed.place
        chunk, feed.place = known
        return chunk

    def _wake(self) -> None:
        self._again = True
        self._run()

    def _run(self) -> None:
        if not self._running:
            self._running = True
            asyncio.get_running_loop().call_soon(self._slice)

    def _slice(self) -> None:
        """Visit some; a change amid a pass is told to those that come, and afterwards to those who were before."""
        if self._again and not self._behind:
            self._again = False
            self._behind.extend(self._connections)
        self._shared.clear()
        written = 0
        for _ in range(min(SLICE, len(self._behind))):
            connection = self._behind.popleft()
            if connection in self._connections:
                written += connection.tell()
        self._sent(written)
        if self._behind or self._again:
            asyncio.get_running_loop().call_soon(self._slice)
        else:
            self._running = False


class Connection(asyncio.Protocol):
    """One client that was handed off: it is written to, and otherwise only noticed when it goes."""

    __slots__ = ("_chunked", "_deadline", "_fanout", "_gone", "_paused", "_remarks", "_transport", "feed")

    def __init__(
        self,
        fanout: Fanout,
        feed: Feed,
        transport: asyncio.Transport,
        *,
        chunked: bool,
        gone: Callable[["Connection"], None],
    ) -> None:
        self._fanout, self.feed, self._transport = fanout, feed, transport
        self._chunked, self._gone = chunked, gone
        self._paused, self._remarks = False, 0
        self._deadline: asyncio.TimerHandle | None = None

    def tell(self) -> int:
        """Write what is new, if it can take it; how many chunks that were."""
        if self._paused or self._transport.is_closing():
            return 0
        if self._fanout.closed:
            self.shutdown()
            return 1
        frames = self._fanout.chunk(self.feed) if self._chunked else self.feed.read()
        if frames:
            self._transport.write(frames)
            if self._fanout.is_behind(self.feed):  # that was one turn of several
                self._fanout.visit(self)
        return bool(frames)

    def shutdown(self) -> None:
        """Say goodbye and end; uvicorn calls this as well."""
        if self._paused:
            self._transport.abort()
        elif not self._transport.is_closing():
            self._transport.write(chunk_of(bye()) + LAST if self._chunked else bye())
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Nobody asks for anything here any more."""
        self._remarks += len(data)
        if self._remarks > LONGEST_REMARK:
            self._transport.abort()

    def eof_received(self) -> None:
        """A client that says no more is gone: the transport closes."""

    def pause_writing(self) -> None:
        """The buffers are full: from now on the client has to read."""
        self._paused = True
        self._deadline = asyncio.get_running_loop().call_later(READ_DEADLINE, self._transport.abort)

    def resume_writing(self) -> None:
        """It has read."""
        self._paused = False
        self._forget_deadline()
        self._fanout.visit(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the signature is asyncio's
        """It is gone."""
        self._forget_deadline()
        self._fanout.leave(self)
        self._gone(self)

    def _forget_deadline(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None


def chunk_of(frames: bytes) -> bytes:
    """One chunk of HTTP/1.1's chunked encoding; nothing for nothing, which would be the end."""
    return b"%x\r\n%s\r\n" % (len(frames), frames) if frames else b""
