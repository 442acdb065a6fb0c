"""The design under test: two real `stability serve` on one database, their clients, and what strikes them."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Final, LiteralString

import httpx
import psycopg

from stability import client
from stability.errors import StabilityError
from stability.postgres.account import die_with
from stability.torture.clients import Screen, page, terminal
from stability.torture.script import SERVERS, Fault, Rest
from stability.torture.truth import Span

LOOK_AGAIN: Final = 0.02  # seconds
REST: Final = 10.0  # seconds until a server that shows stable must have armed the register
NOTICED: Final = 2.0  # seconds until the clients of a server that is gone must have noticed
_OURS: Final = ("STABILITY_", "DATABASE_URL")
# with an offset of 1 one server keeps its connection
_KILL: LiteralString = """
    SELECT pg_terminate_backend(pid)
      FROM (SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s
             ORDER BY pid OFFSET %s) AS a
"""
_CLOSED: LiteralString = "SELECT stability.armed() = 0"

Connection = psycopg.AsyncConnection[Any]


class Servers:
    """Both share the database and its register; each has a client in a terminal and one that is a page."""

    def __init__(self, conninfo: str, folder: Path, reread_seconds: float | None, changed: Callable[[], None]) -> None:
        self._folder = folder
        rereads = {} if reread_seconds is None else {"STABILITY_REREAD_SECONDS": str(reread_seconds)}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        self._environment = {**kept, "DATABASE_URL": conninfo, **rereads}
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._at = {n: [Screen(f"{kind} {n}", changed) for kind in ("terminal", "page")] for n in range(SERVERS)}

    @property
    def screens(self) -> list[Screen]:
        """Every client's."""
        return [screen for screens in self._at.values() for screen in screens]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Both serve and are followed until the block ends."""
        try:
            for number in range(SERVERS):
                self._start(number)
            for number in range(SERVERS):
                await self._answers(number)  # or its clients would back off from it
            async with asyncio.TaskGroup() as group:
                following = [
                    group.create_task(follow(self._server(number), screen))
                    for number, screens in self._at.items()
                    for follow, screen in zip((terminal, page), screens, strict=True)
                ]
                yield
                for task in following:
                    task.cancel()
        finally:
            for process in self._processes.values():
                process.kill()
                process.wait()

    async def rest(self, kind: Rest, lull: float, owner: Connection) -> None:
        """Return at the moment that is asked for: while a server arms the register, or once it has."""
        if kind == "armed":
            deadline = monotonic() + REST
            while await _is(owner, _CLOSED) and monotonic() < deadline:  # noqa: ASYNC110 -- another process does it
                await asyncio.sleep(LOOK_AGAIN)
        await asyncio.sleep(lull)

    async def strike(self, fault: Fault, owner: Connection) -> None:
        """Let it happen; returns once it is over."""
        await asyncio.sleep(fault.after)
        match fault.kind:
            case "listener killed":
                await owner.execute(_KILL, ("stability listener", fault.server))
            case "readers killed":
                await owner.execute(_KILL, ("stability", fault.server))
            case "server killed":
                self._kill(fault.server)
                self._start(fault.server)
                await self._noticed(fault.server)
            case "server frozen":
                await self._freeze(fault.server, fault.seconds)

    async def afresh(self, _stable: bool) -> None:
        """After a wrong end: both start again, so that the next history is judged by itself."""
        for number in self._processes:
            self._kill(number)
            self._start(number)

    async def _freeze(self, number: int, seconds: float) -> None:
        process, began = self._processes[number], monotonic()
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        process.send_signal(signal.SIGCONT)
        for screen in self._at[number]:
            screen.frozen.append(Span(began, monotonic()))

    async def _answers(self, number: int) -> None:
        async with self._server(number).client() as http:
            while True:
                with suppress(httpx.TransportError):
                    await http.get("livez")
                    return
                if self._processes[number].poll() is not None:
                    raise StabilityError(f"a server did not start: see {self._folder}.")
                await asyncio.sleep(LOOK_AGAIN)

    async def _noticed(self, number: int) -> None:
        """Return once its clients know that they do not know; if they do not, they will be found to lie."""
        deadline = monotonic() + NOTICED
        while any(s.shows is not None for s in self._at[number]) and monotonic() < deadline:  # noqa: ASYNC110 -- two
            await asyncio.sleep(LOOK_AGAIN)

    def _kill(self, number: int) -> None:
        self._processes[number].kill()
        self._processes[number].wait()

    def _start(self, number: int) -> None:
        with (self._folder / f"server-{number}.log").open("ab") as log:
            self._processes[number] = subprocess.Popen(
                [sys.executable, "-m", "stability", "serve"],
                env={**self._environment, "STABILITY_UDS": self._socket(number)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=partial(die_with, os.getpid(), signal.SIGKILL),  # noqa: PLW1509 -- it is a single call
            )

    def _socket(self, number: int) -> str:
        return str(self._folder / f"server-{number}")

    def _server(self, number: int) -> client.Server:
        return client.Server(httpx.URL("http://localhost"), self._socket(number))


async def _is(owner: Connection, question: LiteralString) -> bool:
    return await (await owner.execute(question)).fetchone() == (True,)
