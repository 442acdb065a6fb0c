"""`/api/services`: every service as it is, and how each was over the last 24 hours."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal, TypeAlias
from urllib.parse import quote, urlsplit

from pydantic import BeforeValidator, Field
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from stability.database import Database, reason
from stability.errors import RequestError
from stability.http.operations import Answer, Model, Moment, Operation, Text, stored
from stability.services import config
from stability.services.config import GRANULARITIES, Choices
from stability.services.records import PATIENCE, patience
from stability.services.settings import ServiceSettings
from stability.shared import Shared

PATH: Final = "/api/services"
STALE: Final = 2  # samples after which what was seen is old; beyond three nobody knows
Status: TypeAlias = Literal["passing", "warning", "critical", "unknown", "gone"]

_READ: Final = text("SELECT * FROM stability.read_services(CAST(:keys AS text[]))")
# a thousand services in slots of five minutes are 29 MB, which take their time; more are refused there
_PATIENTLY: Final = text("SET LOCAL statement_timeout = 10000")
_TOO_MANY: Final = "54000"  # the SQLSTATE of more services than are told at once
_HISTORY: Final = text("SELECT key, data FROM stability.service_history(:minutes, :patience, :wanted)")


class Item(Model):
    """One service; `observed_at` is when it was seen so, after `stale_after` that is old. What is `gone` stays so."""

    id: str
    name: str
    url: str | None
    tags: list[str]
    current_status: Status
    since: Moment | None
    observed_at: Moment | None
    stale_after: Moment | None


class All(Model):
    """Every service, and whether Consul answers."""

    status: Literal["success"] = "success"
    services: list[Item]
    consul_available: bool


class Failed(Model):
    """The database is away."""

    status: Literal["error"] = "error"
    error: str = "Failed to fetch services"
    services: tuple[Item, ...] = ()
    consul_available: bool = False


class Consul(Model):
    """How Consul is: whether it answers, since when, and as of when the services are so."""

    available: bool
    configured: bool
    since: Moment | None
    observed_at: Moment | None
    stale_after: Moment | None
    reason: str | None


def _number(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() else value


class Asked(Model):
    """In slots of how many minutes; without it as this browser chose."""

    granularity: Annotated[Literal[5, 15, 30, 60] | None, BeforeValidator(_number)] = Field(
        None,
        description="minutes of a slot; without it as this browser chose",
        json_schema_extra={"anyOf": [{"type": "integer", "enum": [5, 15, 30, 60]}]},
    )


class Which(Asked):
    """Which service."""

    id: Annotated[Text, Field(max_length=2000)] = Field(description="the service's id, NODE:ServiceID, URL-encoded")


class Slot(Model):
    """How many percent of a slot a service was what; 0 of all, and no samples, where nobody looked."""

    timestamp: Moment
    passing: float
    warning: float
    critical: float
    unknown: float
    samples: int


class History(Model):
    """How a service was."""

    service_id: str
    granularity: int
    data: list[Slot]


class HistoryFailed(Model):
    """Why there is none."""

    error: str
    service_id: str
    data: tuple[Slot, ...] = ()


class Histories(Model):
    """How every service was, by its id."""

    granularity: int
    services: dict[str, list[Slot]]


@dataclass(frozen=True, slots=True)
class Read:
    """Rows of services, and Consul's, of one moment."""

    services: Sequence[Mapping[str, Any]]
    consul: Mapping[str, Any]
    as_of: datetime


async def read(connection: AsyncConnection, keys: frozenset[str] | None = None) -> Read:
    """The services of these keys, or all."""
    wanted = None if keys is None else sorted(keys)
    row = (await connection.execute(_READ, {"keys": wanted})).mappings().one()
    return Read(row["services"], row["consul"], row["as_of"])


def item(row: Mapping[str, Any], settings: ServiceSettings) -> Item:
    """A service as it is told."""
    seen = stored(Item, {"observed_at": row["last_seen"], "since": row["since"]})
    stale = seen["observed_at"] + timedelta(seconds=STALE * settings.service_sample_seconds)
    told = {"id": row["key"], "name": row["name"], "url": link(row, settings), "current_status": row["status"]}
    tags = [str(tag) for tag in row["tags"]] if isinstance(row["tags"], list) else []
    stale_after = None if row["status"] == "gone" else stale
    return Item.model_validate({**seen, **told, "tags": tags, "stale_after": stale_after})


