"""What a status of any monitor means to somebody who does not know the monitor: one of five levels.

The same table is in `sql/64_level.sql`, for those who ask in SQL; the stream carries the level with each row, so that
pages and programs need none.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, Literal, TypeAlias

Level: TypeAlias = Literal["ok", "processing", "warning", "critical", "unknown"]

# Stopped on purpose is a warning that is drawn in a calm grey.
_STATUSES: Final[dict[Level, str]] = {
    "ok": "ok stable running passing FINISHED completed",
    "processing": "processing PENDING READY RUNNING CANCELLING pending installing starting",
    "warning": "warning not_created CANCELLED stopped stale",
    "critical": "critical unhealthy failed FAILED no_compose",
}
LEVELS: Final[dict[str, Level]] = {status: level for level, listed in _STATUSES.items() for status in listed.split()}


def level(status: str) -> Level:
    """The level of `status`; unknown for everything that is not listed."""
    return LEVELS.get(status, "unknown")


def level_at(status: str, told: Mapping[str, object], now: datetime) -> Level:
    """What may still be claimed at `now` of a row that was told so: past its `stale_after` it is stale at best.

    That is two of its intervals after `observed_at`; beyond three nothing is known. A row without it does not age.
    """
    match told.get("observed_at"), told.get("stale_after"):
        case str(observed), str(stale):
            seen, old = datetime.fromisoformat(observed), datetime.fromisoformat(stale)
            if now >= seen + 1.5 * (old - seen):
                return "unknown"
            if now >= old:
                return worst((level(status), level("stale")))
    return level(status)


_RANKED: Final[tuple[Level, ...]] = ("ok", "processing", "unknown", "warning", "critical")


def worst(levels: Iterable[Level]) -> Level:
    """Critical before warning before unknown before processing before ok; of none, ok."""
    return max(levels, key=_RANKED.index, default="ok")
