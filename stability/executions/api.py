"""`/api/v1/executions`: what runs, what ran, and how somebody who runs it says so.

The database keeps the rules, for this as for psql and an ORM: it logs every change in its own transaction, sets the
dates, and refuses what is over.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from pydantic import Field
from sqlalchemy import text
from sqlalchemy.exc import DataError
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request

from stability.database import Database
from stability.errors import ExecutionError, RequestError
from stability.executions import GIVEN, cancelled
from stability.frames import compact
from stability.http.operations import (
    Answer,
    Error,
    Json,
    JsonObject,
    Key,
    Model,
    Moment,
    Operation,
    Percent,
    Text,
    stored,
)

PATH: Final = "/api/v1/executions"
Status: TypeAlias = Literal["PENDING", "READY", "RUNNING", "CANCELLING", "FINISHED", "FAILED", "CANCELLED"]


class Execution(Model):
    """One execution; `columns` has what its owner added to the table."""

    id: int | str
    status: str | None
    progress: float | None
    name: str | None
    params: Json
    error_message: str | None
    start_date: Moment | None
    end_date: Moment | None
    created_at: Moment | None
    updated_at: Moment | None
    columns: JsonObject


class New(Model):
    """An execution to be: it is PENDING until whoever runs it says otherwise."""

    name: Text | None = Field(None, max_length=400)
    params: JsonObject | None = None
    status: Literal["PENDING", "READY"] = "PENDING"
    columns: JsonObject = Field({}, description="values of columns that the table's owner added")


class Change(Model):
    """What is to be said of an execution; nothing leaves it as it is."""

    status: Status | None = None
    progress: Percent | None = None
    error_message: Text | None = Field(None, max_length=4000)


class Which(Model):
    """Which execution."""

    id: Key = Field(description="the execution's id")


class Some(Model):
    """Which executions."""

    status: Status | None = Field(None, description="those that have this status only")
    sort: Literal["id", "-id"] = Field("-id", description="the newest first, or the oldest")
    page: int = Field(1, ge=1, le=1_000_000, description="which page, from 1 on")
    per_page: int = Field(100, ge=1, le=10_000, description="how many there are on a page")


class Page(Model):
    """One page of executions; `total` is how many there are on all of them."""

    data: list[Execution]
    page: int
    per_page: int
    total: int


# An id is whatever the table's column is; the type decides what can be one.
_THIS: Final = "(jsonb_populate_record(NULL::public.executions, jsonb_build_object('id', CAST(:id AS text)))).id"
_ONE: Final = text(f"SELECT to_jsonb(e) FROM public.executions AS e WHERE e.id = {_THIS}")  # noqa: S608 -- constants
_LOCKED: Final = text(f"{_ONE.text} FOR UPDATE")
_COLUMNS: Final = text("""
    SELECT a.attname FROM pg_catalog.pg_attribute AS a
     WHERE a.attrelid = to_regclass('public.executions') AND a.attnum > 0 AND NOT a.attisdropped
""")
# One that is given beside them is met again by the next one of the database's own.
_MAKES_IDS: Final = text("""
    SELECT a.atthasdef OR a.attidentity <> '' FROM pg_catalog.pg_attribute AS a
     WHERE a.attrelid = to_regclass('public.executions') AND a.attname = 'id'
""")
# Of those that are not over there are few; of those that are the newest row of the log knows how many.
_TOTAL: Final = text("""
    SELECT CASE CAST(:status AS text)
        WHEN 'PENDING' THEN l.executions_pending WHEN 'READY' THEN l.executions_ready
        WHEN 'FINISHED' THEN l.executions_finished WHEN 'FAILED' THEN l.executions_failed
        WHEN 'CANCELLED' THEN l.executions_cancelled
        WHEN 'RUNNING' THEN l.executions_running - cancelling.n WHEN 'CANCELLING' THEN cancelling.n
        ELSE l.executions_pending + l.executions_ready + l.executions_running + l.executions_finished
            + l.executions_failed + l.executions_cancelled END
      FROM (SELECT count(*) AS n FROM public.executions AS e WHERE e.status::text = 'CANCELLING') AS cancelling,
           (SELECT * FROM public.status_log ORDER BY id DESC LIMIT 1) AS l
