"""Follows a server's stream for ever, and says that it does not know whenever the stream is away.

The rules are the browser's: silence is death, a `bye` names the time to come back, else 1 → 30 s with full jitter.
"""

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Final

import httpx
from httpx_sse import EventSource, SSEError

from stability.backoff import Backoff
from stability.errors import SettingError, StabilityError
from stability.settings import Settings, is_loopback
from stability.sight import Sight, Tell, UnreadableError, away

ASKED: Final = 20  # seconds that a server may take to come to know of a transaction, before it is asked again
SILENCE: Final = 45.0  # seconds without a byte, three heartbeats, until the stream counts as dead
CONNECT: Final = 5.0  # seconds to reach the server
ANSWER: Final = 5.0  # seconds for an answer that is not a stream
BACKOFF: Final = (1.0, 30.0)  # seconds, first and longest bound of a wait
LONGEST_BYE: Final = 60.0  # seconds that a server may ask us to stay away
_BUSY: Final = {httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS}
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - names what others bind to


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is, and what opens it."""

    url: httpx.URL
    uds: str | None = None
    token: str | None = None

    def __str__(self) -> str:
        return f"unix:{self.uds}" if self.uds else str(self.url.copy_with(userinfo=b"")).rstrip("/")

    def client(self) -> httpx.AsyncClient:
        """A client of this server; what is on this machine is not asked through a proxy."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return httpx.AsyncClient(
            base_url=self.url,
            headers=headers,
            timeout=httpx.Timeout(ANSWER, connect=CONNECT),
            transport=httpx.AsyncHTTPTransport(uds=self.uds) if self.uds else None,
            trust_env=not is_loopback(self.url.host),
        )


class RefusedError(StabilityError):
    """What answers there is not a server that we can follow; trying again would not help."""


def server_of(settings: Settings, url: str | None = None) -> Server:
    """The server to ask: `url`, else STABILITY_URL, else the one that these settings would start.

    Raises SettingError when the URL is none.
    """
    token = settings.token.get_secret_value() if settings.token else None
    if given := url or settings.url:
        return Server(_parsed(given), token=token)
    if settings.uds:
        return Server(httpx.URL("http://localhost"), str(settings.uds.absolute()), token)
    host = _EVERYWHERE.get(settings.host, settings.host)
    return Server(httpx.URL(scheme="http", host=host, port=settings.port), token=token)


async def follow(server: Server, tell: Tell) -> None:
    """Tell every change of the server's state, for ever; unknown while it is away.

    Raises RefusedError when the very first answer shows that this is not a Stability server.
    """
    backoff = Backoff(*BACKOFF)
    last: Sight | None = None
    async with server.client() as client:
        while True:
            stream = _Stream(server, client, tell, last)
            try:
                reason = await stream.follow()
            except (httpx.HTTPError, SSEError, UnreadableError) as error:
                reason = said(error)
            if stream.reached:
                backoff.reset()
            sight = away(reason, stream.last)
            if sight.differs(stream.last):
                tell(sight)
            last = sight
            drawn = backoff.draw()
            await asyncio.sleep(drawn if stream.pause is None else stream.pause)


async def included(server: Server, xid: int) -> None:
    """Return once the server has read its state in a snapshot that holds the transaction `xid`.

    Raises RefusedError when it says that there is none.
    """
    question, backoff = {"after": xid, "wait": ASKED}, Backoff(BACKOFF[0], BACKOFF[0])
    async with server.client() as client:
        while True:
            try:
                answer = await client.get("api/system-status", params=question, timeout=ASKED + ANSWER)
                if answer.status_code == httpx.codes.OK:
                    return
                if answer.status_code == httpx.codes.BAD_REQUEST:
                    raise RefusedError(f"{server} refuses: {answer.json()['error']}")
                if answer.status_code == httpx.codes.GATEWAY_TIMEOUT:
                    continue
            except (httpx.HTTPError, ValueError, LookupError):
                pass  # whoever follows afterwards tells what is wrong
            await asyncio.sleep(backoff.draw())


