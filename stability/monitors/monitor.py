"""The shape that every monitor has: what differs between them, as one frozen value."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncConnection

from stability.database import Database
from stability.duty import Duty
from stability.http.operations import Operation
from stability.hub import Hub, Row
from stability.register import Seen
from stability.settings import Settings


@dataclass(frozen=True, slots=True)
class Look:
    """What to read: all keys (None) or those that hints named; how the server hears of changes now; its settings."""

    keys: frozenset[str] | None
    listener: str
    settings: Settings


@dataclass(frozen=True, slots=True)
class Reading:
    """What one snapshot showed. With `Look.keys` given, a key that is not in `rows` is gone."""

    rows: Mapping[str, Row]
    as_of: datetime
    next_due: float | None = None  # seconds until the answer changes without any write
    seen: Seen | None = None  # of the register, where one gates the hints


def _nothing(_listener: str) -> Mapping[str, Row]:
    return {}


def _stands(_row: Row) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Around:
    """What the operations and duties of a monitor work with; `hub` is what the refreshers have read, to be followed.

    `registry` takes figures of their own, which `/metrics` shows.
    """

    database: Database
    settings: Settings
    hub: Hub
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)


@dataclass(frozen=True, slots=True)
class Monitor:
    """One system that is watched: a topic of the stream, how its rows are read, what may be asked, what is to be done.

    Operations and duties only read and write tables: the database tells the rest.
    """

    name: str
    title: str
    topic: str
    read: Callable[[AsyncConnection, Look], Awaitable[Reading]]
    channels: Sequence[str] = ()  # NOTIFY channels of its own, beside `stability_change`
    unproven: Callable[[str], Mapping[str, Row]] = _nothing  # rows to show while nothing proves the last ones
    works: Callable[[Row], bool] = _stands  # whether details behind the row progress, which only a look at them shows
    operations: Callable[[Around], Sequence[Operation]] = field(default=lambda _around: ())
    duties: Callable[[Around], Sequence[Duty]] = field(default=lambda _around: ())


def woken(hub: Hub, topic: str, wake: Callable[[], None]) -> Callable[[], None]:
    """For `hub.subscribe`: calls `wake` when rows of `topic` were read again; what else it tells is no news."""
    seen = hub.observed.get(topic)

    def look() -> None:
        nonlocal seen
        told = hub.observed.get(topic)
        if told != seen:
            seen = told
            wake()

    return look
