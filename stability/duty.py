"""Work that exactly one of several servers does: the one whose session holds the work's lock.

A lock ends with its session, and Postgres itself ends the session of a holder that it hears nothing of; so the others,
who ask again and again, take over within `TAKEN_OVER`. For a moment a holder that lost its network may work beside its
successor: whatever a duty writes has to say what it found before.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
import structlog

from stability.backoff import Backoff
from stability.contained import Contained, alone, first
from stability.database import IDLE_SESSION_TIMEOUT, connect_to_stay, is_direct, reason
from stability.errors import DatabaseError

TAKEN_OVER: Final = 10.0  # seconds from the end of a holder, however it ended, until another one has begun
LOOK: Final = 2.0  # seconds, at most, between two looks whether a lock is free, and whether ours still are
ANSWER: Final = 2.5  # seconds that the database may take to say so
APPLICATION: Final = "stability duties"
CLASS: Final = 0x57AB  # of the advisory locks that are ours; the work's name is the other half of the key

# Where Postgres hears nothing of us any more it ends the session: dead, stopped, or behind a network that lost us.
_SILENCE: Final = 5000  # milliseconds; we look twice in that
_NOTICE_US: Final = (
    "SET tcp_keepalives_idle = 2; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 3;"
    " SET tcp_user_timeout = 4000"
)
_NOTICE_SILENCE: Final = f"SET idle_session_timeout = {_SILENCE}"  # Postgres 13 has only the former
_NOTICE_POOLED: Final = f"SET LOCAL idle_in_transaction_session_timeout = {_SILENCE}"
_TAKE: Final = """
    SELECT pg_catalog.pg_is_in_recovery(), ARRAY(
        SELECT name FROM pg_catalog.unnest(%s::text[]) AS name
        WHERE pg_catalog.pg_try_advisory_lock(%s, pg_catalog.hashtext(name)))
"""
# A pooler that shares sessions keeps one for us only as long as a transaction is open, and the lock is that one's.
_TAKE_POOLED: Final = _TAKE.replace("pg_try_advisory_lock", "pg_try_advisory_xact_lock")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Duty:
    """One piece of work: `run` never returns by itself, is cancelled where another server may have taken over.

    An error ends it, whatever it is, and it is begun again; the others go on.
    """

    name: str
    run: Callable[[], Coroutine[Any, Any, None]]


class Duties:
    """All that this server would do, and does as far as no other one does it."""

    def __init__(self, conninfo: str, duties: Sequence[Duty]) -> None:
        self._conninfo = conninfo
        self._duties = {duty.name: duty for duty in duties}
        self._moved = False
        self._look = asyncio.Event()
        self._failing = False

    @property
    def names(self) -> Sequence[str]:
        """What there is to do."""
        return list(self._duties)

    def renew(self) -> None:
        """The database may be elsewhere by now: ask there who does what."""
        self._moved = True
        self._look.set()

    async def run(self) -> None:
        """Do them for ever; returns only by cancellation, and at once where there are none."""
        backoff = Backoff(0.25, 3.0)
        while self._duties:
            try:
                await alone(self._connect(backoff))
            except* (psycopg.Error, OSError, DatabaseError) as failed:  # TimeoutError is an OSError
                self._tell_failing(failed)
            await asyncio.sleep(backoff.draw())

    async def _connect(self, backoff: Backoff) -> None:
        connection = await connect_to_stay(self._conninfo, APPLICATION)
        try:
            self._moved = False
            await self._serve(connection, backoff)
        finally:
            await connection.close()

    async def _serve(self, connection: psycopg.AsyncConnection[Any], backoff: Backoff) -> None:
        """Do what nobody else does until the session, and with it our locks, may be gone."""
        direct = await is_direct(connection)
        await connection.set_autocommit(direct)
        await connection.execute(_NOTICE_US if direct else _NOTICE_POOLED)
        if direct and connection.info.server_version >= IDLE_SESSION_TIMEOUT:
            await connection.execute(_NOTICE_SILENCE)
        free = dict(self._duties)
        async with asyncio.TaskGroup() as group:
            tasks: list[asyncio.Task[None]] = []
            while not self._moved:
                taken = await self._take(connection, list(free), direct=direct)
                tasks += [group.create_task(_keep(free.pop(name))) for name in taken]
                backoff.reset()
                self._failing = False
                await self._pause(connection.fileno())
            for task in tasks:
                task.cancel()

    async def _pause(self, descriptor: int) -> None:
        """Until it is time to look again, or the session said something unasked: mostly that it ends."""
        asyncio.get_running_loop().add_reader(descriptor, self._look.set)
        try:
            async with asyncio.timeout(LOOK * random.uniform(0.8, 1)):  # noqa: S311 -- jitter
                await self._look.wait()
        except TimeoutError:
            pass
        finally:
            asyncio.get_running_loop().remove_reader(descriptor)
            self._look.clear()

    @staticmethod
    async def _take(connection: psycopg.AsyncConnection[Any], names: Sequence[str], *, direct: bool) -> Sequence[str]:
        """The names whose lock is ours now; that it answers says that the others still are."""

        async def ask() -> tuple[Any, ...]:
            cursor = await connection.execute(_TAKE if direct else _TAKE_POOLED, (names, CLASS))
            return await cursor.fetchone() or (True, [])

        asked = asyncio.ensure_future(ask())
        try:
            await asyncio.wait({asked}, timeout=ANSWER)
            if not asked.done():
                raise DatabaseError(f"no answer within {ANSWER:g} s")
            standby, taken = asked.result()
        finally:
            asked.cancel()  # without waiting for its end: on a line that is dead that takes seconds
            await asyncio.sleep(0)  # it lets go of the socket, whose number others have once the connection is closed
        if standby:
            raise DatabaseError("this is a standby")
        return list(taken)

    def _tell_failing(self, failed: BaseExceptionGroup[BaseException]) -> None:
        if not self._failing:
            _log.warning("duties wait for the database", reason=reason(first(failed)))
        self._failing = True


async def _keep(duty: Duty) -> None:
    """Do it, and again whenever it failed."""
    _log.info("on duty", duty=duty.name)
    await Contained(duty.name).run(duty.run)
