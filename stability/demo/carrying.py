"""Carries a plan out, from the check of its arguments to the outcome; and removes what demos wrote."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

import psycopg
from rich.console import Console

from stability.demo.cleaning import clean_up
from stability.demo.connecting import as_sentence, connected
from stability.demo.plan import Outcome, Plan
from stability.demo.terminal import Screen
from stability.demo.workload import Demo
from stability.errors import DatabaseError

_ENDING: Final = (signal.SIGTERM, signal.SIGHUP)


def run(
    conninfo: str,
    file: Path | None = None,
    *,
    rows: int = Plan.rows,
    workers: int = Plan.workers,
    console: Console,
) -> Outcome:
    """Import `file`, or a file of `rows` orders made for the purpose, and let `workers` workers compute over its rows.

    Raises SettingError for a wrong argument, DatabaseError when nothing can be begun. A file that is no CSV, trouble on
    the way and Ctrl-C are outcomes: they are told on `console`, and nothing half-loaded stays.
    """
    return carry_out(conninfo, Plan(file, rows=rows, workers=workers), console=console)


def carry_out(conninfo: str, plan: Plan, *, console: Console) -> Outcome:
    """Do what `run` does, for a plan that may say more about the file to be made."""
    plan.check()
    try:
        with _interruptible(), connected(conninfo) as connection:
            return Demo(conninfo, plan, Screen(console), connection).run()
    except psycopg.Error as error:
        raise DatabaseError(as_sentence(error)) from error


def clean(conninfo: str) -> bool:
    """Remove everything that demos ever wrote, and say whether there was anything.

    Raises DatabaseError while a demo is running, and ForeignSchemaError when the schema is somebody else's.
    """
    try:
        with connected(conninfo) as connection:
            return clean_up(connection)
    except psycopg.Error as error:
        raise DatabaseError(as_sentence(error)) from error


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let what ends a program politely end the run as Ctrl-C does, so that its job is settled."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _interrupt) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
