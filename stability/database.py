"""Reading the database: a small pool of connections with the server's least rights, each read under a deadline."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from stability.errors import DatabaseError

STATEMENT_TIMEOUT: Final = 2000  # milliseconds that Postgres gives one read
LOCK_TIMEOUT: Final = 1500  # milliseconds of them that it may wait for a lock
POOL: Final = 4  # connections kept; ten thousand browsers need no more, since clients never cause a query
SERVER_ROLE: Final = "stability_server"
# What a database or the way to it may do at any time; TimeoutError is an OSError.
FORESEEN: Final = (SQLAlchemyError, psycopg.Error, OSError, DatabaseError)

# The kernel notices a half-open connection: TCP_USER_TIMEOUT bounds what was sent and never acknowledged.
_NETWORK: Final = {
    "connect_timeout": "2",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "3000",
}

# Members of the server's role step down to it, so that a mistake here cannot write to the tables that are watched.
_STEP_DOWN: Final = f"""
    SELECT pg_catalog.set_config('role', r.rolname, false)
      FROM pg_catalog.pg_roles r
     WHERE r.rolname = '{SERVER_ROLE}' AND pg_catalog.pg_has_role(r.oid, 'MEMBER')
"""  # noqa: S608 - a constant

# A standby refuses pg_notify(), in words that name no remedy.
_NOTIFY: Final = """
    SELECT recovering, system_identifier, pg_catalog.pg_notification_queue_usage()
      FROM (SELECT pg_catalog.pg_is_in_recovery() AS recovering) AS r,
           LATERAL (SELECT CASE WHEN NOT recovering THEN pg_catalog.pg_notify(%(channel)s, %(payload)s) END) AS n,
           pg_catalog.pg_control_system()
