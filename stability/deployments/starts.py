"""Brings deployments to life: makes the machine, then waits until it answers.

Each step is written before the next begins, and the table alone says where to go on: whoever takes over after a crash,
in whatever state, finds the machine by its name and the end of the wait by the moment at which it began.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import httpx
import structlog

from stability.database import Database
from stability.deployments import rows
from stability.deployments.apart import apart
from stability.deployments.machines import MachineError, Machines, name_of, patiently
from stability.deployments.outbound import ForbiddenError
from stability.deployments.prober import Prober
from stability.deployments.rows import Deployment, Move
from stability.settings import Settings

CREATING: Final = "Creating Fly machine..."
STARTING: Final = "Installing packages and starting server..."
MAKING: Final = 32  # machines that are made at a time
POLL: Final = 10.0  # seconds between two looks for new ones, of which a hint tells us long before

_log = structlog.get_logger(__name__)


def too_late(seconds: float) -> Move:
    """What a deployment becomes that did not answer in time."""
    return Move("unhealthy", error=f"Server failed to start within {seconds:g} seconds")


def not_made(seconds: float) -> Move:
    """What a deployment becomes whose machine was not made in time."""
    return Move("failed", error=f"Not created within {seconds:g} seconds")


class Starts:
    """Every deployment that is on its way, each in a task of its own."""

    def __init__(self, database: Database, machines: Machines | None, prober: Prober, settings: Settings) -> None:
        self._database, self._machines, self._prober, self._settings = database, machines, prober, settings
        self._making, self._room = asyncio.Semaphore(MAKING), asyncio.Semaphore(settings.probe_parallel)
        self._wake = asyncio.Event()
        self.going: set[str] = set()
        self._looked = False

    def forgotten(self, deployment: Deployment) -> bool:
        """Whether nobody brings it on any more, though somebody tried; after an outage there is a try first."""
        return self._looked and deployment.id not in self.going

    def wake(self) -> None:
        """There may be new ones."""
        self._wake.set()

    async def run(self) -> None:
        """Begin with whatever is there, for ever; returns only by cancellation."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    self._wake.clear()
                    for deployment in await rows.having(self._database, rows.TRANSITIONAL):
                        if deployment.id not in self.going:
                            self.going.add(deployment.id)
                            group.create_task(self._go(deployment))
                    self._looked = True
                    with suppress(TimeoutError):
                        async with asyncio.timeout(POLL * random.uniform(0.9, 1)):  # noqa: S311 -- jitter
                            await self._wake.wait()
        finally:
            self._looked = False

    async def _go(self, found: Deployment) -> None:
        try:
            await apart(found.id, self._advance(found))
        finally:
            self.going.discard(found.id)

    async def _advance(self, found: Deployment | None) -> None:
        """Step by step, until it is on its way no more or somebody else moves it."""
        again = True  # a step that may have been begun before
        while found and found.status in rows.TRANSITIONAL:
            step = {"pending": self._begin, "installing": self._make, "starting": self._await_health}[found.status]
            if not await rows.move(self._database, found, await step(found, again=again)):
                break
            again = False
            found = await rows.find(self._database, found.id)

    async def _begin(self, deployment: Deployment, *, again: bool) -> Move:  # noqa: ARG002 -- a step like the others
        if deployment.health_url or deployment.machine_id:
            return Move("starting", STARTING)
        if self._machines is None:
            return Move("failed", error="No machine API is set (STABILITY_MACHINES_URL and STABILITY_MACHINES_APP)")
        return Move("installing", CREATING)

    async def _make(self, deployment: Deployment, *, again: bool) -> Move:
        if deployment.machine_id:
            return Move("starting", STARTING)
        if self._machines is None:
            return Move("failed", error="No machine API is set (STABILITY_MACHINES_URL and STABILITY_MACHINES_APP)")
        loop = asyncio.get_running_loop()
        left = self._settings.deployment_create_seconds - deployment.age
        deadline = loop.time() + left
        try:
            async with asyncio.timeout(None if again else left):  # what was left undone has one try, however late
                await self._making.acquire()
        except TimeoutError:
            return not_made(self._settings.deployment_create_seconds)
        try:
            name = name_of(deployment.id)
            config = await rows.config_of(self._database, deployment.id)
            machine = await patiently(self._machines, name, config, deadline - loop.time(), again=again)
        except MachineError as error:
            return Move("failed", error=str(error))
        finally:
            self._making.release()
        return Move("starting", STARTING, machine_id=machine.id)

    async def _await_health(self, deployment: Deployment, *, again: bool) -> Move:  # noqa: ARG002
        async def ask(seconds: float) -> bool:
            async with self._room:
                return await self._prober.answers(deployment, seconds) == httpx.codes.OK

        left = self._settings.deployment_start_seconds - deployment.age
        try:
            if await wait_for_health(ask, left, self._settings):
                return Move("running")
        except ForbiddenError as error:
            return Move("unhealthy", error=f"Health check is not allowed: {error}")
        return too_late(self._settings.deployment_start_seconds)


async def wait_for_health(ask: Callable[[float], Awaitable[bool]], seconds: float, settings: Settings) -> bool:
    """Whether `ask`, told how long it may take, says yes within so many seconds; asked once even if they are over."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        began = loop.time()
        most = settings.probe_timeout_seconds if began >= deadline else deadline - began
        if await ask(min(most, settings.probe_timeout_seconds)):
            return True
        following = max(loop.time(), began + settings.deployment_start_probe_seconds)
        if following >= deadline:
            await asyncio.sleep(max(0.0, deadline - loop.time()))
            return False
        await asyncio.sleep(max(0.0, following - loop.time()))
