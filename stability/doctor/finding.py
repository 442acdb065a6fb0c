"""What the doctor tells: one thing that was looked at, and what to do about it."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Level: TypeAlias = Literal["ok", "unknown", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `check` is its name for programs, `remedy` what to do when it is not in order."""

    check: str
    level: Level
    fact: str
    remedy: str | None = None