"""
_STATUS: Final = "SELECT pg_catalog.pg_xact_status(%s::text::xid8)"
_TOO_MANY_CONNECTIONS: Final = "53300"
IDLE_SESSION_TIMEOUT: Final = 140_000  # server_version_num of the first Postgres that has it
# Forbidden, or not found by its number: what a session was, or knew, may have been removed and made anew meanwhile.
_OUTLIVED: Final = {"42501", "XX000"}


async def connect(conninfo: str, application_name: str) -> psycopg.AsyncConnection[Any]:
    """A plain autocommit connection that notices a dead network; what `conninfo` says itself wins.

    Raises psycopg.OperationalError when nobody answers within 2 s.
    """
    return await psycopg.AsyncConnection.connect(
        completed(conninfo, **_NETWORK, application_name=application_name), autocommit=True, prepare_threshold=None
    )


async def connect_to_stay(conninfo: str, application_name: str) -> psycopg.AsyncConnection[Any]:
    """The same for a session that mostly waits, which is not to be ended for that."""
    connection = await connect(conninfo, application_name)
    try:
        if connection.info.server_version >= IDLE_SESSION_TIMEOUT:
            await connection.execute("SET idle_session_timeout = 0")
    except BaseException:  # also whoever is cancelled here leaves no session behind
        await connection.close()
        raise
    return connection


def completed(conninfo: str, **defaults: str) -> str:
    """`conninfo` with what we need where it does not say otherwise: UTF-8, and of several hosts the primary."""
    given = conninfo_to_dict(conninfo)
    hosts = [given.get(name) or os.environ.get(f"PG{name.upper()}") or "" for name in ("host", "hostaddr")]
    if any("," in str(host) for host in hosts) and "PGTARGETSESSIONATTRS" not in os.environ:
        defaults["target_session_attrs"] = "primary"  # the first that answers may be a standby
    defaults["client_encoding"] = "UTF8"
    return make_conninfo(conninfo, **{name: value for name, value in defaults.items() if name not in given})


async def is_direct(connection: psycopg.AsyncConnection[Any]) -> bool:
    """Whether this is Postgres itself; behind a pooler what we set for our session others would find in theirs."""
    row = await (await connection.execute("SELECT pg_catalog.pg_backend_pid()")).fetchone()
    return row == (connection.info.backend_pid,)


async def has_begun(connection: psycopg.AsyncConnection[Any], xid: int) -> bool:
    """Whether the cluster has given this number to a transaction yet."""
    try:
        await connection.execute(_STATUS, (xid,))
    except psycopg.errors.InvalidParameterValue:  # "transaction ID … is in the future"
        return False
    return True


class Database:
    """The pool that refreshers and details read from.

    Prepared statements are off, so that a transaction pooler may stand in between.
    """

    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo
        self.engine: AsyncEngine = create_async_engine(
            "postgresql+psycopg://",
            async_creator=self._connect,
            isolation_level="AUTOCOMMIT",
            pool_size=POOL,
            max_overflow=0,
            pool_timeout=2,
            pool_pre_ping=True,
        )
        self._generation, self._system = 0, 0
        event.listen(self.engine.sync_engine, "connect", self._connected)
        event.listen(self.engine.sync_engine, "checkout", self._checked_out)
        event.listen(self.engine.sync_engine, "handle_error", self._failed)

    def renew(self) -> None:
        """Use no connection again that exists by now: it may lead to where the database was."""
        self._generation += 1

    def _failed(self, context: ExceptionContext) -> None:
        if getattr(context.original_exception, "sqlstate", None) in _OUTLIVED:
            self.renew()

    def _connected(self, _connection: object, record: ConnectionPoolEntry) -> None:
        record.info["generation"] = self._generation

    def _checked_out(self, _connection: object, record: ConnectionPoolEntry, _proxy: object) -> None:
        if record.info["generation"] != self._generation:
            raise DisconnectionError  # the pool replaces it

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        connection = await connect(self.conninfo, "stability")
        try:
            if await is_direct(connection):
                await connection.execute(_STEP_DOWN)
                timeouts = f"SET statement_timeout = {STATEMENT_TIMEOUT}; SET lock_timeout = {LOCK_TIMEOUT}"
                await connection.execute(timeouts.encode())
        except BaseException:  # whoever asked for it may be cancelled, and then nobody else knows of it
            await connection.close()
            raise
        return connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection on which every statement is a snapshot of its own."""
        async with self.engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """A connection on which all statements see the same committed rows, and can write nothing."""
        async with self.engine.connect() as connection:
            yield await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction, which is committed at the end; an error undoes it."""
        async with self.engine.connect() as connection:
            await connection.execution_options(isolation_level="READ COMMITTED")
            async with connection.begin():
                yield connection

    async def notify(self, channel: str, payload: str) -> float:
        """Send a notification, and return how much of Postgres's notification queue is in use, from 0 to 1.

        It goes over a connection of its own, so that it leads to where the database is now; connections that exist lead
        to where it was. Raises DatabaseError when it cannot be sent, when a standby answers, and once when another
        cluster does.
        """
        try:
            standby, system, usage = await self._send(channel, payload)
        except (psycopg.Error, SQLAlchemyError) as error:
            raise DatabaseError(reason(error)) from error
        if standby:
            raise DatabaseError("this is a standby, which shows the past: name the primary, or its hosts, all of them")
        before, self._system = self._system, system
        if before not in (0, self._system):
            raise DatabaseError(f"another database cluster answers: its system identifier is {self._system}")
        return float(usage)

    async def _send(self, channel: str, payload: str) -> tuple[bool, int, float]:
        """Whether a standby answered, which cluster, and the usage of its queue."""
        values = {"channel": channel, "payload": payload}
        try:
            async with await connect(self.conninfo, "stability canary") as connection:
                cursor = await connection.execute(_NOTIFY, values)
                return await cursor.fetchone() or (True, 0, 0.0)
        except psycopg.OperationalError as error:
            if error.sqlstate != _TOO_MANY_CONNECTIONS:
                raise
        async with self.reading() as pooled:  # there is no other one to be had
            driver: Any = (await pooled.get_raw_connection()).driver_connection
            return await (await driver.execute(_NOTIFY, values)).fetchone() or (True, 0, 0.0)

    async def begun(self, xid: int) -> bool:
        """As `has_begun`; True as well where nobody can be asked, so that whoever asks goes on waiting for it."""
        try:
            async with self.reading() as pooled:
                driver: Any = (await pooled.get_raw_connection()).driver_connection
                return await has_begun(driver, xid)
        except (psycopg.Error, SQLAlchemyError, OSError):
            return True

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


def answered(error: BaseException) -> bool:
    """Whether it was the database that refused; else it is away, or going away (SQLSTATE class 08, 57P)."""
    state = getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None
    return state is not None and not state.startswith(("08", "57P"))


def cut_off(error: BaseException) -> bool:
    """Whether the database was still working on a statement when its time was over; waiting for a lock is no work."""
    return isinstance(error, DBAPIError) and isinstance(error.orig, psycopg.errors.QueryCanceled)


def reason(error: BaseException) -> str:
    """What the database said, in one line and without the statement."""
    origin = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return (str(origin) or type(origin).__name__).partition("\n")[0]
