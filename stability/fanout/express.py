"""The express lane: a plain request for the badge's stream is answered as it comes, and costs nothing of uvicorn.

After a deploy ten thousand browsers come back at once, and all ask for the same. They are accepted here, and a request
that looks exactly as expected gets its stream: a socket is all that it ever was. Whatever is unusual (another path, a
query, a body, a proxy's header, half a request) goes to uvicorn as if nobody had looked, and so does all that follows
on that connection.
"""

import asyncio
import re
import socket
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, Final

import structlog
import uvicorn

from stability.fanout import protocol
from stability.fanout.connection import Connection, chunk_of
from stability.fanout.offer import Offer

BURST: Final = 128  # connections that are accepted until others have their turn
RECOVERY: Final = 1.0  # seconds without accepting anybody, where there is no room

# With one of these a request has a body, wants another protocol, or comes from elsewhere than its connection.
_UNUSUAL: Final = ("content-length", "expect", "proxy-connection", "transfer-encoding", "upgrade", "x-forwarded-for")
# Stricter than any parser: a name is a token, a value one line, and nothing follows the last of them.
_PLAIN: Final = r"""(?x)
    GET[ ]{path}[ ]HTTP/1\.1\r\n
    (?: (?! (?= [{letters}] ) (?i: (?:{unusual}) : | connection : (?! [ \t]* keep-alive [ \t]* \r ) ) )
        [!\#$%&'*+.^`|~\w-]++ : [\t\x20-\x7e\x80-\xff]*+ \r\n )*+
    \r\n"""

_log = structlog.get_logger(__name__)


def plain(path: str, unless: Collection[str]) -> re.Pattern[bytes]:
    """What a request for `path` looks like that has nothing special, nor a header of one of these names."""
    names = [*_UNUSUAL, *unless]
    letters = {letter for name in ("connection", *names) for letter in (name[0].lower(), name[0].upper())}
    filled = _PLAIN.format(
        path=re.escape(path),
        letters=re.escape("".join(sorted(letters))),  # looked at first, as most names begin with another
        unusual="|".join(map(re.escape, names)),
    )
    return re.compile(filled.encode())


class Express:
    """Accepts all who come to one server, and knows nothing of uvicorn until somebody asks for something unusual.

    It keeps no log of accesses and no limit of uvicorn's own: our server has neither.
    """

    def __init__(self, offer: Offer) -> None:
        self._offer, self._is_plain = offer, plain(offer.path, offer.unless).fullmatch
        self._listeners: Sequence[socket.socket] = ()
        self._asking: dict[Door, float] = {}  # who has yet to ask, and until when, in the order of coming
        self._sweeping: asyncio.TimerHandle | None = None
        self._handing: set[asyncio.Task[None]] = set()
        self._dated: list[tuple[bytes, bytes]] = []
        self._head = b""

    def open(self, listeners: Sequence[socket.socket], server: uvicorn.Server) -> None:
        """Accept whoever comes there in place of `server`, which has those who ask for something else."""
        self._listeners, self._state = listeners, server.server_state
        self._connections: set[Any] = self._state.connections
        self._otherwise = partial(
            protocol.Protocol,
            config=server.config,
            server_state=server.server_state,
            app_state=server.lifespan.state,
        )
        for listener in listeners:
            listener.setblocking(False)
            self._listen(listener)

    def close(self) -> None:
        """Accept nobody any more; whoever has not asked yet is gone."""
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener)
        self._listeners = ()
        for door in [*self._asking]:
            self._drop(door)

    def _listen(self, listener: socket.socket) -> None:
        if listener in self._listeners:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        """Let in those who wait, up to a burst of them, before any of them is served."""
        loop = asyncio.get_running_loop()
        until = loop.time() + protocol.ASK_DEADLINE
        try:
            for _ in range(BURST):
                client, peer = listener.accept()
                client.setblocking(False)
                door = Door(client, peer, self._hear)
                self._asking[door] = until
                loop.add_reader(client.fileno(), door.read)
        except (BlockingIOError, ConnectionAbortedError):
            pass
        except OSError as error:  # no descriptor or no memory is left for it
            _log.warning("nobody can be accepted for a while", error=error.strerror, after=RECOVERY)
            loop.remove_reader(listener)
            loop.call_later(RECOVERY, self._listen, listener)
        if self._sweeping is None:
            self._sweeping = loop.call_at(until, self._sweep)

    def _hear(self, door: "Door") -> None:
        """It asks: for the stream, or for whatever uvicorn makes of it."""
        try:
            request = door.client.recv(protocol.LONGEST_REQUEST)
        except BlockingIOError:
            return
        except OSError:
            request = b""
        if not request:
            self._drop(door)
            return
        begun = self._offer.begin(_address(door.peer)) if self._is_plain(request) else None
        until = self._asking.pop(door)
        if begun is None:
            self._hand_over(door.client, request, until)
            return
        opening, feed = begun
        door.stream = Connection(self._offer.fanout, feed, door.client.detach(), chunked=True, among=self._connections)
        door.stream.begin(self._head_now() + chunk_of(opening))
        self._state.total_requests += 1

    def _hand_over(self, client: socket.socket, request: bytes, until: float) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(client.fileno())

        async def hand_over() -> None:
            try:
                await loop.connect_accepted_socket(lambda: self._otherwise().follow(request, until), client)
            except OSError:  # it is gone
                client.close()

        task = loop.create_task(hand_over())
        self._handing.add(task)
        task.add_done_callback(self._handing.discard)

    def _drop(self, door: "Door") -> None:
        del self._asking[door]
        asyncio.get_running_loop().remove_reader(door.client.fileno())
        door.client.close()

    def _sweep(self) -> None:
        """Drop who took too long. One timer does for all: who came first is late first."""
        self._sweeping, loop = None, asyncio.get_running_loop()
        for door, until in [*self._asking.items()]:
            if until > loop.time():
                self._sweeping = loop.call_at(until, self._sweep)
                break
            self._drop(door)

    def _head_now(self) -> bytes:
        """As uvicorn writes it; it renews the date once a second."""
        if self._dated is not self._state.default_headers:
            self._dated = self._state.default_headers
            lines = (*self._dated, *self._offer.headers, (b"transfer-encoding", b"chunked"))
            self._head = b"HTTP/1.1 200 OK\r\n%b\r\n" % b"".join(b"%b: %b\r\n" % line for line in lines)
        return self._head


class Door:
    """Somebody who came: what it says is a request, or a remark amid its stream. Another reader would cost as much."""

    __slots__ = ("_hear", "client", "peer", "stream")

    def __init__(self, client: socket.socket, peer: object, hear: Callable[["Door"], None]) -> None:
        self.client, self.peer, self._hear = client, peer, hear
        self.stream: Connection | None = None

    def read(self) -> None:
        """It says something, or is gone."""
        if self.stream:
            self.stream.read()
        else:
            self._hear(self)


def _address(peer: object) -> str:
    """As uvicorn names it in the request: empty for who comes through a Unix socket."""
    return str(peer[0]) if isinstance(peer, tuple) else ""
