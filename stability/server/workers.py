"""Several servers on one port, for machines with more cores: one parent starts each, and again when it ended.

Each is a `stability serve` of its own: its listener, its connections, its epoch, its limits. They listen with
SO_REUSEPORT, by which Linux deals new connections out evenly; of sockets that processes inherit, whoever is awake first
takes a whole burst, and streams stay where they are. The socket of a worker that crashed is gone with it, so that
nobody waits at it: the others have all clients until it is back.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from subprocess import SubprocessError
from typing import Any, Final

import structlog

from stability.backoff import Backoff
from stability.postgres.account import die_with

BACKOFF: Final = (0.25, 30.0)  # seconds, first and longest bound of the wait until a worker is started again
STEADY: Final = 60.0  # seconds after which a crash counts as the first one again
PATIENCE: Final = 5.0  # seconds that a worker may take to end

_log = structlog.get_logger(__name__)


class Workers:
    """So many servers, with these variables beside the inherited ones."""

    def __init__(self, count: int, variables: Mapping[str, str], listening: Callable[[], None]) -> None:
        self._count, self._variables = count, variables
        self._listening: Callable[[], None] | None = listening  # called once, when the first one does
        self._processes: set[Process] = set()
        self._over = asyncio.Event()

    async def run(self, also: Sequence[Callable[[], Coroutine[Any, Any, None]]] = ()) -> None:
        """Keep them running, and `also` beside them, until SIGTERM or Ctrl-C; a second one kills them."""
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, self._stop)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._keep(number)) for number in range(1, self._count + 1)]
            tasks += [group.create_task(part()) for part in also]
            await self._over.wait()
            for task in tasks:
                task.cancel()

    def _stop(self) -> None:
        if self._over.is_set():
            for process in self._processes:
                process.kill()
        self._over.set()

    async def _keep(self, number: int) -> None:
        loop, backoff = asyncio.get_running_loop(), Backoff(*BACKOFF)
        while True:
            began = loop.time()
            status: int | str
            try:
                status = await self._live(number)
            except (OSError, SubprocessError) as error:  # no descriptor or no process is left for it
                status = str(error)
            if loop.time() - began >= STEADY:
                backoff.reset()
            rest = backoff.draw()
            _log.warning("a worker ended and is started again", worker=number, status=status, after=round(rest, 2))
            await asyncio.sleep(rest)

    async def _live(self, number: int) -> int:
        """One life of a worker: how it ended."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "stability", "serve"),
            env={**os.environ, **self._variables, "STABILITY_WORKER": str(number)},
            stdin=DEVNULL,
            stdout=PIPE,
            process_group=0,  # a Ctrl-C in our terminal is for us to pass on
            preexec_fn=partial(die_with, os.getpid(), signal.SIGTERM),
        )
        self._processes.add(process)
        try:
            told = process.stdout and await process.stdout.readline()  # its address, once it is bound
            if told and self._listening:
                self._listening()
                self._listening = None
            return await process.wait()
        finally:
            await _ended(process)
            self._processes.discard(process)


async def _ended(process: Process) -> None:
    """Return once it is gone."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(PATIENCE):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
