"""The table of applications, read and written: who asked the engine last is believed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from stability.database import Database, reason
from stability.http.odd import understood
from stability.http.operations import Model, Moment, stored

TABLE: Final = "generated_applications"
_ALL: Final = text("""
    SELECT clock_timestamp() AS asked,
           coalesce(json_agg(to_jsonb(a) ORDER BY a.model_slug, a.app_number), '[]') AS found
      FROM public.generated_applications AS a
""")
_ONE: Final = text("""
    SELECT clock_timestamp() AS asked, (
        SELECT json_build_array(to_jsonb(a)) FROM public.generated_applications AS a
         WHERE a.model_slug = :slug AND a.app_number::text = :number
         ORDER BY a.last_status_check DESC NULLS LAST, a.id LIMIT 1) AS found
""")
_NEVER_CHECKED: Final = text("""
    SELECT EXISTS (SELECT FROM public.generated_applications WHERE last_status_check IS NULL)
""")
# The metadata may be json, jsonb or text; locked in the order of the ids, so that two who write them end neither.
_WRITE: Final = text("""
    WITH seen AS (
        SELECT s.* FROM jsonb_to_recordset(CAST(:seen AS jsonb)) AS s (id text, status text, docker jsonb)
    ), held AS MATERIALIZED (
        SELECT a.id, s.status, s.docker FROM public.generated_applications AS a JOIN seen AS s ON s.id = a.id::text
         ORDER BY a.id FOR NO KEY UPDATE OF a
    )
    UPDATE public.generated_applications AS a
       SET container_status = h.status, last_status_check = CAST(:asked AS timestamptz),
           metadata_json = coalesce((jsonb_populate_record(NULL::public.generated_applications, jsonb_build_object(
               'metadata_json', stability.with_engine(a.metadata_json::text, h.docker)))).metadata_json,
               a.metadata_json)
      FROM held AS h
     WHERE a.id = h.id AND (a.last_status_check IS NULL OR a.last_status_check > clock_timestamp()
            OR a.last_status_check < CAST(:asked AS timestamptz))
""")

_log = structlog.get_logger(__name__)


class Application(Model):
    """An application as the table has it."""

    id: int | str
    model_slug: str
    app_number: int
    container_status: str | None
    last_status_check: Moment | None
    metadata_json: Any

    @property
    def status(self) -> str:
        """As it was seen last."""
        return self.container_status or "unknown"

    @property
    def containers(self) -> Sequence[Mapping[str, Any]]:
        """Its containers, as the engine listed them last."""
        metadata = self.metadata_json
        try:
            metadata = json.loads(metadata) if isinstance(metadata, str) else metadata
        except (ValueError, RecursionError):
            return []
        listed = metadata.get("docker") if isinstance(metadata, dict) else None
        return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


@dataclass(frozen=True, slots=True)
class Found:
    """Applications, and the moment by the database's clock at which they were asked for."""

    asked: datetime
    applications: Sequence[Application]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the engine said of one."""

    application: Application
    status: str
    containers: Sequence[Mapping[str, object]]


async def listed(database: Database) -> tuple[datetime, Sequence[Mapping[str, Any]]]:
    """The moment, and every row as it stands there."""
    async with database.reading() as connection:
        row = (await connection.execute(_ALL)).mappings().one()
    return row["asked"], row["found"]


async def everything(database: Database) -> Found:
    """All of them."""
    return await _found(database, _ALL, {})


async def find(database: Database, model_slug: str, app_number: int) -> Found:
    """That one, if there is one; where a table of somebody else's has several rows of it, the one checked last."""
    return await _found(database, _ONE, {"slug": model_slug, "number": str(app_number)})


async def _found(database: Database, statement: Any, values: Mapping[str, Any]) -> Found:
    async with database.reading() as connection:
        row = (await connection.execute(statement, values)).mappings().one()
    parse = Application.model_validate
    return Found(row["asked"], understood(TABLE, lambda one: parse(stored(Application, one)), row["found"] or ()))


async def has_new(database: Database) -> bool:
    """Whether one was never checked."""
    async with database.reading() as connection:
        return bool((await connection.execute(_NEVER_CHECKED)).scalar_one())


async def update_container_status(database: Database, seen: Sequence[Seen], asked: datetime) -> int:
    """Write what was seen at the moment `asked`, unless somebody asked later; how many could not be written.

    All in one statement; where the database refuses that for one of them, each by itself.
    """
    try:
        await _write(database, seen, asked)
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        if len(seen) == 1:
            one = seen[0].application
            _log.warning("an application cannot be written", application=one.id, reason=reason(error))
            return 1
        return sum([await update_container_status(database, [one], asked) for one in seen])
    return 0


async def _write(database: Database, seen: Sequence[Seen], asked: datetime) -> None:
    if seen:
        told = [{"id": str(s.application.id), "status": s.status, "docker": list(s.containers)} for s in seen]
        async with database.writing() as connection:
            await connection.execute(_WRITE, {"seen": json.dumps(told), "asked": asked})
