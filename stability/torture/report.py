"""What a person sees: the warning, a bar that moves, and the designs side by side."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.prompt import Confirm
from rich.table import Table
from rich.text import Text

from stability.connection import masked
from stability.errors import SettingError
from stability.torture import Plan
from stability.torture import run as play
from stability.torture.lane import BOUND
from stability.torture.score import Score

SHOWN: Final = 20  # complaints
_ROWS: Final[Sequence[tuple[str, Callable[[Score], str]]]] = (
    ("histories", lambda score: f"{len(score.verdicts):,}"),
    ("wrong ends", lambda score: f"{score.wrong_ends:,}"),
    (f"wrong for over {BOUND:g} s", lambda score: f"{score.lapses:,}"),
    ("from a commit to the truth, at most", lambda score: f"{score.behind:.2f} s"),
    ("unknown, at most", lambda score: f"{score.unknown(killed=False):.2f} s" if score.ours else "never"),
    (
        "unknown after a server was killed",
        lambda score: f"{score.unknown(killed=True):.2f} s" if score.ours else "never",
    ),
    ("took", lambda score: f"{score.seconds:.0f} s"),
)


def run(conninfo: str, plan: Plan, console: Console, stderr: Console, *, yes: bool, as_json: bool) -> bool:  # noqa: PLR0913
    """Warn and ask unless `yes`, play the histories, print the scores, and say whether nothing was wrong with ours.

    Raises SettingError when the plan cannot be carried out or is not wanted, DatabaseError when the server is no use.
    """
    plan.check()
    if not yes:
        _warn(conninfo, stderr)
    stderr.print(f"seed {plan.seed}")
    with _progress(plan.histories, stderr) as told:
        scores = play(conninfo, plan, told)
    if as_json:
        found = {"seed": plan.seed, "bound": BOUND, "scores": [score.plain() for score in scores]}
        console.out(json.dumps(found), highlight=False)
    else:
        _show(scores, console)
    return all(score.passed for score in scores)


def _warn(conninfo: str, console: Console) -> None:
    console.print(
        Text(
            f"This is for a scratch server only. On {masked(conninfo)} it makes databases of its own, keeps the whole"
            " server busy, kills backends in those databases, and drops them at the end; no other database is touched."
        ),
        soft_wrap=True,
    )
    if not (sys.stdin.isatty() and Confirm.ask("Is that a scratch server?", console=console, default=False)):
        raise SettingError("--yes", "nothing was done; give it where the server is a scratch server.")


@contextmanager
def _progress(histories: int, console: Console) -> Iterator[Callable[[Score], None]]:
    """A bar per design in a terminal, and nothing elsewhere; yields what is to be told of each history."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        bar = bars.add_task("", total=histories)

        def told(score: Score) -> None:
            wrong = f", {len(score.wrong)} wrong" if score.wrong else ""
            bars.update(bar, description=f"{score.design}{wrong}", completed=len(score.verdicts))

        yield told


def _show(scores: Sequence[Score], console: Console) -> None:
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
