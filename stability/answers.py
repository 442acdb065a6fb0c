"""Answers to requests that go wrong: one sentence as `{"error": …}`, with the right status."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from stability.errors import RequestError


async def _refused(_request: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, RequestError) else 400
    return JSONResponse({"error": str(error)}, status)


async def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    sentence = {
        404: f"There is nothing at {request.url.path}.",
        405: f"{request.method} is not possible at {request.url.path}.",
    }.get(error.status_code, error.detail)
    return JSONResponse({"error": sentence}, error.status_code, headers=error.headers)


async def _crashed(_request: Request, _error: Exception) -> Response:
    # Starlette raises the error again once this is sent, so that it is logged.
    return JSONResponse({"error": "The server failed to answer; its log says why."}, 500)


HANDLERS: Final[Mapping[type[Exception], Callable[[Request, Exception], Awaitable[Response]]]] = {
    RequestError: _refused,
    HTTPException: _http,
    Exception: _crashed,
}
