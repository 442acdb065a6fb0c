"""Plays all histories of a plan on each design, in databases that are dropped again."""

import asyncio
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias

import psycopg

from stability.database import reason
from stability.errors import DatabaseError
from stability.torture import scratch
from stability.torture.lane import Lane, Verdict
from stability.torture.naive import Naive
from stability.torture.plan import Plan
from stability.torture.score import Score
from stability.torture.script import draw
from stability.torture.servers import Servers

TICK: Final = 0.01  # seconds

Told: TypeAlias = Callable[[Score], None]


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
