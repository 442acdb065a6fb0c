"""Our uvicorn server: says goodbye to every stream before it stops, and cuts off who does not read.

Plain uvicorn waits in vain for the end of both.
"""

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

import uvicorn
from sse_starlette.sse import AppStatus
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from stability.errors import SettingError
from stability.settings import Settings

DRAIN: Final = 1  # seconds that connections may take to end after their `bye`
BACKLOG: Final = 4096  # connections that may wait to be accepted; the kernel's somaxconn caps it
ASK_DEADLINE: Final = 10.0  # seconds that a client may take to send a request
LONGEST_REQUEST: Final = 64 * 1024  # bytes; nobody uploads anything here
READ_DEADLINE: Final = 30.0  # seconds that a client may leave its buffers full
NOT_SENT: Final = (
    4096  # bytes that the kernel keeps for a client that does not read; by default megabytes of old frames
)


class Protocol(HttpToolsProtocol):
    """One connection, cut off when its client asks for too much, too slowly, or does not read what it asked for.

    A plain close would wait until everything is sent, which is never.
    """

    _deadline: asyncio.TimerHandle | None = None
    _asked = 0  # bytes that came since the last answer was complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client came: it has to ask."""
        super().connection_made(transport)
        self._within(ASK_DEADLINE)

    def data_received(self, data: bytes) -> None:
        """It asks, or goes on asking during an answer, within bounds."""
        self._asked += len(data)
        if self._asked > LONGEST_REQUEST:
            self.transport.abort()
            return
        super().data_received(data)

    def on_headers_complete(self) -> None:
        """It has asked."""
        self._within(None)
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """It has its answer, and may ask again."""
        self._asked = 0
        super().on_response_complete()
        if self.cycle and self.cycle.response_complete:  # else the next one has been asked for already
            self._within(ASK_DEADLINE)

    def pause_writing(self) -> None:
        """The buffers are full: from now on the client has to read."""
        super().pause_writing()
        self._within(READ_DEADLINE)

    def resume_writing(self) -> None:
        """It has read."""
        self._within(None)
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._within(None)
        super().connection_lost(exc)

    def _within(self, seconds: float | None) -> None:
        if self._deadline:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)


class Server(uvicorn.Server):
    """Drains at SIGTERM or Ctrl-C within `DRAIN`, and returns instead of dying of the signal again."""

    def __init__(self, app: ASGIApp, settings: Settings, drain: Callable[[], None]) -> None:
        # The browser's address counts only when a proxy that we trust names it: uvicorn reads FORWARDED_ALLOW_IPS.
        config = uvicorn.Config(
            app,
            http=Protocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=BACKLOG,
            root_path=settings.root_path,
            timeout_graceful_shutdown=DRAIN,
        )
        super().__init__(config)
        self._drain = drain
        # The streams end by our `bye`; sse-starlette's own watcher would cut them off before it.
        AppStatus.enable_automatic_graceful_drain = False

    @property
    def crashed(self) -> bool:
        """Whether a part of the application ended with an error, which uvicorn has logged."""
        return bool(self.lifespan.error_occurred)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature is uvicorn's
        """Stop at the first signal; do not wait for anything at the second."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop: also when a part of the application crashed, so that a supervisor restarts the whole."""
        return await super().on_tick(counter) or self.crashed

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Readiness goes false and every stream gets its `bye`, then uvicorn ends the rest."""
        self._drain()
        await super().shutdown(sockets)


def bind(settings: Settings) -> socket.socket:
    """The listening socket, before anything else is started.

    Raises SettingError when the address cannot be used, naming the variable and the remedy.
    """
    if settings.uds:
        return _bind_unix(settings)
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except socket.gaierror as error:
        raise SettingError("STABILITY_HOST", f"{settings.host!r} is not an address of this machine.") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SettingError(
                "STABILITY_PORT",
                f"{settings.port} is already in use on {settings.host}: stop the program there or choose another port.",
            ) from error
        raise SettingError(
            "STABILITY_HOST", f"cannot listen on {settings.host}:{settings.port}: {error.strerror}."
        ) from error
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # what is accepted inherits it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOT_SENT)
    return listener


def _bind_unix(settings: Settings) -> socket.socket:
    path = str(settings.uds)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _sweep_away(path)
        listener.bind(path)
    except OSError as error:
        listener.close()
        raise SettingError("STABILITY_UDS", f"cannot listen on {path}: {error.strerror}.") from error
    listener.listen(BACKLOG)
    return listener


def _sweep_away(path: str) -> None:
    """Remove the socket of a server that is gone; raises OSError when one answers there."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
            other.connect(path)
    except ConnectionRefusedError:
        Path(path).unlink()
    except FileNotFoundError:
        pass
    else:
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
