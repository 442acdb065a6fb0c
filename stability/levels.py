"""What a status of any monitor means to somebody who does not know the monitor: one of five levels.

The same table is in `sql/64_level.sql`, for those who ask in SQL; the stream carries the level with each row, so that
pages and programs need none.
"""

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
