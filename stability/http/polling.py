"""The badge's state as JSON, for whoever cannot stream: at once, by a long poll, or once a transaction is in it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema
from starlette.requests import Request
from starlette.responses import Response

from stability.errors import RequestError
from stability.frames import SYSTEM, compact, etag, status
from stability.http.operations import Error, Model, Moment, Operation
from stability.hub import Change, Hub
from stability.snapshot import unbegun

LONGEST_WAIT: Final = 60.0  # seconds of one long poll
LONGEST_NUMBER: Final = 15  # digits of a transaction that a client may name

Look = Callable[[], Awaitable[None]]
Begun = Callable[[int], Awaitable[bool]]


class Source(Model):
    """What one watched table says: `count` is exact up to 1,000, then `more` is true; `error` says why nobody knows."""

    active: bool | None
    count: int | None
    more: Literal[True] | SkipJsonSchema[None] = None
    error: str | SkipJsonSchema[None] = None


class Status(Model):
    """The state of the system; `stable` is null while it is not known, `xmin` is of the snapshot that was read."""

    state: Literal["stable", "processing", "unknown"]
    stable: bool | None
    as_of: Moment
    version: int
    since: Moment
    xmin: int | SkipJsonSchema[None] = None
    listener: Literal["live", "polling", "lost"]
    sources: dict[str, Source]


class Query(Model):
    """`since`: a version or an ETag, to wait for a newer one for `wait` seconds; `after`: a transaction to wait for."""

    since: str = Field("", description="a version or an ETag, to wait for a newer one")
    wait: Annotated[int, Field(ge=0, le=LONGEST_WAIT)] = Field(0, description="seconds to wait, at most")
    after: Annotated[int, Field(ge=0, lt=10**LONGEST_NUMBER)] | SkipJsonSchema[None] = Field(
        None, description="a transaction, pg_current_xact_id(), that the answer has to know of"
    )


def operations(hub: Hub, *, look: Look, begun: Begun) -> Sequence[Operation]:
    """`GET /api/system-status`.

    `look` has the truth read again and returns when it was; `begun` tells whether a number has been given to a
    transaction yet.
    """

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

    answers = {200: Status, 304: None, 400: Error, 504: Error}
    summary = "The badge's state; waits for a newer one, or for a transaction"
    return [Operation("GET", "/api/system-status", summary, system, answers, reads=Query, tag="Badge")]


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


async def _holding(hub: Hub, xid: int | None, wait: float, look: Look, begun: Begun) -> None:
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
    awake = asyncio.Event()
    deadline = asyncio.get_running_loop().time() + wait
    with hub.subscribe(awake.set, client=True):  # without a client nobody reads behind a pooler
        await held
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
