"""Our stream over a hub of its own: `ours PORT FRAME [portable | KEYS]`.

`portable` is without the hand-off. With a number of keys there are so many rows of a topic, and one of them changes.
"""

import asyncio
import signal
import socket
import sys
from datetime import UTC, datetime

import uvicorn
import uvloop
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from stability import stream
from stability.fanout import Fanout
from stability.fanout.admission import Admission
from stability.frames import SYSTEM, encode
from stability.http import operations
from stability.http.metrics import Metrics
from stability.hub import Frames, Hub, Row
from stability.server import DRAIN, Server
from stability.server.sockets import BACKLOG, listening
from stability.settings import load
from stability.stream import offer

TEXT = "what such a row has to say"


class _Foreign(uvicorn.Server):
    """Somebody else's, in which our application ends its streams by itself."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._hub.close()
        await super().shutdown(sockets)


def main(port: int, frame: bytes, *, portable: bool, keys: int) -> None:
    """Serve until killed."""
    hub, number = Hub(encode if keys else lambda _epoch, _change: Frames(b"", frame)), 0
    topic, key = ("things", "0") if keys else SYSTEM

    def publish() -> None:
        nonlocal number
        number += 1
        hub.publish(topic, {key: Row("running", {"name": f"{TEXT}{number}"})}, datetime.now(UTC))

    async def serve() -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, publish)
        hub.publish(topic, {str(n): Row("running", {"name": TEXT}) for n in range(keys)}, datetime.now(UTC))
        publish()
        admission, metrics = Admission(hub), Metrics()
        fanout = Fanout(hub, admission, metrics.chunks.inc)
        app = Starlette(routes=operations.routes(stream.operations(hub, [topic], admission, metrics, fanout)))
        settings = load(port=port)
        if portable:
            config = uvicorn.Config(
                app, http=HttpToolsProtocol, log_config=None, timeout_graceful_shutdown=DRAIN, backlog=BACKLOG
            )
            server: uvicorn.Server = _Foreign(config, hub)
        else:
            server = Server(app, settings, hub.close, offer(hub, admission, fanout, more=[], unless=[]))
        with listening(settings) as sockets:
            await server.serve(sockets)

    uvloop.run(serve())


more = sys.argv[3:]
main(
    int(sys.argv[1]),
    sys.argv[2].encode(),
    portable="portable" in more,
    keys=next((int(word) for word in more if word.isdigit()), 0),
)
