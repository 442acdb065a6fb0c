"""The stream: first the state, from memory, then every change, to each client at its own pace.

A connecting client causes no query. One that does not read holds up nobody: it is one integer behind, gets the newest
state when it drains, and our server cuts it off if it never does. The answer is always 200: trouble is told inside the
stream, since a browser's EventSource never comes back after an error.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from pydantic import Field
from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from stability.errors import RequestError
from stability.fanout import HANDOFF, Fanout
from stability.fanout.admission import RETURN, Admission
from stability.fanout.feed import CONTROL, Badge, Feed
from stability.fanout.offer import Offer
from stability.frames import LISTENER, bye, event, spread, timestamp
from stability.http.metrics import Metrics
from stability.http.operations import Error, Media, Model, Operation
from stability.hub import Hub, Place

SEND_DEADLINE: Final = 60.0  # seconds until a client that does not read is given up where another server serves us
LONGEST_NUMBER: Final = 15  # digits of a version that a client may name
BADGE: Final = "/api/system-status/live"
HEADERS: Final = {
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
    "Access-Control-Allow-Origin": "*",
}


class Query(Model):
    """Which topics, separated by commas, all without it; and the id of the last event, where no header can be sent."""

    topics: str = Field("", description="names separated by commas; all of them without it")
    last_event_id: str = Field("", description="the id of the last event, where no header can be sent")


class Topics(Model):
    """The names of the topics."""

    topics: list[str]


def operations(
    hub: Hub, topics: Sequence[str], admission: Admission, metrics: Metrics, fanout: Fanout
) -> Sequence[Operation]:
    """The two streams, and what may be chosen of the second."""
    metrics.clients.set_function(lambda: admission.streams)
    badge = Badge(hub)

    def stream(opening: bytes, feed: Feed) -> Response | Stream:
        if limit := admission.full(feed.address):
            metrics.refused.labels(limit).inc()
            return Response(bye(RETURN), headers={**HEADERS, "Connection": "close"}, media_type="text/event-stream")
        return Stream(opening, feed, fanout, admission, metrics)

    async def system_live(request: Request) -> Response | Stream:
        """The badge's own: the system's row, the listener's condition and heartbeats."""
        opening, feed = badge.begin(_address(request))
        return stream(opening, feed)

    async def live(request: Request) -> Response | Stream:
        """Every row of some topics: what is newer than the client's cursor, then `ready`, then changes."""
        wanted = _topics(request.query_params, topics)
        cursor = _cursor(request, hub)
        snapshot = Place(wanted | {LISTENER[0]}, cursor, cursor)
        told = {"epoch": hub.epoch, "topics": sorted(wanted), "time": timestamp(datetime.now(UTC))}
        hello = event(told, "hello", retry=spread())
        return stream(hello, Feed(hub, _address(request), snapshot, wanted | CONTROL))

    async def names(_request: Request) -> Response:
        """What may be asked for: an EventSource does not learn why it was refused."""
        headers = {"Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*"}
        return JSONResponse({"topics": list(topics)}, headers=headers)

    badges, rows = (
        {200: _events("the badge: its state first, then every change")},
        _events("rows: a snapshot, then changes"),
    )
    return [
        Operation("GET", BADGE, "The badge's stream", system_live, badges, tag="Badge", asks=False),
        Operation(
            "GET",
            "/api/live",
            "The stream of all rows",
            live,
            {200: rows, 400: Error},
            reads=Query,
            tag="Streams",
            asks=False,
        ),
        Operation(
            "GET", "/api/topics", "What that stream may be asked for", names, {200: Topics}, tag="Streams", asks=False
        ),
    ]


def _events(what: str) -> Media:
    return Media("text/event-stream", f"Server-Sent Events of {what}. `/asyncapi.json` describes each event.")


def offer(
    hub: Hub, admission: Admission, fanout: Fanout, *, more: Sequence[tuple[bytes, bytes]], unless: Collection[str]
) -> Offer:
    """The badge's stream. Middleware adds `more` to its head, and something else for a request with one of `unless`."""
    badge = Badge(hub)

    def begin(address: str) -> tuple[bytes, Feed] | None:
        return None if admission.full(address) else badge.begin(address)

    return Offer(BADGE, [*_HEAD, *more], unless, begin, fanout)


_HEAD: Final = [
    header
    for header in Response(media_type="text/event-stream", headers=HEADERS).raw_headers
    if header[0] != b"content-length"
]


class Stream:
    """The answer that does not end: handed off where our own server can take it over, else written by sse-starlette."""

    def __init__(self, opening: bytes, feed: Feed, fanout: Fanout, admission: Admission, metrics: Metrics) -> None:
        self._opening, self._feed, self._fanout = opening, feed, fanout
        self._admission, self._metrics = admission, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; it counts from here on, as there may be others before its first frame."""
        with self._admission.inside(self._feed.address):
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        handoff = scope.get("extensions", {}).get(HANDOFF)
        if handoff and scope["method"] == "GET":
            start = {"type": "http.response.start", "status": 200, "headers": [*_HEAD]}
            if await handoff(scope, send, start, self._opening, self._feed, self._fanout):
                return
            send = _after_start(send)
        frames = _frames(self._feed, self._opening, self._metrics)
        response = EventSourceResponse(frames, headers=HEADERS, ping=0, sep="\n", send_timeout=SEND_DEADLINE)
        await response(scope, receive, send)


def _after_start(send: Send) -> Send:
    """Leave out the head, which is on its way."""

    async def rest(message: Message) -> None:
        if message["type"] != "http.response.start":
            await send(message)

    return rest


async def _frames(feed: Feed, opening: bytes, metrics: Metrics) -> AsyncIterator[bytes]:
    awake, hub = asyncio.Event(), feed.hub
    with hub.subscribe(awake.set):
        yield opening
        while not hub.closed:
            # Clear, then look: a change between the look and the wait wakes us again.
            awake.clear()
            if frames := feed.read():
                metrics.chunks.inc()
                yield frames
            else:
                await awake.wait()
        yield bye()


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _topics(query: Mapping[str, str], known: Sequence[str]) -> frozenset[str]:
    wanted = frozenset(filter(None, query.get("topics", ",".join(known)).split(",")))
    if unknown := sorted(wanted - set(known)):
        raise RequestError(f"topics: {unknown[0]!r} is not a topic here; there are {', '.join(known)}.")
    return wanted


def _cursor(request: Request, hub: Hub) -> int:
    """The version that the client has seen of this hub's life, else 0: an id from elsewhere means nothing here."""
    given = request.headers.get("last-event-id") or request.query_params.get("last_event_id", "")
    epoch, _, version = given.partition("-")
    seen = int(version) if version.isascii() and version.isdigit() and len(version) <= LONGEST_NUMBER else 0
    return seen if epoch == hub.epoch and seen <= hub.version else 0
