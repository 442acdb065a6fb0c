"""Owns the processes: the listening sockets, the Postgres of our own where no database is named, and the servers."""

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import psycopg
import structlog
import uvicorn
from uvicorn.supervisors.statreload import StatReload

from stability import logs
from stability.app import Background, Stability, create_app
from stability.backoff import Backoff
from stability.connection import database_of, opened
from stability.contained import Contained
from stability.database import FORESEEN, Database, connect, reason
from stability.errors import AwayError, SettingError, StabilityError
from stability.monitors import MONITORS
from stability.postgres import EmbeddedPostgres
from stability.schema import migration, revision
from stability.server import Server
from stability.server.descriptors import room_for
from stability.server.sockets import listening, reserve
from stability.server.workers import Workers
from stability.settings import Settings

BACKOFF: Final = (0.25, 3.0)  # seconds, first and longest bound of the wait for a database that is away
LOOK: Final = (0.05, 1.0)  # seconds, the same between two looks whether the schema is there

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Running:
    """What somebody who just started a server wants to know."""

    address: str
    dsn: str
    embedded: bool

    @property
    def page(self) -> str:
        """Where the page is."""
        return self.address if self.address.startswith("unix:") else f"{self.address}/"


def up(settings: Settings, started: Callable[[Running], None]) -> None:
    """Everything, until SIGTERM or Ctrl-C: a Postgres of our own unless one is named, the newest schema, the server."""
    _serve(settings, started, migrate=True)


def serve(settings: Settings, started: Callable[[Running], None], *, reload: bool = False) -> None:
    """The server alone, until SIGTERM or Ctrl-C, on a schema that somebody else migrates.

    With `reload` it starts anew whenever a Python file of this package changes. Raises SettingError where it cannot
    listen, or is to reload several workers.
    """
    if reload and settings.workers > 1:
        raise SettingError("STABILITY_WORKERS", "--reload goes with one worker only.")
    if settings.workers > 1:
        _serve_by_workers(settings, started)
    elif reload:
        _reloading(settings, started)
    else:
        _serve(settings, started, migrate=False)


def observe(settings: Settings, name: str) -> None:
    """What one monitor has to do, without a server, until SIGTERM or Ctrl-C.

    Raises SettingError where there is no such monitor.
    """
    monitors = {monitor.name: monitor for monitor in MONITORS}
    if name not in monitors:
        raise SettingError("NAME", f"{name!r} is no monitor; there are: {', '.join(monitors)}.")
    with database_of(settings, start=None) as conninfo:
        parts = Stability(settings, conninfo, [monitors[name]])
        asyncio.run(_until_told(parts))


async def _until_told(parts: Stability) -> None:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    async with parts.running():
        await told.wait()


def _serve(settings: Settings, started: Callable[[Running], None], *, migrate: bool) -> None:
    with listening(settings) as sockets, opened(settings, start=migrate or None) as (conninfo, postgres):
        failures: list[StabilityError] = []
        readable = asyncio.Event()
        if not migrate:
            readable.set()

        async def prepare() -> None:
            try:
                await _migrated(settings.listen_conninfo or conninfo, own=postgres is not None)
            except StabilityError as error:
                failures.append(error)
                server.stop()

        also: list[Background] = [prepare, partial(_tell_readable, conninfo, readable)] if migrate else []
        if postgres:
            also.append(_kept(postgres))
        server = _server(settings, conninfo, also, readable)
        started(Running(_address(settings, sockets[0].getsockname()), conninfo, settings.conninfo is None))
        server.run(sockets=sockets)
        if failures:
            raise failures[0]
        if server.crashed:
            raise StabilityError("A part of the server crashed: the log above says which; please report it.")


def _serve_by_workers(settings: Settings, started: Callable[[Running], None]) -> None:
    """The port and the database stay here; each worker is a server of its own."""
    with reserve(settings) as held, opened(settings, start=None) as (conninfo, postgres):
        running = Running(_address(settings, held.getsockname()), conninfo, settings.conninfo is None)
        variables = {
            "STABILITY_HOST": settings.host,
            "STABILITY_PORT": str(held.getsockname()[1]),
            "STABILITY_REUSE_PORT": "1",
            "STABILITY_WORKERS": "1",
            **({"DATABASE_URL": conninfo} if postgres else {}),
        }

        async def work() -> None:
            workers = Workers(settings.workers, variables, partial(started, running))
            await workers.run([_kept(postgres)] if postgres else [])

        asyncio.run(work())


