"""How many descriptors this process may hold, and so how many streams: each of them is one."""

import resource
from typing import Final

import structlog

SPARE: Final = 64  # descriptors for everything but streams: listening, the database, requests, files
MOST: Final = 1_048_576  # where the hard limit is none; what Linux allows by default

_log = structlog.get_logger(__name__)


def room_for(streams: int) -> int:
    """Raise the soft limit to the hard one; how many of that many streams (0: any number) there is room for.

    At least one, however low the limit: 0 would mean any number.
    """
    most = max(_raised() - SPARE, 1)
    if streams > most:
        _log.warning(
            "there are fewer descriptors than STABILITY_MAX_STREAMS: raise the hard limit (ulimit -Hn, LimitNOFILE)",
            wanted=streams,
            streams=most,
        )
    return min(streams or most, most)


def _raised() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else hard
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (ValueError, OSError):  # macOS names no hard limit and has one
        return soft
    return wanted
