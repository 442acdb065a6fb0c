"""The shape that every monitor has: what differs between them, as one frozen value."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.routing import BaseRoute

from stability.database import Database
from stability.hub import Row
from stability.register import Seen


@dataclass(frozen=True, slots=True)
class Look:
    """What to read: all keys (None) or those that hints named, and how the server hears of changes just now."""

    keys: frozenset[str] | None
    listener: str


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
class Monitor:
    """One system that is watched: a topic of the stream, how its rows are read, and its own HTTP routes."""

    name: str
    title: str
    topic: str
    read: Callable[[AsyncConnection, Look], Awaitable[Reading]]
    channels: Sequence[str] = ()  # NOTIFY channels of its own, beside `stability_change`
    unproven: Callable[[str], Mapping[str, Row]] = _nothing  # rows to show while nothing proves the last ones
    works: Callable[[Row], bool] = _stands  # whether details behind the row progress, which only a look at them shows
    routes: Callable[[Database], Sequence[BaseRoute]] = field(default=lambda _database: ())