def _reloading(settings: Settings, started: Callable[[Running], None]) -> None:
    """The sockets and the database stay here; the server is a child that uvicorn's supervisor replaces."""
    package = str(Path(__file__).parent)
    with listening(settings) as sockets, database_of(settings, start=None) as conninfo:
        config = uvicorn.Config("stability.app:create_app", log_config=None, reload=True, reload_dirs=[package])
        started(Running(_address(settings, sockets[0].getsockname()), conninfo, settings.conninfo is None))
        StatReload(config, partial(_child, settings, conninfo), sockets).run()


def _child(settings: Settings, conninfo: str, sockets: list[socket.socket]) -> None:
    logs.configure(settings.log_format, settings.log_level, settings.worker)
    _server(settings, conninfo).run(sockets=sockets)


def _server(
    settings: Settings, conninfo: str, also: Sequence[Background] = (), readable: asyncio.Event | None = None
) -> Server:
    settings = settings.model_copy(update={"max_streams": room_for(settings.max_streams)})
    app = create_app(settings, conninfo=conninfo, also=also, readable=readable)
    return Server(app, settings, app.state.drain, app.state.offer)


def _kept(postgres: EmbeddedPostgres) -> Background:
    return partial(Contained("embedded Postgres").run, postgres.keep)


async def _migrated(conninfo: str, *, own: bool) -> None:
    """Return once the schema is the newest; a database that goes away meanwhile is waited for.

    What is done to somebody's tables is news; in a database of our `own` it is not.
    """
    tell = _log.debug if own else _log.info
    while True:
        await _reached(conninfo)
        try:
            await _in_a_thread(partial(migration.migrate, conninfo, tell))
        except AwayError as error:
            _log.warning("the database went away during the migration, which begins again", reason=str(error))
        else:
            _log.info("the schema is up to date", revision=revision.revisions()[0])
            return


async def _tell_readable(conninfo: str, readable: asyncio.Event) -> None:
    """Set `readable` once the schema is one that can be read: at once where it was, whatever a migration has to do yet.

    Whoever migrates, which may be another server, has committed it then.
    """
    database, backoff = Database(conninfo), Backoff(*LOOK)
    try:
        while not readable.is_set():
            try:
                async with database.reading() as connection:
                    await revision.check(connection)
                readable.set()
            except FORESEEN:
                await asyncio.sleep(backoff.draw())
    finally:
        await database.close()


async def _in_a_thread(act: Callable[[], None]) -> None:
    """Act, where the end of the process need not wait for it: a database takes back what was not committed."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def tell(error: Exception | None) -> None:
        if not done.done():
            done.set_exception(error) if error else done.set_result(None)

    def run() -> None:
        failed: Exception | None = None
        try:
            act()
        except Exception as error:  # noqa: BLE001 -- raised where it is awaited
            failed = error
        with suppress(RuntimeError):  # nobody waits any more
            loop.call_soon_threadsafe(tell, failed)

    threading.Thread(target=run, daemon=True).start()
    await done


async def _reached(conninfo: str) -> None:
    """Return once the database lets us in; the server serves `unknown` meanwhile."""
    backoff, told = Backoff(*BACKOFF), False
    while True:
        try:
            await (await connect(conninfo, "stability migrate")).close()
        except (psycopg.OperationalError, OSError) as error:
            if not told:
                _log.warning("the database is away, trying again until it is back", reason=reason(error))
                told = True
            await asyncio.sleep(backoff.draw())
        else:
            return


def _address(settings: Settings, name: object) -> str:
    if settings.uds:
        return f"unix:{Path(settings.uds)}"
    host, port = name[:2] if isinstance(name, tuple) else (settings.host, settings.port)
    return f"http://{f'[{host}]' if ':' in str(host) else host}:{port}{settings.root_path}"
