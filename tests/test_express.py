"""The express lane: what it answers, it answers as the application would; everything else it leaves to it."""

import re
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httptools
import httpx
import pytest
from hypothesis import given
from hypothesis.strategies import from_regex
from starlette.types import ASGIApp, Receive, Scope, Send

from stability.app import create_app
from stability.fanout.express import plain
from stability.fanout.protocol import Protocol
from stability.postgres import EmbeddedPostgres
from stability.settings import load
from tests.fixtures.eventually import eventually
from tests.fixtures.postgres import Database, fresh
from tests.fixtures.server import Serving, hosting
from tests.fixtures.talk import LIVE, PATIENCE, ask, await_end, until

BROWSER: Final = (
    "Host: status.example:8642\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/event-stream\r\n"
    "Accept-Language: de,en-US;q=0.7\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nReferer: http://status.example/\r\n"
    "Connection: keep-alive\r\nCookie: stability_session=\xff; a=b\r\nCache-Control: no-cache\r\n"
)
PLAIN: Final = {
    "no header": "",
    "a browser": BROWSER,
    "one that comes back": f"{BROWSER}Last-Event-ID: 1a2b3c4d-1732541003000\r\n",
    "a foreign page": f"{BROWSER}Origin: https://elsewhere.example\r\n",
    "any case and space": "hOST:localhost\r\nCONNECTION:  Keep-Alive \r\nx:\t\r\n",
    "a proxy that tells the scheme only": "Host: x\r\nX-Forwarded-Proto: https\r\n",
}
GET: Final = f"GET {LIVE} HTTP/1.1\r\n"
UNUSUAL: Final = {
    "a query": f"GET {LIVE}?last_event_id=1a2b3c4d-1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "an empty query": f"GET {LIVE}? HTTP/1.1\r\nHost: x\r\n\r\n",
    "another stream": "GET /api/live?topics=stability HTTP/1.1\r\nHost: x\r\n\r\n",
    "another path": f"GET {LIVE}/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "another spelling": "GET /api/system-status/%6cive HTTP/1.1\r\nHost: x\r\n\r\n",
    "an absolute one": f"GET http://x{LIVE} HTTP/1.1\r\nHost: x\r\n\r\n",
    "HEAD": f"HEAD {LIVE} HTTP/1.1\r\nHost: x\r\n\r\n",
    "DELETE": f"DELETE {LIVE} HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/1.0": f"GET {LIVE} HTTP/1.0\r\nHost: x\r\n\r\n",
    "no keeping alive": f"{GET}Connection: close\r\n\r\n",
    "some more of that": f"{GET}Connection: keep-alive, close\r\n\r\n",
    "another protocol": f"{GET}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "an upgrade without saying so": f"{GET}Upgrade: h2c\r\n\r\n",
    "a body": f"{GET}Content-Length: 3\r\n\r\nabc",
    "an empty body": f"{GET}Content-Length: 0\r\n\r\n",
    "chunks": f"{GET}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an expectation": f"{GET}Expect: 100-continue\r\n\r\n",
    "a proxy": f"{GET}X-Forwarded-For: 192.0.2.1\r\n\r\n",
    "a request behind it": f"{GET}Host: x\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
    "garbage behind it": f"{GET}Host: x\r\n\r\n\x00garbage",
    "plain line ends": f"GET {LIVE} HTTP/1.1\nHost: x\n\n",
    "a folded line": f"{GET}Host: x\r\n more\r\n\r\n",
    "a space in a name": f"{GET}Content-Length : 3\r\n\r\n",
    "no name": f"{GET}: x\r\n\r\n",
    "no colon": f"{GET}Host\r\n\r\n",
    "a zero in a value": f"{GET}Host: x\x00\r\n\r\n",
    "a return in a value": f"{GET}Host: x\ry\r\n\r\n",
}


