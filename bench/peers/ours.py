"""Our stream over a hub of its own: `ours PORT FRAME [portable | KEYS]`.

`portable` is without the hand-off. With a number of keys there are so many rows of a topic, and one of them changes.
"""

import asyncio
import gc
import signal
import socket
import sys
from datetime import UTC, datetime
from typing import Any

import uvicorn
import uvloop
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from stability import stream
from stability.fanout import Fanout
from stability.fanout.admission import Admission
from stability.fanout.express import Express
from stability.frames import SYSTEM, encode
from stability.http import operations
from stability.http.metrics import Metrics
from stability.hub import Frames, Hub, Row
from stability.server import DRAIN
from stability.server.sockets import BACKLOG, bind
from stability.settings import load
from stability.stream import offer

TEXT = "what such a row has to say"


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As the real one does."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As the real one does."""
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
        http: Any = HttpToolsProtocol if portable else Express(offer(hub, admission, fanout, more=[], unless=[]))
        config = uvicorn.Config(
            app,
            http=http,
            log_config=None,
            lifespan="off",
            timeout_graceful_shutdown=DRAIN,
            timeout_keep_alive=60,
            backlog=BACKLOG,
        )
        await _Server(config, hub).serve([bind(load(port=port))])

    uvloop.run(serve())


more = sys.argv[3:]
main(
    int(sys.argv[1]),
    sys.argv[2].encode(),
    portable="portable" in more,
    keys=next((int(word) for word in more if word.isdigit()), 0),
)
