"""Deployments: one row each, as its health was seen last, by one of the servers, which also brings new ones to life."""

import asyncio
from collections.abc import Sequence
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from stability.deployments import api
from stability.deployments.allow import Allow
from stability.deployments.api import Item
from stability.deployments.machines import Machines
from stability.deployments.monitor import HealthMonitor
from stability.deployments.outbound import Outbound
from stability.duty import Duty
from stability.http.odd import understood
from stability.hub import Row
from stability.monitors.monitor import Around, Look, Monitor, Reading, woken

TOPIC: Final = "deployments"
_READ: Final = text(f"""
    SELECT clock_timestamp() AS as_of, coalesce(json_agg({api.ITEM}), '[]') AS found FROM public.deployments AS d
     WHERE CAST(:keys AS text[]) IS NULL OR d.id::text = ANY(CAST(:keys AS text[]))
""")  # noqa: S608 -- constants


async def _read(connection: AsyncConnection, look: Look) -> Reading:
    keys = None if look.keys is None else sorted(look.keys)
    found = (await connection.execute(_READ, {"keys": keys})).mappings().one()
    items = understood(TOPIC, lambda row: api.item(row, look.settings), found["found"])
    return Reading({str(item.id): _row(item) for item in items}, found["as_of"])


def _row(item: Item) -> Row:
    return Row(item.status, item.model_dump(mode="json"))


def _duties(around: Around) -> Sequence[Duty]:
    return [Duty("deployments: health", lambda: _watch(around))]


async def _watch(around: Around) -> None:
    """Bring them to life and look at them; a change that the refresher has read may be a new one."""
    settings = around.settings
    machines = Machines.of(settings)
    outbound = Outbound(Allow.parse(settings.probe_allow, settings.probe_template))
    try:
        monitor = HealthMonitor(around.database, machines, outbound, settings)
        with around.hub.subscribe(woken(around.hub, TOPIC, monitor.wake)):
            await monitor.run()
    finally:
        await asyncio.gather(outbound.close(), *([machines.close()] if machines else []))


MONITOR: Final = Monitor(
    name="deployments",
    title="Deployments",
    topic=TOPIC,
    read=_read,
    operations=lambda around: api.operations(around.database, around.settings),
    duties=_duties,
)
