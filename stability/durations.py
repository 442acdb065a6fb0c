"""Lengths of time as people write them."""

import re
from typing import Final

_DURATION: Final = re.compile(
    r"(?=.)(?:(?P<d>\d+(?:\.\d+)?)d)?(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s?)?",
    re.ASCII,
)
_UNITS: Final = {"d": 86_400, "h": 3600, "m": 60, "s": 1}  # seconds


def duration(text: str) -> float:
    """The seconds in `2d`, `10m`, `90s`, `1h30m` or plain `90`; raises ValueError when it is no time, or none."""
    found = _DURATION.fullmatch(text.strip().lower())
    seconds = sum(float(found[unit] or 0) * size for unit, size in _UNITS.items()) if found else 0
    if not seconds:
        raise ValueError(f"{text!r} is not a length of time: write 10m, 90s, 1h30m or a number of seconds.")
    return seconds
