"""What a notification asks for: it says "look", never what is to be seen, and one nobody understands says it too."""

import json
from dataclasses import dataclass
from typing import Final

import structlog

from stability.logs import Seldom

STABILITY_CHANNEL: Final = "system_stability"
PROGRESS_CHANNEL: Final = "import_job_progress"  # sent by other programs only
CHANGE_CHANNEL: Final = "stability_change"
CANARY_CHANNEL: Final = "stability_canary"
LARGEST: Final = 2**63 - 1  # that the register can hold
LOGGED: Final = 200  # characters of a payload that a log line shows

_log = structlog.get_logger(__name__)
_seldom = Seldom(60.0)


@dataclass(frozen=True, slots=True)
class Hint:
    """Look at `keys` of `topic`; None means all of them. `armed` is the value of the register that let it be sent."""

    topic: str | None = None
    keys: frozenset[str] | None = None
    armed: int = 0

    def concerns(self, topic: str) -> bool:
        """Whether a monitor of `topic` has to look."""
        return self.topic in (None, topic)


EVERYTHING: Final = Hint()


def parse(channel: str, payload: str) -> Hint | None:
    """What a notification asks for; None when it is a server's own announcement.

    A broken payload is logged and asks for everything.
    """
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError):  # thousands of brackets are text as well
        said = None
    match channel, said:
        case "system_stability", {"stable": _, **more} if not more:
            return None
        case "stability_change", {"topic": str(topic), "ids": list(ids)}:
            return Hint(topic, frozenset(map(str, ids)))
        case "stability_change", {"topic": str(topic), "ids": "all"}:
            return Hint(topic)
        case "system_stability", {"look": int(armed)} if not isinstance(armed, bool):
            return Hint(armed=armed if 0 <= armed <= LARGEST else 0)
        case (("system_stability" | "import_job_progress"), dict()):
            return EVERYTHING
    # other programs may send anything, as often as they like, on a channel of theirs
    tell = _log.debug if channel == PROGRESS_CHANNEL or not _seldom() else _log.warning
    tell("a hint with a broken payload, taken as a hint", channel=channel, payload=payload[:LOGGED])
    return EVERYTHING
