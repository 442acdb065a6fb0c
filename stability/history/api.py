"""`GET /api/system-status/history`: how much of each part of the last 24 hours the system was stable."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field
from sqlalchemy import text
from starlette.requests import Request

from stability.database import Database
from stability.http.operations import Answer, Model, Moment, Operation
from stability.shared import Shared

HOURS: Final = 24
# While a server is on duty the newest row is at most a beat old: what is not written yet is not unknown.
_WRITTEN: Final = 45  # seconds

# Each row is dealt out to the slots that it covers, whose grid is UTC's. Parts that no row covers nobody vouches for.
_READ: Final = text("""
    WITH grid AS (
        SELECT extract(epoch FROM n.now) AS now, 60 * CAST(:granularity AS integer) AS slot,
               (floor(extract(epoch FROM n.now) / (60 * :granularity)) + 1 - :slots) * 60 * :granularity AS first,
               coalesce((SELECT max(t.until) FROM stability.transition AS t), n.now) AS told
          FROM (SELECT now()) AS n
    ), span AS (
        SELECT g.*, CASE WHEN g.now - extract(epoch FROM g.told) BETWEEN 0 AND :written
                         THEN extract(epoch FROM g.told) ELSE g.now END AS last
          FROM grid AS g
    ), row AS (
        SELECT t.state, greatest(extract(epoch FROM t.began), s.first) AS began,
               least(extract(epoch FROM t.until), s.last) AS until
          FROM span AS s, stability.transition AS t
         WHERE t.began >= coalesce((SELECT max(o.began) FROM stability.transition AS o
                                     WHERE o.began <= to_timestamp(s.first)), '-infinity')
           AND t.until > to_timestamp(s.first)
    ), part AS (
        SELECT p.start, r.state, sum(least(r.until, p.start + s.slot) - greatest(r.began, p.start)) AS seconds
          FROM span AS s, row AS r, LATERAL (
              SELECT s.slot * generate_series(floor(r.began / s.slot)::bigint, floor(r.until / s.slot)::bigint)
          ) AS p (start)
         WHERE r.until > p.start
         GROUP BY p.start, r.state
    )
    SELECT to_timestamp(s.now) AS as_of, to_timestamp(p.start) AS timestamp,
           least(s.slot, greatest(s.last - p.start, 0)) AS seconds,
           coalesce((SELECT seconds FROM part WHERE start = p.start AND state = 'stable'), 0) AS stable,
           coalesce((SELECT seconds FROM part WHERE start = p.start AND state = 'processing'), 0) AS processing
      FROM span AS s, LATERAL (
          SELECT s.first + s.slot * generate_series(0, CAST(:slots AS integer) - 1)
      ) AS p (start)
     ORDER BY p.start
""")


class Slot(Model):
    """How many percent of the slot that began at `timestamp` the badge was what, to one decimal."""

    timestamp: Moment
    stable: float
    processing: float
    unknown: float


class History(Model):
    """The last 24 hours in slots aligned to UTC, oldest first; the last one is not over yet."""

    granularity: int
    as_of: Moment
    data: list[Slot]


def _number(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isdecimal() else value


class Query(Model):
    """How long a slot is, in minutes."""

    granularity: Annotated[Literal[5, 15, 30, 60], BeforeValidator(_number)] = Field(
        15, description="minutes of a slot"
    )


def operations(database: Database) -> Sequence[Operation]:
    """The one operation; whoever asks at the same time shares an answer."""
    shared = {minutes: Shared(partial(read, database, minutes)) for minutes in (5, 15, 30, 60)}

    async def history(_request: Request, query: Query) -> Answer:
        return History.model_validate(await shared[query.granularity]())

    summary = "How much of each part of the last 24 hours the badge was stable, processing or unknown"
    return [Operation("GET", "/api/system-status/history", summary, history, {200: History}, query=Query)]


async def read(database: Database, granularity: int) -> dict[str, object]:
    """What the answer says."""
    asked = {"granularity": granularity, "slots": HOURS * 60 // granularity, "written": _WRITTEN}
    async with database.reading() as connection:
        found = (await connection.execute(_READ, asked)).mappings().all()
    as_of: datetime = found[0]["as_of"]
    data = [
        _slot(row["timestamp"], float(row["seconds"]), float(row["stable"]), float(row["processing"])) for row in found
    ]
    return {"granularity": granularity, "as_of": as_of, "data": data}


def _slot(timestamp: datetime, seconds: float, stable: float, processing: float) -> Slot:
    if not seconds:
        return Slot(timestamp=timestamp, stable=0, processing=0, unknown=100)
    parts = [round(100 * part / seconds, 1) for part in (stable, processing)]
    return Slot(timestamp=timestamp, stable=parts[0], processing=parts[1], unknown=max(0, round(100 - sum(parts), 1)))