""")


def operations(database: Database) -> Sequence[Operation]:
    """List, make, show, change and cancel."""
    asked = _Asked(database)
    one: Mapping[int, type[Model]] = {200: Execution}
    kept: Mapping[int, type[Model]] = {200: Execution, 409: Error}
    return (
        Operation("GET", PATH, "Executions, the newest first", asked.some, {200: Page}, query=Some),
        Operation("POST", PATH, "Make an execution", asked.make, {201: Execution, 409: Error}, body=New),
        Operation("GET", f"{PATH}/{{id}}", "One execution", asked.show, one, query=Which),
        Operation("PATCH", f"{PATH}/{{id}}", "Say how far it is", asked.change, kept, query=Which, body=Change),
        Operation("POST", f"{PATH}/{{id}}/cancel", "Cancel it", asked.cancel, kept, query=Which),
    )


class _Asked:
    """The answers, from one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def some(self, _request: Request, asked: Some) -> Answer:
        rows, total = await _some(self._database, asked)
        return Page(data=rows, page=asked.page, per_page=asked.per_page, total=total)

    async def make(self, _request: Request, new: New) -> Answer:
        given = {"name": new.name, "params": new.params, "status": new.status}
        values = {name: value for name, value in given.items() if value is not None}
        if double := values.keys() & new.columns.keys():
            raise RequestError(f"columns: {min(double)!r} is given twice; once is enough.", 409)
        async with self._database.writing() as connection:
            if "id" in new.columns and (await connection.execute(_MAKES_IDS)).scalar():
                raise RequestError("columns: 'id' is given by the database; leave it out.")
            return 201, _execution(await _inserted(connection, {**new.columns, **values}))

    async def show(self, _request: Request, which: Which) -> Answer:
        async with self._database.reading() as connection:
            return _execution(await _found(connection, which.id))

    async def change(self, _request: Request, which: Which, change: Change) -> Answer:
        values = change.model_dump(exclude_none=True)
        async with self._database.writing() as connection:
            found = await _found(connection, which.id, lock=True)
            return _execution(await _updated(connection, which.id, values) if values else found)

    async def cancel(self, _request: Request, which: Which) -> Answer:
        async with self._database.writing() as connection:
            found = await _found(connection, which.id, lock=True)
            try:
                status = cancelled(which.id, found["status"])
            except ExecutionError as error:
                raise RequestError(str(error), 409) from error
            if status != found["status"]:
                found = await _updated(connection, which.id, {"status": status})
            return _execution(found)


async def _some(database: Database, asked: Some) -> tuple[list[Execution], int]:
    where = "WHERE e.status = (jsonb_populate_record(NULL::public.executions, :wanted)).status" if asked.status else ""
    order = "DESC" if asked.sort[0] == "-" else "ASC"
    statement = f"SELECT to_jsonb(e) FROM public.executions AS e {where} ORDER BY e.id {order} LIMIT :n OFFSET :skip"  # noqa: S608
    async with database.reading() as connection:
        values: dict[str, Any] = {"n": asked.per_page, "skip": (asked.page - 1) * asked.per_page}
        if asked.status:
            values["wanted"] = _json({"status": asked.status})
        rows = (await connection.execute(text(statement), values)).scalars().all()
        total = (await connection.execute(_TOTAL, {"status": asked.status})).scalar_one_or_none()
    return [_execution(row) for row in rows], total or 0


async def _found(connection: AsyncConnection, identity: str, *, lock: bool = False) -> Mapping[str, Any]:
    missing = RequestError(f"There is no execution {identity!r}.", 404)
    try:
        found = (await connection.execute(_LOCKED if lock else _ONE, {"id": identity})).scalar_one_or_none()
    except DataError as error:  # the type of the column cannot hold it
        raise missing from error
    if found is None:
        raise missing
    row: Mapping[str, Any] = found
    return row


async def _inserted(connection: AsyncConnection, values: Mapping[str, Any]) -> Mapping[str, Any]:
    names = await _known(connection, values)
    columns, given = ", ".join(names), ", ".join(f"r.{name}" for name in names)
    statement = f"""
        INSERT INTO public.executions AS e ({columns})
        SELECT {given} FROM jsonb_populate_record(NULL::public.executions, :row) AS r RETURNING to_jsonb(e)
    """  # noqa: S608 -- quoted names of columns
    row: Mapping[str, Any] = (await connection.execute(text(statement), {"row": _json(values)})).scalar_one()
    return row


async def _updated(connection: AsyncConnection, identity: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
    names = await _known(connection, values)
    changes = ", ".join(f"{name} = r.{name}" for name in names)
    given = f"AND {GIVEN}" if "progress" in values else ""
    statement = f"""
        UPDATE public.executions AS e SET {changes}
          FROM jsonb_populate_record(NULL::public.executions, :row) AS r WHERE e.id = {_THIS} {given}
        RETURNING to_jsonb(e)
    """  # noqa: S608 -- quoted names of columns
    values = {"row": _json(values), "id": identity}
    row: Mapping[str, Any] = (await connection.execute(text(statement), values)).scalar_one()
    return row


async def _known(connection: AsyncConnection, values: Mapping[str, Any]) -> Sequence[str]:
    """The columns of these values, quoted; an adopted table need not have those that ours has."""
    known = set((await connection.execute(_COLUMNS)).scalars())
    for name in values:
        if name not in known:
            raise RequestError(f"The table executions has no column {name!r}; it has: {', '.join(sorted(known))}.", 409)
    return ['"{}"'.format(name.replace('"', '""').replace(":", "\\:")) for name in values]


def _json(values: Mapping[str, Any]) -> str:
    return compact(values).decode()


def _execution(row: Mapping[str, Any]) -> Execution:
    columns = {name: value for name, value in row.items() if name not in Execution.model_fields or name == "columns"}
    return Execution.model_validate({**stored(Execution, row), "columns": columns})
