"""`/asyncapi.json`: the two streams and their events, as AsyncAPI 3.0."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from stability import __version__
from stability.http.operations import Media, Operation

_TIME: Final = {"type": "string", "format": "date-time"}
_STABLE: Final = {"type": ["boolean", "null"]}
_LISTENER: Final = {"enum": ["live", "polling", "lost"]}
_SOURCE: Final = {
    "type": "object",
    "required": ["active"],
    "properties": {
        "active": {"type": ["boolean", "null"]},
        "count": {"type": ["integer", "null"]},
        "more": {"type": "boolean"},
        "error": {"type": "string"},
    },
}


def _object(**properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


EVENTS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "message": ("The state alone; the first frame of the badge's stream", _object(stable=_STABLE)),
    "status": (
        "The rich state of the system",
        _object(
            state={"enum": ["stable", "processing", "unknown"]},
            stable=_STABLE,
            as_of=_TIME,
            version={"type": "integer"},
            since=_TIME,
            listener=_LISTENER,
            sources={"type": "object", "additionalProperties": _SOURCE},
        ),
    ),
    "connection": (
        "How the server hears of changes; which topics it cannot read, if any, and as of when their rows are",
        {
            **_object(listener=_LISTENER, since=_TIME),
            "properties": {
                "listener": _LISTENER,
                "since": _TIME,
                "unread": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
            },
        },
    ),
    "heartbeat": (
        "Every 15 s; clients call 45 s of silence dead",
        _object(time=_TIME, as_of=_TIME, version={"type": "integer"}, build={"type": "string"}),
    ),
    "bye": ("The stream ends: come back after so many milliseconds", _object(retry={"type": "integer"})),
    "hello": ("Begins a stream of topics", _object(epoch={"type": "string"})),
    "change": (
        "One row of a topic; null once it is gone",
        _object(
            topic={"type": "string"},
            key={"type": "string"},
            version={"type": "integer"},
            row={
                "type": ["object", "null"],
                "required": ["since", "observed_at", "state", "level"],
                "properties": {"level": {"enum": ["ok", "processing", "warning", "critical", "unknown"]}},
            },
        ),
    ),
    "ready": ("The snapshot is complete; changes follow", _object(version={"type": "integer"})),
    "reset": ("Forget all rows: a snapshot follows", {"type": "object"}),
}
_BADGE: Final = ("message", "status", "connection", "heartbeat", "bye")


def operations(topics: Sequence[str]) -> Sequence[Operation]:
    """`GET /asyncapi.json`."""
    described = document(topics)

    async def asyncapi(request: Request) -> Response:
        path = request.scope.get("root_path", "") or "/"
        server = {"host": request.url.netloc, "protocol": request.url.scheme, "pathname": path}
        return JSONResponse({**described, "servers": {"this": server}})

    answers = {200: Media("application/json", "AsyncAPI 3.0", {"type": "object"})}
    return [
        Operation("GET", "/asyncapi.json", "The streams and their events", asyncapi, answers, tag="Server", asks=False)
    ]


def document(topics: Sequence[str]) -> dict[str, Any]:
    """The description of both streams."""
    topic = {"description": "Which rows, separated by commas; all without it.", "examples": [",".join(topics)]}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Stability",
            "version": __version__,
            "description": "Server-Sent Events. An event's name is the message's; `message` is the unnamed one.",
        },
        "channels": {
            "badge": _channel("/api/system-status/live", "The badge", _BADGE),
            "live": {
                **_channel("/api/live?topics={topics}", "Every row of the topics", tuple(EVENTS)),
                "parameters": {"topics": topic},
            },
        },
        "operations": {
            f"follow_{name}": {"action": "send", "channel": {"$ref": f"#/channels/{name}"}}
            for name in ("badge", "live")
        },
        "components": {
            "messages": {
                name: {"name": name, "title": title, "contentType": "application/json", "payload": payload}
                for name, (title, payload) in EVENTS.items()
            }
        },
    }


def _channel(address: str, title: str, events: Sequence[str]) -> dict[str, Any]:
    messages = {name: {"$ref": f"#/components/messages/{name}"} for name in events}
    return {"address": address, "title": title, "messages": messages}
