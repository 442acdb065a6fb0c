"""The details behind the badge: what is in progress now, from one snapshot, read only when somebody opens them."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from sqlalchemy import text
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from stability.database import Database, reason

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
           public.is_system_stable() AS system_stable
""")

_log = structlog.get_logger(__name__)


async def read(database: Database) -> dict[str, object]:
    """What is in progress, as `GET /api/system-status/details` tells it."""
    async with asyncio.timeout(DEADLINE), database.snapshot() as connection:
        return dict((await connection.execute(_DETAILS, {"shown": SHOWN})).mappings().one())


def routes(database: Database) -> Sequence[BaseRoute]:
    """`GET /api/system-status/details`."""

    async def details(_request: Request) -> Response:
        try:
            return JSONResponse(await read(database), headers={"Cache-Control": "no-store"})
        except (OperationalError, PoolTimeoutError, OSError, TimeoutError) as error:
            _log.warning("details: the database is away", reason=reason(error))
            return JSONResponse(_FAILED, 503, headers={"Retry-After": "5"})
        except SQLAlchemyError as error:
            _log.warning("details: the database refused", reason=reason(error))
            return JSONResponse(_FAILED, 500)

    return [Route("/api/system-status/details", details)]
