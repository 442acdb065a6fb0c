"""HTTP requests as the monitors describe them: parsed at the door, answered by a function, told in `/openapi.json`.

Models say what may be asked and what is answered. Whatever they do not allow is a 400 with one sentence that names the
value and what is possible; behind the door nothing is validated again.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import groupby
from math import isfinite
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
)
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from stability.errors import RequestError, plain
from stability.frames import timestamp

LONGEST_BODY: Final = 64 * 1024  # bytes, as also our own server allows for a whole request
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIMES: Final = ("_at", "_date", "_check", "timestamp", "stale_after", "_since")  # how the names of times end
_LONGEST_SHOWN: Final = 80  # characters of a value that is refused


class Model(BaseModel):
    """What is asked or answered: these fields and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Error(Model):
    """Why there is no other answer."""

    error: str


@dataclass(frozen=True, slots=True)
class Media:
    """An answer that no model describes: its media type, what it is, and its JSON schema."""

    type: str
    description: str
    schema: Mapping[str, object] = field(default_factory=lambda: {"type": "string"})


def stored(model: type[BaseModel], row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `model` in a row of a table; what is no time that Python knows, such as infinity, is none."""
    fields = {name: row.get(name) for name in model.model_fields}
    return {name: _moment(value) if name.endswith(_TIMES) else value for name, value in fields.items()}


def _moment(value: object) -> datetime | None:
    try:
        value = datetime.fromisoformat(value) if isinstance(value, str) else value
        return _zoned(value) if isinstance(value, datetime) else None  # a number may be seconds or milliseconds
    except ValueError:
        return None


def _storable(value: str) -> str:
    if "\0" in value:
        raise ValueError("contains the character NUL, which Postgres cannot store")
    return value


def _storable_json(value: object) -> object:
    match value:
        case str():
            _storable(value)
        case float() if not isfinite(value):
            raise ValueError("holds a number that is too large")
        case list():
            for part in value:
                _storable_json(part)
        case dict():
            for name, part in value.items():
                _storable(name)
                _storable_json(part)
    return value


def _written(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        if _DATE.match(value):
            return datetime.fromisoformat(value)
    except ValueError:
        pass
    raise ValueError("it should be a time such as 2026-01-31T12:00:00Z")


def _zoned(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError("is out of range in UTC") from None


def whole(value: object) -> object:
    """A number that JSON writes as 10.0 is 10 as well."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _flag(value: object) -> object:
    if isinstance(value, str) and value not in ("true", "false"):
        raise ValueError("it should be true or false")
    return value


# Text without NUL; and JSON of such texts, which is as deep as it likes: openapi.py knows what `$json` stands for.
_STORABLE: Final = {"pattern": r"^[^\x00]*$"}
JSON_SCHEMA: Final = {
    "anyOf": [
        {"type": ["null", "boolean", "number"]},
        {"type": "string", **_STORABLE},
        {"type": "array", "items": {"$json": True}},
        {"type": "object", "propertyNames": _STORABLE, "additionalProperties": {"$json": True}},
    ]
}

Text: TypeAlias = Annotated[str, AfterValidator(_storable), Field(json_schema_extra={**_STORABLE})]
"""What a text column can hold."""
Moment: TypeAlias = Annotated[
    datetime,
    BeforeValidator(_written),
    AfterValidator(_zoned),
    PlainSerializer(timestamp, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A time with its zone, without one in UTC; answered in UTC, with `Z`."""
Json: TypeAlias = Annotated[JsonValue, AfterValidator(_storable_json), WithJsonSchema({"$json": True})]
"""What a jsonb column can hold."""
JsonObject: TypeAlias = Annotated[
    dict[str, JsonValue], AfterValidator(_storable_json), WithJsonSchema(dict(JSON_SCHEMA["anyOf"][3]))
]
"""The same, with names."""
Flag: TypeAlias = Annotated[bool, BeforeValidator(_flag)]
"""`true` or `false` in a query."""
Percent: TypeAlias = Annotated[int, Field(ge=0, le=100), BeforeValidator(whole)]
"""0 to 100, where 10.0 is one as well."""
Key: TypeAlias = Annotated[str, AfterValidator(_storable), Field(max_length=200)]
"""What an adopted table may have for an id; a path that cannot be one leads nowhere."""
Id: TypeAlias = Annotated[int, Field(ge=1, le=2**63 - 1)]
"""A bigint's positive half."""

Answer: TypeAlias = ASGIApp | Model | tuple[int, Model]
"""A model is 200, with a number it has that status; a response goes out as it is."""
Described: TypeAlias = type[BaseModel] | Media | None
"""What `/openapi.json` says of an answer; of None that it has no body."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. `query` has the fields of the path as well, which make 404 where they cannot be."""

    method: Literal["GET", "POST", "PATCH"]
    path: str
    summary: str
    endpoint: Callable[..., Awaitable[Answer]]  # called with the request, then query and body, as far as there are any
    answers: Mapping[int, Described]
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    reads: type[BaseModel] | None = None  # a query that the endpoint reads itself, past whatever stands beside it
    asks: bool = True  # the database, which may be away
    tag: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)  # of every answer

    async def __call__(self, request: Request) -> ASGIApp:
        """Parse, ask, answer; raises RequestError for what cannot be meant."""
        asked: list[BaseModel] = []
        if self.query:
            asked.append(_parsed_query(self.query, request))
        if self.body:
            asked.append(await _parsed_body(self.body, request))
        answer = await self.endpoint(request, *asked)
        if not isinstance(answer, Model | tuple):
            return answer
        status, model = answer if isinstance(answer, tuple) else (HTTPStatus.OK, answer)
        headers = {"Cache-Control": "no-store", **self.headers}
        return Response(model.model_dump_json(), status, headers, media_type="application/json")


def routes(operations: Sequence[Operation]) -> Sequence[BaseRoute]:
    """One route for each path, so that a wrong method is told all the right ones."""
    by_path = groupby(sorted(operations, key=lambda operation: operation.path), lambda operation: operation.path)
    return [_route(path, {operation.method: operation for operation in group}) for path, group in by_path]


def _route(path: str, by_method: Mapping[str, Operation]) -> Route:
    allowed = sorted({*by_method, "HEAD"} if "GET" in by_method else by_method)

    async def ask(request: Request) -> ASGIApp:
        operation = by_method.get("GET" if request.method == "HEAD" else request.method)
        if operation is None:
            raise HTTPException(405, headers={"Allow": ", ".join(allowed)})
        return await operation(request)

    return Route(path, _Any(ask))


class _Any:
    """An endpoint that Starlette asks whatever the method, so that a wrong one is told all the right ones."""

    def __init__(self, ask: Callable[[Request], Awaitable[ASGIApp]]) -> None:
        self._ask = ask

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        response = await self._ask(Request(scope, receive, send))
        await response(scope, receive, send)


def _parsed_query(model: type[BaseModel], request: Request) -> BaseModel:
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in given:
            raise RequestError(f"{_shown(name)} is given twice; once is enough.")
        if name in request.path_params or name not in model.model_fields:
            possible = ", ".join(name for name in model.model_fields if name not in request.path_params)
            raise RequestError(f"There is no parameter {_shown(name)}; possible are: {possible or 'none'}.")
        given[name] = value
    try:
        return model.model_validate({**given, **request.path_params})
    except ValidationError as error:
        place = error.errors()[0]["loc"][:1]
        if place and place[0] in request.path_params:
            raise RequestError(f"There is nothing at {request.url.path}.", 404) from error
        raise RequestError(sentence(error)) from error


async def _parsed_body(model: type[BaseModel], request: Request) -> BaseModel:
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RequestError(f"The body has to be application/json, not {_shown(kind)}.", 415)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_BODY:
            raise RequestError(f"A body has at most {LONGEST_BODY} bytes.", 413)
    try:
        return model.model_validate_json(bytes(body), strict=True)
    except ValidationError as error:
        raise RequestError(sentence(error)) from error


def sentence(error: ValidationError) -> str:
    """What is wrong first of all, with its value and what is possible."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    said = plain(first["type"], first["msg"]).replace("Extra inputs are not permitted", "no such field")
    match first["type"]:
        case "missing":
            return f"{place} is missing."
        case "json_invalid":
            return f"The body is not JSON: {said.removeprefix('Invalid JSON: ')}."
    return f"{place or 'The body'}: {_shown(first['input'])}: {said}."


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