# Whose server it is, times, numbers that differ from life to life or from client to client, and what they make of a
# chunk's size.
_VARYING: Final = re.compile(
    rb"^server: uvicorn\r\n|"
    rb'(?<=retry: )\d+|(?<=xmin":)\d+|(?<=version":)\d+|\b[0-9a-f]{8}(-\d+)?\b|^[0-9a-f]+\r$|\d\d:\d\d:[^"\r]+',
    re.MULTILINE,
)


class _Noting:
    """An application, and the paths of all requests that reach it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app, self.asked = app, list[str]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.asked.append(scope["path"])
        await self._app(scope, receive, send)


@dataclass
class Lane:
    """A server at `url`, and what reached its application."""

    url: str
    asked: list[str]

    def answer(self, request: bytes) -> bytes:
        """What it answers to these bytes: all of it, or how a stream begins; without what differs each time."""
        self.asked.clear()
        with socket.create_connection(("127.0.0.1", httpx.URL(self.url).port or 0), PATIENCE) as client:
            client.sendall(request)
            heard = until(client, b"\r\n\r\n")
            head, _, body = heard.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            if length:
                heard += client.recv(int(length[1]) - len(body), socket.MSG_WAITALL)
            elif not request.startswith(b"HEAD") and b"event: connection" not in heard:
                heard += until(client, b"event: connection")
        begun, _, _ = heard.partition(b"event: connection")  # how much comes after it is chance
        return _VARYING.sub(b"", begun)


@contextmanager
def _lane(database: Database, express: bool = True, **settings: Any) -> Iterator[Lane]:
    app = create_app(load(**settings), conninfo=database.server_dsn)
    noting = _Noting(app)
    with hosting(noting, app.state.offer if express else Protocol) as url:
        eventually(lambda: httpx.get(f"{url}/readyz").is_success)
        yield Lane(url, noting.asked)


@pytest.fixture(scope="module")
def lanes(cluster: EmbeddedPostgres, migrated_template: str) -> Iterator[tuple[Lane, Lane]]:
    """A server with an express lane, and one without; of one database, for this module."""
    for database in fresh(cluster, migrated_template):
        with _lane(database) as express, _lane(database, express=False) as slow:
            yield express, slow


@pytest.fixture
def express(lanes: tuple[Lane, Lane]) -> Lane:
    """The one with an express lane."""
    return lanes[0]


@pytest.fixture
def slow(lanes: tuple[Lane, Lane]) -> Lane:
    """The one without."""
    return lanes[1]


@pytest.mark.parametrize("more", PLAIN.values(), ids=PLAIN)
def test_the_application_is_not_asked_and_would_say_the_same(express: Lane, slow: Lane, more: str) -> None:
    """Byte for byte: the head and the first frames."""
    request = f"{GET}{more}\r\n".encode("latin-1")
    answer = express.answer(request)
    assert not express.asked
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'data: {"stable":true}\n\n' in answer
    assert answer == slow.answer(request)


@pytest.mark.parametrize("unusual", UNUSUAL.values(), ids=UNUSUAL)
def test_whatever_is_unusual_is_as_if_there_was_no_lane(express: Lane, slow: Lane, unusual: str) -> None:
    """uvicorn sees all of it, and asks the application or refuses it, as ever."""
    answer, expected = express.answer(unusual.encode("latin-1")), slow.answer(unusual.encode("latin-1"))
    assert answer == expected
    assert express.asked or answer.startswith(b"HTTP/1.1 400")


class _Parsed:
    """What uvicorn's parser makes of some bytes."""

    def __init__(self, request: bytes) -> None:
        self.url, self.names, self.complete = b"", set[bytes](), 0
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(request)

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, _value: bytes) -> None:
        self.names.add(name.lower())

    def on_message_complete(self) -> None:
        self.complete += 1


@given(from_regex(plain(LIVE, ["origin"]), fullmatch=True))
def test_whatever_is_plain_is_one_whole_request_of_the_parser_as_well(request: bytes) -> None:
    """For the same, and there is nothing about it that uvicorn would have to know."""
    parsed = _Parsed(request)
    assert (parsed.url, parsed.complete) == (LIVE.encode(), 1)
    assert (parsed.parser.get_method(), parsed.parser.get_http_version()) == (b"GET", "1.1")
    assert parsed.parser.should_keep_alive()
    assert not parsed.parser.should_upgrade()
    assert not parsed.names & {b"content-length", b"transfer-encoding", b"expect", b"x-forwarded-for", b"origin"}


