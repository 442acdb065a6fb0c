"""One connection that only LISTENs, and proves that what is sent arrives.

Connect, LISTEN, prove, then let the refreshers read and push: the same path for start, reconnect and failover, since
any other order loses what commits in between. A connection that failed is never mended, only replaced.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final

import psycopg
import structlog

from stability.backoff import Backoff
from stability.database import connect_to_stay, reason
from stability.errors import DatabaseError
from stability.hints import CANARY_CHANNEL

CANARY_DEADLINE: Final = 5.0  # seconds until an unanswered canary means that the listener is deaf
DEAF: Final = 2  # new connections in turn that hear nothing: a pooler swallows LISTEN, trying again will not help
BACKOFF: Final = (0.25, 3.0)  # seconds, first and longest bound of the wait for another try

_log = structlog.get_logger(__name__)


class LostError(Exception):
    """The connection no longer proves that notifications arrive."""


class DeafError(LostError):
    """A notification was sent and did not arrive."""


class Listener:
    """Listens on `channels` for as long as it runs; hears, proves, and says when it cannot.

    `heard(channel, payload)` gets every notification but the canary. `probe(payload)` must send the canary over another
    connection. `live()` is called once LISTEN is proven: now read. `lost(reason)` is called when nothing is proven any
    more, and again for every try that fails; `deaf(reason)` instead where listening cannot work at all.
    """

    def __init__(  # noqa: PLR0913 - the composition root names every part
        self,
        conninfo: str,
        channels: Iterable[str],
        *,
        heard: Callable[[str, str], None],
        probe: Callable[[str], Awaitable[None]],
        live: Callable[[], None],
        lost: Callable[[str], None],
        deaf: Callable[[str], None],
        canary_seconds: float,
        proved: Callable[[float], None] = lambda _delay: None,
    ) -> None:
        self._conninfo = conninfo
        self._channels = (*channels, CANARY_CHANNEL)
        self._heard, self._probe, self._live, self._lost, self._proved = heard, probe, live, lost, proved
        self._deaf = deaf
        self._canary_seconds = canary_seconds or None
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._watched = ExitStack()  # its end is the end of our interest in the connection's socket
        self._broken: asyncio.Future[None]
        self._canary = ""
        self._echo: asyncio.Future[None]
        self._told = ""  # the condition that was logged last

    async def run(self) -> None:
        """Listen for ever; returns only by cancellation."""
        backoff, unheard = Backoff(*BACKOFF), 0
        while True:
            proven = False
            try:
                async with self._listening():
                    await self._prove()
                    backoff.reset()
                    unheard, proven = 0, True
                    self._tell_live()
                    await self._keep_proving()
            except psycopg.errors.FeatureNotSupported as error:
                await self._do_without(reason(error))
            except DeafError as error:
                unheard += not proven
                (self._tell_deaf if unheard >= DEAF else self._tell_lost)(reason(error))
            except (psycopg.Error, DatabaseError, OSError, TimeoutError, LostError) as error:
                unheard = 0
                self._tell_lost(reason(error))
            await asyncio.sleep(backoff.draw())

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        self._broken, self._echo = loop.create_future(), loop.create_future()
        connection = await connect_to_stay(self._conninfo, "stability listener")
        try:
            connection.add_notify_handler(lambda notify: self._notified(notify.channel, notify.payload))
            async with asyncio.timeout(CANARY_DEADLINE):
                await _listen(connection, self._channels)
            self._connection = connection
            # psycopg's own notifies() wakes ten times a second; the socket wakes once per message.
            descriptor = connection.fileno()
            loop.add_reader(descriptor, self._readable)
            with self._watched:
                self._watched.callback(loop.remove_reader, descriptor)
                yield
        finally:
            self._connection = None
            await connection.close()

    def _readable(self) -> None:
        if self._connection is None or self._broken.done():
            return
        pgconn = self._connection.pgconn
        try:
            pgconn.consume_input()
        except psycopg.OperationalError as error:
            self._watched.close()  # libpq closed the socket, and somebody else may get its number
            self._broken.set_exception(LostError(reason(error)))
            return
        while notify := pgconn.notifies():
            self._notified(notify.relname.decode(), notify.extra.decode(errors="replace"))

    def _notified(self, channel: str, payload: str) -> None:
        if channel != CANARY_CHANNEL:
            self._heard(channel, payload)
        elif payload == self._canary and not self._echo.done():
            self._echo.set_result(None)

    async def _keep_proving(self) -> None:
        while True:
            await self._wait(self._broken, self._canary_seconds)
            await self._prove()

    async def _prove(self) -> None:
        self._canary, self._echo = secrets.token_hex(8), asyncio.get_running_loop().create_future()
        sent = time.monotonic()
        probe = asyncio.ensure_future(self._probe(self._canary))
        probe.add_done_callback(partial(_pass_on, self._broken))
        try:
            arrived = await self._wait(self._echo, CANARY_DEADLINE)
            delay = time.monotonic() - sent
            # mostly the echo comes first; a probe that is cut off for that would cost its connection
            if not (arrived and await self._wait(probe, CANARY_DEADLINE - delay)):
                kind = DeafError if probe.done() else LostError
                raise kind(f"a notification did not arrive within {CANARY_DEADLINE:g} s")
        finally:
            probe.cancel()  # without waiting for it: on a line that is dead that takes seconds
        self._proved(delay)

    async def _do_without(self, why: str) -> None:
        """LISTEN is refused, and will be again: poll, if the canary can be sent, for a standby takes none."""
        try:
            async with asyncio.timeout(CANARY_DEADLINE):
                await self._probe(secrets.token_hex(8))
        except (DatabaseError, OSError, TimeoutError) as error:
            self._tell_lost(reason(error))
        else:
            self._tell_deaf(why)

    async def _wait(self, fact: asyncio.Future[None], seconds: float | None) -> bool:
        """Whether `fact` came within `seconds`; raises what broke the connection if that came first."""
        done, _ = await asyncio.wait({fact, self._broken}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if self._broken in done:
            self._broken.result()
        return fact in done

    def _tell_live(self) -> None:
        self._told = "live"
        _log.info("listening", channels=len(self._channels))
        self._live()

    def _tell_lost(self, why: str) -> None:
        if self._told != "lost":  # one line per change of condition, not per try
            self._told = "lost"
            _log.warning("listener lost, the state is unknown until it is back", reason=why)
        self._lost(why)

    def _tell_deaf(self, why: str) -> None:
        if self._told != "deaf":
            self._told = "deaf"
            _log.warning(
                "listening does not work here, polling while somebody watches: see `stability doctor`", reason=why
            )
        self._deaf(why)


def _pass_on(broken: asyncio.Future[None], probe: asyncio.Future[None]) -> None:
    """What is wrong with a probe breaks the connection that it was to prove."""
    error = None if probe.cancelled() else probe.exception()
    if error and not broken.done():
        broken.set_exception(error)
        broken.exception()  # whoever waits raises it; if nobody does, it is no news


async def _listen(connection: psycopg.AsyncConnection[Any], channels: Iterable[str]) -> None:
    statement = "; ".join(f"LISTEN {channel}" for channel in channels)
    try:
        await connection.execute(statement.encode())
    except psycopg.errors.UndefinedFile:
        # "could not access status of transaction": reading the queue once moves its tail past the frozen entry
        await connection.execute("SELECT pg_catalog.pg_notification_queue_usage()")
        await connection.execute(statement.encode())
