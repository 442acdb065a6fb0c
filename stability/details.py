"""The details behind the badge: what is in progress now, from one snapshot, read only when somebody opens them."""

import asyncio
from collections.abc import Sequence
from typing import Final, TypeAlias

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from stability.database import Database, answered, reason
from stability.http.operations import Error, Model, Operation
from stability.shared import Shared

SHOWN: Final = 100  # rows of each kind; the totals beside them are exact
DEADLINE: Final = 5.0  # seconds until a database that does not answer is called away
_FAILED: Final = {"error": "Failed to fetch status details"}

# `count_active` is exact and may take long on a huge backlog: the statement timeout bounds it.
_DETAILS: Final = text("""
    SELECT (SELECT coalesce(json_agg(job ORDER BY n), '[]')
              FROM stability.import_jobs_in_progress(:shown) WITH ORDINALITY j(job, n)) AS import_jobs,
           (SELECT coalesce(json_agg(task ORDER BY n), '[]')
              FROM stability.analytics_tasks_in_progress(:shown) WITH ORDINALITY t(task, n)) AS analytics_tasks,
           stability.count_active('import_job') AS import_jobs_total,
           stability.count_active('analytics_tasks') AS analytics_tasks_total,
           coalesce(public.is_system_stable(), false) AS system_stable,
           (SELECT coalesce(json_agg(json_build_object('source', u.source, 'id', u.id, 'since', to_char(
                       u.since AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'seconds', u.seconds)), '[]')
              FROM (SELECT * FROM stability.unchanged(:shown) ORDER BY since, source LIMIT :shown) u) AS unchanged
""")

Answer = dict[str, object]

_log = structlog.get_logger(__name__)


async def read(database: Database) -> Answer:
    """What is in progress, as `GET /api/system-status/details` tells it."""
    async with asyncio.timeout(DEADLINE), database.snapshot() as connection:
        return dict((await connection.execute(_DETAILS, {"shown": SHOWN})).mappings().one())


# Adopted tables have the types that their owners chose.
Value: TypeAlias = int | float | str | None


class Job(Model):
    """An import in progress."""

    id: Value
    slug: str | None
    state: str | None
    priority: Value
    total_rows: Value
    imported_rows: Value
    progress_pct: float | None


class Task(Model):
    """A task in progress."""

    id: Value
    command: str | None
    state: str | None
    created_at: str | None
    duration_ms: Value


class Unchanged(Model):
    """An active row of a watched table that nobody has written since then, or for longer."""

    source: str
    id: Value
    since: str
    seconds: int


class Details(Model):
    """What is in progress: the first of each kind, and how many there are in all."""

    import_jobs: list[Job]
    analytics_tasks: list[Task]
    import_jobs_total: int
    analytics_tasks_total: int
    system_stable: bool
    unchanged: list[Unchanged]


def operations(database: Database) -> Sequence[Operation]:
    """`GET /api/system-status/details`."""
    shared = Shared(lambda: read(database))

    async def details(_request: Request) -> Response:
        try:
            return JSONResponse(await shared(), headers={"Cache-Control": "no-store"})
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            if answered(error):
                _log.warning("details: the database refused", reason=reason(error))
                return JSONResponse(_FAILED, 500)
            _log.warning("details: the database is away", reason=reason(error))
            return JSONResponse(_FAILED, 503, headers={"Retry-After": "5"})

    path, summary = "/api/system-status/details", "What is in progress behind the badge"
    return [Operation("GET", path, summary, details, {200: Details, 500: Error})]
