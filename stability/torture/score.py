"""What came of all histories of one design, for people and for programs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from rich.table import Table
from rich.text import Text

from stability.torture.lane import Verdict

_COLUMNS: Final = ("wrong ends", "wrong for over 1 s", "longest behind", "longest unknown", "took")


@dataclass
class Score:
    """The verdicts on one design, and the seconds that they took."""

    design: str
    ours: bool
    verdicts: list[Verdict] = field(default_factory=list)
    seconds: float = 0.0
    logs: Path | None = None  # of the servers, where something was wrong

    @classmethod
    def of(cls, rereads: bool | None) -> Self:
        """Of our servers with periodic re-reads or without them, or (None) of the naive design."""
        return cls(
            "naive" if rereads is None else f"Stability, re-reads {'on' if rereads else 'off'}", rereads is not None
        )

    @property
    def wrong_ends(self) -> int:
        """Histories in which a client ended on something else than the truth."""
        return sum(bool(verdict.wrong_ends) for verdict in self.verdicts)

    @property
    def lapses(self) -> int:
        """How often a client showed for longer than the bound what was not true any more, or never was."""
        return sum(len(verdict.lapses) for verdict in self.verdicts)

    @property
    def passed(self) -> bool:
        """Whether nothing was wrong, or it is not ours."""
        return not self.ours or not (self.wrong_ends or self.lapses)

    @property
    def wrong(self) -> Sequence[Verdict]:
        """Every history with something wrong."""
        return [verdict for verdict in self.verdicts if verdict.wrong_ends or verdict.lapses]

    def plain(self) -> dict[str, object]:
        """As JSON's types."""
        return {
            "design": self.design,
            "histories": len(self.verdicts),
            "wrong_ends": self.wrong_ends,
            "overslept": sum(bool(verdict.wrong_ends) and verdict.overslept for verdict in self.verdicts),
            "wrong_intervals": self.lapses,
            "longest_behind": round(max((v.behind for v in self.verdicts), default=0.0), 3),
            "longest_unknown": round(max((v.unknown for v in self.verdicts), default=0.0), 3),
            "seconds": round(self.seconds, 1),
            "wrong": [verdict.seed for verdict in self.wrong],
        }


def table(scores: Sequence[Score]) -> Table:
    """The designs side by side."""
    drawn = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    drawn.add_column("")
    for column in ("histories", *_COLUMNS):
        drawn.add_column(column, justify="right")
    for score in scores:
        said = score.plain()
        colour = "" if not score.ours else "green" if score.passed else "red"
        cells = [f"{said['histories']:,}", f"{said['wrong_ends']:,}", f"{said['wrong_intervals']:,}"]
        seconds = [f"{said['longest_behind']:.2f} s", f"{said['longest_unknown']:.2f} s", f"{said['seconds']:.0f} s"]
        drawn.add_row(*(Text(cell, colour) for cell in (score.design, *cells, *seconds)))
    return drawn


def complaints(score: Score) -> Iterator[str]:
    """What was wrong in each history of ours, with what repeats it."""
    for verdict in score.wrong:
        found = [
            *verdict.wrong_ends,
            *(f"{name} was wrong for {lapse.seconds:.2f} s" for name, lapse in verdict.lapses),
        ]
        yield f"{score.design}, seed {verdict.seed}: {'; '.join(found)}"
