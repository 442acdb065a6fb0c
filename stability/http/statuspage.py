"""The summary of all monitors in the shape that Statuspage made common, for programs that know it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

from starlette.requests import Request

from stability.http.operations import Answer, Model, Moment, Operation
from stability.hub import Hub
from stability.levels import Level, level_at, worst
from stability.monitors import Monitor

Indicator: TypeAlias = Literal["none", "minor", "major"]
Operating: TypeAlias = Literal["operational", "degraded_performance", "partial_outage"]

# Statuspage knows no "unknown": what is not known, or old, is never told as operational.
_INDICATORS: Final[Mapping[Level, tuple[Indicator, str]]] = {
    "ok": ("none", "All Systems Operational"),
    "processing": ("none", "All Systems Operational, Work In Progress"),
    "unknown": ("minor", "Status Partly Unknown"),
    "warning": ("minor", "Minor Trouble"),
    "critical": ("major", "Partial System Outage"),
}
_COMPONENTS: Final[Mapping[Level, Operating]] = {
    "ok": "operational",
    "processing": "operational",
    "unknown": "degraded_performance",
    "warning": "degraded_performance",
    "critical": "partial_outage",
}


class Page(Model):
    """Whose summary it is."""

    id: Literal["stability"] = "stability"
    name: Literal["Stability"] = "Stability"
    url: str
    time_zone: Literal["Etc/UTC"] = "Etc/UTC"
    updated_at: Moment


class Worst(Model):
    """The worst of all monitors."""

    indicator: Indicator
    description: str


class Component(Model):
    """One monitor."""

    id: str
    name: str
    status: Operating
    position: int
    updated_at: Moment
    page_id: Literal["stability"] = "stability"


class Status(Model):
    """All monitors in one word, in Statuspage's shape."""

    page: Page
    status: Worst


class Summary(Status):
    """The same, and each of them."""

    components: list[Component]
    incidents: tuple[()] = ()
    scheduled_maintenances: tuple[()] = ()


def operations(hub: Hub, monitors: Sequence[Monitor], public_url: str | None) -> Sequence[Operation]:
    """`/api/v2/status.json` and `/api/v2/summary.json`."""

    async def status(request: Request) -> Answer:
        return _whole(request)

    async def summary(request: Request) -> Answer:
        now = datetime.now(UTC)
        components = [
            Component(
                id=monitor.name,
                name=monitor.title,
                status=_COMPONENTS[_level(hub, monitor, now)],
                position=position,
                updated_at=hub.observed.get(monitor.topic, now),
            )
            for position, monitor in enumerate(monitors, 1)
        ]
        return Summary(**dict(_whole(request)), components=components)

    def _whole(request: Request) -> Status:
        now = datetime.now(UTC)
        indicator, description = _INDICATORS[worst(_level(hub, monitor, now) for monitor in monitors)]
        page = Page(url=public_url or str(request.base_url).rstrip("/"), updated_at=now)
        return Status(page=page, status=Worst(indicator=indicator, description=description))

    brief, long = "The worst of all monitors, in Statuspage's shape", "Every monitor, in Statuspage's shape"
    return [
        Operation("GET", "/api/v2/status.json", brief, status, {200: Status}, tag="Badge", asks=False),
        Operation("GET", "/api/v2/summary.json", long, summary, {200: Summary}, tag="Badge", asks=False),
    ]


def _level(hub: Hub, monitor: Monitor, now: datetime) -> Level:
    """The worst of its rows, as far as it may still be claimed; while nothing proves what was read, none is known."""
    if monitor.topic in hub.unproven:
        return "unknown"
    return worst(level_at(row.state, row.fields, now) for row in hub.rows(monitor.topic))
