"""Our uvicorn server: says goodbye to every stream before it stops, where plain uvicorn waits in vain for their end."""

import asyncio
import gc
import socket
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Final

import structlog
import uvicorn
from sse_starlette.sse import AppStatus
from starlette.types import ASGIApp

from stability.fanout.offer import Offer
from stability.server.sockets import BACKLOG
from stability.settings import Settings

if TYPE_CHECKING:
    from stability.fanout.express import Express

DRAIN: Final = 1  # seconds that connections may take to end after their `bye`
YOUNG: Final = 10_000  # objects that are made before the garbage collector looks at them
TICK: Final = 1.0  # seconds between two wake-ups for the Date header

_log = structlog.get_logger(__name__)


class Server(uvicorn.Server):
    """Drains at SIGTERM or Ctrl-C within `DRAIN`, and returns instead of dying of the signal again."""

    def __init__(self, app: ASGIApp, settings: Settings, drain: Callable[[], None], offer: Offer) -> None:
        # The browser's address counts only when a proxy that we trust names it: uvicorn reads FORWARDED_ALLOW_IPS.
        config = uvicorn.Config(
            app,
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
        self._express = _express(offer)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        # The streams end by our `bye`; sse-starlette's own watcher would cut them off before it.
        AppStatus.enable_automatic_graceful_drain = False

    @property
    def crashed(self) -> bool:
        """Whether a part of the application ended with an error, which uvicorn has logged; not for want of patience."""
        return bool(self.lifespan.error_occurred) and not self.force_exit

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
        while not await self.on_tick(0):  # uvicorn renews the date at every tenth tick: 0 is one
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await self._stopping.wait()

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop: also when a part of the application crashed, so that a supervisor restarts the whole."""
        return await super().on_tick(counter) or self.crashed

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve; what was made until then stays, so the garbage collector need not look at it ever again."""
        if self._express and sockets:
            await super().startup([])
            self._express.open(sockets, self)
        else:
            await super().startup(sockets)
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG)  # what a client costs stays as long as the client does: looking early finds nothing

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Readiness goes false and every stream gets its `bye`, then uvicorn ends the rest."""
        self._drain()
        if self._express:
            self._express.close()
        await super().shutdown(sockets)


def _express(offer: Offer) -> "Express | None":
    """Who accepts clients in uvicorn's place; nobody where this uvicorn is not one that we know."""
    try:
        from stability.fanout import express, protocol  # noqa: PLC0415 -- uses what a new uvicorn may not have
    except ImportError as error:
        lacking = str(error)
    else:
        lacking = ", ".join(protocol.missing())
        if not lacking:
            return express.Express(offer)
    _log.warning(
        "this uvicorn is unknown: streams are not handed off and cost more, and slow requests have no deadline",
        uvicorn=uvicorn.__version__,
        lacking=lacking,
    )
    return None
