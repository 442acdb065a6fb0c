"""sse-starlette as its README shows it, with a queue per client: `sse_starlette PORT FRAME`."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator

import uvicorn
import uvloop
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from stability.server import DRAIN
from stability.server.sockets import BACKLOG

queues: set[asyncio.Queue[str]] = set()


async def events() -> AsyncIterator[str]:
    """What one client is told."""
    queue: asyncio.Queue[str] = asyncio.Queue()
    queues.add(queue)
    try:
        while True:
            yield await queue.get()
    finally:
        queues.discard(queue)


async def by_the_library(_request: Request) -> Response:
    """Frames are made by the library."""
    return EventSourceResponse(events())


async def plain(_request: Request) -> Response:
    """Frames are ours."""
    return StreamingResponse(events(), media_type="text/event-stream")


def main(port: int, frame: str, *, library: bool) -> None:
    """Serve until killed."""
    said = frame.removeprefix("data: ").strip() if library else frame

    def publish() -> None:
        for queue in queues:
            queue.put_nowait(said)

    async def serve() -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, publish)
        app = Starlette(routes=[Route("/events", by_the_library if library else plain)])
        config = uvicorn.Config(
            app,
            port=port,
            log_config=None,
            access_log=False,
            lifespan="off",
            backlog=BACKLOG,
            timeout_graceful_shutdown=DRAIN,
            timeout_keep_alive=60,  # it also ends who could not be asked yet, in a herd
        )
        await uvicorn.Server(config).serve()

    uvloop.run(serve())


main(int(sys.argv[1]), sys.argv[2], library="plain" not in sys.argv)
