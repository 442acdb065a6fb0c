"""The health monitor: brings new deployments to life, and looks at all that live, at the same time, again and again."""

import asyncio
import random
from collections import Counter
from time import monotonic
from typing import Final

import structlog

from stability.contained import Contained
from stability.database import Database
from stability.deployments import rows
from stability.deployments.apart import apart
from stability.deployments.machines import TIMEOUT, Machines
from stability.deployments.outbound import Outbound
from stability.deployments.prober import UNREACHABLE, Prober
from stability.deployments.rows import Deployment, Move
from stability.deployments.starts import Starts, not_made, too_late
from stability.settings import Settings

LIVING: Final = ("running", "unhealthy", "stopped")
HEARTBEAT: Final = 60.0  # seconds between two lines that say that it lives
AGAIN: Final = 5.0  # seconds, at most, until what failed begins again
GRACE: Final = 15.0  # seconds past its deadline until one that is on its way counts as forgotten
WRITES: Final = 2  # at a time: the pool is that of all requests as well
SPREAD: Final = 0.1  # of the time between two looks, over which the questions of one are spread

_log = structlog.get_logger(__name__)


class HealthMonitor:
    """Everything that one server does for deployments; `run` is its duty."""

    def __init__(self, database: Database, machines: Machines | None, outbound: Outbound, settings: Settings) -> None:
        self._database, self._settings = database, settings
        self._prober = Prober(machines, outbound, settings)
        self._starts = Starts(database, machines, self._prober, settings)
        self._room = asyncio.Semaphore(settings.probe_parallel)
        self._writing = asyncio.Semaphore(WRITES)
        self._in_a_row: dict[str, tuple[str, int]] = {}
        self._counts: Counter[str] = Counter()

    def wake(self) -> None:
        """There may be new deployments: look now instead of within a second."""
        self._starts.wake()

    async def run(self) -> None:
        """Watch for ever; returns only by cancellation, and at once then."""
        _log.info("HealthMonitor started", every=self._settings.probe_seconds)
        async with asyncio.TaskGroup() as group:
            # the table says where to go on
            group.create_task(Contained("deployments: starts", AGAIN).run(self._starts.run))
            group.create_task(Contained("deployments: looks", AGAIN).run(self._rounds))
            group.create_task(self._beat())

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT)
            _log.info(
                "HealthMonitor heartbeat", **{name: self._counts[name] for name in ("rounds", "looks", "changes")}
            )

    async def _rounds(self) -> None:
        while True:
            began = monotonic()
            await self.look_once()
            every = self._settings.probe_seconds * random.uniform(0.95, 1)  # noqa: S311 -- jitter
            await asyncio.sleep(max(0.0, began + every - monotonic()))

    async def look_once(self) -> None:
        """One round: look at every deployment that is due, then say in one statement which were looked at."""
        due = await self._due()
        self._in_a_row = {one.id: self._in_a_row[one.id] for one in due if one.id in self._in_a_row}
        seen: set[str] = set()
        async with asyncio.TaskGroup() as group:
            for deployment in due:
                group.create_task(apart(deployment.id, self._visit(deployment, seen)))
        await rows.checked(self._database, seen)
        self._counts["rounds"] += 1

    async def _due(self) -> list[Deployment]:
        found = await rows.having(self._database, (*LIVING, *rows.TRANSITIONAL))
        limits = {
            "pending": self._settings.deployment_create_seconds,
            "installing": self._settings.deployment_create_seconds,
            "starting": self._settings.deployment_start_seconds,
        }
        return [
            one
            for one in found
            if one.status in LIVING or (self._starts.forgotten(one) and one.age > limits[one.status] + GRACE)
        ]

    async def _visit(self, deployment: Deployment, seen: set[str]) -> None:
        """Look at one, and note it in `seen` if the table says what was seen."""
        spread = min(1.0, SPREAD * self._settings.probe_seconds)
        await asyncio.sleep(random.uniform(0, spread))  # noqa: S311 -- jitter
        if deployment.status in rows.TRANSITIONAL and not self._starts.forgotten(deployment):
            return
        async with self._room, asyncio.timeout(self._settings.probe_timeout_seconds + TIMEOUT + 1):
            verdict = await self._verdict(deployment)
        self._counts["looks"] += 1
        if verdict and await self._write(deployment, verdict):
            seen.add(deployment.id)

    async def _verdict(self, deployment: Deployment) -> Move | None:
        if deployment.status in {"pending", "installing"}:
            return not_made(self._settings.deployment_create_seconds)
        verdict = await self._prober.look(deployment)
        if deployment.status == "starting" and verdict and verdict.status == "unhealthy":
            return too_late(self._settings.deployment_start_seconds)
        return verdict

    async def _write(self, deployment: Deployment, verdict: Move) -> bool:
        """Whether what the table says is what was seen."""
        if verdict.status == deployment.status:
            self._in_a_row.pop(deployment.id, None)
            if verdict.error == deployment.error or self._says_less(verdict, deployment):
                return True
        elif not self._enough(deployment, verdict.status):
            return True
        async with self._writing:
            moved = await rows.move(self._database, deployment, verdict)
        self._counts["changes"] += moved
        return moved

    def _says_less(self, verdict: Move, deployment: Deployment) -> bool:
        """Whether it is known already why nobody answers: it never did."""
        never = too_late(self._settings.deployment_start_seconds)
        return (verdict.error, deployment.error) == (UNREACHABLE, never.error)

    def _enough(self, deployment: Deployment, status: str) -> bool:
        """Whether that was seen often enough in a row to be believed."""
        last, times = self._in_a_row.get(deployment.id, ("", 0))
        times = times + 1 if last == status else 1
        wanted = {
            ("running", "unhealthy"): self._settings.probe_failures,
            ("unhealthy", "running"): self._settings.probe_successes,
        }.get((deployment.status, status), 1)
        self._in_a_row[deployment.id] = (status, times)
        return times >= wanted
