"""What the demo shows: bars that move in a terminal, one line per phase anywhere."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

SHOWN_COLUMNS: Final = 12
WIDEST: Final = 28  # characters of a value

Profile = tuple[str, int, int, str | None, str | None, Decimal | None]


@dataclass
class Phase:
    """One step of the way, as it goes."""

    advance: Callable[[int], None]
    began: float
    detail: str = ""

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.perf_counter() - self.began


class Screen:
    """Tells a person, or a log file, what happens."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, message: str) -> None:
        """One line, whatever it holds."""
        self._console.print(Text(plain(message)), soft_wrap=True)

    @contextmanager
    def phase(self, doing: str, done: str, total: int) -> Iterator[Phase]:
        """A bar named `doing` while the block runs; one line with `done`, its detail and the seconds afterwards."""
        with Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        ) as progress:
            bar = progress.add_task(plain(doing), total=max(total, 1))
            phase = Phase(lambda amount: progress.advance(bar, amount), time.perf_counter())
            yield phase
        self.say(f"{done} {phase.detail} in {phase.seconds:.1f} s")

    def results(self, profiles: Sequence[Profile], columns: int) -> None:
        """A short table of what the analytics found."""
        table = Table(title=f"{len(profiles):,} of {columns:,} columns" if len(profiles) < columns else None)
        table.add_column("column")
        for name in ("filled", "distinct"):
            table.add_column(name, justify="right")
        for name in ("lowest", "highest"):
            table.add_column(name)
        table.add_column("sum", justify="right")
        for name, filled, distinct, lowest, highest, total in profiles:
            table.add_row(*map(_cell, (name, f"{filled:,}", f"{distinct:,}", lowest, highest, total)))
        self._console.print(table)


def plural(count: int, noun: str) -> str:
    """The count with its noun."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def plain(text: str) -> str:
    """The text without anything that would move a terminal's cursor or colour it."""
    return "".join(c if c.isprintable() else "·" for c in text)


def _cell(value: object) -> Text:
    text = "" if value is None else plain(str(value)[: WIDEST + 1])
    return Text(text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…")
