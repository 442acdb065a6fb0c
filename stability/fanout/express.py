"""The express lane: a plain request for the badge's stream is answered as it comes, and costs nothing of uvicorn.

After a deploy ten thousand browsers come back at once, and all ask for the same. A request that looks exactly as
expected gets its stream here; whatever is unusual (another path, a query, a body, a proxy's header, half a request)
goes to uvicorn as if nobody had looked, and so does all that follows on that connection.
"""

import asyncio
import re
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, Final

from uvicorn.server import ServerState

from stability.fanout import Connection, chunk_of, protocol
from stability.fanout.offer import Offer

# With one of these a request has a body, wants another protocol, or comes from elsewhere than its connection.
_UNUSUAL: Final = ("content-length", "expect", "proxy-connection", "transfer-encoding", "upgrade", "x-forwarded-for")
# Stricter than any parser: a name is a token, a value one line, and nothing follows the last of them.
_PLAIN: Final = r"""(?x)
    GET[ ]{path}[ ]HTTP/1\.1\r\n
    (?: (?! (?i: (?:{unusual}) : | connection : (?! [ \t]* keep-alive [ \t]* \r ) ) )
        [!\#$%&'*+.^`|~\w-]+ : [\t\x20-\x7e\x80-\xff]* \r\n )*
    \r\n"""


def plain(path: str, unless: Collection[str]) -> re.Pattern[bytes]:
    """What a request for `path` looks like that has nothing special, nor a header of one of these names."""
    unusual = "|".join(map(re.escape, (*_UNUSUAL, *unless)))
    return re.compile(_PLAIN.format(path=re.escape(path), unusual=unusual).encode())


class Express:
    """What all who come to one server share; uvicorn calls it for each of them, as it would call a protocol.

    It knows no log of accesses and no limit of uvicorn's own: our server has neither.
    """

    def __init__(self, offer: Offer) -> None:
        self._offer, self._is_plain = offer, plain(offer.path, offer.unless).fullmatch
        self._dated: list[tuple[bytes, bytes]] = []
        self._head = b""
        self._asking: dict[Door, float] = {}  # until when, in the order in which they came
        self._sweeping: asyncio.TimerHandle | None = None

    def __call__(self, *, server_state: ServerState, **more: Any) -> "Door":
        """One more came."""
        return Door(self, server_state, partial(protocol.Protocol, server_state=server_state, **more))

    def await_request(self, door: "Door") -> None:
        """It has to ask. One timer does for all: who came first is late first."""
        loop = asyncio.get_running_loop()
        self._asking[door] = loop.time() + protocol.ASK_DEADLINE
        if self._sweeping is None:
            self._sweeping = loop.call_later(protocol.ASK_DEADLINE, self._sweep)

    def forget(self, door: "Door") -> float:
        """It has asked, or is gone; returns until when it had to."""
        return self._asking.pop(door)

    def _sweep(self) -> None:
        self._sweeping, loop = None, asyncio.get_running_loop()
        for door, until in [*self._asking.items()]:
            if until > loop.time():
                self._sweeping = loop.call_at(until, self._sweep)
                break
            door.abort()

    def stream(self, transport: asyncio.Transport, request: bytes, state: ServerState) -> bool:
        """Begin the stream that it asks for, if it does; as `Protocol` hands one off."""
        if len(request) > protocol.LONGEST_REQUEST or not self._is_plain(request):
            return False
        begun = self._offer.begin(_address(transport))
        if begun is None:
            return False
        opening, feed = begun
        connection = Connection(self._offer.fanout, feed, transport, chunked=True, gone=state.connections.discard)
        state.connections.add(connection)  # type: ignore[arg-type]
        state.total_requests += 1
        connection.begin(self._head_of(state) + chunk_of(opening))
        return True

    def _head_of(self, state: ServerState) -> bytes:
        """As uvicorn writes it; it renews the date once a second."""
        if self._dated is not state.default_headers:
            self._dated = state.default_headers
            lines = (*self._dated, *self._offer.headers, (b"transfer-encoding", b"chunked"))
            self._head = b"HTTP/1.1 200 OK\r\n%b\r\n" % b"".join(b"%b: %b\r\n" % line for line in lines)
        return self._head


class Door(asyncio.Protocol):
    """Somebody who came and has not asked yet."""

    __slots__ = ("_express", "_otherwise", "_state", "_transport")

    def __init__(self, express: Express, state: ServerState, otherwise: Callable[[], protocol.Protocol]) -> None:
        self._express, self._state, self._otherwise = express, state, otherwise

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """It has to ask."""
        self._transport = transport
        self._state.connections.add(self)  # type: ignore[arg-type]
        self._express.await_request(self)

    def data_received(self, data: bytes) -> None:
        """It asks: for the stream, or for whatever uvicorn makes of it."""
        until = self._leave()
        if not self._express.stream(self._transport, data, self._state):
            self._otherwise().take_over(self._transport, data, until)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the signature is asyncio's
        """It is gone."""
        self._leave()

    def shutdown(self) -> None:
        """The server stops: uvicorn calls this for all of its connections."""
        self._transport.close()

    def abort(self) -> None:
        """It took too long."""
        self._transport.abort()

    def _leave(self) -> float:
        self._state.connections.discard(self)
        return self._express.forget(self)


def _address(transport: asyncio.Transport) -> str:
    """As uvicorn names it in the request: empty for who comes through a Unix socket."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else ""
