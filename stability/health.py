"""Is the process alive, and does its stream tell the proven truth?"""

from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from stability.frames import LISTENER, SYSTEM
from stability.hub import Hub, Row

_HEADERS: Final = {"Cache-Control": "no-store"}


def routes(hub: Hub) -> Sequence[BaseRoute]:
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

    return [Route("/livez", livez), Route("/readyz", readyz), Route("/healthz", readyz)]


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
