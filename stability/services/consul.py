"""Consul's HTTP API: questions that are answered when something changes, and what goes wrong with them."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import httpx

from stability.errors import StabilityError
from stability.services.settings import ServiceSettings
from stability.trust import certificates

WAIT: Final = 10  # seconds after which Consul answers even if nothing changed, so that we notice when it is gone
ANSWER: Final = 5.0  # seconds that an answer may take beside that; Consul adds up to a sixteenth of the wait
_WAITED: Final = WAIT * 17 / 16 + ANSWER
_WHOLE: Final = 2 * _WAITED  # seconds until the last byte of an answer, however it comes
LARGEST: Final = 128 * 1024 * 1024  # bytes of an answer: ten thousand services whose checks say much
_SAID: Final = 200  # characters of an error's text that are kept


class ConsulError(StabilityError):
    """Consul did not answer as it should; trying again may help."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What Consul answered, and the index at which it was so."""

    index: int
    said: Any


def next_index(last: int, told: int) -> int:
    """The index to wait from: where Consul went back, as after a restore, none; and 0 would not wait at all."""
    return 0 if told < last else max(told, 1)


class Consul:
    """One agent or server of Consul."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    @classmethod
    @asynccontextmanager
    async def of(cls, settings: ServiceSettings) -> AsyncIterator["Consul"]:
        """The one that the settings name."""
        address = settings.consul_http_addr or ""
        socket = address.removeprefix("unix://") if address.startswith("unix://") else None
        base = "http://consul" if socket else address if "://" in address else f"http://{address}"
        token = settings.consul_http_token
        async with httpx.AsyncClient(
            base_url=base.rstrip("/"),
            headers={"X-Consul-Token": token.get_secret_value()} if token else {},
            transport=httpx.AsyncHTTPTransport(certificates(), uds=socket),
            timeout=httpx.Timeout(ANSWER, read=_WAITED),
        ) as client:
            yield cls(client)

    async def ask(self, path: str, since: int = 0) -> Answer:
        """The answer: at once, or with an index `since` when something has changed after it.

        Raises ConsulError when there is none, or none that can be understood.
        """
        asked: Mapping[str, str] = {"index": str(since), "wait": f"{WAIT}s"} if since else {}
        try:
            async with asyncio.timeout(_WHOLE), self._client.stream("GET", path, params=asked) as response:
                body = await _read(response)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise ConsulError((str(error) or type(error).__name__).partition("\n")[0]) from error
        if response.status_code != httpx.codes.OK:
            raise ConsulError(f"{response.status_code}: {body[:_SAID].decode(errors='replace').strip()}")
        try:
            return Answer(int(response.headers.get("x-consul-index", "0")), json.loads(body))
        except (ValueError, RecursionError) as error:
            raise ConsulError("it answered something else than JSON; is that Consul?") from error

    def watch(self, path: str) -> "Watch":
        """What `path` answers, again and again."""
        return Watch(self, path)

    async def node(self, name: str) -> Any:
        """What runs on a node."""
        return (await self.ask(f"/v1/catalog/node/{quote(name, safe='')}")).said


async def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > LARGEST:
            raise ConsulError(f"it answered more than {LARGEST} bytes")
    return bytes(body)


class Watch:
    """One path, asked for what has changed since the last answer."""

    def __init__(self, consul: Consul, path: str) -> None:
        self._consul, self._path, self._index = consul, path, 0

    async def next(self) -> Any:
        """The answer now, then each time after a change; the same again when nothing changed for `WAIT`."""
        answer = await self._consul.ask(self._path, self._index)
        self._index = next_index(self._index, answer.index)
        return answer.said
