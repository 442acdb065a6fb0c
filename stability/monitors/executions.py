"""Executions: how many are in each status now, and which went from what to what lately. One row, `log`."""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from math import inf
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from stability.duty import Duty
from stability.executions import api as executions_api
from stability.executions import log as status_log
from stability.executions.log import NAMED, Transition
from stability.frames import compact, timestamp
from stability.http.operations import stored
from stability.hub import Row
from stability.monitors.monitor import Around, Look, Monitor, Reading
from stability.retention import retention

LATEST: Final = 20  # transitions that are told with the counts
SWEEP: Final = 15.0  # seconds between two looks for executions that are overdue
THOROUGH: Final = 3600.0  # seconds between two looks that go over all that is under way, not only what came since
BATCH: Final = 1000  # rows that one transaction of a sweep changes at most
STATUSES: Final = ("pending", "ready", "running", "finished", "failed", "cancelled")
KEY: Final = ("executions", "log")

# One statement is one snapshot: the newest row has the counts, whatever the table's size.
_READ: Final = text(f"""
    SELECT clock_timestamp() AS as_of,
           (SELECT coalesce(json_agg(r.told ORDER BY r.id DESC), '[]') FROM (
                SELECT {NAMED} AS told, l.id FROM public.status_log AS l ORDER BY l.id DESC LIMIT :latest
           ) AS r) AS log
""")  # noqa: S608 -- constants
_EXPIRE: Final = text("""
    SELECT statement_timestamp() AS looked, count(e.status_to) AS ended, count(*) - count(e.status_to) AS passed_over
      FROM stability.expire_executions(
           CAST(:deadlines AS jsonb), :grace, :cancelling, :batch, CAST(:seen AS timestamptz)) AS e
""")


async def _read(connection: AsyncConnection, _look: Look) -> Reading:
    found = (await connection.execute(_READ, {"latest": LATEST})).mappings().one()
    log = found["log"]
    newest = log[0] if log else {}
    counts = {status: newest.get(f"executions_{status}", 0) for status in STATUSES}
    busy = counts["pending"] or counts["ready"] or counts["running"]
    fields = {"counts": counts, "latest": [_told(row) for row in log]}
    return Reading({KEY[1]: Row("processing" if busy else "ok", fields)}, found["as_of"])


def _told(row: dict[str, Any]) -> dict[str, object]:
    moved = Transition.model_validate(stored(Transition, row))
    return {
        "id": moved.id,
        "timestamp": moved.timestamp and timestamp(moved.timestamp),
        "execution_id": moved.execution_id,
        "name": moved.name,
        "status_from": moved.status_from,
        "status_to": moved.status_to,
    }


def _duties(around: Around) -> Sequence[Duty]:
    settings = around.settings
    cancelling = timedelta(seconds=settings.execution_cancelling_seconds)
    expiry = {
        "deadlines": compact(
            {status: f"{seconds} seconds" for status, seconds in settings.execution_deadlines}
        ).decode(),
        "grace": timedelta(seconds=settings.execution_grace_seconds),
        "cancelling": cancelling or None,
        "batch": BATCH,
    }

    async def expire() -> None:
        seen, thorough = None, -inf
        while True:
            if time.monotonic() >= thorough + THOROUGH:
                seen, thorough = None, time.monotonic()
            if _unfinished(around):
                seen = await _expire(around, expiry, seen)
            await asyncio.sleep(SWEEP)

    kept = retention("executions", around.database, "prune_status_log", settings.execution_log_days)
    return [Duty("executions: deadlines", expire), *kept]


def _unfinished(around: Around) -> bool:
    """Whether anything can be overdue, as far as is known."""
    change = around.hub.latest(*KEY)
    return change is None or change.row is None or change.row.state == "processing"


async def _expire(around: Around, values: dict[str, Any], seen: datetime | None) -> datetime | None:
    """The moment at which all was seen that was overdue: now, unless somebody was just changing some of it."""
    looked, complete, ended = None, True, BATCH
    while ended >= BATCH:
        async with around.database.writing() as connection:
            found = (await connection.execute(_EXPIRE, {**values, "seen": seen})).mappings().one()
        looked, complete, ended = looked or found["looked"], complete and not found["passed_over"], found["ended"]
    return looked if complete else seen


MONITOR: Final = Monitor(
    name="executions",
    title="Executions",
    topic=KEY[0],
    read=_read,
    operations=lambda around: [*executions_api.operations(around.database), *status_log.operations(around.database)],
    duties=_duties,
)
