"""The only way out: what we ask other machines goes where the operator allows it, for so long and so many bytes.

A health URL may come from anybody who may create a deployment. So a name is resolved here, its addresses are judged,
and the connection goes to an address that was judged: a name that answers something else the next moment gains nothing.
Redirects are an answer like any other; proxies of the environment and cookies do not exist.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from types import MappingProxyType
from typing import Final

import httpx

from stability.deployments.allow import Address, Allow
from stability.errors import StabilityError
from stability.trust import certificates

RESOLVING: Final = 64  # names that are looked up at a time; one that hangs keeps a thread
HIGHEST: Final = 65_535  # of TCP's ports
LARGEST: Final = 64 * 1024  # bytes that are read of an answer unless somebody asks for more


class ForbiddenError(StabilityError):
    """The operator does not allow this address."""


class UnansweredError(StabilityError):
    """No answer of any kind: name, connection, protocol, or time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the code, and as much of the body as was asked for."""

    code: int
    body: bytes = b""


class Outbound:
    """Asks other machines, where `allow` permits it. One for many questions at a time; `close` it at the end."""

    def __init__(self, allow: Allow) -> None:
        self._allow = allow
        self._resolving = asyncio.Semaphore(RESOLVING)
        self._client = httpx.AsyncClient(
            verify=certificates(),
            trust_env=False,
            follow_redirects=False,
            timeout=None,  # noqa: S113 -- `ask` has one for all of it
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def ask(  # noqa: PLR0913 -- a request
        self,
        url: str,
        seconds: float,
        *,
        method: str = "GET",
        headers: Mapping[str, str] = MappingProxyType({}),
        json: object = None,
        most: int = LARGEST,
    ) -> Answer:
        """The answer, of whose body at most `most` bytes are read (0 = none) before the connection is closed.

        Raises UnansweredError when there is none within `seconds` in all, and ForbiddenError when nobody is asked.
        """
        target = self._target(url)
        try:
            async with asyncio.timeout(seconds):
                addresses = await self._addresses(target)
                for index, address in enumerate(addresses):
                    try:
                        return await self._exchange(method, target, address, headers, json, most)
                    except (httpx.ConnectError, OSError):
                        if index == len(addresses) - 1:
                            raise
                raise ForbiddenError(f"{target.host} leads to no address that STABILITY_PROBE_ALLOW permits")
        except TimeoutError as error:
            raise UnansweredError(f"no answer within {seconds:g} s") from error
        except (httpx.HTTPError, httpx.StreamError, OSError, UnicodeError) as error:
            raise UnansweredError((str(error) or type(error).__name__).partition("\n")[0]) from error

    def _target(self, url: str) -> httpx.URL:
        try:
            target = httpx.URL(url)
        except (httpx.InvalidURL, UnicodeError) as error:
            raise ForbiddenError(f"the address is no URL ({error})") from error
        if target.scheme not in {"http", "https"} or not target.host:
            raise ForbiddenError("the address must begin with http:// or https:// and name a host")
        if (target.port or 0) > HIGHEST:
            raise ForbiddenError(f"the address has a port above {HIGHEST}")
        if target.userinfo:
            raise ForbiddenError("the address must hold no user and no password")
        return target

    async def _addresses(self, target: httpx.URL) -> list[Address]:
        """Those that may be connected to, in the order in which they were answered; none if none may."""
        host = target.host.rstrip(".").lower()
        try:
            found = [ip_address(host)]
        except ValueError:
            found = await _resolved(host, self._resolving)
        return [address for address in dict.fromkeys(found) if self._allow.permits(host, address)]

    async def _exchange(  # noqa: PLR0913, PLR0917 -- a request
        self,
        method: str,
        target: httpx.URL,
        address: Address,
        headers: Mapping[str, str],
        json: object,
        most: int,
    ) -> Answer:
        request = self._client.build_request(
            method,
            target.copy_with(host=str(address)),
            headers={"Host": target.netloc.decode("ascii"), "Connection": "close", **headers},
            json=json,
            extensions={"sni_hostname": target.host},
        )
        self._client.cookies.clear()
        response = await self._client.send(request, stream=True)
        try:
            return Answer(response.status_code, await _read(response, most))
        finally:
            await response.aclose()


async def _read(response: httpx.Response, most: int) -> bytes:
    body = bytearray()
    if most:
        async for part in response.aiter_raw():
            body += part
            if len(body) >= most:
                break
    return bytes(body[:most])


def _look_up(host: str) -> list[Address]:
    """Every address of a name, however long that takes; raises OSError where there is none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise OSError(f"the name {host} is not found ({error})") from error
    return [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


async def _resolved(host: str, room: asyncio.Semaphore) -> list[Address]:
    """The same from a thread, a daemon, so that a resolver that hangs delays no stop.

    It keeps its place in `room` until it ends, also where nobody waits for it any more.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[list[Address]] = loop.create_future()

    def end(tell: Callable[[], None]) -> None:
        room.release()
        if not done.done():
            tell()

    def look() -> None:
        try:
            tell = partial(done.set_result, _look_up(host))
        except OSError as error:
            tell = partial(done.set_exception, error)
        if not loop.is_closed():
            loop.call_soon_threadsafe(end, tell)

    await room.acquire()
    try:
        threading.Thread(target=look, name=f"resolve {host}", daemon=True).start()
    except RuntimeError:  # there is no thread to be had
        room.release()
        raise
    return await done
