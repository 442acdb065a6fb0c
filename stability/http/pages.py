"""The page, which tells the state to those without JavaScript, and the files of `web/`, as they are."""

from collections.abc import Sequence
from hashlib import blake2b
from os import PathLike, stat_result
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from stability import __version__
from stability.http.badges import TEXTS, told_by
from stability.hub import Hub
from stability.resources import folder

# Foreign pages may load what the badge is made of; our own page runs nothing from elsewhere.
_HEADERS: Final = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff", "Access-Control-Allow-Origin": "*"}
_PLACE: Final = "<!-- the state -->"
POLICY: Final = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'; object-src 'none'"


class _Web(StaticFiles):
    def file_response(
        self,
        full_path: str | PathLike[str],
        stat_result: stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """The file, under a policy that a browser can hold us to."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(_HEADERS)
        response.headers["Content-Security-Policy"] = POLICY
        return response


def routes(hub: Hub) -> Sequence[BaseRoute]:
    """`/` and every file of `web/`."""
    page = (folder("web") / "index.html").read_text()

    async def index(_request: Request) -> Response:
        return HTMLResponse(
            page.replace(_PLACE, _as_of_now(hub)), headers=_HEADERS | {"Content-Security-Policy": POLICY}
        )

    return [Route("/", index), Route("/index.html", index), Mount("/", _Web(directory=folder("web"), html=True))]


def _as_of_now(hub: Hub) -> str:
    """What stands still has to say since when: the state, when it was proven, and how to get a newer one."""
    state, as_of = told_by(hub)
    day, _, rest = as_of.partition("T")
    return (
        f'<p class="still" data-state="{state}"><strong>{TEXTS[state]}</strong>'
        f' <span class="quiet">as of <time datetime="{as_of}">{day} {rest[:8]} UTC</time>, reload for news</span></p>'
    )


def _build() -> str:
    digest = blake2b(digest_size=4)
    for file in sorted(folder("web").iterdir()):
        if file.is_file():
            digest.update(file.read_bytes())
    return f"{__version__}-{digest.hexdigest()}"


BUILD: Final = _build()
"""Names this version of the pages: a page that hears another one reloads when nobody looks."""