def consul(found: Read, settings: ServiceSettings) -> Consul:
    """How Consul is; that it was well long ago, or by a clock that was set back since, says nothing."""
    told = stored(Consul, found.consul)
    observed, every = told["observed_at"], settings.service_sample_seconds
    fresh = observed is not None and abs(found.as_of - observed) <= timedelta(seconds=PATIENCE * every + 1)
    told |= {
        "available": bool(told["available"] and fresh),
        "configured": settings.consul_http_addr is not None,
        "stale_after": observed and observed + timedelta(seconds=STALE * every),
    }
    return Consul.model_validate(told)


def link(row: Mapping[str, Any], settings: ServiceSettings) -> str | None:
    """Where a service is opened: its own `url` if that is one, else by the template; None where that leads nowhere."""
    if isinstance(row["url"], str) and _leads(row["url"]):
        return row["url"]
    known = {name: row[name] for name in ("address", "port", "name", "node", "id")}
    if any(f"{{{name}}}" in settings.service_url_template and not known[name] for name in ("address", "port")):
        return None
    address = str(known["address"] or "")
    known |= {name: quote(str(known[name]), safe="") for name in ("name", "node", "id")}
    url = settings.service_url_template.format(**{**known, "address": f"[{address}]" if ":" in address else address})
    return url if _leads(url) else None


def _leads(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and url.isprintable() and " " not in url


def operations(database: Database, settings: ServiceSettings) -> Sequence[Operation]:
    """List them, tell how they were, and keep how a browser wants to see that."""
    choices = Choices(settings)
    # of a thousand services it is megabytes: a crowd takes one of the pool's connections, and one copy
    shared = {minutes: Shared(partial(_histories, database, settings, minutes)) for minutes in GRANULARITIES}

    async def everything(_request: Request) -> Answer:
        try:
            async with database.reading() as connection:
                found = await read(connection)
        except (SQLAlchemyError, OSError):
            return HTTPStatus.SERVICE_UNAVAILABLE, Failed()
        services = [item(row, settings) for row in found.services]
        return All(services=services, consul_available=consul(found, settings).available)

    async def history(request: Request, which: Which) -> Answer:
        minutes = which.granularity or choices.of(request).display.historyGranularity
        try:
            found = [data async for _, data in _history(database, settings, minutes, which.id)]
        except (SQLAlchemyError, OSError):
            return HTTPStatus.INTERNAL_SERVER_ERROR, HistoryFailed(error="Failed to fetch history", service_id=which.id)
        if not found:
            raise RequestError(f"There is no service {which.id!r}.", 404)
        return _json(f'{{"service_id":{json.dumps(which.id)},"granularity":{minutes},"data":{found[0]}}}')

    async def histories(request: Request, asked: Asked) -> Answer:
        minutes = asked.granularity or choices.of(request).display.historyGranularity
        return _json(await shared[minutes]())

    return (
        Operation("GET", PATH, "Every service", everything, {200: All, 503: Failed}),
        Operation("GET", f"{PATH}/history", "How all services were", histories, {200: Histories}, query=Asked),
        Operation(
            "GET",
            f"{PATH}/{{id:path}}/history",
            "How a service was",
            history,
            {200: History, 500: HistoryFailed},
            query=Which,
        ),
        *config.operations(choices),
    )


async def _history(
    database: Database, settings: ServiceSettings, minutes: int, wanted: str | None = None
) -> AsyncIterator[tuple[str, str]]:
    """The ids and slots, as JSON, of that service or of all: by a cursor, so that they are not all here at once."""
    asked = {"minutes": minutes, "patience": patience(settings.service_sample_seconds), "wanted": wanted}
    async with database.writing() as connection:  # which SET LOCAL is bound to
        await connection.execute(_PATIENTLY)
        async with connection.stream(_HISTORY, asked) as found:
            async for row in found:
                yield row.key, row.data


async def _histories(database: Database, settings: ServiceSettings, minutes: int) -> bytes:
    """The whole answer; raises RequestError where that would be more than a server bears."""
    told = bytearray(b'{"granularity":%d,"services":{' % minutes)
    opening = len(told)
    try:
        async for key, data in _history(database, settings, minutes):
            told += f"{',' if len(told) > opening else ''}{json.dumps(key)}:{data}".encode()
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _TOO_MANY:
            raise RequestError(f"{reason(error)}.") from error
        raise
    return bytes(told + b"}}")


def _json(told: str | bytes) -> Response:
    return Response(told, headers={"Cache-Control": "no-store"}, media_type="application/json")
