"""The demo from the first row to the last result: make a file, analyse it, import it, compute over it, show it."""

import tempfile
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import Connection
from rich.filesize import decimal

from stability.demo import analytics, importing, ledger, orders
from stability.demo.connecting import as_sentence, connected
from stability.demo.csvfile import CsvFile, MalformedFileError
from stability.demo.host import Host
from stability.demo.plan import Ending, Outcome, Plan
from stability.demo.terminal import SHOWN_COLUMNS, Screen, plural
from stability.demo.worker import Assignment, execute
from stability.errors import DatabaseError, StabilityError

_SUMMARY: LiteralString = """
    SELECT name, filled, distinct_values, CASE WHEN numbers = filled THEN smallest::text ELSE lowest END,
           CASE WHEN numbers = filled THEN largest::text ELSE highest END, total
      FROM stability_demo.column_profile WHERE run = %s ORDER BY field LIMIT %s
"""


class RejectedError(StabilityError):
    """The analysis found a file that cannot be taken; nothing of it was loaded."""


class Demo:
    """One run, and what it needs on its way."""

    def __init__(self, conninfo: str, plan: Plan, screen: Screen, connection: Connection[Any]) -> None:
        self._conninfo = conninfo
        self._plan = plan
        self._screen = screen
        self._connection = connection
        self._host = Host.read(connection)

    def run(self) -> Outcome:
        """Settle what killed runs left, then do it all; whatever happens on the way is an outcome."""
        ledger.prepare(self._connection)
        analytics.register(self._connection, self._host)
        if dead := ledger.recover(self._connection, self._host):
            self._screen.say(f"settled {plural(dead, 'run')} of a demo that was killed")
        ledger.prune(self._connection)
        with tempfile.TemporaryDirectory(prefix="stability-demo-") as folder:
            path = self._plan.file or Path(folder) / "orders.csv"
            run = ledger.Run.begin(self._connection, self._host, path)
            try:
                return self._carry_out(run, path)
            except RejectedError as error:
                return self._stop(run, "rejected", str(error))
            except StabilityError as error:
                return self._stop(run, "failed", str(error))
            except psycopg.Error as error:
                return self._stop(run, "failed", as_sentence(error))
            except OSError as error:
                return self._stop(run, "failed", f"{error.strerror or error}: {error.filename or path}")
            except KeyboardInterrupt:
                return self._stop(run, "interrupted", "the demo was interrupted")

    def _carry_out(self, run: ledger.Run, path: Path) -> Outcome:
        if self._plan.file is None:
            self._make(path)
        run.job.move("upload_completed")
        file, total = self._analyse(run, path)
        self._load(run, file, total)
        failed = self._compute(run, len(file.header), self._enqueue(run, file))
        self._show(run, file)
        if failed:
            return self._stop(run, "failed", f"{plural(failed, 'task')} failed; stability_demo.work says why")
        ledger.end(self._connection, run.id, "finished")
        return Outcome("finished", run.id, total)

    def _make(self, path: Path) -> None:
        plan = self._plan
        with self._screen.phase("making a file", "made", plan.rows) as phase:
            orders.make(path, plan.rows, plan.columns, plan.seed, phase.advance)
            phase.detail = f"{plural(plan.rows, 'order')} of {plural(plan.columns, 'field')}, {_size(path)}"

    def _analyse(self, run: ledger.Run, path: Path) -> tuple[CsvFile, int]:
        run.job.move("analysing_data")
        try:
            with self._screen.phase("analysing", "analysed", path.stat().st_size) as phase:
                file = CsvFile.open(path)
                total = importing.analyse(file, phase.advance)
                phase.detail = (
                    f"{path.name}: {plural(total, 'row')} of {plural(len(file.header), 'column')}, {_size(path)}"
                )
        except MalformedFileError as error:
            raise RejectedError(str(error)) from error
        run.job.move("approved", total_rows=total, imported_rows=0)
        return file, total

    def _load(self, run: ledger.Run, file: CsvFile, total: int) -> None:
        run.job.move("preparing_data")
        ledger.describe(self._connection, run, file.header)
        with self._screen.phase("importing", "imported", total) as phase:
            importing.load(self._connection, run, file, total, phase.advance)
            phase.detail = f"{plural(total, 'row')}, {total / max(phase.seconds, 1e-3):,.0f} a second,"

    def _enqueue(self, run: ledger.Run, file: CsvFile) -> int:
        # one transaction: between the import and its analytics nobody sees a stable moment, or one without the other
        with self._connection.transaction():
            tasks = analytics.enqueue(self._connection, self._host, run, len(file.header))
            ledger.keep(self._connection, run)
            run.job.move(self._host.job.finished)
        return tasks

    def _compute(self, run: ledger.Run, width: int, tasks: int) -> int:
        with self._screen.phase("computing", "computed", tasks) as phase:
            assignment = Assignment(self._conninfo, self._host, run.id, width)
            failed = execute(assignment, self._plan.workers, lambda: phase.advance(1))
            phase.detail = f"{plural(tasks, 'task')} with {plural(self._plan.workers, 'worker')}"
        return failed

    def _show(self, run: ledger.Run, file: CsvFile) -> None:
        found = self._connection.execute(_SUMMARY, (run.id, SHOWN_COLUMNS)).fetchall()
        self._screen.results(found, len(file.header))
        self._screen.say(
            f"All results: stability_demo.column_profile, run {run.id}; the rows: {ledger.SCHEMA}.data_{run.id}."
            " Everything goes with `stability demo --clean`."
        )

    def _stop(self, run: ledger.Run, state: Ending, reason: str) -> Outcome:
        self._screen.say(f"{state}: {reason}")
        try:
            # the connection of the run may be what broke
            with connected(self._conninfo) as connection:
                ledger.settle(connection, self._host, run.id, state, reason)
        except (DatabaseError, psycopg.Error):
            self._screen.say("The database could not be told; the next `stability demo` settles this run.")
        return Outcome(state, run.id, reason=reason)


def _size(path: Path) -> str:
    return decimal(path.stat().st_size)
