"""Who may see what: once a token is set, everything but the badge, its stream and the health paths needs it."""

import hmac
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qs, quote

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request, cookie_parser
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

COOKIE: Final = "stability_session"
_LONGEST_FORM: Final = 4096  # bytes
_OPEN_PATHS: Final = {
    *("/livez", "/readyz", "/healthz", "/login"),
    *("/api/system-status", "/api/system-status/live", "/api/topics"),
    *("/badge.json", "/badge.shields"),
}
_OPEN_SUFFIXES: Final = (".js", ".css", ".svg")  # what the badge is made of
_SAFE: Final = {"GET", "HEAD", "OPTIONS"}

_LOGIN = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><base href="{root}/">
<title>Stability: sign in</title><link rel="stylesheet" href="page.css">
<main><h1>Stability</h1>
{said}
<form method="post" action="login"><label>Token <input name="token" type="password" autocomplete="current-password"
required autofocus></label> <button>Sign in</button></form></main></html>"""


class Access:
    """ASGI middleware: refuses what needs the token and comes without it, and writes from foreign pages."""

    def __init__(self, app: ASGIApp, token: str | None, allowed_origins: Sequence[str]) -> None:
        self._app = app
        self._token = token
        self._origins = set(allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401 or 403."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if scope["method"] not in _SAFE and origin and not self._own(origin, headers):
            return JSONResponse({"error": f"Requests from {origin} may not change anything here."}, 403)
        if self._token is None or is_open(_path(scope)) or self._presented(headers):
            return None
        if scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
            return _form(scope, 401)
        return JSONResponse(
            {"error": "This needs the token: send Authorization: Bearer TOKEN, or sign in at /login."},
            401,
            headers={"WWW-Authenticate": "Bearer"},
        )

    def _own(self, origin: str, headers: Headers) -> bool:
        """A name may lead here that is somebody else's, so where no token is asked for only an address is believed."""
        host = headers.get("host", "")
        same = origin.partition("://")[2] == host
        return origin in self._origins or (same and (self._token is not None or _is_address(host)))

    def _presented(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._token and _same(given.strip(), self._token):
            return True
        # as browsers write them: Python's own parser drops all cookies at the first one that it dislikes
        session = cookie_parser("; ".join(headers.getlist("cookie"))).get(COOKIE)
        return bool(session and self._token and _same(session, _session(self._token)))


def routes(token: str | None) -> Sequence[BaseRoute]:
    """`POST /login` trades the token for a cookie."""

    async def form(request: Request) -> Response:
        return _form(request.scope)

    async def login(request: Request) -> Response:
        body = b""
        with suppress(ClientDisconnect):
            async for chunk in request.stream():
                body += chunk
                if len(body) > _LONGEST_FORM:
                    return JSONResponse({"error": f"A login form has at most {_LONGEST_FORM} bytes."}, 413)
        given = parse_qs(body.decode(errors="replace")).get("token", [""])[0]
        if token is None or not _same(given, token):
            return _form(request.scope, 401, "<p role='alert'>That is not the token.</p>")
        response = RedirectResponse(".", 303)
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, _session(token), max_age=31 * 86_400, httponly=True, samesite="lax", secure=secure)
        return response

    return [Route("/login", form, methods=["GET"]), Route("/login", login, methods=["POST"])]


def _form(scope: Scope, status: int = 200, said: str = "") -> Response:
    """The sign-in form, shown at every path that needs the token: its links count from the application's root."""
    return HTMLResponse(_LOGIN.format(root=quote(scope.get("root_path", "")), said=said), status)


def _path(scope: Scope) -> str:
    """The path inside this application, wherever it is mounted."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _is_address(host: str) -> bool:
    """Whether that leads nowhere but here, with or without its port."""
    name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    try:
        return name == "localhost" or bool(ip_address(name))
    except ValueError:
        return False


def is_open(path: str) -> bool:
    """Whether everybody may ask for it."""
    return path in _OPEN_PATHS or ("/" not in path[1:] and path.endswith(_OPEN_SUFFIXES))


def _session(token: str) -> str:
    """What the cookie holds: proves the token without containing it."""
    return hmac.new(token.encode(), b"stability session", sha256).hexdigest()


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
