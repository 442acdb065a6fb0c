"""Changing an execution from Python: the status and its row of the log are committed together, or neither is.

    with psycopg.connect(…) as connection:
        update_execution_status_with_logging(Execution(42, connection), "RUNNING")

`Execution` names a row by its id, over a connection of psycopg's or SQLAlchemy's, or over a session. A mapped object of
`public.executions` will do as well, within the session that it belongs to, and is refreshed. The database writes the
log, so what is changed without these functions is logged just the same.

Each function ends the transaction of that connection: committed when it returns, rolled back when it raises.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import psycopg
import sqlalchemy
from sqlalchemy.exc import DBAPIError, NoInspectionAvailable
from sqlalchemy.orm import Session

from stability.database import reason
from stability.errors import ContendedError, DatabaseError, ExecutionError

__all__ = ["Execution", "cancel_execution", "update_execution", "update_execution_status_with_logging"]

STATUSES: Final = ("PENDING", "READY", "RUNNING", "CANCELLING", "FINISHED", "FAILED", "CANCELLED")
WHOLE: Final = 100  # percent
# What an execution becomes that is to be cancelled; the other statuses are those of one that is over.
CANCELLED: Final = {"PENDING": "CANCELLED", "READY": "CANCELLED", "RUNNING": "CANCELLING", "CANCELLING": "CANCELLING"}
# The trigger cannot see that a statement gives what was there before, unless it is told of which execution.
GIVEN: Final = "pg_catalog.set_config('stability.progress_given', CAST(e.id AS text), true) IS NOT NULL"
_CONTENDED: Final = {"40001", "40P01"}  # serialization failure, deadlock

Connection: TypeAlias = psycopg.Connection[Any] | sqlalchemy.Connection | Session


class Mapped(Protocol):
    """An object that SQLAlchemy maps to `public.executions`."""

    id: Any


@dataclass(frozen=True, slots=True)
class Execution:
    """The execution with this id, changed over this connection."""

    id: Any
    connection: Connection


def update_execution_status_with_logging(execution: Execution | Mapped, new_status: str) -> None:
    """Bring an execution into a status and commit that with its row of the log; the same status again logs nothing.

    Raises ExecutionError where there is no such execution or status or the execution is over, ContendedError where
    trying again helps (a REPEATABLE READ transaction that came too late), and DatabaseError for everything else.
    """
    update_execution(execution, status=new_status)


def update_execution(execution: Execution | Mapped, *, status: str | None = None, progress: int | None = None) -> None:
    """Set the status, the progress (0 to 100 percent), or both.

    What failed or was cancelled keeps a progress that is given with its status; else what is over is at 100.
    Raises as `update_execution_status_with_logging` does.
    """
    wanted = {name: value for name, value in (("status", status), ("progress", progress)) if value is not None}
    if not wanted:
        raise ExecutionError("Neither a status nor a progress was given; give one of them.")
    if status is not None and status not in STATUSES:
        raise ExecutionError(f"There is no status {status!r}; there are {', '.join(STATUSES)}.")
    if progress is not None and not 0 <= progress <= WHOLE:
        raise ExecutionError(f"The progress {progress} is no percentage; give a number from 0 to {WHOLE}.")
    with _changing(execution) as row:
        _update(row, wanted)


def cancel_execution(execution: Execution | Mapped) -> str:
    """Cancel at once what does not run yet, and ask what runs to end (CANCELLING); returns the status that it then has.

    Raises as `update_execution_status_with_logging` does; one that is being cancelled stays so.
    """
    with _changing(execution) as row:
        found = _run(row, "SELECT status FROM public.executions WHERE id = %(id)s FOR UPDATE", {})
        status = cancelled(row.id, found)
        _update(row, {"status": status})
    return status


def cancelled(identity: object, status: str | None) -> str:
    """What an execution of that status becomes that is to be cancelled.

    Raises ExecutionError where it is over, has no status, or has one that is none of ours.
    """
    if status is None:
        raise ExecutionError(f"Execution {identity} has no status, so there is nothing to cancel; give it one first.")
    if status not in STATUSES:
        known = ", ".join(STATUSES)
        raise ExecutionError(f"Execution {identity} is {status!r}, which is no status; give it one of {known} first.")
    if status not in CANCELLED:
        raise ExecutionError(f"Execution {identity} is {status}: it is over and cannot be cancelled.")
    return CANCELLED[status]


def _update(row: Execution, wanted: Mapping[str, object]) -> None:
    settings = ", ".join(f"{name} = %({name})s" for name in wanted)
    given = f"AND {GIVEN}" if "progress" in wanted else ""
    statement = f"UPDATE public.executions AS e SET {settings} WHERE e.id = %(id)s {given} RETURNING e.id"  # noqa: S608
    _run(row, statement, wanted)


def _run(row: Execution, statement: str, values: Mapping[str, object]) -> str | None:
    """The first value of the one row that the statement finds."""
    parameters = {**values, "id": row.id}
    found: Any
    match row.connection:
        case psycopg.Connection() as connection:
            found = connection.execute(statement.encode(), parameters).fetchone()
        case Session() as session:
            found = session.connection().exec_driver_sql(statement, parameters).fetchone()
        case connection:
            found = connection.exec_driver_sql(statement, parameters).fetchone()
    if found is None:
        raise ExecutionError(f"There is no execution {row.id}.")
    return None if found[0] is None else str(found[0])


@contextmanager
def _changing(execution: Execution | Mapped) -> Iterator[Execution]:
    """Commits what the block does, or rolls it back; what the database refuses has a name of ours then."""
    row = execution if isinstance(execution, Execution) else _located(execution)
    if isinstance(row.connection, Session) and row is not execution:
        row.connection.flush()
    try:
        yield row
        row.connection.commit()
    except (psycopg.Error, DBAPIError) as error:
        raise _named(error) from error
    finally:
        with suppress(psycopg.Error):  # of a connection that is lost there is nothing to roll back
            row.connection.rollback()


def _named(error: psycopg.Error | DBAPIError) -> DatabaseError | ExecutionError:
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, psycopg.errors.CheckViolation):
        return ExecutionError(" ".join(filter(None, (cause.diag.message_primary, cause.diag.message_hint))))
    if isinstance(cause, psycopg.Error) and cause.sqlstate in _CONTENDED:
        return ContendedError(
            f"The execution was not changed, since somebody else came first ({reason(error)}): try again."
        )
    return DatabaseError(f"The execution was not changed: {reason(error)}.")


def _located(mapped: Mapped) -> Execution:
    try:
        session = sqlalchemy.inspect(mapped).session
    except NoInspectionAvailable:
        raise ExecutionError(f"{mapped!r} is no execution; give an Execution(id, connection).") from None
    if session is None:
        raise ExecutionError(f"{mapped!r} belongs to no session; add it to one, or give an Execution(id, connection).")
    return Execution(mapped.id, session)
