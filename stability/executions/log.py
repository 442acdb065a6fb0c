"""`GET /api/v1/status`: the log of executions, row by row, or the last row of each hour, day, week or month.

The counts of a row are a snapshot: they are never added up. What can be added up are transitions.
"""

from datetime import datetime, timedelta
from typing import Any, Final, Literal

from pydantic import Field
from sqlalchemy import text
from starlette.requests import Request

from stability.database import Database
from stability.http.operations import Answer, Flag, Model, Moment, Operation, stored

PERIODS: Final = {
    "last_day": timedelta(days=1),
    "last_week": timedelta(weeks=1),
    "last_month": timedelta(days=30),
    "last_year": timedelta(days=365),
    "all": None,
}


class Counts(Model):
    """How many executions were in each status; one that is cancelling still runs."""

    executions_pending: int
    executions_ready: int
    executions_running: int
    executions_finished: int
    executions_failed: int
    executions_cancelled: int


class Transition(Counts):
    """One row of the log: which execution went from what to what, and the counts with it."""

    id: int
    timestamp: Moment | None
    status_from: str | None
    status_to: str | None
    execution_id: int | str | None
    name: str | None = Field(description="of the execution, as long as that is there")


class Bucket(Counts):
    """The last counts in one hour, day, week or month, which began at `timestamp`, and how much happened in it."""

    timestamp: Moment
    transitions: int


class Page(Model):
    """One page of the log; `total` is how many rows, or buckets, there are on all of them."""

    data: list[Transition] | list[Bucket]
    page: int
    per_page: int
    total: int


class Which(Model):
    """Which part of the log, and how."""

    start_date: Moment | None = Field(None, description="not before this")
    end_date: Moment | None = Field(None, description="before this, or at it")
    period: Literal["last_day", "last_week", "last_month", "last_year", "all"] = Field(
        "all", description="not before a day, 7, 30 or 365 days ago"
    )
    sort: Literal["timestamp", "-timestamp"] = Field("-timestamp", description="the newest first, or the oldest")
    page: int = Field(1, ge=1, le=1_000_000, description="which page, from 1 on")
    per_page: int = Field(100, ge=1, le=10_000, description="how many there are on a page")
    aggregate: Flag = Field(False, description="the last counts of each bucket instead of every row")
    group_by: Literal["hour", "day", "week", "month"] = Field("hour", description="buckets, aligned to UTC")


# Whose change a row is, with the name that its execution has now.
NAMED: Final = """to_jsonb(l) || jsonb_build_object('name', (
                    SELECT to_jsonb(e) ->> 'name' FROM public.executions AS e WHERE e.id = l.execution_id))"""
# Only what is asked for is a condition, so that its end is found by the index; it is a constant of this one statement.
_ASKED: Final = """
    part AS NOT MATERIALIZED (SELECT l.* FROM public.status_log AS l WHERE {where})
"""
_SINCE: Final = 'l."timestamp" >= greatest(CAST(:start AS timestamptz), now() - CAST(:age AS interval))'
_UNTIL: Final = 'l."timestamp" <= CAST(:end AS timestamptz)'
_ROWS: Final = f"""
    WITH {_ASKED}
    SELECT (SELECT count(*) FROM part) AS total,
           (SELECT coalesce(json_agg({NAMED}), '[]') FROM (
                SELECT * FROM part ORDER BY "timestamp" {{order}}, id {{order}} LIMIT :limit OFFSET :offset
           ) AS l) AS data
"""  # noqa: S608 -- constants
# The last row of a bucket is found by the index, without reading the others; that it has one is known.
_BUCKETS: Final = f"""
    WITH {_ASKED}, found AS (
        SELECT date_trunc(:unit, "timestamp" AT TIME ZONE 'UTC') AS bucket,
               count(*) FILTER (WHERE status_from IS NOT NULL OR status_to IS NOT NULL) AS transitions
          FROM part GROUP BY 1
    ), page AS (
        SELECT * FROM found ORDER BY bucket {{order}} LIMIT :limit OFFSET :offset
    )
    SELECT (SELECT count(*) FROM found) AS total,
           (SELECT coalesce(json_agg(to_jsonb(last) || jsonb_build_object(
                    'timestamp', p.bucket AT TIME ZONE 'UTC', 'transitions', p.transitions
                ) ORDER BY p.bucket {{order}}), '[]')
              FROM page AS p CROSS JOIN LATERAL (
                SELECT * FROM part AS l
                 WHERE l."timestamp" >= p.bucket AT TIME ZONE 'UTC'
                   AND l."timestamp" < (p.bucket + CAST('1 ' || :unit AS interval)) AT TIME ZONE 'UTC'
                 ORDER BY l."timestamp" DESC, l.id DESC LIMIT 1) AS last) AS data
"""  # noqa: S608 -- constants


def operations(database: Database) -> tuple[Operation, ...]:
    """The one operation."""

    async def status(_request: Request, which: Which) -> Answer:
        found = await _read(database, which)
        kind = Bucket if which.aggregate else Transition
        data = [kind.model_validate(stored(kind, row)) for row in found["data"]]
        return Page(data=data, page=which.page, per_page=which.per_page, total=found["total"])  # type: ignore[arg-type]

    summary = "The log of executions: every change of status with the counts after it"
    return (Operation("GET", "/api/v1/status", summary, status, {200: Page}, query=Which),)


async def _read(database: Database, which: Which) -> Any:
    age = PERIODS[which.period]
    ends = [_SINCE] if which.start_date or age else []
    ends += [_UNTIL] if which.end_date else []
    order = "DESC" if which.sort[0] == "-" else "ASC"
    statement = (_BUCKETS if which.aggregate else _ROWS).format(order=order, where=" AND ".join(ends) or "true")
    values: dict[str, str | int | datetime | timedelta | None] = {
        "start": which.start_date,
        "end": which.end_date,
        "age": age,
        "limit": which.per_page,
        "offset": (which.page - 1) * which.per_page,
    }
    if which.aggregate:
        values["unit"] = which.group_by
    async with database.reading() as connection:
        return (await connection.execute(text(statement), values)).mappings().one()
