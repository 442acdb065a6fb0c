"""Keeps an error where it was met: that part begins again, and everything else goes on.

What a database or a network may do is foreseen, and handled where it is met. Whatever else goes wrong is a mistake of
ours, and no reason to take from everybody what other parts know: it is logged with its traceback, once and then ever
more seldom, and counted.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from math import inf
from time import monotonic
from types import TracebackType
from typing import Any, Final, TypeVar

import structlog

from stability.backoff import Backoff

WELL: Final = 60.0  # seconds after which a failure is a new one
PAUSE: Final = (0.25, 30.0)  # seconds, first and longest bound of the wait until it begins again
QUIET: Final = (60.0, 3600.0)  # seconds, first and longest, between two log lines of what fails on and on
ERRORS: Final[Counter[str]] = Counter()  # of our own, by part, since the process began; `/metrics` tells them

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")


class Contained:
    """One part of the server; no `Exception` leaves a `with` block of it, but those that are one of `but`.

    `longest` is in seconds: see `run`.
    """

    def __init__(self, part: str, longest: float = PAUSE[1], *, but: tuple[type[Exception], ...] = ()) -> None:
        self._part, self._but = part, but
        self._backoff = Backoff(PAUSE[0], longest)
        self._failed_at = self._quiet_until = -inf
        self._quiet = QUIET[0]

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        if error is None:
            self._backoff.reset()
        if not isinstance(error, Exception) or isinstance(error, self._but):
            return False
        self._note(error)
        return True

    async def run(self, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do it, and again after each failure, at most `longest` later; returns when it does, or by cancellation."""
        while True:
            with self:
                await alone(act())
                return
            await asyncio.sleep(self.pause())

    def pause(self) -> float:
        """Seconds to wait after one more failure."""
        return self._backoff.draw()

    def _note(self, error: Exception) -> None:
        from stability.database import FORESEEN, reason  # noqa: PLC0415 -- slow to import, and clients have no database

        now, first = monotonic(), _worst(error, FORESEEN)
        foreseen = isinstance(first, FORESEEN)
        if not foreseen:
            ERRORS[self._part] += 1
        if now - self._failed_at > WELL:
            self._backoff.reset()
            self._quiet_until, self._quiet = now, QUIET[0]
        self._failed_at = now
        if now < self._quiet_until:
            return
        self._quiet_until, self._quiet = now + self._quiet, min(2 * self._quiet, QUIET[1])
        if foreseen:
            _log.warning("failed, and begins again", part=self._part, reason=reason(first))
        else:
            _log.error("an error of ours, please report it", part=self._part, exc_info=error)


async def alone(act: Coroutine[Any, Any, _T]) -> _T:
    """Do it in a task of its own, for whoever goes on after its errors; if we are cancelled meanwhile, we are.

    Before Python 3.13 a group of tasks that fail while they are cancelled tells of their errors only, and one that
    fails by itself leaves its task looking cancelled.
    """
    try:
        return await asyncio.create_task(act)
    except Exception:
        task = asyncio.current_task()
        if task and task.cancelling():
            raise asyncio.CancelledError from None
        raise


def first(error: BaseException) -> BaseException:
    """What went wrong first in a group of tasks, and in the groups within."""
    return first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _worst(error: BaseException, foreseen: tuple[type[Exception], ...]) -> BaseException:
    """Of several at once, one that nobody foresaw, if there is any."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    found = [_worst(each, foreseen) for each in error.exceptions]
    return next((each for each in found if not isinstance(each, foreseen)), found[0])
