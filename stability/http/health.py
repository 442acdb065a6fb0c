"""Is the process alive, and does its stream tell the proven truth?"""

from collections.abc import Sequence
from typing import Final, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from stability.frames import LISTENER, SYSTEM
from stability.http.operations import Model, Operation
from stability.hub import Hub, Row

_HEADERS: Final = {"Cache-Control": "no-store"}


class Alive(Model):
    """It answers."""

    status: Literal["ok"]


class Checks(Model):
    """What the proof hangs on."""

    serving: bool
    listening: bool
    state_known: bool


class Health(Model):
    """Whether the stream tells the proven truth."""

    status: Literal["ok", "unavailable"]
    checks: Checks = Checks(serving=True, listening=True, state_known=True)


class Query(Model):
    """`verbose`, with whatever value, has the checks told as well."""

    verbose: str = Field("", description="with whatever value: tell the checks as well")


def operations(hub: Hub) -> Sequence[Operation]:
    """`/livez` depends on nothing, `/readyz` on the proof; `/healthz` is another name of the latter."""

    async def livez(_request: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers=_HEADERS)

    async def readyz(request: Request) -> Response:
        checks = _checks(hub)
        ready = all(checks.values())
        body: dict[str, object] = {"status": "ok" if ready else "unavailable"}
        if not ready or "verbose" in request.query_params:
            body["checks"] = checks
        return JSONResponse(body, 200 if ready else 503, headers=_HEADERS)

    ready, proven = "Whether the stream tells the proven truth", {200: Health, 503: Health}
    return [
        Operation("GET", "/livez", "Whether the process lives", livez, {200: Alive}, tag="Server", asks=False),
        Operation("GET", "/readyz", ready, readyz, proven, reads=Query, tag="Server", asks=False),
        Operation("GET", "/healthz", ready, readyz, proven, reads=Query, tag="Server", asks=False),
    ]


def _checks(hub: Hub) -> dict[str, bool]:
    listener, system = hub.latest(*LISTENER), hub.latest(*SYSTEM)
    return {
        "serving": not hub.closed,
        "listening": bool(listener and listener.row and listener.row.state in ("live", "polling")),
        "state_known": bool(system and system.row and (system.row.state != "unknown" or _asleep(system.row, hub))),
    }


def _asleep(system: Row, hub: Hub) -> bool:
    """Where it has to poll, a server that nobody watches knows nothing, and soon will when somebody does."""
    return system.fields["listener"] == "polling" and not hub.watched
