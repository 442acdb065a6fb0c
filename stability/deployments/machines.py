"""The machine API: makes the machine of a deployment, once however often it is tried, and says in what state one is."""

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import httpx

from stability.deployments.allow import Allow
from stability.deployments.outbound import Answer, ForbiddenError, Outbound, UnansweredError
from stability.errors import StabilityError
from stability.settings import Settings

TIMEOUT: Final = 10.0  # seconds for one answer
LISTED: Final = 8 * 1024 * 1024  # bytes of a list of machines, a few thousand of them
NOWHERE: Final = frozenset({"destroyed", "destroying"})
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_OK: Final = frozenset({httpx.codes.OK, httpx.codes.CREATED})
_TAKEN: Final = frozenset({httpx.codes.CONFLICT, httpx.codes.UNPROCESSABLE_ENTITY})
_BUSY: Final = frozenset({httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS})
_SAID: Final = 200  # characters of an error's text that are kept


class MachineError(StabilityError):
    """The machine API refused, and would refuse again."""


class BusyError(MachineError):
    """The machine API did not answer as it should: trying again may help, and what was asked may have been done."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as the API shows it."""

    id: str
    state: str


def is_id(text: str) -> bool:
    """Whether it may stand in a URL as the id of a machine, or the name of an app."""
    return bool(_ID.fullmatch(text))


def name_of(deployment: str) -> str:
    """The name of a deployment's machine: always the same, so that a second try finds the machine of the first."""
    plain = re.fullmatch(r"[a-z0-9-]{1,50}", deployment)
    return f"stability-{deployment if plain else hashlib.sha256(deployment.encode()).hexdigest()[:32]}"


class Machines:
    """One app of the machine API."""

    def __init__(
        self, outbound: Outbound, url: str, app: str, token: str | None = None, region: str | None = None
    ) -> None:
        self._outbound, self._region = outbound, region
        self._url = f"{url.rstrip('/')}/apps/{app}/machines"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    @classmethod
    def of(cls, settings: Settings) -> "Machines | None":
        """As the settings name it, over a way out that leads there only; None if they name none."""
        if not settings.machines_url or not settings.machines_app:
            return None
        token = settings.machines_token.get_secret_value() if settings.machines_token else None
        outbound = Outbound(Allow(hosts=frozenset({httpx.URL(settings.machines_url).host})))
        return cls(outbound, settings.machines_url, settings.machines_app, token, settings.machines_region)

    async def close(self) -> None:
        """Close every connection."""
        await self._outbound.close()

    async def find(self, machine_id: str) -> Machine | None:
        """The machine of that id, None when there is none.

        Raises MachineError when the API does not say.
        """
        if not is_id(machine_id):
            raise MachineError(f"{machine_id[:_SAID]!r} is no id of a machine")
        answer = await self._ask("GET", f"{self._url}/{machine_id}")
        if answer.code == httpx.codes.NOT_FOUND:
            return None
        return _machine(_parsed(answer))

    async def named(self, name: str) -> Machine | None:
        """The machine of that name that still exists, None when there is none."""
        listed = _parsed(await self._ask("GET", self._url, most=LISTED))
        if not isinstance(listed, list):
            raise BusyError("the machine API answered something else than a list")
        for entry in listed:
            if isinstance(entry, dict) and entry.get("name") == name and entry.get("state") not in NOWHERE:
                return _machine(entry)
        return None

    async def create(self, name: str, config: Mapping[str, object]) -> Machine:
        """Make a machine, or find the one that an earlier try made.

        Raises BusyError when another try may help, MachineError when not.
        """
        region = {"region": self._region} if self._region else {}
        answer = await self._ask("POST", self._url, {"name": name, **region, "config": config})
        if answer.code in _TAKEN and (there := await self.named(name)):
            return there
        return _machine(_parsed(answer))

    async def _ask(self, method: str, url: str, content: object = None, *, most: int = 1024 * 1024) -> Answer:
        try:
            answer = await self._outbound.ask(
                url, TIMEOUT, method=method, headers=self._headers, json=content, most=most + 1
            )
        except UnansweredError as error:
            raise BusyError(f"the machine API does not answer: {error}") from error
        except ForbiddenError as error:
            raise MachineError(f"the machine API cannot be asked: {error}") from error
        if len(answer.body) > most:
            raise MachineError(f"the machine API answered more than {most} bytes")
        return answer


def _parsed(answer: Answer) -> object:
    """The JSON of an answer that is one; else the error that it stands for."""
    if answer.code not in _OK:
        kind = BusyError if answer.code in _BUSY or httpx.codes.is_server_error(answer.code) else MachineError
        raise kind(f"the machine API answered {answer.code}{_reason(answer)}")
    try:
        parsed: object = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise BusyError("the machine API answered something that is not JSON") from error
    return parsed


def _reason(answer: Answer) -> str:
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        return ""
    return f": {said['error'][:_SAID]}" if isinstance(said, dict) and isinstance(said.get("error"), str) else ""


def _machine(said: object) -> Machine:
    match said:
        case {"id": str(machine_id), "state": str(state)} if is_id(machine_id):
            return Machine(machine_id, state)
    raise BusyError("the machine API answered without an id and a state")


async def patiently(
    machines: Machines, name: str, config: Mapping[str, object], seconds: float, *, again: bool
) -> Machine:
    """Make the machine in as many tries as fit into `seconds`, one at least; `again` after a try that was cut off.

    Raises MachineError with the last reason.
    """
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + seconds, 1.0
    while True:
        try:
            if again and (there := await machines.named(name)):
                return there
            return await machines.create(name, config)
        except BusyError:
            again = True
            if loop.time() + pause > deadline:
                raise
        await asyncio.sleep(pause)
        pause *= 2
