"""Our uvicorn server: says goodbye to every stream before it stops, where plain uvicorn waits in vain for their end."""

import asyncio
import errno
import gc
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Final, Literal

import structlog
import uvicorn
from sse_starlette.sse import AppStatus
from starlette.types import ASGIApp

from stability.errors import SettingError
from stability.settings import Settings

DRAIN: Final = 1  # seconds that connections may take to end after their `bye`
TICK: Final = 1.0  # seconds between two wake-ups for the Date header
BACKLOG: Final = 65_535  # connections that may wait to be accepted, as ten thousand do after a deploy
NOT_SENT: Final = (
    4096  # bytes that the kernel keeps for a client that does not read; by default megabytes of old frames
)
_SOMAXCONN: Final = Path("/proc/sys/net/core/somaxconn")

_log = structlog.get_logger(__name__)


class Server(uvicorn.Server):
    """Drains at SIGTERM or Ctrl-C within `DRAIN`, and returns instead of dying of the signal again."""

    def __init__(self, app: ASGIApp, settings: Settings, drain: Callable[[], None]) -> None:
        # The browser's address counts only when a proxy that we trust names it: uvicorn reads FORWARDED_ALLOW_IPS.
        config = uvicorn.Config(
            app,
            http=_protocol(),
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
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        # The streams end by our `bye`; sse-starlette's own watcher would cut them off before it.
        AppStatus.enable_automatic_graceful_drain = False

    @property
    def crashed(self) -> bool:
        """Whether a part of the application ended with an error, which uvicorn has logged."""
        return bool(self.lifespan.error_occurred)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature is uvicorn's
        """Stop at the first signal; do not wait for anything at the second."""
        self.force_exit = self.should_exit
        self.stop()

    def stop(self) -> None:
        """Stop soon; may be called by a signal's handler."""
        self.should_exit = True
        if self._loop:
            self._loop.call_soon_threadsafe(self._stopping.set)

    async def main_loop(self) -> None:
        """Serve until it is time to stop. Uvicorn's own loop wakes ten times a second only to see whether it is."""
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await self._stopping.wait()

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop: also when a part of the application crashed, so that a supervisor restarts the whole."""
        return await super().on_tick(counter) or self.crashed

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve; what was made until then stays, so the garbage collector need not look at it ever again."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Readiness goes false and every stream gets its `bye`, then uvicorn ends the rest."""
        self._drain()
        await super().shutdown(sockets)


def _protocol() -> type[asyncio.Protocol] | Literal["auto"]:
    """Ours, which hands streams off; uvicorn's own where this uvicorn is not one that we know."""
    try:
        from stability import protocol  # noqa: PLC0415 -- what it imports may have gone from a new uvicorn
    except ImportError as error:
        lacking = str(error)
    else:
        lacking = ", ".join(protocol.missing())
        if not lacking:
            return protocol.Protocol
    _log.warning(
        "this uvicorn is unknown: streams are not handed off and cost more, and slow requests have no deadline",
        uvicorn=uvicorn.__version__,
        lacking=lacking,
    )
    return "auto"


def bind(settings: Settings) -> socket.socket:
    """The listening socket, before anything else is started.

    Raises SettingError when the address cannot be used, naming the variable and the remedy.
    """
    _note_backlog()
    if settings.uds:
        if settings.reuse_port:
            raise SettingError("STABILITY_UDS", "servers share a TCP port only: leave STABILITY_REUSE_PORT out.")
        return _bind_unix(settings)
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server(
            (settings.host, settings.port), family=family, backlog=BACKLOG, reuse_port=settings.reuse_port
        )
    except socket.gaierror as error:
        raise SettingError("STABILITY_HOST", f"{settings.host!r} is not an address of this machine.") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SettingError(
                "STABILITY_PORT",
                f"{settings.port} is already in use on {settings.host}: stop the program there, choose another port,"
                " or let servers of ours share it (STABILITY_REUSE_PORT=1 for each).",
            ) from error
        raise SettingError(
            "STABILITY_HOST", f"cannot listen on {settings.host}:{settings.port}: {error.strerror}."
        ) from error
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # what is accepted inherits it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOT_SENT)
    return listener


def reserve(settings: Settings) -> socket.socket:
    """The port for several servers of ours: bound, so that it stays ours, and never listening.

    Raises SettingError as `bind` does, also where somebody else listens, who might share it unknowingly.
    """
    if settings.uds:
        raise SettingError("STABILITY_WORKERS", "several need a TCP port: leave STABILITY_UDS out.")
    with bind(settings) as alone:
        family, name = alone.family, alone.getsockname()
    shared = socket.socket(family)
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    shared.bind(name)
    return shared


def _note_backlog() -> None:
    with suppress(OSError, ValueError):  # no Linux
        allowed = int(_SOMAXCONN.read_text("ascii"))
        if allowed < BACKLOG:
            _log.debug("the kernel lets fewer wait to be accepted: net.core.somaxconn", allowed=allowed, wanted=BACKLOG)


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
