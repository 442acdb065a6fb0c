"""What a person sees: a bar that moves, and the designs side by side."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from stability.torture.score import Score

SHOWN: Final = 20  # complaints
_ROWS: Final[Sequence[tuple[str, Callable[[Score], str]]]] = (
    ("histories", lambda score: f"{len(score.verdicts):,}"),
    ("wrong ends", lambda score: f"{score.wrong_ends:,}"),
    ("wrong for over the bound", lambda score: f"{score.lapses:,}"),
    ("from a commit to the truth, at most", lambda score: f"{score.behind:.2f} s"),
    ("unknown, at most", lambda score: f"{score.unknown(killed=False):.2f} s" if score.ours else "never"),
    (
        "unknown after a server was killed",
        lambda score: f"{score.unknown(killed=True):.2f} s" if score.ours else "never",
    ),
    ("this machine late, at most", lambda score: f"{score.late:.2f} s"),
    ("took", lambda score: f"{score.seconds:.0f} s"),
)


@contextmanager
def progress(histories: int, console: Console) -> Iterator[Callable[[Score], None]]:
    """A bar per design in a terminal, and nothing elsewhere; yields what is to be told of each history."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        bar = bars.add_task("", total=histories)

        def told(score: Score) -> None:
            wrong = f", {len(score.wrong)} wrong" if score.wrong else ""
            bars.update(bar, description=f"{score.design}{wrong}", completed=len(score.verdicts))

        yield told


def show(scores: Sequence[Score], console: Console) -> None:
    """The designs side by side, and what was wrong with ours."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    for score in scores:
        colour = "" if not score.ours else "green" if score.passed else "red"
        table.add_column(score.design, justify="right", style=colour)
    for name, cell in _ROWS:
        table.add_row(name, *map(cell, scores))
    console.print(table)
    for score in scores:
        if not score.passed:
            _complain(score, console)


def _complain(score: Score, console: Console) -> None:
    complaints = list(score.complaints())
    more = [f"and {len(complaints) - SHOWN} more"] if len(complaints) > SHOWN else []
    for line in (f"\n{score.design}; the servers' logs are in {score.logs}", *complaints[:SHOWN], *more):
        console.print(Text(line), soft_wrap=True)