async def answers(server: Server) -> bool:
    """Whether a Stability server is alive there."""
    try:
        async with server.client() as client:
            answer = await client.get("livez")
            return answer.status_code == httpx.codes.OK and answer.json() == {"status": "ok"}
    except (httpx.HTTPError, ValueError):
        return False


async def why_not_ready(server: Server) -> str | None:
    """Nothing when the server tells the proven truth, else one sentence."""
    try:
        async with server.client() as client:
            answer = await client.get("readyz")
            if answer.status_code == httpx.codes.OK:
                return None
            return f"{server} is not ready (HTTP {answer.status_code}){_failing(answer)}."
    except httpx.HTTPError as error:
        return f"{server} does not answer: {said(error)}."


class _Stream:
    """One connection to the stream."""

    def __init__(self, server: Server, client: httpx.AsyncClient, tell: Tell, last: Sight | None) -> None:
        self._server, self._client, self._tell = server, client, tell
        self._first = last is None
        self.last = last
        self.reached = False  # whether a state came
        self.pause: float | None = None  # seconds that the server asked us to stay away

    async def follow(self) -> str:
        """Tell what comes until the server ends the stream; returns why it did."""
        timeout = httpx.Timeout(SILENCE, connect=CONNECT)
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        async with self._client.stream("GET", "api/system-status/live", headers=headers, timeout=timeout) as response:
            self._admit(response)
            async for event in EventSource(response).aiter_sse():
                if event.event == "status":
                    self._see(Sight.parse(_read(event.data), "live"))
                elif event.event == "bye":
                    self.pause = _pause(_read(event.data))
                    return "the server said goodbye"
        return "the server ended the stream"

    def _admit(self, response: httpx.Response) -> None:
        code, kind = response.status_code, response.headers.get("content-type", "")
        if code == httpx.codes.OK and kind.startswith("text/event-stream"):
            return
        said = f"HTTP {code}" if code != httpx.codes.OK else f"{kind or 'something'} instead of a stream"
        if self._first and not httpx.codes.is_server_error(code) and code not in _BUSY:
            raise RefusedError(f"{self._server} answers with {said}: is that the address of a Stability server?")
        raise UnreadableError(f"it answers with {said}")

    def _see(self, sight: Sight) -> None:
        self.reached = True
        if sight.differs(self.last):
            self._tell(sight)
        self.last = sight


def _parsed(given: str) -> httpx.URL:
    try:
        url = httpx.URL(given)
    except httpx.InvalidURL as error:
        raise SettingError("STABILITY_URL", f"is not a URL ({error}).") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise SettingError("STABILITY_URL", "must begin with http:// or https:// and name a host.")
    return url


def _read(data: str) -> object:
    try:
        return json.loads(data)
    except ValueError as error:
        raise UnreadableError("the server sent something that is not JSON") from error


def _pause(said: object) -> float | None:
    """The seconds that a `bye` asks for, unless it makes no sense."""
    match said:
        case {"retry": int() | float() as milliseconds} if 0 <= milliseconds <= LONGEST_BYE * 1000:
            return milliseconds / 1000
        case _:
            return None


def said(error: Exception) -> str:
    """What went wrong, in one line."""
    if isinstance(error, httpx.ReadTimeout):
        return "it keeps silent"
    if isinstance(error, httpx.ConnectTimeout):
        return f"no connection within {CONNECT:g} s"
    if str(error) == "All connection attempts failed":
        return "nobody listens there"
    return re.sub(r"^\[Errno -?\d+\] ", "", (str(error) or type(error).__name__).partition("\n")[0]).rstrip(".")


def _failing(answer: httpx.Response) -> str:
    """Which checks of /readyz fail."""
    try:
        checks = answer.json()["checks"]
        failing = [name.replace("_", " ") for name, passed in checks.items() if not passed]
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""
    return f": not {', not '.join(failing)}" if failing else ""
