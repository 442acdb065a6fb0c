"""A small worker: it claims one pending task after another, executes it, and says what came of it."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import psycopg
from psycopg import Connection, sql

from stability.database import reason
from stability.demo.analytics import PROFILE_ROWS, profile_columns, profile_rows
from stability.demo.connecting import connected
from stability.demo.host import Host
from stability.errors import StabilityError

CANCEL_EVERY: Final = 0.1  # seconds between attempts to end the query of a worker that shall stop
WORK_MEMORY: Final = "32MB"  # for the sorts behind exact distinct counts; what is larger goes through files

# SKIP LOCKED: a task that another worker is claiming at this moment is passed over, not waited for.
_CLAIM: LiteralString = """
    WITH next AS (
        SELECT t.id, w.first_field, w.last_field
          FROM stability_demo.work AS w
          JOIN {tasks} AS t ON t.id = w.task
         WHERE w.run = %(run)s AND t.state = %(pending)s
         ORDER BY {order}
         LIMIT 1
           FOR UPDATE OF t SKIP LOCKED
    )
    UPDATE {tasks} AS t SET state = %(processing)s
      FROM next
     WHERE t.id = next.id
    RETURNING t.id, t.command::text, next.first_field, next.last_field
"""


class TakenAwayError(StabilityError):
    """A task is no longer ours: its state was changed, or it was deleted."""


@dataclass(frozen=True)
class Task:
    """A task that is ours to execute."""

    id: object
    command: str
    first: int
    last: int


@dataclass(frozen=True)
class Assignment:
    """What a worker works on: the tasks of the run `run`, whose rows are `width` fields wide."""

    conninfo: str
    host: Host
    run: int
    width: int


class Worker:
    """Executes pending tasks; `done` hears of each. Any number may work at the same time, in any process."""

    def __init__(self, assignment: Assignment, done: Callable[[], None]) -> None:
        self._conninfo = assignment.conninfo
        self._host = assignment.host
        self._run = assignment.run
        self._width = assignment.width
        self._done = done
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._connection: Connection[Any] | None = None

    def work(self) -> int:
        """Execute tasks until none is pending, and return how many of them failed."""
        failed = 0
        try:
            with connected(self._conninfo) as self._connection:
                self._connection.execute(sql.SQL("SET work_mem = {}").format(WORK_MEMORY))
                while not self._stopping.is_set() and (task := self._claim(self._connection)):
                    failed += not self._execute(self._connection, task)
                    self._done()
        finally:
            self._ended.set()
        return failed

    def stop(self) -> None:
        """End now, in the middle of a task if need be; only for a worker whose `work` has been called."""
        self._stopping.set()
        while not self._ended.is_set():
            if self._connection is not None and not self._connection.closed:
                self._connection.cancel_safe(timeout=CANCEL_EVERY)
            self._ended.wait(CANCEL_EVERY)

    def _claim(self, connection: Connection[Any]) -> Task | None:
        tasks = self._host.tasks
        order = "t.priority NULLS LAST, t.id" if "priority" in tasks.columns else "t.id"
        statement = sql.SQL(_CLAIM).format(tasks=tasks.identifier, order=sql.SQL(order))
        states = self._host.task
        values = {"run": self._run, "pending": states.pending, "processing": states.processing}
        row = connection.execute(statement, values).fetchone()
        return row and Task(*row)

    def _execute(self, connection: Connection[Any], task: Task) -> bool:
        began = time.perf_counter()
        try:
            self._complete(connection, task, began)
        except (psycopg.DatabaseError, TakenAwayError) as error:
            if self._stopping.is_set() or connection.closed:
                raise
            why = reason(error)
            self._finish(connection, task, self._host.task.failed, began, why)
            connection.execute("UPDATE stability_demo.work SET reason = %s WHERE task = %s", (why, task.id))
            return False
        return True

    def _complete(self, connection: Connection[Any], task: Task, began: float) -> None:
        with connection.transaction():
            connection.execute(self._statement(task))
            if not self._finish(connection, task, self._host.task.completed, began):
                raise TakenAwayError("somebody took the task away while it was executed")

    def _statement(self, task: Task) -> sql.Composed:
        if task.command == PROFILE_ROWS:
            return profile_rows(self._run, self._width)
        return profile_columns(self._run, self._width, task.first, task.last)

    def _finish(
        self, connection: Connection[Any], task: Task, state: str, began: float, why: str | None = None
    ) -> bool:
        """Settle a task unless somebody else did meanwhile."""
        elapsed = round((time.perf_counter() - began) * 1000)
        values = self._host.tasks.fitting({"state": state, "duration_ms": elapsed, "error": why})
        statement = self._host.tasks.change(values) + sql.SQL(" WHERE id = %(id)s AND state = %(processing)s")
        values |= {"id": task.id, "processing": self._host.task.processing}
        return connection.execute(statement, values).rowcount == 1


def execute(assignment: Assignment, workers: int, done: Callable[[], None]) -> int:
    """Let `workers` workers execute the tasks, and return how many tasks failed; an interruption ends them."""
    crew = [Worker(assignment, done) for _ in range(workers)]
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(worker.work) for worker in crew]
        try:
            return sum(future.result() for future in futures)
        except BaseException:
            for worker in crew:
                worker.stop()
            raise
