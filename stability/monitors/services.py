"""Services: one row each, as Consul shows it, and one row, `consul`, that says as of when they all are so."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from stability.duty import Duty
from stability.hub import Row
from stability.monitors.monitor import Around, Look, Monitor, Reading
from stability.retention import retention
from stability.services import api
from stability.services.observer import Observer

TOPIC: Final = "services"
CONSUL: Final = "consul"  # no service's key, since those have a colon


async def _read(connection: AsyncConnection, look: Look) -> Reading:
    found = await api.read(connection, look.keys)
    rows = {str(row["key"]): _row(row, look) for row in found.services}
    if look.keys is None or CONSUL in look.keys:
        consul = api.consul(found, look.settings)
        nobody = not consul.configured and consul.observed_at is None  # asks, and nobody ever did: that is no trouble
        rows[CONSUL] = Row("ok" if consul.available or nobody else "unknown", consul.model_dump(mode="json"))
    return Reading(rows, found.as_of)


def _row(row: Mapping[str, Any], look: Look) -> Row:
    # That it is still so `consul` says of all of them at once: a thousand rows are not told anew each minute.
    item = api.item(row, look.settings).model_dump(mode="json", exclude={"observed_at", "stale_after"})
    return Row(str(row["status"]), {**item, "checks": row["checks"]})


def _duties(around: Around) -> Sequence[Duty]:
    settings = around.settings
    asked = [Duty("services: consul", Observer(around.database, settings).run)] if settings.consul_http_addr else []
    return [*asked, *retention("services", around.database, "prune_services", settings.service_history_days)]


MONITOR: Final = Monitor(
    name="services",
    title="Services",
    topic=TOPIC,
    read=_read,
    operations=lambda around: api.operations(around.database, around.settings),
    duties=_duties,
)
