"""Whether an onlooker was ever lied to: what was shown, held against what was true."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf


@dataclass(frozen=True)
class Truth:
    """From some moment between `begun` and `done` (monotonic seconds of the commit) on, this is the state."""

    begun: float
    done: float
    stable: bool


@dataclass(frozen=True)
class Verdict:
    """`stale`: seconds that the old state outlived its truth at most; `lied`: seconds of any other wrong state."""

    stale: float
    lied: float


def judge(shown: Sequence[tuple[float, bool | None]], truths: Sequence[Truth], until: float) -> Verdict:
    """Compare until `until`.

    Right after a change the old state may be shown for a while: that is being stale, and it ends with the first other
    thing that is shown. What is wrong after that, or was never true before, is a lie.
    """
    stale = lied = 0.0
    ends = [next_truth.begun for _, next_truth in pairwise(truths)] + [until]
    for truth, end in zip(truths, ends, strict=True):
        for (start, stable), stop in _intervals(shown, until):
            wrong = min(stop, end) - max(start, truth.done)
            if stable is None or stable is truth.stable or wrong <= 0:
                continue
            if start <= truth.done:
                stale = max(stale, wrong)
            else:
                lied += wrong
    return Verdict(stale, lied)


def _intervals(
    shown: Sequence[tuple[float, bool | None]], until: float
) -> list[tuple[tuple[float, bool | None], float]]:
    stops = [start for start, _ in shown[1:]] + [inf]
    return [(what, min(stop, until)) for what, stop in zip(shown, stops, strict=True)]
