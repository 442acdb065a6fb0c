"""Imports and queues: is any work not settled? One row, `system`, which the badge shows."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from stability import details
from stability.frames import SYSTEM
from stability.hints import PROGRESS_CHANNEL, STABILITY_CHANNEL
from stability.history import History
from stability.history import api as history_api
from stability.hub import Row
from stability.monitors.monitor import Look, Monitor, Reading
from stability.register import Seen
from stability.snapshot import Snapshot

# One statement is one snapshot; the clock is the database's.
_READ: Final = text("""
    SELECT clock_timestamp() AS as_of, pg_current_snapshot()::text AS snapshot, stability.armed() AS armed, a.*
      FROM (SELECT) AS one LEFT JOIN stability.read_activity() AS a ON true
""")


async def _read(connection: AsyncConnection, look: Look) -> Reading:
    found = (await connection.execute(_READ)).mappings().all()
    sources = {str(row["source"]): _source(row) for row in found if row["source"] is not None}
    due = [float(row["next_due"]) for row in found if row["next_due"] is not None]
    system = _system(look.listener, sources)
    seen = Seen(found[0]["armed"], Snapshot.parse(found[0]["snapshot"]), _IDLE[system.state])
    return Reading({SYSTEM[1]: system}, found[0]["as_of"], min(due, default=None), seen)


def _source(row: RowMapping) -> dict[str, object]:
    if row["error"] is not None:
        return {"active": None, "count": None, "error": row["error"]}
    more = {"more": True} if row["more"] else {}
    return {"active": row["active"], "count": row["count"], **more}


def _system(listener: str, sources: Mapping[str, Mapping[str, object]]) -> Row:
    active = [source["active"] for source in sources.values()]
    # An active source is proof enough; a broken one hides whether there is another.
    stable = False if True in active else None if None in active else True
    return Row(_STATES[stable], {"stable": stable, "listener": listener, "sources": sources})


_STATES: Final = {True: "stable", False: "processing", None: "unknown"}
_IDLE: Final = {state: stable for stable, state in _STATES.items()}


def _unproven(listener: str) -> Mapping[str, Row]:
    return {SYSTEM[1]: Row("unknown", {"stable": None, "listener": listener, "sources": {}})}


MONITOR: Final = Monitor(
    name="jobs",
    title="Jobs",
    topic=SYSTEM[0],
    read=_read,
    channels=(STABILITY_CHANNEL, PROGRESS_CHANNEL),
    unproven=_unproven,
    works=lambda row: row.state == "processing",
    operations=lambda around: [*details.operations(around.database), *history_api.operations(around.database)],
    duties=lambda around: History(around.hub, around.database, around.settings.history_days).duties,
)
