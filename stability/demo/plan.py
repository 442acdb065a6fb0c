"""What a run shall do, and how it ended."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from stability.demo.csvfile import require_file
from stability.demo.orders import HEADER
from stability.errors import SettingError

MOST_ROWS: Final = 100_000_000
MOST_COLUMNS: Final = 5_000
MOST_WORKERS: Final = 32

_EXIT: Final = {"finished": 0, "rejected": 1, "failed": 1, "interrupted": 130}

Ending = Literal["finished", "rejected", "failed", "interrupted"]


@dataclass(frozen=True)
class Plan:
    """The file to import, or what to make when there is none."""

    file: Path | None = None
    rows: int = 200_000
    columns: int = len(HEADER)
    seed: int = 1
    workers: int = 2

    def check(self) -> None:
        """Raise SettingError when this cannot be carried out."""
        _within("--rows", self.rows, MOST_ROWS)
        _within("--columns", self.columns, MOST_COLUMNS)
        _within("--workers", self.workers, MOST_WORKERS)
        if self.file is not None:
            require_file(self.file)


@dataclass(frozen=True)
class Outcome:
    """How run number `run` ended; `reason` says why when it did not finish."""

    state: Ending
    run: int
    rows: int = 0
    reason: str | None = None

    @property
    def exit_status(self) -> int:
        """0 when everything was imported and computed, 1 when not, 130 after Ctrl-C."""
        return _EXIT[self.state]


def _within(name: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise SettingError(name, f"{value} is outside of 1 to {most:,}; choose a number between")
