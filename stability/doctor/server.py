"""The server as browsers reach it: what it says of itself, and whether something in between holds its stream back."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

import httpx
from httpx_sse import EventSource, SSEError

from stability.client import CONNECT, Server, answers, said, why_not_ready
from stability.doctor.finding import Finding
from stability.doctor.instance import apart, of_the_clock

AT_ONCE: Final = 3.0  # seconds that the head may take, and then the first events: the server has them in memory
DATE_AGE: Final = 2.0  # seconds that a Date header lags behind at most: whole ones, and made once a second
# gzip is what every proxy that compresses can do, and browsers ask for it
_HEADERS: Final = {"Accept": "text/event-stream", "Accept-Encoding": "gzip", "Cache-Control": "no-store"}
_HELD: Final = "something in between holds it back."
_UNBUFFERED: Final = (
    "let the proxy pass on every event at once: in nginx `proxy_buffering off` for this path, in Caddy no"
    " `flush_interval`, elsewhere no buffering, caching or compression of responses"
)
_UNCOMPRESSED: Final = "do not compress this path: no `encode` in Caddy, no `gzip` or `brotli` in nginx"
_AS_SENT: Final = "let the proxy pass on Cache-Control as the server sends it: no-cache, no-transform"
_CORRECT: Final = "give --url or STABILITY_URL the address at which the badge's page opens, with its path"


@dataclass(frozen=True, slots=True)
class Opening:
    """What came of opening the stream; times are in seconds since 1970."""

    head: httpx.Response
    sent: float
    received: float
    listener: str | None = None  # what the server says of it, or "bye"; None when neither came at once
    told: float = 0.0

    @property
    def streams(self) -> bool:
        """Whether it is one."""
        kind: str = self.head.headers.get("content-type", "")
        return self.head.status_code == httpx.codes.OK and kind.startswith("text/event-stream")


async def server(there: Server, *, named: bool) -> AsyncIterator[Finding]:
    """Open the stream and look at what arrives; where nobody `named` the server, none has to be there."""
    if not named and not await answers(there):
        fact = f"No server answers at {there}, so nothing was looked at there."
        yield Finding("server", "unknown", fact, "name the address that browsers open with --url or STABILITY_URL")
        return
    try:
        opening = await _open(there)
    except httpx.HTTPError as error:
        yield await _unopened(there, error)
        return
    for finding in of_the_opening(str(there), opening):
        yield finding
    if opening.listener in ("live", "polling") and (reason := await why_not_ready(there)):
        yield Finding("ready", "problem", reason, "the server's log says why")


async def _open(there: Server) -> Opening:
    sent = time.time()
    timeout = httpx.Timeout(AT_ONCE, connect=CONNECT)
    async with (
        there.client() as client,
        client.stream("GET", "api/system-status/live", headers=_HEADERS, timeout=timeout) as response,
    ):
        opening = Opening(response, sent, time.time())
        if opening.streams:
            with suppress(TimeoutError, httpx.HTTPError, SSEError, ValueError, LookupError, TypeError):
                async with asyncio.timeout(AT_ONCE):
                    return Opening(response, sent, opening.received, await _listener(response), time.time())
        return opening


async def _listener(response: httpx.Response) -> str | None:
    async for event in EventSource(response).aiter_sse():
        if event.event == "connection":
            return str(json.loads(event.data)["listener"])
        if event.event == "bye":
            return "bye"
    return None


async def _unopened(there: Server, error: httpx.HTTPError) -> Finding:
    if isinstance(error, httpx.ReadTimeout) and await answers(there):
        fact = f"The stream at {there} does not open within {AT_ONCE:g} s, while the server behind it answers: {_HELD}"
        return Finding("proxy_buffering", "problem", fact, _UNBUFFERED)
    return Finding("server", "warning", f"{there} does not answer: {said(error)}.", f"start the server, or {_CORRECT}")


def of_the_opening(where: str, opening: Opening) -> Iterator[Finding]:
    """What the head and the first events tell of the server, and of what stands before it."""
    if not opening.streams:
        head = opening.head
        kind = head.headers.get("location") or head.headers.get("content-type", "")
        fact = f"{where} answers with HTTP {head.status_code} {f'({kind}) ' if kind else ''}instead of the stream."
        yield Finding("server", "problem", fact, _CORRECT)
        return
    yield from _of_the_proxy(where, opening)
    if date := opening.head.headers.get("date"):
        with suppress(ValueError):
            theirs = parsedate_to_datetime(date).timestamp()
            ahead = apart(theirs, opening.sent, opening.received, DATE_AGE)
            yield of_the_clock("server_clock", f"The clock at {where}", ahead)
    yield from _of_the_listener(where, opening.listener)


def _of_the_proxy(where: str, opening: Opening) -> Iterator[Finding]:
    headers = opening.head.headers
    if opening.listener is None:
        fact = f"The stream at {where} opens, but no event arrives within {AT_ONCE:g} s: {_HELD}"
        yield Finding("proxy_buffering", "problem", fact, _UNBUFFERED)
    else:
        fact = f"The stream at {where} tells the state after {(opening.told - opening.sent) * 1000:,.0f} ms."
        yield Finding("proxy_buffering", "ok", fact)
    if encoding := headers.get("content-encoding"):
        fact = f"The stream at {where} arrives compressed ({encoding}): a compressor may hold events back."
        yield Finding("proxy_compression", "warning", fact, _UNCOMPRESSED)
    if "no-transform" not in (control := headers.get("cache-control", "")):
        fact = (
            f"Cache-Control arrives from {where} as {control!r}: without no-transform anybody may compress the stream."
        )
        yield Finding("proxy_headers", "warning", fact, _AS_SENT)
    if opening.head.http_version == "HTTP/1.0":
        fact = f"{where} answers in HTTP/1.0: such a proxy may collect an answer that has no length until it ends."
        yield Finding("proxy_protocol", "warning", fact, "have the proxy speak HTTP/1.1 or newer to browsers")


def _of_the_listener(where: str, listener: str | None) -> Iterator[Finding]:
    match listener:
        case "live":
            yield Finding("listener", "ok", f"The server at {where} listens, and proves that it hears.")
        case "polling":
            yield Finding(
                "listener",
                "warning",
                f"The server at {where} cannot listen: it reads once a second while somebody watches.",
                "set its STABILITY_LISTEN_URL to a connection that leads past the pooler, straight to Postgres",
            )
        case "lost":
            fact = (
                f"The server at {where} has no connection that listens: it tells everybody that the state is unknown."
            )
            yield Finding("listener", "problem", fact, "its log says why; a server that has just begun needs a moment")
        case "bye":
            yield Finding("listener", "warning", f"The server at {where} says goodbye: it is stopping.", "ask again")