def test_a_request_in_pieces(express: Lane) -> None:
    """It is uvicorn's from the first of them on."""
    with closing(ask(express.url, piecemeal=True)) as client:
        assert b'data: {"stable":true}\n\n' in until(client, b"event: connection")


def test_a_page_that_may_do_more(database: Database) -> None:
    """Its origin is in the head, and nobody else's."""
    allowed = "https://pages.example"
    with _lane(database, allowed_origins=[allowed]) as lane:
        for origin, told in ((allowed, allowed), ("https://elsewhere.example", "*"), (None, "*")):
            more = f"Origin: {origin}\r\n" if origin else ""
            head = lane.answer(f"{GET}{more}\r\n".encode())
            assert f"\r\naccess-control-allow-origin: {told}\r\n".encode() in head
            assert bool(lane.asked) is bool(origin)


def test_the_token_is_not_needed(database: Database) -> None:
    """For the badge's stream; for everything else it is, behind it as well."""
    with _lane(database, token="secret") as lane:
        assert b'data: {"stable":true}' in lane.answer(f"{GET}Host: x\r\n\r\n".encode())
        assert lane.answer(b"GET /api/live HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 401")


def test_room_for_an_address(database: Database) -> None:
    """Whoever comes through a trusted proxy is counted where the proxy says, everybody else where they are."""
    with _lane(database, max_streams_per_address=1) as lane, ExitStack() as stack:
        for address in (None, "192.0.2.1", "192.0.2.2"):
            more = f"X-Forwarded-For: {address}\r\n" if address else ""
            until(stack.enter_context(closing(ask(lane.url, more=more))), b"event: status")
        for more in ("", "X-Forwarded-For: 192.0.2.2\r\n"):
            with closing(ask(lane.url, more=more)) as refused:
                assert b"event: status" not in until(refused, b'{"retry":30000}')


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("request_sent", [b"", f"{GET}\r\n".encode(), f"GET {LIVE}?x HTTP/1.1\r\n".encode()])
def test_nothing_stays_of_whoever_leaves(express: Lane, request_sent: bytes, reset: bool) -> None:
    """Before it asked, amid asking, or amid its stream; whether it closes its side or resets the connection."""
    port = httpx.URL(express.url).port or 0
    before = _descriptors()
    for _ in range(20):
        with closing(socket.create_connection(("127.0.0.1", port), PATIENCE)) as client:
            client.sendall(request_sent)
            eventually(lambda: _descriptors() > before + 1)
            if reset:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    eventually(lambda: _descriptors() <= before)


def _descriptors() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def test_a_request_longer_than_what_is_read_at_once(express: Lane, slow: Lane) -> None:
    """It is uvicorn's, which refuses what is too long, and has all of what is not."""
    for length, status in ((60_000, b"HTTP/1.1 200"), (200_000, b"")):
        request = f"GET /livez HTTP/1.1\r\nHost: x\r\nX: {'x' * length}\r\n\r\n".encode()
        for lane in (express, slow):
            with closing(socket.create_connection(("127.0.0.1", httpx.URL(lane.url).port or 0), PATIENCE)) as client:
                with suppress(ConnectionError):
                    client.sendall(request)
                with suppress(ConnectionError):
                    assert client.recv(len(status)) == status


def test_whoever_has_not_asked_holds_up_no_stop(serving: Serving) -> None:
    """It is told nothing, and the server is gone within its second."""
    with closing(socket.create_connection(("127.0.0.1", httpx.URL(serving.url).port or 0), PATIENCE)) as client:
        httpx.get(f"{serving.url}/livez")  # accepted after it
        serving.process.terminate()
        await_end(client)
        assert serving.process.wait(PATIENCE) == 0
