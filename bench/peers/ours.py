"""Our stream over a hub of its own: `ours PORT FRAME [portable]`, the latter without the hand-off."""

import asyncio
import signal
import socket
import sys
from datetime import UTC, datetime

import uvicorn
import uvloop
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from stability.admission import Admission
from stability.frames import SYSTEM
from stability.hub import Frames, Hub, Row
from stability.metrics import Metrics
from stability.protocol import Protocol
from stability.server import BACKLOG, DRAIN
from stability.stream import routes


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As the real one does."""
        self._hub.close()
        await super().shutdown(sockets)


def main(port: int, frame: bytes, *, portable: bool) -> None:
    """Serve until killed."""
    hub, number = Hub(lambda _epoch, _change: Frames(b"", frame)), 0

    def publish() -> None:
        nonlocal number
        number += 1
        hub.publish(SYSTEM[0], {SYSTEM[1]: Row("stable", {"n": number})}, datetime.now(UTC))

    async def look() -> None:
        pass

    async def serve() -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, publish)
        publish()
        app = Starlette(routes=[*routes(hub, [SYSTEM[0]], Admission(hub), Metrics(), look)])
        http = HttpToolsProtocol if portable else Protocol
        config = uvicorn.Config(
            app, port=port, http=http, log_config=None, lifespan="off", backlog=BACKLOG, timeout_graceful_shutdown=DRAIN
        )
        await _Server(config, hub).serve()

    uvloop.run(serve())


main(int(sys.argv[1]), sys.argv[2].encode(), portable="portable" in sys.argv)
