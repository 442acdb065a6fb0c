"""Looks at one deployment: its health URL, and where nobody answers, the machine API."""

from typing import Final

import httpx
import structlog

from stability.deployments.machines import Machine, MachineError, Machines, is_id
from stability.deployments.outbound import ForbiddenError, Outbound, UnansweredError
from stability.deployments.rows import Deployment, Move
from stability.logs import Seldom
from stability.settings import Settings

UNREACHABLE: Final = "Machine unreachable"
NOT_THERE: Final = "Machine not found"
_STOPPED: Final = frozenset({"stopped", "suspended", "stopping"})
_GONE: Final = frozenset({"destroyed", "destroying"})

_log = structlog.get_logger(__name__)
_seldom = Seldom(60.0)


def of_code(code: int) -> Move:
    """What an answer of the health URL means."""
    if code == httpx.codes.OK:
        return Move("running")
    return Move("unhealthy", error=f"Health check failed: {code}")


def of_machine(machine: Machine | None) -> Move | None:
    """What the machine's state means while nobody answers; None when it means nothing that we know."""
    if machine is None:
        return Move("failed", error=NOT_THERE)
    if machine.state in _STOPPED:
        return Move("stopped")
    if machine.state in _GONE:
        return Move("failed", error="Machine was destroyed")
    return Move("unhealthy", error=UNREACHABLE) if machine.state == "started" else None


class Prober:
    """Looks where the settings say."""

    def __init__(self, machines: Machines | None, outbound: Outbound, settings: Settings) -> None:
        self._machines, self._outbound, self._settings = machines, outbound, settings

    def url_of(self, deployment: Deployment) -> str | None:
        """Where its health is asked for; None while there is nowhere."""
        if deployment.health_url:
            return deployment.health_url
        machine, app = deployment.machine_id, self._settings.machines_app or ""
        if not machine or not is_id(machine):
            return None
        return self._settings.probe_template.format(machine_id=machine, app=app)

    async def answers(self, deployment: Deployment, seconds: float) -> int | None:
        """The code that the health URL answers within `seconds`; None when nobody does.

        Raises ForbiddenError when it must not be asked.
        """
        url = self.url_of(deployment)
        if url is None:
            return None
        try:
            return (await self._outbound.ask(url, seconds, most=0)).code
        except UnansweredError:
            return None

    async def look(self, deployment: Deployment) -> Move | None:
        """What it is now; None when that cannot be said, and what is known of it grows old."""
        try:
            if deployment.status == "stopped":
                return await self._stopped(deployment)
            return await self._awake(deployment)
        except (MachineError, ForbiddenError) as error:
            if _seldom():
                _log.warning("a deployment cannot be looked at", deployment=deployment.id, reason=str(error))
            return None

    async def _awake(self, deployment: Deployment) -> Move | None:
        code = await self.answers(deployment, self._settings.probe_timeout_seconds)
        if code is not None:
            return of_code(code)
        if deployment.machine_id is None:  # something that runs elsewhere: there is nobody to ask
            return Move("unhealthy", error=UNREACHABLE)
        return of_machine(await self._machine(deployment))

    async def _stopped(self, deployment: Deployment) -> Move | None:
        """Its health URL would wake it, so that is asked only if the machine is awake already; without one, nobody."""
        if deployment.machine_id is None or self._machines is None:
            return None
        machine = await self._machine(deployment)
        if machine is None or machine.state != "started":
            return of_machine(machine)
        return await self._awake(deployment)

    async def _machine(self, deployment: Deployment) -> Machine | None:
        if self._machines is None:
            raise MachineError("no machine API is set (STABILITY_MACHINES_URL and STABILITY_MACHINES_APP)")
        return await self._machines.find(deployment.machine_id or "")
