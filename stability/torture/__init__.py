"""The history checker: random transactions that overlap, faults in between, and what every client showed meanwhile.

It judges real servers, without periodic re-reads and with them, and the naive design on the same seeds. All happens in
databases of its own, which it drops again; no other is touched. But it loads the server that they are on and kills
backends of its own there, so a scratch server is the place for it.

Not struck: Postgres itself, which is somebody else's; and the instants within a commit, which
`tests/test_register_explored.py` goes through one by one.
"""

import asyncio
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import psycopg

from stability.database import reason
from stability.errors import DatabaseError, SettingError
from stability.torture import scratch
from stability.torture.lane import Lane, Verdict
from stability.torture.naive import Naive
from stability.torture.score import Score
from stability.torture.script import draw
from stability.torture.servers import Servers

__all__ = ["Plan", "Score", "any_seed", "run"]

LANES: Final = 4  # databases at a time: most of a history is waiting
TICK: Final = 0.01  # seconds
MOST_HISTORIES: Final = 1_000_000
MOST_LANES: Final = 32

Told: TypeAlias = Callable[[Score], None]


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


def run(conninfo: str, plan: Plan, told: Told) -> list[Score]:
    """Play all histories on each design in turn; `told` hears of the score after each.

    Raises DatabaseError when the server cannot be used for it.
    """
    plan.check()
    scores = []
    with _interruptible(), scratch.databases(conninfo) as clone:
        for rereads in plan.designs:
            scores.append(Score.of(rereads))
            with _folder(scores[-1]) as folder:
                lanes = [_lane(rereads, clone(), plan.bound, folder / str(n)) for n in range(plan.lanes)]
                _play(lanes, plan, scores[-1], told)
    return scores


def _lane(rereads: bool | None, conninfo: str, bound: float, folder: Path) -> Lane:
    if rereads is None:
        return Lane(conninfo, bound, lambda changed: Naive(conninfo, changed))
    folder.mkdir()
    seconds = None if rereads else 0  # None: as they are by default
    return Lane(conninfo, bound, lambda changed: Servers(conninfo, folder, seconds, changed))


def _play(lanes: Sequence[Lane], plan: Plan, score: Score, told: Told) -> None:
    histories = map(draw, range(plan.seed, plan.seed + plan.histories))

    def judged(verdict: Verdict) -> None:
        score.verdicts.append(verdict)
        told(score)

    async def all_lanes() -> None:
        ready = asyncio.Barrier(len(lanes) + 1)
        watch = asyncio.ensure_future(_note_lateness(score, ready))
        async with asyncio.TaskGroup() as group:
            for lane in lanes:
                group.create_task(lane.run(histories, judged, ready))
        watch.cancel()

    told(score)
    began = time.monotonic()
    try:
        asyncio.run(all_lanes())
    except ExceptionGroup as errors:
        first = _first(errors)
        if isinstance(first, psycopg.Error):
            raise DatabaseError(f"the database gave up amid a history: {reason(first)}") from errors
        raise first from errors
    score.seconds = time.monotonic() - began


async def _note_lateness(score: Score, ready: asyncio.Barrier) -> None:
    """How late this machine wakes who sleeps: what is wrong while that is long may be the machine's fault."""
    await ready.wait()
    while True:
        began = time.monotonic()
        await asyncio.sleep(TICK)
        score.late = max(score.late, time.monotonic() - began - TICK)


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


@contextmanager
def _folder(score: Score) -> Iterator[Path]:
    """For sockets and logs; it is kept, and named by the score, if something was wrong."""
    folder = Path(tempfile.mkdtemp(prefix="stability-torture-"))
    try:
        yield folder
    finally:
        if score.passed:
            shutil.rmtree(folder)
        else:
            score.logs = folder


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM end it as Ctrl-C does, so that nothing is left behind."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
