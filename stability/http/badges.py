"""The badge for those who embed a picture or read JSON."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final, Literal, TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from stability.frames import SYSTEM, timestamp
from stability.http.operations import Media, Model, Moment, Operation
from stability.hub import Hub

State: TypeAlias = Literal["stable", "processing", "unknown"]

TEXTS: Final[Mapping[str, str]] = {
    "stable": "System Stable",
    "processing": "Processing Data",
    "unknown": "Status Unknown",
}
# Fills under white text of at least 4.5:1, and a shape of its own for whoever sees no colours.
_FILLS: Final = {"stable": "068460", "processing": "9c6b00", "unknown": "4b5460"}
_SHAPES: Final = {
    "stable": '<circle cx="8" cy="8" r="6.25"/><path d="M5 8.3 7.2 10.4 11 5.8"/>',
    "processing": '<circle cx="8" cy="8" r="6.25" opacity=".4"/><path d="M8 1.75A6.25 6.25 0 0 1 14.25 8"/>',
    "unknown": '<circle cx="8" cy="8" r="6.25" stroke-dasharray="2.6 2.31"/>'
    '<path d="M6.3 6.4a1.75 1.75 0 1 1 2.5 1.6c-.5.25-.8.6-.8 1.1M8 11.35v.01"/>',
}
_SVG: Final = """<svg xmlns="http://www.w3.org/2000/svg" width="136" height="24" role="img" aria-label="{text}">
<title>{text}, as of {as_of}</title><rect width="136" height="24" rx="5" fill="#{fill}"/>
<g transform="translate(6 4)" fill="none" stroke="#fff" stroke-width="1.6" stroke-linecap="round" \
stroke-linejoin="round">{shape}</g>
<text x="29" y="16.5" fill="#fff" font-family="system-ui,Segoe UI,sans-serif" font-size="13" font-weight="600" \
textLength="100" lengthAdjust="spacingAndGlyphs">{text}</text></svg>
"""
_OPEN: Final = {"Cache-Control": "no-cache, max-age=0", "Access-Control-Allow-Origin": "*"}


class Plain(Model):
    """The badge in words and in a colour."""

    state: State
    text: str
    color: str
    as_of: Moment


class Shields(Model):
    """The badge as img.shields.io asks for it."""

    schemaVersion: Literal[1]  # noqa: N815 -- theirs
    label: Literal["system"]
    message: State
    color: str
    isError: Literal[True] = True  # noqa: N815


def operations(hub: Hub) -> Sequence[Operation]:
    """`/badge.svg`, `/badge.json` and `/badge.shields`."""

    async def svg(_request: Request) -> Response:
        state, as_of = told_by(hub)
        picture = _SVG.format(text=escape(TEXTS[state]), as_of=as_of, fill=_FILLS[state], shape=_SHAPES[state])
        return Response(picture, headers=_OPEN, media_type="image/svg+xml")

    async def plain(_request: Request) -> Response:
        state, as_of = told_by(hub)
        told = {"state": state, "text": TEXTS[state], "color": f"#{_FILLS[state]}", "as_of": as_of}
        return JSONResponse(told, headers=_OPEN)

    async def shields(_request: Request) -> Response:
        state, _ = told_by(hub)
        told = {"schemaVersion": 1, "label": "system", "message": state, "color": _FILLS[state]}
        return JSONResponse({**told, **({"isError": True} if state == "unknown" else {})}, headers=_OPEN)

    picture = Media("image/svg+xml", "The picture")
    return [
        Operation("GET", "/badge.svg", "The badge as a picture", svg, {200: picture}, tag="Badge", asks=False),
        Operation("GET", "/badge.json", "The badge in words", plain, {200: Plain}, tag="Badge", asks=False),
        Operation(
            "GET", "/badge.shields", "The badge for img.shields.io", shields, {200: Shields}, tag="Badge", asks=False
        ),
    ]


def told_by(hub: Hub) -> tuple[str, str]:
    """The badge's state, and when it was read."""
    change = hub.latest(*SYSTEM)
    state = change.row.state if change and change.row else "unknown"
    return state, timestamp(hub.observed.get(SYSTEM[0], datetime.now(UTC)))
