"""What came of all histories of one design."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from stability.torture.lane import Verdict


@dataclass
class Score:
    """The verdicts on one design, and the seconds that they took."""

    design: str
    ours: bool
    verdicts: list[Verdict] = field(default_factory=list)
    seconds: float = 0.0
    late: float = 0.0  # seconds by which this machine woke the checker too late, at most
    logs: Path | None = None  # of the servers, where something was wrong

    @classmethod
    def of(cls, rereads: bool | None) -> Self:
        """Of our servers with periodic re-reads or without them, or (None) of the naive design."""
        name = "naive" if rereads is None else f"re-reads {'on' if rereads else 'off'}"
        return cls(name, ours=rereads is not None)

    @property
    def wrong_ends(self) -> int:
        """Histories in which a client ended on something else than the truth."""
        return sum(bool(verdict.wrong_ends) for verdict in self.verdicts)

    @property
    def overslept(self) -> int:
        """Those of them in which the truth was that a task had come due."""
        return sum(bool(verdict.wrong_ends) and verdict.overslept for verdict in self.verdicts)

    @property
    def lapses(self) -> int:
        """How often a client showed for longer than the bound what was not true any more, or never was."""
        return sum(len(verdict.lapses) for verdict in self.verdicts)

    @property
    def wrong(self) -> Sequence[Verdict]:
        """Every history with something wrong."""
        return [verdict for verdict in self.verdicts if verdict.wrong_ends or verdict.lapses]

    @property
    def passed(self) -> bool:
        """Whether nothing was wrong, or it is not ours."""
        return not (self.ours and self.wrong)

    @property
    def behind(self) -> float:
        """Seconds that a client showed what was not true any more, at most."""
        return _longest(verdict.behind for verdict in self.verdicts)

    def unknown(self, *, killed: bool) -> float:
        """Seconds that a client did not know, at most, in histories in which a server was killed or in the others."""
        return _longest(verdict.unknown for verdict in self.verdicts if verdict.killed is killed)

    def plain(self) -> dict[str, object]:
        """As JSON's types; times in seconds, `wrong` lists the seeds."""
        return {
            "design": self.design,
            "histories": len(self.verdicts),
            "wrong_ends": self.wrong_ends,
            "overslept": self.overslept,
            "wrong_over_bound": self.lapses,
            "longest_behind": round(self.behind, 3),
            "longest_unknown": round(self.unknown(killed=False), 3),
            "longest_unknown_server_killed": round(self.unknown(killed=True), 3),
            "longest_late": round(self.late, 3),
            "seconds": round(self.seconds, 1),
            "wrong": [verdict.seed for verdict in self.wrong],
        }

    def complaints(self) -> Iterator[str]:
        """What was wrong in each history, with the seed that repeats it."""
        for verdict in self.wrong:
            lapses = (f"{name} was wrong for {lapse.seconds:.2f} s" for name, lapse in verdict.lapses)
            yield f"seed {verdict.seed}: {'; '.join((*verdict.wrong_ends, *lapses))}"


def _longest(seconds: Iterable[float]) -> float:
    return max(seconds, default=0.0)
