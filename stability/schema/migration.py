"""Our schema in somebody's database: made, updated and removed; `stability migrate` is its command line.

Tables change by the revisions in `migrations/`; functions are replaced from `sql/` after every upgrade. Both happen in
one transaction that takes no lock on a table with rows. Then `adoption` places triggers and builds indexes on the
watched tables.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, LiteralString

import psycopg
import structlog
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, NullPool, create_engine
from sqlalchemy.exc import DBAPIError

from stability.database import completed
from stability.errors import AwayError, DatabaseError
from stability.resources import folder
from stability.schema import adoption, removal

LOCK: Final = 0x57AB1117  # of the advisory lock under which one migration of a database runs at a time
LOCK_PATIENCE: Final = 900.0  # seconds that another migration may take
OWN_PATIENCE: Final = "60s"  # for a watch() or unwatch() that is running, which replaces functions as well
APPLICATION: Final = "stability migrate"

# Names bind as they will inside our functions; what row security hides is an error, not an empty table; and a role's
# default for its queries must not cut off the build of an index.
_SESSION: LiteralString = "SET search_path = pg_catalog, pg_temp; SET row_security = off; SET statement_timeout = 0"

_log = structlog.get_logger(__name__)


def _tell(line: str) -> None:
    _log.info(line)


def migrate(conninfo: str, tell: Callable[[str], None] = _tell) -> None:
    """Bring the database up to date, adopting tables that it has already; again does nothing.

    Writers may go on meanwhile: none waits longer than about two seconds. Raises DatabaseError with the remedy, and
    AwayError where trying again may help.
    """
    with _alone(conninfo, tell) as connection:
        _upgrade(conninfo, tell)
        adoption.adopt(connection, tell)


def uninstall(conninfo: str, *, drop_data: bool = False, tell: Callable[[str], None] = _tell) -> None:
    """Remove everything that is ours; tables that we made go only when they are empty, or with `drop_data`.

    Raises DatabaseError when something of somebody else's depends on ours.
    """
    with _alone(conninfo, tell) as connection:
        removal.remove(connection, drop_data=drop_data, tell=tell)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(folder("migrations")).replace("%", "%%"))
    return config


def _upgrade(conninfo: str, tell: Callable[[str], None]) -> None:
    engine = create_engine("postgresql+psycopg://", creator=lambda: _connect(conninfo, tell), poolclass=NullPool)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{OWN_PATIENCE}'")
            # so that a function may call one of a later file; all of them are run by tests
            connection.exec_driver_sql("SET LOCAL check_function_bodies = off")
            first, *rest = sorted(folder("sql").glob("*.sql"))
            _run(connection, first.read_text("utf-8"))
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.exec_driver_sql("LOCK TABLE stability.source IN EXCLUSIVE MODE")
            for file in rest:
                _run(connection, file.read_text("utf-8"))
    except DBAPIError as error:
        raise error.orig or error from None
    except CommandError as error:
        raise DatabaseError(f"{error}: a newer release migrated this database; upgrade pg-stability.") from error


def _run(connection: Connection, sql: str) -> None:
    # without parameters neither SQLAlchemy nor the driver looks for placeholders, so that %I and :: stay what they are
    connection.execution_options(no_parameters=True).exec_driver_sql(sql)


@contextmanager
def _alone(conninfo: str, tell: Callable[[str], None]) -> Iterator[psycopg.Connection[Any]]:
    """An autocommit connection that holds the lock of migrations."""
    try:
        with _connect(conninfo, tell) as connection:
            connection.autocommit = True
            _await_turn(connection, tell)
            yield connection
            connection.execute("SELECT pg_catalog.pg_advisory_unlock(%s)", (LOCK,))
    except psycopg.Error as error:
        raise _explained(error) from error


def _connect(conninfo: str, tell: Callable[[str], None]) -> psycopg.Connection[Any]:
    connection = _plain(conninfo)
    if connection.info.backend_pid != _backend(connection) and _shares_sessions(conninfo):
        connection.close()
        raise DatabaseError(
            "This address leads through a pooler that shares sessions: migrate over a direct one (DATABASE_URL, or "
            "STABILITY_LISTEN_URL beside it)."
        )
    connection.execute(_SESSION)
    connection.autocommit = False
    connection.add_notice_handler(
        lambda notice: tell(notice.message_primary or "") if notice.severity_nonlocalized == "WARNING" else None
    )
    return connection


def _plain(conninfo: str) -> psycopg.Connection[Any]:
    return psycopg.connect(completed(conninfo, application_name=APPLICATION), autocommit=True)


def _backend(connection: psycopg.Connection[Any]) -> int:
    (pid,) = connection.execute("SELECT pg_catalog.pg_backend_pid()").fetchone() or (0,)
    return int(pid)


def _shares_sessions(conninfo: str) -> bool:
    """Whether a pooler gives a session to somebody else between two transactions, with all that was set in it."""
    with _plain(conninfo) as one, _plain(conninfo) as other:
        with one.transaction():
            _backend(one)
            before = _backend(other)
        with other.transaction():
            return _backend(other) != before


def _await_turn(connection: psycopg.Connection[Any], tell: Callable[[str], None]) -> None:
    # Asked again and again: a session that waits for the lock holds a snapshot, for which CREATE INDEX CONCURRENTLY
    # under that very lock waits in turn, and Postgres would end one of the two as a deadlock.
    take: LiteralString = "SELECT pg_catalog.pg_try_advisory_lock(%s)"
    deadline, told = time.monotonic() + LOCK_PATIENCE, False
    while connection.execute(take, (LOCK,)).fetchone() != (True,):
        if time.monotonic() > deadline:
            raise DatabaseError(
                f"Another migration of this database has run for {LOCK_PATIENCE:.0f} s; end it, then try again."
            )
        if not told:
            tell("another migration of this database is running; waiting for it")
            told = True
        time.sleep(random.uniform(0.05, 0.25))  # noqa: S311 -- jitter


def _explained(error: psycopg.Error) -> DatabaseError:
    said = (error.diag.message_primary or str(error)).strip().rstrip(".")
    match error:
        case psycopg.errors.RaiseException():
            return DatabaseError(f"{said}.")
        case psycopg.errors.InsufficientPrivilege():
            return DatabaseError(f"The database forbids it: {said}; migrate as a role that may.")
        case psycopg.errors.DependentObjectsStillExist():
            return DatabaseError(f"{said}: {(error.diag.message_detail or '').partition(chr(10))[0]}; drop that first.")
        case psycopg.OperationalError() if error.sqlstate is None or error.sqlstate.startswith(("08", "57P")):
            return AwayError(f"The database cannot be reached: {said.splitlines()[0]}.")
    return DatabaseError(f"The database refused: {said}.")
