"""Applications: one row each, as their containers were seen last, by one of the servers, which follows the engine."""

from collections.abc import Sequence
from typing import Final
from weakref import WeakKeyDictionary

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from stability.applications import api
from stability.applications.figures import Figures
from stability.applications.refresh import Applications
from stability.applications.rows import TABLE
from stability.applications.watcher import Watcher
from stability.duty import Duty
from stability.http.odd import understood
from stability.hub import Hub, Row
from stability.monitors.monitor import Around, Look, Monitor, Reading, woken

TOPIC: Final = "applications"
_READ: Final = text("""
    SELECT clock_timestamp() AS as_of, coalesce(json_agg(to_jsonb(a) - 'metadata_json'), '[]') AS found
      FROM public.generated_applications AS a
     WHERE CAST(:keys AS text[]) IS NULL OR a.id::text = ANY(CAST(:keys AS text[]))
""")
# What requests and the duty of one server share: the engine's connections and the figures.
_PARTS: Final[WeakKeyDictionary[Hub, Applications]] = WeakKeyDictionary()


async def _read(connection: AsyncConnection, look: Look) -> Reading:
    keys = None if look.keys is None else sorted(look.keys)
    found = (await connection.execute(_READ, {"keys": keys})).mappings().one()
    fresh = look.settings.application_fresh_minutes
    items = understood(TABLE, lambda row: api.item(row, fresh), found["found"])
    rows = {str(item.id): Row(item.container_status, item.model_dump(mode="json")) for item in items}
    return Reading(rows, found["as_of"])


def _applications(around: Around) -> Applications:
    if around.hub not in _PARTS:
        _PARTS[around.hub] = Applications(around.database, around.settings, Figures(around.registry))
    return _PARTS[around.hub]


def _duties(around: Around) -> Sequence[Duty]:
    if not around.settings.docker_host:
        return []
    return [Duty("applications: engine", lambda: _watch(around))]


async def _watch(around: Around) -> None:
    """Follow the engine; a change that the refresher has read may be a new application."""
    applications = _applications(around)
    if applications.engine:
        watcher = Watcher(applications, applications.engine)
        with around.hub.subscribe(woken(around.hub, TOPIC, watcher.wake)):
            await watcher.run()


MONITOR: Final = Monitor(
    name="applications",
    title="Applications",
    topic=TOPIC,
    read=_read,
    operations=lambda around: api.operations(_applications(around)),
    duties=_duties,
)
