"""The host's three tables as they were found, and the words that they have for what the demo must say."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from psycopg import Connection, sql

from stability.demo.adopted import Table
from stability.errors import DatabaseError

_OVER: Final = {"jobs": ["finished", "rejected", "failed"], "tasks": ["completed", "failed", "interrupted"]}


@dataclass(frozen=True)
class JobStates:
    """How a job ends; the steps before that are told where the table has a word for them."""

    finished: str
    rejected: str
    failed: str


@dataclass(frozen=True)
class TaskStates:
    """What a task goes through."""

    pending: str
    processing: str
    completed: str
    failed: str
    interrupted: str


@dataclass(frozen=True)
class Host:
    """Where jobs and tasks are written."""

    jobs: Table
    tasks: Table
    registry: Table
    job: JobStates
    task: TaskStates

    @classmethod
    def read(cls, connection: Connection[Any]) -> "Host":
        """Look at the tables before anything begins; raises DatabaseError when they cannot hold how it may end."""
        jobs = Table.read(connection, "public.import_job", ("id", "state"))
        tasks = Table.read(connection, "worker.tasks", ("id", "command", "state"))
        registry = Table.read(connection, "worker.command_registry", ("command", "queue"))
        jobs.insertion(jobs.fitting({"slug": "", "state": ""}))
        tasks.insertion({"command": "", "state": ""})
        jobs.first_known("importing_data")
        job = JobStates(
            finished=jobs.first_known("finished"),
            rejected=jobs.first_known("rejected", "failed"),
            failed=jobs.first_known("failed", "rejected"),
        )
        task = TaskStates(
            pending=tasks.first_known("pending"),
            processing=tasks.first_known("processing"),
            completed=tasks.first_known("completed"),
            failed=tasks.first_known("failed", "interrupted"),
            interrupted=tasks.first_known("interrupted", "failed"),
        )
        return cls(jobs, tasks, registry, job, task)

    def end_job(self, connection: Connection[Any], job: object, state: str, reason: str) -> None:
        """Settle a job that has not ended, and say why where the table has room for it."""
        values = self.jobs.fitting({"state": state, "error": reason})
        statement = self.jobs.change(values) + sql.SQL(
            " WHERE id = %(id)s AND (state::text = ANY (%(over)s)) IS NOT TRUE"
        )
        connection.execute(statement, {**values, "id": job, "over": _OVER["jobs"]})

    def end_tasks(self, connection: Connection[Any], tasks: Iterable[object], reason: str) -> None:
        """Settle those of `tasks` that nobody will execute any more."""
        values = self.tasks.fitting({"state": self.task.interrupted, "error": reason})
        statement = self.tasks.change(values) + sql.SQL(
            " WHERE id = %(id)s AND (state::text = ANY (%(over)s)) IS NOT TRUE"
        )
        for task in tasks:
            connection.execute(statement, {**values, "id": task, "over": _OVER["tasks"]})


@dataclass(frozen=True)
class Job:
    """One row of `import_job`."""

    connection: Connection[Any]
    table: Table
    id: object

    @classmethod
    def create(cls, connection: Connection[Any], table: Table, slug: str) -> "Job":
        """A job that waits for its file."""
        state = table.first_known("waiting_for_upload", "upload_completed", "importing_data")
        values = table.fitting({"slug": slug, "state": state})
        row = connection.execute(table.insertion(values) + sql.SQL(" RETURNING id"), values).fetchone()
        assert row is not None  # noqa: S101 -- an INSERT without ON CONFLICT returns its row
        return cls(connection, table, row[0])

    def move(self, state: str, **values: object) -> None:
        """Store a step and its figures, as far as the table has a word and columns for them.

        Raises DatabaseError when somebody deleted the job meanwhile.
        """
        fitting = self.table.fitting({"state": state, **values} if self.table.knows(state) else values)
        if not fitting:
            return
        statement = self.table.change(fitting) + sql.SQL(" WHERE id = %(id)s")
        if self.connection.execute(statement, {**fitting, "id": self.id}).rowcount == 0:
            raise DatabaseError(f"import job {self.id} was deleted while it ran; start the demo again")
