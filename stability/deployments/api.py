"""`/api/deployments`: make one, see all, and the webhook by which a platform says at once what became of one.

Which change of status is allowed the database decides, for this as for everybody else who writes the table.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import Field
from sqlalchemy import CursorResult, bindparam, text
from sqlalchemy.exc import DataError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import NULLTYPE
from starlette.requests import Request

from stability.database import Database, reason
from stability.deployments.starts import STARTING
from stability.errors import RequestError
from stability.http.odd import Words, alone, later, understood, words
from stability.http.operations import Answer, Error, JsonObject, Key, Model, Moment, Operation, Text, stored
from stability.settings import Settings

PATH: Final = "/api/deployments"
_URL: Final = r"^https?://[A-Za-z0-9._:\[\]-]+(/[!-~]*)?$"
STALE: Final = 2  # intervals after which what was seen is old; beyond three it counts as unknown
OBSERVED: Final = frozenset({"running", "unhealthy", "stopped"})
Status: TypeAlias = Literal["pending", "installing", "starting", "running", "unhealthy", "stopped", "failed"]


class Item(Model):
    """One deployment; `observed_at` is when it was seen so, or reported; after `stale_after` that is old.

    One that is stopped, and of which nobody can be asked, stays what was reported: it has no `stale_after`.
    """

    id: int | str
    name: Words
    status: Words
    progress_message: Words | None
    error_message: Words | None
    machine_id: Words | None
    health_url: Words | None
    last_checked_at: Moment | None
    created_at: Moment | None
    updated_at: Moment | None
    observed_at: Moment | None
    stale_after: Moment | None


class _Seen(Model):
    last_checked_at: Moment | None
    status_since: Moment | None


class All(Model):
    """Every deployment."""

    deployments: list[Item]


class New(Model):
    """A deployment to be made of `config`, or one that runs already and answers at `health_url`."""

    name: Text = Field(min_length=1, max_length=200)
    config: JsonObject | None = None
    health_url: Annotated[str, Field(pattern=_URL)] | None = None


class Which(Model):
    """Which deployment."""

    id: Key = Field(description="the deployment's id")


class Said(Model):
    """What a platform says became of it."""

    status: Status
    message: Annotated[Text, Field(max_length=2000)] | None = None


# Columns that an adopted table lacks are null; its configuration may hold secrets, and is told nobody.
ITEM: Final = "to_jsonb(d) - 'config' ORDER BY d.id"
_ALL: Final = text(f"SELECT coalesce(json_agg({ITEM}), '[]') FROM public.deployments AS d")  # noqa: S608
_ONE: Final = text("SELECT to_jsonb(d) - 'config' FROM public.deployments AS d WHERE d.id = :id").bindparams(
    bindparam("id", type_=NULLTYPE)
)
_THERE: Final = text("SELECT FROM public.deployments AS d WHERE d.id = :id").bindparams(bindparam("id", type_=NULLTYPE))
_INSERT: Final = text("""
    INSERT INTO public.deployments AS d (name, config, health_url, status, progress_message)
    VALUES (:name, CAST(:config AS jsonb), :url, :status, :progress) RETURNING to_jsonb(d) - 'config'
""").bindparams(bindparam("status", type_=NULLTYPE))
_SAY: Final = text("""
    UPDATE public.deployments AS d SET status = :status, progress_message = :progress, error_message = :error
     WHERE d.id = :id RETURNING to_jsonb(d) - 'config'
""").bindparams(bindparam("id", type_=NULLTYPE), bindparam("status", type_=NULLTYPE))


def item(row: Mapping[str, Any], settings: Settings) -> Item:
    """A row of the table as it is told."""
    fields = stored(Item, row)
    fields |= {"name": words(fields["name"]) or "", "status": words(fields["status"]) or "unknown"}
    fields["observed_at"] = observed = _observed(row) or fields["updated_at"] or fields["created_at"]
    if observed and fields["status"] in OBSERVED and _can_be_asked(fields, settings):
        fields["stale_after"] = later(observed, timedelta(seconds=STALE * settings.probe_seconds))
    return Item.model_validate(fields)


def _can_be_asked(fields: Mapping[str, Any], settings: Settings) -> bool:
    """Whether the next look may say more than the last report: of a stopped one only the machine API knows."""
    api = settings.machines_url and settings.machines_app
    return fields["status"] != "stopped" or bool(api and fields["machine_id"])


def _observed(row: Mapping[str, Any]) -> datetime | None:
    """When it was looked at, or when somebody said what became of it: whichever is newer."""
    moments = stored(_Seen, row).values()
    return max((moment for moment in moments if moment), default=None)


def operations(database: Database, settings: Settings) -> Sequence[Operation]:
    """List, make, show, and hear from a platform."""

    async def everything(_request: Request) -> Answer:
        async with database.reading() as connection:
            found = (await connection.execute(_ALL)).scalar_one()
        return All(deployments=understood("deployments", lambda row: item(row, settings), found))

    async def make(_request: Request, new: New) -> Answer:
        runs = new.health_url is not None
        values = {
            "name": new.name, "url": new.health_url, "config": None if new.config is None else json.dumps(new.config),
            "status": "starting" if runs else "pending", "progress": STARTING if runs else None,
        }  # fmt: skip
        async with database.writing() as connection:
            return 202, item((await connection.execute(_INSERT, values)).scalar_one(), settings)

    async def show(_request: Request, which: Which) -> Answer:
        async with database.reading() as connection:
            await _there(connection, which)
            try:
                return _told(which, await connection.execute(_ONE, {"id": which.id}), settings)
            except DataError as error:  # JSON that no jsonb can hold
                raise RequestError(f"The deployment {which.id!r} cannot be told: {reason(error)}.", 409) from error

    async def say(_request: Request, which: Which, said: Said) -> Answer:
        failed = said.status in ("unhealthy", "failed")
        values = {
            "id": which.id,
            "status": said.status,
            "progress": None if failed else said.message,
            "error": said.message if failed else None,
        }
        async with database.writing() as connection:
            await _there(connection, which)
            return _told(which, await connection.execute(_SAY, values), settings)

    return (
        Operation("GET", PATH, "Every deployment", everything, {200: All}),
        Operation("POST", PATH, "Make a deployment", make, {202: Item}, body=New),
        Operation("GET", f"{PATH}/{{id}}", "One deployment", show, {200: Item, 409: Error}, query=Which),
        Operation(
            "POST", f"{PATH}/{{id}}/status", "What became of it", say, {200: Item, 409: Error}, query=Which, body=Said
        ),
    )


async def _there(connection: AsyncConnection, which: Which) -> None:
    try:
        found = (await connection.execute(_THERE, {"id": which.id})).first()
    except DataError as error:  # the type of the column cannot hold it
        raise _missing(which) from error
    if found is None:
        raise _missing(which)


def _told(which: Which, result: CursorResult[Any], settings: Settings) -> Item:
    found: Mapping[str, Any] | None = result.scalar_one_or_none()
    if found is None:
        raise _missing(which)
    return alone(f"The deployment {which.id!r}", lambda: item(found, settings))


def _missing(which: Which) -> RequestError:
    return RequestError(f"There is no deployment {which.id!r}.", 404)
