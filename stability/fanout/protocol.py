"""What we change in uvicorn's HTTP protocol: bounds, and the hand-off. Only express.py knows its inside as well."""

import asyncio
import os
import re
from typing import Any, Final

from starlette.types import Message, Scope, Send
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import Server, ServerState

from stability.fanout import HANDOFF, Fanout
from stability.fanout.connection import READ_DEADLINE, Connection, chunk_of
from stability.fanout.feed import Feed

ASK_DEADLINE: Final = 10.0  # seconds that a client may take to send a request
LONGEST_REQUEST: Final = 64 * 1024  # bytes; nobody uploads anything here
LONGEST_QUEUE: Final = 16  # requests behind one that is not answered yet; each costs kilobytes
_CHUNKED: Final = b"\r\ntransfer-encoding: chunked"
# What this file and express.py use of uvicorn's inside, which any version may change; a test finds what is forgotten.
RELIED_ON: Final[dict[type, str]] = {
    HttpToolsProtocol: "_unset_keepalive_if_required connection_lost connection_made connections cycle data_received"
    " flow loop on_headers_complete on_message_begin on_response_complete parser pause_writing pipeline resume_writing"
    " scope server_state transport",
    RequestResponseCycle: "response_complete scope send transport",
    FlowControl: "resume_reading",
    ServerState: "connections default_headers total_requests",
    Server: "config server_state",
}


def missing() -> list[str]:
    """What this uvicorn lacks of that, such as `HttpToolsProtocol.flow`; if anything, `Protocol` must not be used."""
    return [
        f"{kind.__name__}.{name}" for kind, names in RELIED_ON.items() for name in names.split() if not _has(kind, name)
    ]


def _has(kind: type, name: str) -> bool:
    """Whether instances have it: of the class, or set as they are made."""
    made = getattr(vars(kind).get("__init__"), "__code__", None)
    return hasattr(kind, name) or (made is not None and name in made.co_names)


class Protocol(HttpToolsProtocol):
    """One connection, cut off when its client asks for too much, too slowly, or does not read what it asked for.

    A plain close would wait until everything is sent, which is never. A stream leaves it: see `_hand_off`.
    """

    _asks: asyncio.TimerHandle | None = None  # until when it has to have asked
    _reads: asyncio.TimerHandle | None = None  # until when it has to have read
    _asked = 0  # bytes that came since the last answer was complete
    _before: tuple[bytes, float] | None = None  # what came before it was the client's protocol: see `follow`

    def follow(self, data: bytes, until: float) -> "Protocol":
        """The client came to somebody else, who had this from it; its time to ask goes on, until then."""
        self._before = data, until
        return self

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client came: it has to ask."""
        super().connection_made(transport)
        if self._before:
            (data, until), self._before = self._before, None
            self._asks = self.loop.call_at(until, transport.abort)
            self.data_received(data)
        else:
            self._await_request()

    def data_received(self, data: bytes) -> None:
        """It asks, or goes on asking during an answer, within bounds."""
        self._asked += len(data)
        if self._asked > LONGEST_REQUEST:
            self.transport.abort()
            return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """It begins to ask."""
        super().on_message_begin()
        self.scope["extensions"] = {HANDOFF: self._hand_off}  # type: ignore[dict-item]

    def on_headers_complete(self) -> None:
        """It has asked."""
        self._forget_asking()
        if len(self.pipeline) < LONGEST_QUEUE:
            super().on_headers_complete()
        else:
            self.transport.abort()

    def on_response_complete(self) -> None:
        """It has its answer, and may ask again."""
        self._asked = 0
        super().on_response_complete()
        self._await_request()

    def pause_writing(self) -> None:
        """The buffers are full: from now on the client has to read."""
        super().pause_writing()
        self._reads = self.loop.call_later(READ_DEADLINE, self.transport.abort)

    def resume_writing(self) -> None:
        """It has read."""
        self._forget_reading()
        super().resume_writing()
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._forget_asking()
        self._forget_reading()
        super().connection_lost(exc)

    def _await_request(self) -> None:
        """It has to ask, once it has been answered and has read that."""
        answered = self.cycle is None or self.cycle.response_complete  # else the next one has been asked for already
        if answered and not self._reads and not self._asks:
            self._asks = self.loop.call_later(ASK_DEADLINE, self.transport.abort)

    def _forget_asking(self) -> None:
        if self._asks:
            self._asks.cancel()
            self._asks = None

    def _forget_reading(self) -> None:
        if self._reads:
            self._reads.cancel()
            self._reads = None

    async def _hand_off(  # noqa: PLR0913, PLR0917 -- the two rooms that meet here know nothing else of each other
        self, scope: Scope, send: Send, start: Message, opening: bytes, feed: Feed, fanout: Fanout
    ) -> bool:
        """Send `start`; then, if the head says that what follows is ours alone, a `Connection` takes over from here.

        Whatever stands in between may turn the head into that of a compressed or buffered answer, which is not ours.
        The first frames go out together with the head.
        """
        cycle = self.cycle
        if cycle.scope is not scope:  # asked for behind another request
            await send(start)
            return False
        cycle.transport = held = _Held()  # type: ignore[assignment]
        try:
            await send(start)
        finally:
            cycle.transport = self.transport
        head, separator, rest = bytes(held).lower().partition(b"\r\n\r\n")
        ours = head.startswith(b"http/1.1 200") and _CHUNKED in head and not (rest or self.pipeline)
        ours = ours and bool(separator) and b"\r\ncontent-encoding:" not in head
        socket = _socket_of(self.transport) if ours else None
        if socket is None:
            if held:  # else whoever asked is gone
                self.transport.write(bytes(held))
            return False
        chunked = scope["http_version"] == "1.1"
        self._leave(cycle)
        if chunked:
            first = bytes(held) + chunk_of(opening)
        else:  # uvicorn forgets that HTTP/1.0 knows no chunks
            first = re.sub(rb"(?i)transfer-encoding: chunked\r\n", b"", bytes(held)) + opening
        connections: set[Any] = self.connections
        connection = Connection(fanout, feed, socket, chunked=chunked, among=connections)
        self.loop.add_reader(socket, connection.read)
        connection.begin(first)
        return True

    def _leave(self, cycle: RequestResponseCycle) -> None:
        """End everything of this request but its socket; what refers to each other is taken apart."""
        self.transport.set_protocol(asyncio.Protocol())
        self.transport.abort()
        self._forget_asking()
        self._forget_reading()
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        self.connections.discard(self)
        self.server_state.total_requests += 1
        cycle.response_complete = True  # for uvicorn, which would end the connection otherwise
        self.parser = self.cycle = self.scope = None  # type: ignore[assignment]


def _socket_of(transport: asyncio.Transport) -> int | None:
    """A descriptor of its socket, where that alone is the whole connection: nothing is encrypted, nothing waits."""
    if transport.is_closing() or transport.get_write_buffer_size() or transport.get_extra_info("sslcontext"):
        return None
    try:
        return os.dup(transport.get_extra_info("socket").fileno())
    except OSError:  # there are no more
        return None


class _Held(bytearray):
    """A transport that keeps what is written to it."""

    write = bytearray.extend
