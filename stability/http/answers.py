"""Answers to requests that go wrong: one sentence as `{"error": …}`, with the right status."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from stability.database import answered, reason
from stability.errors import RequestError

_BUSY: Final = {"40001", "40P01", "55P03", "57014", "53300"}  # raced, deadlocked, locked, too slow, no connection left
_REFUSED: Final = ("23", "428C9")  # what a constraint, a trigger of ours among them, or a generated column forbids
_IMPOSSIBLE: Final = "22"  # a value that no column of that type can hold

_log = structlog.get_logger(__name__)


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


async def _database(request: Request, error: Exception) -> Response:
    """What the database said to a request, whose transaction is undone."""
    state = getattr(getattr(error, "orig", None), "sqlstate", None) or ""
    if not isinstance(error, DBAPIError) or not answered(error) or state in _BUSY:
        said = "The database is busy" if state in _BUSY else "The database is away"
        return JSONResponse({"error": f"{said}; try again."}, 503, headers={"Retry-After": "5"})
    if state.startswith((*_REFUSED, _IMPOSSIBLE)):
        status = 400 if state.startswith(_IMPOSSIBLE) else 409
        return JSONResponse({"error": f"{_diagnosed(error)}."}, status)
    _log.warning("the database refused a request", path=request.url.path, reason=reason(error))
    return JSONResponse({"error": "The database refused; the server's log says why."}, 500)


def _diagnosed(error: DBAPIError) -> str:
    diag = getattr(error.orig, "diag", None)
    return ((diag and diag.message_primary) or reason(error)).strip().rstrip(".")


HANDLERS: Final[Mapping[type[Exception], Callable[[Request, Exception], Awaitable[Response]]]] = {
    RequestError: _refused,
    HTTPException: _http,
    SQLAlchemyError: _database,
    OSError: _database,
    Exception: _crashed,
}
