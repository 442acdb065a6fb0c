"""Changing an execution from Python, over whatever connection the caller has: logged and committed, or neither."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, get_args

import httpx
import psycopg
import pytest
import sqlalchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from stability.errors import ContendedError, DatabaseError, ExecutionError
from stability.executions import (
    CANCELLED,
    STATUSES,
    Execution,
    cancel_execution,
    update_execution,
    update_execution_status_with_logging,
)
from stability.executions.api import Status
from stability.settings import load
from tests.fixtures.executions import changes, counted, make
from tests.fixtures.postgres import Database, fetch


class Base(DeclarativeBase):
    """Of the one table."""


class Job(Base):
    """As an application maps it."""

    __tablename__ = "executions"
    id: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str]
    progress: Mapped[int]


def engine(dsn: str) -> sqlalchemy.Engine:
    """Over psycopg, keeping no connection."""
    return sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(dsn), poolclass=sqlalchemy.NullPool
    )


@contextmanager
def over_psycopg(dsn: str) -> Iterator[Any]:
    with psycopg.connect(dsn) as connection:
        yield Execution(1, connection)


@contextmanager
def over_autocommit(dsn: str) -> Iterator[Any]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield Execution(1, connection)


@contextmanager
def over_sqlalchemy(dsn: str) -> Iterator[Any]:
    with engine(dsn).connect() as connection:
        yield Execution(1, connection)


@contextmanager
def over_a_session(dsn: str) -> Iterator[Any]:
    with Session(engine(dsn)) as session:
        yield Execution(1, session)


@contextmanager
def mapped(dsn: str) -> Iterator[Any]:
    with Session(engine(dsn)) as session:
        yield session.get_one(Job, 1)


WAYS = (over_psycopg, over_autocommit, over_sqlalchemy, over_a_session, mapped)


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def one(request: pytest.FixtureRequest, executions: Database) -> Iterator[Any]:
    """An execution that runs, as a caller has it."""
    make(executions.dsn, "RUNNING")
    with request.param(executions.writer_dsn) as execution:
        yield execution


def test_a_change_is_committed_with_its_row(one: Any, executions: Database) -> None:
    """When the function returns everybody sees both; the same again is no change."""
    update_execution_status_with_logging(one, "CANCELLING")
    update_execution_status_with_logging(one, "CANCELLING")

    assert changes(executions.dsn)[1:] == [(1, "RUNNING", "CANCELLING")]


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED"])
@pytest.mark.parametrize("progress", [0, 40, 41])
def test_status_and_progress_change_together(one: Any, executions: Database, status: str, progress: int) -> None:
    """As what failed half-way: a progress that is given stays, also where it is what it was before."""
    update_execution(one, progress=40)
    update_execution(one, status=status, progress=progress)

    assert fetch(executions.dsn, "SELECT status, progress FROM executions") == [(status, progress)]
    assert changes(executions.dsn)[1:] == [(1, "RUNNING", status)]


@pytest.mark.parametrize(("status", "given"), [("FAILED", None), ("CANCELLED", None), ("FINISHED", 40)])
def test_what_is_over_is_whole_otherwise(one: Any, executions: Database, status: str, given: int | None) -> None:
    """Where none is given, and always where it finished."""
    update_execution(one, progress=40)
    update_execution(one, status=status, progress=given)

    assert fetch(executions.dsn, "SELECT progress FROM executions") == [100]


def test_a_progress_is_given_to_one_only(executions: Database) -> None:
    """Another that the same session changes in the same transaction is whole."""
    make(executions.writer_dsn, "RUNNING", "RUNNING")
    fetch(executions.writer_dsn, "UPDATE executions SET progress = 40")
    with Session(engine(executions.writer_dsn)) as session:
        session.get_one(Job, 2).status = "FAILED"  # flushed by the commit
        update_execution(Execution(1, session), status="FAILED", progress=40)

    assert fetch(executions.dsn, "SELECT progress FROM executions ORDER BY id") == [40, 100]


REFUSED: dict[str, tuple[Callable[[Any], object], str]] = {
    "left an end": (
        lambda one: update_execution(one, status="READY"),
        "Execution 1 is FINISHED .* Make a new execution",
    ),
    "cancelled an end": (cancel_execution, "Execution 1 is FINISHED"),
    "no status": (lambda one: update_execution_status_with_logging(one, "DONE"), "no status 'DONE'; there are PENDING"),
    "no percentage": (lambda one: update_execution(one, progress=101), "101 is no percentage"),
    "nothing": (update_execution, "Neither a status nor a progress"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_changes_nothing(one: Any, executions: Database, what: str) -> None:
    """One sentence says why; the connection can be used on."""
    change, sentence = REFUSED[what]
    update_execution_status_with_logging(one, "FINISHED")
    with pytest.raises(ExecutionError, match=sentence):
        change(one)
    update_execution(one, progress=100)

    assert changes(executions.dsn)[1:] == [(1, "RUNNING", "FINISHED")]


@pytest.mark.parametrize("status", STATUSES)
def test_cancelling_leads_where_the_status_says(executions: Database, status: str) -> None:
    """What does not run yet is cancelled at once, what runs is asked to end, what is over is refused."""
    make(executions.dsn, status)
    with psycopg.connect(executions.writer_dsn) as connection:
        if status in CANCELLED:
            assert cancel_execution(Execution(1, connection)) == CANCELLED[status]
        else:
            with pytest.raises(ExecutionError, match=f"is {status}"):
                cancel_execution(Execution(1, connection))

    assert fetch(executions.dsn, "SELECT status FROM executions") == [CANCELLED.get(status, status)]


@pytest.mark.parametrize(("status", "sentence"), [(None, "has no status"), ("ARCHIVED", "is 'ARCHIVED', which is no")])
def test_what_has_no_status_of_ours_is_not_called_over(
    executions: Database, hosted: str, status: str | None, sentence: str
) -> None:
    """As an adopted table may hold it: the sentence says what is missing, in Python and over HTTP the same one."""
    fetch(executions.dsn, "ALTER TABLE public.executions ALTER COLUMN status DROP NOT NULL")
    fetch(executions.dsn, "ALTER TABLE public.executions DROP CONSTRAINT executions_status_is_known")
    fetch(executions.dsn, "INSERT INTO public.executions (id, status) VALUES (1, %s)", status)
    with psycopg.connect(executions.writer_dsn) as connection, pytest.raises(ExecutionError, match=sentence) as refused:
        cancel_execution(Execution(1, connection))
    answer = httpx.post(f"{hosted}/api/v1/executions/1/cancel")

    assert (answer.status_code, answer.json()) == (409, {"error": str(refused.value)})
    assert "over" not in str(refused.value)
    assert fetch(executions.dsn, "SELECT status FROM executions") == [status]


def test_what_is_over_is_refused_in_the_same_words(executions: Database, hosted: str) -> None:
    """From Python and over HTTP."""
    make(executions.dsn, "FAILED")
    with psycopg.connect(executions.writer_dsn) as connection, pytest.raises(ExecutionError) as refused:
        cancel_execution(Execution(1, connection))
    answer = httpx.post(f"{hosted}/api/v1/executions/1/cancel")

    assert (answer.status_code, answer.json()) == (409, {"error": str(refused.value)})


def test_an_execution_that_is_not_there_is_told(executions: Database) -> None:
    """For each function."""
    with psycopg.connect(executions.writer_dsn) as connection:
        for change in (cancel_execution, lambda one: update_execution(one, progress=1)):
            with pytest.raises(ExecutionError, match="There is no execution 7"):
                change(Execution(7, connection))


def test_a_mapped_object_is_refreshed(executions: Database) -> None:
    """It shows what the database made of it."""
    make(executions.dsn, "RUNNING")
    with mapped(executions.writer_dsn) as job:
        update_execution_status_with_logging(job, "FINISHED")
        assert (job.status, job.progress) == ("FINISHED", 100)


def test_what_belongs_to_no_session_is_no_execution(executions: Database) -> None:
    """The sentence says what to give instead."""
    for stranger in (object(), Job(id=1)):
        with pytest.raises(ExecutionError, match=r"give an Execution\(id, connection\)"):
            update_execution(stranger, progress=1)  # type: ignore[arg-type]
    assert changes(executions.dsn) == []


def test_who_came_too_late_may_try_again(executions: Database) -> None:
    """Nothing of his is there, and the second time it succeeds."""
    make(executions.dsn, "RUNNING", "RUNNING")
    with psycopg.connect(executions.writer_dsn) as late:
        late.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        late.execute("SELECT 1 FROM executions")
        fetch(executions.writer_dsn, "UPDATE executions SET status = 'FINISHED' WHERE id = 2")
        with pytest.raises(ContendedError, match="try again"):
            update_execution_status_with_logging(Execution(1, late), "FINISHED")
        assert changes(executions.dsn)[2:] == [(2, "RUNNING", "FINISHED")]
        update_execution_status_with_logging(Execution(1, late), "FINISHED")

    assert changes(executions.dsn)[3:] == [(1, "RUNNING", "FINISHED")]


def test_what_the_log_refuses_undoes_the_change(executions: Database) -> None:
    """As where somebody has taken the log away."""
    make(executions.dsn, "RUNNING")
    fetch(executions.dsn, "ALTER TABLE status_log RENAME TO elsewhere")
    with psycopg.connect(executions.writer_dsn) as connection, pytest.raises(DatabaseError, match="was not changed"):
        update_execution_status_with_logging(Execution(1, connection), "FINISHED")

    assert fetch(executions.dsn, "SELECT status FROM executions") == ["RUNNING"]


def test_every_list_of_the_statuses_is_the_same(database: Database) -> None:
    """The check of the table, the API, what a deadline may be set for, and who counts them."""
    (check,) = fetch(
        database.dsn, "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'executions_status_is_known'"
    )
    counts = {f"executions_{counted(status)}" for status in STATUSES}
    columns = fetch(
        database.dsn,
        "SELECT attname::text FROM pg_attribute"
        " WHERE attrelid = 'status_log'::regclass AND attname LIKE 'executions\\_%%'",
    )
    deadlines = {status for status, _ in load(execution_deadlines="PENDING=1,READY=1,RUNNING=1").execution_deadlines}

    assert set(STATUSES) == set(re.findall(r"'(\w+)'", check))
    assert set(STATUSES) == set(get_args(Status))
    assert counts == set(columns)
    assert deadlines == set(CANCELLED) - {"CANCELLING"}
