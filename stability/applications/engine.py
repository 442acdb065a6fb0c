"""The engine's API, Docker's or podman's: one list of all containers, and the events that say that it changed.

What is asked: `/_ping`, `/containers/json`, `/events`, and `/containers/ID/json` for one that ended with exit code 0.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any, Final

import httpx

from stability.applications.status import Container
from stability.errors import StabilityError
from stability.trust import certificates

LABEL: Final = "com.docker.compose.project"
NEWEST: Final = (1, 51)  # version of the API that was read when this was written; an older engine is asked in its own
OLDEST: Final = (1, 24)
CONNECT: Final = 2.0  # seconds until somebody answers at the address
ANSWER: Final = 10.0  # seconds that one answer may take, and the beginning of the events
LARGEST: Final = 32 * 1024 * 1024  # bytes of an answer, about ten thousand containers
LARGEST_REFUSAL: Final = 64 * 1024  # bytes of an answer that is none
LONGEST_EVENT: Final = 1024 * 1024  # bytes
# Events may be far between: the kernel asks whether the other end is still there, and gives up after 11 s.
_ASKING: Final = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3}  # not every system has all of them
_ALIVE: Final = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *((socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in _ASKING.items() if hasattr(socket, name)),
]
_SAID: Final = 200  # characters of an error's text that are kept
_FILTERS: Final = json.dumps({"label": [LABEL]}, separators=(",", ":"))
_CONTAINERS_ONLY: Final = json.dumps({"type": ["container"]}, separators=(",", ":"))
# Docker has more to tell of a container than what changes its state; what is not listed counts as a change.
_NO_CHANGE: Final = (
    "exec_",
    "health_status",
    "attach",
    "detach",
    "top",
    "resize",
    "copy",
    "archive-",
    "export",
    "commit",
)


class EngineError(StabilityError):
    """The engine is away, slow, refuses, or answers what it should not."""


class Engine:
    """One engine; `asked` is called with the name of each request that is sent."""

    def __init__(self, address: str, asked: Callable[[str], None] = lambda _what: None) -> None:
        scheme, _, rest = address.partition("://")
        uds = rest if scheme == "unix" else None
        # asked too seldom to keep a connection, and one that is kept would have to be closed by somebody
        limits = httpx.Limits(max_keepalive_connections=0)
        transport = httpx.AsyncHTTPTransport(
            certificates(), uds=uds, limits=limits, socket_options=None if uds else _ALIVE
        )
        base = "http://docker" if scheme == "unix" else f"http://{rest.rstrip('/')}"
        timeout = httpx.Timeout(ANSWER, connect=CONNECT)
        self._client = httpx.AsyncClient(
            transport=transport,
            base_url=base,
            timeout=timeout,
            headers={"Accept-Encoding": "identity"},  # what is limited is what comes
            trust_env=False,
        )
        self._asked = asked
        self._version = ""
        self._policies: dict[str, str] = {}

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def containers(self) -> Sequence[Container]:
        """Every container of a compose project, running or not.

        Raises EngineError; a list that is partly nonsense is none at all.
        """
        listed = await self._ask("list", "/containers/json", {"all": "1", "filters": _FILTERS})
        if not isinstance(listed, list):
            raise EngineError("the engine answered something else than a list of containers")
        found = [_container(entry) for entry in listed]
        self._policies = {one.id: self._policies[one.id] for one in found if one.id in self._policies}
        running = {one.project for one in found if one.runs}
        # only where it matters: whether one that ended well has done its work, or is to be started again
        return [
            replace(one, policy=await self._policy(one.id)) if one.ended_well and one.project not in running else one
            for one in found
        ]

    async def _policy(self, container: str) -> str | None:
        """When it is to be started again; the answer is kept until an event may have changed it."""
        if container not in self._policies:
            match await self._ask("inspect", f"/containers/{container}/json", missing=True):
                case {"HostConfig": {"RestartPolicy": {"Name": str(policy)}}}:
                    self._policies[container] = policy
                case None:  # gone since it was listed
                    return None
                case _:
                    raise EngineError("the engine answered something else than a container")
        return self._policies[container]

    @asynccontextmanager
    async def events(self) -> AsyncIterator[AsyncIterator[str | None]]:
        """Subscribed to all that happens to containers: the projects concerned, None where an event names none.

        Raises EngineError, also when the engine ends the stream. Where it falls silent nobody is told: subscribe anew
        from time to time.
        """
        path = await self._path("/events")
        timeout = httpx.Timeout(ANSWER, connect=CONNECT, read=None)
        request = self._client.build_request("GET", path, params={"filters": _CONTAINERS_ONLY}, timeout=timeout)
        self._asked("events")
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(ANSWER):
                    response = await self._client.send(request, stream=True)
                    stack.push_async_callback(response.aclose)
                    if response.status_code != httpx.codes.OK:
                        raise self._refused(response.status_code, await _body(response))
            except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
                raise _unanswered(error) from error
            yield self._projects(response)

    async def _projects(self, response: httpx.Response) -> AsyncIterator[str | None]:
        waiting = b""
        async for chunk in _chunks(response):
            *lines, waiting = (waiting + chunk).split(b"\n")
            if len(waiting) > LONGEST_EVENT:
                raise EngineError(f"the engine sent an event of more than {LONGEST_EVENT} bytes")
            for line in lines:
                event = _parsed(line) if line.strip() else {}
                action = event.get("Action", "") if isinstance(event, dict) else ""
                if not isinstance(action, str) or not action or action.startswith(_NO_CHANGE):
                    continue
                if action == "update":
                    self._policies.clear()
                yield _project(event)
        raise EngineError("the engine ended its events")

    async def _ask(self, what: str, path: str, params: Any = None, *, missing: bool = False) -> object:
        """The JSON of an answer; None for one that is not there, if it may be `missing`."""
        code, body, _ = await self._get(what, await self._path(path), params)
        if missing and code == httpx.codes.NOT_FOUND:
            return None
        if code != httpx.codes.OK:
            raise self._refused(code, body)
        return _parsed(body)

    async def _path(self, path: str) -> str:
        """In the newest version that both of us know."""
        if not self._version:
            code, body, headers = await self._get("ping", "/_ping", None)
            if code != httpx.codes.OK:
                raise self._refused(code, body)
            self._version = _negotiated(headers.get("api-version", ""))
        return f"/v{self._version}{path}"

    async def _get(self, what: str, path: str, params: Any) -> tuple[int, bytes, Mapping[str, str]]:
        self._asked(what)
        try:
            async with asyncio.timeout(ANSWER), self._client.stream("GET", path, params=params) as response:
                return response.status_code, await _body(response), response.headers
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise _unanswered(error) from error

    def _refused(self, code: int, body: bytes) -> EngineError:
        self._version = ""  # another engine may answer there by now
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            said = None
        reason = said.get("message") if isinstance(said, dict) else None
        return EngineError(f"the engine answered {code}" + (f": {str(reason)[:_SAID]}" if reason else ""))


async def _body(response: httpx.Response) -> bytes:
    most = LARGEST if response.status_code == httpx.codes.OK else LARGEST_REFUSAL
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > most:
            raise EngineError(f"the engine answered {response.status_code} with more than {most} bytes")
    return bytes(body)


async def _chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.aiter_raw():
            yield chunk
    except httpx.HTTPError as error:
        raise _unanswered(error) from error


def _unanswered(error: Exception) -> EngineError:
    return EngineError(f"the engine does not answer: {str(error) or type(error).__name__}")


def _negotiated(offered: str) -> str:
    major, _, minor = offered.partition(".")
    if not (major.isdecimal() and minor.isdecimal() and offered.isascii()) or len(offered) > len("99.9999"):
        raise EngineError("what answers there is no engine: it names no version of its API")
    theirs = (int(major), int(minor))
    if theirs < OLDEST or theirs[0] > NEWEST[0]:
        raise EngineError(f"the engine speaks version {offered} of the API; 1.24 to 1.x are understood")
    return "{}.{}".format(*min(theirs, NEWEST))


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise EngineError("the engine answered something that is not JSON") from error


def _container(entry: object) -> Container:
    match entry:
        case {
            "Id": str(key), "State": str(state), "Status": str(status), "Names": [str(name), *_],
            "Labels": {"com.docker.compose.project": str(project)},
        } if key.isalnum() and key.isascii() and state:  # fmt: skip
            return Container(key, name.lstrip("/"), project, state, status)
    raise EngineError("the engine answered something else than containers")


def _project(event: object) -> str | None:
    match event:
        case {"Actor": {"Attributes": {"com.docker.compose.project": str(project)}}}:
            return project
    return None
