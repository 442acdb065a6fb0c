"""What shall be played."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from stability.errors import SettingError

LANES: Final = 4  # databases at a time: most of a history is waiting
MOST_HISTORIES: Final = 1_000_000
MOST_LANES: Final = 32


@dataclass(frozen=True)
class Plan:
    """From which seed on, how many histories, and whether with periodic re-reads (None: without, then with)."""

    seed: int
    histories: int = 200
    rereads: bool | None = None
    bound: float = 1.0  # seconds that a client may show what is not true any more
    lanes: int = LANES

    def check(self) -> None:
        """Raise SettingError when this cannot be carried out."""
        for name, value, most in (("--histories", self.histories, MOST_HISTORIES), ("--lanes", self.lanes, MOST_LANES)):
            if not 1 <= value <= most:
                raise SettingError(name, f"{value} is outside of 1 to {most:,}; choose a number between")

    @property
    def designs(self) -> Sequence[bool | None]:
        """With periodic re-reads or without; None is the naive design."""
        return (False, True, None) if self.rereads is None else (self.rereads, None)


def any_seed() -> int:
    """A seed for whoever needs no particular one."""
    return secrets.randbelow(1_000_000)
