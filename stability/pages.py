"""The page, the badge's modules and their styles: the files of `web/`, as they are."""

from collections.abc import Sequence
from hashlib import blake2b
from os import PathLike, stat_result
from typing import Final

from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from stability import __version__
from stability.resources import folder

# Foreign pages may load what the badge is made of; our own page runs nothing from elsewhere.
_HEADERS: Final = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff", "Access-Control-Allow-Origin": "*"}
_POLICY: Final = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'; object-src 'none'"


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
        response.headers["Content-Security-Policy"] = _POLICY
        return response


def routes() -> Sequence[BaseRoute]:
    """`/` and every file of `web/`."""
    return [Mount("/", _Web(directory=folder("web"), html=True))]


def _build() -> str:
    digest = blake2b(digest_size=4)
    for file in sorted(folder("web").iterdir()):
        if file.is_file():
            digest.update(file.read_bytes())
    return f"{__version__}-{digest.hexdigest()}"


BUILD: Final = _build()
"""Names this version of the pages: a page that hears another one reloads when nobody looks."""
