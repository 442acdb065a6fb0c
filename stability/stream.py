"""The stream: first the state, from memory, then every change, to each client at its own pace.

A connecting client causes no query. One that does not read holds up nobody: it is one integer behind, gets the newest
state when it drains, and our server cuts it off if it never does. The answer is always 200: trouble is told inside the
stream, since a browser's EventSource never comes back after an error.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive, Scope, Send

from stability.admission import RETURN, Admission
from stability.errors import RequestError
from stability.fanout import HANDOFF, Fanout
from stability.feed import CONTROL, Badge, Feed, Offer
from stability.frames import LISTENER, SYSTEM, bye, compact, etag, event, spread, status, timestamp
from stability.hub import Change, Hub, Place
from stability.metrics import Metrics
from stability.snapshot import unbegun

SEND_DEADLINE: Final = 60.0  # seconds until a client that does not read is given up where another server serves us
LONGEST_WAIT: Final = 60.0  # seconds of one long poll
LONGEST_NUMBER: Final = 15  # digits of a version or a transaction that a client may name
BADGE: Final = "/api/system-status/live"
HEADERS: Final = {
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
    "Access-Control-Allow-Origin": "*",
}


def routes(  # noqa: PLR0913 -- the composition root names every part
    hub: Hub,
    topics: Sequence[str],
    admission: Admission,
    metrics: Metrics,
    fanout: Fanout,
    *,
    look: Callable[[], Awaitable[None]],
    begun: Callable[[int], Awaitable[bool]],
) -> Sequence[BaseRoute]:
    """The two streams and the same state for clients that cannot stream.

    `look` has the truth read again and returns when it was; `begun` tells whether a number has been given to a
    transaction yet.
    """
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

    async def system(request: Request) -> Response:
        since, wait = request.query_params.get("since"), _seconds(request.query_params)
        known = {
            tag.strip().removeprefix("W/").strip('"') for tag in request.headers.get("if-none-match", "").split(",")
        }
        after = _number(request.query_params, "after")
        held = _holding(hub, after, wait or LONGEST_WAIT, look, begun)
        newer = _newer(hub, since, wait, held)
        change = await (newer if not wait and after is None else _unless_gone(request, newer))
        tag = etag(change)
        headers = {"ETag": f'"{tag}"', "Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*"}
        if tag in known or since in (tag, str(change.version)):
            return Response(status_code=304, headers=headers)
        body = compact(status(change, hub.observed.get(SYSTEM[0]), hub.snapshots.get(SYSTEM[0])))
        return Response(body, media_type="application/json", headers=headers)

    return [
        Route("/api/topics", partial(_names, topics)),
        Route(BADGE, system_live),
        Route("/api/live", live),
        Route("/api/system-status", system),
    ]


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


async def _unless_gone(request: Request, newer: Coroutine[Any, Any, Change]) -> Change:
    """What it waits for, but no longer than the client does: one that left would cost a task until the wait is over."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    tasks = waiting, leaving = asyncio.create_task(newer), asyncio.create_task(gone())
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            raise RequestError("The client left.", 499)  # nobody hears it
        return waiting.result()
    finally:
        waiting.cancel()
        leaving.cancel()


async def _holding(
    hub: Hub,
    xid: int | None,
    wait: float,
    look: Callable[[], Awaitable[None]],
    begun: Callable[[int], Awaitable[bool]],
) -> None:
    """Return once the state was read in a snapshot that holds this transaction, looking again as often as looks go.

    Raises RequestError: 400 when nobody has begun it, 504 when it is not over after `wait` seconds.
    """
    if xid is None or _held(hub, xid):
        return
    try:
        async with asyncio.timeout(wait):
            await look()
            if not _held(hub, xid) and not await begun(xid):
                raise RequestError(f"after: {unbegun(xid)}")
            while not _held(hub, xid):
                await look()
    except TimeoutError:
        raise RequestError(f"after: transaction {xid} was not over within {wait:g} s.", 504) from None


def _held(hub: Hub, xid: int) -> bool:
    snapshot = hub.snapshots.get(SYSTEM[0])
    return snapshot is not None and snapshot.holds(xid)


async def _newer(hub: Hub, since: str | None, wait: float, held: Awaitable[None]) -> Change:
    """The system's row, after `held`: at once if it is not `since` (a version or an ETag), else once it changed or
    `wait` is over."""
    await held
    awake = asyncio.Event()
    deadline = asyncio.get_running_loop().time() + wait
    with hub.subscribe(awake.set, client=True):
        while True:
            awake.clear()
            change = _current(hub)
            if hub.closed or since not in (etag(change), str(change.version)):
                return change
            try:
                async with asyncio.timeout_at(deadline):
                    await awake.wait()
            except TimeoutError:
                return change


def _current(hub: Hub) -> Change:
    change = hub.latest(*SYSTEM)
    if change is None:
        raise RequestError("The state is not known yet: the server is starting.", 503)
    return change


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


async def _names(topics: Sequence[str], _request: Request) -> Response:
    """What may be asked for: an EventSource does not learn why it was refused."""
    headers = {"Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*"}
    return JSONResponse({"topics": list(topics)}, headers=headers)


def _topics(query: Mapping[str, str], known: Sequence[str]) -> frozenset[str]:
    wanted = frozenset(filter(None, query.get("topics", ",".join(known)).split(",")))
    if unknown := sorted(wanted - set(known)):
        raise RequestError(f"topics: {unknown[0]!r} is not a topic here; there are {', '.join(known)}.")
    return wanted


def _number(query: Mapping[str, str], name: str) -> int | None:
    given = query.get(name)
    if given is None:
        return None
    if not given.isascii() or not given.isdigit() or len(given) > LONGEST_NUMBER:
        raise RequestError(f"{name}: {given[:LONGEST_NUMBER]!r} is not the number of a transaction.")
    return int(given)


def _seconds(query: Mapping[str, str]) -> float:
    given = query.get("wait", "0")
    if not given.isascii() or not given.isdigit() or float(given) > LONGEST_WAIT:
        raise RequestError(f"wait: {given!r} is not a whole number of seconds from 0 to {LONGEST_WAIT:g}.")
    return float(given)


def _cursor(request: Request, hub: Hub) -> int:
    """The version that the client has seen of this hub's life, else 0: an id from elsewhere means nothing here."""
    given = request.headers.get("last-event-id") or request.query_params.get("last_event_id", "")
    epoch, _, version = given.partition("-")
    seen = int(version) if version.isascii() and version.isdigit() and len(version) <= LONGEST_NUMBER else 0
    return seen if epoch == hub.epoch and seen <= hub.version else 0
